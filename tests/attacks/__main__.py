"""The command: plays all attacks and writes their counts, `python -m tests.attacks >
docs/internals/attacks.md`.

`--count` plays none and counts them.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import redirect_stdout

import pytest

from tests.attacks.page import FOLDER, page


class Counts:
    """Counts the attacks of each file, and those that got through."""

    def __init__(self) -> None:
        self.attacks: Counter[str] = Counter()
        self.nightly: Counter[str] = Counter()  # of them, played by no lane
        self.through: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.attacks = Counter(item.path.stem for item in items)
        self.nightly = Counter(
            item.path.stem for item in items if item.get_closest_marker("nightly")
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.through.append(report.nodeid)


def main(arguments: list[str]) -> int:
    """Exits with 1 if one got through."""
    counts = Counts()
    with redirect_stdout(sys.stderr):
        only = ["--collect-only", "-qq"] if "--count" in arguments else []
        code = pytest.main(["-q", "-p", "no:xdist", "-m", "", *only, str(FOLDER)], plugins=[counts])
    sys.stdout.write(page(counts.attacks, counts.nightly, counts.through))
    return 1 if code or counts.through else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
