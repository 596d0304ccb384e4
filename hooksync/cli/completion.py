"""The command `completion`: print the script that completes commands, flags and values."""

from __future__ import annotations

import argparse
from typing import Literal

from hooksync.cli.commands import ALL, Command
from hooksync.cli.parser import add_flag, load
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode
from hooksync.core.flags import OUTPUT, CommandOptions, flag

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
PATHS = ("PATH", "FILE", "PLAN", "WHERE", "FOLDER")  # what help calls values that are paths


class CompletionOptions(CommandOptions):
    """The argument of `completion`."""

    shell: Literal["bash", "zsh", "fish"] = flag("SHELL", "bash, zsh or fish", OUTPUT)


def completion(options: CompletionOptions, context: Context) -> ExitCode:
    """Print the script of a shell."""
    import shtab  # 30 ms, and no other command uses it

    parser = argparse.ArgumentParser(prog="hooksync")
    _add_actions(parser, ALL, shtab.FILE)
    script = f"{shtab.complete(parser, options.shell)}\n"
    context.terminal.result(script + _BASH if options.shell == "bash" else script)
    return ExitCode.DONE


def _add_actions(parser: argparse.ArgumentParser, command: Command, paths: object) -> None:
    """Describe the actions of a command, with their flags, for shtab. `paths`: completes paths."""
    siblings = parser.add_subparsers()
    for action in command.actions.values():
        child = siblings.add_parser(action.name, help=action.help)
        if action.groups:
            _add_actions(child, action, paths)
            continue
        _, kind = load(action)
        for field, declared in kind.flags().items():
            added = add_flag(child.add_argument, field, declared)
            if declared.value in PATHS:
                added.complete = paths  # type: ignore[attr-defined]  # shtab reads it there
