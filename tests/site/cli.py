"""The page of the command line, made from the parser."""

from __future__ import annotations

from pathlib import Path

import pytest

from hooksync.cli.arguments import Help, make_parser, read_arguments
from tests.site.parts import page_with

WIDEST = 80  # columns of a help text


def commands() -> dict[str, str]:
    """Name all commands, with what each does in a few words."""
    [choices] = [action for action in make_parser()._actions if action.dest == "command"]
    return {choice.dest: choice.help or "" for choice in choices._get_subactions()}


def help_of(*command: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(WIDEST))
        with pytest.raises(Help) as caught:
            read_arguments([*command, "--help"], {})
    return str(caught.value)


def help_blocks() -> str:
    """Write the help texts as their page shows them."""
    shown = [("hooksync", help_of(), "all commands")]
    shown += [(f"hooksync {name}", help_of(name), what) for name, what in commands().items()]
    return "\n".join(
        f"<details><summary><code>{command}</code>: {what}</summary>\n\n```text\n{text.rstrip()}\n```\n\n</details>\n"
        for command, text, what in shown
    )


def pages() -> dict[Path, str]:
    return page_with("cli.md", help=help_blocks())
