"""With --format json, standard output is one document at every error, and --report writes the same
document.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from hooksync.core.errors import ExitCode
from tests.conftest import Place
from tests.schemas import assert_fits

Prepare = Callable[[Place], tuple[str, ...]]
PLAN = ("plan", "--format", "json")
APPLY = ("apply", "--yes", "--format", "json")


def nothing(place: Place) -> tuple[str, ...]:
    return ()


def broken_file(place: Place) -> tuple[str, ...]:
    place.write("version: 1\ntenancies: {a: [}\n")
    return ()


def broken_state(place: Place) -> tuple[str, ...]:
    place.write("{", "hooks.state.json")
    return ()


def breached_policy(place: Place) -> tuple[str, ...]:
    return ("--policy", place.policy(servers=["elsewhere.example"]))


def no_login(place: Place) -> tuple[str, ...]:
    del place.environ["PRESERVICA_PASSWORD"]
    return ()


def altered_plan(place: Place) -> tuple[str, ...]:
    place.environ["HOOKSYNC_PLAN_KEY"] = "a-key-that-signs-plans-and-states"
    assert place.run("plan", "--out", "plan.json").code == 0
    plan = place.folder / "plan.json"
    plan.write_text(plan.read_text().replace('"hooks.yaml"', '"books.yaml"'))
    return ("plan.json",)


def expired_plan(place: Place) -> tuple[str, ...]:
    assert place.run("plan", "--out", "plan.json").code == 0
    plan = place.folder / "plan.json"
    document = json.loads(plan.read_text()) | {"created_at": "2020-01-01T00:00:00Z"}
    plan.write_text(json.dumps(document))
    return ("plan.json", "--max-age", "24h")


CASES: list[tuple[tuple[str, ...], Prepare, ExitCode]] = [
    (PLAN, broken_file, ExitCode.ERROR),
    (PLAN, broken_state, ExitCode.ERROR),
    (PLAN, breached_policy, ExitCode.REFUSED),
    (PLAN, no_login, ExitCode.ERROR),
    ((*PLAN, "--no-such-flag"), nothing, ExitCode.USAGE),
    ((*PLAN, "--target", "nothing/like/THIS"), nothing, ExitCode.USAGE),
    (APPLY, breached_policy, ExitCode.REFUSED),
    (APPLY[:1] + APPLY[2:], altered_plan, ExitCode.REFUSED),
    (APPLY[:1] + APPLY[2:], expired_plan, ExitCode.REFUSED),
    (("plan", "--all=yes", "-vz", "--timeout", "x", "--out", *PLAN[1:]), nothing, ExitCode.USAGE),
    (("aply", *PLAN[1:]), nothing, ExitCode.USAGE),
    (("list", "--format=json"), broken_file, ExitCode.ERROR),
    (("show", "nowhere.json", "--format", "json"), nothing, ExitCode.ERROR),
]


@pytest.mark.parametrize(("command", "prepare", "code"), CASES)
def test_every_error_is_one_json_document(
    place: Place, command: tuple[str, ...], prepare: Prepare, code: ExitCode
) -> None:
    given = prepare(place)
    report = ("--report", "report.json") if command[0] == "apply" else ()
    run = place.run(*command, *given, *report)
    assert run.code == code
    document = json.loads(run.out)
    assert_fits(document, "error")
    assert document["exit_code"] == code
    for error in document["errors"]:
        assert error["what"] in run.err
    if report:
        assert json.loads((place.folder / "report.json").read_text()) == document
