"""Help texts: an example below the flags of each, and no line wider than a terminal."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from hooksync.cli.arguments import Help, make_parser, read_arguments
from tests.command_line import ROOT

WIDEST = 80  # columns


def chains(parser: argparse.ArgumentParser, chain: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Give every chain of commands that takes --help."""
    yield chain
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from chains(child, (*chain, name))


@pytest.mark.parametrize("chain", list(chains(make_parser())), ids=" ".join)
def test_a_help_text_has_an_example_below_its_flags_and_fits(chain: tuple[str, ...]) -> None:
    with pytest.raises(Help) as caught:
        read_arguments([*chain, "--help"], {})
    text = str(caught.value)
    assert not [line for line in text.splitlines() if len(line) > WIDEST]
    flags, _, example = text.rpartition("\n\nexample:")
    assert "--help" in flags
    assert re.match(f"\\s+(export .*\\n\\s+)?{' '.join(('hooksync', *chain))}\\b", example)


def test_each_flag_has_one_text() -> None:
    text = (ROOT / "hooksync" / "cli" / "flags.txt").read_text(encoding="utf-8")
    flags = [re.split(" = | as ", line)[0] for line in text.splitlines() if not line.startswith(" ")]
    assert sorted(flags) == sorted(set(flags))
