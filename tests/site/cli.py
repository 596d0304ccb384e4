"""The page on the command line, generated from the parser."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from hooksync.cli.arguments import Help, make_parser, read_arguments
from tests.site.parts import DOCS, page_with

WIDEST = 80  # columns of a help text
SEVERAL = 4  # at least this many commands share a common flag
VARIABLES = re.findall(
    r"^### `(\w+)`$", (DOCS / "environment.md").read_text(encoding="utf-8"), re.MULTILINE
)
CODE = r"(?<![\w-])--[a-z][a-z-]+|\$\{NAME\}|env:NAME|file:PATH"  # shown as code in a help text

MORE = {  # links to further pages, by the command
    "validate": "[the hooks file](hooks-file.md)",
    "plan": "[everyday changes](everyday-changes.md), [pipelines](plans.md)",
    "apply": "[everyday changes](everyday-changes.md), [pipelines](plans.md)",
    "adopt": "[take over a tenancy](taking-over.md)",
    "show": "[saved plans](plans.md#saved-plans)",
    "list": "[see what is live](other-webhooks.md#see-what-is-live)",
    "export": "[take over a tenancy](taking-over.md)",
    "init": "[quick start](quick-start.md), [take over a tenancy](taking-over.md)",
    "check": "[quick start](quick-start.md), [receivers](receivers.md)",
    "fire": "[receivers](receivers.md#ways-to-test)",
    "listen": "[receivers](receivers.md#ways-to-test)",
    "verify": "[receivers](receivers.md#ways-to-test)",
    "state": "[the state](state.md)",
    "secret": "[rotate a secret](rotating-secrets.md)",
    "schema": "[the hooks file](hooks-file.md), [the JSON](json.md)",
    "sandbox": "[quick start](quick-start.md)",
    "demo": "[quick start](quick-start.md)",
    "completion": "",
    "version": "",
}


def commands() -> dict[str, str]:
    """Return all commands, each with its short help text."""
    [choices] = [action for action in make_parser()._actions if action.dest == "command"]
    return {choice.dest: choice.help or "" for choice in choices._get_subactions()}


def help_of(*command: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(WIDEST))
        with pytest.raises(Help) as caught:
            read_arguments([*command, "--help"], {})
    return str(caught.value)


def chains(
    parser: argparse.ArgumentParser, chain: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Yield every chain of commands that takes --help, such as `state show`."""
    yield chain
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from chains(child, (*chain, name))


def parser_of(chain: tuple[str, ...]) -> argparse.ArgumentParser:
    parser = make_parser()
    for name in chain:
        [choices] = [
            action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
        ]
        parser = choices.choices[name]
    return parser


def flags_of(chain: tuple[str, ...]) -> dict[str, str]:
    """Return the description of each flag of a command, by its name."""
    found = {}
    for action in parser_of(chain)._actions:
        is_shown = action.help != argparse.SUPPRESS and "-h" not in action.option_strings
        if action.option_strings and is_shown:
            found[action.option_strings[-1]] = _row(action)
    return found


def common_flags() -> dict[str, str]:
    """Return the flags that mean the same in several commands. The page describes them only once."""
    numbers: Counter[tuple[str, str]] = Counter()
    for chain in chains(make_parser()):
        numbers.update(flags_of(chain).items())
    common = {}
    for (name, row), number in numbers.most_common():
        if number >= SEVERAL and name not in common:
            common[name] = row
    return common


def section(chain: tuple[str, ...], common: dict[str, str]) -> Iterator[str]:
    """Yield the section of a command: its purpose, usage, examples, arguments and own flags."""
    parser, name = parser_of(chain), " ".join(("hooksync", *chain))
    usage = help_of(*chain).partition("\n\n")[0]
    epilog = parser.epilog or ""
    example, _, rest = (
        epilog.partition("\n\n") if epilog.startswith("example:") else ("", "", epilog)
    )
    yield (
        f"{'###' if len(chain) > 1 else '##'}"
        f" {name}\n\n{linked((parser.description or '').strip())}\n"
    )
    yield f"```output\n{usage}\n```\n"
    if example:
        lines = [line.strip() for line in example.removeprefix("example: ").splitlines()]
        yield "\n".join(
            [f"{'Examples' if len(lines) > 1 else 'Example'}:\n", "```text", *lines, "```\n"]
        )
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action._get_subactions():
                yield (
                    f"- [`{each.dest}`](#{'-'.join(('hooksync', *chain, each.dest))}): {each.help}"
                )
        elif not action.option_strings and action.help != argparse.SUPPRESS:
            yield _row(action)
    shared = []
    for flag, row in flags_of(chain).items():
        if common.get(flag) == row:
            shared.append(f"`{flag}`")
        else:
            yield row
    if shared:
        yield f"- [Common flags](#common-flags): {', '.join(shared)}"
    yield ""
    if len(chain) == 1 and (more := MORE[chain[0]]):
        yield f"More: {more}\n"
    if rest and chain:  # the epilog of hooksync itself lists the exit codes, which have a page
        yield f"```output\n{rest.strip()}\n```\n"


def _row(action: argparse.Action) -> str:
    return f"- {_names(action)}: {linked(action.help or '')}{_choices(action)}"


def _names(action: argparse.Action) -> str:
    shown = action.metavar if isinstance(action.metavar, str) else action.dest
    if not action.option_strings:
        return f"`{shown}`"
    *others, last = action.option_strings
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return ", ".join(f"`{each}`" for each in (*others, f"{last}{value}"))


def _choices(action: argparse.Action) -> str:
    choices = [each for each in action.choices or () if each not in (action.help or "")]
    return f". One of {', '.join(f'`{each}`' for each in choices)}" if choices else ""


def linked(text: str) -> str:
    """Return a help text as Markdown. Flags and references are code; variables and exit codes are
    links.
    """
    pieces = re.split("(`[^`]*`)", text)
    return "".join(piece if number % 2 else _linked(piece) for number, piece in enumerate(pieces))


def _linked(text: str) -> str:
    text = re.sub(r"([*<])", r"\\\1", text)
    text = re.sub(CODE, r"`\g<0>`", text)
    text = re.sub(
        rf"\b({'|'.join(VARIABLES)})\b",
        lambda name: f"[{name[0]}](environment.md#{name[0].lower()})",
        text,
    )
    return re.sub(
        r"\b([Ee]xit codes?|[Ee]xits? with \d+|exit \d+)\b", r"[\1](messages.md#exit-codes)", text
    )


def reference() -> str:
    """Return the generated part of the page: all commands, then the flags that they share."""
    common = common_flags()
    lines: list[str] = []
    for chain in chains(make_parser()):
        lines.extend(section(chain, common))
    lines.append("## Common flags\n")
    lines.append("These flags mean the same in every command that lists them.\n")
    lines.extend(sorted(common.values(), key=lambda row: row.lstrip("-` ").lower()))
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    return page_with("cli.md", help=reference())
