"""The view of a plan or a run from which all renderings are made.

Pure; everything in it is safe to show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from hooksync.core.errors import ExitCode, FileError, HooksyncError, Problem, Refused, some_of
from hooksync.core.model import (
    NO_VALUE,
    Globs,
    LiveSubscriptions,
    Location,
    Notes,
    SecretRef,
    SecretState,
    Tenancy,
    Trigger,
)
from hooksync.core.record import Record, fields_of, replace
from hooksync.core.run_flags import NO_FLAGS, RunFlags
from hooksync.reconcile import plan as planned
from hooksync.reconcile.plan import Reason

if TYPE_CHECKING:  # a saved plan is shown without the network's modules
    from hooksync.receivers.challenges import ProbeResult
    from hooksync.state.history import History
    from hooksync.state.model import StateEntry

Origin = Literal["made by hooksync", "adopted", "not in the state"]
Summary = Literal["as declared", "changes", "applied", "not as declared", "refused", "error"]


class StepView(Notes, frozen=True):
    """One step as reports show it."""

    action: planned.Action
    address: str | None  # of the declared subscription; None if nothing is declared
    name: str | None  # in the hooks file; if undeclared, in the state
    url: str  # safe to show
    trigger: Trigger
    id: str | None  # of the live subscription
    include_identifiers: bool | None  # declared, or live if nothing is declared
    replaces_url: str | None = None  # the old URL, if the receiver has moved; safe to show
    reasons: tuple[Reason, ...] = ()
    origin: Origin | None = None  # of the live subscription; None: the run has no state
    made_at: int = 0  # when hooksync made or adopted it, seconds since 1970; 0: never
    changes: tuple[planned.Change, ...] = ()
    secret: SecretRef | None = None
    secret_state: SecretState = "unknown"
    receiver: ProbeResult | None = None  # None: not challenged
    is_listed: bool = True  # False: a response had its id, but no list has shown it
    outcome: planned.Outcome | None = None  # None in a plan
    place: Location | None = None  # in the hooks file; None if nothing is declared

    @property
    def is_change(self) -> bool:
        """Whether the step changes something: the subscription is neither kept nor left alone."""
        return self.action not in ("keep", "leave")

    @property
    def is_drift(self) -> bool:
        """Whether live differs from declared: a change is needed, or a duplicate is left alone."""
        return self.is_change or (self.action == "leave" and self.address is not None)

    @property
    def has_unknown_secret(self) -> bool:
        """Whether a kept subscription may have a different secret than the declared one."""
        return self.action == "keep" and self.secret_state in ("unknown", *NO_VALUE)

    @property
    def is_unlisted(self) -> bool:
        """Whether a kept subscription counts as live although no list has shown it."""
        return self.action == "keep" and not self.is_listed

    @property
    def reason(self) -> str:
        """The reasons in words."""
        return ", ".join(reason.text for reason in self.reasons)


class _Counted:
    """Counts of the steps of a tenancy, or of all tenancies."""

    __slots__ = ()

    @property
    def steps(self) -> tuple[StepView, ...]:
        """The steps."""
        raise NotImplementedError

    @property
    def has_changes(self) -> bool:
        """Whether something has to be done."""
        return any(step.is_change for step in self.steps)

    @property
    def left_duplicates(self) -> list[StepView]:
        """The duplicates that hooksync does not own."""
        return [step for step in self.steps if step.is_drift and not step.is_change]

    @property
    def has_drift(self) -> bool:
        """Whether live differs from declared, or something could not be compared."""
        return any(
            step.is_drift or step.has_unknown_secret or step.is_unlisted for step in self.steps
        )

    def counts(self) -> Counter[str]:
        """Count the steps of each action."""
        return Counter(step.action for step in self.steps)

    def reasons(self) -> Counter[str]:
        """Count the reasons, by code, of steps with a difference or an unknown secret."""
        counts = Counter[str]()
        for step in self.steps:
            if step.is_drift or step.has_unknown_secret:
                counts.update(reason.code for reason in step.reasons)
        return counts

    def results(self) -> Counter[str]:
        """Count the outcomes."""
        return Counter(step.outcome.result for step in self.steps if step.outcome)

    @property
    def secret_unknown(self) -> int:
        """The number of subscriptions that are kept with an unknown secret."""
        return sum(step.has_unknown_secret for step in self.steps)

    @property
    def unlisted(self) -> list[StepView]:
        """The kept subscriptions that no list has shown."""
        return [step for step in self.steps if step.is_unlisted]


class TenancyView(Record, _Counted, frozen=True):
    """One tenancy as reports show it."""

    tenancy: Tenancy
    steps: tuple[StepView, ...]
    live: LiveSubscriptions | None  # None: the tenancy could not be read
    declared_count: int
    error: HooksyncError | None = None
    refusals: tuple[Problem, ...] = ()
    outcome: planned.TenancyOutcome | None = None  # None in a plan
    differences: tuple[StepView, ...] = ()  # what the verification found

    @property
    def name(self) -> str:
        """The tenancy's name in the hooks files."""
        return self.tenancy.name

    @property
    def is_ready(self) -> bool:
        """Whether there is something to do, and nothing against it."""
        return self.has_changes and not (self.refusals or self.error)

    @property
    def summary(self) -> Summary:
        """The result of the apply for this tenancy, or of the plan, in a few words."""
        if self.error:
            return "refused" if isinstance(self.error, Refused) else "error"
        if self.refusals:
            return "refused"
        if self.outcome and self.has_changes:
            return "applied" if self.outcome.is_as_declared else "not as declared"
        if self.has_changes:
            return "changes"
        return "not as declared" if self.has_drift else "as declared"


class RunView(Record, _Counted, frozen=True):
    """A whole plan, or a whole run of apply."""

    tenancies: tuple[TenancyView, ...]
    created_at: str  # RFC 3339
    sources: str  # the files, as the user named them
    warnings: tuple[Problem, ...] = ()  # of files, secrets, receivers; in a saved plan, all
    state: str | None = None  # its place; None: the run has no state
    undeclared: tuple[Problem, ...] = ()  # tenancies that the state contains and no file declares
    is_state_missing: bool = False  # whether there was no state at its place when the run began
    selection: Globs = ()  # the globs of --tenancy and --target
    is_targeted: bool = False  # whether --target selected only some subscriptions
    against_all: tuple[Problem, ...] = ()  # why no step at all is carried out
    state_error: FileError | None = None  # why the state could not be written
    running: Problem | None = None  # another run held the run lock when this plan was made
    flags: RunFlags | None = NO_FLAGS  # for printed commands; None: a saved plan has its warnings

    @property
    def steps(self) -> tuple[StepView, ...]:
        """The steps of all tenancies."""
        return tuple(step for tenancy in self.tenancies for step in tenancy.steps)

    @property
    def has_drift(self) -> bool:
        """Whether live or the state differs from declared, or something could not be compared."""
        return bool(self.undeclared) or super().has_drift

    @property
    def refusals(self) -> tuple[Problem, ...]:
        """The reasons why apply refuses the plan, or a part of it."""
        refused = tuple(problem for tenancy in self.tenancies for problem in tenancy.refusals)
        return (*refused, *self.against_all)

    @property
    def all_warnings(self) -> tuple[Problem, ...]:
        """The warnings, with those that follow from the steps."""
        if self.flags is None:
            return self.warnings
        return (
            *filter(None, [self.running]),
            *self.warnings,
            *self.undeclared,
            *self._unknown_warnings(self.flags),
            *self._duplicate_warnings(self.flags),
            *self._unlisted_warnings(),
        )

    def _unknown_warnings(self, flags: RunFlags) -> Iterator[Problem]:
        """Name the subscriptions whose secrets are unknown, unless a refusal names them."""
        unknown = []
        is_refused = self.refusals and self.state is not None
        for tenancy in self.tenancies:
            if is_refused and tenancy.tenancy.unknown_secret == "refuse":
                continue  # a refusal names them
            for step in tenancy.steps:
                # a secret that is not set has its own warning, with its place
                if step.has_unknown_secret and step.secret_state == "unknown":
                    unknown.append(step.address or "")
        if unknown and self.state is None:
            what = f"secrets of {len(unknown)} not compared: the run has no state"
            yield Problem(what, "leave out --no-state, or name the state with --state")
        elif unknown:
            fix = planned.unknown_fix(
                flags.command("adopt"), flags.replacing(unknown), is_missing=self.is_state_missing
            )
            yield Problem(f"secret unknown: {some_of(unknown)}", fix)

    def _duplicate_warnings(self, flags: RunFlags) -> Iterator[Problem]:
        """Name the subscriptions with live duplicates that hooksync does not own."""
        left: dict[str, list[str]] = {}
        for step in self.left_duplicates:
            left.setdefault(step.address or "", []).append(step.id or "")
        for address, ids in left.items():
            times = "twice" if len(ids) == 1 else f"{len(ids) + 1} times"
            what = f"{address} is live {times}: the receiver gets each event {times}"
            fix = f"ask who made them; `{flags.replacing([address])}` replaces all of them by one"
            yield Problem(f"{what}, and hooksync does not own {some_of(ids)}", fix)

    def _unlisted_warnings(self) -> Iterator[Problem]:
        """Name the subscriptions that count as live although no list has shown them."""
        if self.unlisted:
            names = [step.address or "" for step in self.unlisted]
            what = f"not listed yet, and counted as live: {some_of(names)}"
            yield Problem(what, "plan again later")

    @property
    def errors(self) -> tuple[HooksyncError, ...]:
        """The errors because of which tenancies could not be planned or applied."""
        return tuple(tenancy.error for tenancy in self.tenancies if tenancy.error)

    @property
    def error_problems(self) -> tuple[Problem, ...]:
        """The problems of `errors`, each with its tenancy, and those of `state_error`."""
        named: list[Problem] = []
        for one in self.tenancies:
            for each in one.error.problems if one.error else ():
                named.append(Problem(f"{one.name}: {each.headline}", each.fix))
        if self.state_error:
            named += self.state_error.problems
        return tuple(named)

    @property
    def is_refused(self) -> bool:
        """Whether a part of the plan, or all of it, is refused."""
        return bool(self.refusals) or any(isinstance(error, Refused) for error in self.errors)

    @property
    def has_failed(self) -> bool:
        """Whether a tenancy or the state failed with an error that is not a refusal."""
        return bool(self.state_error) or any(
            not isinstance(error, Refused) for error in self.errors
        )


def plan_exit_code(view: RunView, *, is_detailed: bool = False) -> ExitCode:
    """Return the exit code of a plan. `is_detailed`: a difference has an exit code of its own."""
    if view.has_failed:
        return ExitCode.ERROR
    if view.is_refused:
        return ExitCode.REFUSED
    if is_detailed and view.has_drift:
        return ExitCode.CHANGES_PENDING
    return ExitCode.DONE


def view_of_plan(
    plan: planned.Planned, outcome: planned.TenancyOutcome | None = None
) -> TenancyView:
    """Make the view of a tenancy from its plan and outcome, or from the error that prevented it."""
    if isinstance(plan, planned.UnreadTenancy):
        return TenancyView(plan.tenancy, (), None, len(plan.tenancy.subscriptions), plan.error)
    results = outcome.outcomes if outcome else [None] * len(plan.steps)
    steps = []
    for step, result in zip(plan.steps, results, strict=True):
        steps.append(view_of_step(step, result, plan.history, plan.answers))
    differences = []
    for step in outcome.differences if outcome else ():
        differences.append(view_of_step(step, None, plan.history))
    return TenancyView(
        plan.tenancy,
        tuple(steps),
        plan.live,
        len(plan.tenancy.subscriptions),
        plan.error,
        plan.refusals,
        outcome,
        tuple(differences),
    )


def view_of_step(
    step: planned.Step,
    outcome: planned.Outcome | None,
    history: History,
    answers: Mapping[str, ProbeResult] | None = None,
) -> StepView:
    """Make the view of a step. `answers`: of the challenged receivers, by declared address."""
    if isinstance(step, planned.Unsubscribe | planned.Leave):
        view = _view_of_undeclared(step, outcome, history.entries.get(step.live.id))
    else:
        view = _view_of_declared(step, outcome, answers or {})
    if isinstance(step, planned.Subscribe):
        return view
    entry = history.entries.get(step.live.id)
    origin: Origin | None = "not in the state" if history.is_kept else None
    if entry:
        origin = "adopted" if entry.is_adopted else "made by hooksync"
    return replace(
        view,
        id=step.live.id,
        origin=origin,
        made_at=entry.at if entry else 0,
        is_listed=step.live.is_listed,
    )


def _view_of_undeclared(
    step: planned.Unsubscribe | planned.Leave,
    outcome: planned.Outcome | None,
    entry: StateEntry | None,
) -> StepView:
    address = None
    name = None
    if step.duplicate_of:
        address = step.duplicate_of.address
        name = step.duplicate_of.name
    elif entry:
        name = entry.local_name.partition("/")[0]
    return StepView(
        step.action,
        address,
        name,
        step.live.url.shown,
        step.live.trigger,
        step.live.id,
        step.live.include_identifiers,
        reasons=step.reasons,
        outcome=outcome,
    )


def _view_of_declared(
    step: planned.Making | planned.Keep,
    outcome: planned.Outcome | None,
    answers: Mapping[str, ProbeResult],
) -> StepView:
    one = step.declared
    view = StepView(
        step.action,
        one.address,
        one.name,
        one.url.shown,
        one.trigger,
        None,
        one.include_identifiers,
        reasons=step.reasons,
        secret=one.secret,
        secret_state=step.secret_state,
        receiver=answers.get(one.address),
        outcome=outcome,
        place=one.location,
        **fields_of(Notes, one),
    )
    if not isinstance(step, planned.Resubscribe):
        return view
    old_url = step.live.url.shown if planned.URL_CHANGED in step.reasons else None
    return replace(view, replaces_url=old_url, changes=step.changes)
