"""Help texts: each has an example below its flags, and no line is wider than a terminal."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import pairwise

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
    assert "--help" in flags
    assert re.match(rf"\s+{command}\b", example)


def test_each_flag_is_a_field_of_its_commands_options_which_have_the_other_defaults() -> None:
    for command in [command for group in GROUPS.values() for command in group]:
        for action in command.actions or [command]:
            used = action.load.__code__.co_names  # the options follow their module
            for module, name in pairwise(used):
                if name.endswith(("Options", "Flags")):
                    options = getattr(import_module(module), name)
                    fields = options.__struct_fields__
                    needed = fields[: len(fields) - len(options.__struct_defaults__)]
                    chain = (command.name, action.name)[: 1 + bool(command.actions)]
                    parser = commands()[chain]
                    flags = {taken.dest for taken in parser._actions}
                    assert flags - {"help", "verbose", "env_files"} <= set(fields), chain
                    required = {taken.dest for taken in parser._actions if taken.required}
                    assert set(needed) <= required | {"files", "action"}, chain


def test_the_help_of_hooksync_groups_its_commands() -> None:
    titles = re.findall(r"^([a-z ]+):$", help_of(), re.MULTILINE)
    assert titles == list(GROUPS)


def test_the_help_of_apply_begins_with_what_it_does_and_how_to_confirm() -> None:
    assert help_of("apply").splitlines()[2].startswith("Plan, prompt, and apply the plan. --yes ")
