"""Tests that Windows skips are there. mypy finds what only POSIX has, for .ci/run has it check each
system.
"""

from __future__ import annotations

from tests.command_line import ROOT
from tests.posix import NOT_ON_WINDOWS


def test_what_is_skipped_on_windows_is_there() -> None:
    for place in NOT_ON_WINDOWS:
        file, _, test = place.partition("::")
        text = (ROOT / "tests" / file).read_text("utf-8")
        assert not test or f"\ndef {test}(" in text, place
