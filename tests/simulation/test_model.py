"""Random histories are played against the rules of attempts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from tests.lanes import sampled
from tests.simulation.model import KILLS, Killed, Model, Wanted

# to a call that makes a subscription; "phantom": the id of nothing; "existing": an id of before
RESPONSES = ("id", "no-id", "phantom", "existing", "lost", "never-made", "refused", "killed")
EDITS = ("rotate", "rotate", "drop", "add", "rename", "move")


@dataclass(frozen=True)
class Held:
    """A live subscription, and the numbers of the lists that show it."""

    id: str
    identity: str
    secret: str
    since: int
    until: float = float("inf")


@dataclass
class Unreliable:
    """Holds the subscriptions. Its list lags by up to `lag` lists."""

    chance: random.Random
    lag: int = 0
    responses: Sequence[str] = ("id",)  # one of RESPONSES for each call
    held: dict[str, Held] = field(default_factory=dict)
    gone: list[Held] = field(default_factory=list)  # a lagging list may still show them
    lists: int = 0
    ids: Iterator[int] = field(default_factory=count)

    def list(self) -> dict[str, str]:
        """Return the listed identities, by id."""
        self.lists += 1
        return self.shown()

    def shown(self) -> dict[str, str]:
        there = [*self.held.values(), *self.gone]
        return {one.id: one.identity for one in there if one.since <= self.lists < one.until}

    def post(self, want: Wanted) -> tuple[str, str]:
        """Make a subscription. Returns the kind of the response, and the id in it, if any."""
        kind = self.chance.choice(self.responses)
        same = [each for each, identity in self.shown().items() if identity == want.identity]
        if kind in ("never-made", "refused"):
            return kind, ""
        if kind == "phantom":
            return "id", f"no-{next(self.ids)}"
        if kind == "existing" and same:  # the service changes nothing, and returns the old id
            return "id", same[0]
        identifier = f"id-{next(self.ids)}"
        since = self.lists + 1 + self.chance.randint(0, self.lag)
        self.held[identifier] = Held(identifier, want.identity, want.secret, since)
        return ("id", identifier) if kind in ("id", "existing") else (kind, "")

    def delete(self, identifier: str) -> None:
        one = self.held.pop(identifier, None)
        if one:
            until = self.lists + 1 + self.chance.randint(0, self.lag)
            self.gone.append(replace(one, until=until))


class Play:
    """A random history of one tenancy."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.lag = self.chance.choice([0, 1, 3, 3])
        self.edits = self.chance.sample(EDITS, self.chance.choice([1, 2, len(EDITS)]))
        self.kills = self.chance.sample(KILLS, self.chance.choice([0, 1, len(KILLS)]))
        self.waits = self.chance.choice([[0], [1], [0, 1, 4]])
        self.service = Unreliable(self.chance, self.lag)
        self.model = Model(self.service)
        self.wanted = [Wanted("n1", "a", "s0"), Wanted("n2", "b", "s0")][
            : self.chance.choice([1, 2])
        ]
        self.names = 2
        self.secrets = 0
        self.named: set[str] = set()
        self.kinds = self.chance.sample(RESPONSES, self.chance.choice([1, 2, 3, len(RESPONSES)]))
        self.trace: list[str] = []

    def play(self) -> None:
        for _ in range(12):
            self.edit()
            self.run()
            self.check()
        self.finish()

    def edit(self) -> None:
        kind = self.chance.choice([*self.edits, "none"])
        self.trace.append(f"{kind}")
        which = self.chance.randrange(2)
        free = sorted({"a", "b", "c"} - {one.identity for one in self.wanted})
        if kind == "add" and free:
            self.names += 1
            self.wanted.append(Wanted(f"n{self.names}", self.chance.choice(free), self.secret()))
        elif which < len(self.wanted):
            one = self.wanted.pop(which)
            if kind == "rename":
                self.names += 1
                self.wanted.append(Wanted(f"n{self.names}", one.identity, one.secret))
            elif kind == "rotate":
                self.secrets += 1
                self.wanted.append(Wanted(one.address, one.identity, self.secret()))
            elif kind == "move" and free:
                self.wanted.append(Wanted(one.address, self.chance.choice(free), one.secret))
            elif kind != "drop":
                self.wanted.append(one)

    def secret(self) -> str:
        return f"s{self.secrets}"

    def run(self) -> None:
        replaced = {one.address for one in self.wanted if self.chance.random() < 0.04}
        self.service.responses = self.kinds if self.chance.random() < 0.8 else ("id",)
        self.model.kill = self.chance.choice([*self.kills, "", "", ""])
        # `--replace` is only safe if the list lags no longer than hooksync waits
        self.model.wait = self.lag + 1 if replaced else self.chance.choice(self.waits)
        # every creation that --replace asks for may leave one more
        self.named |= {one.identity for one in self.wanted if one.address in replaced}
        self.apply(replaced)

    def apply(self, replaced: set[str]) -> None:
        try:
            self.model.apply(self.wanted, replaced)
        except Killed:
            self.trace.append("killed")
        self.trace += [f"apply {self.wanted} {replaced}", f"{self.service}", f"{self.model.disk}"]

    def check(self) -> None:
        self.check_entries()
        entries = {entry.id for entry in self.model.disk.entries}
        for identity in {"a", "b", "c"} - self.named:
            there = [one for one in self.service.held.values() if one.identity == identity]
            assert sum(one.id not in entries for one in there) <= 2, identity

    def check_entries(self) -> None:
        for entry in self.model.disk.entries:
            one = self.service.held.get(entry.id)
            assert one is None or one.secret == entry.secret, entry

    def finish(self) -> None:
        """Without faults, two applies and one --replace reach what is declared."""
        self.service.responses = self.chance.choice([("id",), ("no-id",)])
        self.model.kill = ""
        self.model.wait = self.lag + 1
        for replaced in (set(), {one.address for one in self.wanted}, set()):
            self.apply(replaced)
            self.check_entries()
        wanted = {one.identity: one.secret for one in self.wanted}
        held = [one for one in self.service.held.values() if one.identity in wanted]
        assert sorted((one.identity, one.secret) for one in held) == sorted(wanted.items())
        assert {entry.identity for entry in self.model.disk.entries} >= set(wanted)


@pytest.mark.parametrize("first", sampled(range(0, 20_000, 500), 40, 4))
def test_no_history_breaks_a_rule_of_attempts(first: int) -> None:
    """An entry's secret is the true one. At most two live subscriptions of an identity are no
    entries. Two applies and one --replace reach what is declared.
    """
    for seed in range(first, first + 500):
        play = Play(seed)
        try:
            play.play()
        except AssertionError as error:
            raise AssertionError("\n".join([f"seed {seed}: {error}", *play.trace])) from None


# --- histories that need a rule


class Slow(random.Random):
    """Each change appears in a list as late as it can."""

    def randint(self, a: int, b: int) -> int:
        return b


def model(*responses: str, lag: int = 3, wait: int = 0) -> tuple[Model, Unreliable]:
    service = Unreliable(Slow(1), lag, responses)
    return Model(service, wait=wait), service


def wanted(secret: str = "first") -> list[Wanted]:
    return [Wanted("catalogue", "a", secret)]


def apply(hooksync: Model, *declared: Wanted, replaced: tuple[str, ...] = ()) -> None:
    with suppress(Killed):
        hooksync.apply(declared, replaced)


def test_a_job_that_is_killed_again_and_again_makes_two_and_is_then_refused() -> None:
    hooksync, service = model("killed", lag=0)
    for _ in range(5):
        apply(hooksync, *wanted())
    assert (len(service.held), hooksync.refused) == (2, ["a"])


def test_a_late_subscription_without_an_id_is_not_taken_for_the_one_of_the_next_run() -> None:
    hooksync, service = model("no-id")
    for secret in ("first", "second"):
        apply(hooksync, *wanted(secret))
        assert [entry.id for entry in hooksync.disk.entries] == []
    for _ in range(3):
        apply(hooksync, *wanted("second"))
    assert not [one for one in hooksync.disk.entries if service.held[one.id].secret != one.secret]


def test_what_is_dropped_before_a_list_shows_it_is_not_taken_for_what_is_declared_later() -> None:
    """An attempt that the next apply closed would be forgotten, while its subscription is late."""
    hooksync, service = model("killed")
    apply(hooksync, *wanted())
    apply(hooksync)
    service.responses = ("no-id",)
    apply(hooksync, *wanted("second"))
    assert hooksync.disk.entries == []
    assert {one.id: one.secret for one in hooksync.disk.attempts} == {"id-0": "", "": ""}
