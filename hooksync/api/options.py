"""How hooks files are read, and how tenancies are compared and changed. Pure.

The commands add their own options to these; a field's name is the `dest` of its flag.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hooksync.core.record import Record, replace


class FileOptions(Record, frozen=True):
    """Which hooks files to read, and what they may name."""

    files: tuple[str, ...]
    names_files: bool = False  # whether the command line names them
    policy: str | None = None  # a path
    allows_commands: bool = False  # without a policy
    credentials: str | None = None  # path of pyPreservica's file; None: that of the working folder
    tenancies: tuple[str, ...] = ()  # globs of names
    targets: tuple[str, ...] = ()  # globs of addresses


class RunOptions(FileOptions, frozen=True):
    """How tenancies are read, compared and changed."""

    timeout: float = 30.0  # seconds a call may take
    parallelism: int = 8  # calls in flight over the whole run
    state: str | None = None  # where it is; None: beside the first file
    uses_state: bool = True
    lock_timeout: float | None = None  # seconds to wait for the run lock; None: as is usual here
    replace: tuple[str, ...] = ()  # globs of addresses
    probes: bool | None = None  # challenge receivers; None: only apply does, as each tenancy says
    is_confirmed: bool = False  # apply without a prompt
    saved_plan: str | None = None  # path of a plan that the new one must be the same as
    max_age: timedelta | None = None  # of the saved plan


def selection_of(options: RunOptions) -> dict[str, object]:
    """Write what a plan was made of, as flags: it is not given again when the plan is applied."""
    return {
        "tenancy": options.tenancies,
        "target": options.targets,
        "replace": options.replace,
    }


def with_selection(options: RunOptions, given: Mapping[str, Any]) -> RunOptions:
    """Select again what `selection_of` has written."""
    return replace(
        options,
        tenancies=tuple(given.get("tenancy", ())),
        targets=tuple(given.get("target", ())),
        replace=tuple(given.get("replace", ())),
    )
