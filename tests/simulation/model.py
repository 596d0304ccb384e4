"""The rules of attempts, as a model of one tenancy: what the state records about subscriptions whose
creation is not proven, or that no list has shown yet.

The model imports nothing from hooksync. `Model.apply` follows the design, sections 5 and 6, step by
step. An apply reads each list once. `test_model` plays random histories against it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Protocol

MOST_ATTEMPTS = 2  # hooksync creates nothing under an identity with so many open attempts
EXPIRY = 8  # lists; an attempt that no list shows is closed after so many, if nobody needs it
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


class Service(Protocol):
    lists: int  # so many lists were read so far

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
    at: int  # the number of the last list before
    seen: frozenset[str]  # the ids that were listed under the identity before
    id: str = ""
    secret: str = ""  # a response gave the id, and proves this secret; empty: a list gave the id


@dataclass
class State:
    entries: list[Entry] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    run: int = 0

    def known(self) -> set[str]:
        return {one.id for one in (*self.entries, *self.attempts)}

    def newest(self, identity: str) -> int:
        """Return the run of the newest entry of an identity; 0: there is none."""
        return max((one.run for one in self.entries if one.identity == identity), default=0)

    def open(self, identity: str, shown: Mapping[str, str]) -> list[Attempt]:
        """Return the attempts that count: those without a newer entry, and those that are listed."""
        newest = self.newest(identity)
        of_it = [one for one in self.attempts if one.identity == identity]
        return [one for one in of_it if one.run > newest or one.id in shown]


def settle(state: State, shown: Mapping[str, str], sure: Mapping[str, str]) -> None:
    """Settle attempts by a list.

    `sure`: the secrets of this run's success responses without an id, by identity, if no older
    attempt without an id was open when its attempt was written.
    """
    for one in list(state.attempts):
        if one.id and one.id in shown and one.secret:
            state.entries.append(Entry(one.id, one.address, one.identity, one.run, one.secret))
            state.attempts.remove(one)
        elif one.id and one.id not in shown and not one.secret:
            state.attempts.remove(one)  # a list showed it, and does not any more
    state.attempts.sort(key=lambda one: one.run)
    for one in list(state.attempts):
        known = state.known()
        of_it = [each for each, identity in shown.items() if identity == one.identity]
        new = [each for each in of_it if each not in known and each not in one.seen]
        if one.id or not new:
            continue
        if one.run == state.run and one.identity in sure and len(new) == 1:
            secret = sure[one.identity]
            state.entries.append(Entry(new[0], one.address, one.identity, one.run, secret))
            state.attempts.remove(one)
        else:
            one.id = new[0]  # found: nobody knows its secret


def forget(
    state: State, shown: Mapping[str, str], wanted: Wanteds, new: Collection[str], lists: int
) -> None:
    """Drop the records that nobody needs.

    `wanted`: by identity; `new`: the identities under which something was made; `lists`: the number
    of lists.
    """
    for entry in list(state.entries):
        is_newest = entry.run == state.newest(entry.identity)
        if entry.id not in shown and not (entry.identity in wanted and is_newest):
            state.entries.remove(entry)
    for one in list(state.attempts):
        is_needed = one.identity in new and one.run > state.newest(one.identity)
        if one.id not in shown and not is_needed and lists - one.at > EXPIRY:
            state.attempts.remove(one)
    for record in (*state.entries, *state.attempts):  # an address may be renamed
        if record.identity in wanted:
            record.address = wanted[record.identity].address


@dataclass
class Model:
    """hooksync, with a state that outlives its runs."""

    service: Service
    disk: State = field(default_factory=State)
    kill: str = ""  # where the next run is killed
    refused: list[str] = field(default_factory=list)  # identities, by the last run

    def apply(self, declared: Iterable[Wanted], replaced: Collection[str] = ()) -> None:
        """Make live match declared. `replaced`: the addresses that --replace names."""
        wanted = {want.identity: want for want in declared}
        named = {one for one, want in wanted.items() if want.address in replaced}
        state = deepcopy(self.disk)
        shown = self.service.list()
        settle(state, shown, {})
        for one in list(state.attempts):
            if one.identity in named and not one.id:
                state.attempts.remove(one)
        new = creating(state, shown, wanted, named)
        self.refused = [one for one in new if one not in named and is_refused(state, one, shown)]
        if self.refused:
            return
        doubtful = {one.identity for one in state.attempts if not one.id}
        kept = {one: kept_id(state, shown, one) for one in wanted if one not in new}
        replacing = {kept_id(state, shown, one): one for one in new} | moved(state, shown, wanted)
        state.run += 1
        for one in new:
            seen = frozenset(each for each, identity in shown.items() if identity == one)
            address = wanted[one].address
            state.attempts.append(Attempt(address, one, state.run, self.service.lists, seen))
        if new:
            self.disk = deepcopy(state)
        self._die("after the write")
        nameless = self._create(state, [wanted[one] for one in new])
        sure = {one: secret for one, secret in nameless.items() if one not in doubtful}
        shown = self.service.list()
        settle(state, shown, sure)
        kept |= {one.identity: one.id for one in state.entries if one.run == state.run}
        self._remove(state, shown, wanted, kept, replacing, named)
        shown = self.service.list()
        settle(state, shown, sure)
        forget(state, shown, wanted, new, self.service.lists)
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
                attempt.secret = want.secret
        return nameless

    def _remove(
        self,
        state: State,
        shown: Mapping[str, str],
        wanted: Wanteds,
        kept: Mapping[str, str],
        replacing: Mapping[str, str],
        named: Collection[str],
    ) -> None:
        """Remove what is replaced, duplicate or undeclared.

        `kept`: the ids that stay, by identity; `replacing`: the identities that are made again, by
        the ids that they replace.
        """
        is_whole = all(kept.get(one) in shown for one in wanted)
        for each, identity in shown.items():
            place = replacing.get(each) or identity
            is_ours = each in state.known() or each in replacing or place in named
            is_free = kept.get(place) in shown if place in wanted else is_whole
            if is_ours and is_free and each not in kept.values():
                self.service.delete(each)


def kept_id(state: State, shown: Mapping[str, str], identity: str) -> str:
    """Return the id to keep or to replace: the newest entry, then the newest found one."""
    records: Sequence[Sequence[Entry | Attempt]] = (state.entries, state.attempts)
    for several in records:
        there = [one for one in several if one.identity == identity and one.id in shown]
        if there:
            return max(there, key=lambda one: one.run).id
    return next((each for each, place in shown.items() if place == identity), "")


def creating(
    state: State, shown: Mapping[str, str], wanted: Wanteds, named: Collection[str]
) -> list[str]:
    """Return the identities under which something is to be made."""
    secrets = {one.id: one.secret for one in state.entries if one.id in shown}
    new = []
    for one, want in wanted.items():
        if one in named or secrets.get(kept_id(state, shown, one)) != want.secret:
            new.append(one)
    return new


def is_refused(state: State, identity: str, shown: Mapping[str, str]) -> bool:
    """Whether two attempts are open, or nothing is known about what is live."""
    kept = kept_id(state, shown, identity)
    is_unknown = bool(kept) and kept not in state.known()
    return is_unknown or len(state.open(identity, shown)) >= MOST_ATTEMPTS


def moved(state: State, shown: Mapping[str, str], wanted: Wanteds) -> dict[str, str]:
    """Return the new identities of subscriptions that moved, by the ids that they replace.

    What is live under a new identity must be newer: then an earlier run did not finish the move.
    """
    runs = {one.id: one.run for one in (*state.attempts, *state.entries)}
    there = [one for one in state.entries if one.id in shown and one.identity not in wanted]
    there.sort(key=lambda one: one.run, reverse=True)
    found = {}
    for one, want in wanted.items():
        newer = [runs.get(each, 0) for each, place in shown.items() if place == one]
        for entry in there:
            if entry.address == want.address and all(run > entry.run for run in newer):
                found[entry.id] = one
                newer.append(entry.run)
    return found
