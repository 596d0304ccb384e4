"""The backend for a branch at the remote of the hooks file's repository, through the `git` program.

The branch contains the state, and moves forward only: a server may protect it against force
pushes. The run lock has a ref of its own, to which the protection of branches does not apply. Each
write is one atomic push, on the condition that the lock is still the one that was read.

The backend adds objects to the local repository, which may be shallow or partial. Nothing else
changes there: no branch, no index and no file of the working tree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from hooksync.core.errors import StateError, UsageError
from hooksync.core.git import Git, find_git
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


class GitBackend:
    """A branch with the state, in which each change is a commit, and a ref with the run lock.

    A version is the commits of both ("" if a ref does not exist) and the text of the state. The ref
    of the lock gets a new commit with each write. It also stays without a lock, so that the same
    version never comes again.
    """

    def __init__(self, where: str, folder: str, environ: Variables) -> None:
        """`where`: `git:BRANCH`; `folder`: of the hooks file.

        Raises UsageError if the name of the branch is not valid.
        """
        self.where = where
        branch = where.removeprefix("git:")
        if not _BRANCH.fullmatch(branch):
            raise UsageError(
                f"the state {where} does not name a valid branch", "e.g. git:hooksync-state"
            )
        self._branch_ref = f"refs/heads/{branch}"
        self._lock_ref = f"refs/hooksync/{branch}"
        self._folder = folder
        self._environ = environ

    def get(self) -> VersionedData:
        """Fetch both refs and their version, which is None if neither exists. Raises StateError."""
        refs = {}
        found = self._read("ls-remote", "--", self._url, self._branch_ref, self._lock_ref)
        for line in found.splitlines():
            commit, _, ref = line.partition("\t")
            refs[ref] = commit  # ls-remote also finds longer names that end in these
        head = refs.get(self._branch_ref, "")
        lock = refs.get(self._lock_ref, "")
        commits = [commit for commit in (head, lock) if commit]
        missing = [commit for commit in commits if self._git.run("cat-file", "-e", commit)[0]]
        if missing:
            self._read(*_FETCH, "--", self._url, *missing)
        content = BackendData(self._file(head, _STATE), self._file(lock, _LOCK))
        return content, (head, lock, content.state) if commits else None

    def put(self, content: BackendData, version: Any, message: str) -> Any:
        """Push the content in place of this version (None: no refs), and return the new version.

        The branch gets a commit only if the state changes. That commit is a child of the former
        one, so the branch only moves forward.

        Raises Changed if the refs have a different version. Raises StateError if nothing was
        written, or if that is not known.
        """
        head, former_lock, former_state = version or ("", "", None)
        subject = f"hooksync: {printable(message)}"
        leases = [f"--force-with-lease={self._lock_ref}:{former_lock}"]
        changes = []
        commit = head
        if content.state != former_state:
            commit = self._commit(_STATE, content.state, head, subject)
            leases.append(f"--force-with-lease={self._branch_ref}:{head}")
            changes.append(f"{commit}:{self._branch_ref}")
        # which commit of the branch the lock protects, so that no two commits are the same
        lock_message = f"{subject}\n\nState: {commit or 'none'}"
        lock = self._commit(_LOCK, content.lock, "", lock_message)
        changes.append(f"{lock}:{self._lock_ref}")
        self._push([*leases, "--", self._url, *changes])
        return commit, lock, content.state

    def _push(self, arguments: Sequence[str]) -> None:
        """Push all refs or none. Raises Changed or StateError."""
        code, out, errors = self._git.run(*_PUSH, *arguments)
        rejected = dict(_REJECTED.findall(out.decode("utf-8", "replace")))
        if "remote rejected" in rejected:
            reason = Redactor().quote(f"{rejected['remote rejected']}; {errors}")
            raise StateError(
                f"the server refuses to write the state {self.where}: {reason}",
                f"allow this account to push to {self._branch_ref} (never by force) and to"
                f" {self._lock_ref}, without a pull request",
            )
        if rejected:
            raise Changed(self.where)
        if code:
            raise self._error("push --atomic", errors)

    def _commit(self, name: str, text: str | None, parent: str, message: str) -> str:
        """Write a commit with one file into the local repository, and return its id.

        `text`: of the file; None: no file. `parent`: "" for none.
        """
        entries = ""
        if text is not None:
            blob = self._read("hash-object", "-w", "--stdin", data=text).strip()
            entries = f"100644 blob {blob}\t{name}\n"
        tree = self._read("mktree", data=entries).strip()
        parents = ("-p", parent) if parent else ()
        return self._read("commit-tree", tree, "-m", message, *parents).strip()

    def _file(self, commit: str, name: str) -> str | None:
        """Return the text of the only file of a commit; None: the commit has none, or is ""."""
        entries = self._read("ls-tree", "-z", commit) if commit else ""
        if not entries:
            return None
        blob = re.fullmatch(rf"100\d+ blob (\w+)\t{re.escape(name)}\0", entries)
        if blob:
            return self._read("cat-file", "blob", blob[1])
        raise StateError(
            f"the branch of the state {self.where} contains files that hooksync did not write",
            "name a branch for the state alone, or revert its last commit, and push that",
        )

    @cached_property
    def _git(self) -> Git:
        """The repository of the hooks file. Raises StateError."""
        git = find_git(self._folder, self._environ)
        if git is None:
            what = f"the state {self.where} cannot be used"
            raise StateError(
                f"{what}: {self._folder} is not in a git repository",
                "keep the hooks file in a clone of the repository, or name a different place with"
                " --state",
            )
        return replace(git, environ=_IDENTITY | git.environ)

    @cached_property
    def _url(self) -> str:
        """The URL that git pushes to. The state is also fetched from there. Raises StateError."""
        return self._read("remote", "get-url", "--push", "origin").rstrip("\n")

    def _read(self, *arguments: str, data: str = "") -> str:
        """Return the output of a git command. Raises StateError if the command fails."""
        code, out, errors = self._git.run(*arguments, data=data)
        if code:
            raise self._error(arguments[0], errors)
        # a state with bytes that are not UTF-8 is refused, because it is not JSON then
        return out.decode("utf-8", "backslashreplace")

    def _error(self, verb: str, reason: str) -> StateError:
        """Word an error of git, with what git printed."""
        fix = f"see that `git {verb}` works there: address, network and credentials are git's own"
        where = f"`git {verb}` in {self._git.folder}: {Redactor().quote(reason)}"
        return StateError(f"the state {self.where} cannot be used: {where}", fix)
