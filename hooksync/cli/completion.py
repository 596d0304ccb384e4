"""`hooksync completion`: scripts for shells, made by shtab; and the names of a hooks file that the scripts ask for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import BinaryIO

_FILES = ("PATH", "FILE", "PLAN", "WHERE")  # metavars of files
_NAMES = {
    "tenancies": "tenancies",
    **dict.fromkeys(("targets", "replace", "new", "globs"), "addresses"),
}  # by a flag's dest
_SAFE = re.compile("[A-Za-z0-9_./-]+")  # bash expands what it completes from

# bash splits `--format=json` into three words; shtab expects two.
_BASH_END = """
_hooksync() {
    local -a words=()
    local word
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        [[ $word == "=" ]] || words+=("$word")
    done
    [[ ${COMP_WORDS[COMP_CWORD]} != "=" ]] || words+=("")
    local -a COMP_WORDS=("${words[@]}")
    local COMP_CWORD=$((${#words[@]} - 1))
    _shtab_hooksync
}
complete -F _hooksync hooksync
"""


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Write the script that makes a shell complete this parser's commands, flags and values. Changes the parser."""
    import shtab  # of use to no other command

    for action in _actions(parser):
        if shell == "zsh" and action.nargs != 0:  # its `--flag=` takes the value in the same word or in the next
            action.option_strings = [f"{name}=" if name.startswith("--") else name for name in action.option_strings]
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # how shtab is told
        elif action.dest in _NAMES:
            action.complete = _asking(_NAMES[action.dest])  # type: ignore[attr-defined]
    script = f"{shtab.complete(parser, shell)}\n"
    # in zsh, for `source` as well as for `eval`
    return script + _BASH_END if shell == "bash" else script.replace("[-1] == eval ", "[-1] == (eval|file) ")


def words(kind: str, file: str, stdin: BinaryIO) -> list[str]:
    """List the tenancies or addresses that a hooks file declares. Raises FileError if it is not valid."""
    from hooksync.config.declarations import addresses
    from hooksync.config.document import read_document
    from hooksync.config.files import read_sources

    tenancies = read_document(read_sources([file], stdin)).tenancies
    found = [one.name for one in tenancies] if kind == "tenancies" else addresses(tenancies)
    return [word for word in found if _SAFE.fullmatch(word)]


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _actions(child)


def _asking(kind: str) -> dict[str, object]:
    """Tell shtab how each shell asks hooksync for names while one types."""
    ask = f"hooksync completion --words {kind} 2>/dev/null"
    name = f"_hooksync_{kind}"
    return {
        "bash": name,
        "zsh": name,
        "fish": f"({ask})",
        "preamble": {
            "bash": f'{name}() {{ compgen -W "$({ask})" -- "$1"; }}',
            "zsh": f'{name}() {{ compadd "$@" -- ${{(f)"$({ask})"}}; }}',
        },
    }
