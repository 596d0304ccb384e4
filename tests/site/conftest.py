"""The built site, made once for all tests of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.command_line import ROOT


@dataclass(frozen=True)
class Site:
    """The folder of the built site, and the output of its build."""

    folder: Path
    said: str

    @property
    def pages(self) -> list[Path]:
        return sorted(self.folder.rglob("*.html"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Build the site, or return the site that a different worker has built."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder, log = base / "site", base / "site.log"
    with FileLock(base / "site.lock"):
        if not log.exists():
            done = subprocess.run(
                [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
                cwd=ROOT,
                env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
            )
            log.write_text(
                done.stdout + f"exit code {done.returncode}\n" * bool(done.returncode),
                encoding="utf-8",
            )
    return Site(folder, log.read_text(encoding="utf-8"))
