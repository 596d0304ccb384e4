"""Completion: bash completes lines with its script, and each shell that is installed can read its
own script.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from hooksync.cli.commands import make_parser
from hooksync.cli.completion import all_actions, completion_script
from tests.backends import missing
from tests.command_line import ROOT, hooksync
from tests.lanes import sampled

SHELLS = ("bash", "zsh", "fish")
BASH = """
{script}
COMP_WORDS=({words}) COMP_CWORD=$(({count} - 1))
_hooksync
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
CASES = [
    ("hooksync pl", {"plan"}),
    ("hooksync plan --pr", {"--probe"}),
    ("hooksync plan --format ", {"text", "json", "markdown", "html"}),
    ("hooksync plan --tenancy plan --format j", {"json"}),
    ("hooksync check --format ", {"text", "json"}),
    ("hooksync apply -f hoo", {"hooks.yaml", "hoo ks.yaml"}),
    ("hooksync apply hooks", {"hooks.yaml"}),
    ("hooksync apply --timeout ", set()),
    ("hooksync secret g", {"generate"}),
    ("hooksync state mo", {"move"}),
    ("hooksync state show --st", {"--state"}),
    ("hooksync state push hooks", {"hooks.yaml"}),
    ("hooksync completion z", {"zsh"}),
    ("hooksync plan --format = ma", {"markdown"}),
    ("hooksync nonsense --f", set()),
]
# names of values that no list can contain, or that only Preservica has
FREE = {
    *("ADDRESS", "DURATION", "GLOB", "HEX", "HOST", "ID", "N", "NAME", "NAME=ENV", "TIME"),
    *("NEW", "OLD", "REF", "S", "SECONDS", "SPEC", "URL", "[URL-PREFIX ...]"),
}


@pytest.mark.parametrize(("line", "expected"), sampled(CASES, 4))
def test_bash_offers_exactly_what_can_follow_on_a_line(
    line: str, expected: set[str], tmp_path: Path
) -> None:
    (tmp_path / "hooks.yaml").touch()
    (tmp_path / "hoo ks.yaml").touch()
    words = line.split(" ")
    script = completion_script(make_parser(), "bash")
    text = BASH.format(script=script, words=shlex.join(words), count=len(words))
    command = ["bash", "--norc"]
    done = subprocess.run(
        command, input=text, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True
    )
    assert (done.stderr, set(done.stdout.split("\n")) - {""}) == ("", expected)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_can_read_its_script(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        missing(f"{shell} is not installed", f"install {shell}")
    script = tmp_path / "script"
    script.write_text(completion_script(make_parser(), shell), encoding="utf-8")
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_flag_and_argument_that_takes_a_file_is_completed() -> None:
    parser = make_parser()
    completion_script(parser, "bash")
    taking = [each for each in all_actions(parser) if each.nargs != 0 and each.choices is None]
    assert {each.metavar for each in taking if not hasattr(each, "complete")} == FREE


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_command_and_every_long_flag(shell: str) -> None:
    done = hooksync(["completion", shell], {}, ROOT)
    assert (done.code, done.err) == (0, "")
    parsers = next(action for action in make_parser()._actions if action.dest == "command").choices
    assert isinstance(parsers, dict)
    for name, parser in parsers.items():
        assert name in done.out
        for action in parser._actions:
            if action.help != argparse.SUPPRESS:
                assert all(
                    flag[2:] in done.out for flag in action.option_strings if flag.startswith("--")
                )


def test_an_unknown_shell_is_wrong_usage() -> None:
    assert hooksync(["completion", "tcsh"], {}, ROOT).code == 64
