"""The view of a plan or a run from which all renderings are made.

Pure; everything in it is safe to show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hooksync.core.errors import FileError, HooksyncError, Problem, Refused, some_of
from hooksync.core.model import LiveSubscription, Location, SecretRef, SecretState, Tenancy, Trigger
from hooksync.core.record import Record, replace
from hooksync.reconcile import plan as planned
from hooksync.reconcile.plan import Adoption

if TYPE_CHECKING:  # a saved plan is shown without the network's modules
    from hooksync.service.receivers import ProbeResult

_SHORTEST_ID = 8  # characters of an id that are shown


class StepView(Record, frozen=True):
    """One step as reports show it."""

    action: planned.Action
    address: str | None  # of the declared subscription; None if nothing is declared
    name: str | None  # of the declared one; else of the one as which hooksync made it
    url: str  # safe to show
    trigger: Trigger
    id: str | None  # of the live subscription
    include_identifiers: bool | None  # declared, or live if nothing is declared
    replaces_url: str | None = None  # the old one of a receiver that has moved; safe to show
    reasons: tuple[str, ...] = ()
    origin: planned.Origin | None = None  # of an undeclared one, or of a duplicate
    changes: tuple[planned.Change, ...] = ()
    secret: SecretRef | None = None
    secret_state: SecretState = "unknown"
    receiver: ProbeResult | None = None  # None: not challenged
    # the live one was made a short time ago, and the list does not show it yet
    is_awaited: bool = False
    outcome: planned.Outcome | None = None  # None in a plan
    place: Location | None = None  # in the hooks file; None if nothing is declared
    description: str | None = None  # of the declared subscription
    owner: str | None = None  # likewise

    @property
    def is_change(self) -> bool:
        """Whether something is to be done: it is neither kept nor left alone."""
        return self.action not in ("keep", "leave")

    @property
    def is_drift(self) -> bool:
        """Whether live is not as declared: a step is needed, or a duplicate is left alone."""
        return self.is_change or (self.action == "leave" and self.address is not None)

    @property
    def has_unknown_secret(self) -> bool:
        """Whether its secret may be a different one, because no response confirmed it."""
        is_kept = self.action == "keep" and self.secret_state in ("unknown", "not-set")
        return is_kept or bool(self.outcome and self.outcome.is_found)

    @property
    def is_unlisted(self) -> bool:
        """Whether it counts as live by an answer alone: the list does not show it yet."""
        return self.is_awaited or bool(self.outcome and self.outcome.is_unlisted)


class _Counted:
    """What can be counted of the steps of a tenancy, or of all."""

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
        """Whether live is not as declared."""
        return any(step.is_drift for step in self.steps)

    def counts(self) -> Counter[str]:
        """Count the steps of each action."""
        return Counter(step.action for step in self.steps)

    def results(self) -> Counter[str]:
        """Count the outcomes."""
        return Counter(step.outcome.result for step in self.steps if step.outcome)

    @property
    def secret_unknown(self) -> int:
        """Count the subscriptions that are kept with an unknown secret."""
        return sum(step.has_unknown_secret for step in self.steps)

    @property
    def unlisted(self) -> int:
        """Count the subscriptions that count as live although the list does not show them yet."""
        return sum(step.is_unlisted for step in self.steps)


class TenancyView(Record, _Counted, frozen=True):
    """One tenancy as reports show it."""

    tenancy: Tenancy
    steps: tuple[StepView, ...]
    live: tuple[LiveSubscription, ...] | None  # None: could not be read
    declared_count: int
    error: HooksyncError | None = None
    refusals: tuple[Problem, ...] = ()
    outcome: planned.TenancyOutcome | None = None  # None in a plan
    differences: tuple[StepView, ...] = ()  # what the verification found
    still_listed: tuple[str, ...] = ()  # ids that were removed a short time ago
    id_length: int = _SHORTEST_ID  # characters at which its ids can be told apart

    @property
    def name(self) -> str:
        """The tenancy's name in the hooks files."""
        return self.tenancy.name

    @property
    def is_ready(self) -> bool:
        """Whether there is something to do, and nothing against it."""
        return self.has_changes and not (self.refusals or self.error)


class RunView(Record, _Counted, frozen=True):
    """A whole plan, or a whole run of apply."""

    tenancies: tuple[TenancyView, ...]
    created_at: str  # RFC 3339
    sources: str  # the files, as the user named them
    warnings: tuple[Problem, ...] = ()  # of the files and the secrets; of a saved plan, all
    state: str | None = None  # path
    undeclared: tuple[Problem, ...] = ()  # tenancies that the state knows and no file declares
    adopts: bool = False  # whether what is unknown is to be adopted
    adopted: Adoption | None = None  # None in a plan
    # why not all that is unknown may be adopted; of a saved plan, all refusals
    not_adopted: tuple[Problem, ...] = ()
    is_state_missing: bool = False  # whether there was no state at that path when the run began
    is_targeted: bool = False  # whether only some of what is declared was looked at, by --target
    against_all: tuple[Problem, ...] = ()  # why nothing of it is carried out
    state_error: FileError | None = None  # why the state could not be written

    @property
    def steps(self) -> tuple[StepView, ...]:
        """The steps of all tenancies."""
        return tuple(step for tenancy in self.tenancies for step in tenancy.steps)

    @property
    def refusals(self) -> tuple[Problem, ...]:
        """All reasons why something is not carried out."""
        refused = tuple(problem for tenancy in self.tenancies for problem in tenancy.refusals)
        return (*refused, *self.not_adopted, *self.against_all)

    @property
    def all_warnings(self) -> tuple[Problem, ...]:
        """The warnings, with those of steps that were not done as planned."""
        otherwise = (
            replace(
                warning,
                what=f"{step.address or f'{tenancy.tenancy.name}: {step.id}'}: {warning.what}",
            )
            for tenancy in self.tenancies
            for step in tenancy.steps
            for warning in (step.outcome.warnings if step.outcome else ())
        )
        made = (
            *self.undeclared,
            *self._unknown_warning(),
            *self._duplicate_warnings(),
            *self._behind_warnings(),
            *otherwise,
        )
        # those of a saved plan hold all that it made
        return tuple(dict.fromkeys((*self.warnings, *made)))

    def _unknown_warning(self) -> Iterator[Problem]:
        """Name the subscriptions whose secrets are unknown, unless a refusal names them."""
        steps = [
            step
            for each in self.tenancies
            if each.tenancy.unknown_secret != "refuse"
            for step in each.steps
        ]
        found = [step.address for step in steps if step.has_unknown_secret and step.address]
        if found and not self.adopts:  # else what is not adopted is refused, with the reason
            number = len(found)
            of = (
                "secret of 1 kept subscription is"
                if number == 1
                else f"secrets of {number} kept subscriptions are"
            )
            what = f"the {of} unknown, so a rotation is not seen: {some_of(found)}"
            yield Problem(what, planned.ADOPT_FIX)

    def _duplicate_warnings(self) -> Iterator[Problem]:
        """Name the subscriptions with live duplicates that hooksync does not own."""
        for step in self.left_duplicates:
            what = f"{step.address} is live twice: the receiver gets each event twice"
            fix = f"remove {step.id} in Preservica, or replace both with `--replace {step.address}`"
            yield Problem(f"{what}, and hooksync does not own {step.id} ({step.origin})", fix)

    def _behind_warnings(self) -> Iterator[Problem]:
        """Name what counts as live or gone by recent responses, although the list differs."""
        if unlisted := [step.address or step.id or "" for step in self.steps if step.is_awaited]:
            what = f"the service made {_that_are(unlisted)} not listed yet, counted as live for now"
            fix = "plan again in a quarter of an hour: what is not listed by then is made again"
            yield Problem(f"{what}: {some_of(unlisted)}", fix)
        if listed := [identifier for each in self.tenancies for identifier in each.still_listed]:
            what = f"the service removed {_that_are(listed)} still listed, counted as gone for now"
            fix = "plan again in a quarter of an hour: what is listed then is removed again"
            yield Problem(f"{what}: {some_of(listed)}", fix)

    @property
    def errors(self) -> tuple[HooksyncError, ...]:
        """Why tenancies could not be planned or applied."""
        return tuple(tenancy.error for tenancy in self.tenancies if tenancy.error)

    @property
    def error_problems(self) -> tuple[Problem, ...]:
        """What these errors say, each with its tenancy, and why the state could not be written."""
        found = (
            (one.tenancy.name, each)
            for one in self.tenancies
            if one.error
            for each in one.error.problems
        )
        named = (Problem(f"{name}: {each.headline}", each.fix) for name, each in found)
        return (*named, *(self.state_error.problems if self.state_error else ()))

    @property
    def is_refused(self) -> bool:
        """Whether something may not be carried out, although all of it could be read."""
        return bool(self.refusals) or any(isinstance(error, Refused) for error in self.errors)

    @property
    def has_failed(self) -> bool:
        """Whether an error, and not a refusal, stands against a part of it."""
        return bool(self.state_error) or any(
            not isinstance(error, Refused) for error in self.errors
        )


def _that_are(names: Sequence[str]) -> str:
    return "1 subscription that is" if len(names) == 1 else f"{len(names)} subscriptions that are"


def view_of_plan(
    plan: planned.Planned,
    outcome: planned.TenancyOutcome | None = None,
    adopted: Collection[str] = (),
) -> TenancyView:
    """View one tenancy's plan, with what became of it, or the error that prevented it.

    `adopted`: addresses.
    """
    if isinstance(plan, planned.UnreadTenancy):
        return TenancyView(plan.tenancy, (), None, len(plan.tenancy.subscriptions), plan.error)
    results = outcome.outcomes if outcome else [None] * len(plan.steps)
    steps = [
        view_of_step(step, result, plan.answers)
        for step, result in zip(plan.steps, results, strict=True)
    ]
    for number, each in enumerate(steps if adopted else ()):
        if each.action == "keep" and each.address in adopted:
            steps[number] = replace(each, secret_state="same")
    return TenancyView(
        plan.tenancy,
        tuple(steps),
        plan.live,
        len(plan.tenancy.subscriptions),
        plan.error,
        plan.refusals,
        outcome,
        differences=tuple(map(view_of_step, outcome.differences)) if outcome else (),
        still_listed=plan.history.still_listed,
        id_length=id_length(plan.live),
    )


def id_length(live: Sequence[LiveSubscription]) -> int:
    """Measure how much of their ids tells all of a tenancy apart."""
    length = _SHORTEST_ID
    while len({one.id[:length] for one in live}) < len(live):
        length *= 2
    return length


def view_of_step(
    step: planned.Step,
    outcome: planned.Outcome | None = None,
    answers: Mapping[str, ProbeResult] | None = None,
) -> StepView:
    """View one step. `answers`: those of the receivers that were challenged."""
    live = None if isinstance(step, planned.Subscribe) else step.live
    is_awaited = bool(live and not live.is_listed)
    if isinstance(step, planned.Unsubscribe | planned.Leave):
        old = step.live
        former = step.was.split("/")[1] if step.was else None
        return StepView(
            step.action,
            step.duplicate_of.address if step.duplicate_of else None,
            step.duplicate_of.name if step.duplicate_of else former,
            old.url.shown,
            old.trigger,
            old.id,
            old.include_identifiers,
            reasons=(step.reason,),
            origin="made by hooksync" if step.was else planned.NOT_MADE,
            is_awaited=is_awaited,
            outcome=outcome,
        )
    one, identifier = step.declared, live.id if live else None
    fields = (
        step.action,
        one.address,
        one.name,
        one.url.shown,
        one.trigger,
        identifier,
        one.include_identifiers,
    )
    view = StepView(
        *fields,
        secret=one.secret,
        secret_state=step.secret_state,
        receiver=(
            answers.get(one.address) if answers and not isinstance(step, planned.Keep) else None
        ),
        is_awaited=is_awaited,
        outcome=outcome,
        place=one.location,
        description=one.description,
        owner=one.owner,
    )
    if not isinstance(step, planned.Resubscribe):
        return view
    old_url = step.live.url.shown if step.is_move else None
    return replace(view, replaces_url=old_url, reasons=step.reasons, changes=step.changes)
