"""Completion in the shells themselves: each shell that is installed loads the script and completes
lines.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hooksync.cli.arguments import make_parser
from hooksync.cli.completion import all_actions, completion_script
from tests.command_line import ROOT, hooksync
from tests.lanes import sampled

SHELLS = ("bash", "zsh", "fish")
BASH = """
{script}
COMP_WORDS=({words}) COMP_CWORD=$(({count} - 1))
_hooksync
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
# zsh completes only on a terminal. It passes its offers to compadd, which here prints them.
ZSH = """
PROMPT= fpath=(./functions $fpath)
autoload -Uz compinit && compinit -u -D
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]]; then
        builtin compadd "$@"
        return
    fi
    local -a offered
    builtin compadd -A offered "$@"
    print -rl -- "<offered ${(@)^offered}>"
}
offer() { _main_complete; print "<complete>" }
zle -C offer complete-word offer
bindkey "^I" offer
print "<ready>"
"""
CASES = [
    ("hooksync pl", {"plan"}),
    ("hooksync plan --no-p", {"--no-probe"}),
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
    ("hooksync nonsense --f", set()),
]
FREE = {  # names of values that no list can contain, or that only Preservica has
    *(
        "ADDRESS",
        "DURATION",
        "ENV",
        "GLOB",
        "HEX",
        "HOST",
        "ID",
        "N",
        "NAME",
        "NAME=ENV",
        "NEW",
        "OLD",
        "REF",
        "S",
        "SECONDS",
    ),
    *("SPEC", "URL"),
}
INSTALLED = [shell for shell in SHELLS if shutil.which(shell)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with two hooks files, and with a program `hooksync` that the scripts call."""
    (tmp_path / "hooks.yaml").touch()
    (tmp_path / "hoo ks.yaml").touch()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "hooksync"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m hooksync "$@"\n')
    program.chmod(0o755)
    return tmp_path


def environ(folder: Path) -> dict[str, str]:
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def run(command: list[str], folder: Path, text: str = "") -> str:
    done = subprocess.run(
        command, input=text, env=environ(folder), cwd=folder, capture_output=True, encoding="utf-8", check=True,
        timeout=30,
    )  # fmt: skip
    assert not done.stderr
    return done.stdout


def complete(shell: str, line: str, folder: Path) -> set[str]:
    """Return what a shell offers at the end of a line."""
    script = completion_script(make_parser(), shell)
    if shell == "zsh":
        return complete_in_zsh(script, line, folder)
    if shell == "fish":
        out = run(
            ["fish", "--no-config", "-c", f"source -; complete -C {shlex.quote(line)}"],
            folder,
            script,
        )
        return {each.split("\t")[0].replace("\\ ", " ") for each in out.splitlines()}
    words = line.split(" ")
    text = BASH.format(script=script, words=shlex.join(words), count=len(words))
    return {each for each in run(["bash", "--norc"], folder, text).splitlines() if each}


def complete_in_zsh(script: str, line: str, folder: Path) -> set[str]:
    import pty  # only POSIX has it

    (folder / "functions").mkdir(exist_ok=True)
    (folder / "functions" / "_hooksync").write_text(script)
    (folder / "setup.zsh").write_text(ZSH)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["zsh", "-f", "-i"], env=environ(folder), cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        os.write(ours, b"source ./setup.zsh\n")
        read_until(ours, "<ready>")
        os.write(ours, f"{line}\t".encode())
        offered = re.findall("<offered ([^<>]+)>", read_until(ours, "<complete>"))
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return {each.replace("\\ ", " ") for each in offered}


def read_until(descriptor: int, text: str) -> str:
    seen = ""
    while text not in seen:
        ready, _, _ = select.select([descriptor], [], [], 30)
        assert ready, seen
        seen += os.read(descriptor, 65_536).decode()
    return seen


@pytest.mark.skipif(
    not os.environ.get("HOOKSYNC_TEST_ALL"), reason="some shells may be missing here"
)
def test_all_shells_are_installed_if_no_test_may_be_skipped() -> None:
    assert tuple(INSTALLED) == SHELLS


@pytest.mark.parametrize("shell", INSTALLED)
@pytest.mark.parametrize(("line", "expected"), sampled(CASES, 8, 2))
def test_a_shell_offers_exactly_what_can_follow_on_a_line(
    shell: str, line: str, expected: set[str], folder: Path
) -> None:
    assert complete(shell, line, folder) == expected


def test_bash_completes_after_an_equals_sign(folder: Path) -> None:
    script = completion_script(make_parser(), "bash")
    for words, expected in [
        ("plan --format = ma", "markdown"),
        ("plan --format =", "text\njson\nmarkdown\nhtml"),
    ]:
        text = (
            f"{script}\nCOMP_WORDS=(hooksync {words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} -"
            " 1))\n_hooksync\n"
        )
        assert (
            run(["bash", "--norc"], folder, text + "printf '%s\\n' \"${COMPREPLY[@]}\"")
            == f"{expected}\n"
        )


@pytest.mark.skipif("zsh" not in INSTALLED, reason="zsh is not installed")
def test_zsh_completes_after_an_equals_sign(folder: Path) -> None:
    assert complete("zsh", "hooksync plan --format=ma", folder) == {"markdown"}


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
