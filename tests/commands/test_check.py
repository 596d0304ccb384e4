"""`hooksync check` as a user runs it: its findings, its exit codes, and that it changes nothing."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.conftest import HOOKS, Place, Run

NO_ROLE = SandboxOptions(accounts=(Account(roles=("ROLE_SDB_READER_USER",)),))


@pytest.fixture(autouse=True)
def nothing_is_changed(place: Place) -> Iterator[None]:
    """Assert after each test that only log-ins and lists reached the service, and that its
    subscriptions are the same.
    """
    before = place.box.subscriptions("DEMO")
    yield
    assert place.box.subscriptions("DEMO") == before
    assert {(call.method, call.name) for call in place.box.calls} <= {
        ("POST", "login"),
        ("GET", "list"),
    }


def states(run: Run) -> dict[str, str]:
    """Return the state of each finding by its subject."""
    return {finding["subject"]: finding["state"] for finding in run.json["findings"]}


def found(run: Run, subject: str) -> dict[str, Any]:
    return next(each for each in run.json["findings"] if each["subject"] == subject)


def check(place: Place, *arguments: str) -> Run:
    return place.run("check", "--format", "json", *arguments)


def test_a_check_that_finds_no_problem_reports_ok_and_exits_with_0(place: Place) -> None:
    run = place.run("check")
    assert (run.code, run.err) == (0, "")
    assert (
        re.sub(r"\d+\.\d{3} s", "0.001 s", run.out)
        == f"""\
prod   {place.box.url} / DEMO

ok        log-in              username env:PRESERVICA_USERNAME, password env:PRESERVICA_PASSWORD
ok        list                0 live
ok        catalogue           receiver ready in 0.001 s

Check: 3 ok, 0 failed.
"""
    )


def test_json_holds_each_finding(place: Place) -> None:
    run = check(place)
    assert run.code == 0
    document = run.json
    assert (document["format"], document["exit_code"]) == ("hooksync.check/1", 0)
    assert document["tenancies"] == [{"name": "prod", "where": f"{place.box.url} / DEMO"}]
    catalogue = found(run, "catalogue")
    assert catalogue.pop("seconds") > 0
    assert catalogue.pop("detail").startswith("receiver ready in ")
    assert catalogue == {"tenancy": "prod", "subject": "catalogue", "state": "ok", "fix": None}


def test_a_credential_that_is_not_set_is_a_finding_of_the_log_in(place: Place) -> None:
    del place.environ["PRESERVICA_PASSWORD"]
    run = check(place)
    assert run.code == 1
    assert found(run, "log-in")["detail"] == "password env:PRESERVICA_PASSWORD is not set"
    assert states(run)["catalogue"] == "ok"


@pytest.mark.parametrize("options", [NO_ROLE], indirect=True)
def test_the_fix_for_a_user_without_a_suitable_role_names_those_roles(place: Place) -> None:
    run = check(place)
    assert run.code == 1
    assert states(run) == {"log-in": "ok", "list": "failed", "catalogue": "ok"}
    for role in ("ROLE_SDB_MANAGER_USER", "ROLE_SDB_ADMIN_USER", "ROLE_SDB_CONFIG_MANAGER_USER"):
        assert role in found(run, "list")["fix"]


def test_a_server_without_tls_is_a_failed_log_in_with_a_fix(place: Place) -> None:
    place.environ["BOX"] = place.box.url.replace("http:", "https:")
    run = check(place)
    assert run.code == 1
    assert states(run) == {"log-in": "failed", "catalogue": "ok"}
    assert "speaks https" in found(run, "log-in")["fix"]


def test_a_receiver_that_is_down_is_a_failure_whose_fix_names_probe_never(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place.environ["RECEIVER"] = f"http://127.0.0.1:{taken.getsockname()[1]}/hook"
    run = check(place)
    assert run.code == 1
    assert found(run, "catalogue")["state"] == "failed"
    assert "probe: never" in found(run, "catalogue")["fix"]


def test_a_receiver_with_probe_never_is_not_challenged(place: Place) -> None:
    place.write(HOOKS.replace("    subscriptions:", "    probe: never\n    subscriptions:"))
    run = check(place)
    assert run.code == 0
    assert states(run)["catalogue"] == "skipped"
    assert place.receiver.answers["catalogue", "challenge"] == 0


def test_a_secret_that_is_not_set_is_a_finding_and_does_not_stop_the_check(place: Place) -> None:
    del place.environ["CATALOGUE_SECRET"]
    run = check(place)
    assert run.code == 1
    assert states(run)["list"] == "ok"
    assert found(run, "catalogue")["state"] == "failed"
    assert found(run, "catalogue")["detail"] == "secret env:CATALOGUE_SECRET is not set"
    text = place.run("check").out
    assert "failed    catalogue           secret env:CATALOGUE_SECRET is not set\n" in text
    assert "\n            fix: export" in text


def test_a_weak_secret_is_a_warning_and_the_check_exits_with_0(place: Place) -> None:
    place.environ["CATALOGUE_SECRET"] = "changeme"
    place.receiver.set_secret("catalogue", "changeme")
    run = check(place)
    assert run.code == 0
    assert [each["state"] for each in run.json["findings"]] == ["ok", "ok", "warning", "ok"]
    assert "changeme" not in run.out + run.err
