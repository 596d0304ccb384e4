"""Options: how hooks files are read, and how tenancies are compared and changed. Pure.

The commands add their own options to these; a field's name is the `dest` of its flag.
"""

from __future__ import annotations

from hooksync.core.model import Globs
from hooksync.core.record import Record


class FileOptions(Record, frozen=True):
    """Which hooks files to read, and what they may name."""

    files: tuple[str, ...]
    names_files: bool = False  # whether the command line names them
    policy: str | None = None  # a path
    allows_commands: bool = False  # run the programs that hooks files name; a policy overrides this
    credentials: str | None = None  # path of pyPreservica's file; None: that of the working folder
    tenancies: Globs = ()  # globs of names
    targets: Globs = ()  # globs of addresses


class RunOptions(FileOptions, frozen=True):
    """How tenancies are read, compared and changed."""

    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run
    state: str | None = None  # where it is; None: beside the first file
    uses_state: bool = True
    # seconds to wait for the run lock; None: until it is known whether its holder still runs
    lock_timeout: float | None = None
    replace: Globs = ()  # globs of addresses
    # whether to challenge receivers; None: only apply does, by the `probe` of each tenancy
    probes: bool | None = None
    is_confirmed: bool = False  # apply without a prompt
