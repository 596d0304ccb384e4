"""The commit that is checked out for a hooks file: the commit that git reports, or None."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hooksync.core.git import find_commit
from tests.git_servers import Remote, missing_program

pytestmark = pytest.mark.skipif(missing_program() is not None, reason=str(missing_program()))


def test_the_commit_that_git_itself_reports_is_found(tmp_path: Path) -> None:
    remote = Remote(tmp_path)
    clone = remote.clone("clone")
    (clone / "deep").mkdir()
    for path in (clone, clone / "hooks.yaml", clone / "deep", clone / "deep" / "none.yaml"):
        assert find_commit(str(path), remote.environ) == remote.head("main")
    remote.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "tree"), "HEAD~1", at=clone)
    assert find_commit(str(tmp_path / "tree" / "hooks.yaml"), remote.environ) == remote.head(
        "main~1"
    )
    hook = remote.environ | {"GIT_DIR": str(remote.path), "GIT_INDEX_FILE": "x"}
    assert find_commit(str(tmp_path / "tree"), hook) == remote.head("main~1")


def test_without_a_known_commit_the_result_is_none(tmp_path: Path) -> None:
    remote = Remote(tmp_path)
    assert find_commit("-", remote.environ) is None
    assert find_commit(str(tmp_path / "hooks.yaml"), remote.environ) is None
    # a bare repository does not count
    assert find_commit(str(remote.path), remote.environ) is None
    clone = remote.clone("clone")
    assert find_commit(str(clone), {"PATH": str(tmp_path)}) is None  # without git
    (clone / ".git" / "HEAD").write_text("ref: refs/heads/unborn\n")
    assert find_commit(str(clone), remote.environ) is None
    (clone / ".git" / "HEAD").write_bytes(b"\xff\xfe")
    assert find_commit(str(clone), remote.environ) is None


def test_without_a_repository_git_is_not_started(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "git").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (tmp_path / "git").chmod(0o755)
    environ = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    assert find_commit(str(tmp_path / "hooks.yaml"), environ) is None
    assert not mark.exists()
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    find_commit(str(tmp_path / "hooks.yaml"), environ)
    assert mark.exists()
