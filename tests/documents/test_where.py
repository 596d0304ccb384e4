"""Where a plan is for: every output names the real server and tenant, and a saved plan is carried out nowhere else."""

from __future__ import annotations

import re

import pytest

from hooksync.core.model import Server
from tests.conftest import HOOKS, Place


@pytest.mark.parametrize("command", ["plan", "apply"])
@pytest.mark.parametrize("form", ["text", "markdown", "json"])
@pytest.mark.parametrize("tenant", ["tenant: DEMO", "tenant: ${TENANT}", "x-nothing: 1"])
def test_plan_and_apply_name_the_real_server_and_tenant(place: Place, command: str, form: str, tenant: str) -> None:
    place.write(HOOKS.replace("    tenant: DEMO\n", f"    {tenant}\n" if "x-" not in tenant else ""))
    place.environ["TENANT"] = "DEMO"
    run = place.run(command, "--format", form, *(["--yes"] if command == "apply" else []))
    assert run.code == 0, run.err
    if form == "json":
        [found] = run.json["tenancies"]
        assert (found["server"], found["tenant"]) == (place.box.url, "DEMO")
        assert found["server_declared"] == "${BOX}"
    else:
        shown = re.sub("&#([0-9]+);", lambda code: chr(int(code[1])), run.out)
        assert f"{place.box.url} / DEMO" in shown
        assert "${BOX}" not in run.out


def test_check_names_the_tenant_that_the_log_in_told(place: Place) -> None:
    place.write(HOOKS.replace("    tenant: DEMO\n", ""))
    assert place.run("check").out.startswith(f"prod   {place.box.url} / DEMO\n")
    [found] = place.run("check", "--format", "json").json["tenancies"]
    assert (found["server"], found["tenant"]) == (place.box.url, "DEMO")


def test_a_log_in_that_fails_still_says_where(place: Place) -> None:
    place.environ["PRESERVICA_PASSWORD"] = "not-the-password-of-it"
    run = place.run("plan")
    assert run.out.startswith(f"prod   {place.box.url} / DEMO   not read, 2 declared\n")


@pytest.mark.parametrize(
    ("base_url", "shown"),
    [
        ("https://eu.preservica.com", "eu.preservica.com"),
        ("https://eu.preservica.com:8443", "eu.preservica.com:8443"),
        ("http://127.0.0.1:8700", "http://127.0.0.1:8700"),
        ("http://localhost", "http://localhost"),
        ("https://[::1]:8700", "[::1]:8700"),
    ],
)
def test_a_server_is_shown_with_what_is_not_usual(base_url: str, shown: str) -> None:
    assert Server("${HOST}", base_url).shown == shown
