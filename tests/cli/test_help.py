"""Help texts: each has an example below its flags, and no line is wider than a terminal."""

from __future__ import annotations

import re

import pytest

from hooksync.cli.commands import GROUPS
from tests.site.cli import LONGEST, WIDEST, commands, help_of


@pytest.mark.parametrize("chain", list(commands()), ids=" ".join)
def test_a_help_text_has_an_example_and_fits_a_terminal_of_80_columns_and_40_lines(
    chain: tuple[str, ...],
) -> None:
    text = help_of(*chain)
    command = " ".join(("hooksync", *chain))
    assert text.startswith(f"usage: {command}")
    assert len(text.splitlines()) <= LONGEST
    assert not [line for line in text.splitlines() if len(line) > WIDEST]
    flags, _, example = text.rpartition("\n\nexample:")
    assert flags
    assert re.match(rf"\s+{command}\b", example)


def test_the_help_of_hooksync_groups_its_commands() -> None:
    titles = re.findall(r"^([a-z ]+):$", help_of(), re.MULTILINE)
    assert titles == list(GROUPS)


def test_the_help_of_apply_begins_with_what_it_does_and_how_to_confirm() -> None:
    assert help_of("apply").splitlines()[2].startswith("Plan, prompt, and apply the plan. --yes ")
