"""The command `completion`: a script for a shell, and the names that the script asks for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Literal

from hooksync.cli.arguments import make_parser
from hooksync.config.declarations import addresses
from hooksync.core.errors import ExitCode, HooksyncError
from hooksync.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hooksync.reconcile.context import World

_BASH = r"""
# bash splits `--format=json` into three words; shtab expects two.
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
_FILES = ("PATH", "FILE", "PLAN", "WHERE", "FOLDER")  # metavars
_NAMES = ("GLOB", "ADDRESS", "OLD", "NEW")  # metavars of addresses, and of globs
_SAFE = re.compile("[A-Za-z0-9_./-]+")  # bash expands what it completes from


class CompletionOptions(Record, frozen=True):
    """The flags of `completion`."""

    files: tuple[str, ...]
    shell: str | None  # whose script to print; None: print `words`
    words: Literal["tenancies", "addresses"] | None


def completion(options: CompletionOptions, world: World) -> ExitCode:
    """Print a script, or names: the tenancies or addresses that the hooks file declares."""
    if options.shell:
        world.terminal.result(completion_script(make_parser(), options.shell))
        return ExitCode.DONE
    from hooksync.config.document import read_document  # here, because a script needs none of it
    from hooksync.config.files import read_sources

    [file] = options.files
    if file == "-":
        return ExitCode.DONE
    try:
        tenancies = read_document(read_sources([file], world.stdin)).tenancies
    except HooksyncError:  # `hooksync validate` reports it; here it would appear in a typed line
        return ExitCode.ERROR
    names = addresses(tenancies)
    if options.words == "tenancies":
        names = [one.name for one in tenancies]
    for name in names:
        if _SAFE.fullmatch(name):
            world.terminal.result(f"{name}\n")
    return ExitCode.DONE


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Write the script that completes commands, flags and values in a shell. Changes the parser."""
    import shtab  # no other command uses it

    for action in all_actions(parser):
        if shell == "zsh" and action.nargs != 0:
            # so that `--flag=` takes the value in the same word or in the next
            action.option_strings = [
                re.sub("^--.*", r"\g<0>=", name) for name in action.option_strings
            ]
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads it there
        elif action.metavar in _NAMES:
            kind = "tenancies" if action.dest == "tenancies" else "addresses"
            action.complete = _asking(kind)  # type: ignore[attr-defined]
    script = f"{shtab.complete(parser, shell)}\n"
    if shell == "bash":
        return script + _BASH
    # in zsh, for `source` as well as for `eval`
    return script.replace("[-1] == eval ", "[-1] == (eval|file) ")


def all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Give the flags and arguments of all commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from all_actions(child)


def _asking(kind: str) -> dict[str, object]:
    """Describe to shtab how each shell asks hooksync for names while the user types."""
    ask = f"hooksync completion --words {kind} 2>/dev/null"
    name = f"_hooksync_{kind}"
    functions = {
        "bash": f'{name}() {{ compgen -W "$({ask})" -- "$1"; }}',
        "zsh": f'{name}() {{ compadd "$@" -- ${{(f)"$({ask})"}}; }}',
    }
    return {"bash": name, "zsh": name, "fish": f"({ask})", "preamble": functions}
