"""Options: how hooks files are read, and how tenancies are compared and changed. Pure.

The commands add their own options to these; a field's name is the `dest` of its flag.
"""

from __future__ import annotations

from hooksync.config.files import DEFAULT_FILE
from hooksync.core.model import Globs
from hooksync.core.record import Record
from hooksync.core.run_flags import RunFlags


class FileOptions(Record):
    """Which hooks files to read, and what they may name."""

    files: tuple[str, ...]
    names_files: bool = False  # whether the command line names them
    policy: str | None = None  # a path
    allows_commands: bool = False  # run the programs that hooks files name; a policy overrides this
    credentials: str | None = None  # path of pyPreservica's file; None: that of the working folder
    tenancies: Globs = ()  # globs of names
    targets: Globs = ()  # globs of addresses
    since: str | None = None  # only tenancies that differ from the merge base with this commit


class RunOptions(FileOptions):
    """How tenancies are read, compared and changed."""

    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run
    state: str | None = None  # where it is; None: beside the first file
    uses_state: bool = True
    # seconds to wait for the run lock; None: until it is known whether its holder still runs
    lock_timeout: float | None = None
    replace: Globs = ()  # globs of addresses
    adopt: Globs = ()  # globs of addresses
    remove: tuple[str, ...] = ()  # live ids; if there are any, apply does nothing else
    probes: bool = False  # whether a plan challenges receivers; apply does, as `probe` says
    is_confirmed: bool = False  # apply without a prompt
    env_files: tuple[str, ...] = ()  # paths of files of variables, which were read already

    @property
    def flags(self) -> RunFlags:
        """The flags of this run that printed commands repeat."""
        given: list[tuple[str, ...]] = []
        for name, flag in _REPEATED.items():
            value = getattr(self, name)
            if value is True:
                given.append((flag,))
            elif value != getattr(_USUAL, name):
                values = value if isinstance(value, tuple) else [value]
                given += [(flag, str(text)) for text in values]
        return RunFlags(tuple(given))


_USUAL = RunOptions((DEFAULT_FILE,))
# the flags that printed commands repeat, by their fields
_REPEATED = {
    "files": "-f",
    "env_files": "--env-file",
    "state": "--state",
    "credentials": "--credentials",
    "policy": "--policy",
    "tenancies": "--tenancy",
    "targets": "--target",
    "replace": "--replace",
    "adopt": "--adopt",
    "timeout": "--timeout",
    "allows_commands": "--allow-commands",
    "probes": "--probe",
    "is_confirmed": "--yes",
}
