"""Saved plans, run as a pipeline runs them: reviewed on one machine, carried out on another, refused when in doubt."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hooksync.api.saved_plan import read_saved_plan
from hooksync.core.errors import HooksyncError, Problem, Refused
from hooksync.core.schema import SchemaKind, read_schema
from hooksync.core.signing import PlanKey, plan_key
from hooksync.output.json_text import digest
from hooksync.output.plan_json import signature_of
from hooksync.reconcile.context import find_origin
from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from tests.conftest import HIDDEN, HOOKS, SECRET, URL_KEY, Place, Run

KEY = "a-key-that-signs-plans-0123456789"
NEW_SECRET = "n3w-secret-of-the-catalogue-0123456"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def elsewhere(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Another machine: another folder, no hooks file, the same environment."""
    return replace(place, folder=tmp_path_factory.mktemp("elsewhere"), environ=dict(place.environ))


def save(place: Place, *flags: str) -> Path:
    run = place.run("plan", "--out", "plan.json", *flags)
    assert run.code == 0, run.err
    return place.folder / "plan.json"


def carry(place: Place, elsewhere: Place) -> None:
    shutil.copy(place.folder / "plan.json", elsewhere.folder / "plan.json")


def alter(path: Path, change: Callable[[dict[str, Any]], None], *, seal: bool = True) -> None:
    """Change a plan; sealed again, as one who knows how would."""
    document = json.loads(path.read_text())
    change(document)
    if seal:
        document["digest"] = digest({name: value for name, value in document.items() if name != "digest"})
    path.write_text(json.dumps(document))


def changing_calls(place: Place) -> list[str]:
    return [call.name for call in place.box.calls if call.name in ("subscribe", "unsubscribe")]


def refused_without_a_call(place: Place, *flags: str) -> Run:
    before = len(place.box.calls)
    run = place.run("apply", "plan.json", *flags)
    assert (run.code, run.out) == (3, ""), run.err
    assert len(place.box.calls) == before
    assert "fix: " in run.err
    return run


def assert_valid(text: str, kind: SchemaKind) -> None:
    schema = read_schema(kind)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    document = json.loads(text)
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(document)
    assert document["digest"] == digest({name: value for name, value in document.items() if name != "digest"})


def test_a_saved_plan_is_what_the_json_format_prints_and_for_its_owner_alone(place: Place) -> None:
    run = place.run("plan", "--format", "json", "--out", "plan.json")
    path = place.folder / "plan.json"
    assert path.read_text() == run.out
    assert path.stat().st_mode & 0o777 == 0o600
    assert_valid(run.out, "plan")
    assert "${RECEIVER}?code=${FN_KEY}" in run.out
    [tenancy] = run.json["tenancies"]
    assert (tenancy["server"], tenancy["server_declared"]) == (place.box.url, "${BOX}")


@pytest.mark.parametrize("signed", [False, True])
def test_a_saved_plan_is_applied_where_there_is_no_hooks_file(place: Place, elsewhere: Place, signed: bool) -> None:
    if signed:
        place.environ["HOOKSYNC_PLAN_KEY"] = elsewhere.environ["HOOKSYNC_PLAN_KEY"] = KEY
    save(place)
    assert_valid((place.folder / "plan.json").read_text(), "plan")
    carry(place, elsewhere)
    run = elsewhere.run("apply", "plan.json", "--format", "json")
    assert run.code == 0, run.err
    assert_valid(run.out, "report")
    assert len(place.box.subscriptions("DEMO")) == 2
    assert (elsewhere.folder / "hooks.state.json").exists()
    assert elsewhere.run("apply", "plan.json").code == 3
    shutil.copy(elsewhere.folder / "hooks.state.json", place.folder / "hooks.state.json")
    assert place.run("plan").out.startswith("No changes.")
    for file in (*elsewhere.folder.iterdir(), place.folder / "plan.json"):
        assert not [hidden for hidden in (*HIDDEN, KEY) if hidden in file.read_text()]


def test_what_describes_a_subscription_is_told_by_the_apply_of_a_saved_plan_too(place: Place) -> None:
    place.write(HOOKS + "        description: Rebuilds the index\n        owner: Digital Archive\n")
    save(place)
    (place.folder / "hooks.yaml").unlink()
    run = place.run("apply", "plan.json", "--format", "json")
    assert {(step["description"], step["owner"]) for step in run.json["tenancies"][0]["steps"]} == {
        ("Rebuilds the index", "Digital Archive")
    }


def test_a_plan_applied_twice_is_stale_the_second_time(place: Place) -> None:
    save(place)
    assert place.run("apply", "plan.json").code == 0
    before = changing_calls(place)
    again = place.run("apply", "plan.json", "--format", "json")
    assert again.code == 3
    assert_valid(again.out, "report")
    assert "has changed since the plan was made: added " in again.err
    assert {step["outcome"] for step in again.json["tenancies"][0]["steps"]} == {"not-attempted"}
    assert changing_calls(place) == before


def test_a_plan_without_changes_can_be_applied_again_and_again(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    save(place)
    for _ in range(2):
        assert place.run("apply", "plan.json").code == 0


@pytest.mark.parametrize("how", ["added", "gone", "changed"])
def test_what_moved_is_said_and_nothing_is_done(place: Place, how: str) -> None:
    old = place.box.seed("DEMO", "https://gone.example/x?key=" + URL_KEY, "MOVED", SECRET)
    save(place, "--allow-mass-unsubscribe")
    if how == "added":
        moved = place.box.seed("DEMO", "https://new.example/x", "MOVED", SECRET)
    elif how == "gone":
        moved = old
        place.box.remove("DEMO", old)
    else:
        moved = old
        alter(place.folder / "plan.json", lambda it: stale(it["tenancies"][0]))
    run = place.run("apply", "plan.json")
    assert run.code == 3
    assert f"{how} {moved}{' (include_identifiers)' if how == 'changed' else ''}" in run.err
    assert changing_calls(place) == []


def stale(tenancy: dict[str, Any]) -> None:
    """As if a flag had been another one then: the service has no way to change one and keep the id."""
    [row] = tenancy["live"]
    row["include_identifiers"] = False
    tenancy["live_digest"] = digest([[row["id"], row["url"], row["trigger"], "False"]])


def fields_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from fields_of(inner, (*path, key))
    else:
        yield path


def test_a_plan_with_any_field_altered_is_refused_before_any_call(place: Place) -> None:
    place.box.seed("DEMO", "https://gone.example/x", "MOVED", SECRET)
    data = save(place).read_bytes()
    read_saved_plan(data, "plan.json", None)
    for path in fields_of(json.loads(data)):
        document = json.loads(data)
        holder = document
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = "another"
        with pytest.raises(HooksyncError) as caught:
            read_saved_plan(json.dumps(document).encode(), "plan.json", None)
        assert isinstance(caught.value, Refused) or path == ("format",)
    alter(place.folder / "plan.json", lambda it: it.update(state="elsewhere.json"), seal=False)
    assert "altered" in refused_without_a_call(place).err


def test_with_a_key_only_a_plan_signed_with_it_is_applied(place: Place) -> None:
    save(place)
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    assert "is not signed" in refused_without_a_call(place).err
    path = save(place)
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY[::-1]
    assert "signature" in refused_without_a_call(place).err
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    text = path.read_text()
    alter(path, lambda it: it.update(state="elsewhere.json"))
    assert "signature" in refused_without_a_call(place).err
    path.write_text(text)
    alter(path, lambda it: it.update(signature=["wrong"]))
    assert "signature" in refused_without_a_call(place).err
    path.write_text(text)
    del place.environ["HOOKSYNC_PLAN_KEY"]
    unchecked = place.run("apply", "plan.json")
    assert unchecked.code == 0
    assert "its signature is not checked" in unchecked.err


@pytest.mark.parametrize("key", ["", "short"])
def test_a_key_that_is_too_short_is_an_error_and_never_no_key(place: Place, key: str) -> None:
    save(place)
    place.environ["HOOKSYNC_PLAN_KEY"] = key
    for command in (("plan", "--out", "plan2.json"), ("apply", "plan.json")):
        run = place.run(*command)
        assert (run.code, run.out) == (1, "")
        assert "HOOKSYNC_PLAN_KEY" in run.err
    assert not (place.folder / "plan2.json").exists()


@pytest.mark.parametrize("version", ["0.0.1", "99.0"])
def test_the_plan_of_an_older_or_newer_hooksync_is_read(place: Place, version: str) -> None:
    def change(document: dict[str, Any]) -> None:
        document["hooksync_version"] = version
        for tenancy in document["tenancies"]:
            tenancy["news"] = {"a": [1, None, 0.5]}

    alter(save(place), change)
    assert place.run("apply", "plan.json").code == 0
    assert len(place.box.subscriptions("DEMO")) == 2


@pytest.mark.parametrize("form", ["hooksync.plan/2", "hooksync.report/1", None, 1])
def test_another_format_is_an_error(place: Place, form: object) -> None:
    alter(save(place), lambda it: it.update(format=form))
    run = place.run("apply", "plan.json")
    assert (run.code, run.out) == (1, "")
    assert "format" in run.err
    assert changing_calls(place) == []


@pytest.mark.parametrize(
    ("age", "limit", "is_refused"),
    [
        (timedelta(minutes=29), "30m", False),
        (timedelta(minutes=31), "30m", True),
        (timedelta(days=6), "7d", False),
        (timedelta(days=8), "7d", True),
        (timedelta(minutes=-4), "24h", False),
        (timedelta(minutes=-6), "24h", True),
        (timedelta(days=9999), None, False),
    ],
)
def test_an_old_plan_is_refused_where_an_age_is_demanded(
    place: Place, age: timedelta, limit: str | None, is_refused: bool
) -> None:
    made = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    alter(save(place), lambda it: it.update(created_at=made))
    flags = ("--max-age", limit) if limit else ()
    if is_refused:
        refused_without_a_call(place, *flags)
    else:
        assert place.run("apply", "plan.json", *flags).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan.json", "-f", "hooks.yaml"),
        ("plan.json", "--tenancy", "prod"),
        ("plan.json", "--target", "*"),
        ("plan.json", "--replace", "*"),
        ("plan.json", "--no-prune"),
        ("plan.json", "other.json"),
        ("--max-age", "1h"),
        ("plan.json", "--max-age", "soon"),
        ("plan.json", "--max-age", "0m"),
    ],
)
def test_flags_that_choose_what_to_plan_cannot_stand_next_to_a_plan(place: Place, arguments: tuple[str, ...]) -> None:
    run = place.run("apply", *arguments)
    assert (run.code, run.out) == (64, "")
    assert "--help" in run.err


def test_a_plan_with_every_kind_of_step_does_just_what_it_says(place: Place, elsewhere: Place) -> None:
    owns = f"    owns: [{place.environ['RECEIVER'].rpartition('/')[0]}, 'https://ours.example']\n"
    place.write(HOOKS.replace("    subscriptions:", owns + "    subscriptions:"))
    url = f"{place.environ['RECEIVER']}?code={URL_KEY}"
    flagged = place.box.seed("DEMO", url, "MOVED", SECRET, include_identifiers=False)
    double = place.box.seed("DEMO", url, "MOVED", SECRET, include_identifiers=False)
    gone = place.box.seed("DEMO", "https://ours.example/gone", "MOVED", SECRET)
    vendor = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    kept = place.box.seed("DEMO", url, "FULL_TEXT_INDEXED", SECRET)
    save(place)
    carry(place, elsewhere)
    run = elsewhere.run("apply", "plan.json", "--format", "json")
    assert run.code == 0, run.err
    assert_valid(run.out, "report")
    [tenancy] = run.json["tenancies"]
    assert [step["action"] for step in tenancy["steps"]] == [
        "resubscribe",
        "unsubscribe",
        "unsubscribe",
        "keep",
        "leave",
    ]
    left = {one.id for one in place.box.subscriptions("DEMO")}
    assert {vendor, kept} < left
    assert not left & {flagged, double, gone}


def test_a_rotation_is_saved_and_carried_out_with_its_state(place: Place, elsewhere: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    for each in (place, elsewhere):
        each.environ["CATALOGUE_SECRET"] = NEW_SECRET
    place.receiver.set_secret("catalogue", NEW_SECRET, SECRET)
    save(place)
    carry(place, elsewhere)
    shutil.copy(place.folder / "hooks.state.json", elsewhere.folder)
    run = elsewhere.run("apply", "plan.json")
    assert run.code == 0, run.err
    assert {one.secret for one in place.box.subscriptions("DEMO")} == {NEW_SECRET}
    shutil.copy(elsewhere.folder / "hooks.state.json", place.folder)
    plan = place.run("plan", "--format", "json")
    assert {step["secret"]["state"] for step in plan.json["tenancies"][0]["steps"]} == {"same"}


def test_a_rotation_is_carried_out_without_a_state_too(place: Place, elsewhere: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    save(place, "--replace", "*")
    carry(place, elsewhere)
    before = {one.id for one in place.box.subscriptions("DEMO")}
    assert elsewhere.run("apply", "plan.json", "--no-state").code == 0
    assert not before & {one.id for one in place.box.subscriptions("DEMO")}
    assert not (elsewhere.folder / "hooks.state.json").exists()


def test_a_plan_that_keeps_a_secret_which_has_changed_since_is_refused(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    save(place, "--replace", "*/INDEXED")
    before = changing_calls(place)
    place.environ["CATALOGUE_SECRET"] = NEW_SECRET
    run = place.run("apply", "plan.json")
    assert run.code == 3
    assert "the plan keeps subscriptions whose secrets differ in this environment: prod/catalogue/MOVED" in run.err
    assert changing_calls(place) == before


def test_the_state_of_a_plan_can_be_another(place: Place, elsewhere: Place) -> None:
    save(place)
    carry(place, elsewhere)
    assert elsewhere.run("apply", "plan.json", "--state", "other.state.json").code == 0
    assert (elsewhere.folder / "other.state.json").exists()
    assert not (elsewhere.folder / "hooks.state.json").exists()


def test_a_target_and_no_prune_hold_for_the_verification_too(place: Place) -> None:
    place.box.seed("DEMO", "https://gone.example/x", "MOVED", SECRET)
    save(place, "--target", "*/MOVED")
    assert place.run("apply", "plan.json").code == 0
    save(place, "--no-prune")
    assert place.run("apply", "plan.json").code == 0
    assert len(place.box.subscriptions("DEMO")) == 3


@pytest.mark.parametrize("allowed", ["", "plan", "apply"])
def test_the_limit_holds_unless_the_plan_or_the_flag_lifts_it(place: Place, allowed: str) -> None:
    for n in range(3):
        place.box.seed("DEMO", f"https://gone.example/{n}", "MOVED", SECRET)
    flag = ["--allow-mass-unsubscribe"]
    path = save(place, *flag)  # without it, nothing is saved
    if allowed != "plan":
        alter(path, lambda it: it["options"].update(allow_mass_unsubscribe=False))
    run = place.run("apply", "plan.json", *(flag if allowed == "apply" else []))
    assert run.code == (0 if allowed else 3)
    assert ("limits.unsubscribe" in run.err) == (not allowed)
    assert (changing_calls(place) == []) == (not allowed)


TWO = HOOKS + HOOKS.partition("tenancies:\n")[2].replace("prod:", "other:").replace("DEMO", "OTHER")


@pytest.mark.parametrize("options", [SandboxOptions(accounts=(Account(tenants=("DEMO", "OTHER")),))], indirect=True)
def test_a_stale_tenancy_does_not_stop_the_other(place: Place) -> None:
    place.write(TWO)
    save(place)
    place.box.seed("OTHER", "https://new.example/x", "MOVED", SECRET)
    run = place.run("apply", "plan.json", "--format", "json")
    assert run.code == 4
    assert len(place.box.subscriptions("DEMO")) == 2
    assert len(place.box.subscriptions("OTHER")) == 1
    assert "other: what is live has changed" in run.err


def test_nothing_is_saved_of_what_could_not_be_read(place: Place) -> None:
    place.box.faults.add("status-500@list:*")
    assert place.run("plan", "--out", "plan.json").code == 1
    assert not (place.folder / "plan.json").exists()
    printed = place.run("plan", "--format", "json")
    (place.folder / "plan.json").write_text(printed.out)
    assert place.run("apply", "plan.json").code == 1


@pytest.mark.slow
def test_an_interrupted_plan_saves_nothing(place: Place) -> None:
    place.box.faults.add("stall-3@list")
    with place.popen("plan", "--out", "plan.json") as process:
        while not place.box.calls or place.box.calls[-1].name != "list":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert not (place.folder / "plan.json").exists()


def test_a_plan_that_cannot_be_written_is_an_error(place: Place) -> None:
    run = place.run("plan", "--out", "nowhere/plan.json")
    assert run.code == 1
    assert "nowhere/plan.json" in run.err


def test_a_relative_file_of_a_secret_starts_at_the_current_folder(place: Place) -> None:
    (place.folder / "deep").mkdir()
    (place.folder / "deep" / "secret.txt").write_text(SECRET)
    place.write(HOOKS.replace("{env: CATALOGUE_SECRET}", "{file: secret.txt}"), "deep/hooks.yaml")
    run = place.run("plan", "-f", "deep/hooks.yaml", "--out", "plan.json", "--format", "json")
    [ref, _] = [step["secret"]["ref"] for step in run.json["tenancies"][0]["steps"]]
    assert ref == {"file": "deep/secret.txt"}
    assert place.run("apply", "plan.json").code == 0


def set_server(text: str) -> Callable[[dict[str, Any]], None]:
    return lambda it: it["tenancies"][0].update(server_declared=text)


def set_step(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda it: it["tenancies"][0]["steps"][0].update(fields)


@pytest.mark.parametrize(
    "change",
    [
        set_server("http://evil.example"),
        set_server("https://user@evil.example"),
        set_server("https://evil.example/path"),
        set_step(url="ftp://evil.example"),
        set_step(url="https://user@evil.example/x"),
        set_step(url="https://fn.example.net/${"),
        set_step(url="https://fn.example.net/${NOT_SET}"),
        set_step(name="x/../y"),
        set_step(address="prod/other/INDEXED"),
        set_step(action="keep"),
        set_step(secret={"ref": {"literal": "x"}, "state": "same"}),
        set_step(reasons=["\x1b[2J"]),
        lambda it: it["tenancies"][0].update(owns=["https://elsewhere.example"]),
        lambda it: it["tenancies"][0].update(owns=[]),
        lambda it: it["tenancies"].append(it["tenancies"][0]),
        lambda it: it["tenancies"][0]["steps"].append(it["tenancies"][0]["steps"][0]),
        lambda it: it["tenancies"][0].update(limit={"percent": -1, "number": None}),
        lambda it: it.update(created_at="yesterday"),
    ],
)
def test_the_rules_of_hooks_files_hold_for_a_plan_that_somebody_wrote(
    place: Place, change: Callable[[dict[str, Any]], None]
) -> None:
    alter(save(place), change)
    before = len(place.box.calls)
    run = place.run("apply", "plan.json")
    assert (run.code, run.out) == (1, "")
    assert "fix: " in run.err
    assert "\x1b" not in run.err
    assert len(place.box.calls) == before


def test_a_plan_never_removes_what_is_not_ours(place: Place) -> None:
    place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    receiver = place.environ["RECEIVER"]
    place.write(HOOKS.replace("    subscriptions:", f"    owns: ['{receiver}']\n    subscriptions:"))

    def change(document: dict[str, Any]) -> None:
        step = document["tenancies"][0]["steps"][-1]
        assert step["action"] == "leave"
        step["action"] = "unsubscribe"

    alter(save(place), change)
    run = place.run("apply", "plan.json")
    assert run.code == 3
    assert "outside `owns`" in run.err
    assert changing_calls(place) == []


def test_a_step_about_an_unknown_id_is_refused(place: Place) -> None:
    place.box.seed("DEMO", "https://gone.example/x", "MOVED", SECRET)
    alter(save(place), lambda it: it["tenancies"][0]["steps"][-1].update(id="f" * 32))
    run = place.run("apply", "plan.json")
    assert run.code == 1
    assert "not about what was live" in run.err
    assert changing_calls(place) == []


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": NaN}', b"9" * 9999]
)
def test_what_is_no_plan_is_an_error(place: Place, data: bytes) -> None:
    (place.folder / "plan.json").write_bytes(data)
    run = place.run("apply", "plan.json")
    assert (run.code, run.out) == (1, "")
    assert "plan.json" in run.err
    assert "fix: " in run.err


def test_a_plan_that_is_missing_or_too_large_is_an_error(place: Place) -> None:
    assert place.run("apply", "plan.json").code == 1
    with (place.folder / "plan.json").open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    assert "larger than" in place.run("apply", "plan.json").err


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda v: st.lists(v, max_size=2)
)


def a_plan() -> dict[str, Any]:
    """A plan with a step of each kind, as `plan --out` writes it."""
    ref = {"env": "HOOK_SECRET"}
    receiver = {"state": "not-checked", "detail": None}
    common = {"reasons": ["why"], "changes": [], "receiver": receiver, "include_identifiers": True, "trigger": "MOVED"}

    def step(action: str, number: int) -> dict[str, Any]:
        name = f"n{number}"
        named = {"name": name, "address": f"prod/{name}/MOVED", "secret": {"ref": ref, "state": "unknown"}}
        unnamed = {"name": None, "address": None, "secret": None}
        is_named = action in ("subscribe", "resubscribe", "keep")
        identifier = None if action == "subscribe" else f"{number:032x}"
        place = f"hooks.yaml:{number + 1}:7"
        url = f"https://fn.example.net/{number}"
        return {**common, **(named if is_named else unnamed)} | {
            "action": action, "id": identifier, "place": place, "url": url,
            "replaces_url": None, "description": None, "owner": None,
        }  # fmt: skip

    actions = ("subscribe", "resubscribe", "unsubscribe", "keep", "leave")
    steps = [step(action, n) for n, action in enumerate(actions)]
    live = [{"id": s["id"], "url": s["url"], "trigger": "MOVED", "include_identifiers": None} for s in steps if s["id"]]
    refs = {"username": {"env": "USER"}, "password": ref, "totp": ref, "method": "password"}
    urls = {step["address"]: "hmac-sha256:" + "0" * 64 for step in steps if step["address"]}
    binding = {"server": "https://eu.preservica.com", "tenant": None, "urls": urls}
    tenancy = {
        "name": "prod", "server": "eu.preservica.com", "tenant": None, "allow_http": False, "credentials": refs,
        "server_declared": "${HOST}", "tenant_declared": None, "binding": binding,
        "live_digest": "sha256:" + "0" * 64, "live": live, "owns": "all", "limit": {"percent": 50, "number": None},
        "replacement": "create-first", "probe": "auto", "steps": steps, "error": None, "place": "hooks.yaml:3:5",
        "live_count": 4, "declared_count": 3, "summary": dict.fromkeys((*actions, "secret_unknown"), 1),
        "prune": True, "unknown_secret": "warn",
    }  # fmt: skip
    return {
        "format": "hooksync.plan/1", "created_at": "2026-05-31T00:00:00Z", "state": None, "tenancies": [tenancy],
        "hooksync_version": "1.0", "summary": dict.fromkeys((*actions, "secret_unknown"), 1), "state_missing": False,
        "state_serial": None, "sources": "hooks.yaml", "undeclared": [],
        "options": {"prune": True, "replace": [], "targeted": False, "allow_mass_unsubscribe": False},
        "refusals": [], "warnings": [], "id": "0" * 32, "commit": None, "expires_at": None,
    }  # fmt: skip


PATHS = list(fields_of(a_plan()))


def put(*path: Any) -> Callable[[Any], None]:
    """Put the last of the arguments where the others lead; in a step: where the first one leads."""
    *steps, name, value = path

    def change(document: Any) -> None:
        for step in steps:
            document = document[step]
        document[name] = value

    return change


def in_step(number: int, *path: Any) -> Callable[[Any], None]:
    return put("tenancies", 0, "steps", number, *path)


ONE = "tenancies[0]"
STEPS = [f"{ONE}.steps[{number}]" for number in range(5)]
LINE = "must be one line of text"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda it: it.pop("state"), "the plan: state is missing"),
        (put("state", ""), f"the plan: state {LINE}, or null"),
        (put("state", "a\x1b[2J"), f"the plan: state {LINE}, or null"),
        (put("tenancies", {}), "the plan: tenancies must be a list"),
        (put("tenancies", 0, 1), f"{ONE} must be an object"),
        (put("tenancies", 0, "name", "x/y"), f"{ONE}: name must be a name of letters, digits, - and _"),
        (put("tenancies", 0, "name", "x\n"), f"{ONE}: name must be a name of letters, digits, - and _"),
        (put("tenancies", 0, "server", "\u202e"), f"{ONE}: server {LINE}"),
        (put("tenancies", 0, "server", "a\U000e0041"), f"{ONE}: server {LINE}"),
        (put("tenancies", 0, "server", "a\ud800"), "holds half of a character"),
        (put("tenancies", [{}] * 10_001), "the plan: tenancies must not have more than 10,000 items"),
        (put("tenancies", 0, "steps", [{}] * 250_001), f"{ONE}: steps must not have more than 250,000 items"),
        (put("tenancies", 0, "live", [{}] * 250_001), f"{ONE}: live must not have more than 250,000 items"),
        (put("tenancies", 0, "live", 0, "id", "x" * 16_385), f"{ONE}.live[0]: id must not have more than 16,384 char"),
        (put("tenancies", 0, "name", "x" * 129), f"{ONE}: name must not have more than 128 characters"),
        (put("tenancies", 0, "server", "x" * 16_385), f"{ONE}: server must not have more than 16,384 characters"),
        (put("tenancies", 0, "credentials", "totp", "env", "A" * 257), f"{ONE}.credentials.totp: env must not have"),
        (put("warnings", ["x" * 65_537]), "warnings[0] must not have more than 65,536 characters"),
        (put("tenancies", 0, "tenant", 5), f"{ONE}: tenant must be text or null"),
        (put("tenancies", 0, "allow_http", 1), f"{ONE}: allow_http must be true or false"),
        (put("tenancies", 0, "credentials", "totp", {}), f"{ONE}.credentials: totp is not as it must be (Where"),
        (put("tenancies", 0, "credentials", "totp", "env", "A-B"),
         f"{ONE}.credentials.totp: env is not the name of an environment variable"),
        (put("tenancies", 0, "credentials", "totp", "file", "a"), f"{ONE}.credentials: totp is not as it must be"),
        (put("tenancies", 0, "live_digest", "sha256:"), f"{ONE}: live_digest must be sha256: and 64 digits"),
        (put("tenancies", 0, "place", "hooks.yaml"), f"{ONE}: place must be a place: file:line:column"),
        (in_step(1, "place", "hooks.yaml:0:1"), f"{STEPS[1]}: place must be a place: file:line:column"),
        (put("tenancies", 0, "live_digest", None), f"{ONE} could not be read when the plan was made"),
        (put("tenancies", 0, "error", "401"), f"{ONE} could not be read when the plan was made"),
        (put("tenancies", 0, "limit", "number", 5), f"{ONE}: limit is not as it must be (How many"),
        (put("tenancies", 0, "limit", "percent", None), f"{ONE}: limit is not as it must be (How many"),
        (put("tenancies", 0, "limit", "percent", 101), f"{ONE}.limit: percent must be from 0 to 100"),
        (put("tenancies", 0, "owns", "some"), f"{ONE}: owns must be all"),
        (put("tenancies", 0, "owns", []), f"{ONE}: owns must not be empty"),
        (put("tenancies", 0, "owns", ["https://a b"]), f"{ONE}: a prefix of owns "),
        (put("tenancies", 0, "live", 0, "id", 7), f"{ONE}.live[0]: id must be text"),
        (in_step(0, "action", "remove"), f"{STEPS[0]}: action must be subscribe, resubscribe, "),
        (in_step(0, "id", "x"), f"{STEPS[0]}: id must be null"),
        (in_step(1, "id", None), f"{STEPS[1]}: id must be text"),
        (in_step(1, "reasons", []), f"{STEPS[1]}: reasons must not be empty"),
        (in_step(2, "reasons", ["a\u2028b"]), f"{STEPS[2]}.reasons[0] {LINE}"),
        (in_step(3, "name", None), f"{STEPS[3]}: name must be text"),
        (in_step(3, "secret", None), f"{STEPS[3]}: secret must be an object"),
        (in_step(3, "trigger", "A-B"), f"{STEPS[3]}: trigger must be the name of a trigger"),
        (in_step(3, "include_identifiers", None), f"{STEPS[3]}: include_identifiers must be true or false"),
        (in_step(3, "url", ""), f"{STEPS[3]}: url {LINE}"),
        (in_step(3, "url", "https://${"), f"{STEPS[3]}: url has "),
        (in_step(3, "address", "prod/other/MOVED"), f"{STEPS[3]}: address does not fit name and trigger"),
        (in_step(3, "changes", [{"field": "f", "live": 1, "declared": True}]),
         f"{STEPS[3]}.changes[0]: live must be true or false"),
        (in_step(4, "id", "1".zfill(32)), f"{ONE}: a subscription is in more than one step"),
        (in_step(2, "address", "prod/n0/MOVED"), f"{ONE}: a duplicate has the address of no other step"),
        (put("created_at", "2026-13-01T00:00:00Z"), "the plan: created_at is not a date and time"),
        (put("created_at", "2026-05-31"), "the plan: created_at must be a date and time"),
        (put("expires_at", "2026-13-01T00:00:00Z"), "the plan: expires_at is not a date and time"),
        (put("expires_at", 5), "the plan: expires_at must be text or null"),
        (put("id", "0" * 31), "the plan: id must be 32 digits of 0-9 and a-f"),
        (put("commit", "main"), "the plan: commit must be a commit, 40 or 64 digits"),
        (lambda it: it["tenancies"][0].pop("binding"), f"{ONE}: binding is missing"),
        (put("tenancies", 0, "binding", None), f"{ONE}: binding must be an object"),
        (put("tenancies", 0, "binding", []), f"{ONE}: binding must be an object"),
        (put("tenancies", 0, "binding", "server", 5), f"{ONE}.binding: server must be text"),
        (put("tenancies", 0, "binding", "server", "https://a.example"), f"{ONE}: server and tenant are not those of"),
        (put("tenancies", 0, "binding", "tenant", "OTHER"), f"{ONE}: server and tenant are not those of"),
        (put("tenancies", 0, "binding", "tenant", "a\nb"), f"{ONE}.binding: tenant {LINE}, or null"),
        (put("tenancies", 0, "binding", "urls", {}), f"{ONE}: the binding is not about the URLs of the steps"),
        (put("tenancies", 0, "binding", "urls", []), f"{ONE}.binding: urls must be an object"),
        (put("tenancies", 0, "binding", "urls", "prod/n0/MOVED", "x"), f'{ONE}.binding.urls["prod/n0/MOVED"] must'),
        (put("tenancies", 0, "server", "a.example"), f"{ONE}: server and tenant are not those of the binding"),
        (put("tenancies", 0, "server_declared", "https://${"), f"{ONE}: server_declared has "),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_by_its_place_and_never_quoted(change: Callable[[Any], object], said: str) -> None:
    document = json.loads(json.dumps(a_plan()))
    change(document)
    document["digest"] = digest(document)
    [problem] = problems_of(json.dumps(document).encode())
    assert problem.what.startswith(f"plan.json: {said}")
    assert problem.fix == "create it again with `hooksync plan --out`"


def test_fields_of_a_later_version_are_ignored_wherever_they_are() -> None:
    document = a_plan()
    [tenancy] = document["tenancies"]
    for each in (document, tenancy, tenancy["limit"], tenancy["credentials"], *tenancy["steps"], *tenancy["live"]):
        each["added_later"] = {"anything": [1.5, None]}
    document["digest"] = digest(document)
    assert problems_of(json.dumps(document).encode()) == ()


@pytest.mark.slow
def test_the_first_error_of_a_huge_plan_is_found_quickly_and_in_little_memory() -> None:
    document = a_plan()
    document["tenancies"][0]["owns"] = [["x"]] * 10**6
    document["digest"] = digest(document)
    data = json.dumps(document).encode()
    begun = time.process_time()
    [problem] = problems_of(data)
    assert problem.what == "plan.json: tenancies[0].owns[0] must be text"
    assert time.process_time() - begun < 10


@given(path=st.sampled_from(PATHS), cut=st.integers(0, 6), value=VALUES)
@example(path=PATHS[0], cut=0, value="hooksync.plan/1")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.slow
def test_whatever_stands_in_a_sealed_plan_is_read_or_refused_in_words(
    path: tuple[Any, ...], cut: int, value: Any
) -> None:
    document = a_plan()
    path = path[: max(1, len(path) - cut)]
    holder: Any = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    document["digest"] = digest(document)
    problems = problems_of(json.dumps(document).encode())
    assert all(problem.what and problem.fix for problem in problems)
    assert "".join(map(str, problems)).replace("\n", "").isprintable()


def problems_of(data: bytes) -> tuple[Problem, ...]:
    """Read a plan; anything but an error of ours comes through."""
    try:
        read_saved_plan(data, "plan.json", None)
    except HooksyncError as error:
        return error.problems
    return ()


def test_the_plan_that_is_altered_here_can_be_read_as_it_is() -> None:
    document = a_plan()
    document["digest"] = digest(document)
    assert problems_of(json.dumps(document).encode()) == ()


@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused_in_words(data: bytes) -> None:
    with pytest.raises(HooksyncError):
        read_saved_plan(data, "plan.json", None)


def test_a_signature_hangs_on_all_but_itself_and_the_digest() -> None:
    key = plan_key(KEY)
    assert key == PlanKey(KEY.encode())
    assert KEY not in repr(key)
    assert signature_of({"a": 1}, key) == signature_of({"a": 1, "digest": "x", "signature": "y"}, key)
    assert signature_of({"a": 1}, key) != signature_of({"a": 2}, key)
    assert plan_key(None) is None


GITHUB = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "org/hooks",
    "GITHUB_RUN_ID": "17",
    "GITHUB_ACTOR": "octocat",
}


@pytest.mark.parametrize(
    ("environ", "ci", "url"),
    [
        ({}, None, None),
        (GITHUB, "github", "https://github.com/org/hooks/actions/runs/17"),
        (
            {"GITLAB_CI": "true", "CI_JOB_URL": "https://u:p@gitlab.example/j/1?t=x#y"},
            "gitlab",
            "https://gitlab.example/j/1",
        ),
        ({"BUILD_URL": "http://ci.example:8080/job/1/"}, "jenkins", "http://ci.example:8080/job/1/"),
        ({"BUILD_URL": "javascript:alert(1)"}, "jenkins", None),
        ({"BUILD_URL": "https://ci.example/\x1b[2J"}, "jenkins", None),
    ],
)
def test_a_report_says_which_ci_run_it_is_of(environ: dict[str, str], ci: str | None, url: str | None) -> None:
    origin = find_origin(environ)
    assert (origin.ci, origin.url) == (ci, url)
    assert origin.host == socket.gethostname()


def report(place: Place) -> str:
    text = (place.folder / "report.json").read_text()
    assert_valid(text, "report")
    assert not [hidden for hidden in HIDDEN if hidden in text]
    assert (place.folder / "report.json").stat().st_mode & 0o777 == 0o600
    return text


def test_the_report_of_a_success_is_what_the_json_format_prints(place: Place) -> None:
    place.environ |= GITHUB
    run = place.run("apply", "--yes", "--report", "report.json", "--format", "json")
    assert run.code == 0
    assert report(place) == run.out
    assert run.json["run"]["url"] == "https://github.com/org/hooks/actions/runs/17"
    assert run.json["run"]["user"] == "octocat"


def test_the_report_of_a_failure_is_written(place: Place) -> None:
    place.box.faults.add("status-422@subscribe:*")
    run = place.run("apply", "--yes", "--report", "report.json")
    assert run.code == 1
    [tenancy] = json.loads(report(place))["tenancies"]
    assert {step["outcome"] for step in tenancy["steps"]} == {"failed"}


def test_the_report_of_a_refusal_is_written(place: Place) -> None:
    assert place.run("apply", "--report", "report.json").code == 3
    assert "not confirmed" in report(place)


@pytest.mark.slow
def test_the_report_of_an_interrupted_run_is_written(place: Place) -> None:
    place.box.faults.add("stall-2@subscribe:*")
    save(place)
    flags = ("--parallelism", "1", "--report", "report.json")
    with place.popen("apply", "plan.json", *flags) as process:
        while place.box.calls[-1].name != "subscribe":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    [tenancy] = json.loads(report(place))["tenancies"]
    assert "not-attempted" in {step["outcome"] for step in tenancy["steps"]}


@pytest.mark.parametrize(("flags", "code"), [(("--yes",), 4), ((), 1)])
def test_a_report_that_cannot_be_written_is_an_error_and_the_result_is_shown(
    place: Place, flags: tuple[str, ...], code: int
) -> None:
    run = place.run("apply", *flags, "--report", "nowhere/report.json", "--format", "json")
    assert run.code == code
    assert_valid(run.out, "report")
    assert "nowhere/report.json" in run.err
    assert "fix: " in run.err
