"""The backend for a branch at the remote of the hooks file's repository, through the `git` program.

The branch contains the state, and moves forward only: a server may protect it against force
pushes. The run lock has a ref of its own, to which the protection of branches does not apply. Each
write is one atomic push, on the condition that the lock is still the one that was read.

The backend adds objects to the local repository, which may be shallow or partial. Nothing else
changes there: no branch, no index and no file of the working tree.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from hooksync.core.errors import Problem, StateError, UsageError, os_reason
from hooksync.core.git import FAILURES, Git, find_git
from hooksync.core.model import Variables
from hooksync.core.record import replace
from hooksync.core.redaction import Redactor, printable
from hooksync.state.contract import BackendData, Changed, VersionedData

_STATE = "hooks.state.json"
_LOCK = "run-lock.json"

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
    "--atomic",
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

# a ref that was not pushed: "rejected" by this git, or "remote rejected" by the server; the reason
_REJECTED = re.compile(r"^!\t[^\t\n]*\t\[([^]\n]*)\] \((.*)\)$", re.MULTILINE)

_ELSEWHERE = "or name a different place with --state"
_NEEDED = "Git 2.38 or later"


class GitBackend:
    """A branch with the state, in which each change is a commit, and a ref with the run lock.

    A version is the commits of both ("" if a ref does not exist) and the text of the state. The ref
    of the lock gets a new commit with each write. It also stays without a lock, so that the same
    version never comes again.
    """

    def __init__(self, where: str, folder: str, environ: Variables, timeout: float = 60.0) -> None:
        """`where`: `git:BRANCH`; `folder`: of the hooks file; `timeout`: seconds for a command.

        Raises UsageError if the name of the branch is not valid.
        """
        self.where = where
        branch = where.removeprefix("git:")
        if not _BRANCH.fullmatch(branch):
            what = f"the state {where} does not name a valid branch"
            raise UsageError(Problem(what, "e.g. git:hooksync-state"))
        self._branch_ref = f"refs/heads/{branch}"
        self._lock_ref = f"refs/hooksync/{branch}"
        self._folder = folder
        self._environ = environ
        self._timeout = timeout

    def get(self) -> VersionedData | None:
        """Fetch both refs and their version; None if neither exists. Raises StateError."""
        names = (self._branch_ref, self._lock_ref)
        heads = {}
        for line in self._output_line("ls-remote", "--", self._url, *names).splitlines():
            commit, _, ref = line.partition("\t")
            if ref in names:  # ls-remote also finds longer names that end in them
                heads[ref] = commit
        if not heads:
            return None
        missing = []
        for commit in heads.values():
            code, _, _ = self._run("cat-file", "-e", commit)
            if code:
                missing.append(commit)
        if missing:
            self._read(*_FETCH, "--", self._url, *missing)
        head = heads.get(self._branch_ref, "")
        lock = heads.get(self._lock_ref, "")
        content = BackendData(self._file(head, _STATE), self._file(lock, _LOCK))
        return content, (head, lock, content.state)

    def put(self, content: BackendData, version: Any, message: str) -> Any:
        """Push the content in place of this version (None: no refs), and return the new version.

        The branch gets a commit only if the state changes.

        Raises Changed if the refs have a different version. Raises StateError if nothing was
        written, or if that is not known.
        """
        head, former_lock, former_state = version or ("", "", None)
        subject = f"hooksync: {printable(message)}"
        refs = []
        commit = head
        if content.state != former_state:
            commit = self._commit(_STATE, content.state, head, subject)
            refs.append((self._branch_ref, head, commit))
        # which commit of the branch the lock protects, so that no two commits are the same
        lock_message = f"{subject}\n\nState: {commit or 'none'}"
        lock = self._commit(_LOCK, content.lock, "", lock_message)
        refs.append((self._lock_ref, former_lock, lock))
        self._push(refs)
        return commit, lock, content.state

    def _push(self, refs: Sequence[tuple[str, str, str]]) -> None:
        """Push all refs or none. Raises Changed or StateError.

        `refs`: each with its expected and its new commit. A commit of the branch is a child of the
        expected one, so the branch only moves forward.
        """
        leases = [f"--force-with-lease={ref}:{expected}" for ref, expected, _ in refs]
        changes = [f"{commit}:{ref}" for ref, _, commit in refs]
        code, out, stderr = self._run(*_PUSH, *leases, "--", self._url, *changes)
        rejected = dict(_REJECTED.findall(out.decode("utf-8", "replace")))
        if "remote rejected" in rejected:
            reason = Redactor().quote(f"{rejected['remote rejected']}; {stderr}")
            what = f"the server refuses to write the state {self.where}: {reason}"
            fix = (
                f"allow this account to push to {self._branch_ref} (never by force) and to"
                f" {self._lock_ref}, without a pull request"
            )
            raise StateError(Problem(what, fix))
        if rejected:
            raise Changed
        if code:
            raise self._error("push --atomic", stderr)

    def _commit(self, name: str, text: str | None, parent: str, message: str) -> str:
        """Write a commit with one file into the local repository, and return its id.

        `text`: of the file; None: no file. `parent`: "" for none.
        """
        entries = ""
        if text is not None:
            blob = self._output_line("hash-object", "-w", "--stdin", data=text)
            entries = f"100644 blob {blob}\t{name}\n"
        tree = self._output_line("mktree", data=entries)
        arguments = ["commit-tree", tree, "-m", message]
        if parent:
            arguments += ["-p", parent]
        return self._output_line(*arguments)

    def _file(self, commit: str, name: str) -> str | None:
        """Return the text of the only file of a commit; None: the commit has none, or is ""."""
        entries = os.fsdecode(self._read("ls-tree", "-z", commit)) if commit else ""
        if not entries:
            return None
        blob = re.fullmatch(rf"100\d+ blob (\w+)\t{re.escape(name)}\0", entries)
        with suppress(UnicodeDecodeError):
            if blob:
                return self._read("cat-file", "blob", blob[1]).decode()
        what = f"the branch of the state {self.where} contains files that hooksync did not write"
        fix = "name a branch for the state alone, or revert its last commit, and push that"
        raise StateError(Problem(what, fix))

    @cached_property
    def _git(self) -> Git:
        """The repository of the hooks file. Raises StateError."""
        git = find_git(self._folder, self._environ, self._timeout)
        if git is None:
            what = f"the state {self.where} cannot be used"
            fix = f"keep the hooks file in a clone of the repository, {_ELSEWHERE}"
            raise StateError(Problem(f"{what}: {self._folder} is not in a git repository", fix))
        with suppress(*FAILURES):
            if not git.is_old():
                return replace(git, environ=_IDENTITY | git.environ)
        what = f"the state {self.where} needs {_NEEDED}: git is older, or cannot be run"
        raise StateError(Problem(what, f"install {_NEEDED}, {_ELSEWHERE}"))

    @cached_property
    def _url(self) -> str:
        """The URL that git pushes to. The state is also fetched from there. Raises StateError."""
        return self._output_line("remote", "get-url", "--push", "origin")

    def _run(self, *arguments: str, data: str = "") -> tuple[int, bytes, str]:
        """Return exit code, output and messages of git.

        Raises StateError if git cannot be started, or does not end in time.
        """
        try:
            code, out, stderr = self._git.run(*arguments, data=data.encode())
        except FAILURES as error:
            raise self._error(arguments[0], os_reason(error)) from None
        return code, out, stderr.decode("utf-8", "replace")

    def _read(self, *arguments: str, data: str = "") -> bytes:
        """Return the output of a git command. Raises StateError if the command fails."""
        code, out, stderr = self._run(*arguments, data=data)
        if code:
            raise self._error(arguments[0], stderr)
        return out

    def _output_line(self, *arguments: str, data: str = "") -> str:
        """Return the output of a git command as text, without the last line end."""
        return os.fsdecode(self._read(*arguments, data=data)).rstrip("\n")

    def _error(self, verb: str, reason: str) -> StateError:
        """Word an error of git, with what git printed."""
        fix = f"see that `git {verb}` works there: address, network and credentials are git's own"
        where = f"`git {verb}` in {self._git.folder}: {Redactor().quote(reason)}"
        return StateError(Problem(f"the state {self.where} cannot be used: {where}", fix))
