"""The rules of attempts, as a model of one tenancy: what the state records about subscriptions whose
creation is not proven, or that no list has shown yet.

The model imports nothing from hooksync. `Model.apply` follows the design, sections 5 and 6, step by
step. An apply reads each list once. `test_model` plays random histories against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Protocol

MOST_ATTEMPTS = 2  # hooksync creates nothing under an identity with so many needed attempts
KILLS = ("after the write", "before the end")


class Killed(Exception):
    pass


@dataclass(frozen=True)
class Wanted:
    """A declared subscription."""

    address: str
    identity: str
    secret: str


Wanteds = Mapping[str, Wanted]  # by identity
Shown = Mapping[str, str]  # a list: identities by id


class Service(Protocol):
    def list(self) -> dict[str, str]:
        """Return the listed identities, by id."""

    def post(self, want: Wanted) -> tuple[str, str]:
        """Make a subscription. Returns the kind of the response, and the id in it, if any."""

    def delete(self, identifier: str) -> None:
        """Remove a subscription."""


@dataclass
class Entry:
    """A live subscription that a list has shown, and whose secret a response vouches for."""

    id: str
    address: str
    identity: str
    run: int
    secret: str


@dataclass
class Attempt:
    """A subscription that a run was about to make."""

    address: str
    identity: str
    run: int
    seen: frozenset[str]  # the ids that were listed under the identity before
    secret: str  # to be sent
    id: str = ""
    is_proven: bool = False  # a response gave the id; otherwise, a list did


@dataclass
class State:
    entries: list[Entry] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    marks: set[str] = field(default_factory=set)  # ids that a run was going to remove
    run: int = 0

    def known(self) -> set[str]:
        return {one.id for one in (*self.entries, *self.attempts)}

    def newest(self, identity: str, shown: Collection[str] | None = None) -> int:
        """Return the run of the newest entry of an identity, or the newest listed one; 0: none."""
        entries = [one for one in self.entries if one.identity == identity]
        listed = [one for one in entries if shown is None or one.id in shown]
        return max((one.run for one in listed), default=0)

    def needless(self, shown: Shown, wanted: Wanteds, right: Collection[str]) -> list[Attempt]:
        """Return the attempts that nobody needs. `right`: the identities that are as declared."""
        return [
            one
            for one in self.attempts
            if one.identity not in wanted
            or one.identity in right
            or one.run < self.newest(one.identity, shown)
        ]


def settle(state: State, shown: Shown, sure: Mapping[str, str]) -> None:
    """Settle attempts and marks by a list.

    `sure`: the secrets of this run's success responses without an id, by identity, if no older
    attempt without an id has a different secret.
    """
    gone = state.marks - shown.keys()
    state.marks -= gone
    state.entries = [one for one in state.entries if one.id not in gone]
    state.attempts.sort(key=lambda one: one.run)
    for one in state.attempts:
        new = unseen(state, shown, one)
        if one.run == state.run and one.identity in sure and len(new) == 1:
            one.id = new[0]
            one.is_proven = True
    for one in state.attempts:
        new = unseen(state, shown, one)
        if new:
            one.id = new[0]  # found: nobody knows its secret
    for one in list(state.attempts):
        if one.id and one.id in shown and one.is_proven:
            state.entries.append(Entry(one.id, one.address, one.identity, one.run, one.secret))
            state.attempts.remove(one)
        elif one.id and one.id not in shown and not one.is_proven:
            state.attempts.remove(one)  # a list showed it, and does not any more


def unseen(state: State, shown: Shown, one: Attempt) -> list[str]:
    """Return the ids that an attempt without an id may have made."""
    known = state.known()
    of_it = [each for each, identity in shown.items() if identity == one.identity]
    return [each for each in of_it if not one.id and each not in known and each not in one.seen]


@dataclass
class Plan:
    """What hooksync decides from what is declared, what a list shows, and what the state has."""

    creates: set[str] = field(default_factory=set)  # identities
    right: set[str] = field(default_factory=set)  # identities that are live as declared
    unknown: set[str] = field(default_factory=set)  # identities whose secret the state lacks
    requested: set[str] = field(default_factory=set)  # identities that --replace names
    replaces: dict[str, str] = field(default_factory=dict)  # identities by id: something is made
    removes: dict[str, str] = field(default_factory=dict)  # identities by id; "": undeclared

    @property
    def going(self) -> set[str]:
        return self.replaces.keys() | self.removes.keys()

    def hold(self, held: Collection[str]) -> None:
        """Leave out what concerns some identities."""
        self.creates -= set(held)
        for ids in (self.replaces, self.removes):
            for each in [each for each, one in ids.items() if one in held]:
                del ids[each]


def plan(
    state: State, shown: Shown, wanted: Wanteds, named: Collection[str], first: Plan | None = None
) -> Plan:
    """Decide. `first`: the first plan of this run; None: this is the first plan."""
    made = Plan()
    going = first.going if first else set()
    run = state.run if first else 0
    entries = {one.id: one for one in state.entries}
    known = {each for each in state.known() if each in shown}
    places = paired(state, shown, wanted)
    for one, found in places.items():
        kept = found[0] if found else ""
        entry = entries.get(kept)
        is_named = wanted[one].address in named and not (entry and entry.run == run)
        if kept in state.marks and kept not in known and not is_named:
            kept = ""  # the mark is no reason to remove it
        is_right = bool(entry) and entry.identity == one and entry.secret == wanted[one].secret
        if is_named:
            made.requested.add(one)
        if kept and kept not in known | state.marks and not is_named:
            made.unknown.add(one)
        elif is_named or not is_right or kept in state.marks:
            made.creates.add(one)
            if kept:
                made.replaces[kept] = one
        else:
            made.right.add(one)
        for each in found:
            is_ours = each in known or each in going or is_named
            if each != kept and is_ours and one not in made.unknown:
                made.removes[each] = one
    taken = {each for found in places.values() for each in found}
    for each in known - taken:
        made.removes[each] = ""
    return made


def paired(state: State, shown: Shown, wanted: Wanteds) -> dict[str, list[str]]:
    """Return the live ids of each declared identity, the one to keep first.

    An entry of the same address whose identity is not declared has moved, unless something older
    is live in its new place.
    """
    entries = {one.id for one in state.entries}
    runs = {one.id: one.run for one in (*state.attempts, *state.entries)}
    there = [one for one in state.entries if one.id in shown and one.identity not in wanted]
    there.sort(key=lambda one: one.run, reverse=True)
    places = {}
    for one, want in wanted.items():
        found = [each for each, place in shown.items() if place == one]
        found.sort(key=lambda each: (each not in entries, -runs.get(each, 0)))
        for entry in there:
            newer = [runs.get(each, 0) for each in found if each not in state.marks]
            if entry.address == want.address and all(run > entry.run for run in newer):
                found.append(entry.id)
        places[one] = sorted(found, key=lambda each: each in state.marks)
    return places


@dataclass
class Model:
    """hooksync, with a state that outlives its runs."""

    service: Service
    disk: State = field(default_factory=State)
    kill: str = ""  # where the next run is killed
    refused: list[str] = field(default_factory=list)  # identities, by the last run

    def apply(self, declared: Iterable[Wanted], named: Collection[str] = ()) -> None:
        """Make live match declared. `named`: the addresses that --replace names."""
        wanted = {want.identity: want for want in declared}
        state = deepcopy(self.disk)
        shown = self.service.list()
        settle(state, shown, {})
        first = plan(state, shown, wanted, named)
        needless = state.needless(shown, wanted, first.right)
        self.refused = refused(state, first, shown, needless)
        if first.unknown and not (state.entries or state.attempts):
            return  # perhaps it is a wrong state
        has_changes = bool(first.creates or first.going)
        first.hold(self.refused)
        if has_changes and not (first.creates or first.going):
            return
        closing = [(one.run, one.identity) for one in needless]
        for one in state.attempts:
            if one.identity in first.requested:
                closing.append((one.run, one.identity))
        others = [one for one in state.attempts if not one.id]
        state.run += 1
        for one in first.creates:
            seen = frozenset(each for each, identity in shown.items() if identity == one)
            want = wanted[one]
            state.attempts.append(Attempt(want.address, one, state.run, seen, want.secret))
        if first.creates or first.going:
            self.disk = deepcopy(state)
            self.disk.marks |= first.going
        self._die("after the write")
        nameless = self._create(state, [wanted[one] for one in first.creates])
        sure = {}
        for one, secret in nameless.items():
            if all(other.identity != one or other.secret == secret for other in others):
                sure[one] = secret
        shown = self.service.list()
        settle(state, shown, sure)
        second = plan(state, shown, wanted, named, first)
        for each in first.going & second.removes.keys():
            place = second.removes[each]
            absent = second.creates.union(self.refused)
            if not absent or (place and place not in second.creates):
                self.service.delete(each)
                state.marks.add(each)
        shown = self.service.list()
        settle(state, shown, sure)
        for one in list(state.attempts):
            if (one.run, one.identity) in closing and not one.id:
                state.attempts.remove(one)
        forget(state, shown, wanted)
        self._die("before the end")
        self.disk = state

    def _die(self, where: str) -> None:
        if self.kill == where:
            raise Killed

    def _create(self, state: State, new: Iterable[Wanted]) -> dict[str, str]:
        """Make subscriptions. Returns the secrets of success responses without an id."""
        nameless = {}
        of_this_run = {one.identity: one for one in state.attempts if one.run == state.run}
        for want in new:
            attempt = of_this_run[want.identity]
            kind, identifier = self.service.post(want)
            if kind == "refused":
                state.attempts.remove(attempt)
            elif kind == "no-id" or (identifier and identifier in attempt.seen | state.known()):
                nameless[want.identity] = want.secret
            elif kind == "id":
                attempt.id = identifier
                attempt.is_proven = True
        return nameless


def refused(state: State, first: Plan, shown: Shown, needless: Collection[Attempt]) -> list[str]:
    """Return the identities with an unknown secret, or with two attempts that somebody needs."""
    counts = Counter[str]()
    for one in state.attempts:
        is_open = one.run > state.newest(one.identity) or one.id in shown
        counts[one.identity] += is_open and one not in needless
    tried = {one for one, number in counts.items() if number >= MOST_ATTEMPTS}
    return sorted(first.unknown | ((first.creates - first.requested) & tried))


def forget(state: State, shown: Shown, wanted: Wanteds) -> None:
    """Drop the entries that nobody needs, and rename what has a new address."""
    for entry in list(state.entries):
        is_newest = entry.run == state.newest(entry.identity)
        if entry.id not in shown and not (entry.identity in wanted and is_newest):
            state.entries.remove(entry)
    for record in (*state.entries, *state.attempts):
        if record.identity in wanted:
            record.address = wanted[record.identity].address
