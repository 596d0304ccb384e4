"""Tests of the ready-made pipelines: each script runs once, unchanged, on a sandbox.

Linters check the syntax of the files (.ci/lint), and gitlab-ci-local runs GitLab's jobs
(test_gitlab). On GitHub, a program `gh` records its calls and returns prepared answers.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.backends import missing
from tests.command_line import ROOT, Run
from tests.conftest import HIDDEN, HOOKS, SECRET, Place, owning
from tests.git_servers import PASSWORD as GIT_PASSWORD
from tests.git_servers import Remote, missing_program, served
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
SINGLE = GITHUB / "workflows" / "hooksync.yml"
WORKFLOWS = [SINGLE, *sorted((TWO / ".github" / "workflows").glob("*.yml"))]
POLICIES = [folder / "policy.yaml" for folder in (GITHUB, GITLAB, JENKINSFILE.parent, KUBERNETES)]

STATE = "git:hooksync-state"
KEY = "k3y-that-signs-plans-0123456789"
OTHER_SECRET = "a-secret-of-others-0123456789"

GH = """\
import json, os, sys
from pathlib import Path
folder, words = Path(os.environ["GH_FOLDER"]), " ".join(sys.argv[2:])
given = json.load(sys.stdin) if "--input" in words else None
with (folder / "gh.log").open("a") as log:
    log.write(json.dumps([words, given]) + "\\n")
for part, answer in json.loads((folder / "gh.json").read_text()):
    if part in words:
        sys.exit(1) if answer is None else print(answer if type(answer) is str else json.dumps(answer))
        break
"""


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def steps() -> dict[str, dict[str, Any]]:
    """Return the steps of the action by their names."""
    return {step["name"]: step for step in load(ACTION)["runs"]["steps"]}


@dataclass
class Runner:
    """Runs scripts as a runner of jobs does: with a path, an environment and files to write to."""

    place: Place
    folder: Path
    remote: Remote  # of the checkout
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.results = self.folder / "results"
        self.results.mkdir()
        self.program("hooksync", f'exec "{sys.executable}" -m hooksync "$@"')
        self.program("gh", f'exec "{sys.executable}" "{self.folder}/gh.py" "$@"')
        (self.folder / "gh.py").write_text(GH, encoding="utf-8")
        files = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH", "GITHUB_EVENT_PATH")
        self.environ = {
            **self.place.environ,
            **{name: str(self.folder / name) for name in files},
            "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "HOME": self.remote.environ["HOME"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOOKSYNC_PLAN_KEY": KEY,
            "PYTHON": sys.executable,
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_SERVER_URL": self.remote.url.rpartition("/")[0],
            "GITHUB_WORKSPACE": str(self.place.folder),
            "GITHUB_REPOSITORY": "OWNER/REPOSITORY",
            "GITHUB_RUN_ID": "77",
            "GH_TOKEN": GIT_PASSWORD,
            "GH_FOLDER": str(self.folder),
            "FOLDER": str(self.results),
            "ARTIFACT": "hooksync-plan",
            "PROBE": "",
            "POLICY": "",
            "MAX_AGE": "7d",
        }
        self.remote.git("init", "--quiet", at=self.place.folder)
        self.remote.git("remote", "add", "origin", self.remote.url, at=self.place.folder)

    def program(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def answer(self, *answers: tuple[str, object]) -> None:
        """Let `gh` return the first answer whose key is a part of the call. None: it fails."""
        (self.folder / "gh.json").write_text(json.dumps(answers), encoding="utf-8")
        (self.folder / "gh.log").write_text("", encoding="utf-8")

    def asked(self) -> list[tuple[str, Any]]:
        """Return the calls of `gh`: the arguments and the document."""
        lines = (self.folder / "gh.log").read_text(encoding="utf-8").splitlines()
        return [tuple(json.loads(line)) for line in lines]

    def changes(self) -> list[tuple[str, Any]]:
        """Return the changing calls of `gh`, without `--method` and `--input -`."""
        found = ((words.split(), given) for words, given in self.asked() if given)
        return [(" ".join(words[1:3]), given) for words, given in found]

    def step(self, name: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a step of the action. The test gives the values of its variables."""
        for file in ("GITHUB_OUTPUT", "GITHUB_PATH"):
            (self.folder / file).write_text("", encoding="utf-8")
        return self.run(["bash", "-eo", "pipefail", "-c", steps()[name]["run"]], **more)

    def command(self, name: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the action."""
        return self.step("Run", COMMAND=name, **more)

    def outputs(self) -> dict[str, str]:
        lines = (self.folder / "GITHUB_OUTPUT").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def run(self, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.place.folder,
            env={**self.environ, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        for hidden in (*HIDDEN, KEY, GIT_PASSWORD):
            assert hidden not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done


@pytest.fixture
def runner(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Return a runner whose repository is served over HTTP and needs the token of the job."""
    if lack := missing_program():
        pytest.skip(lack)
    remote = Remote(tmp_path_factory.mktemp("remote"))
    with served(remote):
        (Path(remote.environ["HOME"]) / ".gitconfig").unlink()
        yield Runner(place, tmp_path_factory.mktemp("runner"), remote)


def live(place: Place) -> list[str]:
    return sorted(each.trigger for each in place.box.subscriptions("DEMO"))


def meddle(place: Place) -> None:
    """Remove one subscription of the tenancy without hooksync."""
    place.box.remove("DEMO", place.box.subscriptions("DEMO")[0].id)


def over_the_limit(place: Place) -> None:
    """Make three undeclared subscriptions live. A plan that removes all of them is refused."""
    place.write(owning(HOOKS))
    for index in range(3):
        place.box.seed("DEMO", f"https://old.example.org/{index}", "MOVED", OTHER_SECRET)


# --- the contents of the files


def test_the_action_reads_inputs_and_steps_that_exist() -> None:
    document = load(ACTION)
    text = ACTION.read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([\w-]+)", text)) == set(document["inputs"])
    ids = {step["id"] for step in document["runs"]["steps"] if "id" in step}
    assert set(re.findall(r"steps\.([\w-]+)", text)) == ids


@pytest.mark.parametrize("step", [step for step in steps() if "run" in steps()[step]])
def test_a_step_of_the_action_sets_the_variables_that_its_script_reads(step: str) -> None:
    text = steps()[step]["run"]
    for script in re.findall(r"ci/github/([\w.]+)", text):
        text += (GITHUB / script).read_text(encoding="utf-8")
    read = re.findall(r"""\$([A-Z_]+)|environ(?:\.get\(|\[)"([A-Z_]+)"[\]),](?! =)""", text)
    names = {shell or python for shell, python in read}
    given = set(steps()[step].get("env", {}))
    assert given >= {
        name for name in names if not name.startswith(("GITHUB_", "RUNNER_", "COMMENT_AUTHOR"))
    }


def test_every_github_workflow_uses_a_policy_and_has_the_history_that_its_command_needs() -> None:
    for path in WORKFLOWS:
        for job in load(path)["jobs"].values():
            *before, step = [step for step in job.get("steps", ()) if "uses" in step] or [{}]
            given = step.get("with", {"command": "show"})
            folder = ".github/hooksync.policy.yaml" if path == SINGLE else "policies/"
            assert given["command"] == "show" or given["policy"].startswith(folder)
            if given["command"] in ("plan", "apply", "drift"):
                assert before[0]["with"]["fetch-depth"] == 0


def test_a_further_environment_is_one_entry_that_copies_no_job() -> None:
    caller = load(TWO / ".github" / "workflows" / "hooksync.yml")["jobs"]
    called = load(TWO / ".github" / "workflows" / "environment.yml")
    assert {job["uses"] for job in caller.values()} == {"./.github/workflows/environment.yml"}
    taken = set(called[True]["workflow_call"]["inputs"])  # YAML 1.1 reads `on` as true
    for name, job in caller.items():
        assert job["with"]["environment"] == name
        assert set(job["with"]) <= taken


BOLD = """\
version: 1
tenancies:
  archive:
    server: evil.example.org
    tenant: ${HOME}
    owns: all
    probe: never
    replacement: remove-first
    subscriptions:
      one: {url: https://evil.example.org/, trigger: MOVED, secret: {env: OTHER_SECRET}}
      two: {url: https://catalogue.example.net/, trigger: MOVED, secret: {file: /run/secret}}
"""


@pytest.mark.parametrize("policy", POLICIES, ids=lambda path: path.parent.name)
def test_the_policy_of_every_pipeline_denies_what_it_does_not_mention(
    place: Place, policy: Path
) -> None:
    text = policy.read_text(encoding="utf-8")
    assert "CODEOWNERS" in text
    folders = {"github": ".github", "gitlab": ".", "jenkins": "../secret", "kubernetes": "policy"}
    copied = place.folder / folders[policy.parent.name] / "policy.yaml"
    copied.parent.mkdir(exist_ok=True)
    copied.write_text(text, encoding="utf-8")
    (place.folder / ".git").mkdir()
    folder = place.folder / ("hooksync" if policy.parent == KUBERNETES else ".")
    folder.mkdir(exist_ok=True)
    hooks = (KUBERNETES / "hooks.yaml").read_text(encoding="utf-8")

    def validate(text: str, name: str = "hooks.yaml") -> Run:
        (folder / "..1").mkdir(exist_ok=True)  # in a ConfigMap, each file is a link
        (folder / "..1" / name).write_text(text, encoding="utf-8")
        if not (folder / name).is_symlink():
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(f"..1/{name}")
        return place.run("validate", "--file", str(folder / name), "--policy", str(copied))

    assert validate(hooks).code == 0
    assert validate(hooks, "other.yaml").code == 1
    lines = re.findall(r"hooks\.yaml:(\d+):", validate(BOLD).err)
    assert [*map(int, lines)] == [3, 3, 3, 4, 5, 10, 10, 11]


# --- GitHub


@pytest.mark.slow
def test_the_steps_of_the_action_plan_show_apply_and_find_drift(
    runner: Runner, place: Place
) -> None:
    given = steps()["Run"]["env"]
    assert given["FOLDER"] == "${{ runner.temp }}/hooksync"
    odd = "a $(touch gone) `touch gone`.yaml"
    (place.folder / "hooks.yaml").rename(place.folder / odd)
    place.box.seed("DEMO", "https://old.example.org/\n::error::forged", "MOVED", OTHER_SECRET)
    runner.environ |= {"HOOKSYNC_FILE": f"{odd}\n", "HOOKSYNC_STATE": STATE}

    planned = runner.command("plan", PROBE="true")
    assert planned.returncode == 0, planned.stderr
    assert runner.outputs()["changes"] == "true"
    assert runner.command("show").returncode == 0
    assert runner.outputs()["changes"] == "true"
    assert live(place) == ["MOVED"]
    applied = runner.command("apply")
    assert (applied.returncode, len(live(place))) == (0, 3), applied.stdout + applied.stderr
    assert runner.remote.git("branch", "--list", "hooksync-state")
    assert runner.command("drift").returncode == 0
    assert runner.outputs().items() >= {"found": "nothing", "drift": "false"}.items()
    summary = Path(runner.environ["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
    for done, words in ((planned, "Plan: 2 "), (applied, "Applied: 2 ")):
        assert words in done.stdout
        assert words in summary
        assert not [line for line in done.stdout.splitlines() if line.lstrip().startswith("::")]
    assert not [*runner.folder.rglob("gone"), *place.folder.rglob("gone")]

    [moved] = [each for each in place.box.subscriptions("DEMO") if "INDEXED" in each.trigger]
    place.box.remove("DEMO", moved.id)
    assert runner.command("drift").returncode == 2
    assert runner.outputs().items() >= {"found": "drift", "drift": "true"}.items()
    stale = runner.command("apply")
    assert (stale.returncode, len(live(place))) == (3, 2)
    assert "::error title=hooksync refused the plan::" in stale.stdout


def test_the_nightly_job_of_github_pushes_its_metrics(
    runner: Runner, place: Place, watcher: Wire
) -> None:
    if not shutil.which("curl"):
        missing("curl is not there", "install it")
    *_, push = load(SINGLE)["jobs"]["drift"]["steps"]
    meddled = runner.command("drift")
    assert meddled.returncode == 2
    metrics = str(runner.results / "hooksync.prom")
    assert ACTION.read_text("utf-8").count("/hooksync/hooksync.prom") == 1
    done = runner.run(["bash", "-ec", push["run"]], METRICS=metrics, PUSHGATEWAY_URL=watcher.url)
    assert done.returncode == 0, done.stderr
    head, _, body = watcher.requests[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /metrics/job/hooksync HTTP/1.1\r\n")
    assert b"hooksync_exit_code" in body


@pytest.mark.slow
def test_github_fails_if_a_plan_is_refused_or_a_tenancy_cannot_be_read(
    runner: Runner, place: Place
) -> None:
    over_the_limit(place)
    refused = runner.command("plan")
    assert "::error title=hooksync would refuse this plan::" in refused.stdout
    assert "limits.unsubscribe" in Path(runner.outputs()["markdown"]).read_text("utf-8")
    assert (refused.returncode, runner.command("drift").returncode) == (3, 3)
    assert runner.outputs()["found"] == "refused"
    place.box.faults.add("status-500@list:*")
    unread = runner.command("plan")
    assert "::error title=hooksync could not plan::" in unread.stdout
    assert (unread.returncode, "changes" in runner.outputs()) == (1, False)
    assert not (runner.results / "plan.json").exists()


LOCKED = """\
  locked:
    server: ${BOX}
    tenant: OTHER
    credentials: {username: {env: PRESERVICA_USERNAME}, password: {env: EXPIRED}}
    subscriptions: {}
"""


@pytest.fixture
def two_tenancies(runner: Runner, place: Place) -> None:
    """Declare a second tenancy, whose password has expired."""
    runner.environ |= {"EXPIRED": "an-old-password", "HOOKSYNC_FILE": "hooks.yaml"}
    place.write(HOOKS + LOCKED)


@pytest.mark.slow
@pytest.mark.usefixtures("two_tenancies")
def test_github_reports_the_drift_of_all_tenancies_but_one_that_cannot_be_read(
    runner: Runner, place: Place
) -> None:
    done = runner.command("drift")
    assert done.returncode == 1
    assert runner.outputs().items() >= {"found": "drift", "drift": "true"}.items()
    issue = (runner.results / "plan.md").read_text("utf-8")
    assert "2 to subscribe" in issue
    assert "\n- `error: locked: " in issue
    # by hand, all tenancies are planned: the plan leaves this one out
    planned = runner.command("plan")
    assert (planned.returncode, runner.outputs()["changes"]) == (0, "true"), planned.stdout
    assert "::warning title=Not all tenancies::" in planned.stdout
    assert runner.command("apply").returncode == 0
    assert len(live(place)) == 2
    # the only difference is that nothing is known
    done = runner.command("drift")
    assert (done.returncode, runner.outputs()["found"]) == (1, "")


@pytest.mark.slow
def test_github_asks_nobody_to_approve_a_plan_whose_secrets_are_not_set(
    runner: Runner, place: Place
) -> None:
    assert place.run("apply", "--yes").code == 0
    del runner.environ["CATALOGUE_SECRET"], runner.environ["HOOKSYNC_PLAN_KEY"]
    planned = runner.command("plan")
    assert "not compared: 2 secrets" in planned.stdout
    assert (planned.returncode, runner.outputs()["changes"]) == (0, "false")
    assert runner.command("show").returncode == 0
    assert runner.outputs()["changes"] == "false"
    # an earlier step has written them into a file
    (runner.folder / "hooks.env").write_text(f"CATALOGUE_SECRET={SECRET}\n")
    planned = runner.command("plan", HOOKSYNC_ENV_FILE=str(runner.folder / "hooks.env"))
    assert "not compared" not in planned.stdout, planned.stdout


def test_github_validates_without_secrets_and_shows_problems_at_their_lines(
    runner: Runner, place: Place
) -> None:
    for name in place.environ.keys() - {"PATH"}:
        del runner.environ[name]
    assert runner.command("validate").returncode == 0
    place.write("version: 1\ntenancies: {}\nmore: 1\n")
    wrong = runner.command("validate")
    assert wrong.returncode == 1
    assert f"::add-matcher::{GITHUB / 'problem-matcher.json'}\n" in wrong.stdout
    assert "\nhooks.yaml:3:1: " in wrong.stderr


def test_github_installs_hooksync_by_the_install_script_in_the_checkout_of_the_action(
    runner: Runner,
) -> None:
    (runner.folder / ".ci").mkdir()
    runner.program(".ci/install", 'echo "$PYTHON" "$@"')
    scripts = runner.folder / "examples" / "ci"
    scripts.mkdir(parents=True)
    (scripts / "github").symlink_to(GITHUB)
    done = runner.step("Install", GITHUB_ACTION_PATH=str(runner.folder), PYTHON="python3.12")
    venv = runner.folder / "hooksync-venv"
    assert (done.returncode, done.stdout) == (0, f"python3.12 {venv}\n"), done.stderr
    assert (runner.folder / "GITHUB_PATH").read_text("utf-8") == f"{venv}/bin\n"


def test_github_reads_the_policy_from_the_default_branch_as_it_is_now(
    runner: Runner, place: Place
) -> None:
    def merge(text: str) -> None:
        who = "committer Ada <ada@example.org> 1700000001 +0000"
        file = f"M 100644 inline .github/policy.yaml\ndata {len(text.encode())}\n{text}\n"
        change = f"commit refs/heads/main\n{who}\ndata 6\nPolicy\nfrom refs/heads/main^0\n{file}"
        runner.remote.git("fast-import", "--quiet", data=change)

    policy = {"POLICY": ".github/policy.yaml"}
    missing = runner.command("plan", **policy)
    assert (missing.returncode, "found no policy .github/policy.yaml" in missing.stderr) == (
        1,
        True,
    )
    place.policy()  # the pull request allows everything
    merge(place.policy_text(servers=["other.example.org"]))
    assert runner.command("plan", **policy).returncode == 3
    for files, code in ((["../prod/*.yaml"], 3), (["../hooks.yaml"], 0)):
        merge(place.policy_text(files=files))
        done = runner.command("plan", **policy)
        assert done.returncode == code, done.stderr
    lost = runner.command("plan", GH_TOKEN="expired", **policy)
    assert (lost.returncode, "::error title=No policy::" in lost.stdout) == (1, True)


# --- GitHub: the comment, and the plan that was reviewed

HEAD = {"ref": "branch", "sha": "head-sha", "repo": {"full_name": "OWNER/REPOSITORY"}}
PULL = {
    "number": 7,
    "merged_at": "2030-01-02T12:00:00Z",
    "merge_commit_sha": "merge-sha",
    "base": {"ref": "main"},
    "head": HEAD,
}
RUN = {
    "id": 11,
    "event": "pull_request",
    "head_sha": "head-sha",
    "head_branch": "branch",
    "head_repository": {"full_name": "OWNER/REPOSITORY"},
    "run_started_at": "2030-01-02T11:00:00Z",
}
QUEUED = {
    **RUN,
    "id": 12,
    "event": "merge_group",
    "head_sha": "merge-sha",
    "head_branch": "gh-readonly-queue/main/pr-7-base-sha",
}
LATER = {"run_started_at": "2030-01-02T12:00:01Z"}
FORK = {**HEAD, "repo": {"full_name": "FORK/REPOSITORY"}}
GONE = {**HEAD, "repo": None}
FOUND: list[tuple[str | None, dict[str, Any], list[dict[str, Any]]]] = [
    ("11", {}, [{**RUN, "id": 10, "run_started_at": "2030-01-01T00:00:00Z"}, RUN]),
    ("12", {}, [RUN, QUEUED]),
    ("12", {"head": GONE}, [QUEUED]),  # of a fork, after the merge queue
    (None, {}, []),
    (None, {}, [{**RUN, **LATER}]),
    (None, {}, [{**RUN, "head_repository": {"full_name": "FORK/REPOSITORY"}}]),
    (None, {}, [{**RUN, "head_repository": None}]),
    (None, {}, [{**RUN, "head_branch": "another"}]),
    (None, {}, [{**QUEUED, **LATER}]),
    (None, {}, [{**QUEUED, "head_branch": "gh-readonly-queue/release/pr-7-base-sha"}]),
    (None, {"merged_at": None}, [RUN]),
    (None, {"merge_commit_sha": "another"}, [RUN]),
    (None, {"base": {"ref": "release"}}, [RUN]),
    (None, {"head": GONE}, [RUN]),
    (None, {"head": FORK}, [RUN]),
]


@pytest.mark.slow
def test_github_finds_only_the_reviewed_plan_of_the_merged_pull_request(runner: Runner) -> None:
    merge = {"GITHUB_SHA": "merge-sha", "GITHUB_REF_NAME": "main", "WORKFLOW": "hooksync.yml"}
    for expected, difference, runs in FOUND:
        answers: list[tuple[str, object]] = [("merge-sha/pulls", [{**PULL, **difference}])]
        for event, sha in (("merge_group", "merge-sha"), ("pull_request", "head-sha")):
            fitting = [run for run in runs if run["event"] == event]
            query = f"runs -f head_sha={sha} -f event={event} -f status=success"
            answers.append((query, {"workflow_runs": fitting}))
        runner.answer(*answers)
        done = runner.step("Find the reviewed plan", **merge)
        assert runner.outputs().get("run-id") == expected, (difference, runs)
        assert done.returncode == int(expected is None)
        assert ("::error title=No reviewed plan::" in done.stdout) is (expected is None)


def by(login: str, number: int, body: str) -> dict[str, Any]:
    return {"id": number, "number": number, "user": {"login": login}, "body": body}


def test_github_makes_one_comment_on_a_pull_request_and_then_updates_it(runner: Runner) -> None:
    event = {"pull_request": {"number": 7}}
    Path(runner.environ["GITHUB_EVENT_PATH"]).write_text(json.dumps(event), encoding="utf-8")
    plan = runner.results / "plan.md"
    marker = "<!-- hooksync:plan -->"
    ours = f"{marker} <!-- hooksync-plan -->\nThe plan."

    def change(*comments: dict[str, Any]) -> list[tuple[str, Any]]:
        runner.answer(("issues/7/comments?per_page=100", list(comments)))
        assert runner.step("Comment").returncode == 0
        return runner.changes()

    plan.write_text(f"{marker}\nThe plan.", encoding="utf-8")
    others = [by("somebody", 1, ours), by("github-actions[bot]", 2, f"{marker} <!-- other -->\n")]
    body = {"body": ours}
    assert change(*others) == [("POST repos/OWNER/REPOSITORY/issues/7/comments", body)]
    own = by("github-actions[bot]", 3, f"{ours} Of yesterday.")
    assert change(*others, own) == [("PATCH repos/OWNER/REPOSITORY/issues/comments/3", body)]


@pytest.mark.slow
def test_github_keeps_one_issue_open_as_long_as_there_is_drift(runner: Runner) -> None:
    drift = runner.results / "plan.md"
    path = "repos/OWNER/REPOSITORY/issues"
    report = {"FILES": "hooks.yaml", "LABELS": "drift\n", "ASSIGNEES": "ada"}

    def changes(
        found: str, text: str, *issues: dict[str, Any], **more: str
    ) -> list[tuple[str, Any]]:
        drift.write_text(f"<!-- -->\n{text}", encoding="utf-8")
        runner.answer(("--paginate", list(issues)), ("POST", {"number": 9}), ("", {}))
        done = runner.step("Report drift", FOUND=found, **report, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return runner.changes()

    [(call, made)] = changes("drift", "One differs.")
    assert call == f"POST {path}"
    assert (made["title"], made["labels"]) == ("Drift: hooksync-plan", ["drift"])
    assert made["assignees"] == ["ada"]
    assert "One differs." in made["body"]
    ours = by("github-actions[bot]", 9, made["body"])
    assert changes("drift", "One differs.", ours) == []  # the same drift is reported once
    changed = [call for call, _ in changes("refused", "Two differ.", ours)]
    assert changed == [f"PATCH {path}/9", f"POST {path}/9/comments"]
    assert changes("", "Unread.", ours) == []
    closed, _ = changes("nothing", "", ours)
    assert closed == (f"PATCH {path}/9", {"state": "closed", "state_reason": "completed"})

    others = (
        {"user": {"login": "somebody"}},
        {"pull_request": {}},
        {"body": None},
        {"body": "<!-- hooksync:drift 0 -->"},
    )
    for other in others:
        assert [call for call, _ in changes("drift", "One differs.", {**ours, **other})] == [
            f"POST {path}"
        ]
    for name in ("ARTIFACT", "TENANCY"):
        [(call, _)] = changes("drift", "One differs.", ours, **{name: "other"})
        assert call == f"POST {path}"
    runner.answer(("", None))
    refused = runner.step("Report drift", FOUND="drift", **report)
    assert "::error title=GitHub refused::" in refused.stdout


# --- the workflow of this repository that locks newer versions

LOCK = ROOT / ".github" / "workflows" / "lock.yml"
LISTS = ("requirements.txt", ".ci/requirements-build.txt", ".ci/requirements-tools.txt")


@pytest.mark.parametrize("attack", ["", ".git/config", "requirements.txt"])
def test_the_job_that_may_push_takes_three_regular_files_of_an_artifact_and_no_others(
    runner: Runner, place: Place, attack: str
) -> None:
    *_, fetching, proposing = load(LOCK)["jobs"]["propose"]["steps"]
    assert fetching["with"]["path"] == "${{ runner.temp }}/lock"
    unpacked = runner.folder / "lock"
    for folder, text in ((place.folder, "old\n"), (unpacked, "new\n")):
        for name in LISTS:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    git = partial(runner.remote.git, at=place.folder)
    git("remote", "set-url", "origin", str(runner.remote.path))
    git("add", "--all", ".")
    git("commit", "--quiet", "--message=Main")
    if attack:
        path = unpacked / attack
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        if attack in LISTS:
            path.symlink_to("/etc/passwd")
        else:
            path.write_text("[core]\n")
    runner.answer(("lock", "OPEN"))
    done = runner.run(["bash", "-eo", "pipefail", "-c", proposing["run"]], LOCK=str(unpacked))
    assert done.returncode == int(bool(attack)), done.stdout + done.stderr
    assert ("::error title=Not the three lists::" in done.stdout) is bool(attack)
    if not attack:
        changed = runner.remote.git("diff", "--name-only", "lock^", "lock").split()
        assert sorted(changed) == sorted(LISTS)


# --- the example with two environments


def test_the_commands_that_set_up_the_example_with_two_environments_run_as_printed(
    runner: Runner,
) -> None:
    readme = (TWO / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Set it up\n")[2].partition("\n## ")[0]
    scripts = re.findall(r"^ *```sh\n(.*?)^ *```$", section, re.DOTALL | re.MULTILINE)
    scripts = [script for script in scripts if "staging.env" not in script]
    command = ["bash", "-euo", "pipefail", "-c", "\n".join(scripts)]
    done = runner.run(command, HOOKSYNC=str(ROOT), **runner.remote.environ | runner.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    committed = runner.remote.git("ls-files", at=runner.place.folder / "webhooks").split()
    assert {"hooks.schema.json", "policies/staging.yaml"} <= {*committed}
    assert "staging/hooks.yaml" not in committed
    workflows = "".join(path.read_text("utf-8") for path in (TWO / ".github").rglob("*.yml"))
    for name in re.findall(r"secrets\.(\w+)", workflows):
        assert f"`{name}`" in readme


# --- Jenkins


def jenkins_scripts() -> dict[str, str]:
    """Return the script of each stage. A folder beside the checkout is what Jenkins stashes."""
    steps = {
        "stash name": 'cp -R hooksync-plan "$STASH"',
        "unstash": 'cp -R "$STASH" hooksync-plan',
    }
    found = {}
    for part in JENKINSFILE.read_text(encoding="utf-8").split("stage('")[1:]:
        lines = []
        for long, short, step in re.findall(
            r"\bsh '''(.*?)'''|\bsh '([^'\n]+)'|\b(stash name|unstash)\b", part, re.DOTALL
        ):
            lines.append(long or short or steps[step])
        found[part.partition("'")[0]] = "\n".join(lines)
    return found


def test_the_jenkinsfile_interpolates_nothing_and_limits_the_time_of_each_stage() -> None:
    text = JENKINSFILE.read_text(encoding="utf-8")
    assert '"""' not in text
    assert not re.findall(r'\bsh\s*\(?\s*"', text)
    assert text.count("timeout(") == len(jenkins_scripts())
    assert "disableConcurrentBuilds()" in text
    assert "credentials(" not in text.split("stage('Drift')")[0]
    assert "!env.CHANGE_FORK" in text.split("stage('Plan')")[1].split("stage(")[0]


def jenkins_run(runner: Runner, stage: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a stage. The policy is outside the checkout, as a secret file is."""
    policy = runner.folder / "policy.yaml"
    log_in = ["PRESERVICA_USERNAME", "PRESERVICA_PASSWORD", "EXPIRED"]
    policy.write_text(
        runner.place.policy_text(login_variables=log_in, files=["${repository}/hooks.yaml"]),
        encoding="utf-8",
    )
    shared = JENKINSFILE.read_text(encoding="utf-8").partition("    stages {")[0]
    variables = {
        **dict(re.findall(r"^        (\w+) = '(.*)'$", shared, re.MULTILINE)),
        "GIT_USR": "jenkins",
        "GIT_PSW": GIT_PASSWORD,
        "PRESERVICA_USR": runner.environ["PRESERVICA_USERNAME"],
        "PRESERVICA_PSW": runner.environ["PRESERVICA_PASSWORD"],
        "HOOKSYNC_POLICY": str(policy),
        "STASH": str(runner.folder / "stash"),
    }
    if stage == "Plan":
        shutil.rmtree(variables["STASH"], ignore_errors=True)
    script = jenkins_scripts()[stage].replace(" /metrics/", f" {runner.results}/")
    return runner.run(["sh", "-ec", script], **variables, **more)


@pytest.mark.slow
@pytest.mark.usefixtures("two_tenancies")
@pytest.mark.parametrize("platform", ["github", "jenkins"])
def test_a_pipeline_plans_only_the_tenancies_that_a_change_changes(
    platform: str, runner: Runner, place: Place
) -> None:
    git = partial(runner.remote.git, at=place.folder)
    remote = str(runner.remote.path)
    git("fetch", "--quiet", remote, "main")
    git("reset", "--quiet", "--soft", "FETCH_HEAD")
    git("add", "hooks.yaml")
    git("commit", "--quiet", "--message=Main")
    git("push", "--quiet", remote, "HEAD:refs/heads/main")
    base = git("rev-parse", "HEAD")

    def plan() -> subprocess.CompletedProcess[str]:
        if platform == "github":
            return runner.command("plan", HOOKSYNC_SINCE=base)
        return jenkins_run(runner, "Plan", CHANGE_TARGET="main")

    place.write((HOOKS + LOCKED).replace("[INDEXED, MOVED]", "[INDEXED]"))
    git("commit", "--quiet", "--all", "--message=Change")
    planned = plan()
    assert (planned.returncode, "locked" in planned.stdout) == (0, False), planned.stderr
    place.write((HOOKS + LOCKED).replace("  locked:", "  renamed:"))
    assert plan().returncode == 1


@pytest.mark.slow
def test_jenkins_plans_applies_and_finds_drift(runner: Runner, place: Place, watcher: Wire) -> None:
    def run(stage: str, **parameters: str) -> int:
        return jenkins_run(runner, stage, NOTIFY_URL=watcher.url, **parameters).returncode

    assert [run("Validate"), run("Plan"), len(live(place))] == [0, 0, 0]
    assert [run("Apply"), run("Drift"), len(live(place))] == [0, 0, 2]
    assert runner.remote.git("branch", "--list", "hooksync-state")
    meddle(place)
    assert [run("Drift"), run("Apply"), len(live(place))] == [2, 3, 1]
    told = [body["text"].partition("\n")[0] for body in watcher.documents]
    assert told == [
        "hooksync apply: applied",
        "hooksync plan: drift (exit code 2)",
        "hooksync apply: refused (exit code 3)",
    ]
    metrics = {path.name: path.read_text("utf-8") for path in runner.results.iterdir()}
    assert metrics.keys() == {"hooksync-plan.prom", "hooksync-apply.prom"}
    assert run("Plan", HOOKSYNC_REPLACE="prod/*") == 0
    (runner.place.folder / "hooksync-plan").rename(runner.folder / "kept")
    (runner.place.folder / "hooksync-plan").symlink_to(runner.folder / "kept")
    kept = (runner.folder / "kept" / "plan.json").read_text("utf-8")
    assert run("Plan") == 0
    assert (runner.folder / "kept" / "plan.json").read_text("utf-8") == kept
    over_the_limit(place)
    assert run("Plan") == 3


# --- pre-commit, Docker, Kubernetes


def test_pre_commit_validates_all_files_together(runner: Runner, place: Place) -> None:
    (hook,) = load(PRE_COMMIT)
    assert (hook["id"], hook["pass_filenames"]) == ("hooksync-validate", False)
    assert re.search(hook["files"], "archive/hooks.yml")
    assert not re.search(hook["files"], "webhooks.yaml")
    assert runner.run(shlex.split(hook["entry"])).returncode == 0
    place.write("version: 2\n")
    assert runner.run(shlex.split(hook["entry"])).returncode == 1


def test_the_image_is_slim_contains_only_the_installation_and_does_not_run_as_root() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+-slim-\w+$", text, re.MULTILINE)
    build, _, final = text.rpartition("\nFROM ")
    assert "\nRUN .ci/install /opt/hooksync\n" in build
    brought_in = re.findall(r"^(?:COPY|ADD|ARG) .*", final, re.MULTILINE)
    assert brought_in == ["COPY --from=build /opt/hooksync /opt/hooksync"]
    assert "\nUSER 65532:65532\n" in final
    assert '\nENTRYPOINT ["hooksync"]\n' in final


HOOK = ROOT / "examples" / "ci" / "argocd" / "hook.yml"


CRON = KUBERNETES / "cronjob.yml"
LEAST = """\
backoffLimit: 0
activeDeadlineSeconds: 600
restartPolicy: Never
automountServiceAccountToken: false
runAsNonRoot: true
runAsUser: 65532
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
"""


@pytest.mark.parametrize("path", [CRON, HOOK], ids=lambda path: path.name)
def test_a_kubernetes_job_is_not_repeated_has_a_deadline_and_has_few_permissions(
    path: Path,
) -> None:
    text = path.read_text(encoding="utf-8")
    assert [line for line in LEAST.splitlines() if line not in text] == []
    assert "USER 65532:" in DOCKERFILE.read_text(encoding="utf-8")


def pod_of(path: Path) -> dict[str, Any]:
    """Return the pod of a job or of a cron job."""
    spec = load(path)["spec"]
    return spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]


def command_of(path: Path, moved: dict[str, str]) -> list[str]:
    """Return the command of a pod, with its folders replaced as `moved` maps them."""
    (container,) = pod_of(path)["containers"]
    command = [*container.get("command", ["hooksync"]), *container["args"]]
    return [re.sub("|".join(moved), lambda found: moved[found[0]], word) for word in command]


@pytest.mark.slow
def test_kubernetes_applies_pushes_metrics_and_ends_with_the_exit_code_of_hooksync(
    runner: Runner, place: Place, watcher: Wire
) -> None:
    place.policy()
    moved = dict.fromkeys(("/etc/hooksync", "/etc/policy", "/var/lib/hooksync"), str(place.folder))
    moved["http://pushgateway.monitoring:9091"] = watcher.url
    assert runner.run(command_of(HOOK, moved)).returncode == 0
    assert len(live(place)) == 2

    patch = load(KUBERNETES / "metrics.yml")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    script = [
        re.sub("|".join(moved), lambda found: moved[found[0]], word)
        for word in patch["containers"][0]["command"]
    ]
    script += command_of(CRON, moved)[1:]
    runner.program("python", f'exec "{sys.executable}" "$@"')
    figures: dict[str, str] = {}
    for code in (0, 1):
        done = runner.run(script)
        assert done.returncode == code, done.stderr
        head, _, body = watcher.requests[-1].partition(b"\r\n\r\n")
        assert head.startswith(b"PUT /metrics/job/hooksync HTTP/1.1\r\n")
        figures |= dict(re.findall(r"(?m)^(\w+)\{.*\} (\S+)$", body.decode()))
        assert figures["hooksync_exit_code"] == str(code)
        place.box.faults.add("status-500@list:*")
    (group,) = load(KUBERNETES / "alerts.yml")["spec"]["groups"]
    rules = "\n".join(rule["expr"] for rule in group["rules"])
    assert set(re.findall(r"hooksync_\w+", rules)) <= figures.keys()
    assert not re.search(r"hooksync_\w+ or ", rules)  # `or` drops the right side beside a 0
