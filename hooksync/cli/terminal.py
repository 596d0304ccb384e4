"""The terminal of a command: results, messages, questions, progress, signals.

Everything is written through core/output.py, except the notice of an interrupt.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

from hooksync.core.context import Advance
from hooksync.core.errors import ExitCode, Problem
from hooksync.core.output import Output
from hooksync.core.redaction import printable

_POLL_SECONDS = 0.2  # seconds between two checks for a signal, during the wait for an answer
_INTERRUPTED_TEXT = (
    b"\ninterrupted: nothing new starts; waiting for what is under way (once more to end at once)\n"
)


@contextmanager
def catch_signals(handle: Callable[[int, object], None]) -> Iterator[None]:
    """Handle SIGINT, SIGTERM and SIGHUP with a function instead of Python's own handlers.

    Only the main thread may call this. If SIGHUP is ignored, it stays ignored: nohup relies on
    that. `handle` may run between any two instructions, so it must not take a lock.
    """
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    former = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


class ConsoleTerminal:
    """The terminal of a command line. Any thread may use it.

    A signal stops the command: no new call starts, and calls under way end normally. While no call
    can be under way, the signal raises KeyboardInterrupt. A second signal ends the process at once.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self.result = output.result
        self.message = output.message
        wants_none = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        self._is_coloured = sys.stdout.isatty() and not wants_none
        self.is_verbose = False  # show each call
        self.stop = threading.Event()  # set by a signal
        self.interrupt_code = ExitCode.INTERRUPTED  # of the signal that came
        # `stop` cannot tell this: a second signal may come while `stop` is being set
        self._has_come = False
        # True once calls may be under way: then a signal sets `stop` instead of raising
        self.is_graceful = False

    def handle(self, number: int, frame: object = None) -> None:
        """Handle a signal. SIGHUP counts as SIGTERM."""
        if number != signal.SIGINT:
            self.interrupt_code = ExitCode.TERMINATED
        if self._has_come:
            os._exit(self.interrupt_code)
        self._has_come = True
        self.stop.set()
        if not self.is_graceful:
            raise KeyboardInterrupt
        with suppress(OSError):  # standard error may be closed
            os.write(2, _INTERRUPTED_TEXT)  # a buffered write may be under way

    def show(self, lines: Iterable[str]) -> None:
        """Show lines for people on standard output."""
        text = "".join(f"{printable(line)}\n" for line in lines)
        self._output.result(text, is_coloured=self._is_coloured)

    def warn(self, *problems: Problem) -> None:
        """Show warnings."""
        for problem in problems:
            self.message(f"warning: {problem}")

    def can_ask(self) -> bool:
        """Whether somebody can answer: standard input and standard error are a terminal."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def ask(self, question: str, expected: str = "yes") -> bool:
        """Ask a question: True for the expected answer.

        An interrupt, the end of the input, and an error of the terminal mean no.
        """
        try:
            # set before the question is visible, because a user may interrupt it at once
            self.is_graceful = False
            if self.stop.is_set():
                return False
            self._output.message(question, end="")
            while not select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
                # a signal just before a blocking read, or to a different thread, does not end it
                pass
            return sys.stdin.readline().strip().lower() == expected
        except KeyboardInterrupt:
            self._output.message("")
            return False
        except OSError:
            return False
        finally:
            self.is_graceful = True

    def watch(self, call: str) -> None:
        """Log a call, with --verbose."""
        if self.is_verbose:
            self.message(call)

    def progress(self, what: str, total: int) -> Advance:
        """Return a function that shows on a terminal one more call, unless --verbose shows each.

        From now on, an interrupt lets calls end.
        """
        self.is_graceful = True
        is_shown = total > 0 and not self.is_verbose and sys.stderr.isatty()
        numbers = count(1)

        def advance() -> None:
            if is_shown:
                self._output.progress(f"{what} {next(numbers)}/{total}")

        return advance
