"""Tests of the libraries that a command loads: each delays the start, and most runs need few."""

from __future__ import annotations

import pytest

from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import run_python
from tests.conftest import SECRET, Place
from tests.lanes import sampled
from tests.sandbox_faults import Account

pytestmark = pytest.mark.usefixtures("real_scrypt")

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
REMOTE = {"hooksync.state.remote", "hooksync.state.git", "hooksync.state.cloud", "obstore"}
WATCHED = OURS.union({"hooksync.sandbox.server"}, REMOTE)


READS = "argparse yaml requests"
# what is live | the command | the watched modules that it loads
LOADS = [
    ("nothing", "--version", ""),
    ("nothing", "plan --help", READS),  # a command's module has its flags
    ("nothing", "secret generate", "argparse"),
    ("nothing", "schema", "argparse"),
    ("nothing", "validate", "argparse yaml"),
    ("nothing", "validate -f wrong.yaml", "argparse yaml jsonschema"),
    ("nothing", "init -f new.yaml", "argparse yaml"),
    ("nothing", "plan", READS),
    ("nothing", "apply --yes", f"{READS} filelock"),
    ("as declared", "plan", READS),
    ("as declared", "plan --format json", READS),
    ("as declared", "plan --format markdown", READS),
    ("as declared", "check", READS),
    ("as declared", "init --file new.yaml --from-live", READS),
    ("as declared", "apply", f"{READS} filelock"),
    ("a different flag", "plan", f"{READS} deepdiff"),
    ("a different flag", "plan --format json", f"{READS} deepdiff"),
]


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


def assert_loads(line: str, loads: str, place: Place) -> None:
    """Run a command, and assert that it loads exactly these of the watched modules."""
    done = run_python(["-c", LOADED, *line.split()], place.environ, place.folder)
    assert done.code == ("wrong" in line), done.err
    expected = set(loads.split())
    assert WATCHED.intersection(done.err.rpartition("loaded: ")[2].split()) == expected


@pytest.mark.parametrize(("live", "line", "loads"), sampled(LOADS, 3))
def test_a_command_loads_no_more_than_it_uses(
    live: str, line: str, loads: str, stage: Place
) -> None:
    if live != "nothing":
        assert stage.run("apply", "--yes").code == 0
    if live == "a different flag":
        stage.write(FILE.replace("INDEXED", "INDEXED, include_identifiers: false"))
    assert_loads(line, loads, stage)


def test_a_second_factor_loads_the_library_for_it(stage: Place) -> None:
    with Sandbox(SandboxOptions(accounts=(Account(totp_seed=SEED),))) as box:
        stage.environ |= {"BOX": box.url, "PRESERVICA_2FA_TOKEN": SEED}
        assert_loads("plan", f"{READS} pyotp", stage)
