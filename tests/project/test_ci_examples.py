"""Tests of the ready-made CI: they check its files, and run its shell parts on a sandbox.

The tests take the steps of the action and the scripts of the pipelines unchanged from their files,
and run them as a runner would. They simulate GitHub, GitLab, Jenkins and Kubernetes: for example,
`gh` is a script that records issues and comments in a file.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command_line import ROOT
from tests.conftest import HIDDEN, HOOKS, Place, owning
from tests.git_servers import PASSWORD as GIT_PASSWORD
from tests.git_servers import Remote, missing_program, served
from tests.github import BOT, GitHub, filled
from tests.gitlab_ci import Project, load_template
from tests.lanes import sampled
from tests.wire import Wire

ACTION = ROOT / "action.yml"
GITHUB = ROOT / "examples" / "ci" / "github"
GITLAB = ROOT / "examples" / "ci" / "gitlab"
JENKINSFILE = ROOT / "examples" / "ci" / "jenkins" / "Jenkinsfile"
KUBERNETES = ROOT / "examples" / "kubernetes"
DOCKERFILE = ROOT / "Dockerfile"
PRE_COMMIT = ROOT / ".pre-commit-hooks.yaml"
# the example with two environments: a repository that users copy as a whole
TWO = ROOT / "examples" / "staging-and-production"
ONES = sorted((GITHUB / "workflows").glob("*.yml"))
WORKFLOWS = [*ONES, *sorted((TWO / ".github" / "workflows").glob("*.yml"))]
POLICIES = [folder / "policy.yaml" for folder in (GITHUB, GITLAB, JENKINSFILE.parent, KUBERNETES)]
PAGES = [
    ROOT / "docs" / f"{name}.md" for name in ("plans", "github", "gitlab", "jenkins", "kubernetes")
]

PLACEHOLDER_SHA = "0" * 40
SELF = f"OWNER/hooksync@{PLACEHOLDER_SHA}"
MARKER = "<!-- hooksync:plan -->"
STATE = "git:hooksync-state"
KEY = "k3y-that-signs-plans-0123456789"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps_of(path: Path) -> list[dict[str, Any]]:
    document = load(path)
    if path == ACTION:
        return document["runs"]["steps"]
    return [step for job in document["jobs"].values() for step in job["steps"]]


# --- the contents of the files


def test_no_file_of_the_ci_contains_a_secret_or_a_path_of_this_machine() -> None:
    pipelines = [
        path
        for folder in ("ci", "kubernetes", TWO.name)
        for path in (ROOT / "examples" / folder).rglob("*")
    ]
    for path in (ACTION, PRE_COMMIT, DOCKERFILE, *PAGES, *pipelines):
        if path.is_file() and path.suffix != ".pyc":
            text = path.read_text(encoding="utf-8")
            assert str(ROOT) not in text, path
            secret = r"(?i)(?:password|secret|token|key)[\"']?\s*[:=]\s*[\"']?(?=\w*\d)\w{16,}"
            assert not re.findall(secret, text), path


def test_the_action_reads_inputs_and_steps_that_exist() -> None:
    document = load(ACTION)
    text = ACTION.read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(document["inputs"])
    ids = {step["id"] for step in document["runs"]["steps"] if "id" in step}
    assert set(re.findall(r"steps\.([\w-]+)", text)) == ids


# --- GitHub: the action's steps, run


@dataclass
class Runner:
    """A runner of jobs. It gives each step files to write to, a path and an environment."""

    place: Place
    folder: Path
    remote: Remote  # the remote of the checkout
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    event: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bin = self.folder / "bin"
        self.temp = self.folder / "runner-temp"
        self.summary = self.folder / "summary.md"
        self.github = GitHub(self.folder, self.remote)
        self.temp.mkdir()
        self.script("hooksync", f'exec "{sys.executable}" -m hooksync "$@"\n')
        self.environ = {
            **self.place.environ,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "CI": "true",
            "GH_WORLD": str(self.github.world),
            "GH_GIT": str(self.remote.path),
            "GH_EVENT": "push",
            "GH_PERMISSIONS": json.dumps(
                dict.fromkeys(("contents", "pull-requests", "actions", "issues"), "write")
            ),
            "HOME": self.remote.environ["HOME"],
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        self.check_out()

    @property
    def server(self) -> str:
        return self.remote.url.removesuffix(f"/{self.remote.path.name}")

    def keeps_state(self) -> bool:
        """Return whether the branch that the examples use has a state. Assert that the checkout has
        no state file.
        """
        assert not list(self.place.folder.rglob("*.state.json"))
        return bool(self.remote.git("branch", "--list", STATE.removeprefix("git:")))

    def check_out(self) -> None:
        """Make the folder a fresh checkout without credentials."""
        shutil.rmtree(self.place.folder / ".git", ignore_errors=True)
        self.remote.git("init", "--quiet", at=self.place.folder)
        self.remote.git("remote", "add", "origin", self.remote.url, at=self.place.folder)

    def script(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/usr/bin/env bash\n{text}", encoding="utf-8")
        path.chmod(0o755)
        return path

    def publish(self, text: str) -> str:
        """Commit a policy on the default branch of the repository."""
        return Project(self.remote, {}, {}).commit({"hooksync.policy.yaml": text})

    def hold(self, **world: list[dict[str, Any]]) -> None:
        """Let GitHub have these issues, pull requests and runs, and no others."""
        everything = {"issues": [], "pulls": [], "runs": [], **world}
        self.github.world.write_text(json.dumps(everything), encoding="utf-8")

    def step(self, name: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a step of the action as GitHub's runner does."""
        (step,) = (each for each in steps_of(ACTION) if each["name"] == name)
        known: dict[str, Any] = {
            "github": {"event": self.event, "token": "made-up-token"},
            "runner": {"temp": self.temp},
        }
        defaults = {
            key: filled(each.get("default"), known) for key, each in load(ACTION)["inputs"].items()
        }
        known |= {"inputs": {**defaults, **self.inputs}}
        known |= {"steps": {key: {"outputs": each} for key, each in self.outputs.items()}}
        env = {key: filled(each, known) for key, each in step["env"].items()}
        output = self.folder / "output"
        output.write_text("", encoding="utf-8")
        github = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_PATH": str(self.folder / "path"),
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_SERVER_URL": self.server,
            "GITHUB_WORKSPACE": str(self.place.folder),
            "GITHUB_REPOSITORY": "OWNER/REPOSITORY",
        }
        done = self.bash(step["run"], {**github, **env, **more})
        if "id" in step:
            lines = output.read_text(encoding="utf-8").splitlines()
            self.outputs[step["id"]] = dict(line.split("=", 1) for line in lines)
        return done

    def bash(
        self, script: str, env: Mapping[str, str], *shell: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*(shell or ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")), script],
            cwd=self.place.folder,
            env={**self.environ, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        written = [path.read_text(encoding="utf-8") for path in self.folder.rglob("*.md")]
        written += [path.read_text(encoding="utf-8") for path in self.folder.rglob("*.json*")]
        for hidden in (*HIDDEN, KEY, GIT_PASSWORD):
            assert hidden not in done.stdout + done.stderr + "".join(written)
        assert "Traceback" not in done.stderr, done.stderr
        return done


@pytest.fixture
def runner(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    if lack := missing_program():
        pytest.skip(lack)
    runner = Runner(
        place, tmp_path_factory.mktemp("runner"), Remote(tmp_path_factory.mktemp("remote"))
    )
    runner.environ["HOOKSYNC_PLAN_KEY"] = place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    return runner


@pytest.fixture
def over_http(runner: Runner) -> Iterator[Runner]:
    """Return a runner whose repository is served over HTTP and needs a password."""
    with served(runner.remote):
        (Path(runner.remote.environ["HOME"]) / ".gitconfig").unlink()
        runner.check_out()
        yield runner


def apply_by_hand(runner: Runner) -> None:
    """Apply the hooks file, with the state on the branch that the examples use."""
    done = runner.bash(f"hooksync apply --yes --state {STATE}", {})
    assert done.returncode == 0, done.stderr


def live(place: Place) -> list[tuple[str, str]]:
    return sorted((each.trigger, each.url) for each in place.box.subscriptions("DEMO"))


def meddle(place: Place) -> None:
    """Remove one subscription of the tenancy without hooksync."""
    place.box.remove("DEMO", place.box.subscriptions("DEMO")[0].id)


def over_the_limit(place: Place) -> None:
    """Make three subscriptions live that are not declared. A plan that removes them all is refused."""
    place.write(owning(HOOKS))
    for index in range(3):
        place.box.seed(
            "DEMO", f"https://old.example.org/{index}", "MOVED", "a-secret-of-others-0123456789"
        )


@pytest.mark.slow
def test_gitlab_fails_the_preview_of_a_plan_that_would_be_refused_and_shows_why(
    runner: Runner, place: Place
) -> None:
    over_the_limit(place)
    for name in ("preview", "plan"):
        assert run_gitlab(runner, name).returncode == 3
        assert "limits.unsubscribe" in (place.folder / "hooksync-plan.txt").read_text(
            encoding="utf-8"
        )
    assert gitlab()["hooksync:preview"]["artifacts"]["when"] == "always"
    assert not (place.folder / "hooksync-plan.json").exists()


@pytest.mark.slow
def test_github_fails_when_the_tenancy_cannot_be_read(runner: Runner, place: Place) -> None:
    place.box.faults.add("status-500@list:*")
    planned = runner.step("Plan")
    assert planned.returncode == 1
    assert "::error title=hooksync could not plan::" in planned.stdout
    assert "changes" not in runner.outputs["plan"]
    assert not (runner.temp / "hooksync" / "plan.json").exists()


def test_github_validates_without_secrets_and_shows_problems_at_their_lines(
    runner: Runner, place: Place
) -> None:
    runner.environ = {
        name: each for name, each in runner.environ.items() if name.startswith(("PATH", "PYTHON"))
    }
    assert runner.step("Validate").returncode == 0
    place.write("version: 1\ntenancies: {}\nmore: 1\n")
    wrong = runner.step("Validate")
    assert wrong.returncode == 1
    matcher = GITHUB / "problem-matcher.json"
    assert f"::add-matcher::{matcher}\n" in wrong.stdout
    assert "\nhooks.yaml:3:1: " in wrong.stderr


def test_github_accepts_several_files_and_runs_no_command_in_a_file_name(
    runner: Runner, place: Place
) -> None:
    (place.folder / "hooks.yaml").rename(place.folder / "-a $(touch gone) file.yaml")
    place.write(
        "version: 1\ntenancies:\n  spare: {server: one.example.org, subscriptions: {}}\n", "b.yaml"
    )
    runner.inputs = {"files": "-a $(touch gone) file.yaml\nb.yaml\n", "tenancy": "prod"}
    planned = runner.step("Plan")
    assert planned.returncode == 0, planned.stderr
    assert not (place.folder / "gone").exists()
    document = json.loads((runner.temp / "hooksync" / "plan.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in document["tenancies"]] == ["prod"]


ODD = "--timeout=5 $(touch gone)"  # one argument
GIVEN = [  # inputs of the action; for each argument of hooksync, the steps that pass it
    (
        {
            "tenancy": "a-*\n\nb", "replace": "a/b/*",
            "adopt": "a/b/c", "probe": "true", "state": "s3://BUCKET/KEY",
            "max-age": "2h", "args": f"{ODD}\n\n--all",
        },
        {
            "--tenancy=a-* --tenancy=b": "Validate, Plan, Look for drift, Adopt",
            "--replace=a/b/*": "Plan",
            "--probe": "Plan, Look for drift, Apply",
            "--state=s3://BUCKET/KEY": "Plan, Look for drift, Apply, Adopt",
            f"{ODD} --all": "Validate, Plan, Look for drift, Apply, Adopt",
            "a/b/c": "Adopt",
            "2h": "Apply",
        },
    ),
    (
        {"probe": "false", "state": ""},
        {"--no-probe": "Plan, Look for drift, Apply"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("inputs", "expected"), sampled(GIVEN, 2), ids=["on", "off"])
def test_github_passes_each_input_only_to_the_steps_that_use_it(
    runner: Runner, inputs: dict[str, str], expected: dict[str, str]
) -> None:
    runner.script("hooksync", 'printf "%s\\n" "$@" >"$RUNNER_TEMP/arguments"\n')
    (runner.temp / "hooksync").mkdir()

    def arguments(step: str, given: dict[str, str]) -> list[str]:
        runner.inputs = given
        assert runner.step(step).returncode == 0
        return (runner.temp / "arguments").read_text(encoding="utf-8").splitlines()

    for name in ("Validate", "Plan", "Look for drift", "Apply", "Adopt"):
        usual = arguments(name, {"state": ""})
        changed = [each for each in arguments(name, inputs) if each not in usual]
        assert " ".join(changed) == " ".join(
            part for part, steps in expected.items() if name in steps
        )
    assert not [*runner.folder.rglob("gone"), *runner.place.folder.rglob("gone")]


def test_github_refuses_an_input_that_is_neither_true_nor_false(runner: Runner) -> None:
    name = "probe"
    runner.inputs = {name: "yes"}
    done = runner.step("Plan")
    assert (done.returncode, done.stdout) == (
        64,
        f"::error title=Invalid input::{name} is true or false\n",
    )


@pytest.mark.slow
def test_the_github_log_repeats_the_summary_and_no_url_in_it_acts_as_a_workflow_command(
    runner: Runner, place: Place
) -> None:
    forged = "https://old.example.org/\n::error::forged"
    place.box.seed("DEMO", forged, "MOVED", "a-secret-of-others-0123456789")
    runner.inputs = {}
    assert runner.step("Plan").returncode == 0
    outcome = runner.step("Apply")
    drift = runner.step("Look for drift")
    for done, group in ((outcome, "Applied: 2 "), (drift, "No changes.")):
        first, *rest = done.stdout.splitlines()
        assert first.startswith(f"::group::{group}"), first
        assert rest[-1] == "::endgroup::"
        assert not [line for line in rest[:-1] if line.lstrip().startswith("::")]
        assert "\n".join(rest[:-1]) in runner.summary.read_text(encoding="utf-8")


def test_github_installs_hooksync_by_the_install_script_in_the_checkout_of_the_action(
    runner: Runner,
) -> None:
    action = runner.folder / "action"
    runner.script("install", 'printf "%s\\n" "$PYTHON" "$@"\n').rename(action / ".ci" / "install")
    runner.inputs = {"python": "python3.12"}
    installed = runner.step("Install", GITHUB_ACTION_PATH=str(action))
    assert (installed.returncode, installed.stdout) == (
        0,
        f"python3.12\n{runner.temp}/hooksync-venv\n",
    ), installed.stderr
    assert (runner.folder / "path").read_text() == f"{runner.temp}/hooksync-venv/bin\n"


@pytest.mark.slow
@pytest.mark.parametrize("has_base", [True, False])
def test_github_reads_the_policy_from_the_base_of_a_pull_request_or_the_default_branch(
    runner: Runner, place: Place, has_base: bool
) -> None:
    place.write(place.policy_text(), "hooksync.policy.yaml")  # the pull request allows all
    assert runner.step("Plan").returncode == 0  # there is a plan to apply
    runner.inputs["policy"] = "hooksync.policy.yaml"
    base = runner.publish(place.policy_text(servers=["other.example.org"]))
    if has_base:
        runner.publish(place.policy_text())
        runner.event = {"pull_request": {"base": {"sha": base}}}
    assert runner.step("Fetch the policy").returncode == 0
    before = place.box.calls
    for name, code in (
        ("Validate", 0),
        ("Plan", 3),
        ("Apply", 3),
        ("Look for drift", 3),
    ):  # Validate ends with 0, because the server is a variable
        assert runner.step(name).returncode == code
    assert place.box.calls == before


def test_github_fails_if_the_requested_policy_does_not_exist(runner: Runner) -> None:
    runner.inputs["policy"] = ".github/hooksync.policy.yaml"
    done = runner.step("Fetch the policy")
    assert (done.returncode, "::error title=No policy::" in done.stdout) == (1, True)
    assert runner.outputs["policy"] == {}


def test_every_github_workflow_uses_a_policy_and_every_policy_allows_the_example(
    runner: Runner,
) -> None:
    for path in WORKFLOWS:
        asked = [step["with"] for step in steps_of(path) if step.get("uses") == SELF]
        policy = ".github/hooksync.policy.yaml" if path in ONES else "policies/"
        assert all(one["policy"].startswith(policy) for one in asked if one["command"] != "show")
    for policy in POLICIES:
        assert "CODEOWNERS" in policy.read_text(encoding="utf-8")
        hooks = KUBERNETES / "hooks.yaml"
        assert (
            runner.bash(f'hooksync validate --file "{hooks}" --policy "{policy}"', {}).returncode
            == 0
        )


BOLD = """\
version: 1
tenancies:
  archive:
    server: evil.example.org
    tenant: ${HOME}
    owns: all
    probe: never
    unknown_secret: replace
    replacement: remove-first
    subscriptions:
      one: {url: https://evil.example.org/, trigger: MOVED, secret: {env: OTHER_SECRET}}
      two: {url: https://catalogue.example.net/, trigger: MOVED, secret: {file: /run/secret}}
"""


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_the_policy_of_every_pipeline_denies_what_it_does_not_mention(
    place: Place, policy: Path
) -> None:
    place.write(BOLD)
    run = place.run("validate", "--policy", str(policy))
    lines = [int(line) for line in re.findall(r"^hooks\.yaml:(\d+):", run.err, re.MULTILINE)]
    assert lines == [3, 3, 3, 3, 4, 5, 11, 11, 12]


# --- GitHub: the comment, and the plan that was reviewed

MERGE = {"GITHUB_SHA": "merge-sha", "GITHUB_REF_NAME": "main"}
HEAD: dict[str, Any] = {
    "ref": "branch",
    "sha": "head-sha",
    "repo": {"full_name": "OWNER/REPOSITORY"},
}
PULL = {
    "number": 7,
    "merged_at": "2030-01-02T12:00:00Z",
    "merge_commit_sha": "merge-sha",
    "base": {"ref": "main"},
    "head": HEAD,
}
RUN = {
    "id": 11,
    "path": "hooksync.yml",
    "event": "pull_request",
    "conclusion": "success",
    "head_sha": "head-sha",
    "head_branch": "branch",
    "head_repository": {"full_name": "OWNER/REPOSITORY"},
    "run_started_at": "2030-01-02T11:00:00Z",
}


def comment(runner: Runner, *comments: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the step on a pull request with these comments. Return the comments afterwards."""
    event = runner.folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}), encoding="utf-8")
    runner.hold(issues=[{"number": 7, "comments": comments}])
    runner.inputs["python"] = sys.executable
    done = runner.step("Comment", GITHUB_EVENT_PATH=str(event))
    assert done.returncode == 0, done.stderr
    return runner.github.known["issues"][0]["comments"]


def by(login: str, number: int, body: str) -> dict[str, Any]:
    return {"id": number, "user": {"login": login}, "body": body}


@pytest.mark.slow
def test_github_makes_one_comment_on_a_pull_request_and_then_updates_it(runner: Runner) -> None:
    assert runner.step("Plan").returncode == 0
    (made,) = comment(runner)
    body = made["body"]
    assert body.startswith(MARKER)
    assert "```diff" in body

    forged, other = by("somebody", 1, body), by(BOT, 2, f"{MARKER} <!-- another-plan -->\n")
    before, further = by(BOT, 3, f"{body}of before"), by(BOT, 4, f"{body}of before")
    assert comment(runner, forged, other, before, further) == [
        forged,
        other,
        by(BOT, 3, body),
        further,
    ]

    runner.inputs["artifact"] = "another-plan"
    changed = comment(runner, forged, other)
    assert changed[0] == forged
    assert "```diff" in changed[1]["body"]


@pytest.mark.slow
def test_github_comments_only_a_notice_if_the_plan_is_too_long_for_a_comment(
    runner: Runner,
) -> None:
    (runner.temp / "hooksync").mkdir()
    for length in (10, 65_535):
        (runner.temp / "hooksync" / "plan.md").write_text(
            f"{MARKER}\n".ljust(length, "x"), encoding="utf-8"
        )
        body = comment(runner)[0]["body"]
        assert len(body) <= 65_536
        assert ("too long" in body) is (length > 10)


QUEUED = {
    **RUN,
    "id": 12,
    "event": "merge_group",
    "head_sha": "merge-sha",
    "head_branch": "gh-readonly-queue/main/pr-7-base-sha",
}
LATER = {"run_started_at": "2030-01-02T12:00:01Z"}
FOUND: list[tuple[str | None, dict[str, Any], list[dict[str, Any]]]] = [
    ("11", {}, [{**RUN, "id": 10, "run_started_at": "2030-01-01T00:00:00Z"}, RUN]),
    ("11", {}, [RUN]),
    ("12", {}, [RUN, QUEUED]),
    ("12", {"head": {**HEAD, "repo": None}}, [QUEUED]),  # of a fork, after the merge queue
    (None, {}, []),
    (None, {}, [{**RUN, **LATER}]),
    (None, {}, [{**RUN, "head_repository": {"full_name": "FORK/REPOSITORY"}}]),
    (None, {}, [{**RUN, "head_repository": None}]),
    (None, {}, [{**RUN, "head_branch": "another"}]),
    (None, {}, [{**QUEUED, **LATER}]),
    (None, {}, [{**QUEUED, "head_branch": "gh-readonly-queue/release/pr-7-base-sha"}]),
    (None, {"merged_at": None}, [RUN]),
    (
        None,
        {"merge_commit_sha": "another", "head": {**HEAD, "sha": "merge-sha"}},
        [{**RUN, "head_sha": "merge-sha"}],
    ),
    (None, {"base": {"ref": "release"}}, [RUN]),
    (None, {"head": {**HEAD, "repo": None}}, [RUN]),
    (None, {"head": {**HEAD, "repo": {"full_name": "FORK/REPOSITORY"}}}, [RUN]),
]


@pytest.mark.slow
def test_github_finds_only_the_reviewed_plan_of_the_merged_pull_request(runner: Runner) -> None:
    runner.inputs["python"] = sys.executable
    for run, difference, runs in FOUND:
        runner.hold(pulls=[{**PULL, **difference}], runs=runs)
        done = runner.step("Find the reviewed plan", **MERGE)
        assert runner.outputs["find"].get("run-id") == run, (difference, runs)
        is_refused = "::error title=No reviewed plan::" in done.stdout
        assert (done.returncode, is_refused) == (int(run is None), run is None)


# --- GitHub: the issue about drift


def night(runner: Runner) -> tuple[int, list[tuple[str, int]]]:
    """Run the steps that look for drift and report it. Return the exit code, and the title and the
    number of comments of each open issue.
    """
    code = runner.step("Look for drift").returncode
    return code, tell(runner)


def tell(runner: Runner) -> list[tuple[str, int]]:
    runner.inputs |= {"python": sys.executable, "issue-labels": "drift\n", "issue-assignees": "ada"}
    done = runner.step("Tell of drift", GITHUB_RUN_ID="77")
    assert done.returncode == 0, done.stdout + done.stderr
    return [(each["title"], len(each["comments"])) for each in runner.github.open_issues]


@pytest.mark.slow
def test_an_apply_without_changes_leaves_no_commit_on_the_branch_of_the_state(
    runner: Runner,
) -> None:
    apply_by_hand(runner)
    commits = runner.remote.log("hooksync-state")
    apply_by_hand(runner)
    assert runner.remote.log("hooksync-state") == commits


DRIFT = "Drift: hooksync-plan"


@pytest.mark.slow
def test_github_keeps_exactly_one_issue_open_as_long_as_there_is_drift(
    runner: Runner, place: Place
) -> None:
    apply_by_hand(runner)
    assert night(runner) == (0, [])
    meddle(place)
    for _ in range(2):  # the same drift is reported once
        assert night(runner) == (2, [(DRIFT, 0)])
    (made,) = runner.github.open_issues
    assert (made["labels"], made["assignees"]) == (["drift"], ["ada"])
    assert "/OWNER/REPOSITORY/actions/runs/77)" in made["body"]
    assert "```diff" in made["body"]

    meddle(place)
    assert night(runner) == (2, [(DRIFT, 1)])
    place.box.faults.add("status-500@list:*")
    assert night(runner) == (1, [(DRIFT, 1)])  # hooksync could not read the tenancy
    place.box.faults.end()
    apply_by_hand(runner)
    over_the_limit(place)
    assert night(runner) == (3, [(DRIFT, 2)])
    assert "limits.unsubscribe" in runner.github.open_issues[0]["body"]
    place.write(HOOKS)
    assert night(runner) == (0, [])


@pytest.mark.slow
def test_github_recognises_only_its_own_issue_about_drift(runner: Runner, place: Place) -> None:
    assert night(runner) == (2, [(DRIFT, 0)])
    (ours,) = runner.github.open_issues

    def told(*issues: dict[str, Any]) -> int:
        runner.hold(issues=list(issues))
        tell(runner)
        return len(runner.github.known["issues"])

    others = (
        {"user": {"login": "somebody"}},
        {"pull_request": {}},
        {"body": None},
        {"body": "<!-- hooksync:drift 0 -->"},
    )
    assert told(*({**ours, **other} for other in others)) == len(others) + 1
    for name, value in (
        ("artifact", "other"),
        ("tenancy", "prod"),
        ("files", "./hooks.yaml"),
    ):
        runner.inputs |= {name: value}
        assert told(ours) == 2
        del runner.inputs[name]
    assert told(ours) == 1


def test_github_reports_why_an_issue_could_not_be_made(runner: Runner) -> None:
    assert runner.step("Look for drift").returncode == 2
    runner.inputs["python"] = sys.executable
    done = runner.step("Tell of drift", GITHUB_RUN_ID="77", GH_PERMISSIONS="{}")
    assert (done.returncode, "::error title=GitHub refused::" in done.stdout) == (1, True)


# --- GitLab


def gitlab(**inputs: object) -> dict[str, Any]:
    return load_template(GITLAB / "hooksync.yml", image="IMAGE", **inputs)


def run_gitlab(runner: Runner, name: str, **inputs: object) -> subprocess.CompletedProcess[str]:
    if name == "apply":  # the job is in the child pipeline that the plan wrote
        [job] = load(runner.place.folder / "hooksync-apply.yml").values()
    else:
        job = gitlab(**inputs)[f"hooksync:{name}"]
    predefined = {
        "CI_PIPELINE_ID": "77",
        "CI_SERVER_URL": runner.server,
        "CI_JOB_TOKEN": "",
        "CI_PROJECT_DIR": str(runner.place.folder),
        "CI_PROJECT_URL": runner.remote.url.removesuffix(".git"),
        "CI_DEFAULT_BRANCH": "main",
    }
    runner.publish(runner.place.policy_text())
    return runner.bash(
        "\n".join([*job.get("before_script", []), *job["script"]]), predefined | job["variables"]
    )


def gitlab_children() -> dict[str, Any]:
    """Return the jobs of the child pipelines that the job of the plan writes."""
    script = "\n".join(gitlab()["hooksync:plan"]["script"])
    texts = re.findall(r"<<'END' ;;\n(.*?)\nEND\n", script, re.DOTALL)
    return {name: job for text in texts for name, job in yaml.safe_load(text).items()}


def test_gitlab_jobs_have_a_timeout_and_an_environment_and_the_apply_is_manual() -> None:
    jobs, children = gitlab(), gitlab_children()
    offer = jobs.pop("hooksync:offer")
    assert offer["rules"] == jobs["hooksync:plan"]["rules"]
    assert offer["trigger"]["include"] == [
        {"artifact": "hooksync-apply.yml", "job": "hooksync:plan"}
    ]
    assert children.pop("hooksync:no-changes") == {
        "image": jobs["hooksync:plan"]["image"],
        "script": ["true"],
    }
    assert list(children) == ["hooksync:apply"]
    for name, job in {**jobs, **children}.items():
        assert job["image"]["entrypoint"] == [""]
        assert job["timeout"]
        # forks run validate, so it has no environment; only apply and adopt have production
        assert job.get("environment") == {
            "hooksync:validate": None, "hooksync:apply": {"name": "production"},
            "hooksync:adopt": {"name": "production"},
        }.get(name, {"name": "planning", "action": "access"})  # fmt: skip
    apply = children["hooksync:apply"]
    assert apply["rules"] == [{"when": "manual"}]
    assert (apply["resource_group"], apply["interruptible"]) == ("hooksync", False)
    base = jobs["hooksync:plan"]["variables"]
    assert apply["variables"].items() <= base.items()


GITLAB_INPUTS = {
    "tenancy": "archive-*\n$(touch gone)", "replace": "a/b/*", "probe": "false",
    "notify-as": "slack", "args": "--all\n--target=`touch gone` a",
}  # fmt: skip


def test_gitlab_passes_inputs_as_arguments_and_no_shell_evaluates_them(
    runner: Runner, place: Place
) -> None:
    said = 'printf "%s\\n" "$@" "state=$HOOKSYNC_STATE"\n'
    runner.script("hooksync", f'{said}[ "$1" != show ] || exit "$CHANGES"\n')
    runner.environ["CHANGES"] = "2"
    shared, told = ["--no-probe"], ["--notify=env:NOTIFY_URL", "--notify-as=slack"]
    asked = run_gitlab(runner, "preview", **GITLAB_INPUTS).stdout.splitlines()
    assert asked == [
        *("plan", *shared, "--tenancy=archive-*"),
        *(
            "--tenancy=$(touch gone)",
            "--replace=a/b/*",
            "--all",
            "--target=`touch gone` a",
            f"state={STATE}",
        ),
    ]
    assert run_gitlab(runner, "drift", **GITLAB_INPUTS).stdout.splitlines() == [
        *asked[:-1], *told, "--detailed-exitcode", asked[-1],
    ]  # fmt: skip
    assert run_gitlab(runner, "plan", **GITLAB_INPUTS).returncode == 0
    applied = run_gitlab(runner, "apply").stdout.splitlines()
    assert applied[:5] == ["apply", "hooksync-plan.json", *shared, *told]
    child = place.folder / "hooksync-apply.yml"
    parent = {"pipeline": "77", "job": "hooksync:plan"}
    assert load(child)["hooksync:apply"]["needs"] == [parent]
    assert run_gitlab(runner, "adopt").stdout.splitlines() == ["adopt", "--", f"state={STATE}"]
    runner.environ["CHANGES"] = "0"
    planned = run_gitlab(runner, "plan", **{"max-age": "2h"}).stdout
    assert list(load(child)) == ["hooksync:no-changes"]
    assert "--max-age\n2h\n" in (place.folder / "hooksync-plan.html").read_text(), planned
    assert run_gitlab(runner, "preview").stdout.splitlines() == ["plan", f"state={STATE}"]
    assert not (place.folder / "gone").exists()


def test_gitlab_reads_the_policy_from_the_default_branch(runner: Runner, place: Place) -> None:
    allowing = place.policy_text(servers=["evil.example"])
    place.write(allowing, "hooksync.policy.yaml")  # the policy of the merge request
    place.write(
        (place.folder / "hooks.yaml").read_text(encoding="utf-8").replace("${BOX}", "evil.example")
    )
    done = run_gitlab(runner, "preview")
    assert (
        done.returncode,
        "the server leads to evil.example, which the policy does not allow" in done.stdout,
    ) == (
        3,
        True,
    )
    without = run_gitlab(runner, "preview", policy="policies/none.yaml")
    assert (without.returncode, "error: the branch main has no policy" in without.stderr) == (
        1,
        True,
    )
    assert place.box.calls == ()


# --- Jenkins


def jenkins_scripts() -> dict[str, str]:
    """Return the script of each stage."""
    found = {}
    for part in JENKINSFILE.read_text(encoding="utf-8").split("stage('")[1:]:
        scripts = re.findall(r"\bsh '''(.*?)'''|\bsh '([^'\n]+)'", part, re.DOTALL)
        found[part.partition("'")[0]] = "".join(long or short for long, short in scripts)
    return found


def test_the_jenkinsfile_interpolates_nothing_and_limits_the_time_of_each_stage() -> None:
    text = JENKINSFILE.read_text(encoding="utf-8")
    assert '"""' not in text
    assert not re.findall(r'\bsh\s*\(?\s*"', text)
    assert text.count("{") == text.count("}")
    assert text.count("timeout(") == len(jenkins_scripts()) == 6
    assert "disableConcurrentBuilds()" in text
    assert "credentials(" not in text.split("stage('Drift')")[0]
    assert "!env.CHANGE_FORK" in text.split("stage('Plan')")[1].split("stage(")[0]


@pytest.mark.slow
def test_jenkins_plans_applies_and_finds_drift(
    over_http: Runner, place: Place, watcher: Wire
) -> None:
    runner, scripts = over_http, jenkins_scripts()
    shared = JENKINSFILE.read_text(encoding="utf-8").partition("    stages {")[0]
    env = {
        **dict(re.findall(r"^        (\w+) = '(.*)'$", shared, re.MULTILINE)),
        "GIT_USR": "jenkins",
        "GIT_PSW": GIT_PASSWORD,
        "PRESERVICA_USR": runner.environ.pop("PRESERVICA_USERNAME"),
        "PRESERVICA_PSW": runner.environ.pop("PRESERVICA_PASSWORD"),
        "HOOKSYNC_POLICY": str(place.write(place.policy_text(), "policy")),
        "NOTIFY_URL": watcher.url,
    }
    metrics = runner.folder / "metrics"
    metrics.mkdir()
    assert env["HOOKSYNC_STATE"] == STATE

    def run(stage: str, **parameters: str) -> int:
        script = runner.folder / "script.sh"
        script.write_text(scripts[stage].replace(" /metrics/", f" {metrics}/"), encoding="utf-8")
        # as Jenkins does, but without its -x
        return runner.bash(str(script), env | parameters, "sh", "-e").returncode

    assert [run("Validate"), run("Plan"), len(live(place))] == [0, 0, 0]
    assert [run("Apply"), run("Drift"), len(live(place)), runner.keeps_state()] == [0, 0, 2, True]
    meddle(place)
    assert [run("Drift"), run("Apply"), len(live(place))] == [2, 3, 1]
    assert [body["text"].partition("\n")[0] for body in watcher.documents] == [
        "hooksync apply: applied",
        "hooksync plan: drift (exit code 2)",
        "hooksync apply: refused (exit code 3)",
    ]
    assert {path.name for path in metrics.iterdir()} == {
        "hooksync-plan.prom",
        "hooksync-apply.prom",
    }
    assert all(
        "\nhooksync_exit_code{" in path.read_text(encoding="utf-8") for path in metrics.iterdir()
    )

    over_the_limit(place)
    assert run("Plan") == 3
    place.write(owning(HOOKS, "all\n    limits: {unsubscribe: 100%}"))
    assert run("Plan") == 0
    before = {each.id for each in place.box.subscriptions("DEMO")}
    assert run("Plan", REPLACE="prod/*") == 0
    assert run("Apply") == 0
    assert run("Adopt") == 0
    assert not {each.id for each in place.box.subscriptions("DEMO")} & before


# --- pre-commit, Docker, Kubernetes


def test_pre_commit_validates_all_files_together(runner: Runner, place: Place) -> None:
    (hook,) = load(PRE_COMMIT)
    assert (hook["id"], hook["language"], hook["pass_filenames"]) == (
        "hooksync-validate",
        "python",
        False,
    )
    assert re.search(hook["files"], "hooks.yaml")
    assert re.search(hook["files"], "archive/hooks.yml")
    assert not re.search(hook["files"], "webhooks.yaml")
    assert runner.bash(hook["entry"], {}).returncode == 0
    place.write("version: 2\n")
    assert runner.bash(hook["entry"], {}).returncode == 1


def test_the_image_is_slim_contains_only_the_installation_and_does_not_run_as_root() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+-slim-\w+$", text, re.MULTILINE)
    build, _, final = text.rpartition("\nFROM ")
    assert "\nRUN .ci/install /opt/hooksync\n" in build
    brought_in = re.findall(r"^(?:COPY|ADD|ARG) .*", final, re.MULTILINE)
    assert brought_in == ["COPY --from=build /opt/hooksync /opt/hooksync"]
    assert "\nUSER 65532:65532\n" in final
    assert '\nENTRYPOINT ["hooksync"]\n' in final


def test_the_build_of_the_image_gets_only_the_files_that_the_wheel_needs() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    assert {each[1:] for each in patterns if each.startswith("!")} == {
        "hooksync", "schemas", "pyproject.toml", "README.md", "LICENSE",
        "requirements.txt", ".ci/requirements-build.txt", ".ci/install", ".ci/common.sh",
    }  # fmt: skip


HOOK = "../ci/argocd/hook.yml"


def job_of(name: str) -> dict[str, Any]:
    document = load(KUBERNETES / name)
    if name == HOOK:
        assert (document["apiVersion"], document["kind"]) == ("batch/v1", "Job")
        return document["spec"]
    assert (document["apiVersion"], document["kind"]) == ("batch/v1", "CronJob")
    assert document["spec"]["concurrencyPolicy"] == "Forbid"
    return document["spec"]["jobTemplate"]["spec"]


def pod_of(cron: str) -> dict[str, Any]:
    return job_of(cron)["template"]["spec"]


def command_of(cron: str, moved: Mapping[str, str]) -> list[str]:
    """Return the command that Kubernetes starts, with its folders replaced as `moved` maps them."""
    (container,) = pod_of(cron)["containers"]
    command = [*container.get("command", ["hooksync"]), *container["args"]]
    return [re.sub("|".join(moved), lambda found: moved[found[0]], each) for each in command]


@pytest.mark.parametrize("cron", ["cronjob.yml", HOOK])
def test_a_kubernetes_job_is_not_repeated_has_a_deadline_and_has_few_permissions(cron: str) -> None:
    job, pod = job_of(cron), pod_of(cron)
    (container,) = pod["containers"]
    assert pod["restartPolicy"] == "Never"
    assert job["backoffLimit"] == 0
    assert 0 < job["activeDeadlineSeconds"] < 15 * 60
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert f"USER {pod['securityContext']['runAsUser']}:" in DOCKERFILE.read_text(encoding="utf-8")
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}
    assert "env" not in container
    assert {each["name"] for each in container["volumeMounts"]} == {
        each["name"] for each in pod["volumes"]
    }


@pytest.mark.parametrize("cron", ["cronjob.yml", HOOK])
def test_a_kubernetes_job_refers_only_to_objects_that_the_example_defines(cron: str) -> None:
    made = load(KUBERNETES / "kustomization.yml")
    (secrets,), (image,) = made["secretGenerator"], made["images"]
    pod = pod_of(cron)
    (container,) = pod["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": secrets["name"]}}]
    assert container["image"] == image["name"]
    maps = [each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each]
    assert maps == [each["name"] for each in made["configMapGenerator"]]
    claims = [
        each["persistentVolumeClaim"]["claimName"]
        for each in pod["volumes"]
        if "persistentVolumeClaim" in each
    ]
    assert set(claims) <= {load(KUBERNETES / "state.yml")["metadata"]["name"]}
    assert secrets["envs"] == (KUBERNETES / ".gitignore").read_text(encoding="utf-8").split()
    named = re.findall(r"env: (\w+)", (KUBERNETES / "hooks.yaml").read_text(encoding="utf-8"))
    example = (KUBERNETES / "secrets.env.example").read_text(encoding="utf-8")
    assert set(named) <= set(re.findall(r"^(\w+)=", example, re.MULTILINE))


@pytest.mark.slow
def test_kubernetes_pushes_metrics_and_ends_with_the_exit_code_of_hooksync(
    runner: Runner, place: Place, watcher: Wire
) -> None:
    patch = load(KUBERNETES / "metrics.yml")
    assert patch["metadata"] == load(KUBERNETES / "cronjob.yml")["metadata"]
    (container,) = patch["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["name"] == pod_of("cronjob.yml")["containers"][0]["name"]
    place.write(place.policy_text(), "policy.yaml")
    runner.script("python", f'exec "{sys.executable}" "$@"\n')
    moved = {
        "/etc/hooksync": str(place.folder),
        "/etc/policy": str(place.folder),
        "/var/lib/hooksync": str(runner.folder),
    }
    moved["http://pushgateway.monitoring:9091"] = watcher.url
    command = [
        re.sub("|".join(moved), lambda found: moved[found[0]], each)
        for each in container["command"]
    ]
    command += command_of("cronjob.yml", moved)[1:]

    for code in (0, 1, 3):
        if code == 1:
            place.box.faults.add("status-500@list:*")
        if code == 3:
            place.box.faults.end()
            over_the_limit(place)
        done = runner.bash(shlex.join(command), {})
        assert (done.returncode, "no metrics were pushed" in done.stderr) == (code, False), (
            done.stderr
        )
        head, _, body = watcher.requests[-1].partition(b"\r\n\r\n")
        assert head.startswith(b"PUT /metrics/job/hooksync HTTP/1.1\r\n")
        figures = dict(re.findall(r"(?m)^(\w+)\{.*\} (\S+)$", body.decode()))
        assert figures["hooksync_exit_code"] == str(code)
        assert float(figures["hooksync_last_success_time_seconds"])  # kept from the first run
        failed = figures["hooksync_tenancy_unreadable"], figures["hooksync_tenancy_refused"]
        assert failed == (str(int(code == 1)), str(int(code == 3)))
    [group] = load(KUBERNETES / "alerts.yml")["spec"]["groups"]
    rules = "\n".join(each["expr"] for each in group["rules"])
    assert set(re.findall(r"hooksync_\w+", rules)) <= figures.keys()
    # `or` drops the right side if the left side has a value, even 0
    assert not re.search(r"hooksync_\w+ or ", rules)


def test_the_argo_cd_hook_applies_and_the_command_of_the_page_makes_an_adopt_job(
    runner: Runner, place: Place
) -> None:
    hook = load(KUBERNETES / HOOK)["metadata"]["annotations"]
    assert hook["argocd.argoproj.io/hook"] == "PostSync"
    place.write(place.policy_text(), "policy.yaml")
    moved = dict.fromkeys(("/etc/hooksync", "/etc/policy", "/var/lib/hooksync"), str(place.folder))
    assert runner.bash(shlex.join(command_of(HOOK, moved)), {}).returncode == 0
    assert len(live(place)) == 2
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"\| (sed -e .*?) \|", page)
    edited = subprocess.run(
        shlex.split(script),
        input=(KUBERNETES / "cronjob.yml").read_text(encoding="utf-8"),
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    spec = yaml.safe_load(edited)["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    flags = [each.partition("=")[0] for each in spec["containers"][0]["args"]]
    assert flags == ["adopt", "--file", "--policy", "--state"]
