"""Tests of processes that cannot write, and with full or closed standard streams. The simulation has
disks that fill up during an apply.

A run reports each error and its changes, and ends with the right exit code. Old files stay the same
to the byte, without new files beside them. The next run finds the changes. No test patches
hooksync: the system itself refuses to write.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HOOKS, Place, Run, checked
from tests.lanes import sampled
from tests.schemas import assert_fits

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.usefixtures("real_scrypt")

FULL = "/dev/full"  # only a shell writes to it, by redirection
NEEDS_FULL = pytest.mark.skipif(
    not os.path.exists(FULL), reason="there is no device that is always full"
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


def run(place: Place, command: list[str], stdout: int = subprocess.PIPE) -> Run:
    """Run any command in a place, and check what is required of every run of hooksync."""
    done = subprocess.run(
        command,
        cwd=place.folder,
        env={**place.environ, "UNMEASURED": "1"},  # .ci/run: coverage writes a file, too
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return checked(Run(done.returncode, done.stdout or "", done.stderr))


def shell(place: Place, script: str) -> Run:
    """Run a shell script in which `hooksync` is a command."""
    function = f'hooksync() {{ exec "{sys.executable}" -m hooksync "$@"; }}'
    return run(place, ["sh", "-c", f"{function}; {script}"])


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder, without lock files."""
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")
    }


def assert_told(err: str, path: str, reason: str) -> None:
    """Assert that an error names the file, the reason in the words of the system, and a fix."""
    assert re.search(rf"^error: .*{path}.*{reason}.*\n  fix: ", err, re.MULTILINE), err


def assert_next_run_finishes(place: Place, posts: int) -> None:
    """Assert that an apply without the fault creates so many subscriptions, and completes all."""
    before = place.changing_calls.count("subscribe")
    assert place.run("apply", "--yes").code == 0
    assert place.changing_calls.count("subscribe") == before + posts
    assert len(place.box.subscriptions("DEMO")) == 2
    assert place.run("plan", "--detailed-exitcode").code == 0


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
        probe = [*bound, "-c", "open('probe', 'w')"]
        if subprocess.call(probe, cwd=place.folder, stderr=subprocess.DEVNULL) == 0:
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
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[INDEXED]"))
    assert place.run("apply", "--yes").code == 0
    place.write(HOOKS)
    before = files(place.folder)
    with fault(place) as command:
        failed = run(place, [*command, "apply", "--yes"])
    assert failed.code == 1
    assert_told(failed.err, "hooks.state.json", reason)
    assert files(place.folder) == before
    assert "Nothing applied: 1 not tried; 1 unchanged." in failed.out
    assert_next_run_finishes(place, posts=1)


# --- the saved plan


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
    assert_told(failed.err, "", "o space left on device")
    [tenancy] = json.loads((place.folder / "report.json").read_text())["tenancies"]
    assert [step["outcome"]["result"] for step in tenancy["steps"]] == ["done", "done"]
    assert_next_run_finishes(place, posts=0)


# --- a standard output without a reader


def test_an_apply_whose_standard_output_has_no_reader_changes_nothing(place: Place) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    left = run(place, [sys.executable, "-m", "hooksync", "apply", "--yes"], stdout=writing)
    os.close(writing)
    assert (left.code, place.changing_calls, [*files(place.folder)]) == (1, [], ["hooks.yaml"])


# --- closed streams, and a full standard error


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
    made = len(place.changing_calls)
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
