"""What hooksync removes: after a review, if paused, or by id; and what it never touches."""

from __future__ import annotations

import re

import pytest

from hooksync.core.model import DeclaredSubscription, Tenancy, UnsubscribeLimit
from hooksync.core.record import replace
from hooksync.reconcile.plan import Selection
from hooksync.reconcile.run import FetchedTenancy
from hooksync.render.text import plain, plan_lines
from hooksync.state.model import StateEntry
from tests.conftest import HOOKS, SECRET, Place
from tests.makers import INDEXED, declared, live, tenancy
from tests.reconcile.planning import made, planned, planner, run_of, told, tried
from tests.state_makers import records, state
from tests.terminals import Terminal

ONE = declared()
PAUSED = replace(ONE, enabled=False)
GONE = live("gone", "https://hooks.example.org/gone")
VENDORS = live("theirs", "https://vendor.example/x")
OWNS_ALL = HOOKS.replace("    subscriptions:", "    owns: all\n    subscriptions:")
LIMITED = HOOKS.replace("[INDEXED, MOVED]", "[INDEXED, MOVED, INGEST_FAILED, SECURITY_CHANGED]")


# --- a review


def test_only_a_removal_that_the_state_does_not_have_needs_a_review() -> None:
    plan = planned(tenancy(ONE), [live("a"), GONE, VENDORS], made("a", ONE), made("gone", ONE))
    needed = {step.id: step.needs_review for step in plan.steps}
    assert needed == {"a": False, "gone": False, "theirs": True}
    text = plain(plan_lines(run_of(plan)))
    assert "theirs\n        not declared, not in the state, removed only after a review\n" in text


@pytest.mark.parametrize(
    ("records", "trust", "action"),
    [
        ([made("a", ONE)], True, "unsubscribe"),
        ([], True, "leave"),
        ([made("a", ONE)], False, "leave"),
    ],
)
def test_a_duplicate_is_removed_without_a_review_but_only_if_the_kept_one_is_proven(
    records: list[StateEntry], trust: bool, action: str
) -> None:
    plan = planned(tenancy(ONE), [live("a"), live("twin")], *records, is_trusted=trust)
    [twin] = [step for step in plan.steps if step.id == "twin"]
    assert (twin.action, twin.needs_review) == (action, False)


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        (tenancy(owns="made"), ["unsubscribe new-1 undeclared, review"]),
        (tenancy(PAUSED, owns="none"), ["unsubscribe new-1 paused, review"]),
        (tenancy(ONE), ["resubscribe new-1 unconfirmed"]),
        (
            tenancy(ONE, replacement="remove-first"),
            ["resubscribe new-1 unconfirmed, review"],
        ),
    ],
)
def test_what_was_only_found_is_removed_after_a_review_or_once_its_replacement_is_proven(
    wanted: Tenancy, lines: list[str]
) -> None:
    plan = planned(wanted, [live("new-1")], tried(ONE, id="new-1"))
    reviews = [", review" if step.needs_review else "" for step in plan.steps]
    assert [f"{line}{review}" for line, review in zip(told(plan), reviews, strict=True)] == lines


def test_a_subscription_made_by_hand_after_a_lost_response_needs_a_review(place: Place) -> None:
    both = (place.folder / "hooks.yaml").read_text()
    one = both.replace("[INDEXED, MOVED]", "[INDEXED]")
    place.write(one)
    assert place.run("apply", "--yes").code == 0
    place.write(both)
    place.box.faults.add("cut@subscribe")
    assert place.run("apply", "--yes").code == 4
    place.write(one)
    url = f"{place.environ['RECEIVER']}?code={place.environ['FN_KEY']}"
    theirs = place.box.seed("DEMO", url, "MOVED", "a-secret-of-a-person-0123456789")
    for _ in range(2):
        run = place.run("apply", "--yes")
        assert run.code == 3, run.out
        assert "nobody has reviewed this removal" in run.err
    assert theirs in {live.id for live in place.box.subscriptions("DEMO")}


def test_yes_alone_does_the_rest_and_exits_with_4_and_with_3_if_it_did_nothing(
    place: Place,
) -> None:
    place.write(OWNS_ALL)
    theirs = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    for code, text in ((4, "2 done"), (3, "Nothing applied: 1 not tried")):
        run = place.run("apply", "--yes")
        assert (run.code, text in run.out) == (code, True), run.out
        assert "error: not tried: unsubscribe " in run.err
        assert theirs in {one.id for one in place.box.subscriptions("DEMO")}
    assert place.run("plan", "--out", "plan.json").code == 0
    assert place.run("apply", "plan.json").code == 0
    assert theirs not in {one.id for one in place.box.subscriptions("DEMO")}


def test_an_answered_prompt_is_a_review(place: Place) -> None:
    place.write(OWNS_ALL)
    theirs = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    terminal = Terminal(place, "apply")
    terminal.read_until("Type yes to apply: ")
    assert "https://vendor.example/x" in terminal.seen
    terminal.type("yes\n")
    assert terminal.finish() == 0
    assert theirs not in {one.id for one in place.box.subscriptions("DEMO")}


# --- limits


def test_one_removal_and_that_of_its_duplicate_are_not_two_for_the_limit() -> None:
    indexed = declared(trigger=INDEXED)
    there = [live("a"), live("b", trigger=INDEXED), live("twin", trigger=INDEXED)]
    records = [made("a", ONE), made("b", indexed), made("twin", indexed)]
    plan = planned(tenancy(ONE), there, *records)
    assert [step.action for step in plan.steps].count("unsubscribe") == 2
    assert plan.refusals == ()


@pytest.mark.usefixtures("real_scrypt")
@pytest.mark.parametrize(("answer", "code", "left"), [("yes\n", 3, 4), ("3\n", 0, 1)])
def test_only_the_number_exceeds_the_limit(place: Place, answer: str, code: int, left: int) -> None:
    place.write(LIMITED)
    assert place.run("apply", "--yes").code == 0
    place.write(HOOKS.replace("INDEXED, ", ""))
    assert place.run("apply", "--yes").code == 3
    terminal = Terminal(place, "apply")
    terminal.read_until("Type 3 to apply: ")
    terminal.type(answer)
    assert terminal.finish() == code
    assert ('fix: answer "3" at a terminal' in terminal.seen) == (code == 3)
    assert len(place.box.subscriptions("DEMO")) == left


@pytest.mark.parametrize(
    ("limit", "is_raised"),
    [
        ("50%", False),
        ("20%", False),
        ("51%", True),
        ("100%", True),
        (1, False),
        (2, True),
    ],
)
def test_a_plan_says_so_while_the_limit_is_above_the_default(
    limit: str | int, is_raised: bool
) -> None:
    wanted = [declared(f"https://h.example/{name}", name=name) for name in "abcd"]
    there = [live(one.name, one.url.full) for one in wanted]
    records = [made(one.name, one) for one in wanted]
    plan = planned(tenancy(*wanted, limit=UnsubscribeLimit(limit)), there, *records)
    assert bool(plan.warnings) == is_raised


# --- protect


@pytest.mark.parametrize("owns", ["all", frozenset(["https://vendor.example"])])
def test_protect_overrides_owns_remove_and_moves(owns: object) -> None:
    protect = frozenset(["https://vendor.example/x"])
    wanted = tenancy(ONE, owns=owns, protect=protect)
    former = made("theirs", declared(VENDORS.url.full))
    assert told(planned(wanted, [VENDORS], former)) == ["subscribe new", "leave theirs undeclared"]
    plan = planned(wanted, [VENDORS], options=Selection(remove=("theirs",)))
    assert told(plan) == ["leave theirs undeclared"]
    assert "`protect`" in plan.refusals[0].what


def test_protect_covers_what_the_service_spells_differently() -> None:
    spelled = ONE.url.full.upper().replace("HTTPS", "https")
    wanted = tenancy(ONE, protect=frozenset([spelled]))
    plan = planned(wanted, [live("a", spelled)], made("a", ONE), options=Selection(replace=("*",)))
    assert told(plan) == ["subscribe new requested", "leave a undeclared"]


@pytest.mark.parametrize(
    "url",
    ["http://VENDOR.example./x", "https://user:pw@vendor.example/x", r"https://vendor.example\x"],
)
def test_protect_covers_each_spelling_of_what_is_live(url: str) -> None:
    protect = frozenset(["https://vendor.example"])
    wanted = tenancy(ONE, owns="all", protect=protect)
    assert told(planned(wanted, [live("v", url)])) == ["subscribe new", "leave v undeclared"]
    removing = planned(wanted, [live("v", url)], options=Selection(remove=("v",)))
    assert told(removing) == ["leave v undeclared"]


# --- paused


@pytest.mark.parametrize(
    ("there", "records", "lines"),
    [
        ([], (), ["keep paused"]),
        ([live("a")], (made("a", ONE),), ["unsubscribe a paused"]),
        ([live("a")], (), ["leave a paused"]),
        ([live("b")], (made("a", ONE),), ["leave b paused"]),
    ],
)
def test_a_paused_subscription_is_removed_only_if_the_state_has_it(
    there: list[object], records: tuple[StateEntry, ...], lines: list[str]
) -> None:
    for owns in ("made", "all", "none"):
        plan = planned(tenancy(PAUSED, owns=owns), there, *records)  # type: ignore[arg-type]
        assert told(plan) == lines
        assert bool(plan.held) == (lines[0].startswith("leave"))
        assert plan.differs == (lines != ["keep paused"])


def test_pausing_counts_for_the_limit_of_a_policy_only() -> None:
    wanted: list[DeclaredSubscription] = []
    for name in "abc":
        wanted.append(replace(declared(f"https://h.example/{name}", name=name), enabled=False))
    there = [live(one.name, one.url.full) for one in wanted]
    records = [made(one.name, one) for one in wanted]
    assert planned(tenancy(*wanted), there, *records).refusals == ()
    ceilings = {"max_unsubscribe": UnsubscribeLimit(2, policy="policy.yaml:9")}
    [problem] = planned(tenancy(*wanted, ceilings=ceilings), there, *records).refusals
    assert "max_unsubscribe: 2" in problem.what


MOVED = declared("https://new.example/hook")


@pytest.mark.parametrize(
    ("limits", "wanted", "flags", "refused"),
    [
        ({"max_unsubscribe": 0}, MOVED, {}, "would remove or move 1 of the 1 it owns"),
        ({"max_unsubscribe": 0, "max_move": 1}, MOVED, {}, ""),
        ({"max_unsubscribe": 9, "max_move": 0}, MOVED, {}, "would move 1 of the 1 it owns"),
        ({"max_unsubscribe": 0, "max_move": 0}, ONE, {"replace": ("*",)}, ""),
        ({"max_resubscribe": 0}, ONE, {"replace": ("*",)}, "would resubscribe 1 of the 1 it owns"),
        ({"max_resubscribe": 0}, MOVED, {}, ""),
        ({"max_move": "0%", "max_resubscribe": "0%"}, ONE, {}, ""),
    ],
)
def test_a_policy_limits_removals_moves_and_replacements_apart(
    limits: dict[str, str | int],
    wanted: DeclaredSubscription,
    flags: dict[str, tuple[str, ...]],
    refused: str,
) -> None:
    ceilings = {
        field: UnsubscribeLimit(number, policy="policy.yaml:9") for field, number in limits.items()
    }
    owner = tenancy(wanted, ceilings=ceilings)
    plan = planned(owner, [live("a")], made("a", ONE), options=Selection(**flags))
    assert "".join(problem.what.partition(": ")[2] for problem in plan.refusals).startswith(refused)
    assert bool(plan.refusals) is bool(refused)


def test_a_subscription_is_paused_and_subscribed_again(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    place.write(HOOKS.replace("secret:", "enabled: false\n        secret:"))
    plan = place.run("plan", "--detailed-exitcode")
    assert (plan.code, "2 to REMOVE" in plan.out) == (2, True), plan.err
    assert place.run("apply", "--yes").code == 0
    assert place.box.subscriptions("DEMO") == ()
    idle = place.run("plan", "--detailed-exitcode")
    assert (idle.code, "0 unchanged, 2 paused" in idle.out) == (0, True), idle.out
    place.write(HOOKS)
    assert "2 to subscribe" in place.run("plan").out
    assert place.run("apply", "--yes").code == 0
    assert len(place.box.subscriptions("DEMO")) == 2


def test_a_paused_subscription_needs_no_secret(place: Place) -> None:
    place.write(HOOKS.replace("secret:", "enabled: false\n        secret:"))
    del place.environ["CATALOGUE_SECRET"]
    assert place.run("apply", "--yes").code == 0


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        (tenancy(ONE), ["subscribe new", "leave a duplicate"]),
        (tenancy(PAUSED), ["leave a paused"]),
        (tenancy(), ["leave a undeclared"]),
    ],
)
def test_a_mark_alone_is_no_reason_to_remove_anything(wanted: Tenancy, lines: list[str]) -> None:
    marked = replace(records(), marks=("a",))  # a run was going to remove what somebody else made
    known = replace(state(), tenancies=(marked,))
    fetched = FetchedTenancy(replace(wanted, owns="made"), (live("a"),))
    [plan] = planner(known).plan([fetched])
    assert told(plan) == lines


# --- remove


def test_remove_takes_only_the_ids_that_it_names() -> None:
    there = [live("a"), live("twin"), GONE, VENDORS]
    options = Selection(remove=("twin", "theirs"))
    plan = planned(tenancy(ONE, owns="none"), there, made("a", ONE), options=options)
    assert [line for line in told(plan) if line.startswith("unsubscribe")] == [
        "unsubscribe twin duplicate requested",
        "unsubscribe theirs undeclared requested",
    ]
    assert plan.refusals == ()
    assert not any(step.needs_review for step in plan.steps)


def test_remove_takes_the_last_subscription_if_the_policy_allows_that_number() -> None:
    options = Selection(remove=("a",))
    for number, is_refused in ((1, False), (0, True)):
        ceilings = {"max_unsubscribe": UnsubscribeLimit(number, policy="policy.yaml:9")}
        plan = planned(tenancy(ceilings=ceilings), [live("a")], made("a", ONE), options=options)
        assert bool(plan.refusals) is is_refused


@pytest.mark.usefixtures("real_scrypt")
def test_remove_asks_removes_and_reports(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    theirs = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    assert place.run("remove", theirs).code == 3  # nobody can be asked
    terminal = Terminal(place, "remove", theirs)
    terminal.read_until("Type yes to apply: ")
    assert "not in the state" in terminal.seen
    assert "https://vendor.example/x" in terminal.seen
    terminal.type("yes\n")
    assert terminal.finish() == 0
    left = place.box.subscriptions("DEMO")
    assert (len(left), theirs in {one.id for one in left}) == (2, False)


def test_a_remove_after_a_lost_state_keeps_the_advice_to_name_the_state(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    theirs = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    (place.folder / "hooks.state.json").unlink()
    assert place.run("remove", "--yes", theirs).code == 0
    assert (
        "fix: if the state is elsewhere, `hooksync state push FILE` first" in place.run("plan").err
    )


def test_remove_does_nothing_else_and_does_not_report_that_live_matches_declared(
    place: Place,
) -> None:
    theirs = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    run = place.run("remove", "--yes", theirs)
    assert (run.code, place.changing_calls) == (0, ["unsubscribe"])
    assert "requested by `remove`" in run.out
    assert run.out.endswith("\nApplied: 1 done, 0 failed; 0 unchanged.\n")


def test_a_refused_remove_reports_no_match_with_the_file(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    kept = place.box.subscriptions("DEMO")[0].id
    place.write(HOOKS.replace("?code=", "/moved?code="))
    run = place.run("remove", "--yes", kept)
    assert (run.code, "No changes" in run.out) == (3, False)
    assert "\n\nNothing to do; 0 unchanged" in run.out
    assert f"prod: {kept} is not removed: kept as prod/catalogue/" in run.err


def test_remove_in_a_tenancy_that_was_not_read_claims_nothing_about_the_id(place: Place) -> None:
    theirs = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    place.environ["PRESERVICA_PASSWORD"] = "a-wrong-password-0123456789"
    run = place.run("remove", "--yes", theirs)
    assert (run.code, "no live subscription" in run.err) == (1, False)
    assert "error: prod: " in run.err


def test_remove_with_the_short_id_of_a_plan_asks_for_the_whole_id(place: Place) -> None:
    theirs = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    run = place.run("remove", "--yes", theirs[:8])
    what = f"no live subscription has the id {theirs[:8]}"
    fix = "copy the whole id from `hooksync list`, unless it is removed already"
    assert run.err.endswith(f"error: {what}\n  fix: {fix}\n")
    assert len(place.box.subscriptions("DEMO")) == 1


# --- foreign duplicates


@pytest.mark.usefixtures("real_scrypt")
def test_a_duplicate_stays_if_somebody_deletes_the_kept_one_during_the_prompt(place: Place) -> None:
    place.write(OWNS_ALL)
    assert place.run("apply", "--yes").code == 0
    kept = next(one for one in place.box.subscriptions("DEMO") if one.trigger == "MOVED")
    twin = place.box.seed("DEMO", kept.url, "MOVED", SECRET)
    terminal = Terminal(place, "apply")
    terminal.read_until("Type yes to apply: ")
    place.box.remove("DEMO", kept.id)
    terminal.type("yes\n")
    assert terminal.finish() == 3
    assert twin in {one.id for one in place.box.subscriptions("DEMO")}


def test_the_fix_for_a_duplicate_of_somebody_else_removes_the_duplicate_alone(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    url = f"{place.environ['RECEIVER']}?code={place.environ['FN_KEY']}"
    theirs = place.box.seed("DEMO", url, "MOVED", "a-secret-of-a-colleague-0123456789")
    plan = place.run("plan", "--detailed-exitcode", "--out", "plan.json")
    assert (plan.code, place.run("show", "plan.json").code) == (2, 2)
    assert "duplicate, not in the state" in plan.out
    run = place.run("apply", "--yes")
    fix = f"fix: ask who made it; `hooksync remove {theirs}` if nobody needs it"
    assert (run.code, "live more than once" in run.err, fix in run.err) == (0, True, True)
    before = {one.id for one in place.box.subscriptions("DEMO")}
    assert place.run("remove", theirs, "--yes").code == 0
    assert {one.id for one in place.box.subscriptions("DEMO")} == before - {theirs}
    assert place.run("plan", "--detailed-exitcode").code == 0


# --- new foreign subscriptions


def test_a_new_foreign_subscription_is_named_until_an_apply_has_seen_it(place: Place) -> None:
    place.box.seed("DEMO", "https://vendor.example/first", "MOVED", SECRET)
    assert "1 not in the state, left alone" in place.run("apply", "--yes").out  # not "new"
    assert "1 not in the state, left alone" in place.run("plan").out
    place.box.seed("DEMO", "https://vendor.example/second", "MOVED", SECRET)
    for _ in range(2):
        plan = place.run("plan", "--detailed-exitcode")
        assert plan.code == 0  # new foreign subscriptions are no drift
        named = "2 not in the state (1 new: https://vendor.example/second), left alone"
        assert named in plan.out
    steps = place.run("plan", "--format", "json").json["tenancies"][0]["steps"]
    assert [step["live"]["url"] for step in steps if step["is_new"]] == [
        "https://vendor.example/second"
    ]
    for shown in (place.run("list").out, place.run("plan", "--all").out):
        assert len(re.findall("not in the state.*new", shown)) == 1
    assert place.run("apply", "--yes").code == 0
    assert "2 not in the state, left alone" in place.run("plan").out
    serial = (place.folder / "hooks.state.json").read_text()
    assert place.run("apply", "--yes").code == 0
    assert (place.folder / "hooks.state.json").read_text() == serial
