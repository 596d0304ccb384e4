"""SIGINT and SIGTERM: what is under way ends, nothing new starts. A second signal ends the process at once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from threading import Event
from types import FrameType

from hooksync.core.errors import ExitCode

_NOTICE = b"\ninterrupted: nothing new starts; waiting for what is under way (once more to end at once)\n"


class Terminated(KeyboardInterrupt):
    """SIGTERM came before any call was made."""


class Interrupts:
    """Listens while a command runs."""

    def __init__(self, stop: Event) -> None:
        self._stop = stop
        self._previous: dict[int, object] = {}
        self.exit_code = ExitCode.INTERRUPTED  # of the signal that came
        self.is_graceful = False  # True once calls may be under way: then a signal sets `stop` instead of raising

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal() gave is what it takes

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.exit_code = ExitCode.TERMINATED if number == signal.SIGTERM else ExitCode.INTERRUPTED
        if self._stop.is_set():
            os._exit(self.exit_code)
        self._stop.set()
        if not self.is_graceful:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        with suppress(OSError):  # nobody may be there to read it
            os.write(2, _NOTICE)  # print may be in the middle of a line
