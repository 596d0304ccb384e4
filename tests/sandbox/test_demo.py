"""The tour `hooksync demo`: what it shows, what it hides, and that it leaves nothing behind.

Most tests run it in its own process, as users do.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lanes import sampled

STORY = (
    "A tour of hooksync",
    "1. The file",
    "version: 1",
    "$ hooksync validate",
    "hooks.yaml: valid: 1 tenancy, 3 subscriptions.",
    "2. Plan",
    "$ hooksync plan",
    "1 not in the state, left alone",
    "Plan: 3 to subscribe",
    "3. Apply",
    "$ hooksync apply --yes",
    "Applied: 3 done",
    "Verified: live matches declared.",
    "$ hooksync plan",
    "No changes.",
    "4. Drift",
    "$ hooksync plan --detailed-exitcode",
    "no longer declared",
    "(exit code 2)",
    "$ hooksync apply --yes",
    "Applied: 2 done",
    "Verified: live matches declared.",
    "Nothing is left behind",
    "docs/quick-start.md",
    "hooksync sandbox",
)
SETTINGS_OF_THE_USER = {
    "HOOKSYNC_FILE": "nowhere.yaml",
    "PRESERVICA_SERVER": "nowhere.example",
    "PRESERVICA_TENANT": "OTHER",
    "http_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}
ENDS = [
    (signal.SIGINT, 130),
    (signal.SIGTERM, 143),
    (getattr(signal, "SIGHUP", signal.SIGABRT), 143),
]


@dataclass(frozen=True)
class Home:
    """A clean home, an empty working directory and a folder for temporary files, for the tour
    alone.
    """

    root: Path

    @classmethod
    def within(cls, root: Path) -> Home:
        for name in ("home", "tmp", "work"):
            (root / name).mkdir()
        return cls(root)

    def start(self) -> subprocess.Popen[str]:
        own = {"HOME": str(self.root / "home"), "TMPDIR": str(self.root / "tmp")}
        return subprocess.Popen(
            [sys.executable, "-m", "hooksync", "demo"],
            cwd=self.root / "work",
            env={**os.environ, **SETTINGS_OF_THE_USER, "PYTHONWARNINGS": "error", **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # its group contains all that Ctrl-C would reach
        )

    def left_behind(self) -> list[str]:
        """Return the files and the processes that the tour has left."""
        files = [str(path) for folder in self.root.iterdir() for path in folder.rglob("*")]
        return files + [f"process {number}" for number in self._processes()]

    def _processes(self) -> Iterator[str]:
        """Yield the processes with the environment of the tour. Without /proc, there are none."""
        marker = f"TMPDIR={self.root / 'tmp'}".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if marker in (entry / "environ").read_bytes().split(b"\0"):
                    yield entry.name


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.within(tmp_path)


def read_until(process: subprocess.Popen[str], wanted: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if wanted in line:
            return
    raise AssertionError(f"it never said {wanted}")


@pytest.mark.slow
def test_the_tour_shows_its_parts_in_order_and_no_secret_and_leaves_nothing_behind(
    home: Home,
) -> None:
    with home.start() as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    rest = out
    for part in STORY:
        _, found, rest = rest.partition(part)
        assert found, f"{part} is not in its home in:\n{out}"
    assert not re.search("[0-9a-f]{16}", out), "the secrets and the password are hexadecimal digits"
    assert str(home.root) not in out
    assert "\x1b" not in out, "colour is for terminals"
    assert home.left_behind() == []


@pytest.mark.parametrize(("number", "code"), sampled(ENDS, 3))
@pytest.mark.parametrize(
    "line", sampled(["2. Plan", "A tour of hooksync", "$ hooksync plan --detailed-exitcode"], 3, 3)
)
def test_a_signal_ends_the_tour_and_nothing_is_left_behind(
    home: Home, line: str, number: signal.Signals, code: int
) -> None:
    with home.start() as process:
        read_until(process, line)
        os.killpg(process.pid, number)
        out, err = process.communicate()
    assert (process.returncode, err) == (code, "")
    assert "Traceback" not in out
    assert home.left_behind() == []
