"""The errors of hooksync, all in one shape: what happened, where, how to fix it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Self

from hooksync.core.model import FailureKind, Location
from hooksync.core.record import Record
from hooksync.core.redaction import printable

MOST_PROBLEMS = 100  # of a run; nobody would read more
_MOST_NAMED = 5  # names that a message lists
_MOST_CALLS = 30  # calls of a traceback that are shown
_INTERNAL_FIX = (
    "report this as a bug, with the lines that follow, unless memory, threads or open files are"
    " short"
)


class ExitCode(IntEnum):
    """The exit code of the process."""

    DONE = 0
    ERROR = 1
    CHANGES_PENDING = 2
    REFUSED = 3
    PARTLY_APPLIED = 4
    USAGE = 64
    INTERRUPTED = 130
    TERMINATED = 143


class Problem(Record):
    """One thing that is wrong or, as a warning, may be wrong."""

    what: str  # starts in lower case, unless with a name; contains no secret value
    fix: str
    where: Location | None = None

    def __str__(self) -> str:
        return f"{self.headline}\n  fix: {printable(self.fix)}"

    @property
    def headline(self) -> str:
        """The place and the description, without the fix."""
        return printable(f"{self.where}: {self.what}" if self.where else self.what)


Problems = tuple[Problem, ...]


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sort by place. If a YAML alias repeats a problem, it is reported once."""
    nowhere = Location("", 0, 0)
    return sorted(dict.fromkeys(problems), key=lambda problem: problem.where or nowhere)


def limited(problems: Sequence[Problem], most: int = MOST_PROBLEMS) -> Problems:
    """Return the first problems, and count the others."""
    more = len(problems) - most
    if more <= 0:
        return tuple(problems)
    return (
        *problems[:most],
        Problem(
            f"{pluralised(more, 'more problem')}, not shown", "solve these first, and run it again"
        ),
    )


class HooksyncError(Exception):
    """An error that a user can cause or encounter. It is shown without a traceback."""

    exit_code = ExitCode.ERROR

    def __init__(self, what: str, fix: str, where: Location | None = None) -> None:
        super().__init__()
        self.problems: Problems = (Problem(what, fix, where),)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """Return one error of several problems, in the order of their places."""
        error = cls("", "")
        error.problems = limited(in_order(problems))
        return error

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))

    @property
    def summary(self) -> str:
        """What happened, in one line, without the fix."""
        return printable("; ".join(problem.what for problem in self.problems))


class FileError(HooksyncError):
    """A file that hooksync reads or writes cannot be used, e.g. a hooks file or a saved plan."""


class StateError(HooksyncError):
    """The state, its fingerprints or its run lock cannot be used."""


class StartError(HooksyncError):
    """A server of hooksync on this machine cannot start, e.g. because a program has its port."""


class InvalidDocument(Exception):
    """A JSON text or its content is invalid.

    The reader adds the path: of a state, it raises StateError; of a saved plan, FileError.
    """


class Refused(HooksyncError):
    """hooksync refuses to do something, and did none of it."""

    exit_code = ExitCode.REFUSED


class Interrupted(HooksyncError):
    """The user or a signal stopped the command before it changed anything."""

    exit_code = ExitCode.INTERRUPTED


class OutputLost(HooksyncError):
    """The result could not be written.

    It has no problems if the reader closed the pipe, because it wants no more.
    """


class UsageError(HooksyncError):
    """The command line, or a variable that configures hooksync, is wrong."""

    exit_code = ExitCode.USAGE


class SecretError(HooksyncError):
    """A secret or a credential is missing or cannot be used."""


class ServiceError(HooksyncError):
    """The service could not be reached, refused, or gave an answer that cannot be understood."""

    def __init__(
        self, what: str, fix: str, kind: FailureKind = "not-sent", *, status: int = 0
    ) -> None:
        super().__init__(what, fix)
        self.kind = kind  # of a call without an answer
        self.status = status  # of the answer that refuses the call; 0: there is none


class AnswerLost(ServiceError):
    """A call may have been carried out: its answer is lost or does not say so."""


class Rejected(ServiceError):
    """The service answered, but did not do what it was asked.

    Usually the status says so; a log-in can also fail with status 200.
    """


def shortened(names: Sequence[str], most: int = _MOST_NAMED, separator: str = ", ") -> str:
    """List the first few names, and count the others."""
    more = len(names) - most
    return separator.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def pluralised(number: int, noun: str) -> str:
    """Write a number with its noun, e.g. `1 entry`, `2 entries`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def suggestion(name: str, known: Sequence[str], advice: str) -> str:
    """Return the advice. If a known name is similar to the unknown one, suggest it first."""
    from difflib import get_close_matches  # most runs need no suggestion

    guesses = get_close_matches(name, known, n=1)
    return f"did you mean {guesses[0]}? ({advice})" if guesses else advice


def os_reason(error: Exception) -> str:
    """Return why the system refused, e.g. `permission denied`.

    A ValueError comes from a null character in a path, or from a closed file.
    """
    reason = error.strerror if isinstance(error, OSError) else None
    return (reason or str(error)).lower()


def exit_of(error: Exception, *, has_begun: bool) -> tuple[ExitCode, Problems]:
    """Return the exit code of an error, and its problems.

    `has_begun`: whether a change may have been made.
    """
    code = error.exit_code if isinstance(error, HooksyncError) else ExitCode.ERROR
    return ExitCode.PARTLY_APPLIED if has_begun else code, problems_of(error)


def problems_of(error: Exception) -> Problems:
    """Return the problems of an error, or the one problem of an error that no code handles."""
    return error.problems if isinstance(error, HooksyncError) else (internal_error(error),)


def internal_error(error: BaseException) -> Problem:
    """Describe an error that no code handles.

    Its message is left out: it may contain a secret.
    """
    places = _places(error)
    where = f" at {places[-1]}" if places else ""
    return Problem(f"internal error: {type(error).__name__}{where}", _INTERNAL_FIX)


def internal_error_text(error: BaseException) -> str:
    """Describe an error that no code handles, with its traceback.

    The lines contain no exception messages, values or paths.
    """
    places = [f"  {place}" for place in _places(error)[-_MOST_CALLS:]]
    return "\n".join([f"error: {internal_error(error)}", *places])


def _places(error: BaseException) -> list[str]:
    """Return module, line and function of each call, the innermost last."""
    from traceback import walk_tb  # only for an internal error

    return [
        f"{frame.f_globals.get('__name__')}:{line} {frame.f_code.co_name}"
        for frame, line in walk_tb(error.__traceback__)
    ]
