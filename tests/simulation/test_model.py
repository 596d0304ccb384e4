"""Random histories are played by the rules of attempts and by hooksync, with the same results."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from hooksync.core.errors import AnswerLost, Rejected
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    Secret,
    SecretRef,
    Tenancy,
    UnsubscribeLimit,
)
from hooksync.reconcile.plan import Selection
from hooksync.reconcile.run import Planner
from hooksync.state.fingerprints import identity_digest
from hooksync.state.model import StateEntry
from tests.lanes import sampled
from tests.makers import declared, live, tenancy
from tests.reconcile.planning import derive, planner, refused
from tests.reconcile.tenants import Tenant
from tests.simulation.model import KILLS, Killed, Model, Wanted
from tests.state_makers import PROD, load

IDENTITIES = ("a", "b", "c")
SECRETS = {f"S{number}": f"the-secret-number-{number}-0123456789" for number in range(20)}
# to a call that makes a subscription; "phantom": the id of nothing; "existing": an id of before
RESPONSES = ("id", "no-id", "phantom", "existing", "lost", "never-made", "refused")
EDITS = ("rotate", "rotate", "drop", "add", "rename", "move")


@dataclass
class Held:
    """A subscription, and the applies whose lists show it."""

    id: str
    identity: str
    secret: str
    made: int
    since: int
    until: float = float("inf")


@dataclass
class Service:
    """Holds subscriptions. What it does depends on its seed, the apply and the identity alone.

    So two of them do the same. A list lags by up to `lag` applies.
    """

    seed: int
    lag: int = 0
    responses: Sequence[str] = ("id",)  # for each call, one of them
    held: list[Held] = field(default_factory=list)
    lists: int = 0  # applies: all lists of an apply show the same

    @property
    def there(self) -> list[Held]:
        return [one for one in self.held if one.until == float("inf")]

    def list(self) -> dict[str, str]:
        """Return the listed identities, by id."""
        return {one.id: one.identity for one in self.held if one.since <= self.lists < one.until}

    def post(self, want: Wanted) -> tuple[str, str]:
        """Make a subscription. Returns the kind of the response, and the id in it, if any."""
        chance = random.Random(f"{self.seed} {self.lists} {want.identity}")
        kind = chance.choice(self.responses)
        same = sorted(each for each, identity in self.list().items() if identity == want.identity)
        if kind in ("never-made", "refused"):
            return kind, ""
        if kind == "phantom":
            return "id", f"no-{want.identity}{self.lists}"
        if kind == "existing" and same:  # the service changes nothing, and returns the old id
            return "id", same[0]
        identifier = f"{want.identity}{self.lists:03}"
        since = self.lists + chance.randint(0, self.lag)
        self.held.append(Held(identifier, want.identity, want.secret, self.lists, since))
        return ("id", identifier) if kind in ("id", "existing") else (kind, "")

    def delete(self, identifier: str) -> None:
        chance = random.Random(f"{self.seed} {self.lists} {identifier}")
        for one in self.there:
            if one.id == identifier:
                one.until = self.lists + chance.randint(0, self.lag)


@dataclass
class Client:
    """The calls of hooksync to such a service."""

    service: Service
    tenancy: Tenancy = field(default_factory=tenancy)
    tenant: str = "BRAMA"

    @property
    def listed(self) -> list[LiveSubscription]:
        return [live(each, url_of(identity)) for each, identity in self.service.list().items()]

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        return tuple(self.listed)

    def subscribe(self, subscription: DeclaredSubscription, secret: Secret) -> str | None:
        identity = subscription.url.full.rpartition("/")[2]
        names = {value: name for name, value in SECRETS.items()}
        want = Wanted(subscription.name, identity, names[secret.reveal()])
        kind, identifier = self.service.post(want)
        if kind == "refused":
            raise Rejected("400", "look", status=400)
        if kind in ("lost", "never-made"):
            raise AnswerLost("the connection was cut", "try again")
        return identifier or None

    def unsubscribe(self, identifier: str) -> None:
        self.service.delete(identifier)


def url_of(identity: str) -> str:
    return f"https://hooks.example.org/{identity}"


def declare(wanted: Iterable[Wanted]) -> Tenancy:
    subscriptions = []
    for want in wanted:
        secret = SecretRef("env", want.secret)
        subscriptions.append(declared(url_of(want.identity), name=want.address, secret=secret))
    return tenancy(*subscriptions, owns="made", limit=UnsubscribeLimit(1000))


class Engine(Tenant):
    """hooksync, without a command line, files and HTTP."""

    def planner(self) -> Planner:
        return planner(load(self.store), self.options, SECRETS)

    def identities(self) -> dict[str, str]:
        """Return the identities, by the digests in the state."""
        salt = self.state.url_salt
        return {identity_digest(salt, declared(url_of(one)).key): one for one in IDENTITIES}

    def secret_of(self, entry: StateEntry) -> str:
        """Return the name of the secret that an entry vouches for."""
        salt = next(one for one in self.state.salts if one.id == entry.salt)
        for name, value in SECRETS.items():
            if entry.is_made_with(derive((Secret(value), salt)), PROD):
                return name
        raise AssertionError(entry)


class Play:
    """A random history of one tenancy, played twice: by the model and by hooksync."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        lag = self.chance.choice([0, 0, 1, 3])
        self.edits = self.chance.sample(EDITS, self.chance.choice([1, 2, len(EDITS)]))
        self.kills = self.chance.sample(KILLS, self.chance.choice([0, 1, len(KILLS)]))
        self.kinds = self.chance.sample(RESPONSES, self.chance.choice([1, 2, 3, len(RESPONSES)]))
        self.services = [Service(seed, lag), Service(seed, lag)]
        self.model = Model(self.services[0])
        self.engine = Engine(tenancy(), Client(self.services[1]), width=1)
        wanted = [Wanted("n1", "a", "S0"), Wanted("n2", "b", "S0")]
        self.wanted = wanted[: self.chance.choice([1, 2])]
        self.names = count(3)
        self.secrets = 0
        self.named: set[str] = set()
        self.trace: list[str] = []

    def play(self) -> None:
        for _ in range(12):
            self.edit()
            self.run()
            self.check()
        self.finish()

    def edit(self) -> None:
        kind = self.chance.choice([*self.edits, "none"])
        which = self.chance.randrange(2)
        free = sorted(set(IDENTITIES) - {one.identity for one in self.wanted})
        if kind == "add" and free:
            want = Wanted(f"n{next(self.names)}", self.chance.choice(free), self.secret())
            self.wanted.append(want)
        elif which < len(self.wanted):
            one = self.wanted.pop(which)
            if kind == "rename":
                self.wanted.append(Wanted(f"n{next(self.names)}", one.identity, one.secret))
            elif kind == "rotate":
                self.secrets += 1
                self.wanted.append(Wanted(one.address, one.identity, self.secret()))
            elif kind == "move" and free:
                self.wanted.append(Wanted(one.address, self.chance.choice(free), one.secret))
            elif kind != "drop" or not self.wanted:
                self.wanted.append(one)

    def secret(self) -> str:
        return f"S{self.secrets}"

    def run(self) -> None:
        replaced: set[str] = set()
        if not self.services[0].lag:  # `--replace` is only safe if the list does not lag
            replaced = {one.address for one in self.wanted if self.chance.random() < 0.04}
        # every creation that --replace asks for may leave one more
        self.named |= {one.identity for one in self.wanted if one.address in replaced}
        responses = self.kinds if self.chance.random() < 0.8 else ("id",)
        self.apply(replaced, responses, self.chance.choice([*self.kills, "", "", ""]))

    def apply(self, replaced: Collection[str], responses: Sequence[str], kill: str = "") -> None:
        """Apply by the model and by hooksync, and compare what each leaves behind."""
        for service in self.services:
            service.lists += 1
            service.responses = responses
        self.trace.append(f"apply {self.wanted} {replaced} {responses} {kill}")
        self.model.kill = kill
        with suppress(Killed):
            self.model.apply(self.wanted, replaced)
        self.engine.wanted = declare(self.wanted)
        self.engine.options = Selection(
            replace=tuple(f"prod/{address}/MOVED" for address in replaced)
        )
        is_refused = bool(refused(self.engine.plan()))
        if kill == "after the write":
            self.engine.begin()
        else:
            self.engine.apply(is_killed=kill == "before the end")
        expected = self.of_model()
        found = self.of_engine()
        self.trace.append(f"{expected}")
        assert found == expected
        assert is_refused == bool(self.model.refused)

    def of_model(self) -> Any:
        state = self.model.disk
        return (
            sorted((one.id, one.address, one.identity, one.secret) for one in state.entries),
            sorted((one.identity, one.address, one.id, one.is_proven) for one in state.attempts),
            sorted(state.marks),
            sorted(one.id for one in self.services[0].there),
        )

    def of_engine(self) -> Any:
        records = self.engine.records
        identity = self.engine.identities()
        entries = []
        for one in records.entries:
            name = one.address.split("/")[1]
            entries.append((one.id, name, identity[one.identity], self.engine.secret_of(one)))
        attempts = []
        for each in records.attempts:
            name = each.address.split("/")[1]
            attempts.append((identity[each.identity], name, each.id, each.is_proven))
        there = sorted(one.id for one in self.services[1].there)
        return sorted(entries), sorted(attempts), list(records.marks), there

    def check(self) -> None:
        """An entry's secret is the true one; at most two of an identity are newer than its entries."""
        held = {one.id: one for one in self.services[0].there}
        newest = dict.fromkeys(IDENTITIES, 0)  # the newest entries, by their applies
        for entry in self.model.disk.entries:
            one = held.pop(entry.id, None)
            assert one is None or one.secret == entry.secret, entry
            if one:
                newest[one.identity] = max(newest[one.identity], one.made)
        for identity in set(IDENTITIES) - self.named:
            newer = [one for one in held.values() if one.made > newest[identity]]
            assert sum(one.identity == identity for one in newer) <= 2, identity

    def finish(self) -> None:
        """Without faults and lag, two applies and a --replace between them reach what is declared.

        If responses have no ids, a second --replace may be needed: during the first one, the
        attempts that it closes can still have made what a list shows.
        """
        for service in self.services:
            service.lag = 0
            service.lists += 3
        kind = self.chance.choice(["id", "no-id"])
        replaces = [[one.address for one in self.wanted]] * (2 if kind == "no-id" else 1)
        for replaced in ((), *replaces, ()):
            self.apply(replaced, [kind])
        self.check()
        known = self.model.disk.known()
        # what appears after its attempt was closed is foreign
        there = [
            (one.identity, one.secret)
            for one in self.services[1].there
            if one.id in known or one.since == one.made
        ]
        wanted = [(one.identity, one.secret) for one in self.wanted]
        assert sorted(there) == sorted(wanted)


@pytest.mark.parametrize("first", sampled(range(0, 10_000, 50), 200, 20))
def test_hooksync_keeps_the_rules_of_attempts_in_every_history(first: int) -> None:
    for seed in range(first, first + 50):
        play = Play(seed)
        try:
            play.play()
        except AssertionError as error:
            raise AssertionError("\n".join([f"seed {seed}: {error}", *play.trace])) from None
