"""Functions that make states and their records with defaults, and strategies that draw them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from hooksync.core.model import SubscriptionKey, TenancyKey, Trigger
from hooksync.core.record import replace
from hooksync.state.contract import StateStore
from hooksync.state.fingerprints import Key, Salt, declared_digest
from hooksync.state.model import Attempt, State, StateEntry, SubscriptionRecord
from hooksync.state.store import inspect

KEY = Key(b"k" * 32)
SALT = Salt("env:HOOK_SECRET#73737373", "73" * 16)
URL_SALT = "75" * 16
DECLARED = declared_digest(
    URL_SALT, SubscriptionKey("https://hooks.example.org/a", Trigger("MOVED"))
)
SERVER = "eu.preservica.com"
PROD = TenancyKey(SERVER, "brama")
AT = 1_800_000_000


def entry(
    tenant: str = "brama",
    identifier: str = "1" * 32,
    *,
    run: int = 1,
    salt: Salt = SALT,
    key: Key = KEY,
) -> StateEntry:
    """Return an entry for `catalogue`. `key`: the key of its secret."""
    made = StateEntry(SERVER, tenant, "prod/catalogue/MOVED", run, AT, DECLARED, True, identifier)
    return made.made_with(key, salt)


def attempt(
    tenant: str = "brama", name: str = "catalogue", *, run: int = 1, **fields: object
) -> Attempt:
    """Return an attempt to make one subscription."""
    address = f"prod/{name}/MOVED"
    made = Attempt(SERVER, tenant, address, run, AT, DECLARED, True, seen=("2" * 32,))
    return replace(made, **fields)


def state(
    *records: SubscriptionRecord, serial: int = 1, salts: tuple[Salt, ...] = (SALT,)
) -> State:
    """Return a state that contains these records."""
    return State(
        URL_SALT,
        salts,
        tuple(each for each in records if isinstance(each, StateEntry)),
        tuple(each for each in records if isinstance(each, Attempt)),
        serial,
    )


def adding(*made: StateEntry) -> Callable[[State], State]:
    """Return a change of a state that adds entries, or replaces entries with the same ids."""

    def change(now: State) -> State:
        there = {(each.key, each.id): each for each in (*now.entries, *made)}
        return replace(now, salts=tuple({*now.salts, SALT}), entries=tuple(there.values()))

    return change


def load(store: StateStore) -> State | None:
    """Return the current state. Raise StateError if no run may trust it."""
    return inspect(store).trusted()


def ids_of(one: State, tenant: str) -> set[str]:
    """Return the ids in the entries of a state for a tenant."""
    return {each.id for each in one.entries if each.tenant == tenant}


TEXTS = st.text(min_size=1, max_size=12) | st.sampled_from(["a\nb", '"', "ü", "\x1b[2J"])
TENANTS = st.sampled_from(["brama", "test", ""]) | TEXTS
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
SALT_BYTES = st.binary(min_size=16, max_size=16).map(bytes.hex)
TIMES = st.integers(0, 2**53 - 1)


def salts() -> st.SearchStrategy[Salt]:
    """Return a strategy for salts that a file may contain."""
    return st.builds(Salt, TEXTS, SALT_BYTES)


@st.composite
def states(draw: st.DrawFn) -> State:
    """Draw a whole state. It has each record once, and each salt that a record names. No run is
    later than the serial.
    """
    serial = draw(st.integers(1, 2**53 - 1))
    known = draw(st.lists(salts(), min_size=1, max_size=4, unique_by=lambda salt: salt.id))
    names = st.sampled_from([salt.id for salt in known])
    runs = st.integers(1, serial)
    servers = st.sampled_from([SERVER, "us.preservica.com"])
    flags = st.booleans()
    fields = (servers, TENANTS, TEXTS, runs, TIMES, DIGESTS, flags)
    entries = st.builds(
        StateEntry, *fields, TEXTS, is_adopted=flags, salt=names, fingerprint=DIGESTS
    )
    seen = st.lists(TEXTS, max_size=3).map(tuple)
    attempts = st.one_of(
        st.builds(Attempt, *fields, TEXTS | st.just(""), seen=seen),
        st.builds(Attempt, *fields, TEXTS, salt=names, fingerprint=DIGESTS, seen=seen),
    )
    return State(
        draw(SALT_BYTES),
        tuple(known),
        tuple(draw(st.lists(entries, max_size=6, unique_by=lambda one: (one.key, one.id)))),
        tuple(
            draw(
                st.lists(
                    attempts, max_size=4, unique_by=lambda one: (one.key, one.declared, one.run)
                )
            )
        ),
        serial,
    )
