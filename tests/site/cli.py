"""The page on the command line: each command with its flags, and once the flags that many share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
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
    "fire": "[receivers](receivers.md#ways-to-test-it)",
    "listen": "[receivers](receivers.md#ways-to-test-it)",
    "verify": "[receivers](receivers.md#ways-to-test-it)",
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


def shared_flags() -> dict[str, str]:
    """Return the entries in help texts of flags that at least three commands have, by flag."""
    counts: Counter[tuple[str, str]] = Counter()
    for chain in commands():
        counts.update(entries(help_of(*chain)).items())
    return {flag: entry for (flag, entry), count in counts.items() if count >= 3}


def entries(text: str) -> dict[str, str]:
    """Return the entry of each flag in a help text, as an item of a list."""
    found = {}
    for entry in re.findall(r"^  ((?:-\w, )?--[\w-]+.*(?:\n {6}.*)*)", text, re.MULTILINE):
        form, explanation = re.split(r" {2,}|\n +", entry, maxsplit=1)
        words = " ".join(explanation.split())
        found[re.findall(r"--[\w-]+", form)[0]] = f"- `{form}`: {words}"
    return found


def section(chain: Chain, shared: Mapping[str, str]) -> str:
    """Return the section of a command: its help text without shared flags, and links."""
    paragraphs = []
    left_out = []
    name = " ".join(("hooksync", *chain))
    without_usage = help_of(*chain).removeprefix(f"usage: {name} [flags]\n\n")
    for paragraph in without_usage.rstrip().split("\n\n"):
        title, *rows = re.split(r"\n(?=  (?:-\w, )?--)", paragraph)
        kept = []
        for row in rows:
            [(flag, entry)] = entries(row).items()
            if shared.get(flag) == entry:
                left_out.append(f"`{flag}`")
            else:
                kept.append(row)
        if kept or not rows or "\n" in title:
            paragraphs.append("\n".join([title, *kept]))
    marks = "###" if len(chain) > 1 else "##"
    text = f"{marks} {name}\n\n```output\n"
    text += "\n\n".join(paragraphs) + "\n```\n"
    if left_out:
        text += f"\nShared: {', '.join(left_out)}\n"
    more = MORE.get(" ".join(chain))
    return f"{text}\nMore: {more}\n" if more else text


def pages() -> dict[Path, str]:
    shared = shared_flags()
    flags = "\n".join(shared[flag] for flag in sorted(shared))
    text = "\n".join(section(chain, shared) for chain in commands() if chain)
    return page_with("cli.md", help=text, shared=f"{flags}\n")
