"""Compare declared and live subscriptions and decide one step for each.

This module is the core of hooksync, and pure: no I/O, no clock.

First, declared and live subscriptions are paired: by identity, then by what the state contains.
Then each pair gets a step. A live subscription that is not owned is removed only if a declared one
with its identity replaces it, if `remove` names it, or if it is a duplicate or paused and the state
has it. `--replace` also removes the duplicates of the addresses that it names. If the secret of a
live subscription is unknown, a difference never replaces it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from hooksync.core.clock import rfc3339
from hooksync.core.errors import Problem, Problems
from hooksync.core.model import (
    COMPARED,
    Content,
    DeclaredSubscription,
    LiveSubscription,
    LiveSubscriptions,
    SecretRef,
    Secrets,
    SecretState,
    Tenancy,
    matches_any,
)
from hooksync.core.record import Record, replace
from hooksync.core.signing import is_same
from hooksync.core.urls import is_respelling, owns_url, protects_url
from hooksync.reconcile.plan import (
    ACTIONS,
    ADOPT,
    DUPLICATE,
    HANDED_OVER,
    IN_PROGRESS,
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
from hooksync.state.history import (
    declared_by_identity,
    local_name,
    needless_attempts,
    open_attempts,
    settled,
)
from hooksync.state.model import NO_STATE, Attempt, State, StateEntry

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


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """List the fields that differ between two flat dictionaries."""
    if before == after:
        return []
    from deepdiff import DeepDiff  # only here: its import takes as long as the rest of a plan

    found = DeepDiff(before, after, threshold_to_diff_deeper=0).affected_root_keys
    return [name for name in {**before, **after} if name in found]


class Basis(Record):
    """What the plans of a run are made from, whatever the tenancy is."""

    selection: Selection
    state: State | None
    ring: KeyRing  # with the keys of the secrets
    place: str | None = ""  # where the state is, for messages; None: the run has no state
    has_policy: bool = False
    # whether the state proves what hooksync owns: under a policy, an unsigned one does not
    is_trusted: bool = True
    other: Problem | None = None  # a different run holds the run lock
    # the number of the apply that plans again, and the ids that its first plan removes
    run_number: int = 0
    going: Collection[str] = ()

    @property
    def other_number(self) -> int:
        """The number of a different run: the serial of the state that it has begun; 0: none."""
        return self.state.serial if self.other and self.state else 0


class Comparison:
    """A tenancy, its list and what the state has about it, paired: it decides the steps."""

    def __init__(
        self,
        basis: Basis,
        tenancy: Tenancy,
        live: LiveSubscriptions,
        secrets: Secrets,
        no_value: Mapping[SecretRef, SecretState],
    ) -> None:
        """`secrets`: of the run. `no_value`: why references have no value in this run."""
        state = basis.state or NO_STATE
        self.basis = basis
        self.tenancy = tenancy
        self.live = live
        self.no_value = no_value
        self.url_salt = state.url_salt
        self.records = settled(state.of(tenancy.key), live, state.url_salt)
        self.shown = {subscription.id for subscription in live}
        # the attempts whose subscriptions the list shows: no response confirmed them
        attempts = self.records.attempts
        self.found = {attempt.id: attempt for attempt in attempts if attempt.id in self.shown}
        entries = self.records.entries
        self.entries = {entry.id: entry for entry in entries}
        # the addresses, without the tenancy, of what the list lacks
        self.lost_names = {entry.local_name for entry in entries if entry.id not in self.shown}
        # what a different run has begun: addresses that it makes, and ids that it removes
        begun = {
            attempt.address for attempt in attempts if attempt.run_number == basis.other_number
        }
        self.begun = begun.union(self.records.marks if basis.other_number else ())
        self.needed = Counter[str]()  # the open attempts that somebody needs, by address
        self.pairs = self._pair()
        self.secrets = dict(self._salted(secrets, state))

    def _salted(
        self, secrets: Secrets, state: State
    ) -> Iterator[tuple[str, SecretWithSalt | None]]:
        """Yield the values to compare with entries, with their salts, by live id.

        None: the tag of the entry proves that the secret is the same.
        """
        for declared, found in self.pairs:
            entry = self.entries.get(found[0].id) if found else None
            if entry and declared.secret in secrets:
                secret = secrets[declared.secret]
                tag = self.basis.ring.tag(secret, self.tenancy.key, entry.id)
                is_proven = tag and is_same(entry.tag, tag)
                salted = secret, state.salts_by_id[entry.salt]
                yield entry.id, None if is_proven else salted

    def record(self, identifier: str) -> StateEntry | Attempt | None:
        """Return the record of a live subscription. An attempt: no response confirmed it."""
        return self.entries.get(identifier) or self.found.get(identifier)

    def _run_of(self, live: LiveSubscription) -> int:
        """Return the run that made a live subscription; 0: the state does not have it."""
        record = self.record(live.id)
        return record.run_number if record else 0

    def _is_marked(self, live: LiveSubscription) -> bool:
        """Whether a run was going to remove a live subscription: hooksync does not keep it."""
        return live.id in self.records.marks

    def _pair(self) -> Pairs:
        """Pair each declared subscription with its live ones, the selected ones first.

        A live subscription is paired by the first rule that fits:
        1. It has the declared identity.
        2. Its state entry was made for this declared URL and trigger, and the service spells the
           URL differently.
        3. It is owned, and its state entry has the declared address, for which the rules above
           found nothing. So the declared URL has changed. If several fit, the newest is paired.
        4. The same, but a newer record has the declared URL: an earlier run did not finish a move.

        What a run was going to remove comes last, and does not prevent the third rule.
        Under a policy, an unsigned state pairs nothing: its writer could cause any removal. What is
        under a prefix of `protect` is paired with nothing, and so is what is handed over.
        """
        tenancy = self.tenancy
        pairs: Pairs = [(each, []) for each in (*tenancy.subscriptions, *tenancy.not_selected)]
        if tenancy.is_handed_over:
            return pairs
        places = {declared.key: found for declared, found in pairs}
        made_for: Mapping[str, DeclaredSubscription] = {}
        moved = []
        for live in self.live:
            if protects_url(tenancy.protect, live.url.full):
                continue
            if live.key in places:
                places[live.key].append(live)
                continue
            entry = self.entries.get(live.id)
            if entry is None or not self.basis.is_trusted:
                continue
            made_for = made_for or declared_by_identity(tenancy, self.url_salt)
            if declared := made_for.get(entry.identity):
                # if this is no respelling, the response that contained this id was wrong
                if is_respelling(live.url.full, declared.url.full):
                    places[declared.key].append(live)
            elif self.is_owned(live):
                moved.append(live)
        for declared, found in pairs:
            if len(found) > 1:
                found.sort(key=partial(self._preference, declared))
        self._pair_moved(pairs, moved)
        return pairs

    def _pair_moved(self, pairs: Pairs, moved: list[LiveSubscription]) -> None:
        """Pair live subscriptions with declared ones of the same address.

        The declared one must have no live one, or only newer ones.
        """
        names = {(local_name(declared), declared.trigger): found for declared, found in pairs}
        moved.sort(key=self._run_of, reverse=True)
        for live in moved:
            found = names.get((self.entries[live.id].local_name, live.trigger))
            if found is None:
                continue
            others = [other for other in found if not self._is_marked(other)]
            if all(self._run_of(other) > self._run_of(live) for other in others):
                found.insert(len(others), live)

    def _preference(
        self, declared: DeclaredSubscription, live: LiveSubscription
    ) -> tuple[bool, bool, bool, int, bool]:
        """Return a sort key, by which the live subscription to keep comes first.

        It is not marked. It is the one to adopt; otherwise the newest entry; otherwise the newest
        found one; otherwise one whose content is right.
        """
        is_adopted = live.id in declared.adopt and self.record(live.id) is None
        is_entry = live.id in self.entries
        is_wrong = self.known_content(declared, live) != declared.content
        return self._is_marked(live), not is_adopted, not is_entry, -self._run_of(live), is_wrong

    def known_content(self, declared: DeclaredSubscription, live: LiveSubscription) -> Content:
        """Return what is known of the content of a live subscription.

        If the list does not report a field, the value in the state counts; without one, none
        differs.
        """
        record = self.record(live.id)
        recorded = COMPARED | record.content if record else declared.content
        known: Content = {}
        for name, value in live.content.items():
            known[name] = recorded[name] if value is None else value
        return known

    def is_owned(self, live: LiveSubscription) -> bool:
        """Whether hooksync may remove a subscription that no file declares."""
        return self._why_left(live) is None

    def _why_left(self, live: LiveSubscription) -> Reason | None:
        """Return why hooksync does not own a live subscription; None if it does."""
        tenancy = self.tenancy
        if protects_url(tenancy.protect, live.url.full):
            return PROTECTED
        match tenancy.owns:
            case "all":
                return None
            case "none":
                return OWNS_NONE
            case "made":
                if self.basis.place is None:
                    return NOT_DECLARED
                if self.record(live.id) is None:
                    return NOT_IN_STATE
                if not self.basis.is_trusted:
                    return UNSIGNED
                return None
            case prefixes:
                return None if owns_url(prefixes, live.url.full) else OUTSIDE_PREFIXES

    def plan(self) -> TenancyPlan:
        """Decide on exactly one step for each declared and each live subscription.

        Also tell the attempts that somebody needs from the others, if no list shows them.
        """
        steps = [*self._steps()]
        if self.basis.selection.remove:
            steps = [self._removal_alone(step) for step in steps if step.live]
        steps.sort(key=lambda step: (ACTIONS.index(step.action), step.shown.key, step.id))
        plan = replace(empty_plan(self.tenancy), live_count=len(self.live), steps=tuple(steps))
        if not self.records.attempts or self.tenancy.is_handed_over:
            return plan
        declared = declared_by_identity(self.tenancy, self.url_salt)
        needless = needless_attempts(self.records, self.shown, declared, plan.as_declared)
        idle = set()
        hidden = set()
        for attempt in open_attempts(self.records, self.shown):
            address = declared.get(attempt.identity, attempt).address
            if attempt.run_number == self.basis.other_number:
                continue
            if attempt.key not in needless:
                self.needed[address] += 1
                if attempt.id not in self.shown:
                    hidden.add(address)
            elif not attempt.id:
                idle.add(address)
        return replace(plan, open_attempts=tuple(sorted(hidden)), idle_attempts=tuple(sorted(idle)))

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
        kept = found[0] if found else None
        entry = self.entries.get(kept.id) if kept else None
        is_named = matches_any(declared.address, self.basis.selection.replace)
        is_done = (
            entry is not None and entry.run_number == self.basis.run_number
        )  # this run has replaced it
        requested = [REQUESTED] if is_named and not is_done else []
        if kept and self._is_marked(kept) and not (requested or self.record(kept.id)):
            kept = None  # the mark alone is no reason to replace it
        first = self._first_step(declared, kept, requested)
        yield first
        stays = first.creates or first.action == "adopt" or first.origin in _PROVEN
        for live in found[1:] if kept else found:
            is_known = live.id in self.basis.going or self._origin(live.id) in _RECORDED
            is_free = requested or is_known or self.is_owned(live)
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
        is_lost = local_name(declared) in self.lost_names
        reasons = [REPLACED_OUTSIDE if is_lost else SECRET_UNKNOWN]
        if live is None:
            action = "subscribe"
            reasons = [REMOVED_OUTSIDE if is_lost else NEW, *requested]
        # its secret can be compared, or is certainly to be replaced, or there is no state
        elif requested or self.record(live.id) or self._is_marked(live) or self.basis.place is None:
            reasons = [*self._differences(declared, live, secret), *requested]
            action = "resubscribe" if reasons else "keep"
        # --adopt takes nothing that was replaced outside this state
        elif live.id in declared.adopt or (
            not is_lost and matches_any(declared.address, self.basis.selection.adopt)
        ):
            action = "adopt"
            reasons = [ADOPT]
        return self._step(action, declared, live, reasons, secret)

    def _differences(
        self, declared: DeclaredSubscription, live: LiveSubscription, secret: SecretState
    ) -> Iterator[Reason]:
        """Compare both sides of a pair, and return how they differ."""
        wanted = {"url": declared.url.identity, **declared.content, "secret": "same"}
        content = self.known_content(declared, live)
        known: dict[str, Any] = {"url": live.url.identity, **content}
        entry = self.entries.get(live.id)
        if entry and entry.identity == identity_digest(self.url_salt, declared.key):
            known["url"] = wanted["url"]  # the service may spell it differently
        known["secret"] = "changed" if secret == "changed" else "same"  # as far as it is known
        if live.id in self.found:
            known["secret"] = "unconfirmed"
        elif self._is_marked(live):
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
        if live is None or live.id not in self.secrets or self._is_marked(live):
            return "unknown"
        salted = self.secrets[live.id]
        if salted is None:
            return "same"
        key = self.basis.ring.key(*salted)
        is_same = self.entries[live.id].is_made_with(key, self.tenancy.key)
        return "same" if is_same else "changed"

    def _origin(self, identifier: str) -> Origin:
        """Return how the state has a live subscription.

        If the state is not trusted, only the entries that this run has made prove anything.
        """
        basis = self.basis
        entry = self.entries.get(identifier)
        if entry and (basis.is_trusted or entry.run_number == basis.run_number):
            return "adopted" if entry.is_adopted else "made"
        if basis.place is None or not basis.is_trusted:
            return "unknown"
        return "found" if identifier in self.found else "foreign"

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
            is_adopted = self.entries[live.id].is_adopted
            known["evidence"] = "adopted" if is_adopted else "response"
        if declared:
            known |= {"address": declared.address, "name": declared.name}
        step = Step(action, declared, live, tuple(reasons), secret, **known)
        if step.differs and not self.begun.isdisjoint([step.address, step.id]):
            # a different run is at it: this is no drift
            action = "keep" if declared else "leave"
            known = {"address": step.address, "name": step.name}
            return Step(action, declared, live, (IN_PROGRESS,), **known)
        return step

    def _recorded(self, live: LiveSubscription) -> dict[str, Any]:
        """Return what the state has about a live subscription, as fields of a step."""
        origin = self._origin(live.id)
        record = self.record(live.id)
        if record and origin in _RECORDED:
            name = record.local_name.partition("/")[0]
            return {"origin": origin, "made_at": rfc3339(record.at), "name": name}
        seen = self.records.foreign
        is_new = origin == "foreign" and seen is not None and live.id not in seen
        return {"origin": origin, "is_new": is_new}

    def _removal_alone(self, step: Step) -> Step:
        """Remove what `remove` names, unless it is protected, or an address keeps or replaces it.

        Everything else is left.
        """
        if step.id not in self.basis.selection.remove:
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
        record = self.record(live.id)
        former = f"{self.tenancy.name}/{record.local_name}" if record else ""
        if self.basis.selection.target and not matches_any(former, self.basis.selection.target):
            return self._step("leave", None, live, [NOT_TARGETED])
        if self.tenancy.is_handed_over:
            return self._step("forget" if record else "leave", None, live, [HANDED_OVER])
        if reason := self._why_left(live):
            return self._step("leave", None, live, [reason])
        is_ours = record and self.basis.is_trusted
        reason = NO_LONGER_DECLARED if is_ours else NOT_DECLARED
        return self._step("unsubscribe", None, live, [reason])
