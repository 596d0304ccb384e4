"""What the flags say, and how it is read from argparse: a field's name is the flag's `dest`. Pure."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from hooksync.core.record import Record, given_fields

if TYPE_CHECKING:
    from hooksync.config.declarations import Shard
    from hooksync.core.model import SecretRef
    from hooksync.core.schema import SchemaKind
    from hooksync.report.monitoring import NoticeForm

Format = Literal["text", "json", "markdown", "html"]


class Options(Record, frozen=True):
    """The flags of all commands; one that has no such flag gets the field's default."""

    HIDDEN = ("url",)

    files: tuple[str, ...]
    format: Format = "text"
    tenancies: tuple[str, ...] = ()  # globs of names
    targets: tuple[str, ...] = ()  # globs of addresses
    shard: Shard | None = None  # None: all tenancies
    env_files: tuple[str, ...] = ()  # paths
    credentials: str | None = None  # path of pyPreservica's credentials.properties; None: that of the working folder
    allows_commands: bool = False  # without a policy
    policy: str | None = None  # path of what says which servers, receivers and secrets files may name; None: any
    # how calls are made
    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run
    # the state
    state: str | None = None  # what names its place; None: beside the first file
    uses_state: bool = True
    lock_timeout: float | None = None  # seconds to wait for the run lock; None: as long as is usual here
    is_confirmed: bool = False  # apply, and what changes the state
    is_forced: bool = False  # push
    id: str = ""  # unlock: of the run
    old: str = ""  # move: an address
    new: str = ""  # move: another one
    globs: tuple[str, ...] = ()  # forget: of addresses
    # plan and apply
    replace: tuple[str, ...] = ()  # globs of addresses
    prunes: bool = True
    allows_mass_unsubscribe: bool = False
    shows_kept: bool = False
    shows_coverage: bool = False  # list
    has_detailed_exit_code: bool = False  # plan
    adopts: bool = False  # apply: record the declared secrets of kept subscriptions that are not in the state
    out: str | None = None  # plan: path to save it at
    saved_plan: str | None = None  # apply: path of a plan to carry out instead of making one
    max_age: timedelta | None = None  # apply: of the saved plan
    report: str | None = None  # apply: path to write the report at
    notify: SecretRef | None = None  # where the URL is found that is told how it ended
    notify_as: NoticeForm = "json"
    metrics: str | None = None  # path to write metrics at
    probes: bool | None = None  # challenge receivers; None: plan does not, apply does as each tenancy says
    # the receiver's side
    url: str | None = None  # of a receiver; None: of hooks files
    secrets: tuple[SecretRef, ...] = ()  # the first signs
    address: str | None = None  # fire: of a declared subscription
    signature: str | None = None  # verify
    records_state: bool = False  # verify
    port: int = 0  # listen; 0: any free one
    forward: str | None = None  # listen: a URL
    exit_after: int | None = None  # listen: genuine events
    record: str | None = None  # listen: an existing folder
    trigger: str | None = None  # fire
    event: str | None = None  # fire: path of an event to send instead of a new one
    is_badly_signed: bool = False  # fire
    repeat: int = 1  # fire
    is_slow: bool = False  # fire
    is_suite: bool = False  # fire
    # the others
    names_files: bool = False  # export: whether the command line names the files
    server: str | None = None  # export
    tenant: str | None = None  # export
    path: str = "-"  # of the file: init writes it, show, push and verify read it
    is_from_live: bool = False  # init
    write_env: str | None = None  # init: path of a file for the variables that the hooks file needs
    with_values: bool = False  # init: whether it holds the values that live URLs tell
    kind: SchemaKind = "hooks"  # schema
    shell: str | None = None  # completion: whose script to print; None: `words`
    words: str = "addresses"  # completion: or "tenancies"


def read_options(arguments: argparse.Namespace) -> Options:
    """Take each field from the flag of its name."""
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(arguments).items()}
    return Options(**given_fields(Options, given))
