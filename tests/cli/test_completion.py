"""Completion as the shells themselves do it: the script is loaded and asked, where the shell is installed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from hooksync.cli.arguments import make_parser
from hooksync.cli.completion import SHELLS, completion_script
from tests.command_line import ROOT, hooksync

BASH = """
{script}
COMP_WORDS=({words}) COMP_CWORD=$(({count} - 1))
_hooksync
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
compdef() {{ }}
compset() {{ current=${{current#*=}} }}
_describe() {{ local one; for one in "${{(@P)2}}"; do print -r -- "${{one%%:*}}"; done }}
_files() {{ print -l -- *(N) }}
{script}
words=({words}) CURRENT={count}
_hooksync || true
"""
CASES = [
    ("hooksync pl", {"plan"}),
    ("hooksync plan --no-", {"--no-prune", "--no-state", "--no-probe"}),
    ("hooksync plan --format ", {"text", "json", "markdown"}),
    ("hooksync plan --tenancy plan --format j", {"json"}),
    ("hooksync validate --format ", {"text", "json"}),
    ("hooksync apply -f ho", {"hooks file.yaml"}),
    ("hooksync apply --timeout ", set()),
    ("hooksync secret g", {"generate"}),
    ("hooksync completion z", {"zsh"}),
    ("hooksync nonsense --f", set()),
]
INSTALLED = [shell for shell in SHELLS if shutil.which(shell)]


def run(command: list[str], folder: Path, text: str = "") -> str:
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, input=text, env=environ, cwd=folder, capture_output=True, encoding="utf-8", check=True, timeout=30
    )
    assert not done.stderr
    return done.stdout


def complete(shell: str, line: str, folder: Path) -> set[str]:
    """Ask a shell what it offers at the end of a line."""
    script = completion_script(make_parser(), shell)  # type: ignore[arg-type]
    words = line.split(" ")
    if shell == "fish":
        out = run(["fish", "--no-config", "-c", f"source -; complete -C {shlex.quote(line)}"], folder, script)
        return {each.split("\t")[0].replace("\\ ", " ") for each in out.splitlines()}
    template = BASH if shell == "bash" else ZSH
    arguments = ["bash", "--norc"] if shell == "bash" else ["zsh", "-f"]
    text = template.format(script=script, words=shlex.join(words), count=len(words))
    offered = {each for each in run(arguments, folder, text).splitlines() if each}
    return {each for each in offered if each.startswith(words[-1])}  # zsh sifts by itself


@pytest.mark.parametrize("shell", INSTALLED)
@pytest.mark.parametrize(("line", "expected"), CASES)
def test_a_shell_offers_what_can_follow(shell: str, line: str, expected: set[str], tmp_path: Path) -> None:
    (tmp_path / "hooks file.yaml").touch()
    assert complete(shell, line, tmp_path) == expected


def test_bash_completes_after_an_equals_sign(tmp_path: Path) -> None:
    script = completion_script(make_parser(), "bash")
    for words, expected in [("plan --format = ma", "markdown"), ("plan --format =", "text\njson\nmarkdown")]:
        text = f"{script}\nCOMP_WORDS=(hooksync {words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n_hooksync\n"
        assert run(["bash", "--norc"], tmp_path, text + "printf '%s\\n' \"${COMPREPLY[@]}\"") == f"{expected}\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_command_and_every_long_flag(shell: str) -> None:
    done = hooksync(["completion", shell], {}, ROOT)
    assert (done.code, done.err) == (0, "")
    parsers = next(action for action in make_parser()._actions if action.dest == "command").choices
    assert isinstance(parsers, dict)
    for name, parser in parsers.items():
        assert name in done.out
        for action in parser._actions:
            assert all(flag.removeprefix("--") in done.out for flag in action.option_strings if flag.startswith("--"))


@pytest.mark.parametrize("shell", INSTALLED)
def test_a_script_is_well_formed(shell: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(completion_script(make_parser(), shell), encoding="utf-8")
    run([shell, "-n", "script"], tmp_path)


def test_an_unknown_shell_is_wrong_usage() -> None:
    assert hooksync(["completion", "tcsh"], {}, ROOT).code == 64
