"""Find what a branch changes: `plan --since REF`.

The hooks files of the merge base are read from Git, and compared with today's as declarations. So a
changed comment, a renamed file in a folder or a changed order selects nothing. Changed defaults
select every tenancy that takes them. Nothing is checked out.

The merge base is read by the paths as the user names them. No link is followed there: a path that
is or was a link, or is below a linked folder, counts as changed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePath

from hooksync.config.declarations import Declarations, TenancyDeclaration
from hooksync.config.document import read_tenancies
from hooksync.config.files import STDIN, Source, is_hooks_file
from hooksync.config.policy import policy_path
from hooksync.core.errors import FileError, Problem, Problems, UsageError
from hooksync.core.git import find_git
from hooksync.core.model import Location, Notes, Variables
from hooksync.core.record import Record, asdict, replace
from hooksync.core.redaction import Redactor, printable

_NOWHERE = Location("", 0, 0)
_NO_NOTES = asdict(Notes())
_REF_FIX = (
    "name a commit or branch that this clone has, and fetch it with its history, for example by"
    " `git fetch --unshallow origin`"
)
_ALL_FIX = "read the whole plan: it shows each tenancy that may differ"


class BranchChanges(Record):
    """How the declared tenancies differ from those of the merge base."""

    changed: Declarations = ()  # the tenancies that differ
    # what the merge base declares, and no file declares with the same server and tenant
    former: Declarations = ()
    warnings: Problems = ()  # why every tenancy counts as different


def changes_since(
    tenancies: Declarations,
    files: Sequence[str],
    ref: str,
    environ: Variables,
    policy: str | None = None,
) -> BranchChanges:
    """Compare the tenancies with those of the merge base of HEAD and `ref`.

    `files`: as the user named them. If the policy differs, or the files of the merge base cannot be
    read as hooks files, every tenancy counts as different. Raises UsageError if there is no
    repository or no merge base.
    """
    base = _MergeBase(files, ref, environ)
    former: Declarations = ()
    reason = ""
    try:
        former = read_tenancies(base.sources(files), read=base.read)
        if policy and base.differs(policy_path(policy)):
            reason = f"{policy} differs, or is or was a link"
    except FileError as error:
        reason = f"the files of the merge base cannot be compared: {error.summary}"
    before = {declaration.name: _comparable(declaration) for declaration in former}
    changed = []
    for tenancy in tenancies:
        is_linked = any(map(base.is_linked, tenancy.files))
        if reason or is_linked or before.get(tenancy.name) != _comparable(tenancy):
            changed.append(tenancy)
    places = {(tenancy.server, tenancy.tenant) for tenancy in tenancies}
    gone = [item for item in former if (item.server, item.tenant) not in places]
    warning = Problem(f"--since selects every tenancy: {reason}", _ALL_FIX)
    return BranchChanges(changed, gone, (warning,) if reason else ())


class _MergeBase:
    """The files of the newest commit that HEAD and `ref` have in common."""

    def __init__(self, files: Sequence[str], ref: str, environ: Variables) -> None:
        """Find it in the repository of the first hooks file. Raises UsageError."""
        if "-" in files or STDIN in files:
            raise UsageError(
                "--since cannot compare standard input with a commit",
                "name the hooks files with --file",
            )
        folder = os.path.dirname(os.path.abspath(files[0]))
        git = find_git(folder, environ)
        if git is None:
            raise UsageError(
                f"--since needs a clone of the repository: {printable(folder)} is in none",
                "run this in a clone, or leave --since out",
            )
        code, out, errors = git.run("merge-base", "HEAD", "--end-of-options", ref)
        if code:
            reason = Redactor().quote(errors) or "this clone has no common commit of HEAD and it"
            raise UsageError(f"--since {printable(ref)}: {reason}", _REF_FIX)
        self._git = git
        self._commit = os.fsdecode(out).strip()
        # the folder of the repository, as the path of the hooks files names it
        self._root = git.folder
        for place in PurePath(folder, "x").parents:
            if os.path.samefile(place, git.folder):
                self._root = str(place)

    def differs(self, path: str) -> bool:
        """Whether HEAD has a different policy. One outside the repository never differs."""
        name = self._name(path)
        if name.startswith(os.pardir):
            return False
        code, _, _ = self._git.run("diff-tree", "--quiet", self._commit, "HEAD", "--", name)
        return bool(code) or self.is_linked(path)

    def sources(self, files: Sequence[str]) -> list[Source]:
        """Return the hooks files of the merge base that the same arguments name.

        Raises FileError if there is none, or if one was a link.
        """
        sources = []
        for argument in files:
            is_folder = os.path.isdir(argument)
            place = self._name(argument)
            if is_folder:  # with a slash, Git lists what is in the folder, and follows no link
                place += "/"
            _, out, _ = self._git.run("ls-tree", "-z", "--name-only", self._commit, "--", place)
            for entry in os.fsdecode(out).split("\0")[:-1]:
                name = os.path.basename(entry)
                if not is_folder:
                    sources.append(self.read(argument))
                elif is_hooks_file(name):
                    sources.append(self.read(os.path.join(argument, name)))
        if not sources:
            raise FileError(f"{self._commit:.7} has none of these files", _ALL_FIX)
        return sources

    def read(self, path: str) -> Source:
        """Return the file at a path. Raises FileError if there is none, or if it was a link."""
        data = self._git.read(self._commit, self._name(path))
        if data is None:
            raise FileError(
                f"{path} cannot be read as a regular file in {self._commit:.7}", _ALL_FIX
            )
        return Source(path, data)

    def is_linked(self, path: str) -> bool:
        """Whether a path is a link, or is below a linked folder of the repository."""
        return os.path.realpath(path) != os.path.join(self._git.folder, self._name(path))

    def _name(self, path: str) -> str:
        """Return the path of a file within the repository; outside of it, it begins with `..`."""
        return os.path.relpath(os.path.abspath(path), self._root)


def _comparable(tenancy: TenancyDeclaration) -> object:
    """Return what a plan depends on: everything but places, order and notes."""
    subscriptions = set()
    for subscription in tenancy.subscriptions:
        subscriptions.add(replace(subscription, location=_NOWHERE, **_NO_NOTES))
    return replace(tenancy, subscriptions=(), location=_NOWHERE, files=()), subscriptions
