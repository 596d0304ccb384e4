"""The laws of the comparison, and its single decisions."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    Tenancy,
    Trigger,
    address_matches,
)
from hooksync.core.record import replace
from hooksync.core.urls import owns_url
from hooksync.reconcile.diff import DiffOptions, compare, content_changes, make_plan
from hooksync.reconcile.plan import (
    Change,
    Keep,
    Leave,
    Resubscribe,
    Step,
    Subscribe,
    TenancyPlan,
    Unsubscribe,
    is_idle,
)
from hooksync.state.fingerprints import declared_digest
from hooksync.state.history import History
from tests.makers import INDEXED, MOVED, SECRET, declared, lists_of_live, live, tenancies, tenancy

OPTIONS = st.builds(
    DiffOptions,
    replace=st.sampled_from([(), ("*",), ("prod/hook-1/*",)]),
    is_targeted=st.booleans(),
)
PLAIN = DiffOptions()


def after(plan: TenancyPlan) -> tuple[LiveSubscription, ...]:
    """What a service that does as it is told holds when the plan is carried out."""
    there = {subscription.id: subscription for subscription in plan.live}
    for number, step in enumerate(plan.steps):
        if isinstance(step, Resubscribe | Unsubscribe):
            del there[step.live.id]
        if isinstance(step, Subscribe | Resubscribe):
            wanted = step.declared
            identifier = f"new-{number}"
            there[identifier] = live(
                identifier,
                wanted.url.full,
                wanted.trigger,
                include_identifiers=wanted.include_identifiers,
            )
    return tuple(there.values())


@given(tenancies(), lists_of_live(), OPTIONS)
def test_each_declared_and_each_live_one_is_in_exactly_one_step(
    wanted: Tenancy, there: tuple[LiveSubscription, ...], options: DiffOptions
) -> None:
    plan = make_plan(wanted, there, options)
    declared_seen = [
        step.declared for step in plan.steps if isinstance(step, Subscribe | Resubscribe | Keep)
    ]
    live_seen = [step.live for step in plan.steps if not isinstance(step, Subscribe)]
    assert sorted(s.address for s in declared_seen) == sorted(
        s.address for s in wanted.subscriptions
    )
    assert sorted(s.id for s in live_seen) == sorted(s.id for s in there)


@given(tenancies(), lists_of_live(), OPTIONS, st.randoms(use_true_random=False))
def test_the_order_of_what_is_declared_says_nothing(
    wanted: Tenancy, there: tuple[LiveSubscription, ...], options: DiffOptions, dice: random.Random
) -> None:
    shuffled = list(wanted.subscriptions)
    dice.shuffle(shuffled)
    other = tenancy(*shuffled, owns=wanted.owns)
    assert make_plan(wanted, there, options).steps == make_plan(other, there, options).steps


@given(tenancies(), lists_of_live(), OPTIONS, st.randoms(use_true_random=False))
def test_the_order_of_the_live_list_says_nothing_but_which_duplicate_stays(
    wanted: Tenancy, there: tuple[LiveSubscription, ...], options: DiffOptions, dice: random.Random
) -> None:
    shuffled = list(there)
    dice.shuffle(shuffled)
    one, two = make_plan(wanted, there, options), make_plan(wanted, shuffled, options)
    assert Counter(step.action for step in one.steps) == Counter(step.action for step in two.steps)
    if len({subscription.key for subscription in there}) == len(there):
        assert one.steps == two.steps


@given(tenancies(), lists_of_live())
def test_a_plan_after_an_apply_is_empty(
    wanted: Tenancy, there: tuple[LiveSubscription, ...]
) -> None:
    plan = make_plan(wanted, there, PLAIN)
    assert make_plan(wanted, after(plan), PLAIN).is_empty


@given(tenancies(), lists_of_live(), OPTIONS, st.sets(st.integers(0, 11)), st.booleans())
def test_nothing_that_is_not_owned_is_removed_but_what_is_replaced(
    wanted: Tenancy,
    there: tuple[LiveSubscription, ...],
    options: DiffOptions,
    known: set[int],
    is_proof: bool,
) -> None:
    made = {
        one.id: (1, declared(one.url.full, one.trigger))
        for one in there
        if int(one.id, 16) in known
    }
    plan = make_plan(wanted, there, options, replace(remembering(**made), is_proof=is_proof))
    for step in plan.steps:
        if not isinstance(step, Unsubscribe):
            continue
        if step.duplicate_of and address_matches(step.duplicate_of.address, options.replace):
            continue
        owns = wanted.owns
        if isinstance(owns, frozenset):
            assert owns_url(owns, step.live.url.full)
        else:
            assert owns == "all" or (owns == "made" and step.live.id in made and is_proof)


@given(tenancies(), lists_of_live())
def test_with_targets_only_duplicates_and_replaced_ones_go(
    wanted: Tenancy, there: tuple[LiveSubscription, ...]
) -> None:
    plan = make_plan(wanted, there, DiffOptions(is_targeted=True))
    assert all(step.duplicate_of for step in plan.steps if isinstance(step, Unsubscribe))


@given(tenancies(), lists_of_live())
def test_a_key_in_a_url_is_in_no_repr(wanted: Tenancy, there: tuple[LiveSubscription, ...]) -> None:
    plan = make_plan(wanted, there, PLAIN)
    live_only = [
        step
        for step in plan.steps
        if isinstance(step, Unsubscribe | Leave) and not step_declares(step)
    ]
    assert "tenthousandkeys" not in repr([step.live for step in live_only])
    assert "tenthousandkeys" not in repr([subscription.key for subscription in there])


def step_declares(step: Step) -> DeclaredSubscription | None:
    return step.duplicate_of if isinstance(step, Unsubscribe) else None


def only_step(plan: TenancyPlan) -> Step:
    [step] = plan.steps
    return step


def test_a_declared_one_that_is_not_live_is_subscribed() -> None:
    wanted = declared()
    assert only_step(make_plan(tenancy(wanted), (), PLAIN)) == Subscribe(wanted)


def test_a_pair_that_is_alike_is_kept() -> None:
    wanted, there = declared(), live()
    assert only_step(make_plan(tenancy(wanted), (there,), PLAIN)) == Keep(wanted, there)


def test_the_same_url_in_another_spelling_is_the_same_subscription() -> None:
    wanted, there = (
        declared("https://hooks.example.org"),
        live(url="HTTPS://Hooks.Example.org:443/"),
    )
    assert only_step(make_plan(tenancy(wanted), (there,), PLAIN)) == Keep(wanted, there)


def test_another_trigger_is_another_subscription() -> None:
    plan = make_plan(tenancy(declared(trigger=INDEXED)), (live(trigger=MOVED),), PLAIN)
    assert [type(step) for step in plan.steps] == [Subscribe, Unsubscribe]


def test_a_path_in_other_letters_is_another_subscription() -> None:
    plan = make_plan(
        tenancy(declared("https://h.example/A")), (live(url="https://h.example/a"),), PLAIN
    )
    assert [type(step) for step in plan.steps] == [Subscribe, Unsubscribe]


def test_another_flag_is_a_resubscribe_that_says_why() -> None:
    wanted, there = declared(include_identifiers=True), live(include_identifiers=False)
    step = only_step(make_plan(tenancy(wanted), (there,), PLAIN))
    change = Change("include_identifiers", live=False, declared=True)
    assert step == Resubscribe(wanted, there, ("include_identifiers differs",), (change,))


def test_a_flag_that_is_not_reported_is_not_compared() -> None:
    assert (
        content_changes(declared(include_identifiers=False), live(include_identifiers=None)) == ()
    )


def test_a_description_and_an_owner_are_not_compared() -> None:
    described = replace(
        declared(), description="feeds the catalogue", owner="collections@example.org"
    )
    assert only_step(make_plan(tenancy(described), (live(),), PLAIN)) == Keep(described, live())


def test_what_differs_in_nested_data_is_named_by_its_path() -> None:
    before = {"same": {"a": 1}, "gone": 1, "list": [1, 2], "of": {"two": {"deep": True}}}
    after = {"same": {"a": 1}, "new": {"b": 2}, "list": [1, 3], "of": {"two": {"deep": "yes"}}}
    assert compare(before, after) == [
        (["gone"], 1, None),
        (["list", 1], 2, 3),
        (["new"], None, {"b": 2}),
        (["of", "two", "deep"], True, "yes"),
    ]
    assert compare(before, dict(before)) == []
    assert compare({}, {"a": {"b": 1}}) == [(["a"], None, {"b": 1})]
    assert compare({"a": {"b": 1}}, {"a": {"c": 1}}) == [
        (["a", "b"], 1, None),
        (["a", "c"], None, 1),
    ]


def test_replace_resubscribes_what_is_alike() -> None:
    step = only_step(
        make_plan(tenancy(declared()), (live(),), DiffOptions(replace=("prod/cat*/MOVED",)))
    )
    assert isinstance(step, Resubscribe)
    assert step.reasons == ("asked for by --replace",)


@pytest.mark.parametrize("glob", ["prod/cat*/INDEXED", "prod/CAT*/MOVED", "other/*"])
def test_replace_leaves_alone_what_it_does_not_name(glob: str) -> None:
    step = only_step(make_plan(tenancy(declared()), (live(),), DiffOptions(replace=(glob,))))
    assert isinstance(step, Keep)


def test_a_secret_that_changed_is_a_resubscribe_that_says_why() -> None:
    wanted, there = declared(), live("made")
    step = only_step(
        make_plan(tenancy(wanted), (there,), PLAIN, History(states={"made": "changed"}))
    )
    assert step == Resubscribe(wanted, there, ("secret changed",), (), "changed")


def test_a_secret_that_is_the_same_is_said_to_be() -> None:
    wanted, there = declared(), live("made")
    step = only_step(make_plan(tenancy(wanted), (there,), PLAIN, History(states={"made": "same"})))
    assert step == Keep(wanted, there, "same")


def test_a_secret_that_is_not_set_is_said_of_what_is_to_be_made() -> None:
    wanted = declared()
    step = only_step(make_plan(tenancy(wanted), (), PLAIN, History(not_set=frozenset({SECRET}))))
    assert step == Subscribe(wanted, "not-set")


def test_the_duplicate_whose_content_is_right_stays() -> None:
    wrong, right = live("1", include_identifiers=False), live("2", include_identifiers=True)
    plan = make_plan(tenancy(declared()), (wrong, right), PLAIN)
    assert plan.steps == (Unsubscribe(wrong, "duplicate", declared()), Keep(declared(), right))


def test_of_duplicates_that_are_all_wrong_the_first_is_replaced_and_the_others_go() -> None:
    there = tuple(live(str(number), include_identifiers=False) for number in range(3))
    plan = make_plan(tenancy(declared()), there, PLAIN)
    assert [
        (type(step), step.live.id) for step in plan.steps if not isinstance(step, Subscribe)
    ] == [
        (Resubscribe, "0"),
        (Unsubscribe, "1"),
        (Unsubscribe, "2"),
    ]


OURS = frozenset(["https://hooks.example.org"])
THEIRS = frozenset(["https://vendor.example"])
OUTSIDE = "outside the prefixes of `owns`"
UNSIGNED = "made by hooksync according to an unsigned state, which proves nothing under a policy"


@pytest.mark.parametrize(
    ("owns", "origin", "reason"),
    [
        ("made", "made", "-no longer declared"),
        ("made", "theirs", "not made by hooksync"),
        ("made", "unproven", UNSIGNED),
        ("all", "made", "-no longer declared"),
        ("all", "theirs", "-not declared"),
        ("all", "unproven", "-no longer declared"),
        ("none", "made", "kept by `owns: none`"),
        ("none", "theirs", "kept by `owns: none`"),
        (OURS, "made", "-no longer declared"),
        (OURS, "theirs", "-not declared"),
        (THEIRS, "made", OUTSIDE),
        (THEIRS, "theirs", OUTSIDE),
    ],
)
def test_owns_decides_which_undeclared_ones_go(
    owns: str | frozenset[str], origin: str, reason: str
) -> None:
    """`reason`: of the step; with a hyphen before it, the step removes the subscription."""
    history = History()
    if origin != "theirs":
        history = replace(remembering(it=(1, declared())), is_proof=origin == "made")
    there = live("it", trigger=Trigger("NEWER_THAN_US"))
    step = only_step(make_plan(tenancy(owns=owns), (there,), PLAIN, history))
    assert isinstance(step, Unsubscribe | Leave)
    assert ("" if is_idle(step) else "-") + step.reason == reason
    assert step.was == (None if origin == "theirs" else declared().address)


def test_with_targets_an_undeclared_one_is_left_alone() -> None:
    step = only_step(make_plan(tenancy(), (live(),), DiffOptions(is_targeted=True)))
    assert step == Leave(live(), "not targeted")


@pytest.mark.parametrize(
    ("owns", "is_removed"), [("made", True), ("all", True), ("none", False), (THEIRS, False)]
)
def test_a_duplicate_goes_only_if_it_is_owned(owns: str | frozenset[str], is_removed: bool) -> None:
    wanted, there = declared(), (live("older"), live("newer"))
    history = remembering(older=(1, wanted), newer=(2, wanted))
    [other, kept] = make_plan(tenancy(wanted, owns=owns), there, PLAIN, history).steps[
        :: 1 if is_removed else -1
    ]
    assert kept == Keep(wanted, there[1])
    kind = Unsubscribe if is_removed else Leave
    assert other == kind(there[0], "duplicate", wanted, wanted.address)


def test_a_duplicate_that_somebody_else_made_is_left_until_replace_asks_for_it() -> None:
    wanted, there = declared(), (live("theirs"), live("ours"))
    owner, history = tenancy(wanted, owns="made"), remembering(ours=(1, wanted))
    assert make_plan(owner, there, PLAIN, history).steps == (
        Keep(wanted, there[1]),
        Leave(there[0], "duplicate", wanted),
    )
    steps = make_plan(owner, there, DiffOptions(replace=(wanted.address,)), history).steps
    assert [(step.action, step.live.id) for step in steps if not isinstance(step, Subscribe)] == [
        ("resubscribe", "ours"),
        ("unsubscribe", "theirs"),
    ]


def test_under_a_policy_an_unsigned_state_moves_no_subscription_away() -> None:
    wanted, there = declared(), live("old", "https://old.example/a")
    history = replace(remembering(old=(1, elsewhere(wanted))), is_proof=False)
    plan = make_plan(tenancy(wanted, owns="made"), (there,), PLAIN, history)
    assert plan.steps == (Subscribe(wanted), Leave(there, UNSIGNED, was=wanted.address))
    [step] = make_plan(tenancy(wanted, owns="all"), (there,), PLAIN, history).steps
    assert isinstance(step, Resubscribe)


def test_a_longer_host_is_under_no_prefix() -> None:
    owner = tenancy(owns=OURS)
    step = only_step(
        make_plan(owner, (live(url="https://hooks.example.org.evil.example/a"),), PLAIN)
    )
    assert step == Leave(step.live, OUTSIDE)


def test_a_glob_of_addresses_minds_letter_case() -> None:
    assert address_matches("prod/a/MOVED", ["prod/*"])
    assert not address_matches("prod/a/MOVED", ["prod/a/moved"])


def remembering(**made: tuple[int, DeclaredSubscription]) -> History:
    """A state that says of live ids which run made them, for which declared subscription."""
    empty = History(url_salt="5a17")
    known = {
        each: Made(run, one.address, declared_digest(empty.url_salt, one.key))
        for each, (run, one) in made.items()
    }
    return replace(empty, made=known)


@dataclass(frozen=True)
class Made:
    run: int
    address: str
    declared: bytes
    include_identifiers: bool | None = None
    is_found: bool = False
    seen: tuple[str, ...] = ()


def test_a_url_that_the_service_respells_is_known_by_the_state() -> None:
    wanted, there = declared("https://h.example/a%7Eb"), live("respelled", "https://h.example/a~b")
    assert len(make_plan(tenancy(wanted), (there,), PLAIN).steps) == 2
    step = only_step(
        make_plan(tenancy(wanted), (there,), PLAIN, remembering(respelled=(1, wanted)))
    )
    assert step == Keep(wanted, there)


def test_a_url_that_the_service_respells_to_another_owners_is_left_to_them() -> None:
    wanted, there = (
        declared("https://hooks.example.org/a"),
        live("respelled", "https://hooks.example.com/a"),
    )
    owner = tenancy(wanted, owns=OURS)
    plan = make_plan(owner, (there,), PLAIN, remembering(respelled=(1, wanted)))
    assert plan.steps == (Subscribe(wanted), Leave(there, OUTSIDE, was=wanted.address))


def test_of_duplicates_the_newest_that_the_state_knows_stays() -> None:
    wanted, there = declared(), (live("older"), live("newer"), live("unknown"))
    plan = make_plan(
        tenancy(wanted), there, PLAIN, remembering(older=(1, wanted), newer=(2, wanted))
    )
    assert [step.live.id for step in plan.steps if isinstance(step, Keep)] == ["newer"]
    assert len(plan.steps) == 3


def test_a_forged_state_makes_no_declared_one_pass_for_another() -> None:
    one, two = declared("https://h.example/a", name="a"), declared("https://h.example/b", name="b")
    there = (
        live("a", "https://h.example/a"),
        live("b", "https://h.example/b"),
        live("x", "https://h.example/x"),
    )
    forged = remembering(a=(1, one), b=(2, one), x=(3, one))
    plan = make_plan(tenancy(one, two), there, PLAIN, forged)
    assert [step.live.id for step in plan.steps if isinstance(step, Keep)] == ["a", "b"]
    [removed] = [step for step in plan.steps if isinstance(step, Unsubscribe)]
    assert (removed.live.id, removed.reason, removed.duplicate_of) == (
        "x",
        "no longer declared",
        None,
    )


@given(
    tenancies(), lists_of_live(), st.lists(st.integers(0, 11)), st.randoms(use_true_random=False)
)
def test_whatever_the_state_says_each_one_is_in_exactly_one_step_and_the_next_plan_is_empty(
    wanted: Tenancy, there: tuple[LiveSubscription, ...], known: list[int], dice: random.Random
) -> None:
    made = {
        there[index].id: (dice.randint(1, 3), dice.choice(wanted.subscriptions))
        for index in known
        if index < len(there) and wanted.subscriptions
    }
    history = remembering(**made)
    plan = make_plan(wanted, there, PLAIN, history)
    live_seen = [step.live for step in plan.steps if not isinstance(step, Subscribe)]
    assert sorted(s.id for s in live_seen) == sorted(s.id for s in there)
    assert make_plan(wanted, after(plan), PLAIN, history).is_empty


def elsewhere(wanted: DeclaredSubscription) -> DeclaredSubscription:
    """The same subscription as it was declared before its receiver moved."""
    return replace(wanted, url=declared("https://old.example/a").url)


def test_a_receiver_that_moved_is_one_resubscribe_that_names_its_reason() -> None:
    wanted, there = declared(), live("old", "https://old.example/a", include_identifiers=False)
    step = only_step(
        make_plan(tenancy(wanted), (there,), PLAIN, remembering(old=(1, elsewhere(wanted))))
    )
    assert isinstance(step, Resubscribe)
    assert (step.live, step.is_move) == (there, True)
    assert step.reasons == ("url changed", "include_identifiers differs")


def test_a_moved_receiver_whose_secret_has_changed_says_both() -> None:
    wanted, there = declared(), live("old", "https://old.example/a")
    history = replace(remembering(old=(1, elsewhere(wanted))), states={"old": "changed"})
    step = only_step(make_plan(tenancy(wanted), (there,), PLAIN, history))
    assert isinstance(step, Resubscribe)
    assert (step.reasons, step.secret_state) == (("url changed", "secret changed"), "changed")


def test_without_a_state_a_move_is_a_subscribe_and_an_unsubscribe() -> None:
    wanted, there = declared(), live("old", "https://old.example/a")
    assert make_plan(tenancy(wanted), (there,), PLAIN).steps == (
        Subscribe(wanted),
        Unsubscribe(there, "not declared"),
    )


def test_what_a_move_has_left_is_removed_as_replaced_and_never_counted() -> None:
    wanted, there = declared(), (live("old", "https://old.example/a"), live("new"))
    history = remembering(old=(1, elsewhere(wanted)), new=(2, wanted))
    plan = make_plan(tenancy(wanted, owns="made"), there, PLAIN, history)
    assert plan.steps == (
        Unsubscribe(there[0], "url changed", wanted, wanted.address),
        Keep(wanted, there[1]),
    )


def test_of_two_old_places_the_newer_is_replaced_and_the_other_is_removed() -> None:
    wanted, there = (
        declared(),
        (live("older", "https://old.example/a"), live("newer", "https://old.example/b")),
    )
    history = remembering(older=(1, elsewhere(wanted)), newer=(2, elsewhere(wanted)))
    plan = make_plan(tenancy(wanted), there, PLAIN, history)
    assert [
        (step.action, step.live.id) for step in plan.steps if not isinstance(step, Subscribe)
    ] == [
        ("resubscribe", "newer"),
        ("unsubscribe", "older"),
    ]


@pytest.mark.parametrize("owns", ["none", OURS])
def test_a_move_replaces_the_old_one_whatever_is_owned(owns: str | frozenset[str]) -> None:
    wanted, there = declared(), live("old", "https://old.example/a")
    plan = make_plan(
        tenancy(wanted, owns=owns), (there,), PLAIN, remembering(old=(1, elsewhere(wanted)))
    )
    step = only_step(plan)
    assert isinstance(step, Resubscribe)
    assert (step.live, step.is_move) == (there, True)


def test_a_live_one_of_another_trigger_is_not_the_old_place_of_a_move() -> None:
    wanted, there = declared(), live("old", "https://old.example/a", INDEXED)
    plan = make_plan(tenancy(wanted), (there,), PLAIN, remembering(old=(1, elsewhere(wanted))))
    assert plan.steps == (
        Subscribe(wanted),
        Unsubscribe(there, "no longer declared", was=wanted.address),
    )


def test_with_targets_a_move_takes_nothing_away_as_the_old_url_may_be_another_ones_by_now() -> None:
    wanted, there = declared(), live("old", "https://old.example/a")
    plan = make_plan(
        tenancy(wanted),
        (there,),
        DiffOptions(is_targeted=True),
        remembering(old=(1, elsewhere(wanted))),
    )
    assert plan.steps == (Subscribe(wanted), Leave(there, "not targeted", was=wanted.address))


def test_two_that_swap_their_urls_are_both_kept() -> None:
    one, two = declared("https://h.example/a", name="a"), declared("https://h.example/b", name="b")
    there = (live("1", "https://h.example/b"), live("2", "https://h.example/a"))
    plan = make_plan(tenancy(one, two), there, PLAIN, remembering(**{"1": (1, one), "2": (1, two)}))
    assert plan.steps == (Keep(one, there[1]), Keep(two, there[0]))


def test_a_new_name_for_the_same_url_is_kept() -> None:
    wanted, there = declared(name="renamed"), live("old")
    assert only_step(
        make_plan(tenancy(wanted), (there,), PLAIN, remembering(old=(1, declared())))
    ) == Keep(wanted, there)
