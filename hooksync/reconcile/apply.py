"""Carry a tenancy's plan out through the service it is given; one outcome for each step.

Touches nothing but its arguments. First what is new, then answers that were lost, then removals,
then verification. The list may lag behind the answers: before it is believed against them, it is
asked again for a while.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from hooksync.core.clock import SYSTEM_CLOCK, Backoff, Clock
from hooksync.core.errors import HooksyncError, Problem, ServiceError, some_of
from hooksync.core.model import LiveSubscription, Secret, SecretRef, SubscriptionKey
from hooksync.core.record import Record, field, replace
from hooksync.reconcile.diff import DiffOptions, make_plan
from hooksync.reconcile.plan import (
    ADOPT_FIX,
    Keep,
    Leave,
    Outcome,
    Step,
    Subscribe,
    TenancyOutcome,
    TenancyPlan,
    Unsubscribe,
    is_idle,
)
from hooksync.reconcile.step_runner import (
    NEXT_RUN,
    UNCONFIRMED,
    Creation,
    Removal,
    Service,
    StepRunner,
    fills,
)
from hooksync.service.worker_pool import WorkerPool

Live = tuple[LiveSubscription, ...]


class Execution(Record, frozen=True):
    """One plan on its way. What the service does wrong is in the outcomes, not raised."""

    plan: TenancyPlan
    service: Service
    secrets: Mapping[SecretRef, Secret]  # of all that is to be made
    pool: WorkerPool
    options: DiffOptions  # those that the plan was made with
    clock: Clock = SYSTEM_CLOCK
    advance: Callable[[], None] = lambda: None  # called after each POST or DELETE
    list_wait: float = 0.0  # seconds that the list may lag behind the answers before it is believed
    # of the steps that need a call; made here
    runners: list[StepRunner] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make a runner of each step that needs a call."""
        self.runners.extend(
            StepRunner(step) for step in self.plan.steps if not isinstance(step, Keep | Leave)
        )

    def run(self) -> TenancyOutcome:
        """Make, settle, remove, verify; a plan that asks for nothing makes no call."""
        if not self.runners:
            return TenancyOutcome(self.plan, self._outcomes())
        self._create(self._makers())
        self._settle()
        self._hold_back()
        self._confirm()
        self._remove([runner for runner in self.runners if runner.needs_removal])
        for runner in self.runners:
            runner.explain_half("interrupted: the new one is made")
        return self._verify()

    def abandoned(self, why: str) -> TenancyOutcome:
        """Return what is known so far, where an error that nobody foresaw has ended it."""
        return TenancyOutcome(self.plan, self._outcomes(), not_verified=why)

    def _create(self, runners: Sequence[StepRunner]) -> None:
        """Make new subscriptions, side by side.

        Where the service refuses a second one, what is in its way goes first.

        Duplicates before the one that is replaced, so that it serves as long as it can.
        """
        self._post(runners, removes_first=self.plan.tenancy.replacement == "remove-first")
        blocked = {runner.declared.address: runner for runner in runners if runner.has_conflict}
        in_the_way = [
            one
            for one in self.runners
            if _place_of(one) in blocked and one.removal is Removal.UNTRIED
        ]
        freed = {
            *map(_place_of, in_the_way),
            *(one.declared.address for one in runners if one.leaves_the_old_one),
        }
        again = [runner for address, runner in blocked.items() if address in freed]
        if again and not self.pool.stop.is_set():
            for runner in again:
                runner.make_room()
            self._remove(in_the_way)
            self._post(again, removes_first=True)
        for runner in blocked.values():
            if runner.has_conflict and runner.creation is Creation.UNTRIED:
                runner.creation = Creation.LOST  # it may be this very one: the list will tell
        told = Counter(runner.new_id for runner in self._makers() if runner.new_id)
        for runner in self._makers():
            if runner.new_id and told[runner.new_id] > 1:  # one id for two of them proves neither
                runner.disprove()

    def _post(self, runners: Sequence[StepRunner], *, removes_first: bool) -> None:
        known = self._known_ids()

        def create(runner: StepRunner) -> None:
            secret = self.secrets[runner.declared.secret]
            runner.create(self.service, secret, known, removes_first=removes_first)

        self._side_by_side(create, runners)

    def _settle(self) -> None:
        """Find out from the list what became of unclear calls; make once more what is not there."""
        self._find()
        again = [runner for runner in self._makers() if runner.needs_another_try]
        tries = "two tries"
        if self.pool.stop.is_set():
            tries = "one try: interrupted"
        elif again:
            self._create(again)
            self._find()
        for runner in self._makers():
            if (
                runner.creation is Creation.ACCEPTED
                and runner.leaves_the_old_one
                and not runner.detail
            ):
                runner.hold(UNCONFIRMED)
            if runner.creation is Creation.LOST:
                runner.give_up(
                    "the list does not show it"
                    if runner.has_conflict
                    else f"it is not there after {tries}"
                )

    def _find(self) -> None:
        """Wait for the list to show what only it can show, for as long as it may lag."""
        unsettled = [runner for runner in self._makers() if runner.needs_list]
        if not unsettled:
            return
        try:
            self._look(self._makers(), lambda _: not any(runner.needs_list for runner in unsettled))
        except HooksyncError as error:
            for runner in unsettled:
                runner.cannot_list(error)

    def _confirm(self) -> None:
        """Wait until the list shows a replacement before the old one is removed.

        Likewise what is kept, before a duplicate of it goes: somebody else may be removing the one
        that this run keeps.
        """
        waiting = [runner for runner in self.runners if runner.needs_confirmation]
        stays = self._stays_for()
        kept = self._doubtful(stays)
        if not (waiting or kept) or self.pool.stop.is_set():
            return

        def is_shown(live: Live) -> bool:
            shown = _places(live, kept.items())
            return len(shown) == len(kept) and not any(
                runner.needs_confirmation for runner in waiting
            )

        try:
            live = self._look(waiting, is_shown)
            ids = {each.id for each in live}
            shown = _places(live, kept.items()) | {
                one for one in stays.keys() - kept.keys() if stays[one] in ids
            }
            why = ""
        except HooksyncError as error:
            shown, why = (
                stays.keys() - kept.keys(),
                f": the list could not be read: {error.summary}",
            )
        for runner in waiting:
            if runner.needs_confirmation:
                runner.hold(UNCONFIRMED + why)
        for runner in stays:
            if runner not in shown:  # where a list is there, it counts for all
                runner.hold(f"held back until a list shows the one that stays{why}")

    def _stays_for(self) -> dict[StepRunner, str]:
        """Return the ids that stay of duplicates: the new one, or the kept one."""
        duplicates = {
            one: place for one in self.runners if one.needs_removal and (place := _place_of(one))
        }
        stays = self._stays() if duplicates else {}
        return {one: kept for one, place in duplicates.items() if (kept := stays.get(place))}

    def _doubtful(self, stays: Mapping[StepRunner, str]) -> dict[StepRunner, str]:
        """Return what a list has to show first."""
        listed, made = (
            {each.id for each in self.plan.live if each.is_listed},
            self.plan.history.made,
        )
        return {
            one: kept for one, kept in stays.items() if not (kept in listed and one.live_id in made)
        }

    def _stays(self) -> dict[str, str | None]:
        """Return the ids of what is kept or was made, by address; None where it is not made."""
        kept = {
            step.declared.address: step.live.id
            for step in self.plan.steps
            if isinstance(step, Keep)
        }
        return {**kept, **{one.declared.address: one.new_id for one in self._makers()}}

    def _look(self, runners: Iterable[StepRunner], is_settled: Callable[[Live], bool]) -> Live:
        """List, and let runners learn from it, until everything is settled or the wait is over.

        Raises ServiceError where it cannot be listed even once.
        """
        several, live = list(runners), self._list()
        self._learn(several, live)
        backoff = Backoff(self.list_wait, self.clock, self.pool.stop)
        while not is_settled(live) and backoff.wait():
            try:
                live = self._list()
            except HooksyncError:
                break  # what was listed before stands
            self._learn(several, live)
        return live

    def _learn(self, runners: Iterable[StepRunner], live: Iterable[LiveSubscription]) -> None:
        """Let runners learn what is live; match what may have been made with what is new."""
        shown = {subscription.id: subscription for subscription in live}
        for runner in runners:
            runner.learn(shown)
        known = self._known_ids()
        newcomers: defaultdict[SubscriptionKey, list[str]] = defaultdict(list)
        for subscription in shown.values():
            if subscription.id not in known:
                newcomers[subscription.key].append(subscription.id)
        for runner in runners:
            candidates = newcomers[runner.declared.key] if runner.creation.is_open else []
            if len(candidates) == 1:
                runner.found(candidates[0])
            elif candidates and runner.creation is not Creation.UNKNOWN:
                runner.give_up(
                    f"{len(candidates)} new subscriptions may be this one, and no answer told which"
                )

    def _remove(self, runners: Sequence[StepRunner]) -> None:
        """Remove what is not wanted, and what has its replacement."""
        self._side_by_side(lambda runner: runner.remove(self.service), runners)

    def _hold_back(self) -> None:
        """Let no removal run ahead of what might replace it.

        A duplicate stays until the subscription of its place is made; an undeclared one until all
        that is declared is.
        """
        unmade = [
            one.declared.address for one in self._makers() if one.creation is not Creation.MADE
        ]
        for runner in self.runners if unmade and not self.pool.stop.is_set() else ():
            if not (isinstance(runner.step, Unsubscribe) and runner.needs_removal):
                continue
            place = runner.step.duplicate_of
            awaited = [place.address] if place else unmade
            if awaited[0] in unmade:
                what = (
                    f"held back: {some_of(awaited, 1)} may not have been made, and may replace"
                    " this one"
                )
                runner.hold(what, "fix that, then run apply again")

    def _verify(self) -> TenancyOutcome:
        """List once more and compare: the outcome of each step, and the steps still needed."""
        try:
            live = self._look(
                self.runners, lambda _: not any(runner.is_behind for runner in self.runners)
            )
        except HooksyncError as error:
            return TenancyOutcome(self.plan, self._outcomes(), not_verified=error.summary)
        for runner in self.runners:
            runner.explain_half("only the verification found the new one")
        left = self._left(live)
        return TenancyOutcome(
            self.plan, self._outcomes(left), self._differences(left), last_live=live
        )

    def _left(self, live: Live) -> TenancyPlan:
        """Plan once more, going by the list and, where it lags behind, by the answers."""
        made = {runner.new_id: runner for runner in self.runners if runner.new_id}
        gone = self.plan.history.removed | {
            one.live_id for one in self.runners if one.removal is Removal.GONE
        }
        seen = {each.id for each in live}
        unlisted = [
            *(_as_answered(runner) for runner in made.values() if runner.is_unlisted),
            *(each for each in self.plan.live if not each.is_listed and each.id not in seen | gone),
        ]
        before = [each.id for each in self.plan.live]
        history = self.plan.history.after(
            {
                new: (one.declared, one.is_found, (one.live_id or "", *before))
                for new, one in made.items()
            }
        )
        there = [*(each for each in live if each.id not in gone), *unlisted]
        return make_plan(self.plan.tenancy, there, replace(self.options, replace=()), history)

    def _differences(self, left: TenancyPlan) -> tuple[Step, ...]:
        """Return the steps that are still needed, and new duplicates that are not owned."""
        held = {
            one.live_id for one in self.runners if one.is_held and isinstance(one.step, Unsubscribe)
        }
        accepted = {
            one.declared.address for one in self._makers() if one.creation is Creation.ACCEPTED
        }
        known = {each.id for each in self.plan.live}
        found: list[Step] = []
        for step in left.steps:
            match step:
                case Keep():
                    continue
                case Leave(live, duplicate_of=place) if place is None or live.id in known:
                    continue
                case Subscribe(declared) if declared.address in accepted:
                    continue
                case Unsubscribe(live, reason) if live.id in held:  # this run left it on purpose
                    step = replace(step, reason=f"{reason}, held back")
            found.append(step)
        return tuple(found)

    def _side_by_side(
        self, do: Callable[[StepRunner], object], runners: Iterable[StepRunner]
    ) -> None:
        def execute(runner: StepRunner) -> None:
            do(runner)
            self.advance()

        self.pool.run([partial(execute, runner) for runner in runners])

    def _list(self) -> Live:
        """List what is live, as one call among the run's.

        Raises ServiceError, after an interrupt too.
        """
        [live] = self.pool.run([self.service.list_subscriptions])
        if live is None:
            raise ServiceError(Problem("interrupted", NEXT_RUN))
        return live

    def _makers(self) -> list[StepRunner]:
        return [runner for runner in self.runners if not isinstance(runner.step, Unsubscribe)]

    def _known_ids(self) -> frozenset[str]:
        """Name what was live before, and what this run knows that it made."""
        new = (runner.new_id for runner in self.runners if runner.new_id)
        return frozenset((*(each.id for each in self.plan.live), *self.plan.history.removed, *new))

    def _outcomes(self, left: TenancyPlan | None = None) -> tuple[Outcome, ...]:
        """Give the outcomes in the order of the plan's steps.

        `left`: what the verification would plan.
        """
        runners, known = iter(self.runners), self._known_ids()
        strangers = {
            step.declared.address: step.live.id
            for step in (left.steps if left else ())
            if isinstance(step, Keep) and step.live.id not in known
        }
        return tuple(
            _unchanged(step, strangers) if is_idle(step) else next(runners).outcome()
            for step in self.plan.steps
        )


def _unchanged(step: Step, strangers: Mapping[str, str]) -> Outcome:
    """Return the outcome of what needed no call.

    `strangers`: ids by address of what others put in its place.
    """
    stranger = strangers.get(step.declared.address) if isinstance(step, Keep) else None
    if stranger is None:
        return Outcome(step, "unchanged")
    what = f"somebody else replaced it by {stranger}, whose secret is unknown"
    return Outcome(step, "unchanged", warnings=(Problem(what, ADOPT_FIX),), is_found=True)


def _place_of(runner: StepRunner) -> str | None:
    """Return the address of the declared one that a duplicate repeats; otherwise None."""
    place = runner.step.duplicate_of if isinstance(runner.step, Unsubscribe) else None
    return place.address if place else None


def _places(live: Live, kept: Iterable[tuple[StepRunner, str | None]]) -> set[StepRunner]:
    """Return the duplicates whose places a list shows to be filled.

    `kept`: each with the id of what stays there.
    """
    by_id = {each.id: each for each in live}
    return {
        runner
        for runner, stays in kept
        if isinstance(runner.step, Unsubscribe) and (place := runner.step.duplicate_of)
        if stays in by_id and fills(by_id[stays], place)
    }


def _as_answered(runner: StepRunner) -> LiveSubscription:
    """Return what was made as the list will show it."""
    declared, identifier = runner.declared, runner.new_id or ""
    return LiveSubscription(
        identifier, declared.url, declared.trigger, declared.include_identifiers, is_listed=False
    )
