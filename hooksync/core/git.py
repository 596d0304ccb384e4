"""Runs git without prompts, and so that no file of a commit can influence it.

It works in the folder that contains `.git`, a name that no commit can contain. The git settings of
that repository, of the user and of the system apply: the user controls them.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePath

from hooksync.core.errors import os_reason
from hooksync.core.model import Variables, process_environ
from hooksync.core.record import Record

_MOST_OUTPUT = 65 * 1024 * 1024  # bytes; more than the largest state

# Variables that git does not get. A git hook sets the first ones, for its own repository; they are
# from `git rev-parse --local-env-vars`. The last ones are for hooksync, and may be secret.
_NOT_INHERITED = re.compile(
    r"GIT_(ALTERNATE_OBJECT_DIRECTORIES|CONFIG|OBJECT_DIRECTORY|DIR|WORK_TREE|IMPLICIT_WORK_TREE|GRAFT_FILE|INDEX_FILE"
    r"|NO_REPLACE_OBJECTS|REPLACE_REF_BASE|PREFIX|SHALLOW_FILE|COMMON_DIR|QUARANTINE_PATH|NAMESPACE)"
    r"|(PRESERVICA|HOOKSYNC)_.*"
)
# Variables that git gets. No prompt: git asks in no terminal, ssh in no window.
_ADDED_VARIABLES = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_NO_REPLACE_OBJECTS": "1",
}
_OPTIONS = (
    "--literal-pathspecs",
    "-c",
    "safe.bareRepository=explicit",
    "-c",
    f"core.hooksPath={os.devnull}",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
)


class Git(Record):
    """Runs git in one repository."""

    folder: str  # the one that contains `.git`
    environ: dict[str, str]
    seconds: float = 60.0  # time limit for one command; it may call a server

    def run(self, *arguments: str, data: str = "") -> tuple[int, bytes, str]:
        """Run a command, and return exit code, output and errors. Ctrl-C does not reach git.

        `data`: its input. If git cannot be run to its end, the code is -1, and the errors say why.
        """
        # Not --git-dir: with it, git does not check who owns the repository (safe.directory).
        command = ["git", "-C", self.folder, *_OPTIONS, *arguments]
        from hooksync.core import programs  # most runs need no program, and no `subprocess`

        try:
            code, output, errors = programs.run(
                command, self.environ, self.seconds, _MOST_OUTPUT, data.encode()
            )
        except (OSError, ValueError) as error:
            return -1, b"", os_reason(error)
        return code, output, errors.decode("utf-8", "replace")

    def read(self, ref: str, path: str) -> bytes | None:
        """Return a regular file of a commit; None: there is none, or git cannot tell.

        `ref`: `refs/...` or the full id of a commit; `path`: from the top of its tree.
        """
        commit = ref
        if ref.startswith("refs/"):  # as an abbreviation, it could also mean `refs/tags/refs/...`
            _, output, _ = self.run("show-ref", "--verify", "--hash", "--", ref)
            commit = output.decode().strip()
        tree = f"{commit}^{{commit}}"
        _, output, _ = self.run("ls-tree", "-z", "--full-tree", tree, "--", path)
        fields, _, name = os.fsdecode(output).rstrip("\0").partition("\t")
        if name != path or not fields.startswith("100"):  # 120000 is a link
            return None
        code, data, _ = self.run("cat-file", "blob", fields.split()[2])
        return None if code else data


def find_repository(path: str) -> str | None:
    """Find the folder of the repository that contains a file or folder, after following links.

    A bare repository does not count: a commit can add a folder that looks like one.
    """
    start = PurePath(os.path.realpath(path))
    for folder in (start, *start.parents):
        if os.path.lexists(os.path.join(folder, ".git")):
            return str(folder)
    return None


def find_git(path: str, environ: Variables) -> Git | None:
    """Find the repository that contains a file or folder; None: there is none."""
    folder = find_repository(path)
    if folder is None:
        return None
    inherited = process_environ(environ)
    kept = {name: inherited[name] for name in inherited if not _NOT_INHERITED.fullmatch(name)}
    return Git(folder, kept | _ADDED_VARIABLES)


def find_commit(path: str, environ: Variables) -> str | None:
    """Find the checked-out commit of the repository of a hooks file; None: it is not known."""
    code, output = _ask(path, environ, "rev-parse", "--verify", "--quiet", "HEAD")
    return output.decode() if code == 0 else None


def lacks_commit(path: str, environ: Variables, commit: str) -> bool:
    """Whether the checkout of a hooks file has its whole history, and not this commit in it."""
    _, is_shallow = _ask(path, environ, "rev-parse", "--is-shallow-repository")
    code, _ = _ask(path, environ, "merge-base", "--is-ancestor", commit, "HEAD")
    return is_shallow == b"false" and code > 0


def takes_file(path: str, environ: Variables) -> bool:
    """Whether Git tracks a file, or would add it."""
    if find_repository(path) is None:
        return False
    # check-ignore fails with --literal-pathspecs
    ask = "--no-literal-pathspecs", "check-ignore", "--quiet", "--", os.path.abspath(path)
    code, _ = _ask(path, environ, *ask)
    return code != 0


def _ask(path: str, environ: Variables, *arguments: str) -> tuple[int, bytes]:
    """Return exit code and output of git in the checkout of a hooks file; -1: it gave none."""
    git = None if path == "-" else find_git(path, environ)
    if git is None:
        return -1, b""
    code, output, _ = git.run(*arguments)
    return code, output.strip()
