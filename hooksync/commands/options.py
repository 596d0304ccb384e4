"""Options that several commands share. A field's name is the `dest` of its flag. Pure."""

from __future__ import annotations

from hooksync.api.options import FileOptions
from hooksync.core.model import SecretRef


class SecretOptions(FileOptions, frozen=True):
    """Which secrets events may be signed with."""

    secrets: tuple[SecretRef, ...] = ()  # () and no named files: those of the default hooks file
