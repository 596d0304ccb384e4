"""Help texts: each has an example below its flags, and no line is wider than a terminal."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from hooksync.cli.arguments import Help, make_parser, read_arguments
from hooksync.cli.commands import COMMANDS, Command
from tests.site.cli import WIDEST, chains, help_of, parser_of

OF_THE_RUN = {"color", "verbose", "env_files"}  # these flags are read before a command runs


@pytest.mark.parametrize("chain", list(chains(make_parser())), ids=" ".join)
def test_a_help_text_has_an_example_below_its_flags_and_fits_a_terminal(
    chain: tuple[str, ...],
) -> None:
    with pytest.raises(Help) as caught:
        read_arguments([*chain, "--help"], {})
    text = str(caught.value)
    assert text.startswith(f"usage: {' '.join(('hooksync', *chain))} [")
    assert not [line for line in text.splitlines() if len(line) > WIDEST]
    flags, _, example = text.rpartition("\n\nexample:")
    assert "--help" in flags
    assert re.match(f"\\s+(export .*\\n\\s+)?{' '.join(('hooksync', *chain))}\\b", example)


@pytest.mark.parametrize(
    "command", [each for each in COMMANDS if each.run], ids=lambda each: each.name
)
def test_a_command_has_a_function_and_options_that_take_its_flags(command: Command) -> None:
    place, _, function = command.run.partition(":")
    module = import_module(place)
    assert callable(getattr(module, function))
    fields = getattr(module, command.options).__match_args__
    parser = parser_of(tuple(command.name.split()))
    flags = {action.dest for action in parser._actions} - {"help", "action", *OF_THE_RUN}
    assert flags - set(fields) == set()


@pytest.mark.parametrize("name", ["plan", "apply", "list", "check", "fire", "listen"])
def test_flags_are_shown_in_named_groups(name: str) -> None:
    groups = [group.title for group in parser_of((name,))._action_groups if group._group_actions]
    assert len(groups) > 3
    assert groups[-1] == "more"


def test_the_most_common_flags_of_plan_fit_on_one_screen() -> None:
    first = help_of("plan").splitlines()[:40]
    for flag in (
        "--file",
        "--state",
        "--tenancy",
        "--target",
        "--format",
        "--out",
        "--detailed-exitcode",
    ):
        assert any(flag in line for line in first)
