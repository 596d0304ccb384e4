"""Whatever happens between runs and within them, hooksync does no harm, says no untruth, and puts things right.

A state machine: random declared sets and live lists, receivers that move, names that change or swap their URLs, edits
behind hooksync's back, secrets that rotate, a service that fails or loses answers, runs that are killed at any moment,
a state that is deleted or brought back from an older copy.
The modules are the real ones (Run, Planner, Executor, Journal, the state on the disk); only the service is in memory,
and a key costs one HMAC instead of one scrypt.

The usual run is bounded and always the same. A longer one, with chance of its own:

    HOOKSYNC_STATE_MACHINE=5000 pytest tests/reconcile/test_state_machine.py     # so many examples, about 0.03 s each
"""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hooksync.config.secret_sources import SecretCache, SecretSources
from hooksync.core.errors import Rejected
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret, SecretRef, Tenancy, live_url
from hooksync.core.record import replace
from hooksync.core.urls import owns_url
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.executor import ExecutionResult, Executor
from hooksync.reconcile.journal import Journal
from hooksync.reconcile.plan import (
    Keep,
    Planned,
    Resubscribe,
    Subscribe,
    TenancyOutcome,
    TenancyPlan,
    UnreadTenancy,
    has_unknown_secret,
)
from hooksync.reconcile.planner import Planner
from hooksync.reconcile.session import Run
from hooksync.service.worker_pool import WorkerPool
from hooksync.state.fingerprints import Key, KeyRing, Salt
from hooksync.state.history import recall
from hooksync.state.model import Intent, State, StateEntry
from hooksync.state.store import load
from tests.clocks import JumpingClock
from tests.fakes import LIE, SAME, FakeService, lost, rejected, unreachable
from tests.laws import Live, gaps, served
from tests.makers import HERE, INDEXED, MOVED, declared, live, tenancy

EXAMPLES = int(os.environ.get("HOOKSYNC_STATE_MACHINE", "0"))

OURS = ("https://hooks.example.org/a", "https://hooks.example.org/b", "https://hooks.example.org/c")
FOREIGN = ("https://vendor.example/x", "https://hooks.example.org.evil.example/a")
OWNS = ("https://hooks.example.org",)
REFS = (SecretRef("env", "FIRST", HERE), SecretRef("env", "SECOND", HERE))
CHANGED = "secret changed"  # the reason of a step
SECRETS = tuple(f"secret-number-{number}-of-the-receiver" for number in range(3))
PLACES = tuple(product(OURS, (MOVED, INDEXED)))
NAMES = tuple(f"n{number}" for number in range(len(PLACES)))


def places(several: Iterable[LiveSubscription]) -> Live:
    return {each.id: (each.url.identity, each.trigger.wire) for each in several}


class Killed(BaseException):
    """The process is no more."""


@dataclass
class MortalService(FakeService):
    """Keeps each subscription's secret, and kills the run that uses it at the moment that was chosen."""

    secrets: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)  # ids of what hooksync made
    lists_newest_first: bool = False
    moments: int | None = None  # that the run has left to live; None: for ever
    tenant: str | None = None
    seen: list[Live] = field(default_factory=list)  # what was live after each call

    def look(self) -> None:
        with self.lock:
            self.seen.append(places(self.live.values()))

    def moment(self) -> None:
        """Let one more moment pass at which a process may be killed; once it was, it does nothing more."""
        with self.lock:
            if self.moments is None:
                return
            if self.moments == 0:
                raise Killed
            self.moments -= 1

    def list_subscriptions(self) -> tuple[LiveSubscription, ...]:
        self.moment()
        found = super().list_subscriptions()
        self.moment()
        return found[::-1] if self.lists_newest_first else found

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        self.moment()
        before = set(self.live)
        try:
            identifier = super().subscribe(declared, secret)
        finally:
            for new in set(self.live) - before:
                self.secrets[new] = secret.reveal()
                self.made.add(new)
            self.look()
        self.moment()
        return identifier

    def unsubscribe(self, identifier: str) -> None:
        self.moment()
        try:
            super().unsubscribe(identifier)
        finally:
            self.look()
        self.moment()


class MortalJournal(Journal):
    """A journal whose writing, too, may be the last that a run does."""

    service: MortalService

    def begin(self, plans: Any) -> None:
        self.service.moment()
        super().begin(plans)
        self.service.moment()

    def settle(self, *arguments: Any) -> frozenset[str]:
        self.service.moment()
        adopted = super().settle(*arguments)
        self.service.moment()
        return adopted


def cheap_key(secret: Secret, salt: Salt) -> Key:
    return Key(hmac.digest(salt.salt, secret.reveal().encode(), hashlib.sha256))


class CheapRing(KeyRing):
    """Derives keys without scrypt."""

    def derive(self, wanted: Iterable[tuple[Secret, Salt]]) -> None:
        self._keys |= {(secret, salt): cheap_key(secret, salt) for secret, salt in wanted}


class Silent:
    """A terminal that nobody looks at."""

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[], None]]:
        yield lambda: None


@dataclass(frozen=True)
class Ran:
    """What a run that was not killed came to."""

    planned: Planned
    carried: ExecutionResult

    @property
    def outcome(self) -> TenancyOutcome | None:
        return self.carried.outcomes.get("prod")

    @property
    def is_as_declared(self) -> bool:
        """Whether hooksync would say so, and exit with 0."""
        if isinstance(self.planned, UnreadTenancy) or self.planned.refusals or self.carried.errors:
            return False
        if self.carried.state_error:
            return False
        return self.outcome.is_as_declared if self.outcome else self.planned.is_empty


def hooksync(
    wanted: Tenancy, service: MortalService, path: str, environ: dict[str, str], *, adopts: bool = False
) -> Ran | None:
    """One process of `hooksync apply`; None where it was killed."""
    stop = threading.Event()
    options = DiffOptions()
    secrets, ring, state = SecretCache(SecretSources(environ)), CheapRing(1), load(path)
    clients = cast("Any", {"prod": service})
    try:
        with WorkerPool(1, stop) as pool:
            clock = JumpingClock()
            run = Run((wanted,), 1, clients, secrets, pool, cast("Any", SimpleNamespace(clock=clock, stop=stop)))
            planner = Planner(options, True, state, secrets, ring, clock=clock)
            [planned] = planner.plan(planner.bridge(run.read(lambda: None, planner.is_behind)))
            journal = MortalJournal(path, state, secrets, ring, clock=clock, adopts=adopts)
            journal.service = service
            executor = Executor(run, options, journal, cast("Any", Silent()), probes=False)
            carried = executor.execute([planned], executor.prepare([planned]))
    except Killed:
        return None
    return Ran(planned, carried)


ON_SUBSCRIBE = (None, None, lost(), ("after", lost()), rejected(400), rejected(409), rejected(500), SAME, LIE)
ON_UNSUBSCRIBE = (None, None, lost(), ("after", lost()), rejected(400), rejected(500), ("after", rejected(500)), LIE)
ON_LIST = (None, None, None, unreachable(), rejected(503))


def scripts(entries: tuple[object, ...]) -> st.SearchStrategy[list[object]]:
    return st.lists(st.sampled_from(entries), min_size=1, max_size=5)


@st.composite
def wanted_sets(draw: st.DrawFn) -> tuple[DeclaredSubscription, ...]:
    fewest = draw(st.sampled_from([1, 1, 1, 1, 0]))
    chosen = draw(st.lists(st.sampled_from(PLACES), unique=True, min_size=fewest, max_size=4))
    names = draw(st.permutations(NAMES) if draw(st.booleans()) else st.just(NAMES))
    return tuple(
        declared(
            url,
            trigger,
            name=name,
            include_identifiers=draw(st.booleans()),
            secret=draw(st.sampled_from(REFS)),
        )
        for name, (url, trigger) in zip(names, chosen, strict=False)
    )


SUBSCRIPTIONS = st.tuples(
    st.sampled_from(OURS + FOREIGN), st.sampled_from([MOVED, INDEXED]), st.booleans(), st.sampled_from(SECRETS)
)


class Reconciling(RuleBasedStateMachine):
    """A tenancy, a hooks file, a state, and hooksync between them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = str(self.folder / "hooks.state.json")
        self.environ = {ref.name: SECRETS[0] for ref in REFS}
        self.service = MortalService()
        self.wanted = tenancy(owns=OWNS)
        self.copies: list[str] = []  # of the state
        self.knowable: set[str] = set()  # what hooksync made, and the state has had no chance to forget
        self.misled: set[str] = set()  # of which the state believes what a person made it believe
        self.was_stale = False
        self.settled: Any = None  # how everything was when hooksync last said that all is as declared

    def how_it_is(self) -> Any:
        state = Path(self.path).read_text() if os.path.exists(self.path) else ""
        return self.wanted, dict(self.service.live), dict(self.environ), state

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    # what there is

    @initialize(
        there=st.lists(SUBSCRIPTIONS, max_size=4),
        wanted=wanted_sets(),
        refuses_duplicates=st.booleans(),
        tells_ids=st.booleans(),
        lists_newest_first=st.booleans(),
    )
    def begin(self, there: list[Any], wanted: tuple[DeclaredSubscription, ...], **traits: bool) -> None:
        self.service = MortalService(**traits)  # type: ignore[arg-type]
        for each in there:
            self.add(each)
        self.declare(wanted)

    @rule(wanted=wanted_sets())
    def declare(self, wanted: tuple[DeclaredSubscription, ...]) -> None:
        self.wanted = replace(self.wanted, subscriptions=wanted)

    @precondition(lambda self: self.wanted.subscriptions)
    @rule(data=st.data(), url=st.sampled_from(OURS))
    def move(self, data: st.DataObject, url: str) -> None:
        """Give one another URL; who is declared there already takes its old one: they swap."""
        moved = data.draw(st.sampled_from(self.wanted.subscriptions))

        def edited(one: DeclaredSubscription) -> DeclaredSubscription:
            if one is moved:
                return replace(one, url=live_url(url))
            return replace(one, url=moved.url) if (one.url.full, one.trigger) == (url, moved.trigger) else one

        self.declare(tuple(map(edited, self.wanted.subscriptions)))

    @precondition(lambda self: self.wanted.subscriptions)
    @rule(data=st.data())
    def rename(self, data: st.DataObject) -> None:
        renamed = data.draw(st.sampled_from(self.wanted.subscriptions))
        free = sorted(set(NAMES) - {one.name for one in self.wanted.subscriptions})
        name = data.draw(st.sampled_from(free))
        self.declare(tuple(replace(one, name=name) if one is renamed else one for one in self.wanted.subscriptions))

    @rule(replacement=st.sampled_from(["create-first", "remove-first"]))
    def choose_replacement(self, replacement: Any) -> None:
        self.wanted = replace(self.wanted, replacement=replacement)

    @rule(unknown_secret=st.sampled_from(["warn", "replace"]))
    def choose_what_becomes_of_unknown_secrets(self, unknown_secret: Any) -> None:
        self.wanted = replace(self.wanted, unknown_secret=unknown_secret)

    @rule(ref=st.sampled_from(REFS), secret=st.sampled_from(SECRETS))
    def rotate(self, ref: SecretRef, secret: str) -> None:
        self.environ[ref.name] = secret

    @rule(ref=st.sampled_from(REFS))
    def unset(self, ref: SecretRef) -> None:
        self.environ.pop(ref.name, None)

    # behind hooksync's back

    @rule(what=SUBSCRIPTIONS)
    def add(self, what: tuple[Any, ...]) -> None:
        url, trigger, flag, secret = what
        self.service.calls.append("theirs")
        identifier = f"theirs-{len(self.service.calls)}"
        one = live(identifier, url, trigger, include_identifiers=flag)
        if not (self.service.refuses_duplicates and one.key in {each.key for each in self.service.live.values()}):
            self.service.live[identifier], self.service.secrets[identifier] = one, secret

    @precondition(lambda self: self.service.live)
    @rule(data=st.data(), secret=st.sampled_from(SECRETS))
    def duplicate(self, data: st.DataObject, secret: str) -> None:
        one = self.draw_live(data)
        self.add((one.url.full, one.trigger, one.include_identifiers, secret))

    @precondition(lambda self: self.service.live)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        del self.service.live[self.draw_live(data).id]

    @precondition(lambda self: self.service.live)
    @rule(data=st.data())
    def flip(self, data: st.DataObject) -> None:
        one = self.draw_live(data)
        self.service.live[one.id] = replace(one, include_identifiers=not one.include_identifiers)

    @precondition(lambda self: self.service.live)
    @rule()
    def flip_all(self) -> None:
        for one in self.service.live.values():
            self.service.live[one.id] = replace(one, include_identifiers=not one.include_identifiers)

    def draw_live(self, data: st.DataObject) -> LiveSubscription:
        return self.service.live[data.draw(st.sampled_from(sorted(self.service.live)))]

    # the state

    @rule()
    def delete_the_state(self) -> None:
        Path(self.path).unlink(missing_ok=True)
        self.knowable.clear()

    @rule()
    def copy_the_state(self) -> None:
        if os.path.exists(self.path):
            self.copies.append(Path(self.path).read_text())

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def bring_back_an_older_state(self, data: st.DataObject) -> None:
        Path(self.path).write_text(data.draw(st.sampled_from(self.copies)))
        self.knowable &= {entry.id for entry in self.read_state().entries}
        self.was_stale = True

    def read_state(self) -> State:
        return load(self.path) or State(0, b"")

    # runs

    @precondition(lambda self: self.settled != self.how_it_is())
    @rule(
        on_subscribe=scripts(ON_SUBSCRIBE),
        on_unsubscribe=scripts(ON_UNSUBSCRIBE),
        on_list=scripts(ON_LIST),
        adopts=st.booleans(),
    )
    def apply_with_faults(
        self, on_subscribe: list[object], on_unsubscribe: list[object], on_list: list[object], adopts: bool
    ) -> None:
        self.service.on_subscribe = deque(on_subscribe)
        self.service.on_unsubscribe = deque(on_unsubscribe)
        self.service.on_list = deque(on_list)
        self.apply(adopts=adopts)

    @precondition(lambda self: self.settled != self.how_it_is())
    @rule(moments=st.integers(0, 30), on_subscribe=scripts(ON_SUBSCRIBE))
    def apply_and_be_killed(self, moments: int, on_subscribe: list[object]) -> None:
        self.service.moments = moments
        self.service.on_subscribe = deque(on_subscribe)
        self.apply()

    @precondition(lambda self: self.settled != self.how_it_is())
    @rule()
    def apply_without_faults(self) -> None:
        for ref in REFS:
            self.environ.setdefault(ref.name, SECRETS[0])
        ran = self.apply()
        assert ran is not None
        assert ran.is_as_declared, ran
        self.check_exactly_as_declared()
        assert isinstance(ran.planned, TenancyPlan)
        seen = {it.declared.secret for it in ran.planned.steps if isinstance(it, Resubscribe) and CHANGED in it.reasons}
        for one in self.wanted.subscriptions:
            [held] = [each for each in self.service.live.values() if each.key == one.key]
            must_be_right = one.secret in seen or self.wanted.unknown_secret == "replace" or held.id in self.knowable
            if must_be_right and held.id not in self.misled:
                assert self.service.secrets[held.id] == self.environ[one.secret.name], "a rotation was not seen"
        assert self.read_state().intents == ()
        before = len(self.service.calls)
        again = self.apply()
        assert again is not None
        assert isinstance(again.planned, TenancyPlan)
        assert again.planned.is_empty, again.planned.steps
        assert self.service.calls[before:] == ["list"]
        self.settled = self.how_it_is()

    def apply(self, *, adopts: bool = False) -> Ran | None:
        """Run hooksync once, and hold it to its word."""
        service, before = self.service, dict(self.service.live)
        made_before, entries_before = set(service.made), {entry.id for entry in self.read_state().entries}
        conflicts = service.refuses_duplicates or any(
            isinstance(it, Rejected) and it.status == 409 for it in service.on_subscribe
        )
        self.note_who_is_misled()
        remembered = {
            each: made.address for each, made in recall(self.read_state(), "prod", before.values()).made.items()
        }
        wanted = {one.address: (one.url.identity, one.trigger.wire) for one in self.wanted.subscriptions}
        had = served(wanted, places(before.values()), remembered)
        service.seen.clear()
        ran = hooksync(self.wanted, service, self.path, self.environ, adopts=adopts)
        service.moments = None
        for script in (service.on_subscribe, service.on_unsubscribe, service.on_list):
            script.clear()
        self.knowable |= service.made - made_before
        if adopts:  # the state believes what it was told
            told = {entry.id for entry in self.read_state().entries} - entries_before - (service.made - made_before)
            self.misled |= {identifier for identifier in told if not self.is_true(identifier)}
        self.check_what_is_not_ours(before)
        self.check_that_nothing_vanished(gaps(wanted, had, service.seen), ran, conflicts=conflicts)
        if ran is None:
            known = recall(self.read_state(), "prod", service.live.values()).made
            new = (service.made - made_before) & set(service.live)
            assert new <= set(known), "a run that was killed left no word of what it made"
        else:
            self.check_the_report(ran, before)
        return ran

    def note_who_is_misled(self) -> None:
        """A person's own subscription, or an old state, can pass for what a run that was cut meant to make."""
        state = self.read_state()
        for identifier, made in recall(state, "prod", self.service.live.values()).made.items():
            is_wrong = isinstance(made, Intent) and not made.is_made_with(self.true_key(identifier, state, made))
            if is_wrong and (identifier not in self.service.made or self.was_stale):
                self.misled.add(identifier)

    def true_key(self, identifier: str, state: State, made: StateEntry | Intent) -> Key:
        return cheap_key(Secret(self.service.secrets[identifier]), state.salts_by_id()[made.salt])

    def is_true(self, identifier: str) -> bool:
        state = self.read_state()
        entry = state.entries_of("prod")[identifier]
        return entry.is_made_with(self.true_key(identifier, state, entry))

    # what must hold

    def check_what_is_not_ours(self, before: dict[str, LiveSubscription]) -> None:
        def foreign(several: dict[str, LiveSubscription]) -> dict[str, LiveSubscription]:
            return {key: each for key, each in several.items() if not owns_url(OWNS, each.url.full)}

        assert foreign(self.service.live) == foreign(before)

    def check_that_nothing_vanished(self, missing: set[str], ran: Ran | None, *, conflicts: bool) -> None:
        """No address that was served was ever without a live subscription; or its loss was asked for, and told.

        `conflicts`: whether the service may have said 409, so that old ones had to go first.
        """
        removes_first = self.wanted.replacement == "remove-first"
        assert conflicts or removes_first or not missing, "the old one went before the new one was known to exist"
        outcomes = ran.outcome.outcomes if ran and ran.outcome else ()
        if ran and not removes_first:
            assert missing <= {
                it.step.declared.address for it in outcomes if isinstance(it.step, Resubscribe) and it.warning
            }
        lost = missing & self.unserved() if ran else set()
        assert lost <= {
            it.step.declared.address
            for it in outcomes
            if isinstance(it.step, Resubscribe) and it.result in ("half-done", "failed") and it.detail and it.fix
        }  # failed: where the answer to the removal was lost, or a 500, so that nobody knows whether it was carried out

    def unserved(self) -> set[str]:
        has = {each.key for each in self.service.live.values()}
        return {one.address for one in self.wanted.subscriptions if one.key not in has}

    def check_the_report(self, ran: Ran, before: dict[str, LiveSubscription]) -> None:
        if ran.is_as_declared:
            self.check_exactly_as_declared()
            self.check_known_secrets(ran)
        outcome = ran.outcome
        if outcome is None:
            assert self.service.live == before
            return
        results = Counter(one.result for one in outcome.outcomes)
        assert sum(results.values()) == len(outcome.plan.steps)
        for one in outcome.outcomes:
            if one.result in ("failed", "half-done"):
                assert one.detail
                assert one.fix
            if one.new_id and isinstance(one.step, Subscribe | Resubscribe):
                assert one.new_id not in before
                if not outcome.not_verified:  # else an answer is believed
                    assert self.service.live[one.new_id].key == one.step.declared.key

    def check_known_secrets(self, ran: Ran) -> None:
        """What was made has the declared secret, and so has what is said to have the same."""
        assert isinstance(ran.planned, TenancyPlan)
        for step in ran.planned.steps:
            if not isinstance(step, Keep):
                continue
            assert step.secret_state == "same" or has_unknown_secret(step), "it is neither right nor told as unknown"
            if step.secret_state == "same" and step.live.id not in self.misled:
                assert self.service.secrets[step.live.id] == self.environ[step.declared.secret.name]
        for one in ran.outcome.outcomes if ran.outcome else ():
            if one.new_id and isinstance(one.step, Subscribe | Resubscribe):
                assert self.service.secrets[one.new_id] == self.environ[one.step.declared.secret.name]

    def check_exactly_as_declared(self) -> None:
        ours = [each for each in self.service.live.values() if owns_url(OWNS, each.url.full)]
        has = Counter((each.key, each.include_identifiers) for each in ours)
        assert has == Counter((one.key, one.include_identifiers) for one in self.wanted.subscriptions)

    @invariant()
    def the_state_tells_no_untruth_and_no_secret(self) -> None:
        if not os.path.exists(self.path):
            return
        text = Path(self.path).read_text()
        assert not any(secret in text for secret in SECRETS)
        for entry in self.read_state().entries:
            if entry.id in self.service.live and entry.id not in self.misled:
                assert self.is_true(entry.id)


def histories(number: int) -> settings:
    """So many histories: always the same, or as the environment says."""
    return settings(
        max_examples=EXAMPLES or number,
        stateful_step_count=40 if EXAMPLES else 25,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        print_blob=bool(EXAMPLES),
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.slow
@pytest.mark.timeout(0 if EXAMPLES else 300)
class TestReconciling(Reconciling.TestCase):
    settings = histories(500)


@pytest.mark.skipif(EXAMPLES > 0, reason="all are run")
class TestReconcilingBriefly(Reconciling.TestCase):
    settings = histories(30)


def test_a_rotation_between_two_killed_runs_is_seen() -> None:
    state = Reconciling()
    try:
        state.declare((declared(OURS[0], MOVED, name="n0", secret=REFS[0]),))
        state.service.moments = 5  # two of the list, two of the intents, one before the POST: it is made
        assert state.apply() is None
        [made] = state.service.live
        state.rotate(REFS[0], SECRETS[1])
        state.service.moments = 4  # the intents are written, and nothing is made
        assert state.apply() is None
        assert list(state.service.live) == [made]
        assert state.apply() is not None
        assert list(state.service.secrets.values())[-1] == SECRETS[1]
        assert made not in state.service.live
    finally:
        state.teardown()


SWAP, CHAIN = "two swap their URLs", "one moves to where another one was"


def edited(kind: str) -> tuple[tuple[DeclaredSubscription, ...], tuple[DeclaredSubscription, ...]]:
    """Two subscriptions, and what an edit of the file makes of them."""
    one, two = (declared(OURS[number], MOVED, name=NAMES[number], secret=REFS[0]) for number in range(2))
    new_url = live_url(OURS[2])
    after = {
        "one moves": (replace(one, url=new_url), two),
        "both move": (replace(one, url=new_url), replace(two, url=live_url(f"{OURS[2]}/d"))),
        SWAP: (replace(one, url=two.url), replace(two, url=one.url)),
        CHAIN: (replace(one, url=two.url), replace(two, url=new_url)),
        "one is renamed": (replace(one, name=NAMES[2]), two),
        "one moves, its secret rotates": (replace(one, url=new_url, secret=REFS[1]), two),
    }
    return (one, two), after[kind]


EDITS = (SWAP, CHAIN, "one moves", "both move", "one is renamed", "one moves, its secret rotates")


@contextmanager
def made(kind: str, replacement: str = "create-first") -> Iterator[Reconciling]:
    """A tenancy as hooksync made it, and a hooks file that was edited since."""
    state = Reconciling()
    try:
        before, after = edited(kind)
        state.environ[REFS[1].name] = SECRETS[1]
        state.wanted = replace(state.wanted, replacement=replacement)
        state.declare(before)
        state.apply_without_faults()
        state.declare(after)
        yield state
    finally:
        state.teardown()


@pytest.mark.parametrize("replacement", ["create-first", "remove-first"])
@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_that_is_killed_at_any_moment_is_finished_by_the_next_run(kind: str, replacement: str) -> None:
    for moments in range(40):
        with made(kind, replacement) as state:
            state.service.moments = moments
            is_whole = state.apply() is not None
            state.apply_without_faults()
        if is_whole:
            return
    raise AssertionError("a run has no end")


@pytest.mark.parametrize("kind", EDITS)
@pytest.mark.parametrize("answer", [rejected(400), rejected(500), lost(), ("after", lost()), SAME, LIE])
def test_an_edit_whose_subscribe_goes_wrong_loses_no_place(kind: str, answer: object) -> None:
    with made(kind) as state:
        state.service.on_subscribe = deque([answer] * 3)
        state.apply()
        state.apply_without_faults()


@pytest.mark.parametrize("kind", EDITS)
@pytest.mark.parametrize("answer", [rejected(400), rejected(500), lost(), ("after", lost()), LIE])
def test_an_edit_whose_removal_goes_wrong_is_finished_by_the_next_run(kind: str, answer: object) -> None:
    with made(kind) as state:
        state.service.on_unsubscribe = deque([answer] * 3)
        state.apply()
        state.apply_without_faults()
