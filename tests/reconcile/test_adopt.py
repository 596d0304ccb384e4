"""Adoption is a step of the plan: who asks for it, what it takes, and which answer it needs."""

from __future__ import annotations

import json
import re

import pytest

from hooksync.core.model import DeclaredSubscription, HookUrl
from hooksync.core.record import replace
from hooksync.reconcile.plan import Selection
from hooksync.render.text import question
from tests.conftest import HOOKS, SECRET, URL_KEY, Place
from tests.makers import INDEXED, declared, live, tenancy
from tests.reconcile.planning import made, planned, refused, run_of, told

ONE = declared()
ADOPT_ALL = Selection(adopt=("*",))


def asking(*ids: str, one: DeclaredSubscription = ONE) -> DeclaredSubscription:
    """Return a declared subscription whose file adopts these ids."""
    return replace(one, adopt=ids)


def test_the_file_adopts_by_id_and_the_command_line_by_address() -> None:
    assert told(planned(tenancy(ONE), [live("a")])) == ["keep a secret-unknown"]
    for plan in (
        planned(tenancy(asking("a")), [live("a")]),
        planned(tenancy(ONE), [live("a")], options=ADOPT_ALL),
        planned(tenancy(asking("a")), [live("b"), live("a")]),
    ):
        assert "adopt a adopt" in told(plan)
        assert not plan.refusals
        assert plan.differs
    assert told(planned(tenancy(asking("a")), [live("a")], made("a", ONE))) == ["keep a"]


def test_the_adopted_subscription_is_kept_and_its_duplicates_are_left() -> None:
    plan = planned(tenancy(asking("b"), owns="made"), [live("a"), live("b")])
    assert told(plan) == ["adopt b adopt", "leave a duplicate"]


def test_only_the_file_adopts_what_was_replaced_outside_this_state() -> None:
    lost = made("gone", ONE)
    plan = planned(tenancy(ONE), [live("b")], lost, options=ADOPT_ALL)
    assert told(plan) == ["keep b replaced-outside"]
    assert "--adopt" not in refused(plan)[0].fix
    assert told(planned(tenancy(asking("b")), [live("b")], lost)) == ["adopt b adopt"]


def test_replace_overrides_adopt() -> None:
    options = Selection(replace=("*",), adopt=("*",))
    assert told(planned(tenancy(ONE), [live("a")], options=options)) == ["resubscribe a requested"]


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        (live("a", trigger=INDEXED), "https://hooks.example.org/a FULL_TEXT_INDEXED"),
        (live("a", "https://vendor.example/x"), "https://vendor.example/x MOVED"),
    ],
)
def test_an_id_of_a_different_url_or_trigger_is_an_error_that_shows_both(
    other: object, shown: str
) -> None:
    plan = planned(tenancy(asking("a"), owns="made"), [other])  # type: ignore[list-item]
    [error] = run_of(plan).all_errors
    assert "`adopt` names a, which is live as " + shown in error.what
    assert error.what.endswith(f"and {ONE.url.shown} MOVED is declared")
    assert error.where == ONE.location
    assert not plan.is_ready


KEYED = "https://hooks.example.org/a?code="


def keyed(*ids: str) -> DeclaredSubscription:
    """Return a declared subscription whose URL has the key of a variable."""
    return replace(asking(*ids), url=HookUrl(KEYED + "${FN_KEY}", KEYED + "typed-wrong"))


def test_the_fix_of_a_mistyped_url_key_is_not_to_remove_the_id() -> None:
    plan = planned(tenancy(keyed("a"), owns="made"), [live("a", KEYED + "k1")])
    [error] = run_of(plan).all_errors
    assert error.what.endswith("and https://hooks.example.org/a?code=${FN_KEY} MOVED is declared")
    assert error.fix.startswith("correct the value of the URL (a variable?), or the id: ")


def test_one_list_of_ids_serves_all_triggers_of_a_name_also_with_target() -> None:
    both = [asking("a", "b"), asking("a", "b", one=declared(trigger=INDEXED))]
    there = [live("a"), live("b", trigger=INDEXED)]
    assert sorted(told(planned(tenancy(*both), there))) == ["adopt a adopt", "adopt b adopt"]
    plan = planned(replace(tenancy(both[0]), not_selected=(both[1],)), there)
    assert (plan.errors, plan.warnings) == ((), ())


@pytest.mark.parametrize(
    ("there", "why"), [([], "it is not live"), ([live("a")], "the state has it")]
)
def test_an_id_that_is_not_live_or_known_is_ignored_with_a_note_to_remove_it(
    there: list[object], why: str
) -> None:
    plan = planned(tenancy(asking("a")), there, made("a", ONE))  # type: ignore[arg-type]
    assert not [line for line in told(plan) if line.startswith("adopt")]
    *empty, note = plan.warnings
    assert [problem.what for problem in empty] == (
        [] if there else ["prod: the list is empty; the last apply saw 1"]
    )
    assert note.what == f"prod/catalogue: `adopt` names a, which is ignored: {why}"
    assert note.fix == "remove the id from the file"


def test_without_a_state_nothing_is_adopted() -> None:
    plan = planned(tenancy(asking("a")), [live("a")], options=ADOPT_ALL, place=None)
    assert told(plan) == ["keep a"]


# --- with a service


def seeded(place: Place) -> dict[str, str]:
    """Create both declared subscriptions outside hooksync. Returns their ids by trigger."""
    ids = {}
    for trigger in ("FULL_TEXT_INDEXED", "MOVED"):
        url = f"{place.environ['RECEIVER']}?code={URL_KEY}"
        ids[trigger] = place.box.seed("DEMO", url, trigger, SECRET)
    return ids


def test_after_a_lost_state_one_flag_adopts_everything_and_changes_nothing_in_preservica(
    place: Place,
) -> None:
    seeded(place)
    before = place.box.subscriptions("DEMO")
    refused = place.run("apply", "--yes")
    assert refused.code == 3
    assert refused.out.count("reason               secret unknown") == 2  # below `?`
    assert "hooksync apply --adopt prod/catalogue/INDEXED --adopt prod/catalogue/MOVED" in (
        refused.err
    )
    plan = place.run("plan", "--adopt", "*/*")
    assert plan.code == 0
    meaning = "        adopts it: hooksync owns it from now on, after a challenge\n"
    assert plan.out.count(meaning) == 2
    assert plan.out.count("taken as env:CATALOGUE_SECRET\n") == 2
    assert max(map(len, plan.out.splitlines())) <= 80
    assert "0 to REMOVE, 2 to adopt; 0 unchanged." in plan.out
    run = place.run("apply", "--yes", "--adopt", "*/*")
    assert (run.code, "Applied: 2 done" in run.out) == (0, True), run.err
    assert "As adopted: 2 secrets, which only an event can prove.\nVerified: " in run.out
    assert place.box.subscriptions("DEMO") == before
    after = place.run("plan", "--detailed-exitcode", "--format", "json")
    assert after.code == 0
    for step in after.json["tenancies"][0]["steps"]:
        assert (step["origin"], step["secret"], step["evidence"]) == ("adopted", "same", "adopted")
    assert "same, as adopted (env:CATALOGUE_SECRET)" in place.run("plan", "--all").out


def test_a_pull_request_adopts_by_id_and_the_merge_applies_its_saved_plan(place: Place) -> None:
    ids = seeded(place)
    lines = f"adopt: [{', '.join(ids.values())}]\n        secret:"
    place.write(HOOKS.replace("secret:", lines))
    plan = place.run("plan", "--out", "plan.json")
    assert (plan.code, "2 to adopt" in plan.out) == (0, True), plan.err
    document = json.loads((place.folder / "plan.json").read_text())
    steps = document["tenancies"][0]["steps"]
    assert {step["live"]["id"] for step in steps} == set(ids.values())
    assert place.run("apply", "plan.json", "--report", "report.json").code == 0
    after = place.run("plan", "--detailed-exitcode")
    assert after.code == 0
    assert after.err.count("which is ignored: the state has it") == 2


def test_a_saved_plan_contains_the_globs_of_adopt_and_is_stale_if_the_ids_differ(
    place: Place,
) -> None:
    ids = seeded(place)
    assert place.run("plan", "--adopt", "prod/*", "--out", "plan.json").code == 0
    place.box.remove("DEMO", ids["MOVED"])
    place.box.seed("DEMO", f"{place.environ['RECEIVER']}?code={URL_KEY}", "MOVED", SECRET)
    stale = place.run("apply", "plan.json")
    assert stale.code == 3
    assert "the saved plan is stale" in stale.err
    assert place.run("plan", "--adopt", "prod/*", "--out", "plan.json").code == 0
    assert place.run("apply", "plan.json").code == 0
    refused = place.run("apply", "plan.json", "--adopt", "prod/*")
    assert (refused.code, "--adopt cannot be combined" in refused.err) == (64, True)


def test_the_prompt_names_url_and_trigger_of_what_is_adopted() -> None:
    asked, _ = question(run_of(planned(tenancy(ONE), [live("a")], options=ADOPT_ALL)))
    assert re.search(r"a   catalogue +MOVED +a\n +adopts it: .*, after a challenge", asked)
    assert ONE.url.shown in asked
    assert "1 to adopt. Type yes to apply: " in asked


def test_the_vendor_behind_a_firewall_is_not_adopted_with_an_invented_secret(place: Place) -> None:
    vendor = "http://127.0.0.1:9/vendor"
    place.box.seed("DEMO", vendor, "MOVED", "a-secret-of-the-vendor-0123456789")
    place.write(HOOKS.replace("${RECEIVER}?code=${FN_KEY}", vendor).replace("INDEXED, ", ""))
    run = place.run("apply", "--yes", "--adopt", "*")
    assert run.code == 3
    assert "is not ready" in run.err
    assert not (place.folder / "hooks.state.json").exists()
    still = place.run("plan", "--format", "json").json["tenancies"][0]["steps"]
    assert [(step["origin"], step["secret"]) for step in still] == [("foreign", "unknown")]


def test_an_apply_reports_a_wrong_id_beside_a_secret_that_is_not_set(place: Place) -> None:
    other = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    place.write(HOOKS.replace("secret: {env: ", f"adopt: {other}\n        secret: {{env: NO_"))
    said = place.run("apply", "--yes").err
    assert f"`adopt` names {other}" in said
    assert "not set: " in said
