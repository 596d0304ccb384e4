"""The limits of a plan, the order of its steps, and secrets in its types."""

from __future__ import annotations

import copy
import pickle
from collections import Counter

import pytest

from hooksync.core.errors import Problem, some_of
from hooksync.core.model import HookUrl, Secret, UnsubscribeLimit
from hooksync.core.record import replace
from hooksync.core.urls import normal_url
from hooksync.reconcile.diff import DiffOptions, is_owned, make_plan
from hooksync.reconcile.plan import (
    ADOPT_FIX,
    Leave,
    TenancyPlan,
    Unsubscribe,
    not_attempted,
    secret_reasons,
    unsafe_reasons,
)
from hooksync.state.history import History
from tests.makers import HERE, declared, live, tenancy


def reasons(limit: UnsubscribeLimit, removed: int, kept: int, **settings: object) -> list[str]:
    wanted = [declared(f"https://hooks.example.org/kept{number}") for number in range(kept)]
    there = [
        live(f"k{number}", f"https://hooks.example.org/kept{number}") for number in range(kept)
    ]
    there += [
        live(f"r{number}", f"https://hooks.example.org/removed{number}")
        for number in range(removed)
    ]
    owner = tenancy(*wanted, limit=limit, **settings)
    plan = make_plan(owner, there, DiffOptions())
    return [problem.what for problem in unsafe_reasons(plan, len(there))]


@pytest.mark.parametrize(
    ("limit", "removed", "kept", "is_refused"),
    [
        (UnsubscribeLimit(percent=50), 1, 1, False),
        (UnsubscribeLimit(percent=50), 2, 3, False),
        (UnsubscribeLimit(percent=50), 2, 2, True),  # reaching the share refuses
        (UnsubscribeLimit(percent=50), 3, 2, True),
        (UnsubscribeLimit(percent=10), 1, 1, False),  # one removal breaks no share
        (UnsubscribeLimit(percent=10), 2, 8, True),
        (UnsubscribeLimit(percent=100), 9, 1, False),
        (UnsubscribeLimit(percent=0), 1, 9, True),
        (UnsubscribeLimit(number=0), 1, 9, True),
        (UnsubscribeLimit(number=2), 2, 1, False),
        (UnsubscribeLimit(number=2), 3, 9, True),
    ],
)
def test_a_plan_that_reaches_the_share_or_passes_the_number_is_unsafe(
    limit: UnsubscribeLimit, removed: int, kept: int, is_refused: bool
) -> None:
    assert bool(reasons(limit, removed, kept)) == is_refused


def with_unknown_secret(
    unknown_secret: str, url: str = "https://hooks.example.org/a"
) -> TenancyPlan:
    owner = tenancy(
        declared(), declared("https://hooks.example.org/b"), unknown_secret=unknown_secret
    )
    return make_plan(owner, [live("1", url)], DiffOptions(), History(states={"2": "same"}))


def test_unknown_secrets_are_refused_where_the_tenancy_says_so() -> None:
    plan = with_unknown_secret("refuse")
    what = "prod: the secrets of prod/catalogue/MOVED are unknown, and unknown_secret is refuse"
    assert secret_reasons(plan) == (Problem(what, ADOPT_FIX, plan.tenancy.location),)
    assert secret_reasons(with_unknown_secret("warn")) == ()
    assert secret_reasons(with_unknown_secret("refuse", "https://other.example.org/")) == ()


def test_a_secret_that_is_the_declared_one_is_not_unknown() -> None:
    plan = make_plan(
        tenancy(declared(), unknown_secret="refuse"),
        [live("1")],
        DiffOptions(),
        History(states={"1": "same"}),
    )
    assert secret_reasons(plan) == ()


def test_many_addresses_are_counted() -> None:
    assert some_of(["a", "b", "c", "d", "e"]) == "a, b, c, d, e"
    assert some_of(["a", "b", "c", "d", "e", "f", "g"]) == "a, b, c, d, e and 2 more"


def test_the_reason_holds_the_numbers() -> None:
    [reason] = reasons(UnsubscribeLimit(percent=12.5), 3, 2)
    assert reason == "prod: would unsubscribe 3 of the 5 it owns: limits.unsubscribe is 12.5%"


def test_each_reason_says_where_the_limit_stands_and_what_lifts_it() -> None:
    there = (live("1"), live("2", "https://hooks.example.org/b"))
    problems = unsafe_reasons(make_plan(tenancy(), there, DiffOptions()), 2)
    assert len(problems) == 2
    for problem in problems:
        assert problem.where == HERE
        assert problem.fix.index("`owns`") < problem.fix.index("`limits: {unsubscribe: 100%}`")


@pytest.mark.parametrize("removed", [1, 2])
def test_removing_all_where_none_is_declared_is_unsafe(removed: int) -> None:
    said = f"prod: would unsubscribe all it owns ({removed}), since none is declared"
    assert reasons(UnsubscribeLimit(number=5), removed, 0) == [said]


@pytest.mark.parametrize("removed", [1, 2, 5])
def test_a_limit_of_a_hundred_per_cent_allows_to_empty_a_tenancy(removed: int) -> None:
    assert reasons(UnsubscribeLimit(percent=100), removed, 0) == []


def test_a_plan_that_leaves_one_it_owns_does_not_remove_all() -> None:
    gone, left = live("1"), live("2", "https://hooks.example.org/b")
    steps = (Unsubscribe(gone, "not declared"), Leave(left, "not targeted"))
    assert unsafe_reasons(TenancyPlan(tenancy(), (gone, left), steps), 2) == ()


def test_nothing_live_and_nothing_declared_is_safe() -> None:
    assert reasons(UnsubscribeLimit(percent=50), 0, 0) == []


def test_duplicates_and_replaced_ones_do_not_count() -> None:
    there = [live(str(number), include_identifiers=False) for number in range(9)]
    owner = tenancy(declared(), limit=UnsubscribeLimit(number=0))
    plan = make_plan(owner, there, DiffOptions())
    assert unsafe_reasons(plan, 9) == ()


def test_what_is_not_ours_makes_no_share_larger() -> None:
    there = [live(f"{number}", f"https://vendor.example/{number}") for number in range(90)]
    there += [live("a", "https://hooks.example.org/x"), live("b", "https://hooks.example.org/y")]
    owner = tenancy(
        declared("https://hooks.example.org/z"), owns=frozenset(["https://hooks.example.org"])
    )
    plan = make_plan(owner, there, DiffOptions())
    assert sum(is_owned(owner, one, plan.history) for one in there) == 2
    assert len(unsafe_reasons(plan, 2)) == 1


def test_steps_stand_in_the_order_of_their_actions() -> None:
    wanted = [
        declared("https://h.example/new"),
        declared("https://h.example/b", include_identifiers=False),
    ]
    wanted.append(declared("https://h.example/kept"))
    there = [
        live("1", "https://h.example/b"),
        live("2", "https://h.example/kept"),
        live("3", "https://h.example/x"),
    ]
    there.append(live("4", "https://other.example/x"))
    owner = tenancy(*wanted, owns=frozenset(["https://h.example"]))
    plan = make_plan(owner, there, DiffOptions())
    actions = ["subscribe", "resubscribe", "unsubscribe", "keep", "leave"]
    assert [step.action for step in plan.steps] == actions
    assert Counter(step.action for step in plan.steps) == Counter(actions)


def test_a_plan_is_ready_where_there_is_something_to_do_and_nothing_against_it() -> None:
    empty, full = (
        make_plan(tenancy(), (), DiffOptions()),
        make_plan(tenancy(declared()), (), DiffOptions()),
    )
    refused = replace(full, refusals=(Problem("too much", "less"),))
    assert [plan.is_empty for plan in (empty, full, refused)] == [True, False, False]
    assert [plan.is_ready for plan in (empty, full, refused)] == [False, True, False]


def test_a_plan_holds_the_history_that_it_was_made_with() -> None:
    history = History(url_salt="5a17")
    assert make_plan(tenancy(), (), DiffOptions(), history).history is history


def test_of_a_plan_that_was_not_begun_nothing_is_said_to_be_done() -> None:
    plan = make_plan(
        tenancy(declared()), (live("x", "https://other.example/x"),), DiffOptions(is_targeted=True)
    )
    outcome = not_attempted(plan)
    assert outcome.plan is plan
    assert [(one.step, one.result) for one in outcome.outcomes] == [
        (plan.steps[0], "not-attempted"),
        (plan.steps[1], "unchanged"),
    ]
    assert not outcome.has_changed
    assert not outcome.is_as_declared


def test_a_secret_gives_nothing_away() -> None:
    secret = Secret("hunter2-hunter2")
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>30}",
        repr([secret]),
        repr({"a": secret}),
    ]
    assert not any("hunter2" in text for text in shown)
    assert secret.reveal() == "hunter2-hunter2"
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_neither_pickled_nor_copied(take: object) -> None:
    with pytest.raises(TypeError, match="neither pickled nor copied"):
        take(Secret("hunter2-hunter2"))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTPS://Ex.ORG:443", "https://ex.org/"),
        ("https://ex.org?x=1", "https://ex.org/?x=1"),
        ("http://ex.org:80/A?B=C#d", "http://ex.org/A?B=C#d"),
        ("http://ex.org:443/", "http://ex.org:443/"),
        ("https://[::1]:443", "https://[::1]/"),
        ("https://[::1]", "https://[::1]/"),
        ("https://ex.org:/a", "https://ex.org/a"),
        ("https://ex.org/a?", "https://ex.org/a?"),
        ("https://ex.org/a%2Fb/../c", "https://ex.org/a%2Fb/../c"),
        ("https://User:Pw@EX.org/", "https://User:Pw@ex.org/"),
        ("https://ex.org/a\nb", "https://ex.org/a\nb"),
        ("ftp://EX.org", "ftp://EX.org"),
        ("not a url", "not a url"),
        ("", ""),
    ],
)
def test_the_normal_form_changes_scheme_host_and_port_only(url: str, normal: str) -> None:
    assert normal_url(url) == normal
    assert normal_url(normal) == normal


def test_the_full_url_is_in_no_repr() -> None:
    assert "KEY" not in repr(HookUrl("https://ex.org/?code=${NAME}", "https://ex.org/?code=KEY"))
