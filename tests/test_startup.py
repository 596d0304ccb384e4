"""What a command loads: libraries cost start-up, and most runs need few of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hooksync.sandbox.server import Sandbox, SandboxOptions
from tests.command_line import LOG_IN, run_python

FILE = """\
version: 1
tenancies:
  archive:
    server: eu.preservica.com
    subscriptions:
      catalogue: {url: "https://fn.example.net/hook", trigger: INDEXED, secret: {env: HOOK_SECRET}}
"""
LOADED = """\
import sys
before = set(sys.modules)
from hooksync.cli import main
code = main(sys.argv[1:])
sys.stderr.write("loaded: " + " ".join(sorted({name.split(".")[0] for name in set(sys.modules) - before})))
sys.exit(code)
"""


def loaded(arguments: Sequence[str], environ: dict[str, str], folder: Path) -> set[str]:
    """Run a command; name the top-level modules that it loaded."""
    done = run_python(["-c", LOADED, *arguments], environ, folder)
    assert done.code == 0, done.err
    return set(done.err.rpartition("loaded: ")[2].split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hooks.yaml").write_text(FILE)
    return tmp_path


def test_the_version_loads_nothing(folder: Path) -> None:
    names = loaded(["--version"], {}, folder)
    assert not names & {"yaml", "jsonschema", "requests", "argparse", "dataclasses", "rich", "deepdiff", "pyotp"}


def test_validating_a_good_file_loads_no_library_but_yaml(folder: Path) -> None:
    names = loaded(["validate"], {}, folder)
    assert "yaml" in names
    assert not names & {"jsonschema", "requests", "deepdiff", "rich", "pyotp"}


def test_help_loads_no_library(folder: Path) -> None:
    assert not loaded(["plan", "--help"], {}, folder) & {"yaml", "jsonschema", "requests", "deepdiff", "rich"}


def test_a_plan_without_a_differing_pair_loads_no_library_for_differences(folder: Path) -> None:
    with Sandbox(SandboxOptions()) as box:
        box.seed("DEMO", "https://fn.example.net/hook", "FULL_TEXT_INDEXED", "a-shared-secret-of-tests")
        (folder / "hooks.yaml").write_text(FILE.replace("eu.preservica.com", box.url))
        names = loaded(["plan"], {**LOG_IN, "HOOK_SECRET": "a-shared-secret-of-tests"}, folder)
    assert "requests" in names
    assert not names & {"deepdiff", "asyncio", "numpy", "rich", "jsonschema", "pyotp"}
