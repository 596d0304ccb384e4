"""A wait takes its full time, or ends early at a signal."""

from __future__ import annotations

import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

import pytest

from hooksync.cli.terminal import ConsoleTerminal
from hooksync.core.clock import SYSTEM_CLOCK
from hooksync.core.output import Output
from tests.lanes import sampled

_LINES = 24  # more than a wait runs before its second pause


@pytest.mark.parametrize("line", sampled(range(1, _LINES), 6))
def test_a_signal_in_any_line_of_a_wait_ends_it(line: int) -> None:
    """Ctrl-C once arrived between two lines of a wait. Its handler then waited forever for a lock
    that the wait held.
    """
    terminal = ConsoleTerminal(Output())
    terminal.is_graceful = True
    passed = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal passed
        passed += event == "line"
        if passed == line and not terminal.stop.is_set():
            sys.settrace(None)
            terminal.handle(signal.SIGINT)
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        is_stopped = SYSTEM_CLOCK.wait(terminal.stop, 1.0)
    finally:
        sys.settrace(former)
    assert is_stopped


def test_a_wait_without_a_stop_takes_its_full_time() -> None:
    start = time.monotonic()
    assert not SYSTEM_CLOCK.wait(threading.Event(), 0.12)
    assert time.monotonic() - start >= 0.12
