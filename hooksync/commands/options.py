"""What the options of several commands share. A field's name is the `dest` of its flag. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hooksync.api.options import FileOptions, RunOptions

if TYPE_CHECKING:
    from hooksync.core.model import SecretRef

Format = Literal["text", "json", "markdown", "html"]


class LiveOptions(RunOptions, frozen=True):
    """Which tenancies to read: those of hooks files, or a named one."""

    server: str | None = None
    tenant: str | None = None


class ExportOptions(LiveOptions, frozen=True):
    """The flags of `export`, and what `init --from-live` writes."""

    write_env: str | None = None  # path of a file for the variables that the hooks file needs


class SecretOptions(FileOptions, frozen=True):
    """Which secrets events may be signed with."""

    secrets: tuple[SecretRef, ...] = ()  # () and no named files: those of the default hooks file
