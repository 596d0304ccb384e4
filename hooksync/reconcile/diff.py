"""Compare declared and live subscriptions and decide one step for each.

This module is the core of hooksync, and pure: no I/O, no clock.

First, declared and live subscriptions are paired: by identity, then by what the state contains.
Then each pair gets a step. A live subscription that is not owned is removed only if a declared one
with its identity replaces it, or if it is a duplicate for an address that `--replace` names. If its
secret is unknown, a difference never replaces it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from hooksync.core.clock import rfc3339
from hooksync.core.errors import Problem
from hooksync.core.model import (
    DeclaredSubscription,
    Globs,
    LiveSubscription,
    LiveSubscriptions,
    SecretState,
    Tenancy,
    matches_any,
)
from hooksync.core.record import Record, field, replace
from hooksync.core.urls import is_respelling, owns_url
from hooksync.reconcile import plan as planned
from hooksync.reconcile.plan import Reason, Step
from hooksync.state.fingerprints import declared_digest
from hooksync.state.history import History, local_name
from hooksync.state.model import Attempt, StateEntry

Nested = Mapping[str, Any]  # nested data as in JSON
Pairs = list[tuple[DeclaredSubscription, list[LiveSubscription]]]  # the one to keep comes first


class DiffOptions(Record, frozen=True):
    """The options of a comparison, from the command line or a saved plan."""

    replace: Globs = ()  # globs of addresses to resubscribe even if nothing differs
    adopt: Globs = ()  # globs of addresses whose live subscriptions have the declared secret
    targets: Globs = ()  # globs of addresses to compare; (): all
    remove: Globs = ()  # live ids; if there are any, the plan removes these and does nothing else


def unread(
    tenancy: Tenancy, errors: Sequence[Problem] = (), refusals: Sequence[Problem] = ()
) -> planned.TenancyPlan:
    """Return the plan of a tenancy whose live subscriptions are not known."""
    return planned.TenancyPlan(
        tenancy.name,
        tenancy.server.shown,
        tenancy.tenant,
        tenancy.location,
        tenancy.replacement,
        tenancy.probe,
        len(tenancy.subscriptions),
        refusals=tuple(refusals),
        errors=tuple(errors),
    )


def pair(tenancy: Tenancy, live: LiveSubscriptions, history: History) -> Pairs:
    """Pair each declared subscription with its live ones. The selected declared ones come first.

    A live subscription is paired by the first rule that fits:
    1. It has the declared identity.
    2. Its state entry was made for this declared URL and trigger, and the service spells the URL
       differently.
    3. It is owned, and its state entry has the declared address, for which the rules above found
       nothing. So the declared URL has changed. If several fit, the newest is paired.
    4. The same, but a newer record has the declared URL: an earlier run did not finish a move.

    Under a policy, an unsigned state pairs nothing: its writer could cause any removal. What is
    under a prefix of `protect` is paired with nothing.
    """
    pairs: Pairs = [(declared, []) for declared in (*tenancy.subscriptions, *tenancy.not_selected)]
    places = {declared.key: found for declared, found in pairs}
    others: list[tuple[LiveSubscription, StateEntry]] = []
    for subscription in live:
        entry = history.entries.get(subscription.id)
        if owns_url(tenancy.protect, subscription.url.full):
            continue
        if subscription.key in places:
            places[subscription.key].append(subscription)
        elif entry and history.is_trusted:
            others.append((subscription, entry))
    moved = _pair_respelt(pairs, others, history.url_salt) if others else []
    for declared, found in pairs:
        if len(found) > 1:
            found.sort(key=partial(_preference, declared, history))
    owned = [move for move in moved if is_owned(tenancy, move[0], history)]
    _pair_moved(pairs, owned, history)
    return pairs


def _pair_respelt(
    pairs: Pairs, others: Iterable[tuple[LiveSubscription, StateEntry]], url_salt: str
) -> list[tuple[LiveSubscription, StateEntry]]:
    """Pair live subscriptions whose URL the service spells differently than the file.

    `others`: live subscriptions that are not paired, with their entries. Returns those that were
    made for a URL and trigger that no file declares.
    """
    made_for = {declared_digest(url_salt, pair[0].key): pair for pair in pairs}
    moved = []
    for live, entry in others:
        if entry.declared not in made_for:
            moved.append((live, entry))
            continue
        declared, found = made_for[entry.declared]
        # if this is no respelling, the response that contained this id was wrong
        if is_respelling(live.url.full, declared.url.full):
            found.append(live)
    return moved


def _pair_moved(
    pairs: Pairs, moved: list[tuple[LiveSubscription, StateEntry]], history: History
) -> None:
    """Pair live subscriptions with declared ones of the same address.

    The declared one must have no live one, or only newer ones.
    """
    places = {local_name(declared): found for declared, found in pairs}
    moved.sort(key=lambda move: move[1].run, reverse=True)
    for live, entry in moved:
        found = places.get(entry.local_name)
        if found is None or not entry.local_name.endswith(f"/{live.trigger.short}"):
            continue
        if all(_run(other, history) > entry.run for other in found):
            found.append(live)


def _run(live: LiveSubscription, history: History) -> int:
    """Return the run that made a live subscription; 0: the state does not have it."""
    record = history.record(live.id)
    return record.run if record else 0


def _preference(
    declared: DeclaredSubscription, history: History, live: LiveSubscription
) -> tuple[bool, bool, int, bool]:
    """Return a sort key, by which the live subscription to keep comes first.

    It is the one to adopt; otherwise the newest entry; otherwise the newest found one; otherwise
    one whose content is right.
    """
    is_adopted = live.id in declared.adopt and history.record(live.id) is None
    is_entry = live.id in history.entries
    is_wrong = bool(content_changes(declared, live, history))
    return not is_adopted, not is_entry, -_run(live, history), is_wrong


def content_changes(
    declared: DeclaredSubscription, live: LiveSubscription, history: History
) -> tuple[planned.Change, ...]:
    """List the fields that differ in a pair; a field whose live value is unknown never does."""
    reported = history.content_of(live)
    known = {name: value for name, value in reported.items() if value is not None}
    wanted = {name: value for name, value in declared.content.items() if name in known}
    return tuple(planned.Change(str(path[0]), *pair) for path, *pair in compare(known, wanted))


def compare(before: Nested, after: Nested) -> list[tuple[list[str | int], Any, Any]]:
    """List the paths at which nested data differ, sorted, with both values (None: missing)."""
    if before == after:
        return []
    from deepdiff import DeepDiff  # only here: its import takes as long as the rest of a plan
    from deepdiff.helper import notpresent

    found = []
    for level in chain(*DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0).values()):
        was = None if level.t1 is notpresent else level.t1
        wants = None if level.t2 is notpresent else level.t2
        found.append((level.path(output_format="list"), was, wants))
    return sorted(found, key=lambda difference: str(difference[0]))


def is_owned(tenancy: Tenancy, live: LiveSubscription, history: History) -> bool:
    """Whether hooksync may remove a subscription that no file declares."""
    return _why_left(tenancy, live, history) is None


def _why_left(tenancy: Tenancy, live: LiveSubscription, history: History) -> Reason | None:
    """Return why hooksync does not own a live subscription; None if it does."""
    if owns_url(tenancy.protect, live.url.full):
        return planned.PROTECTED
    match tenancy.owns:
        case "all":
            return None
        case "none":
            return planned.OWNS_NONE
        case "made":
            if not history.has_state:
                return planned.NOT_DECLARED
            if history.record(live.id) is None:
                return planned.NOT_IN_STATE
            return None if history.is_trusted else planned.UNSIGNED
        case prefixes:
            return None if owns_url(prefixes, live.url.full) else planned.OUTSIDE_PREFIXES


class Comparison(Record, frozen=True):
    """Decides the steps of one tenancy."""

    tenancy: Tenancy
    live: LiveSubscriptions
    options: DiffOptions
    history: History
    pairs: Pairs  # of `pair`
    # how the secrets of entries compare with the declared ones, by live id
    states: Mapping[str, SecretState] = field(default_factory=dict)

    def plan(self) -> planned.TenancyPlan:
        """Decide on exactly one step for each declared and each live subscription."""
        steps = [*self._steps()]
        if self.options.remove:
            steps = [self._removal_alone(step) for step in steps if step.live]
        steps.sort(key=planned.step_order)
        return replace(unread(self.tenancy), live_count=len(self.live), steps=tuple(steps))

    def _steps(self) -> Iterator[Step]:
        """Make the steps, in any order."""
        paired = {live.id for _, found in self.pairs for live in found}
        for live in self.live:
            if live.id not in paired:
                yield self._undeclared_step(live)
        selected = len(self.tenancy.subscriptions)
        for declared, found in self.pairs[:selected]:
            yield from self._declared_steps(declared, found)
        for _, found in self.pairs[selected:]:
            for live in found:
                yield self._step("leave", None, live, [planned.NOT_TARGETED])

    def _declared_steps(
        self, declared: DeclaredSubscription, found: Sequence[LiveSubscription]
    ) -> Iterator[Step]:
        """Decide the steps of a declared subscription and of its duplicates, or of a paused one."""
        if declared.enabled:
            is_named = matches_any(declared.address, self.options.replace)
            requested = [planned.REQUESTED] if is_named else []
            yield self._first_step(declared, found[0] if found else None, requested)
            for live in found[1:]:
                is_free = is_named or is_owned(self.tenancy, live, self.history)
                reasons = [planned.DUPLICATE, *requested]
                yield self._removal(declared, live, reasons, is_free=is_free)
            return
        for live in found:
            yield self._removal(declared, live, [planned.PAUSED], is_free=False)
        if not found:
            yield self._step("keep", declared, None, [planned.PAUSED])

    def _removal(
        self,
        declared: DeclaredSubscription,
        live: LiveSubscription,
        reasons: Sequence[Reason],
        *,
        is_free: bool,
    ) -> Step:
        """Remove a live subscription if it is free to go, or if the state has it; or leave it."""
        is_recorded = self.history.is_trusted and self.history.record(live.id) is not None
        action: planned.Action = "unsubscribe" if is_free or is_recorded else "leave"
        return self._step(action, declared, live, reasons)

    def _first_step(
        self,
        declared: DeclaredSubscription,
        live: LiveSubscription | None,
        requested: Sequence[Reason],
    ) -> Step:
        """Decide the step of a declared subscription. `live`: the one to keep or to replace."""
        secret = self.history.no_value.get(declared.secret, "unknown")
        is_lost = local_name(declared) in self.history.lost_names
        if live is None:
            reasons = [planned.REMOVED_OUTSIDE if is_lost else planned.NEW, *requested]
            return self._step("subscribe", declared, None, reasons, secret=secret)
        if declared.secret not in self.history.no_value:
            secret = self.states.get(live.id, "unknown")
        changes = content_changes(declared, live, self.history)
        is_unknown = self.history.has_state and self.history.record(live.id) is None
        if is_unknown and not requested:
            # --adopt takes nothing that was replaced outside this state
            is_named = not is_lost and matches_any(declared.address, self.options.adopt)
            if is_named or live.id in declared.adopt:
                return self._step("adopt", declared, live, [planned.ADOPT], changes, secret)
            unknown = planned.REPLACED_OUTSIDE if is_lost else planned.SECRET_UNKNOWN
            return self._step("keep", declared, live, [unknown], secret=secret)
        reasons = [*self._differences(declared, live, changes, secret), *requested]
        if not reasons:
            return self._step("keep", declared, live, secret=secret)
        return self._step("resubscribe", declared, live, reasons, changes, secret)

    def _differences(
        self,
        declared: DeclaredSubscription,
        live: LiveSubscription,
        changes: Iterable[planned.Change],
        secret: SecretState,
    ) -> Iterator[Reason]:
        """Return how a declared subscription differs from its live one."""
        if live.url.identity != declared.url.identity:
            entry = self.history.entries.get(live.id)
            digest = declared_digest(self.history.url_salt, declared.key)
            if entry is None or entry.declared != digest:  # otherwise, only the spelling differs
                yield planned.URL_CHANGED
        for change in changes:
            yield Reason("flag-changed", f"{change.field} differs")
        if live.id in self.history.found:
            yield planned.UNCONFIRMED
        elif secret == "changed":
            yield planned.SECRET_CHANGED

    def _step(
        self,
        action: planned.Action,
        declared: DeclaredSubscription | None,
        live: LiveSubscription | None,
        reasons: Sequence[Reason] = (),
        changes: tuple[planned.Change, ...] = (),
        secret: SecretState | None = None,
    ) -> Step:
        """Make a step, with what the state has about the live subscription."""
        step = Step(action, declared, live, tuple(reasons), changes, secret)
        if declared:
            step = replace(step, address=declared.address, name=declared.name)
        if live is None:
            return step
        record = self.history.record(live.id)
        if record is None:
            seen = self.history.seen
            if not self.history.has_state:
                return replace(step, origin="unknown")
            return replace(step, origin="foreign", is_new=seen is not None and live.id not in seen)
        origin: planned.Origin = "found" if isinstance(record, Attempt) else "made"
        if isinstance(record, StateEntry) and record.is_adopted:
            origin = "adopted"
        evidence: planned.Evidence | None = None
        if action == "keep" and secret == "same":
            evidence = "adopted" if origin == "adopted" else "response"
        former = record.local_name.partition("/")[0]
        return replace(
            step,
            origin=origin,
            evidence=evidence,
            made_at=rfc3339(record.at),
            name=step.name or former,
        )

    def _removal_alone(self, step: Step) -> Step:
        """Remove what `remove` names, unless it is protected, or an address keeps or replaces it.

        Everything else is left.
        """
        if step.id not in self.options.remove:
            reason = planned.NOT_TARGETED
        elif step.action not in ("unsubscribe", "leave"):
            reason = Reason("undeclared", f"kept as {step.address}")
        elif planned.PROTECTED in step.reasons:
            reason = planned.PROTECTED
        else:
            reasons = (*step.reasons, planned.NAMED_BY_REMOVE)
            return replace(step, action="unsubscribe", reasons=reasons)
        return self._step("leave", None, step.old, [reason])

    def _undeclared_step(self, live: LiveSubscription) -> Step:
        """Decide the step of a live subscription that is paired with no declared one."""
        record = self.history.record(live.id)
        former = f"{self.tenancy.name}/{record.local_name}" if record else ""
        reason = _why_left(self.tenancy, live, self.history)
        if self.options.targets and not matches_any(former, self.options.targets):
            reason = planned.NOT_TARGETED
        if reason:
            return self._step("leave", None, live, [reason])
        reason = planned.NO_LONGER_DECLARED if record else planned.NOT_DECLARED
        return self._step("unsubscribe", None, live, [reason])
