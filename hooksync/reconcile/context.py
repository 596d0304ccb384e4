"""Everything outside the process that a command uses: environment, streams, terminal, state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.errors import ExitCode, Problem
from hooksync.core.output import Form, Output
from hooksync.core.record import Record, field
from hooksync.core.urls import DEFAULT_PORTS, split_url

if TYPE_CHECKING:
    from hooksync.config.secret_sources import SecretSources
    from hooksync.service.http import CallRecord, RetryPolicy, Transport
    from hooksync.service.worker_pool import WorkerPool
    from hooksync.state.contract import StateStore
    from hooksync.state.fingerprints import Key, Wanted

Ci = Literal["github", "gitlab", "jenkins"]

_LONGEST = 1024  # characters of a name or URL in a report


class Terminal(Protocol):
    """Shows results, messages and progress, and asks questions; `cli.terminal` implements it."""

    def result(self, text: str, form: Form = "text") -> None:
        """Show a result that is never coloured, such as JSON, on standard output."""

    def show(self, lines: Sequence[tuple[str, str]]) -> None:
        """Show a result for people on standard output. Each line has a style or ""."""

    def message(self, text: str) -> None:
        """Show anything else, on standard error."""

    def warn(self, problem: Problem) -> None:
        """Show a warning, on standard error."""

    def can_ask(self) -> bool:
        """Whether there is a terminal to ask on."""

    def ask(self, question: str) -> bool:
        """Ask a yes-or-no question on the terminal."""

    def watch(self, record: CallRecord) -> None:
        """Receive the record of each call, e.g. to log it."""

    def progress(self, what: str, total: int) -> AbstractContextManager[Callable[[], None]]:
        """Show the progress of `total` calls.

        The caller calls the function that the context manager returns, once after each call.
        """


class World(Record, frozen=True, dict=True):
    """Everything outside the process that a command may use."""

    HIDDEN = ("environ",)

    environ: Mapping[str, str]  # of the process and of files of variables
    stdin: BinaryIO
    terminal: Terminal
    stop: Event  # set by an interrupt, a lost run lock, or an error that ends an apply
    retries: RetryPolicy | None = None  # how failed calls are repeated; None: the default
    clock: Clock = SYSTEM_CLOCK
    # makes the transport that all calls use; None: `service.http.Transport`
    network: Callable[[float, int], Transport] | None = None
    # finds the store of a state by its place; None: `state.store.open_store`
    stores: Callable[[str], StateStore] | None = None
    pool: type[WorkerPool] | None = None  # runs the calls; None: `service.worker_pool.WorkerPool`
    begun: Event = field(default_factory=Event)  # set before the first change
    # writes all text that leaves the process; has the run's only redactor
    output: Output = field(default_factory=Output)
    # derives a key from a secret and a salt; None: with scrypt
    derive_key: Callable[[Wanted], Key] | None = None
    # the exit code after an interrupt: that of the signal
    interrupt_code: Callable[[], ExitCode] = lambda: ExitCode.INTERRUPTED

    @cached_property
    def secrets(self) -> SecretSources:
        """The sources of all secrets of the run; each secret is read once."""
        from hooksync.config.secret_sources import SecretSources  # only here: `validate` needs none

        return SecretSources(self.environ, self.stop, learn=self.output.redactor.learn)


def find_store(place: str | None, file: str, world: World) -> StateStore | None:
    """Return the store of the state at `place`; None if the run has no state.

    `file`: the first hooks file, or "-".
    """
    if place is None:
        return None
    if world.stores:
        return world.stores(place)
    from hooksync.state.store import open_store  # only here: `validate` has no state

    tell = world.terminal.message
    return open_store(place, world.environ, file, world.output, clock=world.clock, tell=tell)


def hold_run_lock(
    store: StateStore, timeout: float | None, world: World
) -> AbstractContextManager[None]:
    """Hold the run lock of a state. `timeout`: as in `run_lock`."""
    from hooksync.state.contract import Holder  # only here: `validate` has no state
    from hooksync.state.store import run_lock  # only here: `validate` has no state

    origin = find_origin(world.environ)
    user, host, url = (
        text and world.output.masked(text) for text in (origin.user, origin.host, origin.url)
    )
    holder = Holder(user, host, url)
    return run_lock(
        store,
        holder,
        timeout,
        clock=world.clock,
        stop=world.stop,
        tell=world.terminal.message,
    )


class RunOrigin(Record, frozen=True):
    """The machine, user and CI run that hooksync runs in. None: not known. Contains no secret."""

    host: str | None = None
    user: str | None = None  # in CI: the user who started the run, if the CI names one
    ci: Ci | None = None
    url: str | None = None  # of the run in the CI, without user information and query


def find_origin(environ: Mapping[str, str]) -> RunOrigin:
    """Find the machine, the user and the CI run."""
    import platform  # only here, like getpass below: `plan` needs neither

    get = environ.get
    ci: Ci | None = None
    user = ""
    url = ""
    if get("GITHUB_RUN_ID"):
        ci = "github"
        user = get("GITHUB_ACTOR", "")
        parts = (get("GITHUB_SERVER_URL"), get("GITHUB_REPOSITORY"), get("GITHUB_RUN_ID"))
        url = "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""
    elif get("GITLAB_CI") or get("CI_JOB_URL"):
        ci = "gitlab"
        user = get("GITLAB_USER_LOGIN", "")
        url = get("CI_JOB_URL", "")
    elif get("JENKINS_URL") or get("BUILD_URL"):
        ci = "jenkins"
        user = get("BUILD_USER_ID", "")
        url = get("BUILD_URL", "")
    return RunOrigin(_fit(platform.node()), _fit(user) or _user(), ci, _public(url))


def _public(url: str) -> str | None:
    """Drop the parts of a URL that may contain a secret. None: it cannot be shown."""
    scheme, netloc, tail = split_url(url)
    host = netloc.rpartition("@")[2]
    path = tail.partition("?")[0].partition("#")[0]
    return _fit(f"{scheme}://{host}{path}") if host and scheme in DEFAULT_PORTS else None


def _user() -> str | None:
    import getpass

    try:
        return _fit(getpass.getuser())
    except (OSError, KeyError, ImportError):  # the system has no name for this user
        return None


def _fit(text: str) -> str | None:
    return text if text and text.isprintable() and len(text) <= _LONGEST else None
