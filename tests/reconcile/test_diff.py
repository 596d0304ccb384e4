"""How the diff pairs declared with live subscriptions, and which step it chooses for each."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    Tenancy,
    Trigger,
    matches_any,
)
from hooksync.core.record import replace
from hooksync.reconcile.diff import differing
from hooksync.reconcile.plan import Selection
from hooksync.state.model import StateEntry, SubscriptionRecord
from tests.makers import INDEXED, MOVED, declared, lists_of_live, live, tenancies, tenancy
from tests.reconcile.planning import compared, made, make_plan, planned, told, tried

OURS = frozenset(["https://hooks.example.org"])
THEIRS = frozenset(["https://vendor.example"])
ONE = declared()
ADDRESS = ONE.address
OLD_URL = "https://old.example/a"
BEFORE = replace(ONE, url=declared(OLD_URL).url)  # the declaration before the receiver moved


# --- the state entry of a subscription, and the step that follows


@pytest.mark.parametrize(
    ("entry", "there", "expected"),
    [
        (made("a", ONE), [live("a")], "keep a"),
        (made("a", ONE, value="the-secret-before-it-was-rotated"), [live("a")], "resubscribe a secret-changed"),
        (tried(ONE), [live("a")], "resubscribe a unconfirmed"),
        (tried(ONE, id="a"), [live("a")], "resubscribe a unconfirmed"),
        (tried(ONE, seen=("a",)), [live("a")], "keep a secret-unknown"),
        (made("a", ONE), [live("b")], "keep b replaced-outside"),
        (made("a", ONE), [], "subscribe removed-outside"),
        (tried(ONE), [], "subscribe new"),
        (None, [live("b")], "keep b secret-unknown"),
        (None, [], "subscribe new"),
    ],
)  # fmt: skip
def test_the_state_entry_decides_the_step_of_a_declared_subscription(
    entry: SubscriptionRecord | None, there: list[LiveSubscription], expected: str
) -> None:
    records = [entry] if entry else []
    plan = planned(tenancy(ONE), there, *records)
    assert told(plan) == [expected]
    [step] = plan.steps
    is_same = expected == "keep a"
    assert step.secret == (
        "same" if is_same else "changed" if "secret-changed" in expected else "unknown"
    )


@pytest.mark.parametrize("owns", ["none", "made", "all"])
def test_a_different_flag_alone_never_replaces_a_subscription_that_somebody_else_made(
    owns: str,
) -> None:
    there = live("theirs", include_identifiers=False)
    wanted = tenancy(ONE, owns=owns)
    plan = planned(wanted, [there])
    assert told(plan) == ["keep theirs secret-unknown"]
    assert plan.refusals
    named = planned(wanted, [there], options=Selection(replace=(ADDRESS,)))
    assert told(named) == ["resubscribe theirs flag-changed requested"]


def test_without_a_state_no_secret_is_compared_and_none_is_replaced() -> None:
    plan = planned(tenancy(ONE), [live("b")], place=None)
    assert told(plan) == ["keep b"]
    [step] = plan.steps
    assert (step.secret, step.origin, step.reasons) == ("unknown", "unknown", ())


def test_a_secret_that_is_not_set_is_reported_and_the_rest_is_compared() -> None:
    wanted = tenancy(ONE, declared("https://h.example/new", name="new"))
    flagged = live("a", include_identifiers=False)
    plan = planned(wanted, [flagged], made("a", ONE), environ={})
    assert told(plan) == ["subscribe new", "resubscribe a flag-changed"]
    for step in plan.steps:
        assert step.secret == "not-set"


def test_a_secret_with_a_line_break_is_not_called_not_set() -> None:
    environ = {"HOOK_SECRET": "a-secret-that-is-long-enough\n"}
    plan = planned(tenancy(ONE), [], environ=environ)
    [step] = plan.steps
    assert step.secret == "unusable"


# --- identity and content


@pytest.mark.parametrize(
    ("wanted", "there", "expected"),
    [
        (ONE, live("x"), ["keep x"]),
        (declared("https://h.example"), live("x", "HTTPS://H.Example:443/"), ["keep x"]),
        (replace(ONE, description="feeds it"), live("x"), ["keep x"]),
        (declared(trigger=INDEXED), live("x", trigger=MOVED), ["subscribe new", "unsubscribe x undeclared"]),
        (declared("https://h.example/A"), live("x", "https://h.example/a"), ["subscribe new", "unsubscribe x undeclared"]),
        (ONE, live("x", include_identifiers=False), ["resubscribe x flag-changed"]),
        (ONE, live("x", include_identifiers=None), ["keep x"]),
    ],
)  # fmt: skip
def test_identity_is_url_and_trigger_and_the_flag_is_content(
    wanted: DeclaredSubscription, there: LiveSubscription, expected: list[str]
) -> None:
    assert told(planned(tenancy(wanted), [there], place=None)) == expected


def test_a_flag_that_the_service_does_not_report_is_taken_from_the_state() -> None:
    there = live("a", include_identifiers=None)
    sent = made("a", ONE, content={"include_identifiers": False})
    assert told(planned(tenancy(ONE), [there], sent)) == ["resubscribe a flag-changed"]
    assert told(planned(tenancy(ONE), [there], made("a", ONE))) == ["keep a"]
    one = replace(ONE, include_identifiers=False)
    assert compared(tenancy(one), [there]).known_content(one, there) == one.content


def test_a_field_that_an_older_state_does_not_have_is_compared_with_its_default() -> None:
    older = made("a", ONE, content={"newer": 1})
    there = live("a", include_identifiers=None)
    off = replace(ONE, include_identifiers=False)
    assert told(planned(tenancy(ONE), [there], older)) == ["keep a"]
    assert told(planned(tenancy(off), [there], older)) == ["resubscribe a flag-changed"]


def test_each_field_that_differs_is_named_once() -> None:
    before = {"same": 1, "gone": 1, "type": True, "value": "a"}
    after = {"same": 1, "new": 2, "type": 1, "value": "b"}
    assert differing(before, after) == ["gone", "type", "value", "new"]
    assert differing(before, dict(before)) == []
    assert differing({"a": 1}, {"b": 1}) == ["a", "b"]


# --- pairing by state entry


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h.example/a~b", ["keep a"]),  # the service may spell a URL differently
        ("https://h.example/x", ["subscribe new", "unsubscribe a undeclared"]),
    ],
)
def test_a_state_entry_pairs_two_spellings_of_a_url_but_not_two_different_urls(
    url: str, expected: list[str]
) -> None:
    wanted = declared("https://h.example/a%7Eb")
    plan = planned(tenancy(wanted), [live("a", url)], made("a", wanted))
    assert told(plan) == expected


def test_a_forged_state_pairs_no_subscription_with_a_different_declaration() -> None:
    one = declared("https://h.example/a", name="a")
    two = declared("https://h.example/b", name="b")
    there = [live(name, f"https://h.example/{name}") for name in "abx"]
    plan = planned(tenancy(one, two), there, made("a", one), made("b", one), made("x", one))
    assert told(plan)[-2:] == ["keep a", "keep b"]
    assert told(plan)[0] == "unsubscribe x undeclared"


# --- moves


MOVES = ["resubscribe old url-changed flag-changed secret-changed"]
MOVES_NOT = ["subscribe new", "leave old undeclared"]


@pytest.mark.parametrize(
    ("owns", "expected"),
    [
        ("made", MOVES),
        ("all", MOVES),
        (frozenset([OLD_URL, *OURS]), MOVES),
        ("none", MOVES_NOT),
        (OURS, MOVES_NOT),
    ],
)
def test_a_move_replaces_only_what_this_file_owns(owns: object, expected: list[str]) -> None:
    there = live("old", OLD_URL, include_identifiers=False)
    entry = made("old", BEFORE, value="the-secret-before-it-was-rotated")
    assert told(planned(tenancy(ONE, owns=owns), [there], entry)) == expected


@pytest.mark.parametrize(
    ("there", "records", "expected"),
    [
        ([live("old", OLD_URL)], [], ["subscribe new", "unsubscribe old undeclared"]),
        ([live("old", OLD_URL, INDEXED)], [made("old", BEFORE)], ["subscribe new", "unsubscribe old undeclared"]),
        ([live("old", OLD_URL), live("a")], [made("old", BEFORE)], ["unsubscribe old undeclared", "keep a secret-unknown"]),
        # a killed run has created the new one and not yet removed the old one
        ([live("old", OLD_URL), live("a")], [made("old", BEFORE), made("a", ONE, run_number=2)],
         ["unsubscribe old duplicate", "keep a"]),
    ],
    ids=["no state", "a different trigger", "its place is filled", "half of it is done"],
)  # fmt: skip
def test_a_move_needs_a_state_entry_the_same_trigger_and_a_free_place(
    there: list[LiveSubscription], records: list[StateEntry], expected: list[str]
) -> None:
    assert told(planned(tenancy(ONE), there, *records)) == expected


@pytest.mark.parametrize("owns", ["made", "all"])
def test_a_forged_state_under_a_policy_turns_no_removal_into_a_move(owns: str) -> None:
    there = live("old", OLD_URL)
    plan = planned(tenancy(ONE, owns=owns), [there], made("old", BEFORE), is_trusted=False)
    left = "leave" if owns == "made" else "unsubscribe"
    assert told(plan) == ["subscribe new", f"{left} old undeclared"]
    assert [step.needs_review for step in plan.steps] == [False, owns == "all"]
    assert plan.steps[1].origin == "unknown"


# --- duplicates


def test_of_duplicates_the_newest_entry_is_kept_then_a_correct_one_then_the_first() -> None:
    wrong, right, third = live("w", include_identifiers=False), live("r"), live("t")
    there = [wrong, right, third]
    known = [made("w", ONE, run_number=1), made("t", ONE, run_number=2)]
    assert told(planned(tenancy(ONE), there, *known))[-1] == "keep t"
    assert told(planned(tenancy(ONE), there)) == [
        "keep r secret-unknown",
        "leave t duplicate",  # nothing proves the one that is kept
        "leave w duplicate",
    ]


@pytest.mark.parametrize(
    ("owns", "lines"),
    [
        ("made", ["unsubscribe older duplicate", "keep newer", "leave theirs duplicate"]),
        ("all", ["unsubscribe older duplicate", "unsubscribe theirs duplicate", "keep newer"]),
        ("none", ["unsubscribe older duplicate", "keep newer", "leave theirs duplicate"]),
        (THEIRS, ["unsubscribe older duplicate", "keep newer", "leave theirs duplicate"]),
    ],
)
def test_a_duplicate_is_removed_if_it_is_owned_or_in_the_state_and_left_otherwise(
    owns: object, lines: list[str]
) -> None:
    there = [live("theirs"), live("older"), live("newer")]
    known = [made("older", ONE, run_number=1), made("newer", ONE, run_number=2)]
    wanted = tenancy(ONE, owns=owns)
    assert told(planned(wanted, there, *known)) == lines
    replacing = planned(wanted, there, *known, options=Selection(replace=(ADDRESS,)))
    assert told(replacing) == [
        "resubscribe newer requested",
        "unsubscribe older duplicate requested",
        "unsubscribe theirs duplicate requested",
    ]


# --- undeclared subscriptions


@pytest.mark.parametrize(
    ("owns", "origin", "expected"),
    [
        ("made", "made", "-no longer declared"),
        ("made", "theirs", "not in the state"),
        ("made", "unproven", "only in an unsigned state, which proves nothing under a policy"),
        ("all", "made", "-no longer declared"),
        ("all", "theirs", "-not declared"),
        ("all", "unproven", "-not declared"),
        ("none", "made", "kept by `owns: none`"),
        ("none", "theirs", "kept by `owns: none`"),
        (OURS, "made", "-no longer declared"),
        (OURS, "theirs", "-not declared"),
        (THEIRS, "made", "outside the prefixes of `owns`"),
        (THEIRS, "theirs", "outside the prefixes of `owns`"),
    ],
)  # fmt: skip
def test_owns_decides_which_undeclared_subscriptions_are_removed(
    owns: object, origin: str, expected: str
) -> None:
    """Assert the reason of the step. A hyphen in front of `expected` means a removal."""
    there = live("it", trigger=Trigger("NEWER_THAN_US"))
    records = [] if origin == "theirs" else [made("it", ONE)]
    plan = planned(tenancy(owns=owns), [there], *records, is_trusted=origin != "unproven")
    [step] = plan.steps
    assert ("" if step.action == "leave" else "-") + step.reason == expected
    assert {reason.code for reason in step.reasons} == {"undeclared"}


# --- targets


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (ADDRESS, ["keep a", "leave gone undeclared", "leave other undeclared", "leave theirs undeclared"]),
        ("prod/gone/*", ["unsubscribe gone undeclared", "leave other undeclared", "leave a undeclared", "leave theirs undeclared"]),
    ],
)  # fmt: skip
def test_a_target_selects_undeclared_subscriptions_by_their_former_address(
    target: str, expected: list[str]
) -> None:
    other = declared("https://h.example/other", name="other")
    gone = declared("https://h.example/gone", name="gone")
    selected = [one for one in (ONE, other) if matches_any(one.address, [target])]
    others = tuple(one for one in (ONE, other) if one not in selected)
    there = [
        live("a"),
        live("other", other.url.full),
        live("gone", gone.url.full),
        live("theirs", "https://vendor.example/x"),
    ]
    wanted = replace(tenancy(*selected), not_selected=others)
    known = [made("a", ONE), made("other", other), made("gone", gone)]
    plan = planned(wanted, there, *known, options=Selection(target=(target,)))
    assert told(plan) == expected


def test_a_target_takes_no_live_subscription_from_an_unselected_declaration() -> None:
    new = declared("https://h.example/new", name="catalogue")
    wanted = replace(tenancy(new), not_selected=(declared(name="other"),))
    plan = planned(wanted, [live("a")], made("a", ONE), options=Selection(target=(new.address,)))
    assert told(plan) == ["subscribe new", "leave a undeclared"]


# --- random tenancies and lists


@given(
    tenancies(),
    lists_of_live(),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 7), st.integers(1, 3))),
    st.sampled_from([(), ("*",), ("prod/hook-1/*",)]),
    st.randoms(use_true_random=False),
)
def test_each_subscription_is_in_exactly_one_step_in_any_order_of_declarations(
    wanted: Tenancy,
    there: tuple[LiveSubscription, ...],
    known: list[tuple[int, int, int]],
    globs: tuple[str, ...],
    jitter: random.Random,
) -> None:
    entries = {}
    for index, which, run in known:
        if index < len(there) and which < len(wanted.subscriptions):
            identifier = there[index].id
            entries[identifier] = made(identifier, wanted.subscriptions[which], run_number=run)
    options = Selection(replace=globs)
    plan = make_plan(wanted, there, options, entries.values())
    declared_seen = [
        step.declared_side for step in plan.steps if step.action not in ("unsubscribe", "leave")
    ]
    live_seen = [step.live for step in plan.steps if step.live]
    assert sorted(one.key for one in declared_seen) == sorted(
        one.key for one in wanted.subscriptions
    )
    assert sorted(one.id for one in live_seen) == sorted(one.id for one in there)
    shuffled = list(wanted.subscriptions)
    jitter.shuffle(shuffled)
    other = replace(wanted, subscriptions=tuple(shuffled))
    assert make_plan(other, there, options, entries.values()).steps == plan.steps
