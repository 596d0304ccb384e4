"""Plan and apply as functions: `import hooksync` offers them, and the commands call their parts.

Nothing here prints, asks the user, ends the process or handles a signal. The result is a `Plan`.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from secrets import token_hex
from shlex import quote
from threading import Event

from hooksync.api.inputs import Inputs, prepare, private_receivers
from hooksync.api.options import Options
from hooksync.api.receipt import check_against
from hooksync.config import declarations
from hooksync.config.files import DEFAULT_FILE
from hooksync.config.resolve import places_of
from hooksync.config.secret_sources import SecretSources, doubt_about
from hooksync.core.clock import rfc3339
from hooksync.core.context import Advance, Context
from hooksync.core.errors import (
    ExitCode,
    HooksyncError,
    Problem,
    UsageError,
    problems_of,
)
from hooksync.core.git import find_commit, lacks_commit
from hooksync.core.model import Secret, SecretRef, Variables, process_environ
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.core.signing import plan_key
from hooksync.core.starter import find_starter
from hooksync.reconcile.apply import apply_plans
from hooksync.reconcile.plan import (
    Plan,
    Step,
    TenancyPlan,
    TenancyPlans,
    UndeclaredTenancy,
    completed,
    exit_code_of,
    left_to_a_person,
    not_begun,
    without_unreviewed,
)
from hooksync.reconcile.refusals import run_reasons
from hooksync.reconcile.run import Planner, Run, challenge_receivers
from hooksync.reconcile.undeclared import in_state_alone, no_longer_declared
from hooksync.service.client import Preservica
from hooksync.service.http import Caller, Transport
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.contract import LockLost
from hooksync.state.fingerprints import Derive, KeyRing, derive_key
from hooksync.state.model import NO_STATE
from hooksync.state.store import OpenStore, StateStore, accepted_state, open_store, run_lock

__all__ = [
    "HooksyncError",
    "Inputs",
    "Options",
    "Plan",
    "Problem",
    "Step",
    "TenancyPlan",
    "apply",
    "load",
    "plan",
]


LIST_WAIT_VARIABLE = "HOOKSYNC_LIST_WAIT"

Files = str | Path | Sequence[str | Path]
_NO_OPTIONS = Options()
ReportProgress = Callable[[str, int, int], None]
# `open_run`, or a function that calls it with other arguments
OpenRun = Callable[..., AbstractContextManager["Session"]]


def load(
    files: Files = DEFAULT_FILE,
    options: Options = _NO_OPTIONS,
    *,
    environ: Variables | None = None,
    stop: Event | None = None,
    progress: ReportProgress | None = None,
) -> Inputs:
    """Read hooks files, and fill in variables. Raises HooksyncError with every problem.

    `options`: what the flags of these names set. `environ`: replaces the environment of the
    process. `stop`: set it to interrupt a plan or an apply. `progress`: called on any thread with
    the activity, the number of its parts that are done, and their total.
    """
    names = [files] if isinstance(files, str | Path) else files
    options = options.changed(files=tuple(map(str, names)))
    terminal = _SilentTerminal(progress)
    environ = os.environ if environ is None else environ
    context = Context(environ, io.BytesIO(), terminal, stop or Event())
    return prepare(options, context)


class _SilentTerminal:
    """The terminal of a program: it shows nothing but progress. The plan has all the rest."""

    interrupt_code = ExitCode.INTERRUPTED

    def __init__(self, report: ReportProgress | None) -> None:
        self._report = report

    def message(self, *_: object) -> None:
        """Show nothing."""

    result = message
    show = message
    warn = message
    watch = message

    def can_ask(self, *_: object) -> bool:
        """Nobody can answer."""
        return False

    ask = can_ask

    def progress(self, what: str, total: int) -> Advance:
        """Report each call to the program, if it wants that."""
        numbers = count(1)

        def advance() -> None:
            if self._report:
                self._report(what, next(numbers), total)

        return advance


def plan(inputs: Inputs, *, probes: bool = False) -> Plan:
    """Read the tenancies and compare them with the files. Changes nothing.

    `probes`: challenge the receivers of new subscriptions.

    A tenancy that cannot be read is in the plan with its errors, and raises nothing.

    Raises HooksyncError if nothing can be planned, for example if the state cannot be read.
    """
    with open_run(inputs) as run:
        made = run.make_plan()
        if probes:
            made = run.challenge(made)
        return finished(made, inputs.context)


def apply(inputs: Inputs, shown: Plan | None = None, *, lock_timeout: float | None = None) -> Plan:
    """Plan, refuse, probe; then create, list, remove, verify. Raises HooksyncError.

    `shown`: a plan of the same `inputs`. Only its tenancies are applied, and each is refused if
    its steps are no longer the same. `lock_timeout`: as --lock-timeout.
    """
    if shown:
        inputs = replace(inputs, receipt=inputs.sealed(shown))
    with open_run(inputs, is_apply=True, lock_timeout=lock_timeout) as run:
        made = run.challenge(run.make_plan(needs_secrets=True))
        done = run.carry_out(made, is_reviewed=shown is not None)
    return finished(done, inputs.context)


def finished(plan: Plan, context: Context, *, is_detailed: bool = False) -> Plan:
    """Fill in what follows from a plan at the end of a command."""
    code = exit_code_of(plan, is_detailed=is_detailed)
    return completed(plan, context.terminal.interrupt_code if plan.is_interrupted else code)


class Session(Run, kw_only=True):
    """The run of a command: it plans what its inputs declare, and applies that."""

    inputs: Inputs

    @property
    def is_interrupted(self) -> bool:
        """Whether an interrupt ends the run early, and no error does."""
        return self.context.stop.is_set() and not self.failures

    def make_plan(self, *, needs_secrets: bool = False, asks: bool = False) -> Plan:
        """Read the tenancies and plan them.

        An apply must do what was shown. `needs_secrets`: it is an error if one is missing that the
        run selects. `asks`: a person will answer a prompt, and may override the limits of the file.
        """
        inputs = self.inputs
        doubts: list[Problem] = []
        tenancies = []
        for tenancy in self.plan():
            refs = [step.declared_side.secret for step in tenancy.steps if step.secret]
            secrets, problems = self.secrets.look_up(refs)
            for problem in dict.fromkeys(problems.values()):
                if needs_secrets:
                    tenancy = replace(tenancy, errors=(*tenancy.errors, problem))
                else:
                    doubts.append(replace(problem, what=f"{problem.what}: apply would stop"))
            for ref, secret in secrets.items():
                if doubt := doubt_about(secret, ref):
                    doubts.append(doubt)
            tenancies.append(left_to_a_person(tenancy) if asks else tenancy)
        if inputs.receipt:
            key = plan_key(self.context.environ)
            tenancies = [*check_against(inputs.receipt, tenancies, key)]
        return self._plan_of(tenancies, doubts)

    def challenge(self, plan: Plan, *, is_check: bool = False, guess: Secret | None = None) -> Plan:
        """Challenge the receivers of new subscriptions, and judge the plan by their answers.

        `is_check`: challenge all receivers. `guess`: also those that nothing declares.
        """
        tenancies = challenge_receivers(plan.tenancies, self, is_check=is_check, guess=guess)
        warnings = [*plan.warnings]
        for tenancy in tenancies:
            warnings += tenancy.warnings
        return replace(
            plan,
            tenancies=tuple(tenancies),
            warnings=tuple(dict.fromkeys(warnings)),
            is_interrupted=self.is_interrupted,
        )

    def carry_out(self, plan: Plan, *, is_reviewed: bool) -> Plan:
        """Carry a plan out, unless it is refused as a whole, and fill in the outcomes.

        `is_reviewed`: somebody answered a prompt, or saw a plan that this plan equals.
        """
        tenancies: TenancyPlans = plan.tenancies
        if not is_reviewed:
            tenancies = [*map(without_unreviewed, tenancies)]
        if plan.refusals or self.context.stop.is_set():
            tenancies = [*map(not_begun, tenancies)]
        else:
            commit = None
            if plan.has_changes:
                commit = find_commit(self.inputs.options.files[0], self.context.environ)
            tenancies = apply_plans(tenancies, self, commit, is_reviewed=is_reviewed)
        errors: list[Problem] = []
        for error in self.failures:
            errors += problems_of(error)
        return replace(
            plan,
            format="hooksync.report/1",
            tenancies=tuple(tenancies),
            errors=tuple(dict.fromkeys(errors)),
            is_interrupted=self.is_interrupted,
            started_by=find_starter(self.context.environ),
        )

    def _plan_of(self, tenancies: TenancyPlans, doubts: Sequence[Problem]) -> Plan:
        """Put the plans of the tenancies together, with what concerns the whole run.

        `doubts`: about secrets.
        """
        inputs = self.inputs
        planner = self.planner
        files = inputs.options.files
        found = self._undeclared(tenancies)
        # a different file may declare what a single file does not
        is_certain = inputs.former or len(files) > 1 or os.path.isdir(files[0])
        limits = inputs.policy.limits("", "_run") if inputs.policy else {}
        warnings = [planner.other] if planner.other else []
        warnings += [*inputs.warnings, *self._state_warnings(tenancies), *doubts]
        for tenancy in tenancies:
            warnings += tenancy.warnings
        warnings += [item.problem for item in found if not item.is_refused]
        return Plan(
            tuple(tenancies),
            rfc3339(self.context.clock.now()),
            token_hex(16),
            printable(", ".join(files)),
            selection=planner.selection,
            state=planner.place,
            state_missing=planner.place is not None and planner.state is None,
            state_used=self.store is not None and self.store.was_used,
            running=planner.other,
            refusals=run_reasons(tenancies, inputs.tenancies, limits),
            undeclared=tuple(found) if is_certain else (),
            warnings=tuple(dict.fromkeys(warnings)),
            is_interrupted=self.is_interrupted,
        )

    def _undeclared(self, plans: TenancyPlans) -> list[UndeclaredTenancy]:
        """Find the tenancies that no file declares.

        A run that selects does not look at the state.
        """
        inputs = self.inputs
        state = self.planner.state or NO_STATE
        selection = inputs.selection
        if inputs.former:
            places = {**inputs.others, **{plan.name: plan.key for plan in plans}}
            former = places_of(inputs.former, self.context.environ)
            return [*no_longer_declared(inputs.former, former, places, state)]
        if selection.since or selection.tenancy or selection.target or inputs.receipt:
            return []
        return [*in_state_alone(state, plans, inputs.options)]

    def _state_warnings(self, tenancies: TenancyPlans) -> Iterator[Problem]:
        """Warn of a last apply that had a policy, or a commit of the files, that this run lacks."""
        environ = self.context.environ
        state = self.planner.state or NO_STATE
        if state.policy and not self.planner.has_policy:
            what = f"the state was last written under the policy {state.policy}, and this run has"
            yield Problem(
                f"{what} none", f"give --policy {quote(state.policy)}, or set HOOKSYNC_POLICY"
            )
        commits = {state.of(tenancy.key).commit for tenancy in tenancies if tenancy.has_changes}
        for commit in sorted(filter(None, commits)):
            if lacks_commit(self.inputs.options.files[0], environ, commit):
                what = f"the checkout does not contain the commit {commit:.7}, which was applied"
                fix = "update the checkout, for example by `git pull`, and plan again"
                yield Problem(f"{what} last: this plan may undo its changes", fix)


@contextmanager
def open_run(
    inputs: Inputs,
    *,
    is_apply: bool = False,
    lock_timeout: float | None = None,
    find_store: OpenStore = open_store,
    make_transport: Callable[..., Transport] = Transport,
    make_pool: type[WorkerPool] = WorkerPool,
    derive: Derive = derive_key,
) -> Iterator[Session]:
    """Open the state, connections, threads and secrets of a run. All are closed at its end.

    Raises StateError if the state cannot be read: no plan is made without it. An apply holds the
    run lock of the state until the end. Raises Refused if a different run holds the lock.

    `lock_timeout`: seconds to wait for it; None: until it is known whether its holder still runs.
    The arguments after it are for tests.
    """
    context = inputs.context
    options = inputs.options
    failures: list[Exception] = []
    with ExitStack() as held:
        place = inputs.state
        store = find_store(place, options.files[0], context) if place else None
        if is_apply:
            held.enter_context(_lock(store, lock_timeout, inputs))
        secrets = _look_up_secrets(inputs)
        transport = make_transport(
            options.timeout,
            options.parallelism,
            process_environ(context.environ),
            private_receivers=private_receivers(inputs.policy),
        )
        caller = Caller(
            held.enter_context(closing(transport)),
            context,
            partial(_check_lock, store, context.stop, failures),
        )
        clients = [Preservica(each, caller, secrets.find_all) for each in inputs.tenancies]
        yield Session(
            context,
            {client.tenancy.name: client for client in clients},
            secrets,
            held.enter_context(make_pool(options.parallelism, context.stop)),
            caller,
            _make_planner(inputs, secrets, store, derive, is_apply=is_apply),
            store,
            _list_wait(context, is_apply=is_apply),
            failures,
            inputs.others,
            inputs=inputs,
        )


def _lock(
    store: StateStore | None, timeout: float | None, inputs: Inputs
) -> AbstractContextManager[object]:
    """Hold the run lock of the state. Raises UsageError if there is no state."""
    if store is None:
        raise UsageError("the run has no state", "name one with --state")
    store.policy = inputs.options.policy or ""
    return run_lock(store, timeout, inputs.context)


def _list_wait(context: Context, *, is_apply: bool) -> float:
    """Return the seconds that a run waits for a list that lags: only an apply waits."""
    text = context.environ.get(LIST_WAIT_VARIABLE) or "30"
    if not re.fullmatch("[0-9]{1,3}", text):
        what = f"{LIST_WAIT_VARIABLE} is not a whole number of seconds from 0 to 999"
        raise UsageError(what, "unset it, or set 30")
    return float(text) if is_apply else 0.0


def _look_up_secrets(inputs: Inputs) -> SecretSources:
    """Look up the secrets of a run, even those that it will not use, so that no output shows them.

    The log-in looks up the password.
    """
    refs: list[SecretRef] = []
    for tenancy in inputs.tenancies:
        refs += [tenancy.credentials.username, tenancy.credentials.totp]
        refs += [subscription.secret for subscription in tenancy.subscriptions]
    secrets = SecretSources(inputs.context)
    secrets.look_up(refs)
    return secrets


def _check_lock(store: StateStore | None, stop: Event, failures: list[Exception]) -> None:
    """Let a lost run lock end the run as an interrupt does. Raises LockLost."""
    try:
        if store:
            store.check()
    except LockLost as error:
        stop.set()
        failures.append(error)
        raise


def _make_planner(
    inputs: Inputs,
    secrets: SecretSources,
    store: StateStore | None,
    derive: Derive,
    *,
    is_apply: bool,
) -> Planner:
    """Read the state. Raises UsageError for globs that match no known address.

    A plan also reports a different run that holds the run lock of the state.
    """
    state = accepted_state(store.read(), store, writes=is_apply) if store else None
    options = inputs.options
    selection = inputs.selection
    if not inputs.receipt:  # a saved plan is compared tenancy by tenancy
        selected: list[str] = []
        others = [*(state or NO_STATE).addresses]
        for tenancy in inputs.tenancies:
            selected += [subscription.address for subscription in tenancy.subscriptions]
            others += [subscription.address for subscription in tenancy.not_selected]
        known = [*selected, *others]
        declarations.refuse_unmatched("--target", selection.target, known, "address")
        declarations.refuse_unmatched("--replace", selection.replace, selected, "address")
        declarations.refuse_unmatched("--adopt", selection.adopt, selected, "address")
    holder = store.holder() if store and not is_apply else None
    what = f"another run holds the run lock: {holder}: what follows may be half done"
    other = Problem(what, "run this again when that run has ended")
    return Planner(
        selection,
        state,
        KeyRing(options.parallelism, derive, store.key if store else None),
        inputs.state,
        secrets=secrets,
        has_policy=bool(options.policy),
        is_trusted=not options.policy or bool(store and store.key),
        flags=options,
        other=other if holder else None,
    )
