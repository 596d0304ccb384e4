"""`hooksync check` as a user runs it: a plan whose receivers are all challenged; it changes nothing."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from hooksync.core.model import ReceiverResult
from hooksync.core.record import replace
from hooksync.reconcile.plan import NEW, Step
from hooksync.render.check import check_lines
from hooksync.render.text import plain
from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.conftest import HOOKS, SECRET, Place
from tests.makers import declared
from tests.reconcile.planning import run_of
from tests.report.test_text import a_plan
from tests.schemas import assert_fits

NO_ROLE = SandboxOptions(accounts=(Account(roles=("ROLE_SDB_READER_USER",)),))


@pytest.fixture(autouse=True)
def nothing_is_changed(place: Place) -> Iterator[None]:
    """Assert that a check sends only log-ins and lists to the service."""
    yield
    if place.box.calls:
        last = [call.name for call in place.box.calls][-2:]
        assert {*last} <= {"login", "list"}


def checked(place: Place, code: int) -> str:
    run = place.run("check")
    assert run.code == code, run.err
    said = "".join(line for line in run.err.splitlines(keepends=True) if ": log-in: " not in line)
    return re.sub(r"\d+\.\d{3} s", "0.001 s", run.out) + said


def test_a_check_reports_the_tenancy_its_receivers_and_how_each_secret_is_known(
    place: Place,
) -> None:
    head = f"prod   {place.box.url} / DEMO   "
    ready = " live, 2 declared\n\nok        catalogue           ready in 0.001 s"
    counts = "Receivers: 1 ok, 0 failed.\n"
    assert checked(place, 0) == f"{head}0{ready}\n\n{counts}"
    assert place.run("apply", "--yes").code == 0
    assert checked(place, 0) == f"{head}2{ready}, secret same\n\n{counts}"
    (place.folder / "hooks.state.json").unlink()
    assert "secret unknown" in checked(place, 3)
    assert place.run("apply", "--yes", "--adopt", "*/*").code == 0
    known = "As adopted: 2 secrets, which only an event can prove.\n"
    assert checked(place, 0).endswith(f"s, secret same, as adopted\n\n{counts}{known}")


def test_the_json_of_a_check_is_the_plan_with_the_answer_of_each_receiver(place: Place) -> None:
    document = place.run("check", "--format", "json").json
    assert_fits(document, "plan")
    assert (document["format"], document["exit_code"]) == ("hooksync.check/1", 0)
    [tenancy] = document["tenancies"]
    assert {step["receiver"]["state"] for step in tenancy["steps"]} == {"ready"}


def test_a_missing_credential_or_tls_is_an_error_with_a_fix(place: Place) -> None:
    password = place.environ.pop("PRESERVICA_PASSWORD")
    shown = checked(place, 1)
    assert "hooks.yaml:3:3: not set: password env:PRESERVICA_PASSWORD\n" in shown
    place.environ |= {
        "PRESERVICA_PASSWORD": password,
        "BOX": place.box.url.replace("http:", "https:"),
    }
    assert "speaks http or https" in checked(place, 1)


@pytest.mark.parametrize("options", [NO_ROLE], indirect=True)
def test_the_fix_for_a_user_without_a_suitable_role_names_those_roles(place: Place) -> None:
    shown = checked(place, 1)
    for role in ("ROLE_SDB_MANAGER_USER", "ROLE_SDB_ADMIN_USER", "ROLE_SDB_CONFIG_MANAGER_USER"):
        assert role in shown


def test_a_receiver_that_is_down_fails_and_one_with_probe_never_is_not_challenged(
    place: Place,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place.environ["RECEIVER"] = f"http://127.0.0.1:{taken.getsockname()[1]}/hook"
    assert "declare `probe: never`" in checked(place, 1)
    place.write(HOOKS.replace("    subscriptions:", "    probe: never\n    subscriptions:"))
    assert "skipped   catalogue           not challenged" in checked(place, 0)
    assert place.receiver.answers["catalogue", "challenge"] == 0


def test_receivers_that_nothing_declares_are_challenged_only_if_asked(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/hook?code={SECRET}"
    for url in (dead, place.receiver.url("vendor")):
        place.box.seed("DEMO", url, "MOVED", SECRET)
    place.receiver.set_secret("vendor", SECRET)
    assert "not declared" not in checked(place, 0)
    document = place.run("check", "--live", "--format", "json").json
    assert_fits(document, "plan")
    assert {"alive", "unreachable"} < {
        step["receiver"]["state"] for step in document["tenancies"][0]["steps"]
    }
    shown = place.run("check", "--live").out
    assert "/vendor: it answers challenges\n" in shown
    assert "/hook?code=***: " in shown
    assert "Receivers: 2 ok, 0 failed, 1 with a warning.\n" in shown
    for flags in (["--policy", place.policy()], ["--url", dead, "--secret", "env:X"]):
        assert place.run("check", "--live", *flags).code == 64


def test_a_secret_that_is_not_set_fails_and_a_weak_one_is_a_warning(place: Place) -> None:
    secret = place.environ.pop("CATALOGUE_SECRET")
    shown = checked(place, 1)
    assert "failed    catalogue           secret env:CATALOGUE_SECRET not set\n" in shown
    assert "fix: export each variable, or set it" in shown
    place.environ["CATALOGUE_SECRET"] = "changeme"
    place.receiver.set_secret("catalogue", "changeme")
    shown = checked(place, 0)
    assert ("warning: " in shown, "changeme" in shown, secret in shown) == (True, False, False)


@pytest.mark.parametrize(("seconds", "doubt"), [(3.0, ""), (3.1, ", but it takes more than 3 s")])
def test_a_slow_answer_is_a_warning_because_nobody_knows_the_limit(
    seconds: float, doubt: str
) -> None:
    answer = ReceiverResult("ready", "", "", seconds)
    step = Step("subscribe", declared(), reasons=(NEW,), receiver=answer)
    shown = plain(check_lines(run_of(replace(a_plan(), steps=(step,)))))
    state = "warning" if doubt else "ok"
    assert re.search(rf"^{state} .* {seconds:.3f} s{doubt}", shown, re.MULTILINE)
