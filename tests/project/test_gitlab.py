"""The pipeline for GitLab runs unchanged: gitlab-ci-local reads it from a repository that the test
serves, and runs its jobs in a shell.

The program is on PATH, or HOOKSYNC_TEST_GITLAB names it (`npm install gitlab-ci-local`, which needs
Node 22). It does not simulate protected branches and environments, resource groups and images.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.backends import find_program
from tests.command_line import ROOT
from tests.conftest import HIDDEN, Place
from tests.git_servers import PASSWORD, Remote, missing_program, served
from tests.wire import Wire

GITLAB = ROOT / "examples" / "ci" / "gitlab"
TEMPLATE = (GITLAB / "hooksync.yml").read_text(encoding="utf-8")
STATUS = re.compile(r"(?m)^ *(PASS|FAIL) +(\S+)")
PROGRAMS = {
    "hooksync": f'exec "{sys.executable}" -m hooksync "$@"',
    # gitlab-ci-local copies artifacts by rsync
    "rsync": (
        """\
for word; do case $word in --files-from=*) list=${word#*=} ;; esac; done
[ -z "$list" ] || tar -cf - -T "$list" | tar -xf - -C "$word"
"""
    ),
}


@dataclass
class Project:
    """A project whose repository is served over HTTP and requires the token of the job."""

    remote: Remote
    environ: Mapping[str, str]
    variables: dict[str, dict[str, str]]  # values by name and environment; "*": in all of them
    program: str
    pipelines: int = 0
    folder: Path = Path()  # the checkout of the last pipeline, with its artifacts
    output: str = ""  # of its last jobs

    def commit(self, branch: str, files: Mapping[str, str], mode: str = "100644") -> None:
        """Commit files on a branch. If the branch is new, it starts at main.

        `mode`: 120000 makes links to what the values name.
        """
        exists = self.remote.git("branch", "--list", branch)
        text = (
            f"commit refs/heads/{branch}\ncommitter Ada <ada@example.org> 1700000001 +0000\n"
            f"data 6\nChange\nfrom refs/heads/{branch if exists else 'main'}^0\n"
        )
        for name, content in files.items():
            text += f"M {mode} inline {name}\ndata {len(content.encode())}\n{content}\n"
        self.remote.git("fast-import", "--quiet", data=text)

    def check_out(self, branch: str = "main") -> None:
        """Prepare a fresh runner for a pipeline of a branch."""
        self.pipelines += 1
        self.folder = self.remote.folder / f"build-{self.pipelines}"
        source = str(self.remote.path)
        self.remote.git("clone", "-q", f"--branch={branch}", source, str(self.folder))
        self._git("config", "remote.origin.url", self.remote.url)
        self._git("remote", "add", "gcl-origin", "http://127.0.0.1/group/project.git")
        if branch == "main":  # the changes of a push are the differences from the commit before
            self._git("update-ref", "refs/remotes/origin/main", "HEAD^")
        values = {
            **self.variables,
            "CI_SERVER_URL": {"*": self.remote.url.rpartition("/")[0]},
            "CI_PROJECT_URL": {"*": self.remote.url.removesuffix(".git")},
            "CI_PROJECT_DIR": {"*": str(self.folder)},
            "CI_JOB_TOKEN": {"*": PASSWORD},
        }
        typed = {name: {"type": "variable", "values": value} for name, value in values.items()}
        settings = self.folder / ".gitlab-ci-local-variables.yml"
        settings.write_text(yaml.safe_dump(typed), encoding="utf-8")

    def _git(self, *arguments: str) -> str:
        return self.remote.git(*arguments, at=self.folder)

    def run(self, source: str, *arguments: str) -> dict[str, str]:
        """Run the jobs of a pipeline that are not manual, or the jobs that the arguments name.
        Return PASS or FAIL by job.
        """
        given = [f"--variable=CI_PIPELINE_SOURCE={source}"]
        if source == "merge_request_event":
            given.append("--unset-variable=CI_COMMIT_BRANCH")
        options = ("--force-shell-executor", "--concurrency=1", "--no-color")
        done = subprocess.run(
            [self.program, *options, "--max-job-name-padding=0", *given, *arguments],
            cwd=self.folder,
            env={**self.environ, "HOME": self.remote.environ["HOME"], "GIT_CONFIG_NOSYSTEM": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
        )
        self.output = done.stdout
        assert not [hidden for hidden in HIDDEN if hidden in self.output]
        return {name: status for status, name in STATUS.findall(self.output)}

    def jobs(self, *arguments: str) -> list[str]:
        """Return the names of the jobs of a merge request, without running one."""
        self.run("merge_request_event", *arguments, "--list-csv")
        return sorted(re.findall(r"(?m)^([\w-]+:[\w-]+);", self.output))

    def apply(self) -> dict[str, str]:
        """Start the manual job, on a runner that has only the artifacts."""
        self._git("clean", "-dfqx", "--exclude=/.gitlab-ci-local*")
        self._git("checkout", "--force", "--quiet", "HEAD")
        for kept in (self.folder / ".gitlab-ci-local" / "artifacts").glob("*"):
            shutil.copytree(kept, self.folder, dirs_exist_ok=True)
        return self.run("push", "hooksync:apply")


@pytest.fixture
def project(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Return an empty project. Its variables have scopes, and lead to the sandbox."""
    if lack := missing_program():
        pytest.skip(lack)
    program = find_program(
        "HOOKSYNC_TEST_GITLAB", "gitlab-ci-local", "npm install gitlab-ci-local, with Node 22"
    )
    folder = tmp_path_factory.mktemp("runner")
    for name, text in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    names = ("PRESERVICA_USERNAME", "PRESERVICA_PASSWORD", "CATALOGUE_SECRET")
    held = {name: place.environ.pop(name) for name in names}
    path = f"{folder}:{place.environ['PATH']}"
    environ = {**place.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    variables = {name: {"planning*": value, "production": value} for name, value in held.items()}
    project = Project(Remote(tmp_path_factory.mktemp("remote")), environ, variables, program)
    with served(project.remote):
        # only the token of the job opens the repository
        (Path(project.remote.environ["HOME"]) / ".gitconfig").unlink()
        yield project


@pytest.mark.slow
def test_a_change_is_reviewed_merged_applied_and_compared_every_night(
    project: Project, place: Place, watcher: Wire
) -> None:
    project.variables["NOTIFY_URL"] = {"*": watcher.url}
    project.variables["HOOKSYNC_PLAN_KEY"] = {"*": "k3y-that-signs-plans-0123456789"}
    args = "      notify: env:NOTIFY_URL\n      notify-as: slack\n"
    pipeline = (GITLAB / ".gitlab-ci.yml").read_text(encoding="utf-8")
    hooks = (place.folder / "hooks.yaml").read_text(encoding="utf-8")
    project.commit(
        "main",
        {
            ".gitlab-ci.yml": pipeline + args,
            "hooksync.yml": TEMPLATE,
            "hooksync.policy.yaml": place.policy_text(),
        },
    )
    # its policy allows everything, but the policy of main counts
    allowing = {"hooksync.policy.yaml": place.policy_text(servers=["127.0.0.1:1"])}
    project.commit(
        "bold", {"hooks.yaml": hooks.replace("${BOX}", "http://127.0.0.1:1"), **allowing}
    )
    project.check_out("bold")
    own = "--variable=CI_MERGE_REQUEST_SOURCE_PROJECT_ID=1217"
    assert project.run("merge_request_event", own)["hooksync:preview"] == "FAIL"
    assert "which the policy does not allow" in project.output
    fork = own.replace("1217", "99")
    assert project.jobs(fork) == ["hooksync:validate"]

    project.commit("change", {"hooks.yaml": hooks})
    project.check_out("change")
    base = f"--variable=CI_MERGE_REQUEST_DIFF_BASE_SHA={project.remote.head('main')}"
    review = dict.fromkeys(("hooksync:validate", "hooksync:preview"), "PASS")
    assert project.run("merge_request_event", own, base) == review, project.output
    assert "Only what differs from the merge base" in project.output
    assert "2 to subscribe" in project.output
    assert "<html" in (project.folder / "hooksync-plan" / "plan.html").read_text()

    project.commit("main", {"hooks.yaml": hooks})
    project.check_out()
    merged = {"hooksync:plan": "PASS"}
    assert project.run("push") == merged, project.output
    assert not place.box.subscriptions("DEMO")
    assert project.apply() == {"hooksync:apply": "PASS"}, project.output
    assert len(place.box.subscriptions("DEMO")) == 2
    assert project.remote.git("branch", "--list", "hooksync-state")

    project.check_out()
    chosen = "--variable=HOOKSYNC_TENANCY=pr*\n$(touch gone)"
    assert project.run("web", chosen)["hooksync:plan"] == "FAIL"
    assert not [*project.folder.rglob("gone")]
    # whoever starts a pipeline can set any variable, and changes neither policy nor state
    chosen = "--variable=HOOKSYNC_POLICY=", "--variable=HOOKSYNC_STATE=other.json"
    assert project.run("web", *chosen) == merged, project.output
    assert project.apply() == {"hooksync:apply": "PASS"}, project.output
    assert "Nothing to do; 0 unchanged." in project.output
    project.commit("main", {"hooks.yaml": hooks.replace("[INDEXED, MOVED]", "[INDEXED]")})
    project.check_out()
    assert project.run("push") == merged, project.output
    indexed, moved = sorted(place.box.subscriptions("DEMO"), key=lambda each: each.trigger)
    place.box.remove("DEMO", indexed.id)
    assert project.apply() == {"hooksync:apply": "FAIL"}, project.output
    assert "the saved plan is stale" in project.output
    assert [each.id for each in place.box.subscriptions("DEMO")] == [moved.id]
    project.check_out()
    assert project.run("schedule") == {"hooksync:drift": "FAIL"}
    told = [re.split(r"[\n(]", body["text"])[0].strip() for body in watcher.documents]
    assert told == ["hooksync apply: applied", "hooksync apply: refused", "hooksync plan: drift"]


@pytest.mark.slow
def test_a_link_that_a_commit_makes_leads_no_job_to_write_elsewhere_or_to_run_without_its_policy(
    project: Project, place: Place
) -> None:
    names = set(re.findall(r"\$\[\[ inputs\.name \]\]-([\w.-]+)", TEMPLATE))
    targets = [project.remote.folder / f"kept-{name}" for name in names]
    for target in targets:
        if target.suffix:
            target.write_text("")
        else:
            target.mkdir()
    links = {f"hooksync-{name}": str(target) for name, target in zip(names, targets, strict=True)}
    hooks = (place.folder / "hooks.yaml").read_text(encoding="utf-8")
    given = {
        ".gitlab-ci.yml": (GITLAB / ".gitlab-ci.yml").read_text(encoding="utf-8"),
        "hooksync.yml": TEMPLATE,
        "hooks.yaml": hooks,
        "hooksync.policy.yaml": place.policy_text(),
    }
    project.commit("main", given)
    project.commit("main", links, mode="120000")
    project.check_out()
    assert project.run("web")["hooksync:plan"] == "PASS", project.output
    assert "2 to subscribe" in project.output
    assert not [target for target in targets if target.is_file() and target.read_text()]
    assert not [*project.remote.folder.glob("kept-*/*")]
    # where the artifact is unpacked, the commit has a link
    assert project.apply() == {"hooksync:apply": "FAIL"}, project.output
    assert "this commit contains a link at hooksync-plan" in project.output

    project.commit("main", {"hooksync.policy.yaml": place.policy_text(servers=["127.0.0.1:1"])})
    project.check_out()
    assert project.run("web")["hooksync:plan"] == "FAIL"
    assert "which the policy does not allow" in project.output
    project.commit("main", {"hooksync.policy.yaml": ""})
    project.check_out()
    assert project.run("web") == {"hooksync:plan": "FAIL"}
    assert "hooksync.policy.yaml" in project.output


def test_the_apply_is_manual_exclusive_and_the_only_job_with_the_environment_of_production() -> (
    None
):
    text = re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", r"\1", TEMPLATE)
    _, jobs = yaml.safe_load_all(text)
    apply = jobs["name:apply"]
    assert {rule["when"] for rule in apply["rules"]} == {"never", "apply"}
    assert (apply["resource_group"], apply["interruptible"]) == ("name", False)
    assert apply["environment"] == {"name": "environment"}
    assert "environment" not in jobs["name:validate"]  # forks run it
    for job in ("preview", "plan", "drift"):
        assert jobs[f"name:{job}"]["environment"] == {"name": "planning", "action": "access"}
