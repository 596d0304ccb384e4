"""Plan and apply as functions: `import hooksync` offers them, and the commands call them.

Nothing here prints, asks the user, ends the process or handles a signal. Progress and messages
reach the terminal of the world, or the functions that `load` takes. The result is a `Plan` or a
`Report`.
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
    HooksyncError,
    Problem,
    SecretError,
    StateError,
)
from hooksync.core.model import SecretRef
from hooksync.core.output import Output, escaped
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
    """More arguments of `load`. Each has the effect and the default of a flag of the commands."""

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
        """The problems that need attention, but stop nothing."""
        return self.view.all_warnings

    @property
    def refusals(self) -> tuple[Problem, ...]:
        """The reasons why apply refuses the plan, or a part of it."""
        return self.view.refusals

    @property
    def errors(self) -> tuple[HooksyncError, ...]:
        """The errors because of which tenancies could not be planned or applied."""
        return self.view.errors

    def lines(self, *, shows_kept: bool = False) -> list[Line]:
        """Return the result for people: lines, each with its style.

        A tenancy that was read shows its steps, even if an error stopped its apply.
        """
        tenancies = []
        for one in self.tenancies:
            is_read = one.live is not None
            tenancies.append(replace(one, error=None) if is_read else one)
        return plan_lines(replace(self.view, tenancies=tuple(tenancies)), shows_kept=shows_kept)

    def text(self, *, shows_kept: bool = False) -> str:
        """Return the result as text for people."""
        return self._output.safe(plain(self.lines(shows_kept=shows_kept)))

    def markdown(self, *, shows_kept: bool = False) -> str:
        """Return the result as Markdown, for a comment in a pull request."""
        # only here: most runs write none
        from hooksync.output.markdown import markdown

        text = markdown(self.view, shows_kept=shows_kept, is_report=isinstance(self, Report))
        return self._output.safe(text)

    @property
    def _output(self) -> Output:
        return self.declared.world.output


class Plan(Result, frozen=True, kw_only=True):
    """The steps to be done. `apply` plans again, and refuses everything if the steps differ."""

    id: str

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of `plan`. A plan that apply would refuse already has a failure code."""
        if self.is_interrupted:
            return self.declared.world.interrupt_code()
        return plan_exit_code(self.view)

    def html(self) -> str:
        """Return the plan as a complete HTML page, for reviewers."""
        from hooksync.output.html import plan_html  # only here: most runs write none

        return self._output.safe(plan_html(self.view, self.id, self._commit))

    def to_json(self, *, is_signed: bool = True, exit_code: ExitCode | None = None) -> str:
        """Return the JSON that `plan --out` saves, signed if a key is set.

        `exit_code`: that of the command, if it is not the plan's. Raises StateError if the JSON
        would contain a secret.
        """
        declared = self.declared
        key = plan_key(declared.world.environ.get(KEY_VARIABLE)) if is_signed else None
        selection = {flag: getattr(declared.options, name) for name, flag in SELECTING.items()}
        code = self.exit_code if exit_code is None else exit_code
        text = plan_json(self.view, selection, self.id, key, exit_code=code, commit=self._commit)
        return escaped(self._output.checked(text, "the plan"), "json")

    @property
    def _commit(self) -> str | None:
        """The commit of the hooks file, if it is known."""
        from hooksync.core.git import find_commit  # only here: a plan as text does not run git

        return find_commit(self.declared.options.files[0], self.declared.world.environ)


class Report(Result, frozen=True, kw_only=True):
    """The result of an apply: each step has an `outcome`."""

    # the error that stopped the run early: a lost run lock, or an unforeseen error
    cause: Exception | None

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of `apply`. A partial change has priority over an error."""
        if self.is_interrupted and not self.cause:
            return self.declared.world.interrupt_code()
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
        """Return the report for people: lines, each with its style."""
        return report_lines(self.view) if self.has_changes else super().lines(shows_kept=shows_kept)

    def to_json(self, exit_code: ExitCode | None = None) -> str:
        """Return the report as JSON, in the format `hooksync.report/1`.

        `exit_code`: that of the command, if it is not the report's.
        """
        origin = find_origin(self.declared.world.environ)
        code = self.exit_code if exit_code is None else exit_code
        return self._output.safe(report_json(self.view, origin, code), "json")


def load(
    files: Names | Path | Sequence[Path] = "hooks.yaml",
    *,
    environ: Mapping[str, str] | None = None,
    stop: Event | None = None,
    on_progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    on_message: Callable[[str], object] = lambda text: None,
    **settings: Unpack[Settings],
) -> Declared:
    """Read hooks files, and fill in variables. Raises HooksyncError with every problem.

    `environ`: replaces the environment of the process. `stop`: set it to interrupt a plan or an
    apply. `on_progress`: called on any thread with the activity, the number of its parts that are
    done, and their total. `on_message`: called with each other message, such as that the run waits
    for the run lock.
    """
    given = {
        name: _as_names(value) if name in _NAME_SETTINGS else value
        for name, value in settings.items()
    }
    options = RunOptions(_as_names(files), is_confirmed=True, **given)  # type: ignore[arg-type]
    output = Output()
    terminal = _CallbackTerminal(output, on_message, on_progress)
    environ = os.environ if environ is None else environ
    return prepare(options, World(environ, io.BytesIO(), terminal, stop or Event(), output=output))


_NAME_SETTINGS = ("tenancies", "targets", "replace")


def _as_names(given: object) -> tuple[str, ...]:
    return tuple(
        map(str, given if isinstance(given, Sequence) and not isinstance(given, str) else [given])
    )


class _CallbackTerminal:
    """A terminal for programs: it calls their functions, and shows no results."""

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
    """Read the tenancies and compare them with the files. Changes nothing.

    A tenancy that cannot be read is in the plan with its error, and raises nothing.

    Raises HooksyncError if nothing can be planned, for example if the state cannot be read.
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

    If `what` is a plan whose steps are no longer the same, everything is refused. `confirm`: called
    with the plan and its refusals; returns whether to begin. `on_step`: called on any thread, after
    a tenancy is finished, with each of its steps and outcomes.
    """
    if isinstance(what, Plan):
        from hooksync.api.promise import promise_of  # only here: `Declared` needs none

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
    """List why nothing is applied: nobody can be asked, or the given plan is no longer the same."""
    declared = session.declared
    is_ready = any(isinstance(one, TenancyPlan) and one.is_ready for one in planned)
    if is_ready and not declared.is_confirmed and not declared.world.terminal.can_ask():
        confirmed = declared.options.flags.command("apply", "--yes")
        what = "not confirmed: there is no terminal to ask on"
        return (Problem(what, f"`{confirmed}` if the plan is what you want"),)
    if declared.promise is None:
        return ()
    from hooksync.api.promise import differences  # only here: most runs have no promise

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
    is_forbidden = session.declared.options.probes is False
    return ask_receivers(found, session.run, only_risky=is_forbidden)


def _apply(
    session: Session,
    planned: Sequence[Planned],
    journal: Journal,
    on_step: Callable[[Step], object],
) -> dict[str, TenancyOutcome]:
    def report_steps(outcome: TenancyOutcome) -> None:
        for each in outcome.outcomes:
            on_step(view_of_step(each.step, each, outcome.plan.history))

    if session.run.pool.stop.is_set():
        return {}
    from hooksync.reconcile.apply import apply_plans  # only here: `plan` does not need it

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
    state_error = next((error for error in failures if isinstance(error, StateError)), None)
    unforeseen = [error for error in failures if not isinstance(error, StateError)]
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
    """Make the view of a whole run at this moment."""
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
        running=session.running,
        flags=options.flags,
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
