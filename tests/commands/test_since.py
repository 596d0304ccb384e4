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

SECRET = {"HOOK_SECRET": "hush-hush-0123456789", "C_SECRET": "c-0123456789abcdef"}


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


def test_tenancies_that_differ_are_intersected_with_those_of_tenancy(
    repository: Repository,
) -> None:
    repository.edit("a.yaml", "/a", "/other")
    repository.edit("b.yaml", "/b", "/other")
    planned = run(repository, "plan", "--since", "main", "--tenancy", "b*", "--format", "json")
    assert planned.json["selection"]["tenancy"] == ["b"]


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
            assert "no tenancy differs from the merge base with main" in planned.out
            assert "No changes." not in planned.out
    applied = run(repository, "apply", "empty.plan")
    assert (applied.code, "Nothing to apply" in applied.out) == (0, True)


def test_an_unknown_commit_is_one_json_document(repository: Repository) -> None:
    planned = run(repository, "plan", "--since", "nowhere", "--format", "json")
    assert planned.code == 64
    [problem] = planned.json["errors"]
    assert "--since nowhere: " in problem["what"]
