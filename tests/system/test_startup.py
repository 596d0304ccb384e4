"""Tests of the libraries that a command loads: each delays the start, and most runs need few."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import run_python
from tests.conftest import SECRET, Place
from tests.lanes import sampled

SEED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
FILE = """\
version: 1
tenancies:
  archive:
    server: ${BOX}
    tenant: DEMO
    subscriptions:
      catalogue: {url: "${RECEIVER}", trigger: INDEXED, secret: {env: HOOK_SECRET}}
"""
LOADED = """\
import sys
before = set(sys.modules)
from hooksync.cli.main import main
code = main(sys.argv[1:])
sys.stderr.write("loaded: " + " ".join(sorted(set(sys.modules) - before)))
sys.exit(code)
"""

OURS = frozenset(
    ["argparse", "yaml", "jsonschema", "requests", "deepdiff", "filelock", "pyotp", "shtab"]
)
BROUGHT = {  # modules that a library may load, depending on its version and on other packages
    "requests": {"importlib.metadata"},
    "jsonschema": {
        "attr",
        "dataclasses",
        "importlib.metadata",
        "referencing",
        "rpds",
    },
    "deepdiff": {
        "asyncio",
        "dataclasses",
        "importlib.metadata",
        "numpy",
        "pandas",
        "polars",
    },
    "filelock": {"asyncio", "dataclasses"},  # before 4.2
    "shtab": {"importlib.metadata"},
}
REMOTE = {"hooksync.state.remote", "hooksync.state.git", "hooksync.state.cloud", "obstore"}
WATCHED = OURS.union({"dataclasses", "hooksync.sandbox.server"}, REMOTE, *BROUGHT.values())


@dataclass(frozen=True)
class Command:
    """A command line, and the watched modules that it loads, except for those in `BROUGHT`."""

    line: str
    loads: str
    code: int = 0

    def __str__(self) -> str:
        return self.line


ALONE = (
    Command("--version", ""),
    Command("--help", "argparse"),
    Command("plan --help", "argparse"),
    Command("sandbox --help", "argparse"),
    Command("completion bash", "argparse shtab"),
    Command("secret generate", "argparse"),
    Command("schema", "argparse"),
    Command("validate", "argparse yaml"),
    Command("validate -f wrong.yaml", "argparse yaml jsonschema", code=1),
    Command("init -f new.yaml", "argparse"),
)
AS_DECLARED = (
    Command("plan", "argparse yaml requests"),
    Command("plan --format json", "argparse yaml requests"),
    Command("plan --format markdown", "argparse yaml requests"),
    Command("check", "argparse yaml requests"),
    Command("init --file new.yaml --from-live", "argparse yaml requests"),
    Command("apply", "argparse yaml requests filelock"),
)
NOT_THERE = (
    Command("plan", "argparse yaml requests"),
    Command("apply --yes", "argparse yaml requests filelock"),
)
ANOTHER_FLAG = (
    Command("plan", "argparse yaml requests deepdiff"),
    Command("plan --format json", "argparse yaml requests deepdiff"),
)


@pytest.fixture
def stage(place: Place) -> Place:
    place.write(FILE)
    place.write(FILE + "unknown: 1\n", "wrong.yaml")
    place.environ |= {
        "PRESERVICA_SERVER": place.box.url,
        "PRESERVICA_TENANT": "DEMO",
        "HOOK_SECRET": SECRET,
    }
    return place


def watched(command: Command, place: Place) -> set[str]:
    """Run a command, and return the watched modules that it loaded."""
    done = run_python(["-c", LOADED, *command.line.split()], place.environ, place.folder)
    assert done.code == command.code, done.err
    return set(done.err.rpartition("loaded: ")[2].split()) & WATCHED


def assert_loads(command: Command, stage: Place) -> None:
    expected = set(command.loads.split())
    brought = set().union(*(BROUGHT.get(name, ()) for name in expected))
    loaded = watched(command, stage)
    assert (loaded - brought, expected - loaded) == (expected, set())


@pytest.mark.parametrize("command", sampled(ALONE, 2), ids=str)
def test_a_command_that_needs_no_tenancy_loads_no_more_than_it_uses(
    command: Command, stage: Place
) -> None:
    assert_loads(command, stage)


@pytest.mark.parametrize("command", sampled(AS_DECLARED, 3), ids=str)
def test_the_library_for_differences_is_not_loaded_if_all_is_as_declared(
    command: Command, stage: Place
) -> None:
    assert stage.run("apply", "--yes").code == 0
    assert_loads(command, stage)


@pytest.mark.parametrize("command", sampled(NOT_THERE, 2), ids=str)
def test_the_library_for_differences_is_not_loaded_for_new_subscriptions(
    command: Command, stage: Place
) -> None:
    assert_loads(command, stage)


@pytest.mark.parametrize("command", ANOTHER_FLAG, ids=str)
def test_the_library_for_differences_is_loaded_if_a_live_subscription_differs(
    command: Command, stage: Place
) -> None:
    assert stage.run("apply", "--yes").code == 0
    stage.write(FILE.replace("INDEXED", "INDEXED, include_identifiers: false"))
    assert_loads(command, stage)


def test_a_second_factor_loads_the_library_for_it(stage: Place) -> None:
    with Sandbox(SandboxOptions(accounts=(Account(totp_seed=SEED),))) as box:
        command = Command("plan", "argparse yaml requests pyotp")
        stage.environ |= {"BOX": box.url, "PRESERVICA_2FA_TOKEN": SEED}
        assert_loads(command, stage)
