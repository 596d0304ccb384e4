"""The page on the command line: the help text of each command, as the parser prints it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hooksync.cli.commands import ALL, Command
from hooksync.cli.parser import HelpText, read_arguments
from tests.site.parts import page_with

WIDEST = 80  # columns of a help text
LONGEST = 40  # lines of a help text

MORE = {  # links to further pages, by the command
    "validate": "[the hooks file](hooks-file.md)",
    "plan": "[everyday changes](everyday-changes.md), [pipelines](pipelines.md)",
    "apply": "[everyday changes](everyday-changes.md), [pipelines](pipelines.md)",
    "show": "[saved plans](saved-plans.md)",
    "list": "[see what is live](ownership.md#see-what-is-live)",
    "init": "[quick start](quick-start.md), [take over a tenancy](taking-over.md)",
    "check": "[quick start](quick-start.md), [receivers](receivers.md)",
    "fire": "[receivers](testing-receivers.md)",
    "listen": "[receivers](testing-receivers.md)",
    "verify": "[receivers](testing-receivers.md)",
    "state": "[the state](state.md)",
    "secret": "[rotate a secret](rotating-secrets.md)",
    "schema": "[the hooks file](hooks-file.md), [the JSON](json.md)",
}


Chain = tuple[str, ...]  # a command, and perhaps its action


def help_of(*chain: str) -> str:
    with pytest.raises(HelpText) as caught:
        read_arguments([*chain, "--help"], {})
    return str(caught.value)


def commands() -> dict[Chain, Command]:
    """Return each command that takes --help, by its chain, such as `state show`."""
    return dict(_below(ALL, ()))


def _below(command: Command, chain: Chain) -> Iterator[tuple[Chain, Command]]:
    yield chain, command
    for name, action in command.actions.items():
        yield from _below(action, (*chain, name))


def section(chain: tuple[str, ...]) -> str:
    """Return the section of a command: its help text, and links to further pages."""
    marks = "###" if len(chain) > 1 else "##"
    more = MORE.get(" ".join(chain))
    text = (
        f"{marks} {' '.join(('hooksync', *chain))}\n\n```output\n{help_of(*chain).rstrip()}\n```\n"
    )
    return f"{text}\nMore: {more}\n" if more else text


def pages() -> dict[Path, str]:
    text = "\n".join(section(chain) for chain in commands())
    return page_with("cli.md", help=text)
