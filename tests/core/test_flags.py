"""Printed commands repeat the flags of the run, as far as the command has them."""

from __future__ import annotations

import shlex
from typing import get_args

import pytest

from hooksync.api.options import YES, Options, RunOptions
from hooksync.cli.parser import read_arguments
from hooksync.commands.plan_apply import ApplyOptions, PlanOptions
from hooksync.commands.state import StateOptions
from hooksync.core.flags import Verb


class EveryFlag(PlanOptions):
    """The flags of `plan` and of `apply`."""

    is_confirmed: bool = YES


OPTIONS = EveryFlag(
    files=("my hooks.yaml", "b"),
    env_files=("my.env",),
    state="git:state",
    credentials="my login",
    policy="policy.yaml",
    tenancies=("prod*",),
    targets=("prod/*/MOVED",),
    replace=("prod/a/MOVED",),
    timeout=60.0,
    allows_commands=True,
    probes=True,
    is_confirmed=True,
)
NEEDED = {
    "state forget": ["prod/*"],
    "state push": ["FILE"],
    "state unlock": ["id"],
    "remove": ["id"],
}


@pytest.mark.parametrize("verb", get_args(Verb))
def test_each_command_accepts_every_flag_that_it_repeats(verb: Verb) -> None:
    words = shlex.split(OPTIONS.command(verb, *NEEDED.get(verb, [])))
    _, given = read_arguments(words[1:], {})
    assert isinstance(given, RunOptions | StateOptions)
    assert (given.files, given.state) == (("my hooks.yaml", "b"), "git:state")
    if isinstance(given, ApplyOptions):
        assert given.replace == ("prod/a/MOVED",)
        assert given.targets == ("prod/*/MOVED",)
        assert (given.is_confirmed, given.timeout) == (False, 60)


def test_a_saved_plan_is_applied_without_the_flags_that_select() -> None:
    words = shlex.split(OPTIONS.command("apply", "p q.json", selects=False))
    _, given = read_arguments(words[1:], {})
    assert isinstance(given, ApplyOptions)
    assert (given.saved_plan, given.tenancies) == ("p q.json", ())


def test_a_command_that_replaces_an_address_does_not_adopt_it_too() -> None:
    flags = Options(files=("hooks.yaml",), adopt=("prod/a/MOVED", "prod/b/*"))
    command = "hooksync apply --replace prod/a/MOVED --adopt 'prod/b/*'"
    assert flags.applying("--replace", ["prod/a/MOVED"]) == command
