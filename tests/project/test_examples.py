"""The examples in NAMES run: they are valid without a warning, and they can be applied to a
sandbox. All examples name their schemas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import PASSWORD, ROOT, USERNAME, hooksync
from tests.conftest import unprobed

EXAMPLES = ROOT / "examples"
REPOSITORY = EXAMPLES / "staging-and-production"  # users copy this folder as a whole
NAMES = ["minimal", "several-tenancies"]
TENANTS = [f"T{number:02}" for number in range(1, 41)]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    accounts = (Account(tenants=("BRAMA", "BRAMA_TEST", *TENANTS)),)
    traits = frozenset({"no-challenge"})
    with Sandbox(SandboxOptions(accounts, traits)) as box:
        yield box


def environment(name: str, url: str) -> dict[str, str]:
    """Return a value for every word of an example that may be a variable. Servers and logins are
    those of the sandbox; the other values are made up.
    """
    text = "".join(path.read_text(encoding="utf-8") for path in (EXAMPLES / name).glob("*.yaml"))
    names = {*re.findall(r"\b[A-Z][A-Z_]+\b", text), "PRESERVICA_USERNAME", "PRESERVICA_PASSWORD"}
    for end in re.findall(r"\$\{TENANCY\}(\w+)", text):
        names |= {tenant.replace("T", "T_") + end for tenant in TENANTS}
    values = {"SERVER": url, "USERNAME": USERNAME, "PASSWORD": PASSWORD, "KEY": PASSWORD}
    return {each: values.get(each.rpartition("_")[2], f"made-up-{each}") for each in names}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_valid_without_an_environment_and_without_a_warning(name: str) -> None:
    done = hooksync(["validate", "-f", f"examples/{name}"], {})
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_after_an_example_was_applied_a_plan_finds_no_changes(
    name: str, box: Sandbox, tmp_path: Path
) -> None:
    environ = environment(name, box.url)
    copy = copytree(EXAMPLES / name, tmp_path / name, symlinks=True)
    for path in copy.rglob("*.yaml"):  # the receivers do not exist
        text = path.read_text(encoding="utf-8").replace(
            "\ndefaults:\n", "\ndefaults:\n  probe: never\n"
        )
        path.write_text(unprobed(text), encoding="utf-8")
    state = ["--state", str(tmp_path / "hooks.state.json")]
    if name == "several-tenancies":
        state += ["--tenancy", "t-0*"]
    for expected in (2, 0):
        plan = hooksync(["plan", "-f", str(copy), "--detailed-exitcode", *state], environ)
        assert (plan.code, "warning" in plan.err) == (expected, False), plan.err
        apply = hooksync(["apply", "-f", str(copy), "--yes", *state], environ)
        assert (apply.code, apply.err) == (0, "")
    held = [each for tenant in ("BRAMA", *TENANTS) for each in box.subscriptions(tenant)]
    assert held
    assert not [each for each in held if "${" in each.url]


def test_each_of_forty_tenancies_takes_at_most_eight_lines() -> None:
    files = [*(EXAMPLES / "several-tenancies").glob("t-*.yaml")]
    assert len(files) == len(TENANTS)
    assert max(len(path.read_text(encoding="utf-8").splitlines()) for path in files) <= 8


def test_the_example_with_several_tenancies_leaves_a_subscription_of_a_vendor_alone(
    box: Sandbox,
) -> None:
    box.seed("T07", "https://vendor.example/hook", "MOVED", "a-secret-of-the-vendor")
    environ = environment("several-tenancies", box.url)
    done = hooksync(["plan", "-f", "examples/several-tenancies", "--format", "json"], environ)
    summary = json.loads(done.out)["summary"]
    assert [summary[action] for action in ("resubscribe", "unsubscribe", "leave")] == [0, 0, 1]
