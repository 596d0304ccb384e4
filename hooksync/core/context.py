"""Everything outside the process that a command uses, in one record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Event
from typing import BinaryIO, Protocol

from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.errors import ExitCode, Problem
from hooksync.core.model import Variables
from hooksync.core.output import Format, Output
from hooksync.core.record import Record, field

Advance = Callable[[], None]  # reports that one more part of an activity is done


class Terminal(Protocol):
    """Shows results, messages and progress, and asks questions; `cli.terminal` implements it."""

    interrupt_code: ExitCode  # of a run that was interrupted: that of the signal

    def result(self, text: str, form: Format = "text") -> None:
        """Show a result that is never coloured, such as JSON, on standard output."""

    def show(self, lines: Iterable[str]) -> None:
        """Show lines for people on standard output."""

    def message(self, text: str) -> None:
        """Show anything else, on standard error."""

    def warn(self, *problems: Problem) -> None:
        """Show warnings, on standard error."""

    def can_ask(self) -> bool:
        """Whether there is a terminal to ask on."""

    def ask(self, question: str, expected: str = "yes") -> bool:
        """Ask a question on the terminal. Returns whether the answer is the expected one."""

    def watch(self, call: str) -> None:
        """Receive a line about each call, e.g. to log it."""

    def progress(self, what: str, total: int) -> Advance:
        """Show the progress of `total` calls. The caller calls the function after each of them."""


class Context(Record):
    """What is outside the process. One record carries these through a run."""

    environ: Variables  # of the process and of files of variables
    stdin: BinaryIO
    terminal: Terminal
    stop: Event  # set by an interrupt, a lost run lock, or an error that ends an apply
    clock: Clock = SYSTEM_CLOCK
    # writes all text that leaves the process; has the run's only redactor
    output: Output = field(default_factory=Output)
    begun: Event = field(default_factory=Event)  # set before the first change
