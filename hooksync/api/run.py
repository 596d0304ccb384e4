"""Plan and apply as functions: `import hooksync` offers them, and the commands call their parts.

Nothing here prints, asks the user, ends the process or handles a signal. The result is a `Plan`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from secrets import token_hex
from threading import Event
from typing import TYPE_CHECKING

from hooksync.api.adopt import Adoption, adopt
from hooksync.api.inputs import Declared, Session, open_session, prepare
from hooksync.api.options import RunOptions
from hooksync.core.clock import rfc3339
from hooksync.core.errors import HooksyncError, Problem, SecretError, unforeseen
from hooksync.core.output import Output
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.signing import KEY_VARIABLE, plan_key
from hooksync.reconcile.context import World, find_origin
from hooksync.reconcile.plan import (
    Plan,
    Selection,
    Step,
    TenancyPlan,
    completed,
    not_begun,
)
from hooksync.reconcile.probing import ask_receivers
from hooksync.reconcile.refusals import step_warnings

if TYPE_CHECKING:
    from pathlib import Path

    from hooksync.core.output import Form
    from hooksync.service.http import CallRecord

__all__ = [
    "Adoption",
    "Declared",
    "HooksyncError",
    "Plan",
    "Problem",
    "Step",
    "TenancyPlan",
    "adopt",
    "apply",
    "load",
    "plan",
]

Names = str | Sequence[str]
Progress = Callable[[str, int, int], None]


def load(
    files: Names | Path | Sequence[Path] = "hooks.yaml",
    *,
    environ: Mapping[str, str] | None = None,
    stop: Event | None = None,
    progress: Progress | None = None,
    tenancies: Names = (),
    targets: Names = (),
    replace: Names = (),
    policy: str | None = None,
    state: str | None = None,
    uses_state: bool = True,
    lock_timeout: float | None = None,
    timeout: float = 30.0,
    parallelism: int = 8,
    allows_commands: bool = False,
    probes: bool | None = None,
) -> Declared:
    """Read hooks files, and fill in variables. Raises HooksyncError with every problem.

    `environ`: replaces the environment of the process. `stop`: set it to interrupt a plan or an
    apply. `progress`: called on any thread with the activity, the number of its parts that are
    done, and their total. The other arguments have the effects and the defaults of flags.
    """
    options = RunOptions(
        _as_names(files),
        policy=policy,
        allows_commands=allows_commands,
        tenancies=_as_names(tenancies),
        targets=_as_names(targets),
        timeout=timeout,
        parallelism=parallelism,
        state=state,
        uses_state=uses_state,
        lock_timeout=lock_timeout,
        replace=_as_names(replace),
        probes=probes,
        is_confirmed=True,
    )
    output = Output()
    terminal = _SilentTerminal(progress)
    environ = os.environ if environ is None else environ
    return prepare(options, World(environ, io.BytesIO(), terminal, stop or Event(), output=output))


def _as_names(given: Names | Path | Sequence[Path]) -> tuple[str, ...]:
    names = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    return tuple(map(str, names))


class _SilentTerminal:
    """The terminal of a program: it shows nothing but progress."""

    def __init__(self, report: Progress | None) -> None:
        self._report = report

    def message(self, text: str) -> None:
        """Show nothing: the plan has the problems."""

    def result(self, text: str, form: Form = "text") -> None:
        """Show nothing: the plan is returned."""

    def show(self, lines: Sequence[tuple[str, str]]) -> None:
        """Show nothing, as `result`."""

    def warn(self, problem: Problem) -> None:
        """Show nothing, as `message`."""

    def watch(self, record: CallRecord) -> None:
        """Log no call."""

    def can_ask(self) -> bool:
        return False

    def ask(self, question: str) -> bool:
        return False

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        report = self._report
        numbers = count(1)
        yield lambda: report(what, next(numbers), total) if report else None


def plan(declared: Declared) -> Plan:
    """Read the tenancies and compare them with the files. Changes nothing.

    A tenancy that cannot be read is in the plan with its errors, and raises nothing.

    Raises HooksyncError if nothing can be planned, for example if the state cannot be read.
    """
    with open_session(declared, is_apply=False) as session:
        made = planned(session)
        return probed(session, made) if declared.options.probes else made


def apply(declared: Declared, shown: Plan | None = None) -> Plan:
    """Plan, refuse, probe; then create, list, remove, verify. Raises HooksyncError.

    `shown`: a plan of the same `declared`. Only its tenancies are applied, and each is refused if
    its steps are no longer the same.
    """
    if shown:
        names = {tenancy.name for tenancy in shown.ready_tenancies}
        tenancies = tuple(one for one in declared.tenancies if one.name in names)
        declared = replace(declared, tenancies=tenancies, receipt=shown)
    with open_session(declared, is_apply=True) as session:
        return applied(session, probed(session, planned_for_apply(session)))


def planned(session: Session) -> Plan:
    """Read the tenancies and plan them."""
    return _with_tenancies(session, _without_tenancies(session), session.plan())


def planned_for_apply(session: Session) -> Plan:
    """Plan; look up every secret that the run selects; compare with the plan that was shown."""
    tenancies = []
    for tenancy in session.plan():
        try:
            session.run.secrets.find_all(step.new.secret for step in tenancy.steps if step.secret)
        except SecretError as error:
            tenancy = replace(tenancy, errors=error.problems)
        tenancies.append(tenancy)
    declared = session.declared
    if declared.receipt:
        from hooksync.api.receipt import check_against  # only here: most runs have no receipt

        key = plan_key(declared.world.environ.get(KEY_VARIABLE))
        tenancies = [*check_against(declared.receipt, tenancies, key)]
    return _with_tenancies(session, _without_tenancies(session), tenancies)


def probed(session: Session, plan: Plan) -> Plan:
    """Challenge the receivers of new subscriptions, and judge the plan by their answers."""
    is_forbidden = session.declared.options.probes is False
    tenancies = ask_receivers(plan.tenancies, session.run, only_risky=is_forbidden)
    return _with_tenancies(session, plan, tenancies)


def applied(session: Session, plan: Plan) -> Plan:
    """Carry a plan out, unless it is refused as a whole, and fill in the outcomes."""
    if plan.refusals or session.run.pool.stop.is_set():
        tenancies = [*map(not_begun, plan.tenancies)]
    else:
        from hooksync.reconcile.apply import apply_plans  # only here: `plan` does not need it

        tenancies = apply_plans(plan.tenancies, session.run, session.open_journal())
    errors: list[Problem] = []
    for error in session.run.failures:
        errors += error.problems if isinstance(error, HooksyncError) else [unforeseen(error)]
    report = replace(
        plan,
        format="hooksync.report/1",
        errors=tuple(dict.fromkeys(errors)),
        run=find_origin(session.declared.world.environ),
    )
    return _with_tenancies(session, report, tenancies)


def _without_tenancies(session: Session) -> Plan:
    """Return what a plan has besides its tenancies."""
    declared = session.declared
    options = declared.options
    return Plan(
        (),
        rfc3339(declared.world.clock.now()),
        token_hex(16),
        printable(", ".join(options.files)),
        selection=Selection(options.tenancies, options.targets, options.replace),
        state=session.planner.place,
        state_missing=session.planner.is_missing,
        running=session.running,
    )


def _with_tenancies(session: Session, plan: Plan, tenancies: Sequence[TenancyPlan]) -> Plan:
    """Fill in the tenancies, and all that follows from them."""
    undeclared = session.undeclared(tenancies)
    warnings = [*session.declared.warnings, *_doubts(session, tenancies)]
    for tenancy in tenancies:
        warnings += tenancy.warnings
    warnings += undeclared
    warnings += step_warnings(
        tenancies,
        session.declared.options.flags,
        has_state=plan.state is not None,
        is_missing=plan.state_missing,
    )
    if plan.running:
        warnings.insert(0, plan.running)
    plan = replace(
        plan,
        tenancies=tuple(tenancies),
        undeclared=undeclared,
        warnings=tuple(dict.fromkeys(warnings)),
    )
    world = session.declared.world
    is_interrupted = world.stop.is_set() and not session.run.failures
    return completed(plan, interrupted=world.interrupt_code() if is_interrupted else None)


def _doubts(session: Session, tenancies: Sequence[TenancyPlan]) -> Iterator[Problem]:
    """Warn of missing and of weak secrets, unless an error names them."""
    errors: list[Problem] = []
    refs = []
    for tenancy in tenancies:
        errors += tenancy.errors
        refs += [step.new.secret for step in tenancy.steps if step.secret]
    for doubt in session.run.secrets.doubts(refs):
        if doubt not in errors:
            yield doubt
