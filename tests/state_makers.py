"""Functions that make states and their records with defaults, and strategies that draw them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

from hooksync.core.model import SubscriptionKey, TenancyKey, Trigger
from hooksync.core.record import replace
from hooksync.state.fingerprints import Key, Salt, identity_digest
from hooksync.state.model import (
    Attempt,
    State,
    StateEntry,
    SubscriptionRecord,
    TenancyRecords,
)
from hooksync.state.store import StateStore, accepted_state

KEY = Key(b"k" * 32)
SALT = Salt("env:HOOK_SECRET#73737373", "73" * 16)
URL_SALT = "75" * 16
DECLARED = identity_digest(
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
    made = StateEntry(
        "prod/catalogue/MOVED", run, AT, DECLARED, {"include_identifiers": True}, identifier
    )
    return made.made_with(key, salt, TenancyKey(SERVER, tenant))


def attempt(name: str = "catalogue", *, run: int = 1, **fields: object) -> Attempt:
    """Return an attempt to make one subscription."""
    made = Attempt(
        f"prod/{name}/MOVED", run, AT, DECLARED, {"include_identifiers": True}, seen=("2" * 32,)
    )
    return replace(made.made_with(KEY, SALT, PROD), **fields)


def records(*made: SubscriptionRecord, tenant: str = "brama") -> TenancyRecords:
    """Return the records of a tenancy."""
    return TenancyRecords(
        SERVER,
        tenant,
        tuple(one for one in made if isinstance(one, StateEntry)),
        tuple(one for one in made if isinstance(one, Attempt)),
    )


def elsewhere(tenant: str, identifier: str = "1" * 32) -> TenancyRecords:
    """Return the records of a tenant with one entry."""
    return records(entry(tenant, identifier), tenant=tenant)


def state(
    *made: SubscriptionRecord | TenancyRecords, serial: int = 1, salts: tuple[Salt, ...] = (SALT,)
) -> State:
    """Return a state that contains these records. Single ones are those of the tenancy PROD."""
    return replace(adding(*made)(State(URL_SALT, salts, serial=serial)), salts=salts)


def adding(*made: SubscriptionRecord | TenancyRecords) -> Callable[[State], State]:
    """Return a change of a state that adds records, or replaces entries with the same ids."""
    own = records(*(one for one in made if isinstance(one, SubscriptionRecord)))
    parts = [one for one in made if isinstance(one, TenancyRecords)]

    def change(now: State) -> State:
        for part in (own, *parts):
            there = now.of(part.key)
            if part != TenancyRecords(*part.key):
                entries = {one.id: one for one in (*there.entries, *part.entries)}
                both = replace(
                    there,
                    entries=tuple(entries.values()),
                    attempts=(*there.attempts, *part.attempts),
                )
                others = [one for one in now.tenancies if one.key != part.key]
                now = replace(now, tenancies=(*others, both))
        return replace(now, salts=tuple({*now.salts, SALT}))

    return change


def load(store: StateStore) -> State | None:
    """Return the current state. Raise StateError if no run may trust it."""
    return accepted_state(store.read(), store, writes=False)


def ids_of(one: State, tenant: str) -> set[str]:
    """Return the ids in the entries of a state for a tenant."""
    return {each.id for each in one.of(TenancyKey(SERVER, tenant)).entries}


def written(document: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the `entries` or `attempts` of all tenancies in the document of a state."""
    return [one for tenancy in document["tenancies"] for one in tenancy[kind]]


TEXTS = st.text(min_size=1, max_size=12) | st.sampled_from(["a\nb", '"', "ü", "\x1b[2J"])
TENANTS = st.sampled_from(["brama", "test", ""]) | TEXTS
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
SALT_BYTES = st.binary(min_size=16, max_size=16).map(bytes.hex)
COMMITS = st.binary(min_size=20, max_size=20).map(bytes.hex)
TIMES = st.integers(0, 253402300799)


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
    contents = st.dictionaries(TEXTS, flags, max_size=2)
    fields = (TEXTS, runs, TIMES, DIGESTS, contents)
    entries = st.builds(
        StateEntry, *fields, TEXTS, is_adopted=flags, salt=names, fingerprint=DIGESTS
    )
    seen = st.lists(TEXTS, max_size=3).map(tuple)
    attempts = st.builds(
        Attempt,
        *fields,
        TEXTS | st.just(""),
        salt=names,
        fingerprint=DIGESTS,
        seen=seen,
        is_proven=flags,
    )
    tenancies = st.builds(
        TenancyRecords,
        servers,
        TENANTS,
        st.lists(entries, max_size=4, unique_by=lambda one: one.id).map(tuple),
        st.lists(attempts, max_size=3, unique_by=lambda one: (one.identity, one.run_number)).map(
            tuple
        ),
        st.none() | st.lists(TEXTS, max_size=2).map(tuple),
        st.none() | COMMITS,
        st.lists(TEXTS, max_size=2).map(tuple),
    )
    return State(
        draw(SALT_BYTES),
        tuple(known),
        tuple(draw(st.lists(tenancies, max_size=3, unique_by=lambda one: one.key))),
        serial,
    )
