"""Every fault at every call of an apply, with every kind of service: no law breaks, and the next
apply settles everything.

Each case is a scripted history. An apply has a step of every kind to do, and some of its calls go
wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import pytest

from tests.command_line import ROOT
from tests.lanes import sampled
from tests.simulation.history import (
    ONLY_OF,
    TRAITS,
    Command,
    Edit,
    History,
    Mishap,
    Person,
    StateFile,
    Step,
    Wait,
)
from tests.simulation.play import play

EVER = 1000  # calls; more than an apply makes
# two references, and an apply that creates everything
MADE: tuple[Step, ...] = (
    Edit("reference", which=1, to=1),
    Command("apply"),
)
NEWS: tuple[Step, ...] = (  # what the apply has to do
    Edit("rotate", which=1),  # resubscribe: the secret
    Edit("flag", which=2),  # resubscribe: the flag
    Edit("add", which=3),  # subscribe two
    Person("subscribe", which=4),  # unsubscribe: not declared
    Person("duplicate", to=1),  # unsubscribe: a duplicate
    Person("foreign"),  # leave
    Wait(400.0),  # until the list shows it
)
MOVED: tuple[Step, ...] = (Edit("move", which=2, to=4), Edit("rename", which=0))
LAGS = {"lag_additions": 5.0, "lag_removals": 5.0}

Way = tuple[tuple[Step, ...], dict[str, Any]]  # the steps before the apply, and settings
MAIN = "create-first"
WAYS: dict[str, Way] = {
    MAIN: (NEWS, {}),
    "remove-first": (NEWS, {"remove_first": True}),
    **{trait: (NEWS, {"traits": (trait,)}) for trait in TRAITS},
    "receivers move": ((*NEWS, *MOVED), {}),
    "remove-first, receivers move": ((*NEWS, *MOVED), {"remove_first": True}),
    "the state is lost": ((*NEWS, StateFile("lose")), {}),
    "the state is far away": (NEWS, {"is_remote": True}),
    "additions lag": (NEWS, {"lag_additions": 5.0}),
    "removals lag": (NEWS, {"lag_removals": 5.0}),
    "the list lags": (NEWS, LAGS),
    "remove-first, the list lags": (NEWS, {"remove_first": True, **LAGS}),
    "answer-without-id, the list lags": (NEWS, {"traits": ("answer-without-id",), **LAGS}),
    "refuse-duplicates, the list lags": (NEWS, {"traits": ("refuse-duplicates",), **LAGS}),
    "receivers move, the list lags": ((*NEWS, *MOVED), LAGS),
    "the list lags for long": (NEWS, {"lag_additions": 60.0, "lag_removals": 60.0}),
}
FEW_FAULTS = (
    "cut",
    "commit-cut",
    "status 500",
    "portal",
    "commit-status 502",
)
FAULTS = (
    *FEW_FAULTS,
    *(
        "slow",
        "late 35",
        "late-calls 3",
        "unreachable",
        "expired",
        "garbage",
        "empty",
        "wrong-shape",
        "echo",
    ),
    *("lie-gone", "commit-status 409", "commit-status 500"),
    *(
        f"status {number}"
        for number in (204, 302, 307, 400, 401, 403, 404, 409, 429, 502, 503, 504)
    ),
)
CALLS = ("login", "list", "subscribe", "unsubscribe")
SEVERAL = (  # one fault makes a second one worse: fault, call, first call, number of calls
    (("commit-cut", "subscribe", 0, 1), ("status 500", "list", 1, EVER)),
    (("commit-cut", "subscribe", 0, EVER), ("status 500", "list", 1, 1)),
    (("commit-cut", "subscribe", 0, EVER), ("empty", "list", 2, 1)),
    (("commit-cut", "subscribe", 0, EVER), ("commit-cut", "unsubscribe", 0, EVER)),
    (
        ("cut", "subscribe", 0, 4),
        ("commit-cut", "subscribe", 4, EVER),
        ("status 500", "list", 2, EVER),
    ),
    (("cut", "subscribe", 0, 4), ("status 409", "subscribe", 4, EVER)),
    (("wrong-shape", "subscribe", 0, EVER), ("status 500", "list", 1, EVER)),
    (("commit-status 502", "unsubscribe", 0, 1), ("cut", "list", 1, EVER)),
    (("commit-cut", "unsubscribe", 0, 2), ("status 404", "unsubscribe", 2, EVER)),
    (("expired", "list", 0, 1), ("cut", "login", 1, 1)),
    (("expired", "subscribe", 2, 1), ("status 401", "login", 1, EVER)),
    (("expired", "unsubscribe", 2, 1), ("status 403", "login", 1, EVER)),
    (("expired", "subscribe", 0, 1), ("commit-cut", "subscribe", 1, 1)),
    (("status 429", "subscribe", 0, 1), ("commit-cut", "subscribe", 1, 1)),
    (("status 409", "subscribe", 3, 1), ("commit-cut", "unsubscribe", 0, EVER)),
)


def mishap(fault: str, call: str, nth: int, times: int = 1) -> Mishap:
    kind, _, number = fault.partition(" ")
    return Mishap(kind, call, nth, float(number or 0), times=times)


def history(way: str, *mishaps: Mishap) -> History:
    news, settings = WAYS[way]
    apply = Command("apply", ("reviewed",), mishaps)
    return History(0, (*MADE, *news, apply), **{"live": 0, **settings})


@cache
def calls(way: str) -> Counter[str]:
    """Return how many calls of each kind the apply makes if nothing goes wrong."""
    played = play(history(way))
    assert played.broken == []
    return Counter(
        moment.call for moment in played.service.moments if moment.by == "apply 2"
    ) | Counter(login=1)


def cells(way: str, call: str) -> Iterator[Mishap]:
    """Yield each fault at the first, the middle and the last call, the first two, all, and all from
    the middle.
    """
    number = calls(way)[call]
    if not number:  # with a long lag, no removal happens
        return
    places = {(0, 1), (number // 2, 1), (number - 1, 1), (0, 2), (0, EVER), (number // 2, EVER)}
    for fault, (nth, times) in product(FAULTS if way == MAIN else FEW_FAULTS, sorted(places)):
        if ONLY_OF.get(fault, call) == call:
            yield mishap(fault, call, nth, times)


def assert_no_law_breaks(way: str, *mishaps: Mishap) -> None:
    played = play(history(way, *mishaps))
    assert played.broken == [], mishaps
    assert played.figures["faults"], f"{mishaps} never happened"


@pytest.mark.slow
@pytest.mark.parametrize(("way", "call"), sampled(product(WAYS, CALLS), 80, 4))
def test_no_fault_of_a_call_breaks_a_law_and_the_next_apply_settles_everything(
    way: str, call: str
) -> None:
    for each in cells(way, call):
        assert_no_law_breaks(way, each)


@pytest.mark.slow
@pytest.mark.parametrize("way", sampled(WAYS, 6, 6))
@pytest.mark.parametrize("times", [1, EVER])
def test_a_connection_that_is_cut_at_any_call_breaks_no_law(way: str, times: int) -> None:
    for nth, fault in product(range(calls(way).total()), ("cut", "commit-cut")):
        assert_no_law_breaks(way, mishap(fault, "any", nth, times))


@pytest.mark.slow
@pytest.mark.parametrize("way", sampled(WAYS, 6, 6))
@pytest.mark.parametrize("end", ["killed", "commit-killed", "stop"])
def test_an_apply_that_ends_at_any_call_is_finished_by_the_next_run(way: str, end: str) -> None:
    for nth in range(calls(way).total()):
        assert_no_law_breaks(way, mishap(end, "any", nth))


@pytest.mark.parametrize("call", range(8))
def test_a_rotation_between_two_killed_runs_is_noticed(call: int) -> None:
    killed = Command("apply", mishaps=(mishap("commit-killed", "any", call),))
    steps: tuple[Step, ...] = (killed, Edit("rotate", which=0), killed, Edit("rotate", which=1))
    assert play(History(0, steps, declared=2, live=0)).broken == []


@pytest.mark.slow
@pytest.mark.parametrize("way", sampled(WAYS, 6, 6))
@pytest.mark.parametrize("flags", [(), ("old-checkout",)], ids=["one state", "a state each"])
def test_a_second_apply_between_any_two_calls_breaks_no_law(
    way: str, flags: tuple[str, ...]
) -> None:
    for nth in range(calls(way).total()):
        other = Mishap("act", "any", nth, act=Command("apply", flags))
        assert_no_law_breaks(way, other)
        assert_no_law_breaks(way, other, mishap("commit-cut", "subscribe", 0))


@pytest.mark.parametrize("faults", SEVERAL, ids=str)
def test_faults_that_come_together_break_no_law(
    faults: tuple[tuple[str, str, int, int], ...],
) -> None:
    assert_no_law_breaks(MAIN, *(mishap(*fault) for fault in faults))


ENDS = (  # the rows of the table "When calls fail" in docs/recovering.md
    (MAIN, "commit-cut", "subscribe", 0, EVER, "4"),
    (MAIN, "cut", "subscribe", 0, 1, "4"),
    (MAIN, "status 500", "subscribe", 0, 1, "4"),
    (MAIN, "status 400", "subscribe", 0, 1, "4"),
    (MAIN, "status 500", "unsubscribe", 0, 2, "0"),
    (MAIN, "status 500", "list", 0, EVER, "1"),
    (MAIN, "portal", "list", 0, 1, "1"),
    (MAIN, "status 500", "list", 1, EVER, "4"),
    ("the list lags", "cut", "list", 0, 1, "0"),
    ("the list lags for long", "cut", "list", 0, 1, "4"),
    (MAIN, "expired", "subscribe", 0, 1, "0"),
    ("refuse-duplicates", "cut", "list", 0, 1, "4"),
)
AFTER_TWO = "3"  # exit code of the third apply, while two attempts are open
COLUMN = re.compile(r"\| (\d)[^|]* \|$", re.MULTILINE)


def test_the_page_on_recovering_gives_the_exit_code_of_an_apply_for_each_fault() -> None:
    codes = []
    for way, fault, call, nth, times, _ in ENDS:
        played = play(history(way, mishap(fault, call, nth, times)), traces=True)
        codes += re.findall(r"apply 2: exit (\d)", "\n".join(played.trace))
    assert codes == [code for *_, code in ENDS]
    lost = Command("apply", mishaps=(mishap("cut", "subscribe", 0, EVER),))
    played = play(History(0, (lost, lost, Command("apply")), live=0), traces=True)
    codes += re.findall(r"apply 3: exit (\d)", "\n".join(played.trace))
    assert codes[-1] == AFTER_TWO
    page = (ROOT / "docs" / "recovering.md").read_text(encoding="utf-8")
    section = page.partition("## When calls fail\n")[2].partition("\n## ")[0]
    assert COLUMN.findall(section) == codes


def test_the_scripted_apply_has_a_step_of_every_kind() -> None:
    assert calls(MAIN) == Counter(login=1, list=3, subscribe=4, unsubscribe=4)
