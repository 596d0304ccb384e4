"""The records of a plan: steps, tenancies, and the plan itself. Apply fills in the outcomes.

Pure: no I/O, no clock. `diff` makes the steps. All output is made from these records, and JSON is
what msgspec writes for them. So they contain nothing that may not be shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal, get_args

from hooksync import __version__
from hooksync.core.errors import ExitCode, Problem, Problems
from hooksync.core.model import (
    NO_VALUE,
    DeclaredSubscription,
    Globs,
    LiveSubscription,
    LiveSubscriptions,
    Location,
    Probe,
    ReceiverResult,
    Replacement,
    SecretState,
    SubscriptionKey,
    TenancyKey,
)
from hooksync.core.record import UNSET, Record, UnsetType, field, replace
from hooksync.core.starter import Starter

Action = Literal["subscribe", "resubscribe", "unsubscribe", "adopt", "forget", "keep", "leave"]
ACTIONS: tuple[Action, ...] = get_args(Action)

Result = Literal["done", "unsettled", "half-done", "failed", "not-attempted", "unchanged"]
RESULTS: tuple[Result, ...] = get_args(Result)

ReasonCode = Literal[
    "new",
    "url-changed",
    "flag-changed",
    "secret-changed",
    "secret-unknown",
    "unconfirmed",
    "replaced-outside",
    "removed-outside",
    "requested",
    "undeclared",
    "duplicate",
    "adopt",
    "paused",
    "in-progress",
]
# how the state has a live subscription: a response confirmed it, a person adopted it, a list showed
# it after a run that may have made it; not at all; or no state proves anything
Origin = Literal["made", "adopted", "found", "foreign", "unknown"]
Evidence = Literal["response", "adopted"]  # what vouches for a secret
Conclusion = Literal[
    "as-declared", "in-progress", "changes", "applied", "not-as-declared", "refused", "error"
]  # the most urgent last
CONCLUSIONS: tuple[Conclusion, ...] = get_args(Conclusion)
DocumentFormat = Literal[
    "hooksync.plan/1", "hooksync.report/1", "hooksync.list/1", "hooksync.check/1"
]

Counts = dict[str, int]  # by what is counted

NEXT_RUN = "run apply again: it starts from what is live then"
UNLISTED = "the service returned its id, but no list has shown it yet"


class Reason(Record):
    """A reason why a step was chosen, or why a secret is unknown."""

    code: ReasonCode
    text: str


NEW = Reason("new", "new")
URL_CHANGED = Reason("url-changed", "url changed")
SECRET_CHANGED = Reason("secret-changed", "secret changed")
SECRET_UNKNOWN = Reason("secret-unknown", "secret unknown")
UNCONFIRMED = Reason("unconfirmed", "it is in the list, but no response proves its secret")
MARKED = Reason("unconfirmed", "a run was going to remove it")
REPLACED_OUTSIDE = Reason("replaced-outside", "replaced outside this state, secret unknown")
REMOVED_OUTSIDE = Reason("removed-outside", "removed outside this state")
REQUESTED = Reason("requested", "requested by --replace")
DUPLICATE = Reason("duplicate", "duplicate")
ADOPT = Reason("adopt", "adopts it: hooksync owns it from now on")
PAUSED = Reason("paused", "paused")
HANDED_OVER = Reason("paused", "handed over")
IN_PROGRESS = Reason("in-progress", "begun by a run that is in progress")
NAMED_BY_REMOVE = Reason("requested", "requested by `remove`")
NO_LONGER_DECLARED = Reason("undeclared", "no longer declared")
NOT_DECLARED = Reason("undeclared", "not declared")
NOT_TARGETED = Reason("undeclared", "not targeted")
NOT_IN_STATE = Reason("undeclared", "not in the state")
PROTECTED = Reason("undeclared", "under a prefix of `protect`")
OWNS_NONE = Reason("undeclared", "kept by `owns: none`")
OUTSIDE_PREFIXES = Reason("undeclared", "outside the prefixes of `owns`")
UNSIGNED = Reason("undeclared", "only in an unsigned state, which proves nothing under a policy")


class Outcome(Record):
    """The outcome of one step."""

    result: Result
    problem: Problem | None = None  # why it is not done
    new_id: str | None = None


NEEDS_DECLARED: tuple[Action, ...] = ("subscribe", "resubscribe", "adopt", "keep")


class Step(Record):
    """What is to be done about one declared or live subscription, and then its outcome."""

    action: Action
    # what it is about; also what a duplicate repeats; None: no file declares the live subscription
    declared: DeclaredSubscription | None = None
    live: LiveSubscription | None = None  # what is kept, replaced, removed or left; None: nothing
    reasons: tuple[Reason, ...] = ()
    secret: SecretState | None = None  # the declared secret, compared with the live one
    evidence: Evidence | None = None  # what vouches for a live secret that is the same
    origin: Origin | None = None  # of the live subscription
    made_at: str | None = None  # when hooksync made or adopted it, RFC 3339; None: never
    address: str | None = None  # of `declared`
    name: str | None = None  # of `declared`; if undeclared, the name that the state has
    is_new: bool = False  # foreign, and no apply has seen it
    # it removes what no trusted entry proves to be hooksync's own, and nothing proven stays instead
    needs_review: bool = False
    # why hooksync holds its address: it attempts none of its steps
    refusals: Problems = ()
    errors: Problems = ()
    receiver: ReceiverResult | None = None  # None: not challenged
    outcome: Outcome | None = None  # None in a plan

    def __post_init__(self) -> None:
        """Raise ValueError if the step lacks what its action is about: a plan is read, too."""
        lacks_declared = self.action in NEEDS_DECLARED and self.declared is None
        lacks_live = self.action not in ("subscribe", "keep") and self.live is None
        if lacks_declared or lacks_live:
            raise ValueError(f"a step to {self.action} lacks its subscription")

    @property
    def declared_side(self) -> DeclaredSubscription:
        """What the step creates or keeps, as declared."""
        assert self.declared is not None  # noqa: S101, checked when the step was made
        return self.declared

    @property
    def live_side(self) -> LiveSubscription:
        """The live subscription that the step keeps, replaces, removes or leaves."""
        assert self.live is not None  # noqa: S101, checked when the step was made
        return self.live

    @property
    def shown(self) -> DeclaredSubscription | LiveSubscription:
        """The side that reports show: what is declared, unless a live one is removed or left."""
        return self.declared_side if self.action in NEEDS_DECLARED else self.live_side

    @property
    def url(self) -> str:
        """The URL as it may be shown."""
        return self.shown.url.shown

    @property
    def id(self) -> str:
        """The id of the live subscription; "" if there is none."""
        return self.live.id if self.live else ""

    @property
    def subject(self) -> str:
        """What the step does, and to what."""
        return f"{self.action} {self.address or self.id}"

    @property
    def creates(self) -> bool:
        """Whether the step creates a subscription: Preservica will challenge its receiver."""
        return self.action in ("subscribe", "resubscribe")

    @property
    def removes(self) -> bool:
        """Whether the step removes a live subscription."""
        return self.action in ("resubscribe", "unsubscribe")

    @property
    def is_change(self) -> bool:
        """Whether the step changes something: the subscription is neither kept nor left alone."""
        return self.action not in ("keep", "leave")

    @property
    def is_held(self) -> bool:
        """Whether a refusal or an error concerns its address."""
        return bool(self.refusals or self.errors)

    @property
    def is_due(self) -> bool:
        """Whether apply is to carry the step out, and has not decided otherwise."""
        return self.outcome is None and self.is_change and not self.is_held

    @property
    def is_drift(self) -> bool:
        """Whether live differs from declared: a change is needed, or a duplicate is left alone."""
        return self.is_change or (self.action == "leave" and self.declared is not None)

    @property
    def has_unknown_secret(self) -> bool:
        """Whether a kept subscription may have a different secret than the declared one."""
        return self.action == "keep" and self.secret in ("unknown", *NO_VALUE)

    @property
    def differs(self) -> bool:
        """Whether live differs from declared, or could not be compared."""
        return self.is_drift or self.has_unknown_secret or IN_PROGRESS in self.reasons

    @property
    def reason(self) -> str:
        """The reasons in words."""
        return ", ".join(reason.text for reason in self.reasons)

    def not_begun(self) -> Step:
        """Fill in the outcome of a step without a call, unless it has one."""
        result: Result = "not-attempted" if self.is_change else "unchanged"
        return replace(self, outcome=self.outcome or Outcome(result))


Steps = tuple[Step, ...]


# what the state has about a live subscription
ORIGIN_WORDS: Mapping[Origin | None, str] = {
    "made": "made by hooksync",
    "adopted": "adopted",
    "found": "found after an unclear response",
    "foreign": "not in the state",
}


class _Counted:
    """Counts of the steps of a tenancy, or of all tenancies.

    What several reports need is counted once: a plan may have ten thousand steps.
    """

    __slots__ = ()

    @property
    def steps(self) -> Steps:
        """The steps to count."""
        raise NotImplementedError

    @cached_property
    def has_changes(self) -> bool:
        """Whether something has to be done."""
        return any(step.is_change for step in self.steps)

    @cached_property
    def held(self) -> list[str]:
        """The addresses that a refusal or an error concerns."""
        held = {step.address or "": None for step in self.steps if step.refusals or step.errors}
        return [*held]

    @property
    def left_drift(self) -> list[Step]:
        """The duplicate and paused subscriptions that hooksync leaves."""
        return [step for step in self.steps if step.action == "leave" and step.declared]

    @property
    def in_progress(self) -> int:
        """The number of subscriptions that a different run has begun to change."""
        return len([step for step in self.steps if IN_PROGRESS in step.reasons])

    @cached_property
    def secret_unknown(self) -> int:
        """The number of subscriptions that are kept with an unknown secret."""
        return len([step for step in self.steps if step.has_unknown_secret])

    @property
    def may_have_changed(self) -> bool:
        """Whether apply changed anything, or may have."""
        return bool(self.results().keys() & {"done", "half-done", "unsettled"})

    def counts(self) -> Counter[str]:
        """Count the steps of each action. A change that is held is none."""
        return Counter(
            [step.action for step in self.steps if not (step.is_held and step.is_change)]
        )

    def results(self) -> Counter[str]:
        """Count the outcomes; empty in a plan."""
        return Counter(step.outcome.result for step in self.steps if step.outcome)

    def reasons(self) -> Counter[str]:
        """Count the reasons, by code, of steps with a difference or an unknown secret."""
        return Counter(
            reason.code for step in self.steps if step.differs for reason in step.reasons
        )

    def summarised(self) -> Counts:
        """Return the count of each outcome, or of each action in a plan; and unknown secrets."""
        results = self.results()
        names: tuple[str, ...] = RESULTS if results else ACTIONS
        counts = {**dict.fromkeys(names, 0), **(results or self.counts())}
        return {**counts, "secret_unknown": self.secret_unknown, "held": len(self.held)}


class TenancyPlan(Record, _Counted, dict=True):
    """The plan of one tenancy, and then its result."""

    name: str  # in the hooks files
    server: str
    tenant: str | None  # declared, or reported by the log-in; None: not known
    location: Location
    replacement: Replacement
    probe: Probe
    declared_count: int
    live_count: int | None = None  # in the last list; None: the tenancy could not be read
    steps: Steps = ()  # by action, identity and live id
    refusals: Problems = ()  # why the plan may not be carried out
    # the refusals that a person at a terminal may override, by typing the number of removals
    over_limit: Problems = ()
    # what forbids nothing, such as a receiver that is not ready
    warnings: Problems = ()
    errors: Problems = ()  # why there is no plan, or why apply did not begin
    # the addresses under which earlier runs may have made what no list shows: those that need it,
    # and those for which apply only looks again, because nobody needs it
    open_attempts: tuple[str, ...] = ()
    idle_attempts: tuple[str, ...] = ()
    # steps that the verification found: still needed, or about what others made meanwhile
    differences: Steps = ()
    # why there was no verification; empty if there was one, or nothing to verify
    not_verified: str = ""
    # `completed` fills in this and the summary: no code reads them
    conclusion: Conclusion | None = None
    summary: Counts = field(default_factory=dict)
    digest: str | None = None  # of a saved plan: covers the steps that change something

    @property
    def key(self) -> TenancyKey:
        """Its key in the state."""
        return TenancyKey.of(self.server, self.tenant)

    @property
    def where(self) -> str:
        """Its server and tenant, e.g. `eu.preservica.com / BRAMA`: neither is secret."""
        return str(TenancyKey(self.server, self.tenant or ""))

    @property
    def live(self) -> LiveSubscriptions:
        """What was live when the plan was made: each is in one step."""
        return tuple(step.live for step in self.steps if step.live)

    @property
    def differs(self) -> bool:
        """Whether live differs from declared, or something is not known."""
        return bool(self.open_attempts) or any(step.differs for step in self.steps)

    @property
    def is_ready(self) -> bool:
        """Whether there is something to do, and nothing against it."""
        is_due = any(step.is_due for step in self.steps)
        return is_due and not (self.refusals or self.errors)

    @property
    def awaited(self) -> list[str]:
        """The addresses for which apply waits until a list shows what an earlier run may have made.

        In a refused tenancy, a list can change nothing.
        """
        if self.refusals or self.errors:
            return []
        created = {step.address for step in self.steps if step.creates}
        return [*self.idle_attempts, *(name for name in self.open_attempts if name in created)]

    @property
    def as_declared(self) -> set[SubscriptionKey]:
        """What is live as declared, as far as this run knows."""
        return {step.declared_side.key for step in self.steps if step.evidence}

    @property
    def is_as_declared(self) -> bool:
        """Whether every step was done and the verification found no difference."""
        # what is left alone changes no exit code
        is_right = all(step.action == "leave" for step in self.differences)
        is_done = self.results().keys() <= {"done", "unchanged"}
        return is_done and is_right and not self.not_verified


TenancyPlans = Sequence[TenancyPlan]


def not_begun(plan: TenancyPlan) -> TenancyPlan:
    """Fill in the outcomes of a plan that was not begun: nothing was changed."""
    return replace(plan, steps=tuple(map(Step.not_begun, plan.steps)))


def with_held(
    plan: TenancyPlan, problems: Mapping[str, Problem], *, is_error: bool = False
) -> TenancyPlan:
    """Hold addresses. `problems`: why, by address. `is_error`: they are no refusals."""
    steps = []
    for step in plan.steps:
        problem = problems.get(step.address or "")
        if problem and is_error:
            step = replace(step, errors=(*step.errors, problem))
        elif problem:
            step = replace(step, refusals=(*step.refusals, problem))
        steps.append(step)
    return replace(plan, steps=tuple(steps))


def left_to_a_person(plan: TenancyPlan) -> TenancyPlan:
    """Turn the refusals that a person at a terminal may override into warnings."""
    refusals = tuple(problem for problem in plan.refusals if problem not in plan.over_limit)
    return replace(plan, refusals=refusals, warnings=(*plan.warnings, *plan.over_limit))


_NOT_REVIEWED = Problem(
    "nothing proves that hooksync made it, and nobody has reviewed this removal",
    "leave out --yes and answer the prompt, or apply a saved plan that somebody has read",
)


def without_unreviewed(plan: TenancyPlan) -> TenancyPlan:
    """Do not try the steps with a removal that nobody has reviewed."""
    steps = []
    for step in plan.steps:
        if step.needs_review and step.is_due:
            step = replace(step, outcome=Outcome("not-attempted", _NOT_REVIEWED))
        steps.append(step)
    return replace(plan, steps=tuple(steps))


class Selection(Record):
    """What a command line or a saved plan selects."""

    tenancy: Globs = ()  # globs of names; (): all
    target: Globs = ()  # globs of addresses to compare; (): all
    replace: Globs = ()  # globs of addresses to resubscribe even if nothing differs
    adopt: Globs = ()  # globs of addresses whose live subscriptions have the declared secret
    since: str = ""  # the commit or branch of --since; `tenancy` then has whole names
    variables: tuple[str, ...] = ()  # variables that set these, instead of flags
    # live ids; if there are any, the plan removes these and does nothing else
    remove: tuple[str, ...] = ()


class UndeclaredTenancy(Record):
    """A tenancy that no file declares, although the state has it or the merge base declares it."""

    name: str  # in the addresses of the state, or at the merge base
    recorded: int  # its subscriptions in the state
    problem: Problem
    is_refused: bool = False  # it must be disabled first


class Plan(Record, _Counted, dict=True):
    """A plan of all tenancies of a run, and then the report of its apply."""

    tenancies: tuple[TenancyPlan, ...]
    created_at: str  # RFC 3339
    id: str  # 32 random hexadecimal digits
    sources: str = ""  # the files, as the user named them
    format: DocumentFormat = "hooksync.plan/1"
    hooksync_version: str = __version__
    exit_code: int = 0  # of the command that writes this; `completed` fills it in
    commit: str | None = None  # of the hooks file's repository; None: not known
    expires_at: str | None = None  # RFC 3339; None: the plan is not signed
    selection: Selection = Selection()
    state: str | None = None  # its place; None: the run has no state
    state_missing: bool = False  # whether there was no state at its place when the run began
    state_used: bool = False  # whether something was there, if only a run lock
    refusals: Problems = ()  # why no step at all is carried out
    warnings: Problems = ()  # of files, secrets, receivers and steps
    running: Problem | None = None  # another run held the run lock when this plan was made
    undeclared: tuple[UndeclaredTenancy, ...] = ()
    errors: Problems = ()  # errors that ended the run, or that belong to no tenancy
    is_interrupted: bool = False
    started_by: Starter | None = None  # of an apply
    summary: Counts = field(default_factory=dict)
    signature: str | UnsetType = UNSET

    @cached_property
    def steps(self) -> Steps:
        """The steps of all tenancies."""
        return tuple(step for tenancy in self.tenancies for step in tenancy.steps)

    @property
    def ready_tenancies(self) -> TenancyPlans:
        """The tenancies with something to do, and nothing against it."""
        return [tenancy for tenancy in self.tenancies if tenancy.is_ready]

    @property
    def is_report(self) -> bool:
        """Whether the plan was applied."""
        return self.format == "hooksync.report/1"

    @property
    def is_result(self) -> bool:
        """Whether it was applied, and something was to be done."""
        return self.is_report and self.has_changes

    @property
    def differs(self) -> bool:
        """Whether live or the state differs from declared, or something could not be compared."""
        return bool(self.undeclared) or any(tenancy.differs for tenancy in self.tenancies)

    @property
    def whole_refusals(self) -> Problems:
        """The reasons why apply refuses tenancies or the run."""
        tenancies = [problem for tenancy in self.tenancies for problem in tenancy.refusals]
        undeclared = [item.problem for item in self.undeclared if item.is_refused]
        return (*tenancies, *undeclared, *self.refusals)

    @property
    def all_refusals(self) -> Problems:
        """The reasons why apply refuses the plan, or a part of it."""
        held = [problem for step in self.steps for problem in step.refusals]
        return (*dict.fromkeys(held), *self.whole_refusals)

    @property
    def all_errors(self) -> Problems:
        """The errors, those of a tenancy with its name."""
        named = [
            Problem(f"{tenancy.name}: {problem.headline}", problem.fix)
            for tenancy in self.tenancies
            for problem in tenancy.errors
        ]
        held = [problem for step in self.steps for problem in step.errors]
        return (*named, *dict.fromkeys(held), *self.errors)

    @property
    def unread(self) -> int:
        """The number of tenancies whose live subscriptions are not known."""
        return sum(tenancy.live_count is None for tenancy in self.tenancies)


def completed(plan: Plan, code: ExitCode) -> Plan:
    """Fill in what follows from a plan, for its document. `code`: of the command that writes it."""
    tenancies = [
        replace(tenancy, conclusion=conclusion_of(tenancy), summary=tenancy.summarised())
        for tenancy in plan.tenancies
    ]
    summary = plan.summarised()
    return replace(plan, tenancies=tuple(tenancies), summary=summary, exit_code=int(code))


def conclusion_of(tenancy: TenancyPlan) -> Conclusion:
    """Sum up the plan of a tenancy, or its result, in one word."""
    if tenancy.errors:
        return "error"
    if tenancy.refusals or (tenancy.held and not (tenancy.is_ready or tenancy.may_have_changed)):
        return "refused"
    if not tenancy.has_changes:
        has_drift = tenancy.open_attempts or tenancy.left_drift or tenancy.secret_unknown
        if tenancy.in_progress and not has_drift:
            return "in-progress"
        return "not-as-declared" if tenancy.differs else "as-declared"
    if not tenancy.results():
        return "changes"
    return "applied" if tenancy.is_as_declared else "not-as-declared"


def exit_code_of(plan: Plan, *, is_detailed: bool = False) -> ExitCode:
    """Return the exit code of a plan or an apply. `is_detailed`: a difference has its own code."""
    if plan.is_interrupted:
        return ExitCode.INTERRUPTED
    if plan.is_report:
        return _report_code(plan)
    if plan.all_errors:
        return ExitCode.ERROR
    # a refusal that concerns an address counts only if the run would do nothing else
    if plan.whole_refusals or (plan.all_refusals and not plan.ready_tenancies):
        return ExitCode.REFUSED
    return ExitCode.CHANGES_PENDING if is_detailed and plan.differs else ExitCode.DONE


def _report_code(plan: Plan) -> ExitCode:
    """Return the exit code of an apply. A partial change has priority over an error."""
    is_wrong = plan.all_errors or plan.all_refusals
    if not is_wrong and all(tenancy.is_as_declared for tenancy in plan.tenancies):
        return ExitCode.DONE
    if plan.may_have_changed:
        return ExitCode.PARTLY_APPLIED
    is_unread = any(tenancy.not_verified for tenancy in plan.tenancies)
    if plan.all_errors or plan.results()["failed"] or is_unread:
        return ExitCode.ERROR
    return ExitCode.REFUSED  # also of a removal that waits, or that nobody has reviewed
