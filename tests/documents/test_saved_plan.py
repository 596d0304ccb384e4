"""Saved plans in a pipeline. An apply makes the plan again. If it equals the reviewed plan, it is
applied; otherwise it is refused.
"""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hooksync.api.receipt import read_saved_plan
from hooksync.core.errors import HooksyncError, Refused
from hooksync.core.signing import PlanKey
from hooksync.core.starter import find_starter
from hooksync.render.json_text import canonical
from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.command_line import run_python
from tests.conftest import HIDDEN, HOOKS, SECRET, URL_KEY, Place, Run, owning
from tests.schemas import assert_fits

KEY = "a-key-that-signs-plans-0123456789"
NEW_SECRET = "n3w-secret-of-the-catalogue-0123456"


def save(place: Place, *flags: str) -> Path:
    run = place.run("plan", "--out", "plan.json", *flags)
    assert run.code == 0, run.err
    return place.folder / "plan.json"


def alter(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a saved plan."""
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def signature_of(document: dict[str, Any], key: PlanKey) -> str:
    """Sign all of a plan but its signature."""
    rest = {name: value for name, value in document.items() if name != "signature"}
    return key.sign(b"hooksync.plan/1 signature\n", canonical(rest))


def refused_without_a_call(place: Place, *flags: str) -> Run:
    before = len(place.box.calls)
    run = place.run("apply", "plan.json", *flags)
    assert (run.code, run.out) == (3, ""), run.err
    assert len(place.box.calls) == before
    assert "fix: " in run.err
    return run


def test_a_saved_plan_equals_the_json_output_and_only_its_owner_may_read_it(place: Place) -> None:
    run = place.run("plan", "--format", "json", "--out", "plan.json")
    path = place.folder / "plan.json"
    assert path.read_text() == run.out
    assert path.stat().st_mode & 0o777 == 0o600
    assert_fits(run.json, "plan")
    assert "${RECEIVER}?code=${FN_KEY}" in run.out
    [tenancy] = run.json["tenancies"]
    assert tenancy["server"] == place.box.url


@pytest.mark.parametrize("signed", [False, True])
def test_a_saved_plan_is_applied_without_a_prompt(place: Place, signed: bool) -> None:
    if signed:
        place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    save(place)
    run = place.run("apply", "plan.json", "--format", "json")
    assert run.code == 0, run.err
    assert_fits(run.json, "plan")
    assert len(place.box.subscriptions("DEMO")) == 2
    assert place.run("plan").out.splitlines()[2].startswith("No changes.")
    for file in place.folder.iterdir():
        if file.name != "hooks.yaml":
            assert not [hidden for hidden in (*HIDDEN, KEY) if hidden in file.read_text()]


GONE = "https://gone.example/x"
BOTH = SandboxOptions(accounts=(Account(tenants=("DEMO", "OTHER")),))


def rename(place: Place) -> None:
    place.write(HOOKS.replace("catalogue:", "other:"))


def fewer(place: Place) -> None:
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[INDEXED]"))


def no_such_tenancy(place: Place) -> None:
    place.write(HOOKS.replace("prod:", "test:"))


def another_flag(place: Place) -> None:
    place.write(HOOKS + "        include_identifiers: false\n")


def another_probe(place: Place) -> None:
    place.write(HOOKS.replace("    subscriptions:", "    probe: require\n    subscriptions:"))


def another_reference(place: Place) -> None:
    place.environ["OTHER_SECRET"] = SECRET
    place.write(HOOKS.replace("{env: CATALOGUE_SECRET}", "{env: OTHER_SECRET}"))


def another_url(place: Place) -> None:
    place.environ["FN_KEY"] = "another-key-of-the-url-0123456789"


def made_by_others(place: Place) -> None:
    place.box.seed("DEMO", f"{place.environ['RECEIVER']}?code={URL_KEY}", "MOVED", SECRET)


def applied(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rename, "it does not show that it would subscribe prod/other/INDEXED"),
        (fewer, "prod: the saved plan is stale: it would no longer subscribe prod/catalogue/MOVED"),
        (
            no_such_tenancy,
            "prod: the saved plan is stale: it would no longer subscribe prod/catalogue/INDEXED",
        ),
        (
            another_flag,
            "subscribe prod/catalogue/INDEXED: include_identifiers was true, and is false",
        ),
        (another_probe, "subscribe prod/catalogue/INDEXED: probe was auto, and is require"),
        (another_reference, "secret was env:CATALOGUE_SECRET, and is env:OTHER_SECRET"),
        (another_url, "a value that plans do not show is different, for example in a URL"),
        (made_by_others, "it would no longer subscribe prod/catalogue/MOVED"),
        (applied, "it would no longer subscribe prod/catalogue/INDEXED"),
    ],
)
@pytest.mark.parametrize("options", [BOTH], indirect=True)
def test_a_plan_is_refused_if_a_new_plan_would_have_different_steps(
    place: Place, change: Callable[[Place], None], said: str
) -> None:
    save(place)
    change(place)
    before = place.changing_calls
    run = place.run("apply", "plan.json", "--format", "json")
    assert run.code == 3, run.err
    assert said in run.err
    assert "fix: create a new plan" in run.err
    assert_fits(run.json, "plan")
    steps = [step for one in run.json["tenancies"] for step in one["steps"]]
    outcomes = {step["outcome"]["result"] for step in steps}
    assert outcomes <= {"not-attempted", "unchanged"}
    assert place.changing_calls == before
    assert not [hidden for hidden in HIDDEN if hidden in run.err]


def comment(place: Place) -> None:
    text = (place.folder / "hooks.yaml").read_text()
    place.write(f"# reviewed\n{text}        description: Rebuilds the index\n")


def not_owned(place: Place) -> None:
    place.box.seed("DEMO", "https://vendor.example/new", "MOVED", SECRET)


def another_place(place: Place) -> None:
    (place.folder / "hooks.yaml").rename(place.folder / "moved.yaml")
    place.environ["HOOKSYNC_FILE"] = "moved.yaml"


@pytest.mark.parametrize("change", [comment, not_owned, another_place])
def test_a_change_that_affects_no_step_does_not_make_a_plan_stale(
    place: Place, change: Callable[[Place], None]
) -> None:
    receiver = place.environ["RECEIVER"]
    owns = f"    owns: ['{receiver}']\n    subscriptions:"
    place.write(HOOKS.replace("    subscriptions:", owns))
    save(place)
    change(place)
    run = place.run("apply", "plan.json")
    assert run.code == 0, run.err


def test_a_key_in_the_url_of_a_removal_is_part_of_the_digest(place: Place) -> None:
    place.write(owning(HOOKS))
    vendor = place.box.seed("DEMO", "https://vendor.example/x?code=one", "MOVED", SECRET)
    save(place)
    place.box.remove("DEMO", vendor)
    other = place.box.seed("DEMO", "https://vendor.example/x?code=two", "MOVED", SECRET)
    alter(
        place.folder / "plan.json",
        lambda it: [
            step["live"].update(id=other)
            for step in it["tenancies"][0]["steps"]
            if step["action"] == "unsubscribe"
        ],
    )
    run = place.run("apply", "plan.json")
    assert (run.code, place.changing_calls) == (3, [])
    assert "a value that plans do not show is different" in run.err


def test_a_signed_plan_cannot_be_applied_again_after_a_newer_change(place: Place) -> None:
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    assert place.run("apply", "--yes").code == 0
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[INDEXED]"))
    save(place)
    assert place.run("apply", "plan.json").code == 0
    place.write(HOOKS)
    assert place.run("apply", "--yes").code == 0
    before = place.changing_calls
    assert place.run("apply", "plan.json").code == 3
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[INDEXED]"))
    assert (
        place.run("apply", "plan.json").code == 3
    )  # the subscription that it removed has a different id now
    assert place.changing_calls == before


def test_a_secret_that_was_rotated_since_makes_a_plan_stale(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    save(place, "--replace", "*/INDEXED")
    before = place.changing_calls
    place.environ["CATALOGUE_SECRET"] = NEW_SECRET
    place.receiver.set_secret("catalogue", NEW_SECRET, SECRET)
    run = place.run("apply", "plan.json")
    assert run.code == 3
    assert "it does not show that it would resubscribe prod/catalogue/MOVED" in run.err
    assert place.changing_calls == before


def test_a_plan_that_was_made_without_the_secrets_is_applied_with_them(place: Place) -> None:
    secret = place.environ.pop("CATALOGUE_SECRET")
    save(place)
    place.environ["CATALOGUE_SECRET"] = secret
    run = place.run("apply", "plan.json")
    assert run.code == 0, run.err


def test_an_apply_has_the_selection_of_its_saved_plan(place: Place) -> None:
    place.box.seed("DEMO", GONE, "MOVED", SECRET)
    save(place, "--target", "*/MOVED", "--tenancy", "prod")
    assert place.run("apply", "plan.json").code == 0
    before = {one.id for one in place.box.subscriptions("DEMO")}
    assert len(before) == 2
    save(place, "--replace", "*/MOVED")
    assert place.run("apply", "plan.json").code == 0
    assert len(before - {one.id for one in place.box.subscriptions("DEMO")}) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan.json", "--tenancy", "prod"),
        ("plan.json", "--target", "*"),
        ("plan.json", "--replace", "*"),
        ("plan.json", "other.json"),
        ("--max-age", "1h"),
        ("plan.json", "--max-age", "soon"),
        ("plan.json", "--max-age", "0m"),
    ],
)
def test_arguments_that_do_not_fit_a_saved_plan_are_wrong_usage(
    place: Place, arguments: tuple[str, ...]
) -> None:
    run = place.run("apply", *arguments)
    assert (run.code, run.out) == (64, "")
    assert "fix: " in run.err


TWO = HOOKS + HOOKS.partition("tenancies:\n")[2].replace("prod:", "other:").replace("DEMO", "OTHER")


NEWER = """\
  newer:
    server: ${BOX}
    tenant: NEWER
    subscriptions: {}
"""


@pytest.mark.parametrize("options", [BOTH], indirect=True)
def test_a_tenancy_that_differs_is_refused_and_the_others_are_applied(place: Place) -> None:
    place.write(owning(TWO))
    save(place)
    gone = place.box.seed("OTHER", GONE, "MOVED", SECRET)
    run = place.run("apply", "plan.json", "--format", "json")
    assert run.code == 4, run.err
    assert (
        f"other: the saved plan is stale: it does not show that it would unsubscribe {gone}"
        in run.err
    )
    assert "prod: " not in run.err
    assert [one["conclusion"] for one in run.json["tenancies"]] == ["applied", "refused"]
    assert len(place.box.subscriptions("DEMO")) == 2
    assert [one.id for one in place.box.subscriptions("OTHER")] == [gone]


@pytest.mark.parametrize("options", [BOTH], indirect=True)
def test_a_tenancy_without_a_step_in_the_plan_is_not_part_of_its_run(place: Place) -> None:
    place.write(TWO)
    assert place.run("apply", "--yes", "--tenancy", "other").code == 0
    save(place)
    place.write(TWO.replace("tenant: OTHER", "tenant: NOBODY") + NEWER)
    run = place.run("apply", "plan.json", "--format", "json")
    assert run.code == 0, run.err
    assert [one["name"] for one in run.json["tenancies"]] == ["prod"]
    run = place.run("apply", "plan.json")
    assert run.code == 3  # it is applied already, so its steps are no longer the same


@pytest.mark.parametrize("options", [BOTH], indirect=True)
def test_a_plan_is_saved_with_what_can_be_applied_and_marks_the_rest(place: Place) -> None:
    place.write(TWO.replace("tenant: OTHER", "tenant: NOBODY"))
    run = place.run("plan", "--out", "plan.json")
    assert run.code == 1
    assert "carries out exactly this, without what is refused or not planned" in run.err
    document = json.loads((place.folder / "plan.json").read_text())
    assert [one["conclusion"] for one in document["tenancies"]] == ["changes", "error"]
    run = place.run("apply", "plan.json", "--format", "json")
    assert (run.code, [one["name"] for one in run.json["tenancies"]]) == (0, ["prod"])
    for number in range(3):
        place.box.seed("OTHER", f"{GONE}/{number}", "MOVED", SECRET)
    place.write(owning(TWO).replace("[INDEXED, MOVED]", "[INDEXED]", 1))
    run = place.run("plan", "--out", "plan.json")
    assert run.code == 3
    assert "without what is refused or not planned" in run.err
    assert place.run("apply", "plan.json").code == 0
    assert len(place.box.subscriptions("DEMO")) == 1


LOADED = """\
import sys
from hooksync.cli.main import main
main(["show", "plan.json"])
engine = {"requests", "urllib3", "hooksync.reconcile.run", "hooksync.reconcile.apply"}
print(sorted(engine & set(sys.modules)))
"""


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_show_writes_a_plan_into_a_file_in_any_format_and_through_no_link(
    place: Place, form: str
) -> None:
    assert place.run("plan", "--out", "plan.json").code == 0
    shown = place.run("show", "plan.json", "--format", form)
    kept = place.write("what nobody may change", "kept.txt")
    (place.folder / "shown").symlink_to(kept)
    written = place.run("show", "plan.json", "--format", form, "--out", "shown")
    assert (written.code, written.out) == (0, "")
    assert (place.folder / "shown").read_text() == shown.out
    assert kept.read_text() == "what nobody may change"


def test_plan_writes_its_report_also_if_it_is_refused_or_fails(place: Place) -> None:
    for policy, code in (({}, 0), ({"servers": ["other.example.org"]}, 3), ({"probe": "no"}, 1)):
        (place.folder / "report.json").unlink(missing_ok=True)
        report = ("--report", "report.json", "--policy", place.policy(**policy))
        assert place.run("plan", *report).code == code
        assert json.loads((place.folder / "report.json").read_text())["exit_code"] == code
    assert place.run("plan", "--report", "hooks.yaml").code == 64


def test_show_loads_neither_the_engine_nor_the_network(place: Place) -> None:
    save(place)
    run = run_python(["-c", LOADED], {}, place.folder)
    assert run.out.splitlines()[-1] == "[]", run.err


def fields_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from fields_of(inner, (*path, key))
    else:
        yield path


def test_a_signed_plan_with_any_field_altered_is_refused_before_any_call(place: Place) -> None:
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    signer = PlanKey(KEY.encode())
    place.box.seed("DEMO", "https://gone.example/x", "MOVED", SECRET)
    data = save(place).read_bytes()
    read_saved_plan(data, "plan.json", signer)
    for path in fields_of(json.loads(data)):
        document = json.loads(data)
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = "another"
        with pytest.raises(HooksyncError) as caught:
            read_saved_plan(json.dumps(document).encode(), "plan.json", signer)
        assert isinstance(caught.value, Refused) or path == ("format",)
    alter(place.folder / "plan.json", lambda it: it.update(state="elsewhere.json"))
    assert "somebody changed it" in refused_without_a_call(place).err


@pytest.mark.parametrize("key", ["", "short"])
def test_a_key_that_is_too_short_is_an_error_and_is_not_ignored(place: Place, key: str) -> None:
    save(place)
    place.environ["HOOKSYNC_PLAN_KEY"] = key
    for command in (("plan", "--out", "plan2.json"), ("apply", "plan.json")):
        run = place.run(*command)
        assert (run.code, run.out) == (64, "")
        assert "HOOKSYNC_PLAN_KEY" in run.err
    assert not (place.folder / "plan2.json").exists()


@pytest.mark.slow
def test_an_interrupted_plan_saves_nothing(place: Place) -> None:
    place.box.faults.add("stall-3@list")
    with place.popen("plan", "--out", "plan.json") as process:
        while not place.box.calls or place.box.calls[-1].name != "list":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    assert not (place.folder / "plan.json").exists()


def test_a_plan_that_is_missing_or_too_large_is_an_error(place: Place) -> None:
    assert place.run("apply", "plan.json").code == 1
    with (place.folder / "plan.json").open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    assert "larger than" in place.run("apply", "plan.json").err


GITHUB = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "org/hooks",
    "GITHUB_RUN_ID": "17",
    "GITHUB_ACTOR": "octocat",
}


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, None),
        (GITHUB, "https://github.com/org/hooks/actions/runs/17"),
        (
            {"CI_JOB_URL": "https://u:p@gitlab.example/j/1?t=x#y"},
            "https://gitlab.example/j/1",
        ),
        (
            {"BUILD_URL": "http://ci.example:8080/job/1/"},
            "http://ci.example:8080/job/1/",
        ),
        ({"BUILD_URL": "javascript:alert(1)"}, None),
        ({"BUILD_URL": "https://ci.example/\x1b[2J"}, None),
    ],
)
def test_a_report_names_the_ci_run_that_made_it(environ: dict[str, str], url: str | None) -> None:
    origin = find_starter(environ)
    assert origin.url == url
    assert origin.host == socket.gethostname()


def report(place: Place) -> str:
    text = (place.folder / "report.json").read_text()
    assert_fits(json.loads(text), "plan")
    assert not [hidden for hidden in HIDDEN if hidden in text]
    assert (place.folder / "report.json").stat().st_mode & 0o777 == 0o600
    return text


def test_the_report_of_a_success_equals_the_json_output(place: Place) -> None:
    place.environ |= GITHUB
    run = place.run("apply", "--yes", "--report", "report.json", "--format", "json")
    assert run.code == 0
    assert report(place) == run.out
    assert run.json["started_by"]["url"] == "https://github.com/org/hooks/actions/runs/17"
    assert run.json["started_by"]["user"] == "octocat"


@pytest.mark.slow
def test_the_report_of_an_interrupted_run_is_written(place: Place) -> None:
    place.box.faults.add("stall-2@subscribe:*")
    save(place)
    flags = ("--parallelism", "1", "--report", "report.json")
    with place.popen("apply", "plan.json", *flags) as process:
        while place.box.calls[-1].name != "subscribe":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 130
    [tenancy] = json.loads(report(place))["tenancies"]
    assert "not-attempted" in {step["outcome"]["result"] for step in tenancy["steps"]}


@pytest.mark.parametrize(("flags", "code"), [(("--yes",), 4), ((), 1)])
def test_a_report_that_cannot_be_written_is_an_error_and_the_result_is_shown(
    place: Place, flags: tuple[str, ...], code: int
) -> None:
    run = place.run("apply", *flags, "--report", "nowhere/report.json", "--format", "json")
    assert run.code == run.json["exit_code"] == code
    assert_fits(run.json, "plan")
    assert "nowhere/report.json" in run.err
    assert "fix: " in run.err


def test_a_plan_with_every_kind_of_step_does_exactly_what_it_shows(place: Place) -> None:
    owns = f"    owns: [{place.environ['RECEIVER'].rpartition('/')[0]}, 'https://ours.example']\n"
    place.write(HOOKS.replace("    subscriptions:", owns + "    subscriptions:"))
    url = f"{place.environ['RECEIVER']}?code={URL_KEY}"
    flagged = place.box.seed("DEMO", url, "MOVED", SECRET, include_identifiers=False)
    double = place.box.seed("DEMO", url, "MOVED", SECRET, include_identifiers=False)
    gone = place.box.seed("DEMO", "https://ours.example/gone", "MOVED", SECRET)
    vendor = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    kept = place.box.seed("DEMO", url, "FULL_TEXT_INDEXED", SECRET)
    save(place, "--replace", "*/MOVED", "--adopt", "*/INDEXED")
    run = place.run("apply", "plan.json", "--format", "json")
    assert run.code == 0, run.err
    assert_fits(run.json, "plan")
    [tenancy] = run.json["tenancies"]
    actions = [step["action"] for step in tenancy["steps"]]
    assert actions == ["resubscribe", "unsubscribe", "unsubscribe", "adopt", "leave"]
    left = {one.id for one in place.box.subscriptions("DEMO")}
    assert {vendor, kept} < left
    assert not left & {flagged, double, gone}


def test_a_forged_plan_does_nothing_that_the_hooks_file_does_not_require(
    place: Place,
) -> None:
    receiver = place.environ["RECEIVER"]
    vendor = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    owns = f"    owns: ['{receiver}']\n    subscriptions:"
    place.write(HOOKS.replace("    subscriptions:", owns))

    def change(document: dict[str, Any]) -> None:
        step = document["tenancies"][0]["steps"][-1]
        assert step["action"] == "leave"
        step["action"] = "unsubscribe"

    alter(save(place), change)
    run = place.run("apply", "plan.json")
    assert run.code == 3
    assert f"it would no longer unsubscribe {vendor}" in run.err
    assert place.changing_calls == []
