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
from typing import Any

from hooksync.core.clock import rfc3339
from hooksync.core.errors import Problem
from hooksync.core.model import (
    DeclaredSubscription,
    Globs,
    LiveSubscription,
    SecretState,
    Tenancy,
    matches_any,
)
from hooksync.core.record import Record, replace
from hooksync.core.urls import is_respelling, owns_url
from hooksync.reconcile import plan as planned
from hooksync.reconcile.plan import Reason, Step
from hooksync.state.fingerprints import declared_digest
from hooksync.state.history import NOTHING, History, local_name
from hooksync.state.model import Attempt, StateEntry

Nested = Mapping[str, Any]  # nested data as in JSON
Pairs = list[tuple[DeclaredSubscription, list[LiveSubscription]]]  # the one to keep comes first


class DiffOptions(Record, frozen=True):
    """The options of a comparison, from the command line or a saved plan."""

    replace: Globs = ()  # globs of addresses to resubscribe even if nothing differs
    adopt: Globs = ()  # globs of addresses whose live subscriptions have the declared secret
    targets: Globs = ()  # globs of addresses to compare; (): all
    remove: Globs = ()  # live ids; if there are any, the plan removes these and does nothing else


def make_plan(
    tenancy: Tenancy,
    live: Sequence[LiveSubscription],
    options: DiffOptions,
    history: History = NOTHING,
) -> planned.TenancyPlan:
    """Decide on exactly one step for each declared and each live subscription."""
    comparison = _Comparison(tenancy, options, history, history.lost_names(live))
    steps = _decide(comparison, live)
    if options.remove:
        steps = [comparison.removal_alone(step) for step in steps if step.live]
    plan = unread(tenancy)
    return replace(plan, live_count=len(live), steps=tuple(sorted(steps, key=planned.step_order)))


def _decide(comparison: _Comparison, live: Sequence[LiveSubscription]) -> list[Step]:
    """Make the steps of a tenancy, in any order."""
    pairs = pair(comparison.tenancy, live, comparison.history)
    paired = {subscription.id for _, found in pairs for subscription in found}
    steps: list[Step] = []
    for subscription in live:
        if subscription.id not in paired:
            steps.append(comparison.step_without_declaration(subscription))
    selected = len(comparison.tenancy.subscriptions)
    for declared, found in pairs[:selected]:
        if declared.enabled:
            steps.append(comparison.step_for(declared, found))
            steps += comparison.duplicate_steps(declared, found)
        else:
            steps += comparison.paused_steps(declared, found)
    for _, found in pairs[selected:]:
        steps += [
            comparison.step("leave", None, subscription, [planned.NOT_TARGETED])
            for subscription in found
        ]
    return steps


def unread(tenancy: Tenancy, errors: Sequence[Problem] = ()) -> planned.TenancyPlan:
    """Return the plan of a tenancy whose live subscriptions are not known."""
    return planned.TenancyPlan(
        tenancy.name,
        tenancy.server.shown,
        tenancy.tenant,
        tenancy.location,
        tenancy.replacement,
        tenancy.probe,
        len(tenancy.subscriptions),
        errors=tuple(errors),
    )


def pair(tenancy: Tenancy, live: Sequence[LiveSubscription], history: History) -> Pairs:
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
    everything = (*tenancy.subscriptions, *tenancy.not_selected)
    places = {declared.key: list[LiveSubscription]() for declared in everything}
    others: list[LiveSubscription] = []
    for subscription in live:
        if not owns_url(tenancy.protect, subscription.url.full):
            places.get(subscription.key, others).append(subscription)
    pairs = list(zip(everything, places.values(), strict=True))
    recorded = [subscription for subscription in others if subscription.id in history.entries]
    moved = _pair_respelt(pairs, recorded, history) if history.is_trusted and recorded else []
    for declared, found in pairs:
        _sort_by_preference(declared, found, history)
    owned = [move for move in moved if is_owned(tenancy, move[0], history)]
    _pair_moved(pairs, owned, history)
    return pairs


def _sort_by_preference(
    declared: DeclaredSubscription, found: list[LiveSubscription], history: History
) -> None:
    """Put the live subscription to keep first. `found`: all of the declared identity."""
    if len(found) > 1:
        found.sort(key=partial(_preference, declared, history))
        # the one to adopt first: sorting keeps the order of the others
        found.sort(key=lambda live: not is_adopted_by_id(declared, live, history))


def _pair_respelt(
    pairs: Pairs, recorded: Sequence[LiveSubscription], history: History
) -> list[tuple[LiveSubscription, StateEntry]]:
    """Pair live subscriptions whose URL the service spells differently than the file.

    `recorded`: live subscriptions that are not paired and have an entry in the state. Returns those
    that were made for a URL and trigger that no file declares, with their entries.
    """
    made_for = {
        declared_digest(history.url_salt, declared.key): (declared, found)
        for declared, found in pairs
    }
    moved = []
    for live in recorded:
        entry = history.entries[live.id]
        declared, found = made_for.get(entry.declared, (None, []))
        if declared is None:
            moved.append((live, entry))
        # if this is no respelling, the response that contained this id was wrong
        elif is_respelling(live.url.full, declared.url.full):
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
        if all(_run(live, history) > entry.run for live in found):
            found.append(live)


def _run(live: LiveSubscription, history: History) -> int:
    """Return the run that made a live subscription; 0: the state does not have it."""
    record = history.record(live.id)
    return record.run if record else 0


def is_moved(declared: DeclaredSubscription, live: LiveSubscription, history: History) -> bool:
    """Whether the live one of a pair was made for a different URL than the declared one."""
    if live.url.identity == declared.url.identity:
        return False
    entry = history.entries.get(live.id)
    return not (entry and entry.declared == declared_digest(history.url_salt, declared.key))


def _preference(
    declared: DeclaredSubscription, history: History, live: LiveSubscription
) -> tuple[bool, int, bool]:
    """Return a sort key: entries before found ones, the newest first, then the right content."""
    is_entry = live.id in history.entries
    return not is_entry, -_run(live, history), bool(content_changes(declared, live, history))


def is_adopted_by_id(
    declared: DeclaredSubscription, live: LiveSubscription, history: History
) -> bool:
    """Whether the file adopts a live subscription that the state does not have."""
    return live.id in declared.adopt and history.record(live.id) is None


def content_changes(
    declared: DeclaredSubscription, live: LiveSubscription, history: History = NOTHING
) -> tuple[planned.Change, ...]:
    """List the fields that differ in a pair; a field whose live value is unknown never does."""
    wanted = declared.content
    reported = history.content_of(live)
    for name, value in reported.items():
        if value is None:
            del wanted[name]
    known = {name: reported[name] for name in wanted}
    return tuple(planned.Change(str(path[0]), *pair) for path, *pair in compare(known, wanted))


def compare(before: Nested, after: Nested) -> list[tuple[list[str | int], Any, Any]]:
    """List the paths at which nested data differ, sorted, with both values (None: missing)."""
    if before == after:
        return []
    from deepdiff import DeepDiff  # only here: its import takes as long as the rest of a plan
    from deepdiff.helper import notpresent

    tree = DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0)
    levels = [level for several in tree.values() for level in several]
    levels.sort(key=lambda level: str(level.path()))
    found = []
    for level in levels:
        was = None if level.t1 is notpresent else level.t1
        wants = None if level.t2 is notpresent else level.t2
        found.append((level.path(output_format="list"), was, wants))
    return found


def is_owned(tenancy: Tenancy, live: LiveSubscription, history: History) -> bool:
    """Whether hooksync may remove a subscription that no file declares."""
    return not _why_left(tenancy, live, history)


def _why_left(tenancy: Tenancy, live: LiveSubscription, history: History) -> str:
    """Say why hooksync does not own a live subscription; empty if it does."""
    if owns_url(tenancy.protect, live.url.full):
        return planned.PROTECTED.text
    match tenancy.owns:
        case "all":
            return ""
        case "none":
            return "kept by `owns: none`"
        case "made":
            if not history.has_state:
                return planned.NOT_DECLARED.text
            if history.record(live.id) is None:
                return planned.NOT_IN_STATE.text
            if not history.is_trusted:
                return "only in an unsigned state, which proves nothing under a policy"
            return ""
        case prefixes:
            return "" if owns_url(prefixes, live.url.full) else "outside the prefixes of `owns`"


class _Comparison(Record, frozen=True):
    """Decides the steps of one tenancy."""

    tenancy: Tenancy
    options: DiffOptions
    history: History
    lost_names: frozenset[str]  # local names of state entries whose ids are no longer live

    def step_for(self, declared: DeclaredSubscription, found: Sequence[LiveSubscription]) -> Step:
        """Decide the step of a declared subscription. `found`: its live ones, sorted by `pair`."""
        if not found:
            return self._subscribe(declared)
        live = found[0]
        state = self.history.state_of(declared, live)
        unknown = self._unknown_reasons(declared, live)
        changes = content_changes(declared, live, self.history)
        if unknown and not self._is_requested(declared):
            if not self._is_adopted(declared, live, unknown):
                return self.step("keep", declared, live, unknown, secret=state)
            reasons = [planned.ADOPT]
            return self.step("adopt", declared, live, reasons, changes=changes, secret=state)
        reasons = [*self._differences(declared, live, state, changes)]
        if self._is_requested(declared):
            reasons.append(planned.REQUESTED)
        if not reasons:
            return self.step("keep", declared, live, secret=state)
        return self.step("resubscribe", declared, live, reasons, changes=changes, secret=state)

    def _is_adopted(
        self, declared: DeclaredSubscription, live: LiveSubscription, unknown: Sequence[Reason]
    ) -> bool:
        """Whether a person vouches for the secret of a live subscription.

        `--adopt` takes nothing that was replaced outside this state: its secret is not this one.
        """
        if is_adopted_by_id(declared, live, self.history):
            return True
        is_named = matches_any(declared.address, self.options.adopt)
        return is_named and planned.REPLACED_OUTSIDE not in unknown

    def _differences(
        self,
        declared: DeclaredSubscription,
        live: LiveSubscription,
        state: SecretState,
        changes: Iterable[planned.Change],
    ) -> Iterator[Reason]:
        """Return how a declared subscription differs from its live one."""
        if is_moved(declared, live, self.history):
            yield planned.URL_CHANGED
        for change in changes:
            yield Reason("flag-changed", f"{change.field} differs")
        if live.id in self.history.found:
            yield planned.UNCONFIRMED
        elif state == "changed":
            yield planned.SECRET_CHANGED

    def _subscribe(self, declared: DeclaredSubscription) -> Step:
        is_lost = local_name(declared) in self.lost_names
        reasons = [planned.REMOVED_OUTSIDE if is_lost else planned.NEW]
        if self._is_requested(declared):
            reasons.append(planned.REQUESTED)
        state = self.history.state_of(declared, None)
        return self.step("subscribe", declared, None, reasons, secret=state)

    def step(
        self,
        action: planned.Action,
        declared: DeclaredSubscription | None,
        live: LiveSubscription | None,
        reasons: Sequence[Reason] = (),
        *,
        changes: tuple[planned.Change, ...] = (),
        secret: SecretState | None = None,
    ) -> Step:
        """Make a step, with what the state has about the live subscription."""
        record = self.history.record(live.id) if live else None
        name = record.local_name.partition("/")[0] if record else None
        origin = self._origin(record) if live else None
        evidence: planned.Evidence | None = None
        if action == "keep" and secret == "same":
            evidence = "adopted" if origin == "adopted" else "response"
        return Step(
            action,
            declared,
            live,
            tuple(reasons),
            changes,
            secret,
            evidence,
            origin,
            rfc3339(record.at) if record else None,
            declared.address if declared else None,
            declared.name if declared else name,
            is_new=origin == "foreign" and live is not None and self._is_new(live),
        )

    def _is_new(self, live: LiveSubscription) -> bool:
        """Whether the last apply of the tenancy did not see a live subscription."""
        return self.history.seen is not None and live.id not in self.history.seen

    def _origin(self, record: StateEntry | Attempt | None) -> planned.Origin:
        """Return how the state has a live subscription. `record`: its record, if it has one."""
        match record:
            case None:
                return "foreign" if self.history.has_state else "unknown"
            case StateEntry():
                return "adopted" if record.is_adopted else "made"
            case Attempt():
                return "found"

    def _is_requested(self, declared: DeclaredSubscription) -> bool:
        return matches_any(declared.address, self.options.replace)

    def _unknown_reasons(
        self, declared: DeclaredSubscription, live: LiveSubscription
    ) -> tuple[Reason, ...]:
        """Return why a live subscription's secret is unknown, if the state does not have it.

        Returns () if it does, or if the run has no state.
        """
        if self.history.record(live.id) or not self.history.has_state:
            return ()
        is_lost = local_name(declared) in self.lost_names
        return (planned.REPLACED_OUTSIDE if is_lost else planned.SECRET_UNKNOWN,)

    def duplicate_steps(
        self, declared: DeclaredSubscription, found: Sequence[LiveSubscription]
    ) -> Iterator[Step]:
        """Decide the steps of the live duplicates, which are all of `found` but the first.

        A duplicate is removed if it is owned, if the state has it, or if `--replace` names the
        address. The others are left.
        """
        is_requested = self._is_requested(declared)
        for live in found[1:]:
            is_recorded = self.history.is_trusted and self.history.record(live.id) is not None
            is_ours = is_recorded or is_owned(self.tenancy, live, self.history)
            action: planned.Action = "unsubscribe" if is_requested or is_ours else "leave"
            reasons = [planned.DUPLICATE]
            if is_requested:
                reasons.append(planned.REQUESTED)
            yield self.step(action, declared, live, reasons)

    def paused_steps(
        self, declared: DeclaredSubscription, found: Sequence[LiveSubscription]
    ) -> Iterator[Step]:
        """Decide the steps of a paused subscription. Only what the state has is removed."""
        if not found:
            yield self.step("keep", declared, None, [planned.PAUSED])
        for live in found:
            is_ours = bool(self.history.record(live.id)) and self.history.is_trusted
            action: planned.Action = "unsubscribe" if is_ours else "leave"
            yield self.step(action, declared, live, [planned.PAUSED])

    def removal_alone(self, step: Step) -> Step:
        """Remove what `remove` names, unless it is protected, or an address keeps or replaces it.

        Everything else is left.
        """
        reason = planned.NOT_TARGETED
        if step.id in self.options.remove:
            if step.action in ("unsubscribe", "leave") and planned.PROTECTED not in step.reasons:
                return replace(
                    step, action="unsubscribe", reasons=(*step.reasons, planned.NAMED_BY_REMOVE)
                )
            reason = Reason("undeclared", f"kept as {step.address}")
            if step.address is None:
                reason = planned.PROTECTED
        return self.step("leave", None, step.old, [reason])

    def step_without_declaration(self, live: LiveSubscription) -> Step:
        """Decide the step of a live subscription that is paired with no declared one."""
        record = self.history.record(live.id)
        if self.options.targets:
            former = f"{self.tenancy.name}/{record.local_name}" if record else ""
            if not matches_any(former, self.options.targets):
                return self.step("leave", None, live, [planned.NOT_TARGETED])
        why = _why_left(self.tenancy, live, self.history)
        if why:
            return self.step("leave", None, live, [Reason("undeclared", why)])
        reason = planned.NO_LONGER_DECLARED if record else planned.NOT_DECLARED
        return self.step("unsubscribe", None, live, [reason])
