"""The exact text of plans, reports and questions."""

from __future__ import annotations

import json
import re
from typing import get_args

import jsonschema
import pytest

from hooksync.core.errors import Problem
from hooksync.core.model import HookUrl, Notes, SecretRef, Trigger
from hooksync.core.output import Output
from hooksync.core.record import replace
from hooksync.core.schema import read_schema
from hooksync.reconcile.diff import empty_plan
from hooksync.reconcile.plan import Outcome, Plan, ReasonCode, Selection, TenancyPlan
from hooksync.reconcile.run import FetchedTenancy
from hooksync.render.html import html
from hooksync.render.markdown import in_markdown, markdown
from hooksync.render.renderers import plan_json
from hooksync.render.text import plain, plan_lines, question
from tests.makers import INDEXED, MOVED, declared, live, tenancy
from tests.reconcile.planning import VALUE, made, make_plan, planned, planner, run_of, tried
from tests.state_makers import state

VARIABLES = ("ALERT_SECRET", "CATALOGUE_SECRET", "HOOK_SECRET")


def a_plan(**settings: object) -> TenancyPlan:
    alert = replace(
        declared("https://ours.example/preservica", Trigger("INGEST_FAILED"), name="ingest-alert"),
        include_identifiers=False,
        secret=SecretRef("env", "ALERT_SECRET"),
    )
    catalogue = replace(
        declared("https://ours.example/api?code=KEY", INDEXED, name="catalogue"),
        url=HookUrl("https://ours.example/api?code=${FN_KEY}", "https://ours.example/api?code=KEY"),
        secret=SecretRef("env", "CATALOGUE_SECRET"),
    )
    same = declared("https://ours.example/same", name="same")
    there = (
        live(
            "9495ddbf" + "0" * 24,
            "https://ours.example/api?code=KEY",
            INDEXED,
            include_identifiers=False,
        ),
        live("77aa01c2" + "0" * 24, "https://ours.example/old?key=KEY", MOVED),
        live("5b20c9e1" + "0" * 24, "https://vendor.example/x", MOVED),
        live("aaaaaaaa" + "0" * 24, "https://ours.example/same", MOVED),
        live("bbbbbbbb" + "0" * 24, "https://ours.example/same", MOVED),
    )
    owner = tenancy(alert, catalogue, same, **({"owns": "made"} | settings))
    search = declared("https://ours.example/old?key=KEY", name="search")
    known = [
        made(there[0].id, catalogue, run_number=7),
        made(there[1].id, search, run_number=8),
        made(there[3].id, same, run_number=6, is_adopted=True),
        made(there[4].id, same, run_number=5),
    ]
    return planned(owner, there, *known, environ=dict.fromkeys(VARIABLES, VALUE))


def kept(*, known: bool = True) -> TenancyPlan:
    """Return a plan without changes. If `known` is false, the state has no entry for it."""
    records = [made("1" * 32, declared())] if known else []
    return planned(tenancy(declared()), [live()], *records)


OOPS = (Problem("GET -> 500: oops", "look"),)


PLAN = """\
prod   eu.preservica.com / BRAMA   5 live, 3 declared

+   ingest-alert        INGEST_FAILED
      url                  https://ours.example/preservica
      include_identifiers  false
      secret               env:ALERT_SECRET
+/- catalogue           INDEXED        replaces 9495ddbf, new one first
      url                  https://ours.example/api?code=${FN_KEY}
      include_identifiers  false -> true
      secret               same (env:CATALOGUE_SECRET)
-   search              MOVED          77aa01c2
        no longer declared, made by hooksync
      url                  https://ours.example/old?key=***
-   same                MOVED          bbbbbbbb   duplicate, made by hooksync
      url                  https://ours.example/same
.   1 not in the state, left alone

Plan: 1 to subscribe, 1 to resubscribe, 2 to REMOVE; 1 unchanged, 1 left alone.
As adopted: 1 secret, which only an event can prove.
"""


def test_a_plan_has_the_expected_text() -> None:
    plan = a_plan()
    assert plain(plan_lines(run_of(plan))) == PLAN


def test_every_note_of_a_declared_subscription_is_shown_also_of_a_paused_one() -> None:
    notes = dict.fromkeys(Notes.__struct_fields__, "for the\ncatalogue")
    told = replace(declared("https://ours.example/new", name="new"), **notes)
    paused = replace(told, name="paused", enabled=False, description="team A")
    shown = run_of(make_plan(tenancy(told, paused), (), place=None))
    text = plain(plan_lines(shown, shows_kept=True))
    for name in notes:
        assert f"      {name:20} for the\\ncatalogue\n" in text
    assert "      description          team A\n" in text


def test_remove_first_has_its_own_symbol() -> None:
    plan = a_plan(replacement="remove-first")
    text = plain(plan_lines(run_of(plan)))
    assert "-/+ catalogue           INDEXED        replaces 9495ddbf, old one removed first" in text


def test_no_changes_are_one_line_if_everything_was_compared() -> None:
    one = kept()
    head = "prod   eu.preservica.com / BRAMA   1 live, 1 declared\n\n"
    same = "No changes. 1 tenancy matches hooks.yaml; 1 unchanged.\n"
    assert plain(plan_lines(run_of(one))) == f"{head}{same}"
    both = "No changes. 2 tenancies match hooks.yaml; 2 unchanged.\n"
    assert plain(plan_lines(run_of(one, one))) == both
    unknown = plain(plan_lines(run_of(kept(known=False)))).splitlines()
    assert unknown[2].startswith("?   catalogue ")
    assert unknown[-1] == "No changes to make; not compared: 1 secret; 0 unchanged."
    not_selected = replace(tenancy(), not_selected=(declared(),))
    lagging = planned(not_selected, [], tried(declared()))
    text = plain(plan_lines(run_of(lagging))).splitlines()[-1]
    assert text == "No changes to make; not compared: 1 open attempt; 0 unchanged."


ROTATED = "the-secret-before-it-was-rotated"
MOVED_FROM = replace(declared(), url=declared("https://old.example/a").url)
REASONS = {  # code: the text, what is live, and the records of the state
    "new": ("new", [], []),
    "url-changed": ("url changed", [live("a", "https://old.example/a")], [made("a", MOVED_FROM)]),
    "flag-changed": ("include_identifiers differs", [live("a", include_identifiers=False)], [made("a", declared())]),
    "secret-changed": ("secret changed", [live("a")], [made("a", declared(), value=ROTATED)]),
    "secret-unknown": ("secret unknown", [live("a")], []),
    "unconfirmed": ("it is in the list, but no response proves its secret", [live("a")], [tried(declared())]),
    "replaced-outside": ("replaced outside this state, secret unknown", [live("a")], [made("b", declared())]),
    "removed-outside": ("removed outside this state", [], [made("b", declared())]),
    "requested": ("requested by --replace", [live("a")], [made("a", declared())]),
    "undeclared": ("not declared", [live("a", trigger=INDEXED)], []),
    "duplicate": ("duplicate", [live("a"), live("b")], []),
    "adopt": ("adopts it: hooksync owns it from now on", [live("a")], []),
    "paused": ("paused", [live("a")], [made("a", declared())]),
}  # fmt: skip


def test_each_reason_has_an_example() -> None:
    assert {*REASONS, "in-progress"} == {*get_args(ReasonCode)}  # that one needs a second run


@pytest.mark.parametrize("code", REASONS)
def test_each_reason_is_the_same_in_text_and_json(code: str) -> None:
    text, there, records = REASONS[code]
    options = Selection(
        replace=("*",) if code == "requested" else (), adopt=("*",) if code == "adopt" else ()
    )
    owner = tenancy(replace(declared(), enabled=code != "paused"))
    shown = run_of(planned(owner, there, *records, options=options))
    document = json.loads(plan_json(shown))
    jsonschema.validate(document, read_schema("plan"))
    found = [each for step in document["tenancies"][0]["steps"] for each in step["reasons"]]
    assert {"code": code, "text": text} in found
    lines = plain(plan_lines(shown, shows_kept=True))
    # the plan shows new steps and changed flags without these reasons
    assert code in ("new", "flag-changed") or text in lines


def test_colours_depend_on_the_step_and_change_no_letter(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Output().result(plain(plan_lines(run_of(a_plan()))), is_coloured=True)
    text = capsys.readouterr().out
    assert re.sub("\x1b\\[[0-9;]*m", "", text) == PLAN
    assert "\x1b[32m+   ingest-alert" in text
    assert "\x1b[33m+/- catalogue" in text
    assert "\x1b[31m-   search" in text
    assert "\x1b[2m.   1 not in the state" in text
    assert text.count("\x1b[0m") == 5  # four steps and the line about those left alone


ALL_DONE = ("done", "done", "done", "done", "unchanged", "unchanged")


def finished(*results: str, **settings: object) -> Plan:
    plan = a_plan()
    steps = []
    for step, result in zip(plan.steps, results, strict=True):
        is_broken = result in ("failed", "half-done")
        problem = Problem("it broke", "fix it") if is_broken else None
        outcome = Outcome(result, problem)  # type: ignore[arg-type]
        steps.append(replace(step, outcome=outcome))
    return run_of(replace(plan, steps=tuple(steps), **settings), format="hooksync.report/1")


BROKEN = ("failed", "half-done", "not-attempted", "done", "unchanged", "unchanged")
SUMS = {
    ALL_DONE: ("4 done, 0 failed", "", "Verified: live matches declared"),
    BROKEN: ("1 done, 1 half done, 1 failed, 1 not tried", "cut", "Not verified: prod: cut"),
}


@pytest.mark.parametrize("results", SUMS)
def test_a_report_sums_up_the_run_and_states_its_verification(results: tuple[str, ...]) -> None:
    counts, not_verified, verdict = SUMS[results]
    assert (
        plain(plan_lines(finished(*results, not_verified=not_verified)))
        == f"Applied: {counts}; 1 unchanged, 1 left alone.\n"
        f"As adopted: 1 secret, which only an event can prove.\n{verdict}.\n"
    )


def test_a_report_names_the_verified_tenancies_if_one_could_not_be_read() -> None:
    done = finished(*ALL_DONE)
    failed = empty_plan(tenancy(declared(), name="other"), OOPS)
    text = plain(plan_lines(replace(done, tenancies=(*done.tenancies, failed))))
    assert text.endswith(
        "1 left alone.\nNot compared: 1 tenancy.\n"
        "As adopted: 1 secret, which only an event can prove.\n"
        "Verified: prod: live matches declared.\n"
    )


def test_a_report_names_subscriptions_that_still_differ() -> None:
    plan = a_plan()
    text = plain(plan_lines(finished(*ALL_DONE, differences=plan.steps[:1])))
    assert text.endswith(
        "Not as declared: 1 subscription: subscribe prod/ingest-alert/INGEST_FAILED.\n"
    )


def test_a_duplicate_that_is_not_owned_is_drift_and_named() -> None:
    owner = tenancy(declared(), owns="made")
    there = [live("1" * 32), live("2" * 32)]
    shown = run_of(planned(owner, there, made("1" * 32, declared())))
    assert (
        plain(plan_lines(shown)) == "prod   eu.preservica.com / BRAMA   2 live, 1 declared\n\n"
        ".   catalogue           MOVED          22222222   duplicate, not in the state\n"
        "      url                  https://hooks.example.org/a\n\n"
        "Not as declared: 1 subscription left alone; 1 unchanged.\n"
    )
    [warning] = shown.tenancies[0].warnings
    assert "and left alone: prod/catalogue/MOVED" in warning.what
    assert "`hooksync remove 22222222222222222222222222222222`" in warning.fix
    assert shown.differs
    assert not shown.has_changes


def test_only_what_is_removed_or_left_is_called_new() -> None:
    known = state(made("gone", declared()))
    seen = replace(known.tenancies[0], foreign=())
    owner = tenancy(declared(), owns="made")
    fetched = FetchedTenancy(owner, (live("b"), live("c", "https://vendor.example/x")))
    [plan] = planner(replace(known, tenancies=(seen,))).plan([fetched])
    assert [step.is_new for step in plan.steps] == [True, True]
    text = plain(plan_lines(run_of(plan), shows_kept=True))
    assert "replaced outside this state, secret unknown\n" in text
    assert "not in the state, new\n" in text


def test_every_form_of_a_plan_names_what_was_selected() -> None:
    part = replace(run_of(a_plan()), selection=Selection(("prod",), ("prod/catalogue/*",)))
    line = "Only prod, prod/catalogue/*"
    assert plain(plan_lines(part)).startswith(f"{line}\n\n")
    assert in_markdown(line) in markdown(part)
    assert f"<p>{line}</p>" in html(part)


def test_without_a_state_a_plan_never_says_who_made_a_subscription() -> None:
    plan = make_plan(tenancy(owns="made"), [live()], place=None)
    text = plain(plan_lines(run_of(plan), shows_kept=True))
    assert ".   (no name)           MOVED          11111111   not declared\n" in text
    assert "state" not in text


def test_with_a_target_only_the_targeted_subscriptions_are_reported_to_match() -> None:
    done = replace(
        finished(*ALL_DONE),
        selection=Selection(target=("*",)),
    )
    assert plain(plan_lines(done)).endswith("\nVerified: live matches declared (only *).\n")
    same = run_of(kept())
    text = plain(plan_lines(replace(same, selection=Selection(target=("*",)))))
    matching = "1 tenancy matches hooks.yaml; 1 unchanged.\n"
    assert text.startswith("Only *\n\nprod ")
    assert text.endswith(f"\nNo changes. {matching}")


def test_the_question_counts_changes_and_names_url_and_trigger_of_each_removal() -> None:
    one = a_plan()
    removed = PLAN[PLAN.index("-   search") : PLAN.index(".   1 not in the state")]
    removed = f"To confirm:\n{removed}"
    line = "prod (eu.preservica.com / BRAMA): 1 to subscribe, 1 to resubscribe, 2 to REMOVE."
    asks = " Type yes to apply: "
    assert question(run_of(one)) == (f"{removed}{line}{asks}", "yes")
    other = replace(one, name="b", tenant=None, server="other.example")
    second = line.replace("prod (eu.preservica.com / BRAMA)", "b (other.example)")
    refused = replace(one, refusals=(Problem("too much", "no"),))
    asked, _ = question(run_of(one, refused, other))
    assert asked == f"{removed}{line}\n{removed}{second}{asks}"


def vendors(name: str) -> TenancyPlan:
    """Return the plan of a tenancy that matches, with a subscription that is not in the state."""
    there = [live(), live("f" * 32, "https://vendor.example/x")]
    return planned(tenancy(declared(), name=name, owns="made"), there, made("1" * 32, declared()))


def test_quiet_tenancies_take_one_line_and_those_not_read_are_directly_above_the_sum() -> None:
    failed = empty_plan(tenancy(declared(), name="t21"), OOPS)
    quiet = [vendors(f"t{number:02}") for number in range(38)]
    text = plain(plan_lines(run_of(failed, *quiet, a_plan())))
    assert text.endswith(
        ".   1 not in the state, left alone\n\n"
        "38 tenancies match; 38 subscriptions left alone in 38 tenancies.\n\n"
        "t21   eu.preservica.com / BRAMA   not read, 1 declared\n\n"
        "Plan: 1 to subscribe, 1 to resubscribe, 2 to REMOVE; 39 unchanged, 39 left alone.\n"
        "Not compared: 1 tenancy.\nAs adopted: 1 secret, which only an event can prove.\n"
    )
    assert text.startswith("prod   eu.preservica.com / BRAMA   5 live, 3 declared\n")
    problems = markdown(run_of(failed, *quiet, a_plan())).partition("\n\n- ")[2]
    assert problems.startswith("`error: t21: GET -> 500: oops`\n")


def test_two_hundred_tenancies_that_match_take_one_line_and_a_short_comment() -> None:
    plan = run_of(*(vendors(f"tenancy-{number:03}") for number in range(200)))
    line = "No changes. 200 tenancies match hooks.yaml; 200 unchanged, 200 left alone.\n"
    assert plain(plan_lines(plan)) == line
    assert len(markdown(plan).encode()) < 1_000
    assert plain(plan_lines(plan, shows_kept=True)).count("not in the state") == 200


def test_a_new_subscription_makes_its_tenancy_heard() -> None:
    quiet = vendors("quiet")
    seen = replace(quiet.steps[-1], is_new=True)
    loud = replace(quiet, name="loud", steps=(*quiet.steps[:-1], seen))
    text = plain(plan_lines(run_of(quiet, loud)))
    assert text.startswith(
        "loud   eu.preservica.com / BRAMA   2 live, 1 declared\n\n.   1 not in the state (1 new: https://vendor.example/x), left alone\n\n1 tenancy matches; "
    )


def test_an_adoption_of_a_different_flag_says_that_the_next_apply_resubscribes() -> None:
    there = [live(include_identifiers=False)]
    made = planned(tenancy(declared()), there, options=Selection(adopt=("*",)))
    follows = "        the next apply resubscribes it: include_identifiers false -> true\n"
    assert f"      then\n{follows}" in plain(plan_lines(run_of(made)))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("MOVED 77aa01c3", '"MOVED 77aa01c3"'),
        ("MOVED  77aa01c3", '"MOVED  77aa01c3"'),
        (" MOVED", '" MOVED"'),
        ("MOVED\u2800", '"MOVED\u2800"'),
        ("MO\u00a0VED", r'"MO\xa0VED"'),
        ('A"  B', r'"A\"  B"'),
        ("NEW_TRIGGER", "NEW_TRIGGER"),
    ],
)
def test_a_trigger_with_odd_white_space_cannot_pass_for_columns(name: str, shown: str) -> None:
    made = make_plan(tenancy(), [live("1" * 32, "https://h.example/", Trigger(name))], Selection())
    assert (
        f"-   (no name)           {shown:<{max(15, len(shown) + 2)}}11111111\n"
        "        not declared, not in the state, removed only after a review\n"
        in plain(plan_lines(run_of(made)))
    )
