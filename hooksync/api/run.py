"""Plan and apply as functions: what `import hooksync` gives, and what the commands are written on.

Nothing here prints, asks or ends anything, or handles a signal: what happens on the way is told to
the terminal of the world, or to the functions that `load` is given; what comes of it is in a `Plan`
or a `Report`.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from secrets import token_hex
from threading import Event
from typing import TYPE_CHECKING, TypedDict, Unpack

from hooksync.api.adopt import Adoption, adopt
from hooksync.api.inputs import SELECTING, Declared, Session, open_session, prepare
from hooksync.api.options import RunOptions
from hooksync.core.clock import rfc3339
from hooksync.core.errors import (
    ExitCode,
    FileError,
    HooksyncError,
    Problem,
    SecretError,
)
from hooksync.core.model import SecretRef
from hooksync.core.output import Output
from hooksync.core.record import Record, replace
from hooksync.core.redaction import printable
from hooksync.core.signing import KEY_VARIABLE, plan_key
from hooksync.output.plan_json import plan_json
from hooksync.output.report_json import report_json
from hooksync.output.text import Line, plain, plan_lines, report_lines
from hooksync.output.view import RunView, plan_exit_code, view_of_plan, view_of_step
from hooksync.output.view import StepView as Step
from hooksync.output.view import TenancyView as TenancyResult
from hooksync.reconcile.context import World, find_origin
from hooksync.reconcile.plan import Planned, TenancyOutcome, TenancyPlan, not_begun
from hooksync.reconcile.probing import ask_receivers
from hooksync.state.contract import LockLost

if TYPE_CHECKING:
    from pathlib import Path

    from hooksync.core.output import Form
    from hooksync.reconcile.journal import Journal
    from hooksync.service.http import CallRecord

__all__ = [
    "Adoption",
    "Declared",
    "HooksyncError",
    "Plan",
    "Problem",
    "Report",
    "Step",
    "TenancyResult",
    "adopt",
    "apply",
    "load",
    "plan",
]

Names = str | Sequence[str]

_NOT_CONFIRMED = Problem("not confirmed", 'answer "yes", or give --yes')


class Settings(TypedDict, total=False):
    """What `load` takes besides: each has the effect and the default of a flag of the commands."""

    tenancies: Names  # --tenancy
    targets: Names  # --target
    policy: str | None
    state: str | None
    uses_state: bool  # --no-state
    lock_timeout: float | None  # seconds
    timeout: float  # seconds
    parallelism: int
    replace: Names
    allows_commands: bool
    probes: bool | None


class Result(Record, frozen=True, kw_only=True):
    """The result of a plan or an apply. Its properties contain no secret."""

    HIDDEN = ("declared",)

    view: RunView  # not part of the library's interface
    declared: Declared
    is_interrupted: bool

    @property
    def tenancies(self) -> tuple[TenancyResult, ...]:
        """The tenancies, in the order of the files."""
        return self.view.tenancies

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of all tenancies."""
        return self.view.steps

    @property
    def has_changes(self) -> bool:
        """Whether a step changes something."""
        return self.view.has_changes

    @property
    def summary(self) -> Counter[str]:
        """The numbers of steps by outcome, or by action if no step has an outcome."""
        return self.view.results() or self.view.counts()

    @property
    def secret_unknown(self) -> int:
        """The number of subscriptions that are kept with an unknown secret."""
        return self.view.secret_unknown

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What needs attention, but stops nothing."""
        return self.view.all_warnings

    @property
    def refusals(self) -> tuple[Problem, ...]:
        """Why apply refuses the plan, or a part of it."""
        return self.view.refusals

    @property
    def errors(self) -> tuple[HooksyncError, ...]:
        """Why tenancies could not be planned or applied."""
        return self.view.errors

    def lines(self, *, shows_kept: bool = False) -> list[Line]:
        """Write it for people: lines, each with its style.

        A tenancy that was read shows its steps, also if an error stopped its apply.
        """
        tenancies = []
        for one in self.tenancies:
            is_read = one.live is not None
            tenancies.append(replace(one, error=None) if is_read else one)
        return plan_lines(replace(self.view, tenancies=tuple(tenancies)), shows_kept=shows_kept)

    def text(self, *, shows_kept: bool = False) -> str:
        """Write it for people."""
        return self._output.safe(plain(self.lines(shows_kept=shows_kept)))

    def markdown(self, *, shows_kept: bool = False) -> str:
        """Write it for a comment of a pull request."""
        # only here: most runs write none
        from hooksync.output.markdown import markdown

        text = markdown(self.view, shows_kept=shows_kept, is_report=isinstance(self, Report))
        return self._output.safe(text)

    @property
    def _output(self) -> Output:
        return self.declared.world.output


class Plan(Result, frozen=True, kw_only=True):
    """What has to be done. `apply` plans again, and carries out exactly this or refuses it."""

    id: str

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command. A plan that apply would refuse fails already here."""
        if self.is_interrupted:
            return ExitCode.INTERRUPTED
        return plan_exit_code(self.view)

    def html(self) -> str:
        """Write it as a page of its own, for reviewers."""
        from hooksync.output.html import plan_html  # only here: as Markdown above

        return self._output.safe(plan_html(self.view, self.id, self._commit))

    def to_json(self, *, is_signed: bool = True, exit_code: ExitCode | None = None) -> str:
        """Write it as `plan --out` saves it, signed if a key is set.

        `exit_code`: of the command, if that differs. Raises FileError if it would contain a secret.
        """
        declared = self.declared
        key = plan_key(declared.world.environ.get(KEY_VARIABLE)) if is_signed else None
        selection = {flag: getattr(declared.options, name) for name, flag in SELECTING.items()}
        code = self.exit_code if exit_code is None else exit_code
        text = plan_json(self.view, selection, self.id, key, exit_code=code, commit=self._commit)
        return self._output.safe(self._output.checked(text, "the plan"), "json")

    @property
    def _commit(self) -> str | None:
        """The commit of the hooks file, if it is known."""
        from hooksync.core.git import find_commit  # only here: text needs no other program

        return find_commit(self.declared.options.files[0], self.declared.world.environ)


class Report(Result, frozen=True, kw_only=True):
    """What became of a plan: each step has an `outcome`."""

    # what ended the run as an interrupt does: what nobody foresaw, or a run lock that was lost
    cause: Exception | None

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the command. A partial change has priority over an error."""
        if self.is_interrupted and not self.cause:
            return ExitCode.INTERRUPTED
        outcomes = [tenancy.outcome for tenancy in self.tenancies if tenancy.outcome]
        is_wrong = self.cause or self.view.has_failed or self.view.is_refused
        if all(outcome.is_as_declared for outcome in outcomes) and not is_wrong:
            return ExitCode.DONE
        if self.has_changed:
            return ExitCode.PARTLY_APPLIED
        if self.cause or self.view.has_failed or self.summary["failed"] or not self.view.is_refused:
            return ExitCode.ERROR
        return ExitCode.REFUSED

    @property
    def has_changed(self) -> bool:
        """Whether anything was changed, or may have been."""
        return any(tenancy.outcome and tenancy.outcome.has_changed for tenancy in self.tenancies)

    def lines(self, *, shows_kept: bool = False) -> list[Line]:
        """Write it for people: lines, each with its style."""
        return report_lines(self.view) if self.has_changes else super().lines(shows_kept=shows_kept)

    def to_json(self) -> str:
        """Write it as `hooksync.report/1`."""
        origin = find_origin(self.declared.world.environ)
        return self._output.safe(report_json(self.view, origin, self.exit_code), "json")


def load(
    files: Names | Path | Sequence[Path] = "hooks.yaml",
    *,
    environ: Mapping[str, str] | None = None,
    stop: Event | None = None,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    on_message: Callable[[str], object] = lambda text: None,
    **settings: Unpack[Settings],
) -> Declared:
    """Read hooks files, and fill in the environment. Raises HooksyncError with every problem.

    `environ`: instead of the process's own; `stop`: to be set as an interrupt of what is made of
    this; `on_progress`: is told what is done, how many calls were made and of how many, on any
    thread; `on_message`: is given the other messages, such as that this run waits for the run lock.
    """
    given = {
        name: _several(value) if name in _SEVERAL else value for name, value in settings.items()
    }
    options = RunOptions(_several(files), is_confirmed=True, **given)  # type: ignore[arg-type]
    output = Output()
    terminal = _Program(output, on_message, on_progress)
    environ = os.environ if environ is None else environ
    return prepare(options, World(environ, io.BytesIO(), terminal, stop or Event(), output=output))


_SEVERAL = ("tenancies", "targets", "replace")


def _several(given: object) -> tuple[str, ...]:
    return tuple(
        map(str, given if isinstance(given, Sequence) and not isinstance(given, str) else [given])
    )


class _Program:
    """The terminal of a program: calls its functions; results are returned, not shown."""

    def __init__(
        self,
        output: Output,
        on_message: Callable[[str], object],
        on_progress: Callable[[str, int, int], None],
    ) -> None:
        self._output = output
        self._on_message = on_message
        self._on_progress = on_progress

    def message(self, text: str) -> None:
        self._on_message(self._output.safe(text.rstrip("\n")))

    def result(self, text: str, form: Form = "text") -> None:
        """Show nothing: the result is returned."""

    def show(self, lines: Sequence[tuple[str, str]]) -> None:
        """Show nothing, as `result`."""

    def warn(self, problem: Problem) -> None:
        """Show nothing: the result has the warnings."""

    def watch(self, record: CallRecord) -> None:
        """Log no call."""

    def can_ask(self) -> bool:
        return True  # `confirm` answers

    def ask(self, question: str) -> bool:
        return False

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        numbers = count(1)
        yield lambda: self._on_progress(what, next(numbers), total)


def plan(declared: Declared) -> Plan:
    """Read the tenancies and compare: changes nothing.

    A tenancy that cannot be read is in the plan, and raises nothing.

    Raises HooksyncError if nothing can be planned, such as for a state that cannot be read.
    """
    with open_session(declared, is_apply=False) as session:
        planned = session.plan()
        if declared.options.probes:
            planned = ask_receivers(planned, session.run)
        return _plan(session, _view(session, planned))


def apply(
    what: Declared | Plan,
    *,
    confirm: Callable[[Plan], bool] = lambda plan: True,
    on_step: Callable[[Step], object] = lambda step: None,
) -> Report:
    """Plan, refuse, probe, confirm; then create, list, remove, verify. Raises HooksyncError.

    Of a plan that was made before, everything is refused if the steps are no longer the same.
    `confirm`: is shown the plan, with what stands against it, and returns whether to begin;
    `on_step`: is given each step with its outcome once its tenancy is done with, on any thread.
    """
    if isinstance(what, Plan):
        from hooksync.api.promise import promise_of  # only here, as below

        what = replace(what.declared, promise=promise_of(what.view, what.id))
    with open_session(what, is_apply=True) as session:
        journal = session.open_journal()
        planned = session.plan()
        against_all = _against_all(session, planned)
        if not against_all:
            planned = _probed(session, planned)
        view = _view(session, planned, against_all)
        if not confirm(_plan(session, view)) and any(one.is_ready for one in view.tenancies):
            view = replace(view, against_all=(*view.against_all, _NOT_CONFIRMED))
        outcomes: dict[str, TenancyOutcome] = {}
        if not view.against_all:
            outcomes = _apply(session, planned, journal, on_step)
        return _report(session, planned, view, outcomes)


def _against_all(session: Session, planned: Sequence[Planned]) -> tuple[Problem, ...]:
    """List why nothing is done: nobody can be asked, or a saved plan is no longer the same."""
    declared = session.declared
    is_ready = any(isinstance(one, TenancyPlan) and one.is_ready for one in planned)
    if is_ready and not declared.options.is_confirmed and not declared.world.terminal.can_ask():
        what = "not confirmed: there is no terminal to ask on"
        return (Problem(what, "give --yes if the plan is what you want"),)
    if declared.promise is None:
        return ()
    from hooksync.api.promise import differences  # only here: for what was shown before

    return tuple(differences(declared.promise, _view(session, planned)))


def _probed(session: Session, planned: Sequence[Planned]) -> tuple[Planned, ...]:
    """Look up every secret that the run selects, and challenge receivers. Changes nothing."""
    found: list[Planned] = []
    for one in planned:
        if isinstance(one, TenancyPlan):
            try:
                session.run.secrets.find_all(each.secret for each in one.tenancy.subscriptions)
            except SecretError as error:
                one = replace(one, error=error)
        found.append(one)
    if session.declared.options.probes is False:
        return tuple(found)
    return ask_receivers(found, session.run)


def _apply(
    session: Session,
    planned: Sequence[Planned],
    journal: Journal,
    on_step: Callable[[Step], object],
) -> dict[str, TenancyOutcome]:
    def report_steps(outcome: TenancyOutcome) -> None:
        for each in outcome.outcomes:
            on_step(view_of_step(each.step, each, outcome.plan.history.entries))

    if session.run.pool.stop.is_set():
        return {}
    from hooksync.reconcile.apply import apply_plans  # only here: `plan` does without

    plans = [one for one in planned if isinstance(one, TenancyPlan) and not one.error]
    return apply_plans(plans, session.run, journal, report_steps)


def _plan(session: Session, view: RunView) -> Plan:
    return Plan(
        view=view,
        declared=session.declared,
        is_interrupted=session.declared.world.stop.is_set(),
        id=token_hex(16),
    )


def _report(
    session: Session,
    planned: Sequence[Planned],
    view: RunView,
    outcomes: Mapping[str, TenancyOutcome],
) -> Report:
    tenancies = []
    for one in planned:
        if isinstance(one, TenancyPlan):
            tenancies.append(view_of_plan(one, outcomes.get(one.tenancy.name) or not_begun(one)))
        else:
            tenancies.append(view_of_plan(one))
    failures = session.run.failures
    state_error = next((error for error in failures if isinstance(error, FileError)), None)
    unforeseen = [error for error in failures if not isinstance(error, FileError)]
    lost = [error for error in failures if isinstance(error, LockLost)]
    return Report(
        view=replace(view, tenancies=tuple(tenancies), state_error=state_error),
        declared=session.declared,
        is_interrupted=session.declared.world.stop.is_set(),
        cause=next(iter([*lost, *unforeseen]), None),
    )


def _view(
    session: Session,
    planned: Sequence[Planned],
    against_all: tuple[Problem, ...] = (),
) -> RunView:
    """View a whole run, as of now."""
    declared = session.declared
    options = declared.options
    warnings = [*declared.warnings, *_doubts(session, planned)]
    for one in planned:
        if isinstance(one, TenancyPlan):
            warnings += one.warnings
    return RunView(
        tuple(map(view_of_plan, planned)),
        rfc3339(declared.world.clock.now()),
        printable(", ".join(options.files)),
        tuple(warnings),
        session.planner.place,
        session.undeclared(planned),
        session.planner.is_missing,
        (*options.tenancies, *options.targets),
        bool(options.targets),
        against_all,
    )


def _doubts(session: Session, planned: Sequence[Planned]) -> Iterator[Problem]:
    """Warn of missing and of weak secrets, unless an error names them."""
    errors: list[Problem] = []
    refs: list[SecretRef] = []
    for one in planned:
        if isinstance(one, TenancyPlan):
            errors += one.error.problems if one.error else ()
            refs += [each.secret for each in one.tenancy.subscriptions]
    for doubt in session.run.secrets.doubts(refs):
        if doubt not in errors:
            yield doubt
