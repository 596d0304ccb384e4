"""The command `completion`: a script for a shell, made of the parser by shtab, and the names that it asks for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from hooksync.cli.arguments import make_parser, packaged
from hooksync.commands.options import Options
from hooksync.core.errors import ExitCode, HooksyncError
from hooksync.reconcile.context import World

_FILES = ("PATH", "FILE", "PLAN", "WHERE", "FOLDER")  # metavars
_NAMES = ("GLOB", "ADDRESS", "OLD", "NEW")  # metavars of addresses, and of globs of these or of tenancies
_SAFE = re.compile("[A-Za-z0-9_./-]+")  # bash expands what it completes from


def completion(options: Options, world: World) -> ExitCode:
    """Print a script, or names: the tenancies or addresses that the hooks file declares."""
    if options.shell:
        world.terminal.result(completion_script(make_parser(), options.shell))
        return ExitCode.DONE
    from hooksync.config.declarations import addresses  # here, as the next two: a script needs none of it
    from hooksync.config.document import read_document
    from hooksync.config.files import read_sources

    [file] = options.files
    try:
        tenancies = read_document(read_sources([file], world.stdin)).tenancies if file != "-" else ()
    except HooksyncError:  # for `hooksync validate` to say; here it would appear in the middle of a typed line
        return ExitCode.ERROR
    found = [one.name for one in tenancies] if options.words == "tenancies" else addresses(tenancies)
    world.terminal.result("".join(f"{word}\n" for word in found if _SAFE.fullmatch(word)))
    return ExitCode.DONE


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Write the script that makes a shell complete this parser's commands, flags and values. Changes the parser."""
    import shtab  # of use to no other command

    for action in all_actions(parser):
        if shell == "zsh" and action.nargs != 0:  # its `--flag=` takes the value in the same word or in the next
            action.option_strings = [f"{name}=" if name.startswith("--") else name for name in action.option_strings]
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # how shtab is told
        elif action.metavar in _NAMES:
            kind = "tenancies" if action.dest == "tenancies" else "addresses"
            action.complete = _asking(kind)  # type: ignore[attr-defined]
    script = f"{shtab.complete(parser, shell)}\n"
    if shell == "bash":
        return f"{script}\n{packaged('completion.bash')}"
    return script.replace("[-1] == eval ", "[-1] == (eval|file) ")  # in zsh, for `source` as well as for `eval`


def all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Give the flags and arguments of all commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from all_actions(child)


def _asking(kind: str) -> dict[str, object]:
    """Tell shtab how each shell asks hooksync for names while one types."""
    ask = f"hooksync completion --words {kind} 2>/dev/null"
    name = f"_hooksync_{kind}"
    functions = {
        "bash": f'{name}() {{ compgen -W "$({ask})" -- "$1"; }}',
        "zsh": f'{name}() {{ compadd "$@" -- ${{(f)"$({ask})"}}; }}',
    }
    return {"bash": name, "zsh": name, "fish": f"({ask})", "preamble": functions}
