"""Which backend keeps a state, by what names its place, and where a state lies if nothing names it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.errors import Problem, UsageError
from hooksync.core.output import Output
from hooksync.core.redaction import printable
from hooksync.state.integrity import find_integrity
from hooksync.state.local_store import LocalStore
from hooksync.state.store import StateStore

if TYPE_CHECKING:
    from hooksync.state.remote_store import Vault

EXPIRY_VARIABLE = "HOOKSYNC_LOCK_EXPIRY"

_SUFFIX = ".state.json"
_CLOUDS = ("s3://", "az://", "gs://")


def open_store(
    where: str, environ: Mapping[str, str], file: str, output: Output, clock: Clock = SYSTEM_CLOCK
) -> StateStore:
    """Find what keeps a state: `git:BRANCH`, `s3://BUCKET/KEY`, `az://CONTAINER/KEY`, `gs://BUCKET/KEY`, or a path.

    `file`: the first hooks file, a folder of them, or "-"; `output`: what it writes through. Nothing is reached yet.
    Raises UsageError for a name that is wrong in itself, FileError for a key that is too short.
    """
    store: StateStore = LocalStore(where)
    if vault := _find_vault(where, environ, file):
        from hooksync.state.remote_store import RemoteStore  # only here, as its vaults: most runs have a file

        store = RemoteStore(vault, clock, output.message, f"{_stem(file)}.unsaved{_SUFFIX}", expiry=_expiry(environ))
    store.integrity = find_integrity(environ, output)
    return store


def _find_vault(where: str, environ: Mapping[str, str], file: str) -> Vault | None:
    if where.startswith("git:"):
        from hooksync.state.git_vault import GitVault

        return GitVault(where, os.path.dirname(_stem(file)) or ".", environ)
    if where.startswith(_CLOUDS):
        from hooksync.state.cloud_vault import CloudVault

        return CloudVault(where, environ)
    if "://" in where:
        fix = "write git:BRANCH, s3://BUCKET/KEY, az://CONTAINER/KEY, gs://BUCKET/KEY, or a path"
        raise UsageError(Problem(f"no state can be kept at {printable(where.partition('://')[0])}://", fix))
    return None


def _stem(file: str) -> str:
    """Return the path that what lies beside a hooks file begins with. `file`: a folder of them, too; or "-"."""
    if file == "-" or os.path.isdir(file):
        return os.path.join("" if file == "-" else file, "hooks")
    return os.path.splitext(file)[0]


def _expiry(environ: Mapping[str, str]) -> float:
    """Return the seconds for which a run lock holds without being renewed."""
    text = environ.get(EXPIRY_VARIABLE) or "60"
    if not text.isdecimal() or not 2 <= int(text) <= 3600:
        raise UsageError(Problem(f"{EXPIRY_VARIABLE} is not a number of seconds from 2 to 3600", "unset it, or set 60"))
    return float(text)


def state_place(file_arguments: Sequence[str], flag: str | None, disabled: bool) -> str | None:
    """Return where a run's state is: as the flag says, else beside the first hooks file, or in its directory.

    None: the run keeps no state. For standard input there is no default.
    """
    if disabled:
        return None
    first = file_arguments[0] if file_arguments else "-"
    if flag is not None or first == "-":
        return flag
    return f"{_stem(first)}{_SUFFIX}"


def is_harmless(where: str) -> bool:
    """Whether any plan may have a state created there: by the name of a default one, in the current folder or below."""
    if where.startswith("git:") or "://" in where or not where.endswith(_SUFFIX):
        return False
    here = os.path.join(os.path.realpath(os.curdir), "")
    return os.path.join(os.path.realpath(os.path.dirname(where)), "").startswith(here)
