"""Makes states and what is in them, with sensible defaults, and strategies that draw them."""

from __future__ import annotations

from hypothesis import strategies as st

from hooksync.core.model import SubscriptionKey, Trigger
from hooksync.state.fingerprints import Key, Salt, declared_digest, fingerprint, intent_fingerprint
from hooksync.state.model import Intent, Removed, State, StateEntry

KEY = Key(b"k" * 32)
SALT = Salt("env:HOOK_SECRET#73737373", "73" * 16)
URL_SALT = "75" * 16
DECLARED = declared_digest(
    URL_SALT, SubscriptionKey("https://hooks.example.org/a", Trigger("MOVED"))
)


def entry(
    tenancy: str = "prod",
    identifier: str = "1" * 32,
    *,
    run: int = 1,
    salt: Salt = SALT,
    key: Key = KEY,
) -> StateEntry:
    """An entry for `catalogue`."""
    mark = fingerprint(key, tenancy, identifier)
    return StateEntry(
        tenancy, f"{tenancy}/catalogue/MOVED", run, salt.id, mark, DECLARED, id=identifier
    )


def intent(
    tenancy: str = "prod",
    name: str = "catalogue",
    *,
    run: int = 1,
    salt: Salt = SALT,
    key: Key = KEY,
) -> Intent:
    """An intent to make one subscription."""
    address = f"{tenancy}/{name}/MOVED"
    return Intent(
        tenancy,
        address,
        run,
        salt.id,
        intent_fingerprint(key, tenancy, address),
        DECLARED,
        ("2" * 32,),
    )


def removed(
    tenancy: str = "prod", identifier: str = "1" * 32, *, at: int = 1_800_000_000
) -> Removed:
    """One that was removed and still listed."""
    return Removed(tenancy, identifier, at)


def state(
    *records: StateEntry | Intent | Removed, last_run: int = 1, salts: tuple[Salt, ...] = (SALT,)
) -> State:
    """A state that holds these."""
    entries = tuple(each for each in records if isinstance(each, StateEntry))
    intents = tuple(each for each in records if isinstance(each, Intent))
    gone = tuple(each for each in records if isinstance(each, Removed))
    return State(last_run, URL_SALT, salts, entries, intents, gone)


TENANCIES = st.sampled_from(["prod", "test", "archive-prod", "archive"])
TEXTS = st.text(min_size=1, max_size=12) | st.sampled_from(["a\nb", '"', "ü", "\x1b[2J"])
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
SALT_BYTES = st.binary(min_size=16, max_size=16).map(bytes.hex)
TIMES = st.integers(0, 2**53 - 1)


def salts() -> st.SearchStrategy[Salt]:
    """Salts as a file may hold them."""
    return st.builds(Salt, TEXTS, SALT_BYTES)


@st.composite
def states(draw: st.DrawFn) -> State:
    """Whole states: each record once, every salt there, no run later than the last."""
    last_run = draw(st.integers(1, 2**53 - 1))
    known = draw(st.lists(salts(), min_size=1, max_size=4, unique_by=lambda salt: salt.id))
    names = st.sampled_from([salt.id for salt in known])
    runs = st.integers(1, last_run)
    tenancies, flags = TENANCIES | TEXTS, st.booleans()
    of_entry = {
        "id": TEXTS,
        "include_identifiers": flags,
        "is_found": flags,
        "unlisted_since": TIMES,
    }
    entries = st.builds(StateEntry, tenancies, TEXTS, runs, names, DIGESTS, DIGESTS, **of_entry)
    seen = st.lists(TEXTS, max_size=3).map(tuple)
    intents = st.builds(Intent, tenancies, TEXTS, runs, names, DIGESTS, DIGESTS, seen, flags, TIMES)
    removed = st.builds(Removed, tenancies, TEXTS, TIMES)
    return State(
        last_run,
        draw(SALT_BYTES),
        tuple(known),
        tuple(draw(st.lists(entries, max_size=6, unique_by=lambda it: (it.tenancy, it.id)))),
        tuple(
            draw(
                st.lists(intents, max_size=4, unique_by=lambda it: (it.tenancy, it.address, it.run))
            )
        ),
        tuple(draw(st.lists(removed, max_size=4, unique_by=lambda it: (it.tenancy, it.id)))),
        draw(TIMES),
    )
