"""A content on a branch of the repository that the hooks file lies in, at its remote, by the `git` program.

That repository is only read, for its settings. All is done in a bare one of our own, in a temporary folder, which has
those settings too: so any clone will do (shallow, partial, read-only), and no more than the last commit is fetched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from subprocess import PIPE, TimeoutExpired
from tempfile import TemporaryDirectory
from weakref import finalize

from hooksync.core.errors import FileError, Problem, UsageError, os_reason
from hooksync.core.programs import end, start
from hooksync.core.record import Record
from hooksync.core.redaction import Redactor, printable
from hooksync.state.remote_store import Content
from hooksync.state.store import MOST_BYTES, Changed

_STATE, _LOCK = "hooks.state.json", "run-lock.json"
_MOST = {_STATE: MOST_BYTES, _LOCK: 8192}  # bytes of each file that the branch may hold
_FETCHED = "refs/hooksync/state"

# a name that `git check-ref-format --branch` allows
_BRANCH = re.compile(
    r"(?!-|HEAD$)(?!.*(\.\.|@\{|//|/\.|\.lock(/|$)))[^\0-\x20\x7f~^:?*\[\\/.][^\0-\x20\x7f~^:?*\[\\]*(?<![/.])"
)
# of `git rev-parse --local-env-vars`, what a hook of git has set for the repository that it runs in
_OF_A_REPOSITORY = re.compile(
    r"GIT_(ALTERNATE_OBJECT_DIRECTORIES|CONFIG|OBJECT_DIRECTORY|DIR|WORK_TREE|IMPLICIT_WORK_TREE|GRAFT_FILE|INDEX_FILE"
    r"|NO_REPLACE_OBJECTS|REPLACE_REF_BASE|PREFIX|SHALLOW_FILE|COMMON_DIR|QUARANTINE_PATH)"
    r"|(PRESERVICA|HOOKSYNC)_.*"
)
# settings that hold for the user's repository alone; what its includes name is among the others
_NOT_COPIED = re.compile(
    r"include(if)?\..*|extensions\..*|core\.(bare|worktree|repositoryformatversion)"
    r"|remote\..*\.(mirror|promisor|partialclonefilter)",
    re.DOTALL,
)
_OURS = [("core.hooksPath", os.devnull), ("gc.auto", "0"), ("maintenance.auto", "false"), ("push.gpgSign", "false")]
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "hooksync"), ("EMAIL", "hooksync@localhost"))
}

_REJECTED = re.compile(r"^!\t.*\t\[(.*?)\] \((.*)\)$", re.MULTILINE)
# what servers say while another push is at work, and where they cannot write; source: git's builtin/receive-pack.c
_BUSY = re.compile(r"cannot lock ref|failed to (update|lock) ref|incorrect old value|already exists|but expected")
_MOST_TRIES = 10  # of a push against such a server; each takes as long as it takes to reach it
_NOISE = re.compile(r"^((remote: *|error: |fatal: )+|hint:.*|warning:.*)")
_BOILERPLATE = re.compile(r"Please make sure you have the correct|and the repository exists|failed to push some refs|$")

_ELSEWHERE = "or name another place with --state"
_CHECK = "see that `git {}` works there, with Git 2.31 or later: address, network and credentials are git's own"
_FIXES = {
    "rev-parse": f"keep the hooks file in a clone of the repository, {_ELSEWHERE}",
    **{verb: _CHECK.format(verb) for verb in ("ls-remote", "fetch", "push")},
}


class _Git(Record, frozen=True):
    """Runs git in a folder."""

    HIDDEN = ("environ",)

    where: str  # the state
    folder: str
    environ: dict[str, str]
    patience: float  # seconds for one command

    def run(self, *arguments: str, data: str = "") -> tuple[int, bytes, str]:
        """Return exit code, output and messages. Raises FileError if it does not end. No signal of ours reaches it."""
        command = ["git", "-C", self.folder, *arguments]
        try:
            with start(command, self.environ, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
                try:
                    out, told = process.communicate(data.encode(), self.patience)
                except BaseException:
                    end(process)
                    raise
        except TimeoutExpired:
            raise self.error(arguments[0], f"no answer within {self.patience:g} seconds") from None
        except (OSError, ValueError) as error:
            what = f"the state {self.where} needs the program git, which cannot be run: {os_reason(error)}"
            raise FileError(Problem(what, f"install Git 2.31 or later, {_ELSEWHERE}")) from None
        lines = (_NOISE.sub("", line).strip() for line in told.decode("utf-8", "replace").splitlines())
        return process.returncode, out, "; ".join(line for line in lines if not _BOILERPLATE.match(line))

    def read(self, *arguments: str, data: str = "") -> bytes:
        """Return what a command puts out. Raises FileError if it fails."""
        code, out, told = self.run(*arguments, data=data)
        if code:
            raise self.error(arguments[0], told or f"exit code {code}")
        return out

    def word(self, *arguments: str, data: str = "") -> str:
        """Return the text that a command puts out, without the line's end."""
        return os.fsdecode(self.read(*arguments, data=data)).rstrip("\n")

    def settings(self) -> list[tuple[str, str]]:
        """Return all that is set for the repository, wherever; what is set last counts most."""
        listed = os.fsdecode(self.read("config", "--list", "-z")).split("\0")[:-1]
        pairs = [entry.partition("\n") for entry in listed]
        return [(key, value if equals else "true") for key, equals, value in pairs]

    def error(self, verb: str, reason: str) -> FileError:
        """Say which command failed, and why."""
        fix = _FIXES.get(verb, "see that the disk is not full and its folder for temporary files can be written to")
        what = f"the state {self.where} cannot be used: `git {verb}` in {self.folder}: {Redactor().quote(reason)}"
        return FileError(Problem(what, fix))


class GitVault:
    """A branch that holds one content; each write is a commit."""

    def __init__(self, where: str, folder: str, environ: Mapping[str, str], patience: float = 60.0) -> None:
        """`where`: `git:BRANCH`; `folder`: of the hooks file; `patience`: seconds of a command. Raises UsageError."""
        self.where = where
        branch = where.removeprefix("git:")
        if not _BRANCH.fullmatch(branch):
            raise UsageError(Problem(f"the state {where} does not name a valid branch", "e.g. git:hooksync-state"))
        self._ref = f"refs/heads/{branch}"
        kept = {name: value for name, value in environ.items() if not _OF_A_REPOSITORY.fullmatch(name)}
        self._user_git = _Git(where, folder, kept | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}, patience)
        self._head = ""  # the last commit that was fetched or made

    def get(self) -> tuple[Content, str] | None:
        """Fetch the branch, with its version; None where it is not there. Raises FileError."""
        git, remote = self._own_git
        found = [line.split("\t") for line in git.word("ls-remote", remote, self._ref).splitlines()]
        heads = [commit for commit, ref in found if ref == self._ref]  # ls-remote takes it for the end of a name
        if not heads:
            return None
        if heads[0] != self._head:
            git.read("fetch", "--quiet", "--no-tags", "--depth=1", remote, f"+{self._ref}:{_FETCHED}")
            self._head = git.word("rev-parse", _FETCHED)
        return self._content(git, self._head), self._head

    def put(self, content: Content, version: str | None, message: str) -> str:
        """Push a commit upon the one of this version (None: there is no branch), and return its own.

        Raises Changed where the branch has another version; FileError where nothing, or nothing for sure, is written.
        """
        git, remote = self._own_git
        entries = ""
        for name, text in ((_STATE, content.state), (_LOCK, content.lock)):
            if text is not None:
                entries += f"100644 blob {git.word('hash-object', '-w', '--stdin', data=text)}\t{name}\n"
        commit = self._commit(git, git.word("mktree", data=entries), version, f"hooksync: {printable(message)}")
        lease = f"--force-with-lease={self._ref}:{version or ''}"
        arguments = ("push", "--quiet", "--porcelain", "--no-verify", lease, remote, f"{commit}:{self._ref}")
        for _ in range(_MOST_TRIES):
            code, out, told = git.run(*arguments)
            rejected = _REJECTED.search(out.decode("utf-8", "replace"))
            if rejected and rejected[1] == "rejected":
                raise Changed
            if not rejected or not _BUSY.search(rejected[2]):
                break
        if rejected:
            reason = Redactor().quote(f"{rejected[2]}; {told}" if told else rejected[2])
            fix = "let whoever runs hooksync push to that branch: no rule of the server may protect it"
            raise FileError(Problem(f"the remote {remote} refuses to write the state {self.where}: {reason}", fix))
        if code:
            raise git.error("push", told or f"exit code {code}")
        self._head = commit
        return commit

    @staticmethod
    def _commit(git: _Git, tree: str, parent: str | None, message: str) -> str:
        arguments = ["commit-tree", tree, "-m", message, *(["-p", parent] if parent else [])]
        try:
            return git.word(*arguments)
        except FileError:  # git may not know whose name to write
            git.environ.update({name: value for name, value in _IDENTITY.items() if not git.environ.get(name)})
            return git.word(*arguments)

    def _content(self, git: _Git, commit: str) -> Content:
        texts: dict[str, str] = {}
        for entry in os.fsdecode(git.read("ls-tree", "-l", "-z", commit)).split("\0")[:-1]:
            about, _, name = entry.partition("\t")
            mode, _, blob, size = about.split()
            if name not in _MOST or not mode.startswith("100"):
                what = f"the branch of the state {self.where} holds other files, such as {Redactor().quote(name)}"
                raise FileError(Problem(what, "name a branch for the state alone; apply creates one that is missing"))
            try:
                if int(size) > _MOST[name]:
                    raise ValueError(f"is larger than {_MOST[name]} bytes")
                texts[name] = git.read("cat-file", "blob", blob).decode("utf-8-sig")
            except ValueError as error:
                what = "is not UTF-8 text" if isinstance(error, UnicodeError) else str(error)
                fix = "hooksync does not write such a file: revert the last commit of that branch, and push that"
                raise FileError(Problem(f"{name} of the state {self.where} {what}", fix)) from None
        return Content(texts.get(_STATE), texts.get(_LOCK))

    @cached_property
    def _own_git(self) -> tuple[_Git, str]:
        """Git in a repository of our own, with the settings of the user's, and the remote to work with."""
        user = self._user_git
        top, form = user.word("rev-parse", "--show-toplevel", "--show-object-format").rsplit("\n", 1)
        settings = [pair for pair in user.settings() if not _NOT_COPIED.fullmatch(pair[0])]
        has_ssh = {"GIT_SSH", "GIT_SSH_COMMAND"} & user.environ.keys() or "core.sshcommand" in dict(settings)
        remote = self._remote(dict(settings), top)
        urls = [f"remote.{remote}.pushurl", f"remote.{remote}.url"]
        if place := dict(reversed(settings)).get(urls[0]):  # the state is read where it is written
            settings = [pair for pair in settings if pair[0] not in urls] + [(urls[1], place)]
        try:
            temporary = TemporaryDirectory(prefix="hooksync-", ignore_cleanup_errors=True)
        except OSError as error:
            raise user.error("init", os_reason(error)) from None
        finalize(self, temporary.cleanup)
        own = temporary.name
        user.read("init", "--quiet", "--bare", "--template=", f"--object-format={form}", own)
        git = _Git(self.where, top, {**user.environ, "GIT_DIR": own}, user.patience)
        for pair in git.settings():  # the user's and the system's hold there, too
            if pair in settings:
                settings.remove(pair)
        count = int(git.environ.get("GIT_CONFIG_COUNT") or 0)
        for number, (key, value) in enumerate(settings + _OURS, count):
            git.environ.update({f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value})
        git.environ["GIT_CONFIG_COUNT"] = str(count + len(settings) + len(_OURS))
        if not has_ssh:
            git.environ["GIT_SSH_COMMAND"] = "ssh -oBatchMode=yes"  # never ask
        return git, remote

    def _remote(self, settings: Mapping[str, str], top: str) -> str:
        """Choose as git does where nothing names a remote. Raises FileError."""
        names = {key[len("remote.") :].rpartition(".")[0] for key in settings if re.match(r"remote\..*url$", key)}
        only = names.pop() if len(names) == 1 else None
        default = "origin" if "origin" in names else only
        remote = settings.get("remote.pushdefault") or settings.get("checkout.defaultremote") or default
        if remote is None:
            what = f"the repository {top} has {'several remotes' if names else 'no remote'} to keep {self.where} at"
            fix = (
                "`git config remote.pushDefault NAME` chooses one" if names else "`git remote add origin URL` adds one"
            )
            raise FileError(Problem(what, fix))
        return remote
