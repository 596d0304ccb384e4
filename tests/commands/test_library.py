"""hooksync as a library: what its functions return, raise and report, and what they leave alone."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import hooksync
from hooksync import Options
from tests.command_line import ROOT, run_python
from tests.conftest import HIDDEN, HOOKS, Place

NO_OPTIONS = Options()


def load(place: Place, options: Options = NO_OPTIONS, **more: Any) -> hooksync.Inputs:
    return hooksync.load(place.folder / "hooks.yaml", options, environ=place.environ, **more)


def live(place: Place) -> int:
    return len(place.box.subscriptions("DEMO"))


def test_declared_subscriptions_are_planned_and_applied(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    progress: list[tuple[str, int, int]] = []
    inputs = load(place, progress=lambda *what: progress.append(what))
    plan = hooksync.plan(inputs)
    assert (plan.has_changes, plan.summary["subscribe"], plan.exit_code, live(place)) == (
        True,
        2,
        0,
        0,
    )
    assert [(step.action, step.address) for step in plan.steps] == [
        ("subscribe", "prod/catalogue/INDEXED"),
        ("subscribe", "prod/catalogue/MOVED"),
    ]
    report = hooksync.apply(inputs)
    assert (report.exit_code, report.results(), live(place)) == (0, {"done": 2}, 2)
    assert [(step.address, step.outcome.result) for step in report.steps if step.outcome] == [
        ("prod/catalogue/INDEXED", "done"),
        ("prod/catalogue/MOVED", "done"),
    ]
    assert {("reading", 1, 1), ("applying", 2, 2)} <= set(progress)
    progress.clear()
    again = hooksync.apply(
        load(place, Options(replace=("*",)), progress=lambda *what: progress.append(what))
    )
    # two subscriptions are made, and the two old ones are removed
    assert (again.results(), progress[-1]) == (
        {"done": 2},
        ("applying", 4, 4),
    )
    after = hooksync.plan(inputs)
    assert (after.has_changes, after.counts()) == (False, {"keep": 2})
    assert "\nNo changes. 1 tenancy matches " in inputs.render(after, "text")
    assert tuple(capfd.readouterr()) == ("", "")


def test_plans_and_reports_read_the_same_as_the_output_of_the_commands(place: Place) -> None:
    place.environ["HOOKSYNC_PLAN_KEY"] = "a-key-that-signs-plans-0123456789"
    inputs = load(place)
    plan = hooksync.plan(inputs)
    saved = place.folder / "plan.json"
    saved.write_text(inputs.render(inputs.sealed(plan), "json"), encoding="utf-8")
    shown = inputs.render(plan, "text")
    assert place.run("plan").out == shown.replace(f"{place.folder}/", "")
    assert place.run("apply", str(saved)).code == 0
    inputs = load(place, Options(replace=("prod/catalogue/MOVED",)))
    assert "Applied: 1 done" in inputs.render(hooksync.apply(inputs), "markdown")


def test_a_plan_is_applied_exactly_or_refused(place: Place) -> None:
    inputs = load(place)
    first, second = hooksync.plan(inputs), hooksync.plan(inputs)
    assert hooksync.apply(inputs, first).exit_code == 0
    stale = hooksync.apply(load(place), second)
    assert (stale.exit_code, live(place)) == (3, 2)
    assert "prod: the saved plan is stale: " in stale.all_refusals[0].what


@pytest.mark.parametrize(
    ("text", "chosen", "what"),
    [
        (HOOKS.replace("INDEXED", "INDEXD"), Options(), 'unknown trigger "INDEXD"'),
        (HOOKS, Options(tenancies=("other",)), "matches no tenancy"),
    ],
    ids=["file", "selection"],
)
def test_faults_of_the_input_are_raised_as_problems_with_a_fix(
    place: Place, text: str, chosen: Options, what: str
) -> None:
    place.write(text)
    with pytest.raises(hooksync.HooksyncError) as raised:
        load(place, chosen)
    [problem, *_] = raised.value.problems
    assert what in problem.what
    assert problem.fix


def test_an_apply_without_a_state_is_an_error_and_changes_nothing(place: Place) -> None:
    with pytest.raises(hooksync.HooksyncError, match="the run has no state"):
        hooksync.apply(load(place, Options(uses_state=False)))
    assert live(place) == 0


def test_a_stop_ends_a_run_as_an_interrupt_does(place: Place) -> None:
    stop = threading.Event()
    inputs = load(place, stop=stop, progress=lambda *what: stop.set())
    report = hooksync.apply(inputs)
    assert (report.exit_code, report.is_interrupted, live(place)) == (130, True, 0)


def test_public_objects_and_their_renderings_show_no_secret(place: Place) -> None:
    inputs = load(place)
    plan = hooksync.plan(inputs)
    report = hooksync.apply(inputs, plan)
    shown = [repr(each) + str(each) for each in (inputs, plan, report, *plan.steps, *report.steps)]
    for result in (plan, report):
        for form in ("text", "markdown", "html", "json"):
            shown.append(inputs.render(result, form))
    assert not [hidden for hidden in HIDDEN for text in shown if hidden in text]


def test_the_package_has_its_public_names_and_no_others() -> None:
    assert all(getattr(hooksync, name) for name in hooksync.__all__)
    with pytest.raises(AttributeError, match="no attribute 'plans'"):
        hooksync.plans  # type: ignore[attr-defined]  # noqa: B018


def test_importing_the_package_loads_no_other_module() -> None:
    run = run_python(
        ["-c", "import sys; b = set(sys.modules); import hooksync; print(set(sys.modules) - b)"], {}
    )
    assert run.out == "{'hooksync'}\n"


def test_the_example_script_plans_and_applies(place: Place) -> None:
    script = str(ROOT / "examples" / "reconcile.py")
    planned = run_python([script], place.environ, place.folder)
    assert (planned.code, live(place)) == (0, 0), planned.err
    assert "Plan: 2 to subscribe" in planned.out
    applied = run_python([script, "--apply"], place.environ, place.folder)
    assert (applied.code, live(place)) == (0, 2), applied.err
    assert "done: subscribe prod/catalogue/MOVED" in applied.out
    place.environ["PRESERVICA_USERNAME"] = ""
    assert run_python([script], place.environ, place.folder).code == 1


@pytest.mark.slow
def test_the_example_script_is_typed() -> None:
    typed = ["--strict", "--config-file=", "--follow-imports=silent", "examples/reconcile.py"]
    checked = run_python(["-m", "mypy", *typed], {})
    assert checked.code == 0, checked.out + checked.err
