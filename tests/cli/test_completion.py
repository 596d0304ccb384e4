"""Completion: bash completes lines with its script, and each shell that is installed can read its
own script.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from hooksync.cli.completion import PATHS
from hooksync.cli.parser import load
from tests.backends import missing
from tests.command_line import ROOT, hooksync
from tests.lanes import sampled
from tests.site.cli import commands

BASH = """
{script}
COMP_WORDS=({words}) COMP_CWORD=$(({count} - 1))
_hooksync
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
CASES = [
    ("hooksync pl", {"plan"}),
    ("hooksync plan --pr", {"--probe"}),
    ("hooksync plan --q", {"--quiet"}),
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
    *(
        "ADDRESS",
        "BRANCH",
        "DURATION",
        *("GLOB", "GLOB ..."),
        "HEX",
        "HOST",
        "ID ...",
        "ID",
        "N",
        "NAME",
        "NAME=ENV",
        "TIME",
    ),
    *("NEW", "OLD", "REF", "S", "SECONDS", "SIZE", "SPEC", "URL", "[URL-PREFIX ...]"),
}


def script_for(shell: str) -> str:
    done = hooksync(["completion", shell], {}, ROOT)
    assert (done.code, done.err) == (0, "")
    return done.out


@pytest.mark.parametrize(("line", "expected"), sampled(CASES, 4))
def test_bash_offers_exactly_what_can_follow_on_a_line(
    line: str, expected: set[str], tmp_path: Path
) -> None:
    (tmp_path / "hooks.yaml").touch()
    (tmp_path / "hoo ks.yaml").touch()
    words = line.split(" ")
    text = BASH.format(script=script_for("bash"), words=shlex.join(words), count=len(words))
    command = ["bash", "--norc"]
    done = subprocess.run(
        command, input=text, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True
    )
    assert (done.stderr, set(done.stdout.split("\n")) - {""}) == ("", expected)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_read_its_script(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        missing(f"{shell} is not installed", f"install {shell}")
    script = tmp_path / "script"
    script.write_text(script_for(shell), encoding="utf-8")
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_flag_and_argument_that_takes_a_file_is_completed() -> None:
    names = set()
    for command in commands().values():
        if not command.function:
            continue
        for flag in load(command)[1].flags().values():
            if flag.value and not flag.words:
                names.add(flag.value)
    assert names == FREE.union(PATHS)
