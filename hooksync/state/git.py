"""The backend for a branch at the remote of the hooks file's repository, through the `git` program.

It adds objects to the local repository, which may be shallow or partial. Nothing else changes
there: no branch, no index and no file of the working tree.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property

from hooksync.core.errors import FileError, Problem, UsageError, os_reason
from hooksync.core.git import FAILURES, Git, find_git
from hooksync.core.record import replace
from hooksync.core.redaction import Redactor, printable
from hooksync.state.contract import MOST_BYTES, Changed, Content

_STATE = "hooks.state.json"
_LOCK = "run-lock.json"
_MOST = {_STATE: MOST_BYTES, _LOCK: 8192}  # bytes of each file that the branch may hold

# a name that `git check-ref-format --branch` allows
_BRANCH = re.compile(
    r"(?!-|HEAD$)(?!.*(\.\.|@\{|//|/\.|\.lock(/|$)))[^\0-\x20\x7f~^:?*\[\\/.][^\0-\x20\x7f~^:?*\[\\]*(?<![/.])"
)
# no tag or submodule is fetched or pushed along
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
_PUSH = (
    "push",
    "--quiet",
    "--porcelain",
    "--no-signed",
    "--no-follow-tags",
    "--no-recurse-submodules",
)
# author and committer of the commits, if the environment names none
_IDENTITY = {
    "GIT_AUTHOR_NAME": "hooksync",
    "GIT_AUTHOR_EMAIL": "hooksync@localhost",
    "GIT_COMMITTER_NAME": "hooksync",
    "GIT_COMMITTER_EMAIL": "hooksync@localhost",
}

_REJECTED = re.compile(r"^!\t[^\t\n]*\t\[([^]\n]*)\] \((.*)\)$", re.MULTILINE)
_MOST_TRIES = 10  # to fetch the branch while others push to it

_ELSEWHERE = "or name a different place with --state"
_NEEDED = "Git 2.38 or later"


class GitBackend:
    """A branch that contains one Content; each change of the state is a commit."""

    def __init__(
        self, where: str, folder: str, environ: Mapping[str, str], timeout: float = 60.0
    ) -> None:
        """`where`: `git:BRANCH`; `folder`: of the hooks file; `timeout`: seconds for a command.

        Raises UsageError if the name of the branch is not valid.
        """
        self.where = where
        branch = where.removeprefix("git:")
        if not _BRANCH.fullmatch(branch):
            raise UsageError(
                Problem(
                    f"the state {where} does not name a valid branch", "e.g. git:hooksync-state"
                )
            )
        self._ref = f"refs/heads/{branch}"
        self._folder = folder
        self._environ = environ
        self._timeout = timeout

    def get(self) -> tuple[Content, str] | None:
        """Fetch the branch and its version; None if it does not exist. Raises FileError."""
        for _ in range(_MOST_TRIES):
            head = self._remote_head()
            if head is None:
                return None
            if not self._has_object(head):
                self._read(*_FETCH, *self._depth, "--", self._url, self._ref)
            if self._has_object(head):  # false if others pushed between the two commands
                return self._content(head), head
        raise self._error("fetch", "the branch changes all the time")

    def put(self, content: Content, version: str | None, message: str) -> str:
        """Push a commit that replaces this version (None: no branch), and return the new version.

        A commit with a run lock does not stay in the history: only changes of the state do.

        If the branch contained only a run lock and the content is empty, the branch is removed.
        The new version is then "".

        Raises Changed if the branch has a different version. Raises FileError if nothing was
        written, or if that is not known.
        """
        base = self._without_lock(version)
        if base is None and content == Content():
            commit = ""  # there was no branch before the run lock
        elif base is not None and self._content(base) == content:
            commit = base
        else:
            commit = self._commit(content, base, f"hooksync: {printable(message)}")
        self._push(commit, version)
        return commit

    def _without_lock(self, version: str | None) -> str | None:
        """Return this commit, or its parent if it has a run lock; None if neither exists."""
        if not version or self._content(version).lock is None:
            return version or None
        code, out, _ = self._run("rev-parse", "--verify", "--quiet", f"{version}^")
        return os.fsdecode(out).strip() if code == 0 else None

    def _push(self, commit: str, version: str | None) -> None:
        """Push a commit to the branch ("": remove the branch). Raises Changed or FileError."""
        lease = f"--force-with-lease={self._ref}:{version or ''}"
        code, out, stderr = self._run(*_PUSH, lease, "--", self._url, f"{commit}:{self._ref}")
        rejected = _REJECTED.search(out.decode("utf-8", "replace"))
        if rejected and rejected[1] == "rejected":
            raise Changed
        if rejected:
            reason = Redactor().quote(f"{rejected[2]}; {stderr}")
            what = f"the server refuses to write the state {self.where}: {reason}"
            fix = "let hooksync push to that branch: no rule of the server may protect it"
            raise FileError(Problem(what, fix))
        if code:
            raise self._error("push", stderr)

    def _commit(self, content: Content, parent: str | None, message: str) -> str:
        """Write a commit with this content into the local repository, and return its id."""
        entries = ""
        for name, text in ((_STATE, content.state), (_LOCK, content.lock)):
            if text is not None:
                blob = self._output_line("hash-object", "-w", "--stdin", data=text)
                entries += f"100644 blob {blob}\t{name}\n"
        tree = self._output_line("mktree", data=entries)
        arguments = ["commit-tree", tree, "-m", message]
        if parent:
            arguments += ["-p", parent]
        return self._output_line(*arguments)

    def _remote_head(self) -> str | None:
        """Return the last commit of the branch at the remote; None: there is no branch."""
        for line in self._output_line("ls-remote", "--", self._url, self._ref).splitlines():
            commit, _, ref = line.partition("\t")
            if ref == self._ref:  # ls-remote also finds longer names that end in it
                return commit
        return None

    def _has_object(self, commit: str) -> bool:
        code, _, _ = self._run("cat-file", "-e", commit)
        return code == 0

    def _content(self, commit: str) -> Content:
        texts: dict[str, str] = {}
        for entry in os.fsdecode(self._read("ls-tree", "-l", "-z", commit)).split("\0")[:-1]:
            about, _, name = entry.partition("\t")
            mode, _, blob, size = about.split()
            is_file = name in _MOST and mode.startswith("100")
            if not is_file or int(size) > _MOST[name]:
                raise self._not_ours(name)
            try:
                texts[name] = self._read("cat-file", "blob", blob).decode("utf-8-sig")
            except UnicodeDecodeError:
                raise self._not_ours(name) from None
        return Content(texts.get(_STATE), texts.get(_LOCK))

    def _not_ours(self, name: str) -> FileError:
        what = f"the branch of the state {self.where} contains a file that hooksync did not write"
        fix = "name a branch for the state alone, or revert its last commit, and push that"
        return FileError(Problem(f"{what}: {Redactor().quote(name)}", fix))

    @cached_property
    def _git(self) -> Git:
        """The repository of the hooks file. Raises FileError."""
        git = find_git(self._folder, self._environ, self._timeout)
        if git is None:
            what = (
                f"the state {self.where} cannot be used: {self._folder} is not in a git repository"
            )
            raise FileError(
                Problem(what, f"keep the hooks file in a clone of the repository, {_ELSEWHERE}")
            )
        try:
            reason = "this git is older" if git.is_old() else ""
        except FAILURES as error:
            reason = f"git cannot be run: {os_reason(error)}"
        if reason:
            what = f"the state {self.where} needs {_NEEDED}: {reason}"
            raise FileError(Problem(what, f"install {_NEEDED}, {_ELSEWHERE}"))
        return replace(git, environ=_IDENTITY | git.environ)

    @cached_property
    def _url(self) -> str:
        """The URL that git pushes to. The state is also fetched from there. Raises FileError."""
        _, out, _ = self._run("config", "--get", "remote.pushDefault")
        name = os.fsdecode(out).strip() or "origin"
        code, out, stderr = self._run("remote", "get-url", "--push", name)
        if code:
            what = f"the state {self.where} has no remote in {self._git.folder}: "
            what += Redactor().quote(stderr)
            fix = "`git remote add`, or choose one by `git config remote.pushDefault NAME`"
            raise FileError(Problem(what, fix))
        return os.fsdecode(out).rstrip("\n")

    @cached_property
    def _depth(self) -> tuple[str, ...]:
        """The option that limits a fetch into a shallow clone to the last two commits."""
        is_shallow = self._output_line("rev-parse", "--is-shallow-repository") == "true"
        return ("--depth=2",) if is_shallow else ()

    def _run(self, *arguments: str, data: str = "") -> tuple[int, bytes, str]:
        """Return exit code, output and messages of git.

        Raises FileError if git cannot be started, or does not end in time.
        """
        try:
            code, out, stderr = self._git.run(*arguments, data=data.encode())
        except FAILURES as error:
            raise self._error(arguments[0], os_reason(error)) from None
        return code, out, stderr.decode("utf-8", "replace")

    def _read(self, *arguments: str, data: str = "") -> bytes:
        """Return the output of a git command. Raises FileError if the command fails."""
        code, out, stderr = self._run(*arguments, data=data)
        if code:
            raise self._error(arguments[0], stderr)
        return out

    def _output_line(self, *arguments: str, data: str = "") -> str:
        """Return the output of a git command as text, without the last line end."""
        return os.fsdecode(self._read(*arguments, data=data)).rstrip("\n")

    def _error(self, verb: str, reason: str) -> FileError:
        fix = f"see that `git {verb}` works there: address, network and credentials are git's own"
        what = (
            f"the state {self.where} cannot be used: `git {verb}` in {self._git.folder}:"
            f" {Redactor().quote(reason)}"
        )
        return FileError(Problem(what, fix))
