"""The recipes on the page on the JSON print what the page shows. jq runs them on real output."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.backends import find_program
from tests.boxes import Sandbox
from tests.command_line import LOG_IN, PASSWORD, USERNAME, hooksync
from tests.project.test_docs import with_numbered_ids
from tests.project.test_readme import blocks
from tests.site.parts import DOCS

PAGE = (DOCS / "json.md").read_text(encoding="utf-8")
SECRET = "a-shared-secret-of-tests"
CATALOGUE = "https://catalogue.example.net/preservica"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    account = Account(username=USERNAME, password=PASSWORD, tenants=("BRAMA",))
    with Sandbox(SandboxOptions(traits=frozenset({"no-challenge"}), accounts=(account,))) as box:
        box.seed("BRAMA", CATALOGUE, "FULL_TEXT_INDEXED", SECRET)
        box.seed("BRAMA", "https://old.example.net/hook?code=1", "INGEST_FAILED", SECRET)
        yield box


def said(command: str, box: Sandbox, folder: Path) -> str:
    """Run a command of the page, and return its output. The output of hooksync is written to a
    file.
    """
    match shlex.split(command):
        case ["hooksync", *arguments, ">", name]:
            if arguments[0] == "apply":
                box.faults.add("status-500@subscribe:1")
            environ = {**LOG_IN, "PRESERVICA_SERVER": box.url, "HOOK_SECRET": SECRET}
            environ["HOOKSYNC_LIST_WAIT"] = "0"  # the list of the sandbox does not lag
            (folder / name).write_text(hooksync(arguments, environ, folder).out, encoding="utf-8")
            return ""
        case ["jq", *arguments]:
            program = find_program("HOOKSYNC_TEST_JQ", "jq", "install jq")
            done = subprocess.run(
                [program, *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=True
            )
            return done.stdout
        case _:
            raise ValueError(command)


@pytest.mark.slow
def test_the_recipes_print_what_the_page_shows(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").write_text(blocks("yaml", PAGE)[0])
    shown = blocks("console", PAGE)
    commands = re.findall(r"^\$ (.*)$", "".join(shown), re.MULTILINE)
    played = "".join(f"$ {command}\n{said(command, sandbox, tmp_path)}" for command in commands)
    assert with_numbered_ids(played) == with_numbered_ids("".join(shown))
