"""Tests of processes on full or read-only disks, and with full or closed standard streams.

A run reports each error and its changes, and ends with the right exit code. Old files stay the same
to the byte, without new files beside them. The next run finds the changes. No test patches
hooksync: the system itself refuses to write.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hooksync.sandbox.tenancies import SandboxOptions
from tests.attacks.peers import service
from tests.conftest import HOOKS, Place, Run, checked
from tests.lanes import sampled
from tests.schemas import assert_fits
from tests.wire import Wire, answer

resource = pytest.importorskip("resource")

ONE = HOOKS.replace("[INDEXED, MOVED]", "[INDEXED]")
FULL = "/dev/full"  # only a shell writes to it, by redirection
NEEDS_FULL = pytest.mark.skipif(
    not os.path.exists(FULL), reason="there is no device that is always full"
)
SLOW = pytest.mark.parametrize(
    "options", [SandboxOptions(faults=("stall-0.5@subscribe:*",))], indirect=True
)

# Runs hooksync with a limit for the size of files. Arguments: BYTES ARGUMENT...
_LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.executable, [sys.executable, "-m", "hooksync", *sys.argv[2:]])
"""
# Runs Python so that the modes of files and folders restrict root, too.
_BOUND = """
import ctypes, os, sys
if os.geteuid() == 0 and sys.platform == "linux":
    PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def run(place: Place, command: list[str], **settings: Any) -> Run:
    """Run any command in a place, and check what is required of every run of hooksync."""
    streams = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    } | settings
    done = subprocess.run(
        command, cwd=place.folder, env=place.environ, text=True, timeout=60, check=False, **streams
    )
    return checked(Run(done.returncode, done.stdout or "", done.stderr or ""))


def shell(place: Place, script: str) -> Run:
    """Run a shell script in which `hooksync` is a command."""
    return run(
        place, ["sh", "-c", f'hooksync() {{ exec "{sys.executable}" -m hooksync "$@"; }}; {script}']
    )


def calls(place: Place, name: str) -> int:
    return [call.name for call in place.box.calls].count(name)


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder, without lock files."""
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")
    }


def state_of(folder: Path) -> Any:
    return json.loads((folder / "hooks.state.json").read_text())


def outcomes(report: Any) -> list[str]:
    return [step["outcome"] for tenancy in report["tenancies"] for step in tenancy["steps"]]


def assert_told(err: str, path: str, reason: str) -> None:
    """Assert that an error names the file, the reason in the words of the system, and a fix."""
    lines = err.splitlines()
    found = [
        n
        for n, line in enumerate(lines)
        if line.startswith("error: ") and path in line and reason in line
    ]
    assert found, err
    assert lines[found[0] + 1].startswith("  fix: ")


def assert_next_run_finishes(place: Place, posts: int) -> None:
    """Assert that an apply without the fault completes the subscriptions and leaves no duplicate.

    `posts`: the subscriptions that it creates. It creates a subscription again if no response has
    confirmed it, because its secret is then uncertain.
    """
    before = calls(place, "subscribe")
    again = place.run("apply", "--yes", "--format", "json")
    assert again.code == 0, again.err
    assert calls(place, "subscribe") == before + posts
    assert len(place.box.subscriptions("DEMO")) == 2
    state = state_of(place.folder)
    assert (len(state["entries"]), state["intents"]) == (2, [])
    assert all(entry["fingerprint"] for entry in state["entries"])


# --- faults


@contextmanager
def no_growth(_: Place) -> Iterator[list[str]]:
    """Yield a command that runs hooksync so that no file can grow."""
    yield [sys.executable, "-c", _LIMITED, "0"]


@contextmanager
def read_only_folder(place: Place) -> Iterator[list[str]]:
    """Make the folder read-only, and yield a command that runs hooksync in it."""
    bound = [sys.executable, "-c", _BOUND]
    place.folder.chmod(0o500)
    try:
        if run(place, [*bound, "-c", "open('probe', 'w')"], stderr=subprocess.DEVNULL).code == 0:
            pytest.skip("this user may write everywhere")
        yield [*bound, "-m", "hooksync"]
    finally:
        place.folder.chmod(0o700)


Fault = Callable[[Place], Any]
FAULTS = pytest.mark.parametrize(
    ("fault", "reason"),
    sampled([(no_growth, "file too large"), (read_only_folder, "permission denied")], 2),
)

# --- the state, before the first change


@FAULTS
def test_nothing_is_changed_if_the_state_cannot_be_written(
    place: Place, fault: Fault, reason: str
) -> None:
    form = "json" if fault is no_growth else "text"
    place.write(ONE)
    assert place.run("apply", "--yes").code == 0
    place.write(HOOKS)
    before = files(place.folder)
    with fault(place) as command:
        failed = run(place, [*command, "apply", "--yes", "--format", form])
    assert failed.code == 1
    assert_told(failed.err, "hooks.state.json", reason)
    assert files(place.folder) == before
    assert calls(place, "subscribe") == 1  # by the first run
    if form == "json":
        assert_fits(failed.json, "report")
        assert sorted(outcomes(failed.json)) == ["not-attempted", "unchanged"]
        assert failed.json["error"]
    else:
        assert "Applied: 0 done, 0 failed, 1 not tried; 1 unchanged." in failed.out
    assert_next_run_finishes(place, posts=1)


# --- the saved plan and the report


@FAULTS
def test_a_plan_that_cannot_be_saved_is_an_error_and_leaves_the_old_file_unchanged(
    place: Place, fault: Fault, reason: str
) -> None:
    assert place.run("plan", "--out", "plan.json").code == 0
    before = files(place.folder)
    with fault(place) as command:
        failed = run(place, [*command, "plan", "--out", "plan.json", "--format", "json"])
    assert (failed.code, failed.json["exit_code"]) == (1, 1)
    assert_told(failed.err, "plan.json", reason)
    assert "saved" not in failed.err
    assert_fits(failed.json, "error")
    assert files(place.folder) == before
    assert place.run("apply", "plan.json").code == 0


def test_a_report_that_cannot_be_written_leaves_the_old_file_and_the_changes_are_shown(
    place: Place,
) -> None:
    (place.folder / "report.json").write_text("old")
    before = files(place.folder)
    with read_only_folder(place) as command:
        flags = (
            "--report",
            "report.json",
            "--state",
            str(place.folder.parent / "other.state.json"),
        )
        failed = run(place, [*command, "apply", "--yes", *flags])
    assert failed.code == 4
    assert_told(failed.err, "report.json cannot be written", "permission denied")
    assert files(place.folder) == before
    assert "Applied: 2 done, 0 failed" in failed.out
    assert calls(place, "subscribe") == 2


# --- a file system without space


# Copies the folder BEFORE to a small file system, runs hooksync there, and copies the result to the
# folder AFTER.
_ON_A_SMALL_DISK = """
set -e
mount -t tmpfs -o "$OPTIONS" tmpfs "$DISK"
cp "$BEFORE"/* "$DISK"
cd "$DISK"
if [ -n "$FILL" ]; then cat /dev/zero >filler 2>/dev/null || true; fi
if "$PYTHON" -m hooksync "$@"; then code=0; else code=$?; fi
rm -f filler
cp -a "$DISK"/. "$AFTER"
exit "$code"
"""
_IN_A_NAMESPACE = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    _ON_A_SMALL_DISK,
    "sh",
]


class SmallDisk:
    """A file system of a few pages that only the processes on it can see."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.disk, self.before, self.after = (
            place.folder / name for name in ("disk", "before", "after")
        )
        for folder in (self.disk, self.before, self.after):
            folder.mkdir()
        shutil.copy(place.folder / "hooks.yaml", self.before)

    def start(
        self, *arguments: str, fill: bool = True, options: str = "size=32k"
    ) -> subprocess.Popen[str]:
        names: Mapping[str, Path] = {"DISK": self.disk, "BEFORE": self.before, "AFTER": self.after}
        environ = {name: str(path) for name, path in names.items()}
        environ |= {"PYTHON": sys.executable, "OPTIONS": options, "FILL": "yes" if fill else ""}
        return subprocess.Popen(
            [*_IN_A_NAMESPACE, *arguments],
            env=self.place.environ | environ,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, **settings: Any) -> Run:
        with self.start(*arguments, **settings) as process:
            out, err = process.communicate(timeout=60)
        return checked(Run(process.returncode, out, err))

    def fill(self, process: subprocess.Popen[str]) -> None:
        """Fill the small file system while a process runs on it."""
        seen_from_here = f"/proc/{process.pid}/root{self.disk}/filler"
        if not os.access(os.path.dirname(seen_from_here), os.W_OK):
            process.communicate()
            pytest.skip("another process's file system cannot be written to here")
        with open(seen_from_here, "wb", buffering=0) as filler:
            # the last write is shorter, because the disk is full
            while filler.write(bytes(65536)) == 65536:
                pass


@functools.cache
def why_no_small_disk() -> str:
    """Return why no private file system can be mounted here; empty if it can."""
    command = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "mount",
        "-t",
        "tmpfs",
        "tmpfs",
        tempfile.gettempdir(),
    ]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError as error:
        return str(error)
    return tried.stderr if tried.returncode else ""


@pytest.fixture
def small(place: Place) -> SmallDisk:
    if why := why_no_small_disk():
        pytest.skip(f"no file system of one's own can be had here: {why}")
    return SmallDisk(place)


def test_nothing_is_changed_on_a_full_disk(small: SmallDisk) -> None:
    failed = small.run("apply", "--yes", "--format", "json")
    assert failed.code == 1
    assert_told(failed.err, "hooks.state.json", "no space left on device")
    assert set(outcomes(failed.json)) == {"not-attempted"}
    assert (sorted(files(small.after)), calls(small.place, "subscribe")) == (["hooks.yaml"], 0)


@SLOW
@pytest.mark.slow
def test_changes_are_reported_and_found_by_the_next_run_if_the_disk_fills_during_an_apply(
    small: SmallDisk,
) -> None:
    place = small.place
    (small.before / "report.json").write_text("old")
    with open(small.before / "hooks.yaml", "a", encoding="utf-8") as hooks:
        # makes the report larger than the space that the run frees when it releases the lock
        hooks.write(f"        description: {chr(0x1F4D6) * 1024}\n")
    with small.start(
        "apply", "--yes", "--format", "json", "--report", "report.json", fill=False
    ) as process:
        while not calls(place, "subscribe"):
            assert process.poll() is None, process.communicate()
        small.fill(process)
        out, err = process.communicate(timeout=60)
    failed = checked(Run(process.returncode, out, err))
    assert failed.code == 4
    assert_told(failed.err, "hooks.state.json", "no space left on device")
    assert_told(failed.err, "report.json", "no space left on device")
    assert outcomes(failed.json) == ["done", "done"]
    assert sorted(files(small.after)) == ["hooks.state.json", "hooks.yaml", "report.json"]
    assert (small.after / "report.json").read_text() == "old"
    assert len(state_of(small.after)["intents"]) == 2
    shutil.copy(small.after / "hooks.state.json", place.folder)
    assert_next_run_finishes(place, posts=2)


# --- a full standard output


RESULTS = (
    "plan",
    "plan --format json",
    "plan --format markdown",
    "check",
    "validate",
    "list",
    "schema",
    "--help",
)


@NEEDS_FULL
@pytest.mark.slow
def test_a_full_standard_output_is_reported_as_an_error(place: Place) -> None:
    with ThreadPoolExecutor(len(RESULTS)) as pool:
        runs = list(pool.map(lambda command: shell(place, f"hooksync {command} >{FULL}"), RESULTS))
    for command, failed in zip(RESULTS, runs, strict=True):
        assert failed.code == 1, command
        assert_told(failed.err, "", "o space left on device")


@NEEDS_FULL
@pytest.mark.slow
def test_an_apply_with_a_full_standard_output_reports_it_and_records_its_changes(
    place: Place,
) -> None:
    failed = shell(place, f"hooksync apply --yes --format json --report report.json >{FULL}")
    assert failed.code in (1, 4)
    assert "no space left on device" in failed.err.lower()
    assert outcomes(json.loads((place.folder / "report.json").read_text())) == ["done", "done"]
    assert_next_run_finishes(place, posts=0)


# --- a standard output without a reader


def left_early(place: Place, *arguments: str) -> Run:
    """Run hooksync with a standard output whose reader is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return run(place, [sys.executable, "-m", "hooksync", *arguments], stdout=writing)
    finally:
        os.close(writing)


def test_an_apply_whose_standard_output_has_no_reader_changes_nothing(place: Place) -> None:
    left = left_early(place, "apply", "--yes")
    assert left.code == 1
    assert (calls(place, "subscribe"), sorted(files(place.folder))) == (0, ["hooks.yaml"])


# --- closed streams, and a full standard error


@pytest.mark.slow
def test_a_closed_standard_input_acts_like_an_empty_one(place: Place) -> None:
    assert shell(place, "hooksync plan <&-").code == 0
    refused = shell(place, "hooksync apply <&-")
    assert refused.code == 3
    assert "not confirmed: there is no terminal" in refused.err
    assert shell(place, "hooksync apply --yes <&-").code == 0
    assert len(place.box.subscriptions("DEMO")) == 2


def test_a_hooks_file_from_a_closed_standard_input_is_an_error(place: Place) -> None:
    failed = shell(place, "hooksync plan --file - <&-")
    assert failed.code == 1
    assert failed.err.startswith(("error: <stdin>", "<stdin>"))


@pytest.mark.slow
def test_an_apply_with_a_closed_standard_output_is_complete_or_changes_nothing(
    place: Place,
) -> None:
    assert shell(place, "hooksync plan >&-").code in (0, 1)
    done = shell(place, "hooksync apply --yes >&-")
    made = calls(place, "subscribe")
    assert (done.code, made) in ((0, 2), (1, 0))
    assert bool(done.code) == ("error: " in done.err)
    assert_next_run_finishes(place, posts=2 - made)


def test_without_standard_error_the_standard_output_is_only_the_result(place: Place) -> None:
    failed = shell(place, "hooksync plan --file nowhere.yaml --format json 2>&-")
    assert (failed.code, failed.json["exit_code"]) == (1, 1)


@NEEDS_FULL
@pytest.mark.parametrize("command", ["plan --out plan.json", "apply --yes -v"])
def test_a_full_standard_error_does_not_affect_the_result(place: Place, command: str) -> None:
    told = shell(place, f"hooksync {command} 2>{FULL}")
    assert told.code == 0
    assert "2 to subscribe" in told.out
    if command.startswith("plan"):
        assert_fits(json.loads((place.folder / "plan.json").read_text()), "plan")
    else:
        assert "Applied: 2 done" in told.out
        assert_next_run_finishes(place, posts=0)


def test_without_standard_error_an_interrupt_writes_its_notice_nowhere_else(place: Place) -> None:
    arrived, signalled = threading.Event(), threading.Event()
    heard: list[bytes] = []

    def wait(_: Wire, connection: socket.socket, __: bytes) -> None:
        """Answer after the signal; then record all that arrives, and answer each request."""
        arrived.set()
        signalled.wait(60)
        connection.sendall(answer(b'{"id": "1"}'))
        while more := connection.recv(65536):
            heard.append(more)
            if b"\r\n\r\n" in more:
                connection.sendall(answer(b"[]" if b"GET " in more else b'{"id": "2"}'))

    with Wire(service("subscribe", wait)) as wire:
        place.environ["BOX"] = wire.url
        script = (
            f'exec "{sys.executable}" -m hooksync apply --yes --no-probe --parallelism 1 --format'
            " json 2>&-"
        )
        command = ["sh", "-c", script]
        with subprocess.Popen(
            command, cwd=place.folder, env=place.environ, stdout=subprocess.PIPE
        ) as process:
            while not arrived.wait(0.1):
                assert process.poll() is None
            # while the connection waits, whose file number may be that of standard error
            process.send_signal(signal.SIGINT)
            signalled.set()
            out, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert set(outcomes(json.loads(out))) <= {"unsettled", "not-attempted"}
    assert b"interrupted" not in b"".join(heard)
    assert b"interrupted" not in b"".join(files(place.folder).values())
    assert state_of(place.folder)["intents"] == []
