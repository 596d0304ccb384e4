"""A history: what happens to a tenancy, its hooks file and its state, as data.

A history is made from one seed before it is played. It has plain values, so its repr can be pasted
into the list of regressions. A number that chooses something ("the third declared subscription") is
taken modulo the number of choices. So a history stays valid if a part of it is left out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

STEPS = 10  # about so many in a history


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of the hooks file or of the environment."""

    kind: Literal[
        "add", "remove", "move", "swap", "rename", "flag", "reference", "rotate", "unset", "revert"
    ]
    tenancy: int = 0
    which: int = 0
    to: int = 0


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody changes the tenancy by hand."""

    kind: Literal["subscribe", "unsubscribe", "duplicate", "repair", "foreign"]
    tenancy: int = 0
    which: int = 0
    to: int = 0


@dataclass(frozen=True, slots=True)
class StateFile:
    """Somebody keeps a copy of the state, brings the newest copy back, or loses the state."""

    kind: Literal["copy", "restore", "lose"]


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Mishap:
    """A fault, or an act of others, at one call of a command or at one write of its state."""

    kind: str  # see CALL_KINDS and WRITE_KINDS
    call: str = "any"  # any, login, list, subscribe, unsubscribe; or write
    nth: int = 0  # number of the first affected call, from 0
    # seconds, further calls, or a status; with an act: how long the process is paused before it
    number: float = 0
    act: Person | Command | None = None  # what others do just before the call
    times: int = 1  # so many calls in a row


@dataclass(frozen=True, slots=True)
class Command:
    """One process of hooksync."""

    verb: Literal["plan", "apply", "saved"]  # saved: plan --out, then apply PLAN
    flags: tuple[str, ...] = ()  # see FLAGS
    mishaps: tuple[Mishap, ...] = ()
    # steps after a saved plan was made, before it is applied
    between: tuple[Edit | Person | Wait, ...] = ()


Step: TypeAlias = Edit | Person | StateFile | Wait | Command


@dataclass(frozen=True, slots=True)
class History:
    """The steps of a history, and the settings of the service and the hooks file."""

    seed: int
    steps: tuple[Step, ...]
    traits: tuple[str, ...] = ()  # of the service
    tenancies: int = 1
    declared: int = 3  # in each tenancy, at the beginning
    live: int = 1  # in each tenancy, at the beginning, not made by hooksync
    lag_additions: float = 0.0  # seconds
    lag_removals: float = 0.0  # seconds
    list_wait: int = 30  # seconds that an apply waits for a list
    remove_first: bool = False
    probes: bool = False
    rest: float = 301.0  # seconds without faults before the apply that must settle everything
    owns: Literal["made", "all", "none", "prefixes"] = "prefixes"
    # the state is remote, and the run lock of a killed run stays until it expires
    is_remote: bool = False


TRAITS = (
    "refuse-duplicates",
    "answer-without-id",
    "minimal-list",
    "string-flags",
    "normalise-urls",
    "number-ids",
    "answer-empty",
)
OWNS: tuple[Literal["made", "all", "none", "prefixes"], ...] = (
    "made",
    "made",
    "all",
    "none",
    "prefixes",
)
FLAGS = ("adopt", "all", "text", "old-checkout", "markdown", "target", "reviewed")
EDITS = (
    "add",
    "add",
    "remove",
    "move",
    "move",
    "swap",
    "rename",
    "flag",
    "rotate",
    "rotate",
    "reference",
    "revert",
    "unset",
)
PEOPLE = ("subscribe", "unsubscribe", "duplicate", "repair", "foreign")
STATUSES = (400, 403, 404, 409, 429, 500, 502, 503)
UNCLEAR = (409, 500, 502, 503)  # the service may have carried the call out
LAGS = (0.0, 0.0, 0.0, 1.0, 5.0, 20.0, 60.0, 300.0)
WAITS = (1.0, 10.0, 60.0, 600.0, 1000.0, 4000.0)
CALLS = (
    "any",
    "any",
    "list",
    "subscribe",
    "subscribe",
    "subscribe",
    "unsubscribe",
    "unsubscribe",
    "login",
)
CALL_KINDS = (
    *(
        "cut",
        "commit-cut",
        "commit-cut",
        "slow",
        "late",
        "late",
        "late-calls",
        "status",
        "status",
    ),
    *(
        "commit-status",
        "garbage",
        "expired",
        "unreachable",
        "killed",
        "killed",
        "commit-killed",
        "commit-killed",
    ),
    *(
        "stop",
        "bug",
        "commit-bug",
        "act",
        "act",
        "act",
        "lie-gone",
        "echo",
    ),
)
WRITE_KINDS = ("killed", "commit-killed")
REMOTE_WRITE_KINDS = ("killed", "commit-killed", "cut", "commit-cut", "cut-off", "commit-cut-off")
PAUSES = (0.0, 0.0, 30.0, 200.0)
ONLY_OF = {  # kinds of mishaps that only one kind of call can have
    "echo": "subscribe",
    "lie-gone": "unsubscribe",
}


class _Taste(NamedTuple):
    """The preferences of a history: with fewer kinds of things in it, more of them meet."""

    kinds: list[str]
    calls: list[str]
    edits: list[str]
    weights: tuple[int, ...]  # of the kinds of steps
    mishaps: tuple[int, ...]  # weights of their number in a command
    is_remote: bool


STEP_KINDS = ("edit", "apply", "plan", "saved", "person", "state", "wait")


def make_history(seed: int) -> History:
    """Make the history of a seed."""
    chance = random.Random(seed)
    lags = [chance.choice(LAGS) for _ in range(2)] if chance.random() < 0.5 else [0.0, 0.0]
    taste = _Taste(
        kinds=chance.sample(CALL_KINDS, chance.choice([1, 2, 4, 8, len(CALL_KINDS)])),
        calls=chance.sample(CALLS, chance.choice([2, 4, len(CALLS)])),
        edits=chance.sample(EDITS, chance.choice([2, 4, len(EDITS)])),
        weights=chance.choice(
            [(30, 36, 5, 5, 12, 5, 7), (40, 50, 2, 2, 2, 2, 2), (25, 35, 5, 5, 20, 5, 5)]
        ),
        mishaps=chance.choice([(4, 4, 2, 1), (1, 4, 4, 2), (10, 2, 0, 0)]),
        is_remote=random.Random(f"{seed}: where the state is").random()
        < 0.3,  # its own generator, so all else of a seed stays the same
    )
    return History(
        seed=seed,
        steps=tuple(_steps(chance, taste)),
        traits=tuple(sorted(trait for trait in TRAITS if chance.random() < 0.15)),
        tenancies=chance.choice([1, 1, 1, 2]),
        declared=chance.randrange(1, 5),
        live=chance.randrange(3),
        lag_additions=lags[0],
        lag_removals=lags[1],
        list_wait=chance.choice([0, 5, 30, 30, 30, 120]),
        remove_first=chance.random() < 0.15,
        probes=chance.random() < 0.2,
        rest=max(lags) + 1,
        owns=random.Random(f"{seed}: what is owned").choice(OWNS),
        is_remote=taste.is_remote,
    )


def _steps(chance: random.Random, taste: _Taste) -> list[Step]:
    steps: list[Step] = [Command("apply")] if chance.random() < 0.8 else []
    while len(steps) < STEPS:
        steps.append(_step(chance, taste))
    return steps


def _step(chance: random.Random, taste: _Taste) -> Step:
    match chance.choices(STEP_KINDS, taste.weights)[0]:
        case "edit":
            return _edit(chance, taste)
        case "person":
            return _person(chance)
        case "state":
            return StateFile(chance.choice(["copy", "copy", "restore", "lose"]))  # type: ignore[arg-type]
        case "wait":
            return Wait(chance.choice(WAITS))
        case verb:
            return _command(chance, taste, verb)


def _edit(chance: random.Random, taste: _Taste) -> Edit:
    kind = chance.choice(taste.edits)
    return Edit(kind, chance.randrange(2), chance.randrange(8), chance.randrange(8))  # type: ignore[arg-type]


def _person(chance: random.Random) -> Person:
    kind = chance.choice(PEOPLE)
    return Person(kind, chance.randrange(2), chance.randrange(8), chance.randrange(8))  # type: ignore[arg-type]


def _command(chance: random.Random, taste: _Taste, verb: str, *, is_inner: bool = False) -> Command:
    flags = tuple(flag for flag in FLAGS if chance.random() < 0.08)
    number = chance.choices(range(4), taste.mishaps)[0]
    mishaps = tuple(_mishap(chance, taste, is_inner=is_inner) for _ in range(number))
    between: list[Edit | Person | Wait] = []
    if verb == "saved" and chance.random() < 0.3:
        between.append(
            chance.choice([_edit(chance, taste), _person(chance), Wait(chance.choice(WAITS))])
        )
    return Command(verb, flags, mishaps, tuple(between))  # type: ignore[arg-type]


def _mishap(chance: random.Random, taste: _Taste, *, is_inner: bool) -> Mishap:
    if chance.random() < 0.12:
        kinds, writes = (REMOTE_WRITE_KINDS, 5) if taste.is_remote else (WRITE_KINDS, 2)
        return Mishap(chance.choice(kinds), "write", chance.randrange(writes))
    kind = chance.choice(taste.kinds)
    call = ONLY_OF.get(kind) or chance.choice(taste.calls)
    nth = chance.randrange(14) if call == "any" else chance.randrange(3)
    number, act = 0.0, None
    match kind:
        case "late":
            number = chance.choice([10.0, 35.0, 100.0, 2000.0])
        case "late-calls":
            number = chance.randrange(1, 8)
        case "status":
            number = chance.choice(STATUSES)
        case "commit-status":
            number = chance.choice(UNCLEAR)
        case "act" if is_inner or chance.random() < 0.5:
            act = _person(chance)
        case "act":
            act = _command(chance, taste, "apply", is_inner=True)
            number = chance.choice(PAUSES) if taste.is_remote else 0.0
    return Mishap(kind, call, nth, number, act)
