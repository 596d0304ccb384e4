"""Plan and apply as functions: `import hooksync` offers them, and the commands call their parts.

Nothing here prints, asks the user, ends the process or handles a signal. The result is a `Plan`.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from secrets import token_hex
from threading import Event

from hooksync.api.inputs import Declared, prepare
from hooksync.api.opening import open_run
from hooksync.api.options import RunOptions
from hooksync.api.receipt import check_against
from hooksync.config.secret_sources import doubt_about
from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import (
    ExitCode,
    HooksyncError,
    Problem,
    SecretError,
    pluralised,
    problems_of,
)
from hooksync.core.git import find_commit, lacks_commit
from hooksync.core.model import KEY_VARIABLE
from hooksync.core.origin import find_origin
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.run_flags import RunFlags
from hooksync.core.signing import plan_key
from hooksync.reconcile.apply import apply_plans
from hooksync.reconcile.plan import (
    Plan,
    Step,
    TenancyPlan,
    completed,
    left_to_a_person,
    not_begun,
    without_unreviewed,
)
from hooksync.reconcile.probing import ask_receivers
from hooksync.reconcile.refusals import run_reasons, step_warnings
from hooksync.reconcile.run import Run
from hooksync.state.model import NO_STATE, TenancyRecords

__all__ = [
    "Declared",
    "HooksyncError",
    "Plan",
    "Problem",
    "Step",
    "TenancyPlan",
    "apply",
    "load",
    "plan",
]

_UNDECLARED_FIX = (
    "check `server` and `tenant`, or declare the tenancy again, or, to stop managing it, `{forget}`"
)
_OLD_FIX = "update the checkout, for example by `git pull`, and plan again"

Names = str | Sequence[str]
ReportProgress = Callable[[str, int, int], None]


def load(
    files: Names | Path | Sequence[Path] = "hooks.yaml",
    *,
    environ: Mapping[str, str] | None = None,
    stop: Event | None = None,
    progress: ReportProgress | None = None,
    tenancies: Names = (),
    targets: Names = (),
    replace: Names = (),
    adopt: Names = (),
    policy: str | None = None,
    state: str | None = None,
    uses_state: bool = True,
    lock_timeout: float | None = None,
    timeout: float = 30.0,
    parallelism: int = 8,
    allows_commands: bool = False,
    probes: bool = False,
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
        adopt=_as_names(adopt),
        probes=probes,
        is_confirmed=True,
    )
    terminal = _SilentTerminal(progress)
    environ = os.environ if environ is None else environ
    return prepare(options, Context(environ, io.BytesIO(), terminal, stop or Event()))


def _as_names(given: Names | Path | Sequence[Path]) -> tuple[str, ...]:
    return tuple(map(str, [given] if isinstance(given, str | Path) else given))


class _SilentTerminal:
    """The terminal of a program: it shows nothing but progress. The plan has all the rest."""

    def __init__(self, report: ReportProgress | None) -> None:
        self._report = report

    def message(self, *_: object) -> None:
        """Show nothing."""

    result = message
    show = message
    warn = message
    watch = message

    @property
    def interrupt_code(self) -> ExitCode:
        return ExitCode.INTERRUPTED

    def can_ask(self) -> bool:
        return False

    def ask(self, question: str, expected: str = "yes") -> bool:
        return False

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        numbers = count(1)

        def advance() -> None:
            if self._report:
                self._report(what, next(numbers), total)

        yield advance


def plan(declared: Declared) -> Plan:
    """Read the tenancies and compare them with the files. Changes nothing.

    A tenancy that cannot be read is in the plan with its errors, and raises nothing.

    Raises HooksyncError if nothing can be planned, for example if the state cannot be read.
    """
    with open_run(declared) as run:
        return make_plan(declared, run)


def apply(declared: Declared, shown: Plan | None = None) -> Plan:
    """Plan, refuse, probe; then create, list, remove, verify. Raises HooksyncError.

    `shown`: a plan of the same `declared`. Only its tenancies are applied, and each is refused if
    its steps are no longer the same.
    """
    if shown:
        names = {tenancy.name for tenancy in shown.ready_tenancies}
        tenancies = tuple(tenancy for tenancy in declared.tenancies if tenancy.name in names)
        declared = replace(declared, tenancies=tenancies, receipt=shown)
    with open_run(declared, is_apply=True) as run:
        made = make_plan_for_apply(declared, run)
        return carry_out(
            declared, run, challenge(declared, run, made), is_reviewed=shown is not None
        )


def make_plan(declared: Declared, run: Run) -> Plan:
    """Read the tenancies and plan them. If the options ask for it, challenge their receivers."""
    tenancies = run.plan(has_policy=bool(declared.options.policy))
    made = _plan_of(declared, run, tenancies)
    return challenge(declared, run, made) if declared.options.probes else made


def make_plan_for_apply(declared: Declared, run: Run, *, asks: bool = False) -> Plan:
    """Plan; look up every secret that the run selects; compare with the plan that was shown.

    `asks`: a person will answer a prompt, and may override the limits of the file.
    """
    tenancies = []
    for tenancy in run.plan(has_policy=bool(declared.options.policy)):
        try:
            run.secrets.find_all(step.new.secret for step in tenancy.steps if step.secret)
        except SecretError as error:
            tenancy = replace(tenancy, errors=error.problems)
        tenancies.append(left_to_a_person(tenancy) if asks else tenancy)
    if declared.receipt:
        key = plan_key(declared.context.environ.get(KEY_VARIABLE))
        tenancies = [*check_against(declared.receipt, tenancies, key)]
    return _plan_of(declared, run, tenancies)


def challenge(declared: Declared, run: Run, plan: Plan) -> Plan:
    """Challenge the receivers of new subscriptions, and judge the plan by their answers."""
    return _with_tenancies(declared, run, plan, ask_receivers(plan.tenancies, run))


def carry_out(declared: Declared, run: Run, plan: Plan, *, is_reviewed: bool) -> Plan:
    """Carry a plan out, unless it is refused as a whole, and fill in the outcomes.

    `is_reviewed`: somebody answered a prompt, or saw a plan that this plan equals.
    """
    if not is_reviewed:
        plan = replace(plan, tenancies=tuple(map(without_unreviewed, plan.tenancies)))
    if plan.refusals or run.context.stop.is_set():
        tenancies = [*map(not_begun, plan.tenancies)]
    else:
        commit = None
        if plan.has_changes:
            commit = find_commit(declared.options.files[0], run.context.environ)
        tenancies = apply_plans(plan.tenancies, run, commit)
    errors: list[Problem] = []
    for error in run.failures:
        errors += problems_of(error)
    report = replace(
        plan,
        format="hooksync.report/1",
        errors=tuple(dict.fromkeys(errors)),
        run=find_origin(declared.context.environ),
    )
    return _with_tenancies(declared, run, report, tenancies)


def _plan_of(declared: Declared, run: Run, tenancies: Sequence[TenancyPlan]) -> Plan:
    """Put the plans of the tenancies together, with the reasons that refuse the whole run."""
    options = declared.options
    plan = Plan(
        (),
        rfc3339(declared.context.clock.now()),
        token_hex(16),
        printable(", ".join(options.files)),
        selection=run.planner.selection,
        state=run.planner.place,
        state_missing=run.planner.place is not None and run.planner.state is None,
        running=run.other,
        refusals=run_reasons(tenancies, declared.run_limits),
    )
    return _with_tenancies(declared, run, plan, _warned_of_age(declared, run, tenancies))


def _warned_of_age(
    declared: Declared, run: Run, tenancies: Sequence[TenancyPlan]
) -> list[TenancyPlan]:
    """Warn of changes to a tenancy whose last change is of a commit that the checkout lacks."""
    state = run.planner.state or NO_STATE
    commits = {state.of(tenancy.key).commit for tenancy in tenancies if tenancy.has_changes}
    lacked = set()
    for commit in commits:
        if commit and lacks_commit(declared.options.files[0], run.context.environ, commit):
            lacked.add(commit)
    warned = []
    for tenancy in tenancies:
        commit = state.of(tenancy.key).commit
        if tenancy.has_changes and commit in lacked:
            what = f"the checkout does not contain the commit {commit[:7]}, which was applied last"
            problem = Problem(f"{what}: this plan may undo its changes", _OLD_FIX)
            tenancy = replace(tenancy, warnings=(*tenancy.warnings, problem))
        warned.append(tenancy)
    return warned


def _with_tenancies(
    declared: Declared, run: Run, plan: Plan, tenancies: Sequence[TenancyPlan]
) -> Plan:
    """Fill in the tenancies, and all that follows from them."""
    undeclared = _undeclared(declared, run, tenancies)
    plan = replace(plan, tenancies=tuple(tenancies), undeclared=undeclared)
    warnings = [plan.running] if plan.running else []
    warnings += [*declared.warnings, *_doubts(run, tenancies)]
    for tenancy in tenancies:
        warnings += tenancy.warnings
    warnings += [*undeclared, *step_warnings(plan, declared.options.flags)]
    plan = replace(plan, warnings=tuple(dict.fromkeys(warnings)))
    context = declared.context
    is_interrupted = context.stop.is_set() and not run.failures
    return completed(plan, interrupted=context.terminal.interrupt_code if is_interrupted else None)


def _undeclared(declared: Declared, run: Run, plans: Sequence[TenancyPlan]) -> tuple[Problem, ...]:
    """Report the tenancies that the state contains and no file declares."""
    state = run.planner.state
    options = declared.options
    is_part = options.tenancies or options.targets or declared.receipt
    if state is None or is_part:
        return ()
    keys = {plan.key for plan in plans}
    # an unread tenancy may lack its tenant, which the log-in reports: only the server counts
    unread = {plan.server for plan in plans if plan.live_count is None}
    problems = []
    for records in state.tenancies:
        if records.entries and records.key not in keys and records.server not in unread:
            problems.append(_undeclared_problem(records, options.flags))
    return tuple(problems)


def _undeclared_problem(records: TenancyRecords, flags: RunFlags) -> Problem:
    """Report a tenancy that no file declares."""
    key = records.key
    number = pluralised(len(records.entries), "subscription")
    what = f"no file declares {number} of the state on {printable(str(key))} any more"
    globs = {f"{entry.address.partition('/')[0]}/*" for entry in records.entries}
    tenant = ("--tenant", key.tenant) if key.tenant else ()
    forget = flags.command("state forget", *sorted(globs), "--server", key.server, *tenant)
    return Problem(what, _UNDECLARED_FIX.format(forget=forget))


def _doubts(run: Run, tenancies: Sequence[TenancyPlan]) -> Iterator[Problem]:
    """Warn of missing and of weak secrets, except in a tenancy whose errors come first."""
    refs = []
    for tenancy in tenancies:
        if not tenancy.errors:
            refs += [step.new.secret for step in tenancy.steps if step.secret]
    secrets, problems = run.secrets.look_up(refs)
    for problem in problems.values():
        yield replace(problem, what=f"{problem.what}: apply would stop")
    for ref, secret in secrets.items():
        if doubt := doubt_about(secret, ref):
            yield doubt
