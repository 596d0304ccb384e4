"""The examples for GitHub: their workflows run unchanged, from the pull request to production."""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from tests.boxes import Receiver, Sandbox
from tests.command_line import PASSWORD, ROOT, USERNAME, hooksync
from tests.conftest import HOOKS, Place
from tests.git_servers import Remote, missing_program, served
from tests.github import GitHub, WorkflowRun
from tests.gitlab_ci import Project

EXAMPLE = ROOT / "examples" / "staging-and-production"
SINGLE = ROOT / "examples" / "ci" / "github"
TENANTS = {"staging": "ARCHIVE_TEST", "production": "ARCHIVE"}
SERVERS = {"staging": "preview.preservica.com", "production": "eu.preservica.com"}
RECEIVERS = {"staging": "staging.example.net", "production": "archive.example.net"}
SECRETS = {each: f"secret-of-{each}-0123456789" for each in TENANTS}
KEY = "k3y-that-signs-plans-0123456789"
ALL = ["alert INGEST_FAILED", "catalogue FULL_TEXT_INDEXED", "catalogue MOVED"]


@dataclass
class Archive:
    """A copy of the example, filled in for two sandboxes as in its README, and pushed to GitHub."""

    github: GitHub
    clone: Path
    boxes: dict[str, Sandbox]
    receivers: dict[str, Receiver]
    looked: str = ""  # the output of the commands of the README that look at staging
    branches: int = 0

    def git(self, *arguments: str) -> str:
        return self.github.remote.git(*arguments, at=self.clone)

    def type(self, script: str, folder: Path, **environ: str) -> str:
        """Run commands that the README shows."""
        known = {
            **self.github.remote.environ,
            "PYTHONPATH": str(ROOT),
            "HOOKSYNC": str(ROOT),
            **environ,
        }
        known["PATH"] = f"{self.github.programs}:{known['PATH']}"
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            command, cwd=folder, env=known, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fill_in(self, environment: str) -> None:
        """Replace the placeholders of an environment by its sandbox and its receiver."""
        server, receiver = self.boxes[environment].url, self.receivers[environment].url("")[:-1]
        host = RECEIVERS[environment]
        for path in (self.policy(environment), self.clone / environment / "hooks.yaml"):
            text = path.read_text(encoding="utf-8")
            for placeholder, value in (
                (f"https://{host}/hooks", receiver),
                (f"https://{host}", receiver),
                (f"{host}/hooks", receiver.removeprefix("http://")),
                (f"[{SERVERS[environment]}]", f"[{server.removeprefix('http://')}]"),
                (SERVERS[environment], server),
            ):
                text = text.replace(placeholder, value)
            path.write_text(text, encoding="utf-8")
        with self.policy(environment).open("a", encoding="utf-8") as policy:
            policy.write("allow_private_receivers: true\n")

    def policy(self, environment: str) -> Path:
        return self.clone / "policies" / f"{environment}.yaml"

    def secret_file(self, name: str) -> Path:
        (path := self.clone / name).touch(mode=0o600)
        return path

    def live(self, environment: str) -> list[str]:
        held = self.boxes[environment].subscriptions(TENANTS[environment])
        return sorted(f"{each.url.rpartition('/')[2]} {each.trigger}" for each in held)

    def meddle(self, environment: str) -> None:
        """Remove the alert of a tenancy without hooksync."""
        box, tenant = self.boxes[environment], TENANTS[environment]
        (alert,) = (each for each in box.subscriptions(tenant) if each.trigger == "INGEST_FAILED")
        box.remove(tenant, alert.id)

    def rotate(self, environment: str, secret: str) -> None:
        """Change the secret of an environment, both for its jobs and for its receivers."""
        for name in (environment, f"planning-{environment}"):
            self.github.environments[name]["HOOK_SECRET"] = secret
        for name in ("catalogue", "alert"):
            self.receivers[environment].set_secret(name, secret)

    def edit(self, old: str, new: str, *environments: str) -> None:
        for each in environments:
            hooks = self.clone / each / "hooks.yaml"
            text = hooks.read_text(encoding="utf-8")
            assert old in text
            hooks.write_text(text.replace(old, new), encoding="utf-8")

    def propose(self) -> tuple[dict[str, Any], WorkflowRun]:
        """Push the edits on a new branch, open a pull request, and run its workflow."""
        self.branches += 1
        branch = "first-hooks" if self.branches == 1 else f"change-{self.branches}"
        (script,) = commands_of("A change")
        self.type(script.replace("first-hooks", branch), self.clone)
        pull = self.github.propose(branch)
        head = {**pull["head"], "repo": {"full_name": "OWNER/REPOSITORY"}}
        payload = {"number": pull["number"], "head": head, "base": pull["base"]}
        ref = f"refs/pull/{pull['number']}/merge"
        run = self.github.start(
            "hooksync.yml", "pull_request", head["sha"], ref, pull_request=payload
        )
        return pull, run

    def merge(self, pull: dict[str, Any]) -> str:
        self.git("checkout", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "--message", "Merge", pull["head"]["ref"])
        self.git("push", "--quiet", "origin", "main")
        self.github.merge(pull, sha := self.git("rev-parse", "HEAD"))
        return sha

    def pushed(self) -> WorkflowRun:
        return self.github.start("hooksync.yml", "push", self.git("rev-parse", "main"))

    def by_hand(self, **inputs: Any) -> WorkflowRun:
        return self.github.start(
            "hooksync.yml", "workflow_dispatch", self.git("rev-parse", "main"), inputs=inputs
        )

    def night(self) -> WorkflowRun:
        return self.github.start("hooksync.yml", "schedule", self.git("rev-parse", "main"))

    def apply(self) -> None:
        """Apply both environments by hand, as in an emergency."""
        self.git("checkout", "--quiet", "main")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Declare hooks")
        self.git("push", "--quiet", "origin", "main")
        (script,) = commands_of("By hand, in an emergency")
        *_, command = script.splitlines()
        for each in TENANTS:
            words = command.replace("production", each).split()[1:]
            environ = {**self.github.remote.environ, "HOOKSYNC_PLAN_KEY": KEY}
            done = hooksync([*words, "--yes"], environ, self.clone)
            assert done.code == 0, done.err


PLANS = ("plan-staging", "plan-production")
VALIDATED = {"validate staging": "success", "validate production": "success"}


def started(run: WorkflowRun) -> dict[str, str]:
    """Return the results of the jobs that were not skipped."""
    return {name: result for name, result in run.results.items() if result != "skipped"}


def logs(run: WorkflowRun) -> str:
    return "\n".join(f"--- {name}: {job.result}\n{job.log}" for name, job in run.jobs.items())


def commands_of(section: str) -> list[str]:
    """Return the commands in a section of the README, each block as one script."""
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    (part,) = re.findall(rf"^##+ {section}$(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
    return [
        textwrap.dedent(block)
        for block in re.findall(r"^ *```sh\n(.*?)^ *```$", part, re.DOTALL | re.MULTILINE)
    ]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    if lack := missing_program():
        pytest.skip(lack)
    remote = Remote(tmp_path)
    remote.git("update-ref", "-d", "refs/heads/main")
    with ExitStack() as stack:
        boxes, receivers = {}, {}
        for each, tenant in TENANTS.items():
            boxes[each] = stack.enter_context(
                Sandbox(SandboxOptions((Account(tenants=(tenant,)),)))
            )
            receivers[each] = stack.enter_context(
                Receiver({name: [SECRETS[each]] for name in ("catalogue", "alert")})
            )
        archive = Archive(GitHub(tmp_path, remote), tmp_path / "webhooks", boxes, receivers)
        log_in = {
            "PRESERVICA_USERNAME": USERNAME,
            "PRESERVICA_PASSWORD": PASSWORD,
            "HOOKSYNC_PLAN_KEY": KEY,
        }
        for each, secret in SECRETS.items():
            archive.github.environments |= {
                name: {**log_in, "HOOK_SECRET": secret} for name in (each, f"planning-{each}")
            }
        archive.github.reviewed = {"production"}
        copy, validate, look, commit = commands_of("Set it up")
        archive.type(copy, tmp_path)
        for each in TENANTS:
            archive.fill_in(each)
        for each in TENANTS:
            held = archive.github.environments[each].items()
            lines = [
                f"{name}={value}\n" for name, value in held if not name.startswith("HOOKSYNC_")
            ]
            archive.secret_file(f"{each}.env").write_text("".join(lines), encoding="utf-8")
        archive.looked = archive.type(f"{validate}{look}", archive.clone)
        archive.type(commit, archive.clone)
        archive.git("remote", "add", "origin", remote.url)
        archive.git("push", "--quiet", "origin", "main")
        yield archive


@pytest.mark.slow
def test_a_reviewed_plan_is_applied_to_staging_and_after_approval_to_production(
    archive: Archive,
) -> None:
    assert "3 to subscribe" in archive.looked
    pull, planned = archive.propose()
    assert started(planned) == {**VALIDATED, **dict.fromkeys(PLANS, "success")}, logs(planned)
    (request,) = archive.github.known["issues"]
    assert ["3 to subscribe" in each["body"] for each in request["comments"]] == [True, True]
    assert archive.live("staging") == archive.live("production") == []

    archive.merge(pull)
    run = archive.pushed()
    results = {"show": "success", "staging": "success", "production": "waiting"}
    assert started(run) == results, logs(run)
    assert (archive.live("staging"), archive.live("production")) == (ALL, [])
    assert run.jobs["show"].summary.count("3 to subscribe") == 2  # the approver can read both plans
    archive.github.go_on(run, "production")
    assert run.results["production"] == "success", logs(run)
    assert archive.live("production") == ALL
    states = archive.git("ls-remote", "--heads", "origin", "hooksync-state-*").split()
    assert [each for each in states if "/" in each] == [
        f"refs/heads/hooksync-state-{each}" for each in sorted(TENANTS)
    ]
    assert not [
        secret
        for secret in (*SECRETS.values(), KEY, PASSWORD)
        if secret in logs(run) + logs(planned)
    ]

    archive.receivers["staging"].set_secret("moved", SECRETS["staging"])
    archive.edit("/catalogue", "/moved", "staging")
    pull, planned = archive.propose()
    assert "2 to resubscribe" in planned.jobs["plan-staging"].log, logs(planned)
    sha = archive.merge(pull)
    queue = f"refs/heads/gh-readonly-queue/main/pr-{pull['number']}-{pull['base']['sha']}"
    queued = archive.github.start(
        "hooksync.yml", "merge_group", sha, queue, merge_group={"head_sha": sha}
    )
    assert set(started(queued).values()) == {"success"}, logs(queued)
    run = archive.pushed()
    assert f"made by run {queued.number}." in run.jobs["show"].log
    # production has no changes, so nobody is asked to approve
    assert (run.results["staging"], run.results["production"]) == ("success", "skipped"), logs(run)
    assert archive.live("staging") == [
        "alert INGEST_FAILED",
        "moved FULL_TEXT_INDEXED",
        "moved MOVED",
    ]
    assert archive.live("production") == ALL


@pytest.mark.slow
def test_a_stale_plan_is_refused_and_production_waits_until_a_new_plan_is_made_by_hand(
    archive: Archive,
) -> None:
    archive.apply()
    archive.edit("[INDEXED, MOVED]", "[INDEXED]", *TENANTS)
    pull, _ = archive.propose()
    archive.merge(pull)
    archive.meddle("staging")
    run = archive.pushed()
    assert (run.results["staging"], run.results["production"]) == ("failure", "skipped"), logs(run)
    assert "::error title=hooksync refused the plan::" in run.jobs["staging"].log
    assert "the plan does not show what would be done now" in run.jobs["staging"].log
    assert (archive.live("staging"), archive.live("production")) == (ALL[1:], ALL)

    again = archive.by_hand(command="apply", environment="production")
    assert started(again) == {
        **VALIDATED,
        "plan-production": "success",
        "show": "success",
        "production": "waiting",
    }
    archive.github.go_on(again, "production")
    assert again.results["production"] == "success", logs(again)
    assert archive.live("production") == ["alert INGEST_FAILED", "catalogue FULL_TEXT_INDEXED"]


@pytest.mark.slow
@pytest.mark.nightly  # for each change, other tests run the steps of the action
def test_drift_keeps_an_issue_open_until_an_apply_by_hand_which_also_rotates_secrets(
    archive: Archive,
) -> None:
    archive.apply()
    assert started(archive.night()) == {"drift staging": "success", "drift production": "success"}
    archive.meddle("staging")
    archive.meddle("production")
    assert started(archive.night()) == {"drift staging": "failure", "drift production": "failure"}
    titles = ["Drift: hooksync-plan-staging", "Drift: hooksync-plan-production"]
    assert [each["title"] for each in archive.github.open_issues] == titles

    archive.rotate("staging", "the-next-secret-0123456789")
    before = {each.id for each in archive.boxes["staging"].subscriptions(TENANTS["staging"])}
    run = archive.by_hand(command="apply", environment="staging")
    assert run.results["staging"] == "success", logs(run)
    assert not before & {
        each.id for each in archive.boxes["staging"].subscriptions(TENANTS["staging"])
    }
    assert archive.live("staging") == ALL
    assert started(archive.night()) == {"drift staging": "success", "drift production": "failure"}
    (left,) = archive.github.open_issues
    assert (left["title"], left["comments"]) == (titles[1], [])


@pytest.mark.slow
def test_a_plan_that_would_be_refused_fails_its_check_and_is_not_applied(archive: Archive) -> None:
    archive.apply()
    archive.edit("[INDEXED, MOVED]", "[INGEST_FAILED]", "production")
    pull, planned = archive.propose()
    assert [planned.results[each] for each in PLANS] == ["success", "failure"], logs(planned)
    said = archive.github.known["issues"][-1]["comments"][-1]["body"]
    assert ("limits.unsubscribe" in said, "the policy has max" in said) == (True, True)
    archive.merge(pull)  # a person who may override the rules merges it
    run = archive.pushed()
    assert (run.results["show"], run.results["staging"]) == ("failure", "skipped"), logs(run)
    assert "::error title=No reviewed plan::" in run.jobs["show"].log
    assert archive.live("production") == ALL


@pytest.mark.slow
def test_a_change_is_checked_against_the_policy_of_main_and_not_against_its_own(
    archive: Archive,
) -> None:
    receiver = archive.receivers["staging"].url("").split("/")[2]
    policy = archive.policy("staging")
    policy.write_text(
        policy.read_text(encoding="utf-8").replace(receiver, "127.0.0.1:1"), encoding="utf-8"
    )
    archive.edit(receiver, "127.0.0.1:1", "staging")
    _, planned = archive.propose()
    assert started(planned) == {**VALIDATED, "validate staging": "failure"}
    assert "which the policy does not allow" in planned.jobs["validate staging"].log


def test_the_readme_of_the_example_names_the_secrets_and_environments_of_the_workflows() -> None:
    text = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    workflows = "".join(path.read_text("utf-8") for path in (EXAMPLE / ".github").rglob("*.yml"))
    named = {
        *re.findall(r"secrets\.(\w+)", workflows),
        *re.findall(r"environment: ([\w-]+)(?: #.*)?$", workflows, re.M),
    }
    assert named >= {*TENANTS, "HOOK_SECRET"}
    assert not [name for name in named if f"`{name}`" not in text]


# --- one environment


@pytest.fixture
def single(tmp_path: Path, place: Place) -> Iterator[GitHub]:
    """Return a repository with the example of one environment, and with a branch to propose. Only
    the token of a job opens the repository.
    """
    if lack := missing_program():
        pytest.skip(lack)
    github = GitHub(tmp_path, Remote(tmp_path))
    held = {
        name: place.environ[name]
        for name in ("PRESERVICA_USERNAME", "PRESERVICA_PASSWORD", "CATALOGUE_SECRET")
    }
    held["HOOKSYNC_PLAN_KEY"] = KEY
    github.environments = {"planning": held, "production": held}
    github.reviewed = {"production"}
    files = {
        f".github/workflows/{path.name}": path.read_text("utf-8")
        for path in SINGLE.glob("workflows/*.yml")
    }
    project = Project(github.remote, {}, {})
    project.commit(
        {**files, ".github/hooksync.policy.yaml": place.policy_text(), "hooks.yaml": "version: 1\n"}
    )
    hooks = re.sub(r"\$\{(\w+)\}", lambda found: place.environ[found[1]], HOOKS)
    project.commit({"hooks.yaml": hooks}, "change")
    with served(github.remote):
        (tmp_path / "home" / ".gitconfig").unlink()
        yield github


@pytest.mark.slow
def test_the_example_with_one_environment_applies_the_reviewed_plan(
    single: GitHub, place: Place
) -> None:
    pull = single.propose("change")

    def planned(repository: str) -> WorkflowRun:
        head = {**pull["head"], "repo": {"full_name": repository}}
        event = {"number": pull["number"], "head": head, "base": pull["base"]}
        merged = f"refs/pull/{pull['number']}/merge"
        return single.start("hooksync.yml", "pull_request", head["sha"], merged, pull_request=event)

    assert started(planned("FORK/REPOSITORY")) == {"validate": "success"}
    run = planned("OWNER/REPOSITORY")
    assert started(run) == {"validate": "success", "plan": "success"}, logs(run)

    sha = pull["head"]["sha"]
    single.merge(pull, sha)
    elsewhere = single.start("hooksync.yml", "push", sha, "refs/heads/other")
    assert set(elsewhere.results.values()) == {"skipped"}
    run = single.start("hooksync.yml", "push", sha)
    assert started(run) == {"show": "success", "apply": "waiting"}, logs(run)
    assert not place.box.subscriptions("DEMO")
    single.go_on(run, "production")
    assert run.results["apply"] == "success", logs(run)
    assert len(place.box.subscriptions("DEMO")) == 2
    assert single.remote.log("hooksync-state")
    single.remote.git("update-ref", "-d", "refs/heads/hooksync-state")  # the state is lost
    by_hand = ("hooksync.yml", "workflow_dispatch", sha)
    again = single.start(*by_hand, inputs={"command": "apply"})
    assert started(again) == {"validate": "success", "plan": "failure"}, logs(again)
    adopting = single.start(*by_hand, inputs={"command": "adopt"})
    assert started(adopting) == {"validate": "success", "adopt": "waiting"}
    single.go_on(adopting, "production")
    assert adopting.results["adopt"] == "success", logs(adopting)
    assert "2 of 2 adopted" in adopting.jobs["adopt"].log
    assert single.start("hooksync.yml", "schedule", sha).results["drift"] == "success"
