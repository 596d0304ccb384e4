"""Tests of a state on a branch of a real Git remote, by path and over HTTP.

No write is lost, and a clone changes only by new objects.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hooksync.core.errors import StateError, UsageError
from hooksync.core.record import replace
from hooksync.state.contract import BackendData, Changed
from hooksync.state.git import GitBackend
from tests.git_servers import BRANCH, PASSWORD, Remote, log_in, missing_program, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing_program() is not None, reason=str(missing_program())),
]

WHERE = f"git:{BRANCH}"
NOTHING = (BackendData(), None)
ONE = BackendData('{"one": 1}\n', None)
TWO = BackendData('{"two": "é"}\n', '{"id": "a"}')


# Writes a state in a process that handles Ctrl-C and goes on, as a run does.
@pytest.fixture
def by_path(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


@pytest.fixture
def over_http(by_path: Remote) -> Iterator[Remote]:
    with served(by_path):
        yield by_path


def open_at(folder: Path, remote: Remote, where: str = WHERE, **environ: str) -> GitBackend:
    return GitBackend(where, str(folder), remote.environ | environ)


def all_files(folder: Path) -> dict[str, bytes]:
    """Return the content of each file of a repository and its working tree."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def call_by_ssh(remote: Remote, clone: Path, first: str) -> None:
    """Let a clone reach its remote by a fake ssh program that first runs the shell code `first`."""
    program = remote.folder / "ssh"
    program.write_text(f'#!/bin/sh\n{first}\nfor last; do :; done\nexec sh -c "$last"\n')
    program.chmod(0o755)
    remote.git("config", "core.sshCommand", str(program), at=clone)
    remote.git("config", "remote.origin.url", f"ssh://host{remote.path}", at=clone)


def refusal(backend: GitBackend) -> str:
    with pytest.raises(StateError) as caught:
        backend.get()
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


# --- reading and writing


def test_a_state_written_in_one_clone_is_read_in_a_different_clone(by_path: Remote) -> None:
    backend = open_at(by_path.clone("one"), by_path)
    assert backend.get() == NOTHING
    first = backend.put(ONE, None, "state written by Ada")
    assert backend.get() == (ONE, first)
    other = open_at(by_path.clone("two"), by_path)
    assert other.get() == (ONE, first)
    second = other.put(TWO, first, "two written by Ada")
    assert backend.get() == (TWO, second)
    third = backend.put(BackendData(TWO.state), second, "run lock released by Ada")
    assert other.get() == (BackendData(TWO.state), third)
    assert by_path.log() == ["hooksync: state written by Ada", "hooksync: two written by Ada"]
    assert by_path.git("log", "-1", "--format=%an <%ae>", BRANCH) == "Ada <ada@example.org>"


def test_a_deleted_branch_counts_as_no_state(by_path: Remote) -> None:
    backend = open_at(by_path.clone("one"), by_path)
    old = backend.put(ONE, None, "x")
    by_path.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    content, version = backend.get()
    assert content.state is None
    assert version is not None
    with pytest.raises(Changed):
        backend.put(TWO, old, "y")


def test_a_run_that_lost_its_lock_writes_nothing(by_path: Remote) -> None:
    backend = open_at(by_path.clone("one"), by_path)
    held = backend.put(BackendData(ONE.state, '{"id": "a"}'), None, "a takes the lock")
    other = open_at(by_path.clone("two"), by_path)
    other.put(BackendData(ONE.state, '{"id": "b"}'), held, "b takes the lock over")
    head = by_path.head()
    with pytest.raises(Changed):
        backend.put(TWO, held, "a writes")
    assert by_path.head() == head


def test_a_run_lock_makes_no_commit_on_the_branch(by_path: Remote) -> None:
    backend = open_at(by_path.clone("one"), by_path)
    first = backend.put(BackendData(None, '{"id": "a"}'), None, "run lock taken by a")
    backend.put(BackendData(), first, "run lock released by a")
    assert by_path.git("for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/main",
        f"refs/hooksync/{BRANCH}",
    ]


def test_a_server_without_atomic_pushes_is_one_clear_error(by_path: Remote) -> None:
    by_path.git("config", "receive.advertiseAtomic", "false")
    backend = open_at(by_path.clone("one"), by_path)
    with pytest.raises(StateError, match="does not support --atomic push"):
        backend.put(ONE, None, "x")
    assert backend.get() == NOTHING


def test_a_branch_whose_name_only_ends_the_same_way_is_not_read(by_path: Remote) -> None:
    by_path.git("update-ref", f"refs/heads/x/refs/heads/{BRANCH}", "main")
    assert open_at(by_path.clone("one"), by_path).get() == NOTHING


# --- where the backend works, and what it leaves alone


@pytest.mark.parametrize(
    "options",
    [(), ("--depth=1",), ("--filter=blob:none",), ("--single-branch",)],
    ids=["full", "shallow", "partial", "single"],
)
def test_a_clone_gains_objects_and_otherwise_stays_the_same_to_the_byte(
    over_http: Remote, options: tuple[str, ...]
) -> None:
    over_http.git("config", "uploadpack.allowFilter", "true")
    clone = over_http.clone("one", *options)
    over_http.git("checkout", "--quiet", "--detach", at=clone)
    (clone / "hooks.yaml").write_text("changed\n", encoding="utf-8")
    (clone / "new.yaml").write_text("new\n", encoding="utf-8")
    over_http.git("add", "new.yaml", at=clone)
    over_http.git("config", "gc.auto", "1", at=clone)
    before = all_files(clone)
    backend = open_at(clone, over_http)
    version = backend.put(TWO, backend.put(ONE, None, "x"), "y")
    other = open_at(over_http.clone("other"), over_http)
    version = other.put(ONE, version, "z")
    assert open_at(clone, over_http).get() == (ONE, version)
    after = all_files(clone)
    changed = {name for name in after if after[name] != before.get(name)}
    changed |= before.keys() - after.keys()
    allowed = re.compile(r"\.git/(objects/.*|shallow)")
    assert not [name for name in changed if not allowed.fullmatch(name)]
    assert (".git/shallow" in after) is ("--depth=1" in options)
    former = before.get(".git/shallow", b"").splitlines()
    assert set(former) <= set(after.get(".git/shallow", b"").splitlines())
    assert over_http.git("fsck", "--no-dangling", at=clone) == ""


def test_git_settings_of_the_clone_and_the_user_do_not_affect_the_state(over_http: Remote) -> None:
    clone = over_http.clone("one")
    for key, value in {
        "remote.origin.mirror": "true",
        "push.followTags": "true",
        "push.gpgSign": "true",
        "push.recurseSubmodules": "check",
        "commit.gpgSign": "true",
        "fetch.prune": "true",
        "core.hooksPath": "hooks",
        "core.autocrlf": "true",
        "core.worktree": str(clone),
    }.items():
        over_http.git("config", key, value, at=clone)
    theirs = over_http.folder / "theirs"
    shutil.copy(Path(over_http.environ["HOME"]) / ".gitconfig", theirs)
    for key, value in {
        "safe.bareRepository": "explicit",
        "transfer.fsckObjects": "true",
        "protocol.version": "0",
        "init.defaultRefFormat": "reftable",
        "core.abbrev": "7",
    }.items():
        over_http.git("config", "--file", str(theirs), key, value)
    (clone / "hooks").mkdir()
    for name in ("pre-push", "reference-transaction"):
        (clone / "hooks" / name).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (clone / "hooks" / name).chmod(0o755)
    backend = open_at(clone, over_http, GIT_CONFIG_GLOBAL=str(theirs))
    version = backend.put(ONE, None, "x")
    assert open_at(clone, over_http, GIT_CONFIG_GLOBAL=str(theirs)).get() == (ONE, version)
    assert over_http.git("for-each-ref", "--format=%(refname)").split() == [
        f"refs/heads/{BRANCH}",
        "refs/heads/main",
        f"refs/hooksync/{BRANCH}",
    ]


def test_a_remote_at_a_relative_path_is_found(by_path: Remote) -> None:
    clone = by_path.clone("one")
    by_path.git("config", "remote.origin.url", "../remote.git", at=clone)
    (clone / "deep").mkdir()
    open_at(clone / "deep", by_path).put(ONE, None, "x")


def test_the_backend_reads_from_the_push_url(by_path: Remote) -> None:
    clone = by_path.clone("one")
    by_path.git("config", "remote.origin.url", "/nowhere", at=clone)
    by_path.git("config", "remote.origin.pushurl", by_path.url, at=clone)
    version = open_at(clone, by_path).put(ONE, None, "x")
    assert open_at(clone, by_path).get() == (ONE, version)


def test_git_gets_no_secret_of_the_run_and_no_terminal(by_path: Remote) -> None:
    clone = by_path.clone("one")
    spy = by_path.folder / "spy"
    call_by_ssh(by_path, clone, f"cat /proc/self/stat > {spy}; env >> {spy}")
    open_at(clone, by_path, PRESERVICA_PASSWORD="s3cret", HOOKSYNC_PLAN_KEY="s3cret").get()
    seen = spy.read_text(encoding="utf-8")
    assert "s3cret" not in seen
    assert "GIT_TERMINAL_PROMPT=0" in seen
    # git has a session of its own, so Ctrl-C in the terminal does not reach it
    assert int(seen.split()[5]) != os.getsid(0)


# --- errors


@pytest.mark.parametrize(
    "branch",
    [
        *(
            "",
            "-x",
            "HEAD",
            "a..b",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
        ),
        *("a.", "a.lock", "a.lock/b", "a@{1}", "a\n", "a\x7f"),
    ],
)
def test_an_invalid_branch_name_is_a_usage_error(branch: str) -> None:
    command = ["git", "check-ref-format", "--branch", branch]
    assert subprocess.run(command, cwd="/", capture_output=True, check=False).returncode
    with pytest.raises(UsageError, match="git:hooksync-state"):
        GitBackend(f"git:{branch}", ".", {})


@pytest.mark.parametrize(
    "branch", ["a", "hooks/state", "a@b", "é", "x.lockx", "a-", "a{", "HEADS", "@a"]
)
def test_any_valid_branch_name_is_allowed(by_path: Remote, branch: str) -> None:
    open_at(by_path.clone("one"), by_path, f"git:{branch}").put(ONE, None, "x")
    assert by_path.log(branch) == ["hooksync: x"]


def test_a_branch_with_other_files_is_refused_as_a_state(by_path: Remote) -> None:
    clone = by_path.clone("one")
    backend = open_at(clone, by_path, "git:main")
    assert "files that hooksync did not write" in refusal(backend)
    with pytest.raises(Changed):
        backend.put(ONE, None, "x")
    assert len(by_path.log("main")) == 2


def test_a_symbolic_link_in_the_place_of_the_state_is_refused(by_path: Remote) -> None:
    blob = by_path.git("hash-object", "-w", "--stdin", data="/etc/passwd")
    tree = by_path.git("mktree", data=f"120000 blob {blob}\thooks.state.json\n")
    by_path.git("update-ref", f"refs/heads/{BRANCH}", by_path.git("commit-tree", tree, "-m", "x"))
    assert "did not write" in refusal(open_at(by_path.clone("one"), by_path))


def test_a_protected_branch_is_reported_in_the_words_of_the_server(by_path: Remote) -> None:
    backend = open_at(by_path.clone("one"), by_path)
    version = backend.put(ONE, None, "x")
    by_path.decline()
    with pytest.raises(StateError) as caught:
        backend.put(TWO, version, "y")
    assert "pre-receive hook declined; remote: GL-HOOK-ERR: no pushing here" in str(caught.value)
    assert backend.get() == (ONE, version)


def test_a_wrong_password_is_one_clear_error(over_http: Remote) -> None:
    clone = over_http.clone("one")
    log_in(over_http, "wrong-password-of-the-tests")
    told = refusal(open_at(clone, over_http))
    assert "Authentication failed" in told or "could not read Username" in told
    assert "wrong-password-of-the-tests" not in told
    address = over_http.url.replace("//", "//archivist:wrong-password-of-the-tests@")
    over_http.git("config", "remote.origin.url", address, at=clone)
    (Path(over_http.environ["HOME"]) / ".gitconfig").unlink()
    told = refusal(open_at(clone, over_http))
    assert "Authentication failed" in told
    assert "wrong-password-of-the-tests" not in told


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://archivist:s3cret@127.0.0.1:1/x.git", "Failed to connect"),
        ("/nowhere/x.git", "does not appear to be a git repository"),
        ("nothing://x", "remote-nothing"),
    ],
)
def test_an_unreachable_remote_is_one_clear_error(by_path: Remote, url: str, words: str) -> None:
    clone = by_path.clone("one")
    by_path.git("config", "remote.origin.url", url, at=clone)
    backend = open_at(clone, by_path)
    told = refusal(backend)
    assert words in told
    assert "fix: see that `git ls-remote` works there" in told
    with pytest.raises(StateError, match="git push") as caught:
        backend.put(ONE, None, "x")
    assert "s3cret" not in f"{told}{caught.value}"


def test_a_folder_outside_any_repository_is_one_clear_error(by_path: Remote) -> None:
    told = refusal(open_at(by_path.folder, by_path))
    assert f"{by_path.folder} is not in a git repository" in told
    assert "keep the hooks file in a clone" in told
    (by_path.folder / ".git").mkdir()
    assert "not a git repository" in refusal(open_at(by_path.folder / "none", by_path))


def test_a_machine_without_git_is_one_clear_error(by_path: Remote) -> None:
    told = refusal(open_at(by_path.clone("one"), by_path, PATH=str(by_path.folder)))
    assert "`git remote` in" in told
    assert "no such file or directory" in told


def test_a_git_process_that_hangs_is_killed_with_its_children(by_path: Remote) -> None:
    clone = by_path.clone("one")
    note = by_path.folder / "note"
    call_by_ssh(by_path, clone, f"echo $$ > {note}; exec sleep 600")
    backend = open_at(clone, by_path)
    backend._git = replace(backend._git, seconds=1.0)
    assert "no answer within 1 seconds" in refusal(backend)
    with suppress(ProcessLookupError):
        child = os.pidfd_open(int(note.read_text(encoding="utf-8")))
        assert select.select([child], [], [], 300)[0]  # readable once the child has ended
        os.close(child)
