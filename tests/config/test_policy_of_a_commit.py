"""A policy of a commit: `--policy git:REF:PATH` reads it, and nothing comes from the checkout."""

from __future__ import annotations

import pytest

from tests.conftest import Place
from tests.git_servers import Remote, missing_program

pytestmark = pytest.mark.skipif(missing_program() is not None, reason=str(missing_program()))

REF = "refs/hooksync/policy"


@pytest.fixture
def remote(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """Make the folder of the hooks file a clone: a commit has the policy, and the checkout not."""
    remote = Remote(tmp_path_factory.mktemp("remote"))
    remote.git("init", "--quiet", at=place.folder)
    (place.folder / "policies").mkdir()
    policy = place.policy_text(files=["../hooks.yaml", "../prod/*.yaml"])
    (place.folder / "policies" / "p.yaml").write_text(policy)
    (place.folder / "policies" / "link.yaml").symlink_to("p.yaml")
    remote.git("add", "policies", at=place.folder)
    remote.git("commit", "--quiet", "--message=Policy", at=place.folder)
    remote.git("update-ref", REF, "HEAD", at=place.folder)
    remote.git("rm", "--quiet", "-r", "--cached", "policies", at=place.folder)
    (place.folder / "policies" / "p.yaml").write_text("what the checkout has counts for nothing")
    return remote


def commit_of(remote: Remote, place: Place) -> str:
    return remote.git("rev-parse", REF, at=place.folder)


def test_a_policy_is_read_from_a_full_ref_or_commit_and_not_from_the_checkout(
    remote: Remote, place: Place
) -> None:
    for ref in (REF, commit_of(remote, place)):
        run = place.run("plan", "--policy", f"git:{ref}:policies/p.yaml")
        assert (run.code, "2 to subscribe" in run.out) == (0, True), run.err
    place.write("version: 1\ntenancies: {prod: {server: other.example.org, subscriptions: {}}}\n")
    run = place.run("plan", "--policy", f"git:{REF}:policies/p.yaml")
    assert run.code == 3
    assert f"does not allow (git:{REF}:policies/p.yaml:2)" in run.err


@pytest.mark.parametrize(
    "ref", ["main", "HEAD", "FETCH_HEAD", "origin/main", "abc1234", "--all", "a:b", ""]
)
def test_a_short_name_is_a_usage_error(remote: Remote, place: Place, ref: str) -> None:
    for command in ("validate", "plan"):
        run = place.run(command, "--policy", f"git:{ref}:policies/p.yaml")
        assert (run.code, "names no ref in full" in run.err) == (64, True), run.err


@pytest.mark.parametrize(
    ("ref", "path"),
    [
        (REF, "policies/link.yaml"),
        (REF, "policies"),
        (REF, "p.yaml"),
        (REF, "../policies/p.yaml"),
        (REF, ":(glob)**/p.yaml"),
        ("refs/heads/none", "policies/p.yaml"),
        (f"{REF}~0", "policies/p.yaml"),
        ("refs/hooksync/tagged", "policies/p.yaml"),
        ("0" * 40, "policies/p.yaml"),
    ],
)
def test_what_is_not_a_regular_file_of_that_commit_is_no_policy(
    remote: Remote, place: Place, ref: str, path: str
) -> None:
    # anybody who may push can make a tag with such a name
    remote.git("tag", "refs/hooksync/tagged", "HEAD", at=place.folder)
    run = place.run("plan", "--policy", f"git:{ref}:{path}")
    assert (run.code, "git found no policy" in run.err) == (1, True), run.err
    assert place.box.calls == ()


def test_a_hooks_file_of_a_different_repository_is_refused(remote: Remote, place: Place) -> None:
    text = (place.folder / "hooks.yaml").read_text()
    policy = ("--policy", f"git:{REF}:policies/p.yaml")
    (place.folder / "prod").mkdir()
    (place.folder / "prod" / "hooks.yaml").write_text(text)
    assert place.run("plan", "--file", "prod", *policy).code == 0
    remote.git("init", "--quiet", at=place.folder / "prod")
    outside = remote.folder / "outside.yaml"
    outside.write_text(text)
    (place.folder / "prod.yaml").symlink_to(outside)
    for file in ("prod", "prod.yaml", str(outside), "-"):
        run = place.run("plan", "--file", file, *policy, given=text)
        assert (run.code, "is not in " in run.err) == (3, True), run.err
        assert place.run("validate", "--file", file, *policy, given=text).code == 1


def test_a_changed_policy_of_a_commit_selects_every_tenancy(remote: Remote, place: Place) -> None:
    remote.git("add", "--force", "hooks.yaml", at=place.folder)
    policy = place.folder / "policies" / "p.yaml"
    plan = ("plan", "--since", "HEAD~1", "--policy", f"git:{REF}:policies/p.yaml")
    for settings, said in (
        ({}, "2 to subscribe"),
        ({}, "Nothing to do"),
        ({"probe": "auto"}, "2 to subscribe"),
    ):
        policy.write_text(place.policy_text(**settings))
        remote.git("add", "policies", at=place.folder)
        remote.git("commit", "--quiet", "--allow-empty", "--message=Main", at=place.folder)
        assert said in place.run(*plan).out
