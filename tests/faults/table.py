"""The fault matrix as data: what goes wrong, with which call, how often, and how hooksync and the service are.

`cells` multiplies the tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

WAIT = 30.0  # seconds for which an apply waits for the list
LAG, LONG_LAG = 5.0, 60.0  # seconds; shorter and longer than that
REFUSES = frozenset({"refuse-duplicates"})
SLOW = 2.8  # seconds; more than two calls in a row may take, so that what is slow comes after the verification

# What becomes of a subscribe that meets a fault.
#   found: it was carried out and only its answer is lost; the list shows it, so there is no second one, and its secret
#     is unknown
#   again: it was not carried out and nobody can tell from its answer; the list does not show it: once more
#   believed: the service reports success and has done nothing; it is said to be done and not listed yet, and there is
#     no second one
#   repeated: the service asked for patience, and has done nothing
#   renewed: the token is refused; there is a second one, under a new token
#   expired: likewise, and the token is of no use any more
#   refused: the service said no; there is no second one
#   conflict: likewise, but the old one may be in the way: it is removed, and there is a second one
After = Literal["found", "again", "believed", "repeated", "renewed", "expired", "refused", "conflict"]

FAULTS: dict[str, After] = {
    "cut": "again",
    "commit-cut": "found",
    f"slow-{SLOW}": "again",
    f"commit-slow-{SLOW}": "found",
    "half-body": "found",
    "gateway-502": "again",
    "commit-502": "found",
    "gateway-504": "again",
    "busy-1": "again",
    "retry-after-1": "repeated",
    "retry-after-9999": "repeated",
    "retry-after-date-1": "repeated",
    "expired-token": "expired",
    "status-401": "renewed",
    "status-204": "again",
    "status-400": "refused",
    "status-403": "refused",
    "status-404": "refused",
    "status-409": "conflict",
    "status-429": "repeated",
    "status-500": "refused",
    "empty-body": "again",
    "not-json": "again",
    "wrong-shape": "believed",
    "big": "again",
    "redirect": "refused",
    "redirect-307": "refused",
    "echo": "refused",
}
FEW_FAULTS = ("cut", "commit-cut", "half-body", "status-500", "not-json", "commit-502")
WRONG_IDS: dict[str, After] = {"lie-id": "believed", "same-id": "believed", "commit-same-id": "found"}
DOUBLED = "doubled"
AFTER: dict[str, After] = {**FAULTS, **WRONG_IDS, DOUBLED: "found"}
LOST_ANSWERS = tuple(kind for kind, after in FAULTS.items() if after == "found" or kind == "cut")
LIES = (
    "wrong-shape@subscribe",
    "lie-id@subscribe",
    "same-id@subscribe",
    "status-204@unsubscribe",
    "status-404@unsubscribe",
)  # a success that is not true


@dataclass(frozen=True, slots=True)
class Way:
    """How hooksync is run, and how the service is."""

    name: str
    replacement: Literal["create-first", "remove-first"] = "create-first"
    traits: frozenset[str] = frozenset()  # of the sandbox
    uses_state: bool = True
    subscribes: bool = True  # whether there is anything to subscribe, besides what is to be resubscribed
    moves: bool = False  # whether what is resubscribed has moved, and what is kept has other names than before
    siblings: bool = (
        False  # whether only another subscription tells that the secret of one that is resubscribed changed
    )
    additions: float = 0.0  # seconds by which the list is late with what was made
    removals: float = 0.0  # seconds by which it is late with what was removed
    looks: int = 0  # lists that an apply without faults reads, where they lag
    edits_flag: bool = False  # whether of what is resubscribed only the flag has changed, which the list does not tell
    has_duplicates: bool = True  # one of what is kept; and where the service refuses them, one of what is resubscribed
    at_once: int = 1  # calls in flight; by ones, it is sure which call is the first and which the last

    @property
    def refuses_duplicates(self) -> bool:
        return "refuse-duplicates" in self.traits

    @property
    def lags(self) -> bool:
        return bool(self.additions or self.removals)

    @property
    def lags_for_long(self) -> bool:
        """Whether the list may show only the next run what an apply did."""
        return max(self.additions, self.removals) > WAIT

    @property
    def tells_no_flag(self) -> bool:
        """Whether the verification, with neither flags nor a state, cannot tell an old one from a new one."""
        return "minimal-list" in self.traits and not self.uses_state

    @property
    def resubscribes(self) -> int:
        return 2

    @property
    def makes(self) -> int:
        """How many subscriptions are to be made."""
        return self.resubscribes + (3 if self.subscribes else 0)

    def calls(self, name: str) -> int:
        """How many calls of this name an apply without faults makes."""
        conflicts = self.resubscribes if self.refuses_duplicates else 0
        match name:
            case "subscribe" if self.replacement == "remove-first":  # the duplicate is in the way, the old ones are not
                return self.makes + (self.refuses_duplicates and self.has_duplicates)
            case "subscribe":
                return self.makes + conflicts
            case "unsubscribe" if self.lags_for_long:  # what is listed is removed once more, what is replaced stays
                return 6
            case "unsubscribe":  # two that are not declared, two old ones, and the duplicates
                return 4 + self.has_duplicates * (1 + self.refuses_duplicates)
            case "list" if self.lags:
                return self.looks
            case "list":  # before and after, where something is replaced or doubled in between, and for ids
                is_replaced = self.has_duplicates or not self.refuses_duplicates
                return 2 + is_replaced + ("answer-without-id" in self.traits)
            case _:
                return 1


def _ways() -> Iterator[Way]:
    for uses_state in (True, False):
        rest = "" if uses_state else ", no state"
        yield Way(f"create-first{rest}", uses_state=uses_state)
        yield Way(f"remove-first{rest}", "remove-first", uses_state=uses_state)
        yield Way(f"refuse-duplicates{rest}", traits=REFUSES, has_duplicates=False, uses_state=uses_state)
        for trait in ("answer-without-id", "minimal-list", "string-flags", "normalise-urls"):
            yield Way(trait + rest, traits=frozenset({trait}), uses_state=uses_state)
    yield Way("remove-first, nothing to subscribe", "remove-first", subscribes=False)
    yield Way("create-first, eight at a time", at_once=8)
    yield Way("create-first, receivers move", moves=True)
    yield Way("remove-first, receivers move", "remove-first", moves=True)
    yield Way("create-first, a secret told by a sibling", siblings=True)
    yield Way("remove-first, a secret told by a sibling", "remove-first", siblings=True)
    yield Way("number-ids", traits=frozenset({"number-ids"}))
    yield Way("refuse-duplicates, and there are some", traits=REFUSES)
    yield Way("remove-first, refuse-duplicates, and there are some", "remove-first", traits=REFUSES)
    yield Way("minimal-list, a flag is edited", traits=frozenset({"minimal-list"}), edits_flag=True)
    yield from _ways_that_lag()


def _ways_that_lag() -> Iterator[Way]:
    yield Way("create-first, additions lag", additions=LAG, looks=7)
    yield Way("create-first, removals lag", removals=LAG, looks=8)
    yield Way("create-first, the list lags", additions=LAG, removals=LAG, looks=12)
    yield Way("remove-first, the list lags", "remove-first", additions=LAG, removals=LAG, looks=8)
    yield Way(
        "answer-without-id, the list lags",
        traits=frozenset({"answer-without-id"}),
        additions=LAG,
        removals=LAG,
        looks=14,
    )
    yield Way(
        "refuse-duplicates, the list lags", traits=REFUSES, has_duplicates=False, additions=LAG, removals=LAG, looks=7
    )
    yield Way("create-first, receivers move, the list lags", moves=True, additions=LAG, removals=LAG, looks=12)
    yield Way("create-first, the list lags, no state", uses_state=False, additions=LAG, removals=LAG, looks=13)
    yield Way("create-first, the list lags for long", additions=LONG_LAG, removals=LONG_LAG, looks=24)


WAYS = tuple(_ways())
MAIN = WAYS[0]
NAMED = {way.name: way for way in WAYS}
WAYS_WITH_WRONG_IDS = (
    "create-first",
    "remove-first",
    "answer-without-id",
    "refuse-duplicates",
    "create-first, receivers move",
    "create-first, the list lags",
)
WAYS_OF_TWO = (
    *WAYS_WITH_WRONG_IDS,
    "minimal-list, a flag is edited",
    "refuse-duplicates, and there are some",
)
STATES_OF_TWO = ("one state", "a state each")
MOMENTS_OF_TWO = (1, 2, 4, 6, 7, 9, 12)  # calls of the first run, after which the second one runs from end to end
FAULTS_OF_TWO = ("none", "commit-cut@subscribe")


@dataclass(frozen=True, slots=True)
class Position:
    """With which call something goes wrong, and how often."""

    call: str  # as the sandbox names it
    place: Literal["first", "middle", "last"]  # among the calls of that name
    times: Literal["1", "2", "*"]
    name: str  # the column's

    def spec(self, way: Way) -> str:
        """Write it as the sandbox takes it, behind the kind."""
        calls = way.calls(self.call)
        skip = {"first": 0, "middle": calls // 2, "last": calls - 1}[self.place]
        return f"{self.call}:{self.times}:{skip}"


def _positions() -> Iterator[Position]:
    often: dict[Literal["1", "2", "*"], str] = {"1": "once", "2": "twice", "*": "for ever"}
    for call, shown in (("login", "log-in"), ("list", "list")):
        yield from (Position(call, "first", times, f"{shown} {word}") for times, word in often.items())
    for call in ("subscribe", "unsubscribe"):
        yield Position(call, "first", "1", f"{call} first")
        yield Position(call, "middle", "1", f"{call} middle")
        yield Position(call, "last", "1", f"{call} last")
        yield Position(call, "first", "2", f"{call} twice")
        yield Position(call, "first", "*", f"{call} for ever")
    for times in ("1", "*"):  # by it, ids are found that no answer told, and what replaces an old one is seen
        yield Position("list", "middle", times, f"list in between {often[times]}")
    yield from (Position("list", "last", times, f"verifying list {word}") for times, word in often.items())


POSITIONS = tuple(_positions())


def positions_of(way: Way) -> tuple[Position, ...]:
    """Give the columns of a way's table: all for the main one, else those that may differ from the main one."""
    if way == MAIN:
        return POSITIONS
    few = [one for one in POSITIONS if one.call != "login" and one.times != "2"]
    if way.at_once > 1:
        few = [one for one in few if one.call == "list" or one.times == "*"]
    places = {one.spec(way): one for one in few}
    return tuple(places.values())  # where there are two calls, the middle one is the last


SEVERAL = (  # a fault that makes another one worse
    ("commit-cut@subscribe", "status-500@list:1:1"),
    ("commit-cut@subscribe", "status-500@list:*:1"),
    ("commit-cut@subscribe:*", "status-500@list:1:1"),
    ("commit-cut@subscribe:*", "status-500@list:*:1"),
    ("commit-cut@subscribe:*", "status-500@list:1:2"),
    ("commit-502@subscribe:1:4", "cut@list:*:1"),
    ("cut@subscribe:*", "status-500@list:1:1"),
    ("cut@subscribe:5", "status-500@list:1:2"),
    ("cut@subscribe:5", "commit-cut@subscribe:*"),
    ("cut@subscribe:5", "commit-cut@subscribe:*", "status-500@list:*:2"),
    ("cut@subscribe:5", "status-409@subscribe:*"),
    ("commit-cut@subscribe:*", "commit-cut@unsubscribe:*"),
    ("commit-cut@subscribe:*", "cut@unsubscribe:*"),
    ("commit-cut@subscribe:*", "not-json@list:1:1"),
    ("commit-cut@subscribe:*", "empty-body@list:1:1"),
    ("wrong-shape@subscribe:*", "status-500@list:1:1"),
    ("wrong-shape@subscribe:1:4", "status-500@list:*:1"),
    ("status-500@subscribe:1:4", "status-500@list:*:1"),
    ("commit-cut@unsubscribe:*", "status-500@list:*:1"),
    ("commit-502@unsubscribe:*", "cut@list:*:1"),
    ("cut@unsubscribe:*", "status-500@list:*:1"),
    ("commit-cut@unsubscribe:2", "status-404@unsubscribe:*"),
    ("expired-token@list", "cut@login:1:1"),
    ("expired-token@list:1:1", "gateway-502@login:*:1"),
    ("expired-token@subscribe", "gateway-503@login:1:1"),
    ("expired-token@subscribe:1:2", "status-401@login:*:1"),
    ("expired-token@subscribe:1:4", "cut@login:*:1"),
    ("expired-token@unsubscribe:1:2", "status-403@login:*:1"),
    ("expired-token@subscribe:1", "commit-cut@subscribe:1"),
    ("retry-after-1@subscribe:1", "commit-cut@subscribe:1"),
    ("status-409@subscribe:1:3", "cut@subscribe:*"),
    ("status-409@subscribe:1:4", "cut@unsubscribe:1"),
    ("status-409@subscribe:1:4", "cut@unsubscribe:*"),
    ("status-409@subscribe:1:4", "commit-cut@unsubscribe:*"),
)
