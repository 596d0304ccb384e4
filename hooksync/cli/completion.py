"""The command `completion`: prints a script that completes command lines in a shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from hooksync.core.context import Context
from hooksync.core.errors import ExitCode
from hooksync.core.record import Record

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
FILES = ("PATH", "FILE", "PLAN", "WHERE", "FOLDER")  # metavars of paths


class CompletionOptions(Record, frozen=True):
    """The flags of `completion`."""

    shell: str


def completion(
    parser: argparse.ArgumentParser, options: CompletionOptions, context: Context
) -> ExitCode:
    """Print the script that completes commands, flags and values in a shell."""
    import shtab  # 30 ms, and no other command uses it

    for action in all_actions(parser):
        if action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads it there
    script = f"{shtab.complete(parser, options.shell)}\n"
    context.terminal.result(script + _BASH if options.shell == "bash" else script)
    return ExitCode.DONE


def all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the flags and arguments of all commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from all_actions(child)
