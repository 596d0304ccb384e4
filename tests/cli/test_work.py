"""The work of a plan, counted without a clock: it must not grow unnoticed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import hooksync
from tests.bench.workload import SECRET, start_box, write_hooks
from tests.conftest import Place

PACKAGE = str(Path(hooksync.__file__).parent)


def calls_of(place: Place, count: int) -> int:
    """Count the calls of our functions, in the main thread, while so many are planned."""
    write_hooks(place.folder / "hooks.yaml", count, differs=False)
    calls = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        if event == "call":
            calls += frame.f_code.co_filename.startswith(PACKAGE)

    with start_box(0) as box:
        place.environ |= {"BOX": box.url, "HOOK_SECRET": SECRET}
        assert place.run("apply", "--yes", "--state", f"{count}.json").code == 0
        sys.setprofile(note)
        try:
            assert place.run("plan", "--state", f"{count}.json").code == 0
        finally:
            sys.setprofile(None)
    return calls


def test_a_plan_calls_few_functions_for_each_subscription(place: Place) -> None:
    more = calls_of(place, 200) - calls_of(place, 100)
    assert more / 100 <= 230  # 215 when this was written; quadratic work would need thousands
