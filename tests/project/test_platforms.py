"""The tests that are skipped on Windows exist. mypy finds uses of names that only POSIX has,
because .ci/run starts it for each system.
"""

from __future__ import annotations

from tests.command_line import ROOT
from tests.posix import NOT_ON_WINDOWS


def test_every_test_that_is_skipped_on_windows_exists() -> None:
    for place in NOT_ON_WINDOWS:
        file, _, test = place.partition("::")
        text = (ROOT / "tests" / file).read_text("utf-8")
        assert not test or f"\ndef {test}(" in text, place
