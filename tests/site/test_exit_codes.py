"""The page on the exit codes names all of them, and its script distinguishes them."""

from __future__ import annotations

import re
import subprocess

import pytest

from hooksync.core.errors import ExitCode
from tests.project.test_readme import blocks
from tests.site.cli import commands, help_of
from tests.site.parts import DOCS

PAGE = (DOCS / "messages.md").read_text(encoding="utf-8")
SECTIONS = {
    int(code): text
    for code, text in re.findall(r"^### (\d+): (.*?)(?=^###)", PAGE, re.MULTILINE | re.DOTALL)
}


def test_the_page_has_a_row_and_a_section_for_each_exit_code() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)] == list(ExitCode)
    assert list(SECTIONS) == list(ExitCode)
    for text in SECTIONS.values():
        assert "\n- Commands: " in text
        assert "\n- In a pipeline: " in text


def test_the_page_names_all_commands_that_have_the_flag_detailed_exitcode() -> None:
    telling = [" ".join(chain) for chain in commands() if "--detailed-exitcode" in help_of(*chain)]
    [line] = re.findall(r"^- Commands: (.*)$", SECTIONS[ExitCode.CHANGES_PENDING], re.MULTILINE)
    named = re.findall(r"`([a-z]+)`", line)
    assert sorted(named) == sorted(name for name in telling if name)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (ExitCode.DONE, "the tenancy matches the file"),
        (ExitCode.ERROR, "hooksync could not compare"),
        (ExitCode.CHANGES_PENDING, "the tenancy differs, or was not compared"),
        (ExitCode.REFUSED, "apply would refuse this plan"),
    ],
)
def test_the_script_tells_exit_codes_apart(code: ExitCode, told: str) -> None:
    [script] = blocks("sh", PAGE)
    ended = f"hooksync() {{ return {code:d}; }}\n"
    done = subprocess.run(
        ["sh", "-euc", ended + script], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, f"{told}\n", "")
