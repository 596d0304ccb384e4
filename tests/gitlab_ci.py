"""A project on GitLab for tests: gitlab-ci-local reads its `.gitlab-ci.yml` and runs the jobs, each
in a shell.

The program is on PATH, or HOOKSYNC_TEST_GITLAB names it (`npm install gitlab-ci-local`, which needs
Node 22). It does not simulate protected branches and environments, resource groups, images, and
what a child pipeline needs of its parent.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.backends import find_program
from tests.git_servers import PASSWORD, Remote

Variables = Mapping[str, Mapping[str, str]]  # values by name and environment; "*": in all of them
CHILD = r"(?:\s*\[\S+\] -> )?"  # before the name of a job of a child pipeline
STATUS = re.compile(rf"(?m)^ *(PASS|FAIL) +{CHILD}(\S+)")


def load_template(path: Path, **inputs: object) -> dict[str, Any]:
    """Load a template as GitLab does: fill in its inputs, then extend its jobs."""
    header, jobs = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    values = {
        name: inputs.get(name, each.get("default"))
        for name, each in header["spec"]["inputs"].items()
    }
    assert set(inputs) <= set(values)
    assert set(
        re.findall(r"\$\[\[ inputs\.([\w-]+) \]\]", path.read_text(encoding="utf-8"))
    ) == set(values)

    def fill(node: Any) -> Any:
        if isinstance(node, dict):
            return {fill(name): fill(each) for name, each in node.items()}
        if isinstance(node, list):
            return [fill(each) for each in node]
        if not isinstance(node, str):
            return node
        if whole := re.fullmatch(r"\$\[\[ inputs\.([\w-]+) \]\]", node):
            return values[whole[1]]
        return re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda found: str(values[found[1]]), node)

    document = fill(jobs)
    visible = {name: job for name, job in document.items() if not name.startswith(".")}
    for job in visible.values():
        # GitLab flattens nested lists; a job that starts a pipeline has no script
        parts = [part if isinstance(part, list) else [part] for part in job.get("script", [])]
        job["script"] = [line for part in parts for line in part]
    bases = {name: document.get(job.pop("extends", None), {}) for name, job in visible.items()}
    return {name: bases[name] | job for name, job in visible.items()}


@dataclass
class Pipeline:
    """A pipeline: a checkout with its artifacts, and the results of its jobs."""

    project: Project
    folder: Path
    settings: dict[str, str | None]  # variables that GitLab sets; None: GitLab does not set it
    # PASS or FAIL, by job; a manual job that nobody started is not here
    jobs: dict[str, str] = field(default_factory=dict)
    output: str = ""

    def log(self, job: str) -> str:
        """Return the output of a job."""
        return "\n".join(re.findall(rf"(?m)^{CHILD}{re.escape(job)} +> (.*)$", self.output))

    def artifact(self, name: str) -> str:
        """Return the text of an artifact, whichever job declares it."""
        (found,) = {each.resolve() for each in self.kept.glob(f"*/{name}")}
        return found.read_text(encoding="utf-8")

    @property
    def kept(self) -> Path:
        return self.folder / ".gitlab-ci-local" / "artifacts"

    def children(self) -> dict[str, Path]:
        """Return the jobs of the child pipelines, each with its file."""
        files = (self.folder / ".gitlab-ci-local" / "includes" / "triggers").glob("*.yml")
        return {job: file for file in files for job in yaml.safe_load(file.read_text("utf-8"))}

    def listed(self) -> list[str]:
        """Return the names of all jobs, without running one."""
        said = self.project.run(self.folder, self.settings, "--list-csv")
        assert "\nname;" in said, said
        return sorted(re.findall(r"(?m)^([\w-]+:[\w-]+);", said))

    def start(self, *jobs: str) -> dict[str, str]:
        """Start manual jobs, on a runner that has only the artifacts. Without names, start all jobs
        that are not manual.
        """
        self.project.remote.git("clean", "-dfqx", "--exclude=/.gitlab-ci-local*", at=self.folder)
        for kept in self.kept.glob("*"):
            if not kept.is_symlink():
                shutil.copytree(kept, self.folder, dirs_exist_ok=True)
        settings, given = self.settings, list(jobs)
        if jobs and (child := self.children().get(jobs[0])):
            settings = {**settings, "CI_PIPELINE_SOURCE": "parent_pipeline"}
            given.append(f"--file={child.relative_to(self.folder)}")
        self.output = self.project.run(self.folder, settings, *given)
        found = {name: status for status, name in STATUS.findall(self.output)}
        self.jobs |= found
        return found


@dataclass
class Project:
    """A project whose repository is served over HTTP and requires the token of the job."""

    remote: Remote
    environ: Mapping[str, str]
    variables: Variables
    # files of other projects, by project/ref/path
    includes: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()  # texts that no job may print
    pipelines: int = 0

    def commit(self, files: Mapping[str, str], branch: str = "main") -> str:
        """Commit files on a branch. If the branch is new, it starts at main."""
        exists = self.remote.git("branch", "--list", branch)
        head = (
            f"commit refs/heads/{branch}\ncommitter Ada <ada@example.org> 1700000001 +0000\ndata"
            " 6\nChange\n"
        )
        text = head + f"from refs/heads/{branch if exists else 'main'}^0\n"
        for name, content in files.items():
            text += f"M 100644 inline {name}\ndata {len(content.encode())}\n{content}\n"
        self.remote.git("fast-import", "--quiet", data=text)
        return self.remote.head(branch)

    def merge(self, branch: str) -> None:
        """Merge a branch that is up to date, as one commit."""
        tree = self.remote.git("rev-parse", f"{branch}^{{tree}}")
        merged = self.remote.git("commit-tree", tree, "-p", "main", "-m", f"Merge {branch}")
        self.remote.git("update-ref", "refs/heads/main", merged)

    def pipeline(self, source: str, branch: str = "main", starts: bool = True) -> Pipeline:
        """Run the pipeline of a push, a merge request, a schedule or a user ("web") on a fresh
        runner. Without `starts`, only prepare it.
        """
        self.pipelines += 1
        folder = self.remote.folder / f"build-{self.pipelines}"
        self.remote.git(
            "clone",
            "--quiet",
            f"--branch={branch}",
            str(self.remote.path),
            str(folder),
            at=folder.parent,
        )
        self.remote.git("config", "remote.origin.url", self.remote.url, at=folder)
        self.remote.git(
            "remote", "add", "gcl-origin", "http://127.0.0.1/group/project.git", at=folder
        )
        if branch == "main":  # the changes of a push are the differences from the commit before
            self.remote.git("update-ref", "refs/remotes/origin/main", "HEAD^", at=folder)
        for name, text in self.includes.items():
            path = folder / ".gitlab-ci-local" / "includes" / "127.0.0.1" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        everywhere = {  # also in child pipelines: gitlab-ci-local gives them no other variables
            "CI_SERVER_URL": self.remote.url.rpartition("/")[0],
            "CI_PROJECT_URL": self.remote.url.removesuffix(".git"),
            "CI_PROJECT_DIR": str(folder),
            "CI_JOB_TOKEN": PASSWORD,
        }
        scoped = {**self.variables, **{name: {"*": each} for name, each in everywhere.items()}}
        values = {name: {"type": "variable", "values": each} for name, each in scoped.items()}
        (folder / ".gitlab-ci-local-variables.yml").write_text(
            yaml.safe_dump(values), encoding="utf-8"
        )
        # a trigger expects the artifacts of x:plan in a folder of that name; they are in xOgplan
        kept = folder / ".gitlab-ci-local" / "artifacts"
        kept.mkdir(parents=True, exist_ok=True)
        for name in ("hooksync", "staging", "production"):
            (kept / f"{name}:plan").symlink_to(f"{name}Ogplan")
        is_review = source == "merge_request_event"
        pipeline = Pipeline(
            self,
            folder,
            {
                "CI_PIPELINE_SOURCE": source,
                "CI_COMMIT_BRANCH": None if is_review else branch,
                "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "1217" if is_review else None,
            },
        )
        if starts:
            pipeline.start()
        return pipeline

    def run(self, folder: Path, settings: Mapping[str, str | None], *jobs: str) -> str:
        """Run gitlab-ci-local; return all its output."""
        program = find_program(
            "HOOKSYNC_TEST_GITLAB", "gitlab-ci-local", "npm install gitlab-ci-local, with Node 22"
        )
        # it validates the first two pipelines: a review, and the one after the merge with children
        given = ["--no-json-schema-validation"] if self.pipelines > 2 else []
        given += [
            f"--variable={name}={value}" for name, value in settings.items() if value is not None
        ]
        given += [f"--unset-variable={name}" for name, value in settings.items() if value is None]
        done = subprocess.run(
            [
                program,
                "--force-shell-executor",
                "--concurrency=1",  # jobs share one folder, and each writes its set-up file there
                "--no-color",
                "--max-job-name-padding=0",
                *given,
                *jobs,
            ],
            cwd=folder,
            env={**self.environ, "HOME": self.remote.environ["HOME"], "GIT_CONFIG_NOSYSTEM": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=100,
            check=False,
        )
        assert not [hidden for hidden in self.hidden if hidden in done.stdout]
        return done.stdout
