"""What the state contains about one tenancy, as the comparison needs it. Pure.

If a list shows a subscription of an attempt, the subscription belongs to hooksync. It is
unconfirmed: no response proves with which secret it was made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from hooksync.core.model import (
    COMPARED,
    Content,
    DeclaredSubscription,
    LiveSubscription,
    Tenancy,
)
from hooksync.core.record import Record, field, replace
from hooksync.state.attempts import MOST_OPEN, open_attempts, settled
from hooksync.state.fingerprints import identity_digest
from hooksync.state.model import Attempt, State, StateEntry


class History(Record, frozen=True):
    """What the state contains about a tenancy, and what that means in this run."""

    HIDDEN = ("url_salt",)

    entries: Mapping[str, StateEntry] = field(default_factory=dict)  # by live id
    url_salt: str = ""  # hex
    found: Mapping[str, Attempt] = field(default_factory=dict)  # by the live id that a list shows
    lost_names: frozenset[str] = frozenset()  # local names of entries that the list lacks
    # addresses under which too many attempts are open; None: of an identity that is not declared
    blocked: frozenset[str | None] = frozenset()
    open_addresses: tuple[str, ...] = ()  # of open attempts that no list shows
    # the foreign ids that the last apply of the tenancy saw; None: there was no apply
    seen: Collection[str] | None = None
    is_trusted: bool = True  # False: anybody could have written the state: it proves no ownership
    has_state: bool = True  # False: the run has no state, so no secret is compared

    def record(self, identifier: str) -> StateEntry | Attempt | None:
        """Return the record of a live subscription. An attempt: no response confirmed it."""
        return self.entries.get(identifier) or self.found.get(identifier)

    def run_of(self, live: LiveSubscription) -> int:
        """Return the run that made a live subscription; 0: the state does not have it."""
        record = self.record(live.id)
        return record.run if record else 0

    def content_of(self, live: LiveSubscription) -> Content:
        """Return the compared fields of a live subscription.

        If the list does not report a field, the value in the state is returned.
        """
        content = live.content
        if None in content.values() and (record := self.record(live.id)):
            recorded = COMPARED | record.content
            for name, value in live.content.items():
                if value is None:
                    content[name] = recorded[name]
        return content


def local_name(declared: DeclaredSubscription) -> str:
    """Return the address of a declared subscription without the tenancy's name."""
    return declared.address.partition("/")[2]


def history_of(state: State, tenancy: Tenancy, listed: Sequence[LiveSubscription]) -> History:
    """Gather what a state contains about a tenancy, settled by a list.

    The planner fills in the other fields.
    """
    records = settled(state.of(tenancy.key), listed, state.url_salt)
    shown = {live.id for live in listed}
    attempts = open_attempts(records, shown)
    entries = {entry.id: entry for entry in records.entries}
    found = {attempt.id: attempt for attempt in attempts if attempt.id in shown}
    lost = frozenset(entry.local_name for entry in records.entries if entry.id not in shown)
    history = History(entries, state.url_salt, found, lost, seen=records.foreign)
    return _with_attempts(history, attempts, tenancy, shown) if attempts else history


def _with_attempts(
    history: History, attempts: Sequence[Attempt], tenancy: Tenancy, shown: Collection[str]
) -> History:
    """Add the addresses of open attempts. `shown`: the ids in the list."""
    addresses = declared_addresses(tenancy, history.url_salt)
    numbers = Counter(addresses.get(attempt.identity) for attempt in attempts)
    blocked = frozenset(address for address in numbers if numbers[address] >= MOST_OPEN)
    hidden = set()
    for attempt in attempts:
        if attempt.id not in shown:
            hidden.add(addresses.get(attempt.identity, attempt.address))
    return replace(history, blocked=blocked, open_addresses=tuple(sorted(hidden)))


def declared_addresses(tenancy: Tenancy, url_salt: str) -> dict[str, str]:
    """Return the declared address of each identity, also of those that are not selected."""
    addresses = {}
    for declared in (*tenancy.subscriptions, *tenancy.not_selected):
        addresses[identity_digest(url_salt, declared.key)] = declared.address
    return addresses
