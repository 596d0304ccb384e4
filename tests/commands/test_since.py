"""`plan --since REF`: the plan has only the tenancies that a branch changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import LOG_IN, Run, hooksync
from tests.config.test_since import ENVIRON, Repository
from tests.git_servers import missing_program
from tests.schemas import assert_fits

pytestmark = pytest.mark.skipif(missing_program() is not None, reason=str(missing_program()))

SECRET = {
    "HOOK_SECRET": "hush-hush-0123456789",
    "C_SECRET": "c-0123456789abcdef",
    "D_SECRET": "d-0123456789abcdef",
}


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    accounts = (Account(tenants=("A", "B", "C", "D")),)
    with Sandbox(SandboxOptions(accounts, frozenset({"no-challenge"}))) as box:
        repository = Repository(tmp_path / "repository")
        for name in "abcd":
            server = f"server: {box.url}\n    tenant: {name.upper()}"
            if name in "cd":
                server = f"server: '{box.url}', tenant: {name.upper()}"
            repository.edit(f"{name}.yaml", f"server: {name}.example.org", server)
        repository.commit()
        repository.git("branch", "--force", "main")
        yield repository


def run(repository: Repository, *arguments: str) -> Run:
    environ = {**ENVIRON, **LOG_IN, **SECRET}
    return hooksync([*arguments, "-f", "hooks"], environ, repository.folder)


def test_a_plan_has_the_changed_tenancies_only_and_names_them(repository: Repository) -> None:
    repository.edit("a.yaml", "/a", "/other")
    planned = run(repository, "plan", "--since", "main", "--out", "a.plan", "--format", "json")
    assert planned.code == 0
    assert [tenancy["name"] for tenancy in planned.json["tenancies"]] == ["a"]
    assert planned.json["selection"]["tenancy"] == ["a"]
    assert planned.json["selection"]["since"] == "main"
    assert_fits(planned.json, "plan")
    # the next commit changes the merge base, but not what the plan names
    repository.commit()
    repository.git("branch", "--force", "main")
    applied = run(repository, "apply", "a.plan")
    assert (applied.code, "Applied: 3 done" in applied.out) == (0, True)


def test_a_branch_that_changes_no_tenancy_needs_no_state_and_no_log_in(
    repository: Repository,
) -> None:
    (repository.folder / "README.md").write_text("new")
    plan = ["plan", "--since", "main", "-f", "hooks", "--detailed-exitcode", "--out", "empty.plan"]
    for flags in ([], ["--format", "json"], ["--format", "markdown"]):
        state = ["--state", "s3://nowhere/hooks.json"]
        planned = hooksync([*plan, *state, *flags], ENVIRON, repository.folder)
        assert planned.code == 0
        if "json" in flags:
            assert planned.json["tenancies"] == []
            assert planned.json["exit_code"] == 0
            assert_fits(planned.json, "plan")
        else:
            assert "merge base with main: no tenancy" in planned.out
            assert "No changes." not in planned.out
    applied = run(repository, "apply", "empty.plan")
    assert (applied.code, "Nothing to do" in applied.out) == (0, True)


@pytest.fixture
def applied(repository: Repository) -> Repository:
    """The repository after an apply of `main`."""
    assert run(repository, "apply", "--yes").code == 0
    return repository


def test_a_deleted_tenancy_is_refused_with_its_name_and_the_number_of_what_stays_live(
    applied: Repository,
) -> None:
    (applied.hooks / "b.yaml").unlink()
    refused = run(applied, "plan", "--since", "main", "--out", "b.plan")
    assert refused.code == 3
    assert "Only what differs from the merge base with main: no tenancy" in refused.out
    assert "No longer declared: b; 0 unchanged." in refused.out
    said = "no file declares b any more: 3 subscriptions of the state stay live and unmanaged"
    assert f"refused: hooks/b.yaml:4:3: {said}" in refused.err
    comment = run(applied, "plan", "--since", "main", "--format", "markdown").out
    for words in ("### hooksync plan: no tenancy", "merge base with main", said):
        assert words in comment
    document = run(applied, "plan", "--since", "main", "--format", "json").json
    [gone] = document["undeclared"]
    assert (gone["name"], gone["recorded"], gone["is_refused"]) == ("b", 3, True)
    assert_fits(document, "plan")
    # the other tenancies of the branch can be applied
    applied.edit("a.yaml", "/a", "/other")
    assert run(applied, "plan", "--since", "main", "--out", "a.plan").code == 3
    assert run(applied, "apply", "a.plan").code == 0


def test_a_fix_names_no_tenancy_that_the_plan_does_not_show(applied: Repository) -> None:
    assert run(applied, "state", "forget", "a/*", "--yes").code == 0
    applied.edit("a.yaml", "    subscriptions:", "    probe: never\n    subscriptions:")
    refused = run(applied, "plan", "--since", "main")
    assert (refused.code, "apply --adopt 'a/*'" in refused.err) == (3, True), refused.err
    assert "*/*" not in refused.err


@pytest.mark.parametrize("owns", ["made", "none"])
def test_a_tenancy_that_was_given_up_before_may_be_deleted(applied: Repository, owns: str) -> None:
    settings = f"enabled: false\n    owns: {owns}\n    limits: {{unsubscribe: 100%}}\n"
    applied.edit("b.yaml", "    subscriptions:", f"    {settings}    subscriptions:")
    planned = run(applied, "plan", "--since", "main", "--out", "b.plan", "--format", "json")
    assert [tenancy["name"] for tenancy in planned.json["tenancies"]] == ["b"]
    assert run(applied, "apply", "b.plan").code == 0
    applied.commit()
    applied.git("branch", "--force", "main")
    (applied.hooks / "b.yaml").unlink()
    planned = run(applied, "plan", "--since", "main")
    assert planned.code == 0
    assert "no file declares b any more: 0 subscriptions of the state" in planned.err
    assert "fix: nothing is to do if it was given up" in planned.err


def test_a_tenancy_that_moves_to_a_different_tenant_leaves_something_behind(
    applied: Repository,
) -> None:
    (applied.hooks / "b.yaml").unlink()
    applied.edit("a.yaml", "    tenant: A", "    tenant: B")
    planned = run(applied, "plan", "--since", "main")
    assert "no file declares a any more: 3 subscriptions of the state" in planned.err
