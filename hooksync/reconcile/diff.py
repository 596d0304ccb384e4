"""Compare declared and live subscriptions and decide one step for each.

This module is the core of hooksync, and pure: no I/O, no clock.

First, declared and live subscriptions are paired: by identity, then by what the state contains.
Then each pair gets a step. A live subscription that is not owned is removed only if a declared one
with its identity replaces it, if `remove` names it, or if it is a duplicate or paused and the state
has it. `--replace` also removes the duplicates of the addresses that it names. If the secret of a
live subscription is unknown, a difference never replaces it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from hooksync.core.clock import rfc3339
from hooksync.core.errors import Problems
from hooksync.core.model import (
    COMPARED,
    Content,
    DeclaredSubscription,
    LiveSubscription,
    LiveSubscriptions,
    SecretRef,
    SecretState,
    Tenancy,
    matches_any,
)
from hooksync.core.record import Record, replace
from hooksync.core.urls import is_respelling, owns_url, protects_url
from hooksync.reconcile.plan import (
    ACTIONS,
    ADOPT,
    DUPLICATE,
    HANDED_OVER,
    MARKED,
    NAMED_BY_REMOVE,
    NEW,
    NO_LONGER_DECLARED,
    NOT_DECLARED,
    NOT_IN_STATE,
    NOT_TARGETED,
    OUTSIDE_PREFIXES,
    OWNS_NONE,
    PAUSED,
    PROTECTED,
    REMOVED_OUTSIDE,
    REPLACED_OUTSIDE,
    REQUESTED,
    SECRET_CHANGED,
    SECRET_UNKNOWN,
    UNCONFIRMED,
    UNSIGNED,
    URL_CHANGED,
    Action,
    Origin,
    Reason,
    Selection,
    Step,
    TenancyPlan,
)
from hooksync.state.fingerprints import KeyRing, SecretWithSalt, identity_digest
from hooksync.state.history import History, declared_by_identity, local_name

# by what is known of a live secret
_SECRET_REASONS = {"changed": SECRET_CHANGED, "unconfirmed": UNCONFIRMED, "marked": MARKED}

Pairs = list[tuple[DeclaredSubscription, list[LiveSubscription]]]  # the one to keep comes first
_PROVEN = ("made", "adopted")  # origins that a response or a person vouches for
_RECORDED = ("made", "adopted", "found")  # origins of what a trusted state has


def empty_plan(tenancy: Tenancy, errors: Problems = (), refusals: Problems = ()) -> TenancyPlan:
    """Return the plan of a tenancy without steps, as if nothing could be read."""
    return TenancyPlan(
        tenancy.name,
        tenancy.server.shown,
        tenancy.tenant,
        tenancy.location,
        tenancy.replacement,
        tenancy.probe,
        len(tenancy.subscriptions),
        refusals=refusals,
        errors=errors,
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

    What a run was going to remove comes last, and does not prevent the third rule.
    Under a policy, an unsigned state pairs nothing: its writer could cause any removal. What is
    under a prefix of `protect` is paired with nothing, and so is what is handed over.
    """
    pairs: Pairs = [(declared, []) for declared in (*tenancy.subscriptions, *tenancy.not_selected)]
    if tenancy.is_handed_over:
        return pairs
    places = {declared.key: found for declared, found in pairs}
    made_for: Mapping[str, DeclaredSubscription] = {}
    moved = []
    for subscription in live:
        entry = history.entries.get(subscription.id) if history.is_trusted else None
        if protects_url(tenancy.protect, subscription.url.full):
            continue
        if subscription.key in places:
            places[subscription.key].append(subscription)
            continue
        if entry is None:
            continue
        made_for = made_for or declared_by_identity(tenancy, history.url_salt)
        if declared := made_for.get(entry.identity):
            # if this is no respelling, the response that contained this id was wrong
            if is_respelling(subscription.url.full, declared.url.full):
                places[declared.key].append(subscription)
        elif is_owned(tenancy, subscription, history):
            moved.append(subscription)
    for declared, found in pairs:
        if len(found) > 1:
            found.sort(key=partial(_preference, declared, history))
    _pair_moved(pairs, moved, history)
    return pairs


def _pair_moved(pairs: Pairs, moved: list[LiveSubscription], history: History) -> None:
    """Pair live subscriptions with declared ones of the same address.

    The declared one must have no live one, or only newer ones.
    """
    names = {(local_name(declared), declared.trigger): found for declared, found in pairs}
    moved.sort(key=history.run_of, reverse=True)
    for live in moved:
        found = names.get((history.entries[live.id].local_name, live.trigger))
        if found is None:
            continue
        others = [other for other in found if not history.is_marked(other)]
        if all(history.run_of(other) > history.run_of(live) for other in others):
            found.insert(len(others), live)


def _preference(
    declared: DeclaredSubscription, history: History, live: LiveSubscription
) -> tuple[bool, bool, bool, int, bool]:
    """Return a sort key, by which the live subscription to keep comes first.

    It is not marked. It is the one to adopt; otherwise the newest entry; otherwise the newest found
    one; otherwise one whose content is right.
    """
    is_adopted = live.id in declared.adopt and history.record(live.id) is None
    is_entry = live.id in history.entries
    is_marked = history.is_marked(live)
    is_wrong = known_content(declared, live, history) != declared.content
    return is_marked, not is_adopted, not is_entry, -history.run_of(live), is_wrong


def known_content(
    declared: DeclaredSubscription, live: LiveSubscription, history: History
) -> Content:
    """Return what is known of the content of a live subscription.

    If the list does not report a field, the value in the state counts; without one, none differs.
    """
    record = history.record(live.id)
    recorded = COMPARED | record.content if record else declared.content
    known: Content = {}
    for name, value in live.content.items():
        known[name] = recorded[name] if value is None else value
    return known


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """List the fields that differ between two flat dictionaries."""
    if before == after:
        return []
    from deepdiff import DeepDiff  # only here: its import takes as long as the rest of a plan

    found = DeepDiff(before, after, threshold_to_diff_deeper=0).affected_root_keys
    return [name for name in {**before, **after} if name in found]


def is_owned(tenancy: Tenancy, live: LiveSubscription, history: History) -> bool:
    """Whether hooksync may remove a subscription that no file declares."""
    return _why_left(tenancy, live, history) is None


def _why_left(tenancy: Tenancy, live: LiveSubscription, history: History) -> Reason | None:
    """Return why hooksync does not own a live subscription; None if it does."""
    if protects_url(tenancy.protect, live.url.full):
        return PROTECTED
    match tenancy.owns:
        case "all":
            return None
        case "none":
            return OWNS_NONE
        case "made":
            if not history.has_state:
                return NOT_DECLARED
            if history.record(live.id) is None:
                return NOT_IN_STATE
            if not history.is_trusted:
                return UNSIGNED
            return None
        case prefixes:
            return None if owns_url(prefixes, live.url.full) else OUTSIDE_PREFIXES


class Comparison(Record):
    """Decides the steps of one tenancy."""

    tenancy: Tenancy
    live: LiveSubscriptions
    selection: Selection
    history: History
    pairs: Pairs  # of `pair`
    ring: KeyRing  # with the keys of the secrets
    tagged: Collection[str]  # the live ids whose tag proves that the declared secret is the same
    # the other declared secrets, with the salts of the entries to compare them with, by live id
    secrets: Mapping[str, SecretWithSalt]
    no_value: Mapping[SecretRef, SecretState]  # why references have no value in this run

    def plan(self) -> TenancyPlan:
        """Decide on exactly one step for each declared and each live subscription."""
        steps = [*self._steps()]
        if self.selection.remove:
            steps = [self._removal_alone(step) for step in steps if step.live]
        steps.sort(key=lambda step: (ACTIONS.index(step.action), step.shown.key, step.id))
        return replace(empty_plan(self.tenancy), live_count=len(self.live), steps=tuple(steps))

    def _steps(self) -> Iterator[Step]:
        """Make the steps, in any order."""
        paired = {live.id for _, found in self.pairs for live in found}
        for live in self.live:
            if live.id not in paired:
                yield self._undeclared_step(live)
        selected = len(self.tenancy.subscriptions)
        for declared, found in self.pairs[:selected]:
            decide = self._declared_steps if declared.enabled else self._paused_steps
            yield from decide(declared, found)
        for _, found in self.pairs[selected:]:
            for live in found:
                yield self._step("leave", None, live, [NOT_TARGETED])

    def _declared_steps(
        self, declared: DeclaredSubscription, found: Sequence[LiveSubscription]
    ) -> Iterator[Step]:
        """Decide the steps of a declared subscription and of its duplicates."""
        history = self.history
        kept = found[0] if found else None
        entry = history.entries.get(kept.id) if kept else None
        is_named = matches_any(declared.address, self.selection.replace)
        is_done = entry is not None and entry.run == history.run  # this run has replaced it
        requested = [REQUESTED] if is_named and not is_done else []
        if history.is_marked(kept) and not (requested or history.record(found[0].id)):
            kept = None  # the mark alone is no reason to replace it
        first = self._first_step(declared, kept, requested)
        yield first
        stays = first.creates or first.action == "adopt" or first.origin in _PROVEN
        for live in found[1:] if kept else found:
            is_known = live.id in history.going or self._origin(live.id) in _RECORDED
            is_free = requested or is_known or is_owned(self.tenancy, live, history)
            action: Action = "unsubscribe" if stays and is_free else "leave"
            yield self._step(action, declared, live, [DUPLICATE, *requested])

    def _paused_steps(
        self, declared: DeclaredSubscription, found: Sequence[LiveSubscription]
    ) -> Iterator[Step]:
        """Decide the steps of a paused subscription."""
        if not found:
            yield self._step("keep", declared, None, [PAUSED])
        for live in found:
            is_recorded = self._origin(live.id) in _RECORDED
            yield self._step("unsubscribe" if is_recorded else "leave", declared, live, [PAUSED])

    def _first_step(
        self,
        declared: DeclaredSubscription,
        live: LiveSubscription | None,
        requested: Sequence[Reason],
    ) -> Step:
        """Decide the step of a declared subscription. `live`: the one to keep or to replace."""
        action: Action = "keep"
        secret = self._secret(declared, live)
        # whether the state has an entry of this name that is no longer live
        is_lost = local_name(declared) in self.history.lost_names
        reasons = [REPLACED_OUTSIDE if is_lost else SECRET_UNKNOWN]
        if live is None:
            action = "subscribe"
            reasons = [REMOVED_OUTSIDE if is_lost else NEW, *requested]
        elif requested or self._has_secret(live):
            reasons = [*self._differences(declared, live, secret), *requested]
            action = "resubscribe" if reasons else "keep"
        # --adopt takes nothing that was replaced outside this state
        elif live.id in declared.adopt or (
            not is_lost and matches_any(declared.address, self.selection.adopt)
        ):
            action = "adopt"
            reasons = [ADOPT]
        return self._step(action, declared, live, reasons, secret)

    def _has_secret(self, live: LiveSubscription) -> bool:
        """Whether the secret can be compared, or is certainly to be replaced, or has no state."""
        history = self.history
        is_known = history.record(live.id) is not None or history.is_marked(live)
        return is_known or not history.has_state

    def _differences(
        self, declared: DeclaredSubscription, live: LiveSubscription, secret: SecretState
    ) -> Iterator[Reason]:
        """Compare both sides of a pair, and return how they differ."""
        history = self.history
        wanted = {"url": declared.url.identity, **declared.content, "secret": "same"}
        content = known_content(declared, live, history)
        known: dict[str, Any] = {"url": live.url.identity, **content}
        entry = history.entries.get(live.id)
        if entry and entry.identity == identity_digest(history.url_salt, declared.key):
            known["url"] = wanted["url"]  # the service may spell it differently
        known["secret"] = "changed" if secret == "changed" else "same"  # as far as it is known
        if live.id in history.found:
            known["secret"] = "unconfirmed"
        elif history.is_marked(live):
            known["secret"] = "marked"
        for name in differing(known, wanted):
            if name == "url":
                yield URL_CHANGED
            elif name == "secret":
                yield _SECRET_REASONS[known["secret"]]
            else:
                yield Reason("flag-changed", f"{name} differs")

    def _secret(self, declared: DeclaredSubscription, live: LiveSubscription | None) -> SecretState:
        """Return what is known of a declared secret, compared with the live one."""
        if declared.secret in self.no_value:
            return self.no_value[declared.secret]
        if live is None or self.history.is_marked(live):
            return "unknown"
        if live.id in self.tagged:
            return "same"
        if live.id not in self.secrets:
            return "unknown"
        key = self.ring.key(*self.secrets[live.id])
        is_same = self.history.entries[live.id].is_made_with(key, self.tenancy.key)
        return "same" if is_same else "changed"

    def _origin(self, identifier: str) -> Origin:
        """Return how the state has a live subscription.

        If the state is not trusted, only the entries that this run has made prove anything.
        """
        history = self.history
        entry = history.entries.get(identifier)
        if entry and (history.is_trusted or entry.run == history.run):
            return "adopted" if entry.is_adopted else "made"
        if not (history.has_state and history.is_trusted):
            return "unknown"
        return "found" if identifier in history.found else "foreign"

    def _step(
        self,
        action: Action,
        declared: DeclaredSubscription | None,
        live: LiveSubscription | None,
        reasons: Sequence[Reason],
        secret: SecretState | None = None,
    ) -> Step:
        """Make a step, with what is known of both sides."""
        known: dict[str, Any] = {}
        if live:
            known = self._recorded(live)
            # whether it removes something, and nothing proven stays in its place
            is_alone = action == "unsubscribe" and DUPLICATE not in reasons
            if action == "resubscribe":
                is_alone = self.tenancy.replacement == "remove-first"
            is_free = known["origin"] in _PROVEN or REQUESTED in reasons
            known["needs_review"] = is_alone and not is_free
        if live and action == "keep" and secret == "same":
            is_adopted = self.history.entries[live.id].is_adopted
            known["evidence"] = "adopted" if is_adopted else "response"
        if declared:
            known |= {"address": declared.address, "name": declared.name}
        return Step(action, declared, live, tuple(reasons), secret, **known)

    def _recorded(self, live: LiveSubscription) -> dict[str, Any]:
        """Return what the state has about a live subscription, as fields of a step."""
        origin = self._origin(live.id)
        record = self.history.record(live.id)
        if record and origin in _RECORDED:
            name = record.local_name.partition("/")[0]
            return {"origin": origin, "made_at": rfc3339(record.at), "name": name}
        seen = self.history.records.foreign
        is_new = origin == "foreign" and seen is not None and live.id not in seen
        return {"origin": origin, "is_new": is_new}

    def _removal_alone(self, step: Step) -> Step:
        """Remove what `remove` names, unless it is protected, or an address keeps or replaces it.

        Everything else is left.
        """
        if step.id not in self.selection.remove:
            reason = NOT_TARGETED
        elif step.action not in ("unsubscribe", "leave"):
            reason = Reason("undeclared", f"kept as {step.address}")
        elif PROTECTED in step.reasons:
            reason = PROTECTED
        else:
            reasons = (*step.reasons, NAMED_BY_REMOVE)
            return replace(step, action="unsubscribe", reasons=reasons, needs_review=False)
        return self._step("leave", None, step.live_side, [reason])

    def _undeclared_step(self, live: LiveSubscription) -> Step:
        """Decide the step of a live subscription that is paired with no declared one."""
        record = self.history.record(live.id)
        former = f"{self.tenancy.name}/{record.local_name}" if record else ""
        if self.selection.target and not matches_any(former, self.selection.target):
            return self._step("leave", None, live, [NOT_TARGETED])
        if self.tenancy.is_handed_over:
            return self._step("forget" if record else "leave", None, live, [HANDED_OVER])
        if reason := _why_left(self.tenancy, live, self.history):
            return self._step("leave", None, live, [reason])
        is_ours = record and self.history.is_trusted
        reason = NO_LONGER_DECLARED if is_ours else NOT_DECLARED
        return self._step("unsubscribe", None, live, [reason])
