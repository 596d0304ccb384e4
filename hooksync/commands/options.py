"""What the options of several commands share. A field's name is the `dest` of its flag. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from hooksync.core.record import Record

if TYPE_CHECKING:
    from hooksync.config.declarations import Shard
    from hooksync.core.model import SecretRef

Format = Literal["text", "json", "markdown", "html"]


class FileOptions(Record, frozen=True):
    """Which hooks files to read, and what they may name."""

    files: tuple[str, ...]
    names_files: bool = False  # whether the command line names them
    policy: str | None = None  # a path
    allows_commands: bool = False  # without a policy
    credentials: str | None = None  # path of pyPreservica's file; None: that of the working folder
    tenancies: tuple[str, ...] = ()  # globs of names
    targets: tuple[str, ...] = ()  # globs of addresses
    shard: Shard | None = None  # None: all tenancies


class RunOptions(FileOptions, frozen=True):
    """How tenancies are read, compared and changed."""

    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run
    state: str | None = None  # where it is; None: beside the first file
    uses_state: bool = True
    lock_timeout: float | None = None  # seconds to wait for the run lock; None: as is usual here
    replace: tuple[str, ...] = ()  # globs of addresses
    prunes: bool = True
    allows_mass_unsubscribe: bool = False
    probes: bool | None = None  # challenge receivers; None: only apply does, as each tenancy says
    adopts: bool = False  # record the declared secrets of kept subscriptions that the state lacks
    is_confirmed: bool = False  # apply without a prompt
    saved_plan: str | None = None  # path of a plan to apply instead of making one
    max_age: timedelta | None = None  # of the saved plan


class LiveOptions(RunOptions, frozen=True):
    """Which tenancies to read: those of hooks files, or a named one."""

    server: str | None = None
    tenant: str | None = None


class ExportOptions(LiveOptions, frozen=True):
    """The flags of `export`, and what `init --from-live` writes."""

    path: str = "-"  # of the hooks file
    write_env: str | None = None  # path of a file for the variables that the hooks file needs
    with_values: bool = False  # whether it contains the values that live URLs show


class ReceiverOptions(FileOptions, frozen=True):
    """Which one receiver to call."""

    HIDDEN = ("url",)

    url: str | None = None  # None: the one of `address`
    secrets: tuple[SecretRef, ...] = ()  # the first one signs
    address: str | None = None  # of a declared subscription
    timeout: float = 30.0  # seconds


def named_receiver(options: FileOptions, url: str, secrets: tuple[SecretRef, ...], timeout: float) -> ReceiverOptions:
    """Name one receiver on the command line, held to the same policy as hooks files."""
    return ReceiverOptions(
        options.files,
        policy=options.policy,
        allows_commands=options.allows_commands,
        url=url,
        secrets=secrets,
        timeout=timeout,
    )


class SecretOptions(FileOptions, frozen=True):
    """Which secrets events may be signed with."""

    secrets: tuple[SecretRef, ...] = ()  # () and no named files: those of the default hooks file
