"""What people read, to the letter."""

from __future__ import annotations

import re

import pytest

from hooksync.cli.terminal import coloured
from hooksync.core.errors import Problem, ServiceError
from hooksync.core.model import HookUrl, SecretRef, Server, Tenancy, Trigger
from hooksync.core.record import replace
from hooksync.output.markdown import plan_markdown
from hooksync.output.text import plain, plan_lines, question, report_lines
from hooksync.output.view import RunView, view_of_plan
from hooksync.reconcile.diff import DiffOptions, make_plan
from hooksync.reconcile.plan import Outcome, TenancyOutcome, UnreadTenancy
from hooksync.state.history import History
from hooksync.state.model import entry_for
from tests.makers import INDEXED, MOVED, declared, live, tenancy


def a_plan(**settings: object) -> tuple[Tenancy, object]:
    alert = replace(
        declared("https://ours.example/preservica", Trigger("INGEST_FAILED"), name="ingest-alert"),
        include_identifiers=False,
        secret=SecretRef("env", "ALERT_SECRET"),
    )
    catalogue = replace(
        declared("https://ours.example/api?code=KEY", INDEXED, name="catalogue"),
        url=HookUrl("https://ours.example/api?code=${FN_KEY}", "https://ours.example/api?code=KEY"),
        secret=SecretRef("file", "/run/secrets/catalogue"),
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
    made = {
        there[index].id: entry_for(one, there[index].id, 9 - index, "", is_found=False)
        for index, one in ((1, search), (3, same), (4, same))
    }
    return owner, make_plan(owner, there, DiffOptions(), History(made=made))


KNOWN = History(states={"1" * 32: "same", "f" * 32: "same"})


def view(*tenancies: object, warnings: tuple[Problem, ...] = ()) -> RunView:
    return RunView(tenancies, "2026-01-02T03:04:05Z", "hooks.yaml", warnings)  # type: ignore[arg-type]


PLAN = """\
prod   eu.preservica.com / BRAMA   5 live, 3 declared

+   ingest-alert        INGEST_FAILED
      url                  https://ours.example/preservica
      include_identifiers  false
      secret               env:ALERT_SECRET
+/- catalogue           INDEXED        replaces 9495ddbf, new one first
      url                  https://ours.example/api?code=${FN_KEY}
      include_identifiers  false -> true
      secret               file:/run/secrets/catalogue
-   search              MOVED          77aa01c2   no longer declared (made by hooksync)
      url                  https://ours.example/old?key=***
-   same                MOVED          bbbbbbbb   duplicate (made by hooksync)
      url                  https://ours.example/same
.   1 not made by hooksync, left alone; `owns: all` would remove it

Plan: 1 to subscribe, 1 to resubscribe, 2 to unsubscribe; 1 unchanged (1 with an unknown secret), 1 left alone.
"""


def test_a_plan_reads_as_the_design_shows_it() -> None:
    _, plan = a_plan()
    assert plain(plan_lines(view(view_of_plan(plan)))) == PLAN  # type: ignore[arg-type]


def test_what_is_kept_is_shown_when_asked_for() -> None:
    _, plan = a_plan()
    text = plain(plan_lines(view(view_of_plan(plan)), shows_kept=True))  # type: ignore[arg-type]
    assert (
        "=   same                  MOVED          aaaaaaaa\n      url                 "
        " https://ours.example/same\n" in text
    )


def test_description_and_owner_of_what_is_declared_are_shown() -> None:
    told = replace(
        declared("https://ours.example/new", name="new"),
        description="for the\ncatalogue",
        owner="team A",
    )
    kept = replace(declared("https://ours.example/same", name="same"), owner="team B")
    there = live("aaaaaaaa" + "0" * 24, "https://ours.example/same", MOVED)
    shown = view(view_of_plan(make_plan(tenancy(told, kept), (there,), DiffOptions())))
    fields = "      description          for the\\ncatalogue\n      owner                team A\n"
    assert fields in plain(plan_lines(shown))
    assert "team B" not in plain(plan_lines(shown))
    assert "      owner                team B\n" in plain(plan_lines(shown, shows_kept=True))
    assert fields in plan_markdown(shown)


def test_remove_first_has_its_own_symbol() -> None:
    _, plan = a_plan(replacement="remove-first")
    text = plain(plan_lines(view(view_of_plan(plan))))  # type: ignore[arg-type]
    assert "-/+ catalogue           INDEXED        replaces 9495ddbf, old one removed first" in text


def test_no_changes_are_one_line() -> None:
    owner = tenancy(declared())
    plan = make_plan(owner, (live(),), DiffOptions(), KNOWN)
    assert (
        plain(plan_lines(view(view_of_plan(plan)))) == "No changes. 1 tenancy matches hooks.yaml.\n"
    )
    assert (
        plain(plan_lines(view(view_of_plan(plan), view_of_plan(plan))))
        == "No changes. 2 tenancies match hooks.yaml.\n"
    )


def test_an_unread_tenancy_is_never_called_unchanged() -> None:
    unread = UnreadTenancy(tenancy(declared()), ServiceError(Problem("GET -> 500: oops", "look")))
    text = plain(plan_lines(view(view_of_plan(unread))))
    assert "not read, 1 declared" in text
    assert text.endswith("0 unchanged; 1 tenancy not planned.\n")


def test_hostile_text_steers_no_terminal() -> None:
    there = live(
        "\x1b[2J\u202e" + "0" * 9,
        "https://evil.example/\x1b]0;owned\x07\r\n::error::x\u202e",
        Trigger("A\nB"),
    )
    text = plain(plan_lines(view(view_of_plan(make_plan(tenancy(), (there,), DiffOptions())))))
    assert re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", text) is None
    assert len(text.splitlines()) == 6
    assert "\n::error" not in text


def test_colour_goes_by_the_step_and_changes_no_letter() -> None:
    _, plan = a_plan()
    text = coloured(plan_lines(view(view_of_plan(plan))))  # type: ignore[arg-type]
    assert re.sub("\x1b\\[[0-9;]*m", "", text) == PLAN
    assert "\x1b[32m+   ingest-alert" in text
    assert "\x1b[33m+/- catalogue" in text
    assert "\x1b[31m-   search" in text
    assert "\x1b[2m.   1 not made by hooksync" in text
    assert text.count("\x1b[0m") == 5  # of five steps, and nothing else


def finished(*results: str, **settings: object) -> RunView:
    _, plan = a_plan()
    outcomes = tuple(
        Outcome(
            step,
            result,
            detail="it broke" if result in ("failed", "half-done") else "",
            fix="fix it",
        )  # type: ignore[arg-type]
        for step, result in zip(plan.steps, results, strict=True)  # type: ignore[attr-defined]
    )
    return view(view_of_plan(plan, outcome=TenancyOutcome(plan, outcomes, **settings)))  # type: ignore[arg-type]


def test_a_report_sums_up_and_says_that_it_was_verified() -> None:
    text = plain(report_lines(finished("done", "done", "done", "done", "unchanged", "unchanged")))
    assert (
        text
        == "Applied: 4 done, 0 failed, 0 not tried; 1 unchanged (1 with an unknown secret), 1 left"
        " alone.\nVerified: live matches declared, except the secrets of 1.\n"
    )


def test_a_report_names_what_went_wrong_with_its_fix() -> None:
    text = plain(
        report_lines(
            finished(
                "failed",
                "half-done",
                "not-attempted",
                "done",
                "unchanged",
                "unchanged",
                not_verified="interrupted",
            )
        )
    )
    assert (
        text
        == "failed: subscribe prod/ingest-alert/INGEST_FAILED: it broke\n  fix: fix it\nhalf done:"
        " resubscribe prod/catalogue/INDEXED: it broke\n  fix: fix it\nApplied: 1 done, 1 half"
        " done, 1 failed, 1 not tried; 1 unchanged (1 with an unknown secret), 1 left"
        " alone.\nNot verified: prod: interrupted\n"
    )


def test_a_report_says_what_still_differs() -> None:
    _, plan = a_plan()
    text = plain(
        report_lines(
            finished(
                "done", "done", "done", "done", "unchanged", "unchanged", differences=plan.steps[:1]
            )
        )  # type: ignore[attr-defined]
    )
    assert text.endswith(
        "Not as declared: prod: 1 to subscribe still to do\n+   ingest-alert  INGEST_FAILED\n"
    )


def with_strangers(number: int) -> RunView:
    """View a plan of a tenancy in which so many subscriptions are left alone."""
    strangers = tuple(
        live(f"{index:032x}", f"https://vendor.example/{index}") for index in range(number)
    )
    owner = tenancy(declared("https://ours.example/a"), owns="made")
    return view(
        view_of_plan(
            make_plan(
                owner, (*strangers, live("f" * 32, "https://ours.example/a")), DiffOptions(), KNOWN
            )
        )
    )


def test_what_is_left_alone_is_one_line_with_its_number() -> None:
    text = plain(plan_lines(with_strangers(6)))
    assert (
        text == "prod   eu.preservica.com / BRAMA   7 live, 1 declared\n\n"
        ".   6 not made by hooksync, left alone; `owns: all` would remove them\n\n"
        "No changes. 1 tenancy matches hooks.yaml.\n"
    )
    assert (
        plain(plan_lines(with_strangers(6), shows_kept=True)).count("\n.   not made by hooksync")
        == 6
    )


def test_a_duplicate_that_is_not_owned_is_drift_and_named() -> None:
    owner = tenancy(declared(), owns="made")
    there = (live("1" * 32), live("2" * 32))
    history = replace(
        KNOWN, made={"1" * 32: entry_for(declared(), "1" * 32, 1, "", is_found=False)}
    )
    shown = view(view_of_plan(make_plan(owner, there, DiffOptions(), history)))
    assert (
        plain(plan_lines(shown)) == "prod   eu.preservica.com / BRAMA   2 live, 1 declared\n\n"
        ".   catalogue           MOVED          22222222   duplicate (not made by hooksync)\n"
        "      url                  https://hooks.example.org/a\n\n"
        "No changes to make; not as declared: 1 duplicate left alone.\n"
    )
    [warning] = shown.all_warnings
    assert warning.what.startswith("prod/catalogue/MOVED is live twice")
    assert "--replace prod/catalogue/MOVED" in warning.fix
    assert shown.has_drift
    assert not shown.has_changes


def test_many_that_are_left_alone_are_one_line_in_markdown_too() -> None:
    assert plan_markdown(with_strangers(6)).endswith(
        "```diff\n.   6 not made by hooksync, left alone; `owns: all` would remove them\n```\n"
    )
    assert (
        plan_markdown(with_strangers(6), shows_kept=True).count("\n.   not made by hooksync") == 6
    )


def test_with_a_target_only_the_targeted_are_said_to_match() -> None:
    done = replace(
        finished("done", "done", "done", "done", "unchanged", "unchanged"), is_targeted=True
    )
    assert plain(report_lines(done)).endswith(
        "\nVerified: the targeted subscriptions match declared, except the secrets of 1.\n"
    )
    same = view(
        view_of_plan(
            make_plan(tenancy(declared()), (live(),), DiffOptions(is_targeted=True), KNOWN)
        )
    )
    text = plain(plan_lines(replace(same, is_targeted=True)))
    assert text == "No changes. The targeted subscriptions of 1 tenancy match hooks.yaml.\n"


def test_the_question_says_where() -> None:
    [one] = [view_of_plan(a_plan()[1])]  # type: ignore[arg-type]
    assert question(view(one)) == "Carry this out on eu.preservica.com / BRAMA?"
    others = [
        replace(
            one,
            tenancy=replace(
                one.tenancy, tenant=None, server=Server("${HOST}", f"https://{n}.example")
            ),
        )
        for n in range(7)
    ]
    assert question(view(others[0])) == "Carry this out on 0.example?"
    assert (
        question(view(*others[:2], others[0]))
        == "Carry this out in 3 tenancies on 0.example, 1.example?"
    )
    named = "0.example, 1.example, 2.example, 3.example, 4.example"
    assert question(view(*others)) == f"Carry this out in 7 tenancies on {named} and 2 more?"
    refused = replace(others[1], refusals=(Problem("too much", "no"),))
    assert question(view(others[0], refused)) == "Carry this out on 0.example?"


def test_tenancies_that_only_the_state_knows_are_told_after_the_summary() -> None:
    same = view(view_of_plan(make_plan(tenancy(declared()), (live(),), DiffOptions(), KNOWN)))
    text = plain(
        plan_lines(
            replace(
                same, undeclared=(Problem('the state knows 3 subscriptions of "m"', "declare it"),)
            )
        )
    )
    assert text == '1 tenancy matches hooks.yaml.\nThe state knows 3 subscriptions of "m".\n'


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
    made = make_plan(
        tenancy(), [live("1" * 32, "https://h.example/", Trigger(name))], DiffOptions()
    )
    assert f"-   not declared        {shown:<14} 11111111   not made by hooksync\n" in plain(
        plan_lines(view(view_of_plan(made)))
    )


def test_ids_that_begin_alike_are_shown_as_long_as_it_takes_to_tell_them_apart() -> None:
    there = [
        live(f"77aa01c200000000{number}", "https://h.example/", Trigger(f"T{number}"))
        for number in range(3)
    ]
    made = view_of_plan(make_plan(tenancy(), there, DiffOptions()))
    shown = [
        line.split()[4]
        for line in plain(plan_lines(view(made))).splitlines()
        if line.startswith("-")
    ]
    assert shown == [one.id for one in there]
