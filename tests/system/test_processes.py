"""Tests that each command has the same results within a test, and as a process of its own.

Most other tests run hooksync within their own process.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.command_line import hooksync, hooksync_process
from tests.conftest import HOOKS, Place, checked
from tests.lanes import sampled

COMMANDS = [
    "--version",
    "--help",
    "plan --help",
    "completion bash",
    "schema --kind plan",
    "validate",
    "validate -f wrong.yaml",
    "validate -f nowhere.yaml",
    "validate -f -",
    "validate --no-such-flag",
    "init new.yaml",
    "init --file hooks.yaml",
    "init --file new.yaml --from-live",
    "plan",
    "plan --detailed-exitcode",
    "plan --format json",
    "plan --format markdown",
    "plan --out plan.json",
    "plan --tenancy nowhere",
    "plan -f -",
    "apply",
    "apply --yes",
    "apply --yes --format json --report report.json",
    "apply --yes -v --parallelism 1",
    "apply no-plan.json",
    "check",
    "check --format json",
    "init --file - --from-live",
    "init --out draft",
]


def leveled(text: str) -> str:
    """Replace what differs from run to run: ids, digests, times and durations."""
    text = re.sub(r"\b[0-9a-f]{8,}\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)", "TIME", text)
    return re.sub(r"\d+\.\d{3} s|(?<=\"seconds\": )[\d.]+", "SECONDS", text)


def files(folder: Path) -> dict[str, str]:
    return {
        path.name: leveled(path.read_text("utf-8")) for path in folder.iterdir() if path.is_file()
    }


@pytest.mark.parametrize("line", sampled(COMMANDS, 9, 3))
def test_a_command_has_the_same_results_as_a_process_of_its_own(
    line: str, place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place.write(HOOKS.replace("INDEXED", "INDEXD"), "wrong.yaml")
    given = HOOKS if line.endswith("-f -") else ""
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(place.folder, other, dirs_exist_ok=True)
    came = []
    for run, folder in ((hooksync, place.folder), (hooksync_process, other)):
        seen = len(place.box.calls)
        done = checked(run(line.split(), place.environ, folder, given))
        calls = sorted(call.name for call in place.box.calls[seen:])
        err = leveled(done.err.replace(str(folder), "FOLDER"))
        came.append((done.code, leveled(done.out), err, files(folder), calls))
        for one in place.box.subscriptions("DEMO"):
            place.box.remove("DEMO", one.id)
    assert came[0] == came[1]
