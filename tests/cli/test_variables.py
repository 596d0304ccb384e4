"""The variables for pipelines set flags of `plan` and `apply`, and nothing else."""

from __future__ import annotations

import json

import pytest

from hooksync.cli.parser import read_arguments
from hooksync.commands.plan_apply import ApplyOptions, PlanOptions
from hooksync.core.model import SecretRef
from tests.conftest import Place

MOVED = "prod/catalogue/MOVED"
SET = {
    "HOOKSYNC_TENANCY": "prod-*\n\n  test \n",
    "HOOKSYNC_TARGET": "*/MOVED",
    "HOOKSYNC_SINCE": "main",
    "HOOKSYNC_REPLACE": "a/b/MOVED\na/c/MOVED",
    "HOOKSYNC_ADOPT": " ",
    "HOOKSYNC_TIMEOUT": "5",
    "HOOKSYNC_NOTIFY": "env:CHAT",
    "HOOKSYNC_NOTIFY_AS": "slack",
}


def test_variables_set_flags_that_are_not_given_one_value_on_each_line() -> None:
    _, plan = read_arguments(["plan", "--target", "*/INDEXED"], SET)
    assert isinstance(plan, PlanOptions)
    assert (plan.tenancies, plan.targets) == (("prod-*", "test"), ("*/INDEXED",))
    assert (plan.since, plan.replace, plan.adopt) == ("main", ("a/b/MOVED", "a/c/MOVED"), ())
    assert (plan.timeout, plan.notify, plan.notify_as) == (5.0, SecretRef("env", "CHAT"), "slack")
    assert plan.selecting_variables == ("HOOKSYNC_TENANCY", "HOOKSYNC_REPLACE", "HOOKSYNC_SINCE")
    _, apply = read_arguments(["apply"], SET)
    assert isinstance(apply, ApplyOptions)
    assert (apply.tenancies, apply.timeout) == (("prod-*", "test"), 5.0)


@pytest.mark.parametrize("command", ["check", "list", "remove x", "fire a/b", "validate", "show p"])
def test_no_other_command_takes_the_variables_for_pipelines(command: str) -> None:
    _, with_variables = read_arguments(command.split(), SET)
    _, without = read_arguments(command.split(), {})
    assert vars(with_variables) == vars(without)


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        (
            "HOOKSYNC_TIMEOUT",
            "soon",
            'HOOKSYNC_TIMEOUT: argument --timeout: "soon" is not a number from',
        ),
        (
            "HOOKSYNC_NOTIFY_AS",
            "slak",
            "HOOKSYNC_NOTIFY_AS: argument --notify-as: invalid choice: 'slak' (choose from",
        ),
        (
            "HOOKSYNC_NOTIFY",
            "https://x",
            "HOOKSYNC_NOTIFY: argument --notify: the value is neither env:NAME",
        ),
        ("HOOKSYNC_TENANCY", "nothing", "nothing"),
    ],
)
def test_a_wrong_variable_is_a_usage_error_that_names_it(
    place: Place, name: str, value: str, what: str
) -> None:
    place.environ[name] = value
    run = place.run("plan")
    assert (run.code, what in run.err) == (64, True), run.err


def test_a_plan_names_the_variables_and_its_commands_repeat_them_as_flags(place: Place) -> None:
    place.environ |= {"HOOKSYNC_TENANCY": "pro*", "HOOKSYNC_REPLACE": MOVED}
    run = place.run("plan", "--out", "plan.json")
    assert "Only pro*\n" in run.out
    assert "From the environment: HOOKSYNC_TENANCY, HOOKSYNC_REPLACE\n" in run.out
    names = ["HOOKSYNC_TENANCY", "HOOKSYNC_REPLACE"]
    assert place.run("plan", "--format", "json").json["selection"]["variables"] == names
    refused = place.run("apply")
    flags = f"--tenancy 'pro*' --replace {MOVED}"
    assert (
        f"`hooksync plan --out plan.json {flags}`, then `hooksync apply plan.json`" in refused.err
    )
    assert json.loads((place.folder / "plan.json").read_text())["selection"]["replace"] == [MOVED]


def test_a_saved_plan_is_applied_without_the_variables_that_select(place: Place) -> None:
    assert place.run("plan", "--target", MOVED, "--out", "plan.json").code == 0
    place.environ |= {
        "HOOKSYNC_TENANCY": "none",
        "HOOKSYNC_REPLACE": "none",
        "HOOKSYNC_TARGET": "x",
    }
    run = place.run("apply", "plan.json")
    assert (run.code, len(place.box.subscriptions("DEMO"))) == (0, 1), run.err


@pytest.mark.parametrize("name", ["HOOKSYNC_REPLACE", "HOOKSYNC_ADOPT"])
def test_a_variable_requests_nothing_that_nobody_reviews(place: Place, name: str) -> None:
    place.environ[name] = MOVED
    run = place.run("apply", "--yes")
    assert (run.code, len(place.box.calls)) == (3, 0)
    assert f"--yes does not do what {name} requests\n  fix: `unset {name}`, or review" in run.err
