"""Git, started so that nothing that a commit adds decides what it does, and without prompts.

It works in the folder that holds `.git`, a name that no commit can contain. The settings of that
repository, of the user and of the system are the user's own, and count.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial

from hooksync.core.clock import within
from hooksync.core.model import process_environ
from hooksync.core.record import Record

OLDEST = (2, 38)  # the first one that knows safe.bareRepository
FAILURES = (OSError, ValueError)  # what `Git.run` raises

_MOST_OUTPUT = 65 * 1024 * 1024  # bytes: a state, and some more
_COMMIT_SECONDS = 10.0  # for the look at HEAD

# of `git rev-parse --local-env-vars`, what a hook of git has set for the repository that it runs in
_NOT_INHERITED = re.compile(
    r"GIT_(ALTERNATE_OBJECT_DIRECTORIES|CONFIG|OBJECT_DIRECTORY|DIR|WORK_TREE|IMPLICIT_WORK_TREE|GRAFT_FILE|INDEX_FILE"
    r"|NO_REPLACE_OBJECTS|REPLACE_REF_BASE|PREFIX|SHALLOW_FILE|COMMON_DIR|QUARANTINE_PATH|NAMESPACE)"
    r"|(PRESERVICA|HOOKSYNC)_.*"
)
# git and ssh, which have no terminal, do not ask in a window either
_SET = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
_SETTINGS = (
    "safe.bareRepository=explicit",
    f"core.hooksPath={os.devnull}",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
)
_VERSION = re.compile(rb"(\d{1,9})\.(\d{1,9})")


class Git(Record, frozen=True):
    """Runs git in a repository."""

    HIDDEN = ("environ",)

    folder: str  # that holds `.git`
    environ: dict[str, str]
    seconds: float  # for one command

    def run(self, *arguments: str, data: bytes = b"") -> tuple[int, bytes, bytes]:
        """Return exit code, output and errors. No signal of ours reaches git.

        Raises FAILURES, with what to report.
        """
        from hooksync.core import programs  # only here: most runs start none

        # Not --git-dir: git then no longer checks who owns the repository (safe.directory).
        command = ["git", "-C", self.folder]
        for setting in _SETTINGS:
            command += ["-c", setting]
        with programs.start([*command, *arguments], self.environ, talks=True) as process:
            try:
                return within(self.seconds, partial(programs.talk, process, _MOST_OUTPUT, data))
            except BaseException:
                programs.end(process)
                raise

    def is_old(self) -> bool:
        """Whether this git is older than OLDEST. Raises as `run`."""
        _, output, _ = self.run("version")
        found = _VERSION.search(output)
        return found is None or (int(found[1]), int(found[2])) < OLDEST


def find_git(path: str, environ: Mapping[str, str], seconds: float) -> Git | None:
    """Find the repository in which a file or folder is; None: in none.

    A folder that looks like a bare repository is none: a commit can add such a folder.
    """
    folder = os.path.realpath(path)
    while not os.path.lexists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above
    inherited = process_environ(environ)
    kept = {name: inherited[name] for name in inherited if not _NOT_INHERITED.fullmatch(name)}
    return Git(folder, kept | _SET, seconds)


def find_commit(path: str, environ: Mapping[str, str]) -> str | None:
    """Find the commit that is checked out where a hooks file is; None: it is not known."""
    if path == "-":
        return None
    try:
        git = find_git(path, environ, _COMMIT_SECONDS)
        if git is None:
            return None
        code, output, _ = git.run("rev-parse", "--verify", "--quiet", "HEAD")
    except FAILURES:  # the commit is a remark in a plan, and stops none
        return None
    return output.decode().strip() if code == 0 else None
