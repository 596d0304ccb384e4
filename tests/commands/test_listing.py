"""`hooksync list` shows the live subscriptions, and `hooksync show PLAN` shows a saved plan.

Neither command changes anything.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hooksync.api.receipt import read_saved_plan
from hooksync.core.errors import Problem
from hooksync.core.model import LiveSubscription, Secret, Tenancy
from hooksync.core.record import replace
from hooksync.reconcile.plan import Selection, UndeclaredTenancy
from hooksync.render.html import html
from hooksync.render.markdown import markdown
from hooksync.render.renderers import plan_json
from hooksync.render.text import plan_lines
from tests import state_makers
from tests.command_line import Run
from tests.conftest import HOOKS, SECRET, Place, owning
from tests.makers import lists_of_live, tenancies
from tests.reconcile.planning import VALUE, derive, planned, run_of
from tests.schemas import assert_fits
from tests.state_makers import SALT, entry

KEY = "a-key-that-signs-plans-0123456789"
DESCRIBED = "        description: Rebuilds the index\n"
OLD = "https://old.example/hook?key=k3y-of-somebody-else"


def listing(place: Place, *flags: str) -> dict[str, Any]:
    """Return the list as JSON, and assert that it fits its schema."""
    run = place.run("list", "--format", "json", *flags)
    assert run.code == 0, run.err
    return checked(run.out)


def checked(text: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(text)
    assert_fits(document, "plan")
    return document


@pytest.fixture
def lived_in(place: Place) -> Place:
    """A tenancy with two declared subscriptions, one that is owned but not declared, and one of a
    vendor.
    """
    owns = f'owns: ["{place.environ["RECEIVER"]}", "https://old.example"]'
    place.write(HOOKS.replace("    subscriptions:", f"    {owns}\n    subscriptions:") + DESCRIBED)
    assert place.run("apply", "--yes").code == 0
    place.box.seed("DEMO", OLD, "MOVED", SECRET)
    place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    return place


def test_each_live_subscription_is_listed_with_its_declared_address_and_action(
    lived_in: Place,
) -> None:
    document = listing(lived_in)
    [one] = document["tenancies"]
    steps = one["steps"]
    found = [(step["address"], step["action"], step["reasons"]) for step in steps]
    assert found == [
        (None, "unsubscribe", [{"code": "undeclared", "text": "not declared"}]),
        ("prod/catalogue/INDEXED", "keep", []),
        ("prod/catalogue/MOVED", "keep", []),
        (None, "leave", [{"code": "undeclared", "text": "outside the prefixes of `owns`"}]),
    ]
    assert {step["live"]["id"] for step in steps} == {
        each.id for each in lived_in.box.subscriptions("DEMO")
    }
    assert [step["live"]["url"] for step in steps[:2]] == [
        f"{OLD.partition('=')[0]}=***",
        "${RECEIVER}?code=${FN_KEY}",
    ]
    assert steps[1]["declared"]["description"] == "Rebuilds the index"
    counts = {name: number for name, number in document["summary"].items() if number}
    assert counts == {"unsubscribe": 1, "keep": 2, "leave": 1}
    text = lived_in.run("list").out
    words = r"\$\{RECEIVER\}\?code=\$\{FN_KEY\}\n +made by hooksync \S+, secret same"
    pattern = f"^[0-9a-f]{{32}}  INDEXED +prod/catalogue/INDEXED\n +{words}$"
    assert re.search(pattern, text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("prod   ")
    assert "   4 live, 2 declared\n" in text


def test_the_json_of_a_list_counts_what_is_declared_and_not_live(place: Place) -> None:
    document = listing(place)
    assert [document["summary"]["subscribe"], document["tenancies"][0]["steps"]] == [2, []]


@pytest.mark.parametrize("command", ["list", "plan"])
def test_a_live_url_of_many_short_segments_does_not_make_a_command_hang(
    place: Place, command: str
) -> None:
    url = f"https://old.example{'/a' * 60}/A"  # masking this URL once took too long
    place.box.seed("DEMO", url, "MOVED", SECRET)
    place.write(owning(HOOKS))
    run = place.run_process(command)
    assert run.code == 0, run.err
    assert url in run.out


@pytest.mark.parametrize(
    ("change", "flags", "said"),
    [
        ({"CATALOGUE_SECRET": "another-secret-0123456789abcdef"}, (), "secret changed, made by hooksync"),
        ({"CATALOGUE_SECRET": ""}, (), ", secret not set"),
        ({}, ("--no-state",), "secret unknown"),
        ({}, ("--state", "other.state.json"), "There is no state at other.state.json.\n"),
        ({}, ("--target", "*/MOVED"), "   4 live, 1 declared\n"),
        ({"FN_KEY": "another-key-0123456789abcdef"}, (), "    url changed, "),
    ],
)  # fmt: skip
def test_list_reports_how_live_and_declared_differ_and_changes_nothing(
    lived_in: Place, change: dict[str, str], flags: tuple[str, ...], said: str
) -> None:
    lived_in.environ |= change
    before = lived_in.box.subscriptions("DEMO")
    run = lived_in.run("list", *flags)
    assert (run.code, said in run.out) == (0, True), run.out + run.err
    assert lived_in.box.subscriptions("DEMO") == before
    checked(lived_in.run("list", "--format", "json", *flags).out)


# a saved plan


def shown(place: Place, *flags: str) -> Run:
    """Show the saved plan from an empty folder, with no variables except PATH and the plan key."""
    (place.folder / "empty").mkdir(exist_ok=True)
    kept = {
        name: value
        for name, value in place.environ.items()
        if name in ("PATH", "HOOKSYNC_PLAN_KEY")
    }
    return replace_place(place, kept).run("show", "../plan.json", *flags)


def replace_place(place: Place, environ: dict[str, str]) -> Place:
    return Place(place.folder / "empty", place.box, place.receiver, environ)


def change(place: Place, **fields: Any) -> None:
    path = place.folder / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_show_reports_the_age_and_the_signature_of_a_saved_plan(place: Place) -> None:
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    assert place.run("plan", "--out", "plan.json").code == 0
    run = shown(place)
    assert run.code == 0
    assert "plan.json was made at 20" in run.err
    place.environ["HOOKSYNC_PLAN_KEY"] = "another-key-of-plans-0123456789"
    assert (shown(place).code, shown(place).out) == (3, "")
    del place.environ["HOOKSYNC_PLAN_KEY"]
    assert "plan.json is signed, and HOOKSYNC_PLAN_KEY is not set" in shown(place).err
    past = (datetime.now(UTC) - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    change(place, created_at=past, expires_at=past)
    run = shown(place)
    assert (run.code, "Plan: 2 to subscribe" in run.out) == (0, True)
    assert f"was made at {past}; apply refuses it: " in run.err
    assert f"expired at {past}" in run.err


def test_a_plan_that_apply_would_refuse_is_shown_with_the_reason(place: Place) -> None:
    place.write(
        owning(HOOKS.partition("      catalogue:")[0]).replace(
            "subscriptions:", "subscriptions: {}"
        )
    )
    place.box.seed("DEMO", OLD, "MOVED", SECRET)
    planned = place.run("plan", "--format", "json")
    (place.folder / "plan.json").write_text(planned.out)
    run = shown(place)
    assert (planned.code, run.code) == (3, 3)
    assert "prod: would unsubscribe 1 of the 1 it owns: none is declared" in run.err
    assert "-   (no name) " in run.out


@settings(max_examples=50)
@given(
    one=tenancies(),
    there=lists_of_live(),
    is_targeted=st.booleans(),
    states=st.data(),
    shows_kept=st.booleans(),
)
def test_a_saved_plan_is_shown_exactly_as_it_was_printed(
    one: Tenancy,
    there: tuple[LiveSubscription, ...],
    is_targeted: bool,
    states: st.DataObject,
    shows_kept: bool,
) -> None:
    ids = st.sampled_from([each.id for each in there] or [""])
    keys = st.sampled_from([state_makers.KEY, derive((Secret(VALUE), SALT))])
    known = states.draw(st.dictionaries(ids, keys))
    entries = [entry(identifier=each, key=key) for each, key in known.items()]
    options = Selection(target=("*",) * is_targeted)
    plan = planned(one, there, *entries, options=options)
    lines = st.builds(
        Problem, st.from_regex(r"[a-z(): ]{1,9}", fullmatch=True), st.just("see to it (soon)")
    )
    several = tuple(states.draw(st.lists(lines, max_size=3, unique=True)))
    targets = ("*",) * is_targeted
    printed = run_of(
        replace(plan, refusals=several),
        warnings=several,
        undeclared=tuple(UndeclaredTenancy("gone", 1, each) for each in several[:1]),
        state="s",
        selection=Selection(target=targets),
        state_missing=states.draw(st.booleans()),
    )
    read = read_saved_plan(plan_json(printed).encode(), "plan.json", None)
    lines_read, lines_printed = (
        [*plan_lines(each, shows_kept=shows_kept)] for each in (read, printed)
    )
    assert lines_read == lines_printed
    assert markdown(read, shows_kept=shows_kept) == markdown(printed, shows_kept=shows_kept)
    assert html(read) == html(printed)
    assert (read.warnings, read.all_refusals) == (printed.warnings, printed.all_refusals)
