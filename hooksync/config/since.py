"""Find the tenancies that a branch changes: `plan --since REF`.

The hooks files of the merge base are read from Git, and compared with today's as declarations. So a
changed comment, a renamed file in a folder or a changed order selects nothing. Changed defaults
select every tenancy that takes them. Nothing is checked out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from hooksync.config.declarations import Declarations, TenancyDeclaration
from hooksync.config.document import read_tenancies
from hooksync.config.files import STDIN, Source, is_hooks_file, read_named
from hooksync.core.errors import FileError, Problem, UsageError, os_reason
from hooksync.core.git import FAILURES, find_git
from hooksync.core.model import Location, Notes, Variables
from hooksync.core.programs import ProgramOutput
from hooksync.core.record import asdict, replace
from hooksync.core.redaction import Redactor, printable

_NOWHERE = Location("", 0, 0)
_NO_NOTES = asdict(Notes())
_SECONDS = 60.0  # time limit for one command of git
_REF_FIX = (
    "name a commit or branch that this clone has, and fetch it with its history, for example by"
    " `git fetch --unshallow origin`"
)


def changed_tenancies(
    tenancies: Declarations,
    files: Sequence[str],
    ref: str,
    environ: Variables,
    policy: str | None = None,
) -> list[str]:
    """Return the names of the tenancies that differ from the merge base of HEAD and `ref`.

    `files`: as the user named them; `policy`: path of the policy. If the policy differs, or the
    files of the merge base cannot be read as hooks files, every tenancy is returned. Raises
    UsageError if there is no repository or no merge base.
    """
    base = _MergeBase(files, ref, environ)
    former: dict[str, object] = {}
    with suppress(FileError):
        if not (policy and base.differs(policy)):
            declarations = read_tenancies(base.sources(files), read=base.read)
            former = {declaration.name: _comparable(declaration) for declaration in declarations}
    changed = []
    for tenancy in tenancies:
        if former.get(tenancy.name) != _comparable(tenancy):
            changed.append(tenancy.name)
    return changed


class _MergeBase:
    """The files of the newest commit that HEAD and `ref` have in common."""

    def __init__(self, files: Sequence[str], ref: str, environ: Variables) -> None:
        if "-" in files or STDIN in files:
            what = "--since cannot compare standard input with a commit"
            raise UsageError(Problem(what, "name the hooks files with --file"))
        folder = os.path.dirname(os.path.abspath(files[0]))
        git = find_git(folder, environ, _SECONDS)
        if git is None:
            what = f"--since needs a clone of the repository: {printable(folder)} is in none"
            raise UsageError(Problem(what, "run this in a clone, or leave --since out"))
        self._git = git
        self._ref = printable(ref)
        code, out, errors = self._run("merge-base", "HEAD", "--end-of-options", ref)
        if code:
            reason = Redactor().quote(errors.decode("utf-8", "replace"))
            reason = reason or f"this clone has no common commit of HEAD and {self._ref}"
            raise self._error(reason, _REF_FIX)
        self._commit = os.fsdecode(out).strip()

    def differs(self, path: str) -> bool:
        """Whether a policy differs from the merge base. A file outside the repository does not.

        Raises FileError if it cannot be read.
        """
        if self._name(path).startswith(os.pardir):
            return False
        data = read_named(path, "policy", "name one with --policy")
        with suppress(FileError):
            return self.read(path).data != data
        return True

    def sources(self, files: Sequence[str]) -> list[Source]:
        """Return the hooks files of the merge base that the same arguments name."""
        sources = []
        for argument in files:
            paths = [argument]
            if os.path.isdir(argument):
                place = self._name(argument).removeprefix(os.curdir)
                _, out, _ = self._run("ls-tree", "--name-only", "-z", f"{self._commit}:{place}")
                names = os.fsdecode(out).split("\0")
                paths = [os.path.join(argument, name) for name in names if is_hooks_file(name)]
            for path in paths:
                with suppress(FileError):
                    sources.append(self.read(path))
        return sources

    def read(self, path: str) -> Source:
        """Return the file at a path. Raises FileError if the merge base has none."""
        code, out, _ = self._run("cat-file", "blob", f"{self._commit}:{self._name(path)}")
        if code:
            raise FileError(Problem(f"{path} is not in {self._commit}", "add it"))
        return Source(path, out)

    def _name(self, path: str) -> str:
        """Return the path of a file within the repository; outside of it, it begins with `..`."""
        return os.path.relpath(os.path.realpath(path), self._git.folder)

    def _run(self, *arguments: str) -> ProgramOutput:
        """Run git. Raises an error that names the command and the folder if git cannot run."""
        try:
            return self._git.run(*arguments)
        except FAILURES as error:
            reason = f"`git {arguments[0]}` in {self._git.folder}: {os_reason(error)}"
            raise self._error(reason, "check that git works there") from None

    def _error(self, reason: str, fix: str) -> UsageError:
        return UsageError(Problem(f"--since {self._ref}: {reason}", fix))


def _comparable(tenancy: TenancyDeclaration) -> object:
    """Return what a plan depends on: everything but places, order and notes."""
    subscriptions = set()
    for subscription in tenancy.subscriptions:
        subscriptions.add(replace(subscription, location=_NOWHERE, **_NO_NOTES))
    return replace(tenancy, subscriptions=(), location=_NOWHERE, files=()), subscriptions
