"""Jobs that each select a part of the tenancies with --tenancy together do the work of one job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Receiver, Sandbox
from tests.conftest import SECRET, Place, Run, make_environ

NAMES = [f"archive-{number:02}" for number in range(32)]
TRIGGERS = ("FULL_TEXT_INDEXED", "MOVED")  # on the wire
PARTS = ("*0", "*1", "*[2-5]", "*[6-9]")
NEW_SECRET = "n3w-secret-of-the-catalogue-0123456"


# --- one part of two


TWO = """\
version: 1
tenancies:
  prod: &one
    server: ${BOX}
    tenant: DEMO
    subscriptions:
      catalogue: {url: "${RECEIVER}?code=${FN_KEY}", triggers: [INDEXED, MOVED], secret: {env: CATALOGUE_SECRET}}
  museum: {<<: *one, tenant: MUSEUM}
"""
BOTH_TENANTS = SandboxOptions(accounts=(Account(tenants=("DEMO", "MUSEUM")),))


@pytest.fixture
def two(place: Place) -> Place:
    place.write(TWO)
    return place


@pytest.mark.parametrize("options", [BOTH_TENANTS], indirect=True)
def test_validate_check_and_apply_use_only_the_selected_tenancies(two: Place) -> None:
    validated = two.run("validate", "--tenancy", "p*")
    assert validated.out == "hooks.yaml: valid: 1 tenancy, 2 subscriptions.\n"
    checked = two.run("check", "--tenancy", "m*", "--format", "json")
    assert [tenancy["name"] for tenancy in checked.json["tenancies"]] == ["museum"]
    assert two.run("apply", "--yes", "--tenancy", "m*").code == 0
    assert [len(two.box.subscriptions(tenant)) for tenant in ("DEMO", "MUSEUM")] == [0, 2]


@pytest.mark.parametrize("options", [BOTH_TENANTS], indirect=True)
def test_a_saved_plan_of_selected_tenancies_leaves_the_others_alone(two: Place) -> None:
    assert two.run("plan", "--tenancy", "p*", "--out", "plan.json").code == 0
    document = json.loads((two.folder / "plan.json").read_text(encoding="utf-8"))
    assert [tenancy["name"] for tenancy in document["tenancies"]] == ["prod"]
    assert two.run("apply", "plan.json").code == 0
    assert [len(two.box.subscriptions(tenant)) for tenant in ("DEMO", "MUSEUM")] == [2, 0]


def test_two_names_of_one_tenancy_are_an_error_for_every_selection(place: Place) -> None:
    settings = "{server: h.example, tenant: DEMO, subscriptions: {}}"
    place.write(f"version: 1\ntenancies:\n  prod: {settings}\n  museum: {settings}\n")
    for part in ("p*", "m*"):
        run = place.run("plan", "--tenancy", part)
        assert (run.code, run.out) == (1, "")
        assert 'hooks.yaml:4:3: tenancy "museum" has the server and tenant of "prod"' in run.err


# --- several processes, one sandbox, one state


@dataclass(frozen=True)
class Fleet:
    """Many tenancies on one sandbox, and one hooks file that declares them all."""

    place: Place

    @property
    def state(self) -> Any:
        return json.loads((self.place.folder / "hooks.state.json").read_text(encoding="utf-8"))

    def run_all(self, *arguments: str) -> list[Run]:
        """Run one process for each part at the same time. Applies wait for the run lock in turn."""
        more = ("--lock-timeout", "120") if "apply" in arguments else ()
        with ExitStack() as running:
            processes = [
                running.enter_context(self.place.popen(*arguments, *more, "--tenancy", part))
                for part in PARTS
            ]
            ended = [(process, *process.communicate()) for process in processes]
        return [Run(process.returncode, out, err) for process, out, err in ended]

    def assert_as_declared(self, secret: str = SECRET) -> None:
        for name in NAMES:
            held = self.place.box.subscriptions(name.upper())
            wanted = [
                (trigger, f"{self.place.receiver.url('catalogue')}?of={name}", secret)
                for trigger in TRIGGERS
            ]
            assert sorted((one.trigger, one.url, one.secret) for one in held) == wanted

    def assert_state_is_whole(self) -> None:
        """Assert that the state has one entry for each live subscription, no others, and no
        attempt.
        """
        live = {
            (name, one.id) for name in NAMES for one in self.place.box.subscriptions(name.upper())
        }
        assert {(entry["tenant"], entry["id"]) for entry in self.state["entries"]} == live
        assert len(self.state["entries"]) == len(live)
        assert self.state["attempts"] == []


def tenancy_lines(name: str) -> str:
    url = f"${{RECEIVER}}?of={name}"
    return (
        f"  {name}:\n    server: ${{BOX}}\n    tenant: {name.upper()}\n    subscriptions:\n     "
        f" catalogue: {{url: '{url}', triggers: [INDEXED, MOVED], secret: {{env:"
        " CATALOGUE_SECRET}}\n"
    )


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    account = Account(tenants=tuple(name.upper() for name in NAMES))
    with (
        Sandbox(SandboxOptions(accounts=(account,))) as box,
        Receiver({"catalogue": [SECRET, NEW_SECRET]}) as receiver,
    ):
        place = Place(
            tmp_path, box, receiver, make_environ(BOX=box.url, RECEIVER=receiver.url("catalogue"))
        )
        place.write("version: 1\ntenancies:\n" + "".join(map(tenancy_lines, NAMES)))
        yield Fleet(place)


@pytest.mark.slow
def test_a_run_forgets_vanished_subscriptions_only_in_its_selected_tenancies(fleet: Fleet) -> None:
    place = fleet.place
    assert [run.code for run in fleet.run_all("apply", "--yes")] == [0] * len(PARTS)
    for name in NAMES:
        place.box.remove(name.upper(), place.box.subscriptions(name.upper())[0].id)
    before = {(entry["tenant"], entry["id"]) for entry in fleet.state["entries"]}
    assert place.run("apply", "--yes", "--tenancy", PARTS[1]).code == 0
    after = {(entry["tenant"], entry["id"]) for entry in fleet.state["entries"]}
    lost = {tenancy for tenancy, _ in before - after}
    assert lost == {name for name in NAMES if name.endswith("1")}
    assert [run.code for run in fleet.run_all("apply", "--yes")] == [0] * len(PARTS)
    fleet.assert_as_declared()
    fleet.assert_state_is_whole()
