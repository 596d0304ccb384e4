"""`--since REF` selects the tenancies whose declaration differs from the merge base."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hooksync.config.document import read_tenancies
from hooksync.config.files import read_sources
from hooksync.config.since import BranchChanges, changes_since
from hooksync.core.errors import UsageError
from tests.git_servers import missing_program

pytestmark = pytest.mark.skipif(missing_program() is not None, reason=str(missing_program()))

ENVIRON = {
    "PATH": os.environ["PATH"],
    "HOME": "/nowhere",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}

TENANCY = """\
version: 1
defaults: {{secret: {{env: HOOK_SECRET}}}}
tenancies:
  {name}:
    server: {name}.example.org
    subscriptions:
      catalogue:
        url: https://hooks.example.net/{name}
        triggers: [INDEXED, MOVED]
      search:
        url: https://search.example.net/{name}
        trigger: MOVED
"""

SHARED = """\
version: 1
defaults:
  secret: {env: "${TENANCY}_SECRET"}
  subscriptions: {alert: {url: "https://alerts.example.net/shared/${tenancy}", trigger: MOVED}}
"""
TAKES_DEFAULTS = """\
version: 1
defaults: ../shared.yaml
tenancies: {{{name}: {{server: {name}.example.org}}}}
"""


def names_in(changes: BranchChanges) -> list[str]:
    return [tenancy.name for tenancy in changes.changed]


class Repository:
    """A repository on the branch main. Of its tenancies, c and d take the defaults of a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hooks = folder / "hooks"
        self.hooks.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        for name in ("a", "b"):
            (self.hooks / f"{name}.yaml").write_text(TENANCY.format(name=name))
        for name in ("c", "d"):
            (self.hooks / f"{name}.yaml").write_text(TAKES_DEFAULTS.format(name=name))
        (folder / "shared.yaml").write_text(SHARED)
        self.commit()
        self.git("checkout", "--quiet", "-b", "change")

    def git(self, *arguments: str) -> None:
        subprocess.run(["git", "-C", str(self.folder), *arguments], env=ENVIRON, check=True)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=change")

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.hooks / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def changed(self, *files: str, ref: str = "main", policy: str | None = None) -> list[str]:
        return names_in(self.changes(*files, ref=ref, policy=policy))

    def changes(self, *files: str, ref: str = "main", policy: str | None = None) -> BranchChanges:
        paths = [str(self.folder / file) for file in files or ("hooks",)]
        document = read_tenancies(read_sources(paths, None))  # type: ignore[arg-type]
        path = policy and str(self.folder / policy)
        return changes_since(document, paths, ref, ENVIRON, path)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


def _rename(repository: Repository) -> None:
    (repository.hooks / "a.yaml").rename(repository.hooks / "z.yaml")


def _new_tenancy(repository: Repository) -> None:
    (repository.hooks / "e.yaml").write_text(TENANCY.format(name="e"))


def _removed_tenancy(repository: Repository) -> None:
    (repository.hooks / "b.yaml").unlink()


Edit = tuple[str, str, str]  # file, old text, new text
URL: Edit = ("a.yaml", "search.example.net", "find.example.net")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("a.yaml", "version: 1\n", "# a comment\nversion: 1\n"), []),
        (_rename, []),
        (("a.yaml", "[INDEXED, MOVED]", "[MOVED, INDEXED]"), []),
        (("a.yaml", "trigger: MOVED", "trigger: MOVED\n        description: x"), []),
        (("b.yaml", "HOOK_SECRET}", "HOOK_SECRET}, owns: made"), []),
        (URL, ["a"]),
        (("b.yaml", "HOOK_SECRET", "NEW_SECRET"), ["b"]),
        (("../shared.yaml", "/shared", "/other"), ["c", "d"]),
        (("../shared.yaml", "version: 1\n", "version: 1 # a comment\n"), []),
        (("b.yaml", "    subscriptions:", "    owns: none\n    subscriptions:"), ["b"]),
        (_new_tenancy, ["e"]),
        (_removed_tenancy, []),
    ],
)
def test_a_tenancy_is_selected_if_its_declaration_differs(
    repository: Repository, change: Callable[[Repository], None] | Edit, expected: list[str]
) -> None:
    if isinstance(change, tuple):
        repository.edit(*change)
    else:
        change(repository)
    assert repository.changed() == expected  # what is not committed counts
    repository.commit()
    assert repository.changed() == expected


def test_changes_of_the_other_branch_since_the_merge_base_select_nothing(
    repository: Repository,
) -> None:
    repository.git("checkout", "--quiet", "main")
    repository.edit(*URL)
    repository.commit()
    repository.git("checkout", "--quiet", "change")
    assert repository.changed() == []


def test_a_changed_policy_selects_every_tenancy(repository: Repository) -> None:
    (repository.folder / "policy.yaml").write_text("version: 1\n")
    repository.commit()
    repository.git("branch", "--force", "main")
    assert repository.changed(policy="policy.yaml") == []
    (repository.folder / "policy.yaml").write_text("version: 1\nservers: []\n")
    repository.commit()
    assert repository.changed(policy="policy.yaml") == ["a", "b", "c", "d"]
    (repository.folder / "link.yaml").symlink_to("shared.yaml")
    assert repository.changed(policy="link.yaml") == ["a", "b", "c", "d"]


def _link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def _linked_file(repository: Repository) -> None:
    _link(repository.hooks / "a.yaml", "../docs/a.yaml")


def _linked_defaults(repository: Repository) -> None:
    _link(repository.folder / "shared.yaml", "docs/shared.yaml")


def _linked_folder(repository: Repository) -> None:
    repository.hooks.rename(repository.folder / "other")
    repository.hooks.symlink_to("other")


ALL = ["a", "b", "c", "d"]


@pytest.fixture
def linkable(repository: Repository) -> Repository:
    """A repository whose `main` has copies of its files in a folder that no run reads."""
    docs = repository.folder / "docs"
    docs.mkdir()
    (docs / "a.yaml").write_text(TENANCY.format(name="a"))
    (docs / "shared.yaml").write_text(SHARED)
    repository.commit()
    repository.git("branch", "--force", "main")
    return repository


@pytest.mark.parametrize(
    ("change", "now", "back"),
    [
        (_linked_file, ["a"], ALL),
        (_linked_defaults, ["c", "d"], ALL),
        (_linked_folder, ALL, ALL),
    ],
)
def test_a_path_that_is_or_was_a_link_counts_as_changed(
    linkable: Repository, change: Callable[[Repository], None], now: list[str], back: list[str]
) -> None:
    change(linkable)
    assert linkable.changed() == now  # although each declaration is the same
    linkable.commit()
    assert linkable.changed() == now
    # and back: the files of the merge base cannot be read, for Git follows no links
    linkable.git("branch", "--force", "main")
    linkable.git("checkout", "--quiet", "HEAD~1", "--", ".")
    changes = linkable.changes()
    assert names_in(changes) == back
    assert "--since selects every tenancy: " in changes.warnings[0].what


def test_a_repository_that_is_reached_by_a_link_is_compared_all_the_same(
    repository: Repository, tmp_path: Path
) -> None:
    repository.edit(*URL)
    (tmp_path / "link").symlink_to(repository.folder)
    paths = [str(tmp_path / "link" / "hooks")]
    document = read_tenancies(read_sources(paths, None))  # type: ignore[arg-type]
    changes = changes_since(document, paths, "main", ENVIRON)
    assert (names_in(changes), changes.warnings) == (["a"], ())


def test_files_that_could_not_be_read_before_select_every_tenancy(repository: Repository) -> None:
    text = (repository.hooks / "a.yaml").read_text()
    (repository.hooks / "a.yaml").write_text("tenancies: [")
    repository.commit()
    repository.git("branch", "--force", "main")
    (repository.hooks / "a.yaml").write_text(text)
    assert repository.changed() == ["a", "b", "c", "d"]


def test_a_named_file_is_compared_with_the_same_file(repository: Repository) -> None:
    repository.edit(*URL)
    assert repository.changed("hooks/a.yaml", "hooks/b.yaml") == ["a"]


@pytest.mark.parametrize("ref", ["nowhere", "--upload-pack=x", ""])
def test_an_unknown_commit_is_one_clear_error(repository: Repository, ref: str) -> None:
    with pytest.raises(UsageError, match=r"--since .*\n  fix: name a commit or branch"):
        repository.changed(ref=ref)


def test_a_shallow_clone_without_the_common_commit_is_one_clear_error(
    repository: Repository, tmp_path: Path
) -> None:
    repository.edit(*URL)
    repository.commit()
    clone = tmp_path / "clone"
    source = f"file://{repository.folder}"
    command = ["git", "clone", "--quiet", "--depth=1", "--no-single-branch", source, str(clone)]
    subprocess.run([*command], env=ENVIRON, check=True)
    paths = [str(clone / "hooks")]
    document = read_tenancies(read_sources(paths, None))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="git fetch --unshallow"):
        changes_since(document, paths, "origin/main", ENVIRON)


def test_files_outside_a_repository_are_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").write_text(TENANCY.format(name="a"))
    paths = [str(tmp_path / "hooks.yaml")]
    document = read_tenancies(read_sources(paths, None))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs a clone of the repository"):
        changes_since(document, paths, "main", ENVIRON)
