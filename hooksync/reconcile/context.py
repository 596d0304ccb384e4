"""What a command is given: the flags, the environment, a terminal, and the word to stop. Nouns and one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

from hooksync.core.record import Record

if TYPE_CHECKING:
    from hooksync.config.shards import Shard
    from hooksync.core.errors import Problem
    from hooksync.service.calling import CallRecord
    from hooksync.service.retry import RetryPolicy

Format = Literal["text", "json", "markdown"]


class Terminal(Protocol):
    """Where a command shows what it has to show. Only the door has a real one."""

    def result(self, text: str) -> None:
        """Show a result that is never coloured, such as JSON, on standard output."""

    def show(self, lines: Sequence[tuple[str, str]]) -> None:
        """Show a result for people, on standard output: lines, each after its style ("" for none)."""

    def aside(self, text: str) -> None:
        """Show anything else, on standard error."""

    def warn(self, problem: Problem) -> None:
        """Show what is doubtful, on standard error."""

    def ask(self, question: str) -> bool | None:
        """Ask for a yes; None where there is nobody to ask."""

    def watch(self, record: CallRecord) -> None:
        """Hear of a call that was made."""

    def progress(self, what: str, total: int) -> AbstractContextManager[Callable[[], None]]:
        """Show how far a number of calls is; gives what is to be called after each."""


class World(Record, frozen=True):
    """What a command can reach outside the process."""

    HIDDEN = ("environ",)

    environ: Mapping[str, str]
    stdin: BinaryIO
    terminal: Terminal
    stop: Event  # set by an interrupt
    patience: RetryPolicy | None = None  # with calls that fail; None: the usual


class FileOptions(Record, frozen=True):
    """Which files, what of them, and how to show what comes of it."""

    files: tuple[str, ...]
    format: Format = "text"
    tenancies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    shard: Shard | None = None  # None: all tenancies


class CheckOptions(Record, frozen=True):
    """What the flags of `check` say."""

    files: tuple[str, ...]
    format: Format = "text"
    tenancies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    shard: Shard | None = None  # None: all tenancies
    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run


class ExportOptions(Record, frozen=True):
    """What the flags of `export` say."""

    files: tuple[str, ...]
    names_files: bool = False  # whether the command line names them
    tenancies: tuple[str, ...] = ()
    shard: Shard | None = None  # None: all tenancies
    server: str | None = None
    tenant: str | None = None
    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run


class PlanOptions(Record, frozen=True):
    """What the flags of `plan` and `apply` say."""

    files: tuple[str, ...]
    format: Format = "text"
    tenancies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    shard: Shard | None = None  # None: all tenancies
    replace: tuple[str, ...] = ()
    prunes: bool = True
    allows_mass_unsubscribe: bool = False
    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run
    shows_kept: bool = False
    has_detailed_exit_code: bool = False  # plan
    is_confirmed: bool = False  # apply
    state: str | None = None  # path; None: beside the first file
    uses_state: bool = True
    adopts: bool = False  # apply: record the declared secret of what is kept and not in the state
    out: str | None = None  # plan: path to save it at
    saved_plan: str | None = None  # apply: path of a plan to carry out instead of making one
    max_age: timedelta | None = None  # apply: of the saved plan
    report: str | None = None  # apply: path to write the report at
    probes: bool | None = None  # challenge receivers; None: plan does not, apply does as each tenancy says
