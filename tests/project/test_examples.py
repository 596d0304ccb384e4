"""The examples really run: each is valid without a warning, and each is applied to a sandbox."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import PASSWORD, ROOT, USERNAME, hooksync

EXAMPLES = ROOT / "examples"
REPOSITORY = EXAMPLES / "staging-and-production"  # to be copied whole
NAMES = ["minimal", "several-tenancies"]
SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    accounts = (
        Account(tenants=("BRAMA", "BRAMA_TEST")),
        Account(tenants=("MUSEUM",), totp_seed=SEED),
    )
    traits = frozenset({"no-challenge"})
    with Sandbox(SandboxOptions(accounts, traits)) as box:
        yield box


def variables(name: str) -> set[str]:
    """Name every variable that the files of an example speak of, and those that count where they
    are silent.
    """
    text = "".join(path.read_text(encoding="utf-8") for path in (EXAMPLES / name).glob("*.yaml"))
    lines = [line.partition("#")[0] for line in text.splitlines()]
    found = re.findall(r"\$\{(\w+)|env: (\w+)", "\n".join(lines))
    return {reference or env for reference, env in found} | {
        "PRESERVICA_USERNAME",
        "PRESERVICA_PASSWORD",
    }


def environment(name: str, url: str) -> dict[str, str]:
    """Set every variable of an example: servers to the sandbox, the rest to what it expects."""
    values = {
        "SERVER": url,
        "USERNAME": USERNAME,
        "PASSWORD": PASSWORD,
        "KEY": PASSWORD,
        "SEED": SEED,
    }
    return {
        variable: next(
            (value for end, value in values.items() if variable.endswith(end)),
            f"made-up-{variable}",
        )
        for variable in variables(name)
    }


def test_there_are_no_other_examples() -> None:
    assert sorted(path.name for path in EXAMPLES.iterdir()) == sorted(
        [*NAMES, "ci", "kubernetes", "receivers", "reconcile.py", REPOSITORY.name]
    )


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_valid_without_an_environment_and_without_a_warning(name: str) -> None:
    done = hooksync(["validate", "-f", f"examples/{name}"], {})
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.name)
def test_an_example_names_its_schema_for_editors(path: Path) -> None:
    first, *_ = path.read_text(encoding="utf-8").splitlines()
    _, _, schema = first.partition("# yaml-language-server: $schema=")
    is_policy = path.name.endswith("policy.yaml") or path.parent.name == "policies"
    kind = "policy" if is_policy else "hooks"
    # a copy has its own, as its README says
    home = REPOSITORY if REPOSITORY in path.parents else ROOT / "schemas"
    assert (path.parent / schema).resolve() == home / f"{kind}.schema.json"


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_applied_and_then_matches(name: str, box: Sandbox, tmp_path: Path) -> None:
    environ = environment(name, box.url)
    state = ("--state", str(tmp_path / "hooks.state.json"))
    for expected in (2, 0):
        plan = hooksync(["plan", "-f", f"examples/{name}", "--detailed-exitcode", *state], environ)
        assert (plan.code, "warning" in plan.err, "There is no state" in plan.out) == (
            expected,
            False,
            False,
        )
        apply = hooksync(
            ["apply", "-f", f"examples/{name}", "--yes", "--no-probe", *state], environ
        )
        assert (apply.code, apply.err) == (0, "")
    held = [
        each for tenant in ("BRAMA", "BRAMA_TEST", "MUSEUM") for each in box.subscriptions(tenant)
    ]
    assert held
    assert not [each for each in held if "${" in each.url]


def test_a_vendor_is_left_alone_in_the_example_with_prefixes(box: Sandbox) -> None:
    box.seed("BRAMA", "https://vendor.example/hook", "MOVED", "a-secret-of-the-vendor")
    environ = environment("several-tenancies", box.url)
    done = hooksync(["plan", "-f", "examples/several-tenancies", "--format", "json"], environ)
    assert json.loads(done.out)["summary"] == {
        "subscribe": 8, "resubscribe": 0, "unsubscribe": 0, "keep": 0, "leave": 1,
        "secret_unknown": 0,
    }  # fmt: skip
