"""The state names the commit of the last change: on a branch, and for a plan from an old checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import LOG_IN, Run, hooksync
from tests.git_servers import BRANCH, Remote, missing_program

pytestmark = pytest.mark.skipif(missing_program() is not None, reason=str(missing_program()))

HOOKS = """\
version: 1
tenancies:
  archive:
    server: {url}
    tenant: DEMO
    owns: all
    probe: never
    subscriptions:
      one: {{url: 'https://a.example.org/', triggers: [{triggers}], secret: {{env: HOOK_SECRET}}}}
"""
CI = {
    "GITHUB_RUN_ID": "42",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "O/R",
}


class Clone:
    """A clone whose hooks file is changed, committed and applied."""

    def __init__(self, remote: Remote, box: Sandbox) -> None:
        self.remote = remote
        self.box = box
        self.folder = remote.clone("clone")

    def git(self, *arguments: str) -> str:
        return self.remote.git(*arguments, at=self.folder)

    def commit(self, triggers: str) -> str:
        """Commit a hooks file with these triggers, and return the commit."""
        text = HOOKS.format(url=self.box.url, triggers=triggers)
        (self.folder / "hooks.yaml").write_text(text)
        self.git("commit", "--quiet", "--all", "--message=Change")
        return self.git("rev-parse", "HEAD")

    def run(self, *arguments: str) -> Run:
        secret = {"HOOK_SECRET": "hush-hush-0123456789", "HOOKSYNC_LIST_WAIT": "0"}
        environ = {**self.remote.environ, **LOG_IN, **CI, **secret}
        return hooksync([*arguments, "--state", f"git:{BRANCH}"], environ, self.folder)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Clone]:
    with Sandbox(SandboxOptions(traits=frozenset({"no-challenge"}))) as box:
        yield Clone(Remote(tmp_path), box)


def test_the_branch_of_the_state_says_what_each_apply_changed_and_from_which_commit(
    clone: Clone,
) -> None:
    first = clone.commit("MOVED, INDEXED")
    assert clone.run("apply", "--yes").code == 0
    second = clone.commit("MOVED, INGEST_FAILED")
    assert clone.run("apply", "--yes").code == 0
    assert clone.run("apply", "--yes").code == 0  # changes nothing
    place = "(https://github.com/O/R/actions/runs/42)"
    assert clone.remote.log() == [
        f"hooksync: apply of {first[:7]}: begins in archive {place}",
        f"hooksync: apply of {first[:7]}: archive 2 subscribed {place}",
        f"hooksync: apply of {second[:7]}: begins in archive {place}",
        f"hooksync: apply of {second[:7]}: archive 1 subscribed, 1 unsubscribed {place}",
    ]


def test_a_plan_warns_if_the_checkout_lacks_the_commit_that_was_applied_last(clone: Clone) -> None:
    old = clone.commit("MOVED")
    new = clone.commit("MOVED, INDEXED")
    assert clone.run("apply", "--yes").code == 0
    warning = f"warning: the checkout does not contain the commit {new[:7]}, which was applied last"
    clone.git("checkout", "--quiet", old)
    assert warning in clone.run("plan").err
    clone.git("checkout", "--quiet", new)
    clone.commit("MOVED")  # a revert
    assert warning not in clone.run("plan").err
    # a shallow clone may lack the commit because it is shallow
    clone.git("checkout", "--quiet", old)
    (clone.folder / ".git" / "shallow").write_text(f"{old}\n")
    assert warning not in clone.run("plan").err


def test_a_deleted_branch_is_not_taken_for_a_new_state_while_its_lock_exists(clone: Clone) -> None:
    clone.commit("MOVED")
    assert f"No state yet (git:{BRANCH})" in clone.run("plan").out
    assert clone.run("apply", "--yes").code == 0
    clone.remote.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    clone.box.remove("DEMO", clone.box.subscriptions("DEMO")[0].id)
    planned = clone.run("plan")
    assert (planned.code, "No state yet" in planned.text) == (0, False)
    said = f"There is no state at git:{BRANCH}, although a run has used this place.\n"
    assert said in planned.out
    assert f"`hooksync state push FILE --state git:{BRANCH}` first" in planned.out
    clone.remote.git("update-ref", "-d", f"refs/hooksync/{BRANCH}")
    assert f"No state yet (git:{BRANCH})" in clone.run("plan").out
