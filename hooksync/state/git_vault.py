"""A content on a branch of the repository that the hooks file lies in, at its remote, by the `git` program."""

from __future__ import annotations

from collections.abc import Mapping

from hooksync.core.errors import FileError, Problem
from hooksync.state.remote_store import Content


class GitVault:
    """A branch that holds one content; each write is a commit."""

    def __init__(self, where: str, folder: str, environ: Mapping[str, str]) -> None:
        """`where`: `git:BRANCH`; `folder`: of the hooks file. Raises UsageError for what cannot be a branch."""
        self.where = where

    def get(self) -> tuple[Content, str] | None:
        """Fetch the branch; None where it is not there."""
        raise FileError(Problem("not built yet", "wait"))

    def put(self, content: Content, version: str | None, message: str) -> str:
        """Push a commit upon the one of this version."""
        raise FileError(Problem("not built yet", "wait"))
