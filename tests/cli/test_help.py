"""Help texts: an example below the flags of each, and no line wider than a terminal."""

from __future__ import annotations

import re

import pytest

from hooksync.cli.arguments import Help, make_parser, read_arguments
from tests.command_line import ROOT
from tests.site.cli import WIDEST, chains


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
