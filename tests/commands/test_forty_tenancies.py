"""Forty tenancies in a folder: one that fails blocks no other, and no team acts for another team."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.boxes import Sandbox
from tests.command_line import LOG_IN, Run, hooksync
from tests.git_servers import BRANCH, Remote, missing_program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing_program() is not None, reason=str(missing_program())),
]

NAMES = [f"t{number:02}" for number in range(1, 41)]
DEFAULTS = """\
version: 1
defaults:
  credentials: {username: {env: "${TENANCY}_USER"}, password: {env: "${TENANCY}_PASSWORD"}}
  secret: {env: "${TENANCY}_HOOK"}
"""
HOOKS = """\
version: 1
defaults: ../defaults.yaml
tenancies:
  {name}:
    server: {url}
    tenant: {name}
    probe: never
    subscriptions:
      one: {{url: 'https://a.example.org/', trigger: MOVED}}
      two: {{url: 'https://a.example.org/', trigger: INDEXED}}
"""
POLICY = """\
version: 1
servers: ["{host}"]
receivers: [a.example.org]
secret_kinds: [env]
max_unsubscribe_run: 2
max_resubscribe_run: 20
tenancies:
  "*":
    files: ["defaults.yaml", "hooks/${{tenancy}}.yaml"]
    login_variables: ["${{TENANCY}}_USER", "${{TENANCY}}_PASSWORD"]
    secret_variables: ["${{TENANCY}}_HOOK"]
    url_variables: ["${{TENANCY}}_KEY"]
"""


class Forty:
    """A clone with a file for each tenancy, all applied; the state is on a protected branch."""

    def __init__(self, remote: Remote, box: Sandbox) -> None:
        self.remote = remote
        self.box = box
        remote.git("config", "receive.denyNonFastForwards", "true")
        self.folder = remote.clone("clone")
        self.environ = {**remote.environ, **LOG_IN, "HOOKSYNC_LIST_WAIT": "0"}
        (self.folder / "hooks").mkdir()
        (self.folder / "defaults.yaml").write_text(DEFAULTS)
        host = box.url.partition("://")[2]
        (self.folder / "policy.yaml").write_text(POLICY.format(host=host))
        for name in NAMES:
            self.file(name).write_text(HOOKS.format(name=name, url=box.url))
            self.environ[f"{name.upper()}_USER"] = LOG_IN["PRESERVICA_USERNAME"]
            self.environ[f"{name.upper()}_PASSWORD"] = LOG_IN["PRESERVICA_PASSWORD"]
            self.environ[f"{name.upper()}_HOOK"] = f"secret-of-{name}-0123456789"
        self.commit()

    def file(self, name: str) -> Path:
        return self.folder / "hooks" / f"{name}.yaml"

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.file(name).read_text()
        assert old in text
        self.file(name).write_text(text.replace(old, new))

    def commit(self) -> str:
        self.remote.git("add", "--all", at=self.folder)
        self.remote.git("commit", "--quiet", "--message=Change", at=self.folder)
        return self.remote.git("rev-parse", "HEAD", at=self.folder)

    def run(self, *arguments: str) -> Run:
        place = ["-f", "hooks", "--state", f"git:{BRANCH}"]
        return hooksync([*arguments, *place], self.environ, self.folder)


@pytest.fixture
def forty(tmp_path: Path) -> Iterator[Forty]:
    accounts = (Account(tenants=tuple(NAMES)),)
    with Sandbox(SandboxOptions(accounts, frozenset({"no-challenge"}))) as box:
        yield Forty(Remote(tmp_path), box)


def test_an_expired_password_and_a_deleted_hook_block_neither_plan_nor_apply_of_t12(
    forty: Forty,
) -> None:
    assert forty.run("apply", "--yes").code == 0
    base = forty.remote.git("rev-parse", "HEAD", at=forty.folder)
    forty.environ["T21_PASSWORD"] = "an-old-password"
    forty.box.remove("t33", forty.box.subscriptions("t33")[0].id)
    forty.edit("t12", "trigger: INDEXED", "trigger: INGEST_FAILED")
    commit = forty.commit()

    # the nightly check: the drift of all that can be read, and the name of what cannot
    drift = forty.run("plan", "--detailed-exitcode", "--format", "json")
    outcomes = {tenancy["name"]: tenancy["conclusion"] for tenancy in drift.json["tenancies"]}
    different = {name: outcome for name, outcome in outcomes.items() if outcome != "as-declared"}
    assert drift.code == 1
    assert different == {"t12": "changes", "t21": "error", "t33": "changes"}

    # the check of the pull request, and its merge
    planned = forty.run("plan", "--since", base, "--out", "t12.plan", "--format", "json")
    assert (planned.code, [each["name"] for each in planned.json["tenancies"]]) == (0, ["t12"])
    assert forty.run("apply", "t12.plan").code == 0
    assert [len(forty.box.subscriptions(name)) for name in ("t12", "t33")] == [2, 1]
    assert f"apply of {commit[:7]}: t12 1 subscribed, 1 unsubscribed" in forty.remote.log()[-1]

    # by hand: all tenancies, without the one that cannot be read
    planned = forty.run("plan", "--out", "all.plan")
    assert planned.code == 1
    assert "without what is refused or not planned" in planned.err
    assert forty.run("apply", "all.plan").code == 0
    assert len(forty.box.subscriptions("t33")) == 2


def test_one_expired_password_of_forty_takes_twelve_lines_and_no_variable_a_line_for_each(
    forty: Forty,
) -> None:
    for name in NAMES:
        forty.box.seed(name, "https://vendor.example/x", "MOVED", "the-secret-of-the-vendor")
    assert forty.run("apply", "--yes").code == 0
    matching = forty.run("plan")
    assert matching.text == "No changes. 40 tenancies match hooks; 80 unchanged, 40 left alone.\n"
    forty.environ["T21_PASSWORD"] = "an-old-password"
    expired = forty.run("plan")
    assert (expired.code, len(expired.text.splitlines()) <= 12) == (1, True), expired.text
    assert "\nt21   " in expired.out[-300:]  # directly above the sum
    for name in NAMES:
        del forty.environ[f"{name}_HOOK".upper()]
    unset = forty.run("plan")
    assert (unset.code, len(unset.text.splitlines()) <= 52) == (1, True), unset.text
    for name in NAMES:
        del forty.environ[f"{name}_USER".upper()], forty.environ[f"{name}_PASSWORD".upper()]
    unset = forty.run("plan")
    assert (unset.code, len(unset.text.splitlines())) == (1, 41), unset.text


def test_a_policy_limits_what_all_tenancies_of_a_run_lose_and_replace(forty: Forty) -> None:
    forty.environ["HOOKSYNC_PLAN_KEY"] = "a-key-of-the-plans-0123456789abcdef"  # signs the state
    assert forty.run("apply", "--yes", "--policy", "policy.yaml").code == 0
    for name in NAMES[:10]:
        forty.edit(name, "      one: {url: 'https://a.example.org/', trigger: MOVED}\n", "")
    refused = forty.run("apply", "--yes", "--policy", "policy.yaml")
    assert refused.code == 3
    assert (
        "would remove or move 10: the policy has max_unsubscribe_run: 2 (policy.yaml:5"
        in refused.err
    )
    forty.remote.git("checkout", "--quiet", "--", "hooks", at=forty.folder)
    for name in NAMES:
        forty.environ[f"{name.upper()}_HOOK"] = f"the-new-secret-of-{name}-0123456789"
    refused = forty.run("apply", "--yes", "--policy", "policy.yaml")
    assert refused.code == 3
    assert (
        "would resubscribe 80: the policy has max_resubscribe_run: 20 (policy.yaml:6" in refused.err
    )
    assert sum(len(forty.box.subscriptions(name)) for name in NAMES) == 80
