"""What the flags of each command say, and how it is read from argparse: a field's name is the flag's `dest`. Pure."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

from hooksync.core.record import Record, given_fields

if TYPE_CHECKING:
    from hooksync.config.declarations import Shard

Format = Literal["text", "json", "markdown"]
_Options = TypeVar("_Options", bound="Options")


class Options(Record, frozen=True):
    """Which files, what of them, and how to show the result."""

    files: tuple[str, ...]
    format: Format = "text"
    tenancies: tuple[str, ...] = ()  # globs of names
    targets: tuple[str, ...] = ()  # globs of addresses
    shard: Shard | None = None  # None: all tenancies
    policy: str | None = None  # path of what says which servers, receivers and secrets files may name; None: any


class CallOptions(Options, frozen=True):
    """The flags of commands that make calls, such as `check`."""

    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run


class ExportOptions(CallOptions, frozen=True):
    """The flags of `export`."""

    names_files: bool = False  # whether the command line names the files
    server: str | None = None
    tenant: str | None = None


class InitOptions(ExportOptions, frozen=True):
    """The flags of `init`."""

    path: str = "hooks.yaml"
    is_from_live: bool = False


class StateOptions(CallOptions, frozen=True):
    """The flags of commands that look at the state, such as `check`."""

    state: str | None = None  # what names its place; None: beside the first file
    uses_state: bool = True
    lock_timeout: float | None = None  # seconds to wait for the run lock; None: as long as is usual here


class StateActionOptions(StateOptions, frozen=True):
    """The flags of `state` and its actions."""

    is_confirmed: bool = False  # unlock, forget
    is_forced: bool = False  # push
    path: str = "-"  # push: the file
    id: str = ""  # unlock: of the run
    old: str = ""  # move: an address
    new: str = ""  # move: another one
    globs: tuple[str, ...] = ()  # forget: of addresses


class PlanOptions(StateOptions, frozen=True):
    """The flags of `plan` and `apply`."""

    replace: tuple[str, ...] = ()  # globs of addresses
    prunes: bool = True
    allows_mass_unsubscribe: bool = False
    shows_kept: bool = False
    has_detailed_exit_code: bool = False  # plan
    is_confirmed: bool = False  # apply
    adopts: bool = False  # apply: record the declared secrets of kept subscriptions that are not in the state
    out: str | None = None  # plan: path to save it at
    saved_plan: str | None = None  # apply: path of a plan to carry out instead of making one
    max_age: timedelta | None = None  # apply: of the saved plan
    report: str | None = None  # apply: path to write the report at
    probes: bool | None = None  # challenge receivers; None: plan does not, apply does as each tenancy says


def read_options(kind: type[_Options], arguments: argparse.Namespace) -> _Options:
    """Take each field from the flag of its name; a command without that flag gets the field's default."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(arguments).items()}
    return kind(**given_fields(kind, given))
