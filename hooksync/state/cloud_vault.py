"""A content in an object of S3, Azure or Google Cloud Storage, by obstore."""

from __future__ import annotations

from collections.abc import Mapping

from hooksync.core.errors import FileError, Problem
from hooksync.state.remote_store import Content


class CloudVault:
    """An object that holds one content."""

    def __init__(self, where: str, environ: Mapping[str, str]) -> None:
        """`where`: `s3://BUCKET/KEY` and the like. Raises UsageError for a wrong one."""
        self.where = where

    def get(self) -> tuple[Content, str] | None:
        """Fetch the object; None where it is not there."""
        raise FileError(Problem("not built yet", "wait"))

    def put(self, content: Content, version: str | None, message: str) -> str:
        """Write over this version."""
        raise FileError(Problem("not built yet", "wait"))
