"""GitHub, as far as our workflows use it: it runs the jobs of the unchanged workflow files and
action.yml.

Steps run in bash with the files and variables of a runner. Checkouts are clones of a bare
repository. Artifacts, approvals, comments and issues are kept as on GitHub. A program `gh` reads
and writes them, as far as the permissions of the job allow.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.command_line import ROOT
from tests.git_servers import PASSWORD, Remote

REPOSITORY = "OWNER/REPOSITORY"
BOT = "github-actions[bot]"
PRESENT, MERGED = "2030-01-02T11:00:00Z", "2030-01-02T12:00:00Z"
OUR_ACTION = re.compile(r"OWNER/hooksync@0{40}")

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<op>&&|\|\||==|!=|[!(),])|(?P<name>[\w.-]+))"
)
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_STATUS = re.compile(r"\b(?:always|cancelled|success|failure)\(\)")


def evaluate(text: str, contexts: Mapping[str, Any], *, fails: bool = False) -> Any:
    """Return the value of an expression, which is translated into Python. `fails`: whether an
    earlier step, or a job in `needs`, failed.
    """
    names = {
        "look": lambda path: looked_up(path, contexts),
        "always": lambda: True,
        "cancelled": lambda: False,
        "success": lambda: not fails,
        "failure": lambda: fails,
        "contains": lambda where, what: what in where,
        "fromJSON": json.loads,
        "format": lambda form, *values: form.format(*values),
        **{word: json.loads(word) for word in ("true", "false", "null")},
    }

    def translated(found: re.Match[str]) -> str:
        token = found[found.lastgroup or 0]
        if found.lastgroup == "text":
            return repr(token[1:-1].replace("''", "'"))
        if found.lastgroup == "op":
            return {"&&": " and ", "||": " or ", "!": " not "}.get(token, token)
        return token if token in names else f"look({token!r})"

    assert not _TOKEN.sub("", text).strip(), text
    return eval(_TOKEN.sub(translated, text), {"__builtins__": {}}, names)


def looked_up(path: str, contexts: Mapping[str, Any]) -> Any:
    """Return the value at a path such as `needs.plan.result`. As on GitHub, a missing value is
    empty. A missing context is an error.
    """
    first, *rest = path.split(".")
    found = contexts[first]
    for name in rest:
        found = found.get(name) if isinstance(found, Mapping) else None
    return "" if found is None else found


def shown(value: Any) -> str:
    """Return a value as text, as an expression in a text becomes it."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    return str(value)


def filled(text: Any, contexts: Mapping[str, Any]) -> str:
    """Fill in the expressions of a text."""
    return _EXPRESSION.sub(lambda found: shown(evaluate(found[1], contexts)), shown(text))


def holds(condition: object, contexts: Mapping[str, Any], *, fails: bool) -> bool:
    """Return whether an `if` holds. If it contains no status function, it also requires success."""
    text = shown(condition) if condition is not None else "success()"
    whole = _EXPRESSION.fullmatch(text)
    text = whole[1] if whole else text
    return bool(evaluate(text, contexts, fails=fails)) and (bool(_STATUS.search(text)) or not fails)


GH = """\
import json, os, subprocess, sys, urllib.parse
args, world = sys.argv[2:], os.environ["GH_WORLD"]
given = json.load(sys.stdin) if "--input" in args else None
several = "--paginate" in args  # pages of one each
assert os.environ["GH_TOKEN"]
known = json.load(open(world))
allowed, fields, rest, method = json.loads(os.environ["GH_PERMISSIONS"]), {}, [], "GET"
while args:
    first = args.pop(0)
    if first == "-f":
        name, _, value = args.pop(0).partition("=")
        fields[name] = value
    elif first == "--method":
        method = args.pop(0)
    elif first in ("-H", "--input"):
        args.pop(0)
    elif first != "--paginate":
        rest.append(first)
path, _, query = rest[0].removeprefix("repos/OWNER/REPOSITORY/").partition("?")
fields |= dict(urllib.parse.parse_qsl(query))
needed = {"contents": "contents", "commits": "pull-requests", "actions": "actions"}.get(path.split("/")[0], "issues")
if needed == "issues" and "pull" in os.environ["GH_EVENT"]:
    needed = "pull-requests"
if allowed.get(needed) not in (("write",) if method != "GET" else ("read", "write")):
    sys.exit(f"gh: Resource not accessible by integration (HTTP 403): {needed}")

def issue(number):
    return next(each for each in known["issues"] if each["number"] == int(number))

answer = None
match [method, *path.split("/")]:
    case ["GET", "contents", *name]:
        ref = fields.get("ref", "main")
        git = ["git", "-C", os.environ["GH_GIT"], "show", f"{ref}:{'/'.join(name)}"]
        sys.exit(subprocess.run(git).returncode)
    case ["GET", "commits", sha, "pulls"]:
        answer = [each for each in known["pulls"] if sha in (each["merge_commit_sha"], each["head"]["sha"])]
    case ["GET", "actions", "workflows", name, "runs"]:
        wanted = {"conclusion": fields["status"], "path": name} | {each: fields[each] for each in ("head_sha", "event")}
        answer = {"workflow_runs": [each for each in known["runs"] if wanted.items() <= each.items()]}
    case ["GET", "issues", number, "comments"]:
        answer = issue(number)["comments"]
    case ["GET", "issues"]:
        wanted = {"state": fields["state"]}
        answer = [each for each in known["issues"] if wanted.items() <= each.items()]
    case ["POST", "issues"]:
        answer = {"number": len(known["issues"]) + 1, "state": "open", "user": {"login": "github-actions[bot]"}} | given
        known["issues"].append(answer | {"comments": []})
    case ["POST", "issues", number, "comments"]:
        comments = issue(number)["comments"]
        answer = {"id": 100 * int(number) + len(comments), "user": {"login": "github-actions[bot]"}} | given
        comments.append(answer)
    case ["PATCH", "issues", "comments", number]:
        comments = [each for one in known["issues"] for each in one["comments"]]
        answer = next(each for each in comments if each["id"] == int(number))
        answer.update(given)
    case ["PATCH", "issues", number]:
        answer = issue(number)
        answer.update(given)
assert answer is not None, (method, path)
json.dump(known, open(world, "w"))
pages = [[each] for each in answer] if several and answer else [answer]
print(*map(json.dumps, pages))
"""


@dataclass
class Job:
    """A job that ended, waits for an approval, or was skipped."""

    result: str  # success | failure | skipped | waiting
    log: str = ""
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class WorkflowRun:
    """One run of a workflow."""

    number: int
    path: str  # of the workflow
    github: dict[str, Any]
    inputs: dict[str, str]
    jobs: dict[str, Job] = field(default_factory=dict)

    @property
    def results(self) -> dict[str, str]:
        return {name: job.result for name, job in self.jobs.items()}


def whole(run: WorkflowRun, name: str) -> Job:
    """Return a job, or the job of a matrix with the worst result."""
    parts = [
        job for label, job in run.jobs.items() if label == name or label[:-1].startswith(f"{name} ")
    ]
    return min(
        parts, key=lambda job: ("waiting", "failure", "skipped", "success").index(job.result)
    )


class GitHub:
    """A repository on GitHub, with its settings; and a runner for its jobs."""

    def __init__(self, folder: Path, remote: Remote) -> None:
        self.folder = folder
        self.remote = remote
        self.environments: dict[str, dict[str, str]] = {}  # the secrets of each
        self.reviewed: set[str] = set()  # environments that need an approval
        self.artifacts: dict[tuple[int, str], dict[str, bytes]] = {}  # by run and name
        self.runs: list[WorkflowRun] = []
        self.world = folder / "github.json"
        self.world.write_text(json.dumps({"issues": [], "pulls": [], "runs": []}), encoding="utf-8")
        self._action = folder / "action"
        shutil.copytree(
            ROOT / "examples" / "ci" / "github", self._action / "examples" / "ci" / "github"
        )
        (self._action / ".ci").mkdir()
        self.programs = folder / "programs"  # on a person's own machine
        # other tests cover the real installer, with its locked versions
        install = f'mkdir -p "$1/bin" && cp "{self.programs}/hooksync" "$1/bin"\n'
        self._program(self._action / ".ci" / "install", install)
        self._program(self.programs / "hooksync", f'exec "{sys.executable}" -m hooksync "$@"\n')
        self._program(folder / "bin" / "gh", f'exec "{sys.executable}" "{folder}/gh.py" "$@"\n')
        (folder / "gh.py").write_text(GH, encoding="utf-8")
        self.workspace = folder / "workspace"
        self._steps = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))

    def _program(self, path: Path, text: str) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{text}", encoding="utf-8")
        path.chmod(0o755)

    @property
    def known(self) -> dict[str, list[dict[str, Any]]]:
        """What GitHub's API returns."""
        return json.loads(self.world.read_text(encoding="utf-8"))

    def add(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Add a pull request, a run or an issue."""
        known = self.known
        known[kind].append(fields)
        self.world.write_text(json.dumps(known), encoding="utf-8")
        return fields

    @property
    def open_issues(self) -> list[dict[str, Any]]:
        return [
            each
            for each in self.known["issues"]
            if each["state"] == "open" and "pull_request" not in each
        ]

    # --- what people do

    def propose(self, branch: str) -> dict[str, Any]:
        """Open a pull request for a branch that was pushed."""
        number = len(self.known["issues"]) + 1
        self.add(
            "issues",
            number=number,
            state="open",
            user={"login": "ada"},
            comments=[],
            pull_request={},
            body="",
        )
        head = {"ref": branch, "sha": self.remote.head(branch), "repo": {"full_name": REPOSITORY}}
        base = {"ref": "main", "sha": self.remote.head("main")}
        return {
            "number": number,
            "head": head,
            "base": base,
            "merged_at": None,
            "merge_commit_sha": None,
        }

    def merge(self, pull: dict[str, Any], sha: str) -> None:
        """Record that a pull request was merged as a commit."""
        self.add("pulls", **pull | {"merged_at": MERGED, "merge_commit_sha": sha})

    def start(
        self,
        name: str,
        event: str,
        sha: str,
        ref: str = "refs/heads/main",
        inputs: Mapping[str, str] = {},
        **payload: Any,
    ) -> WorkflowRun:
        """Start a workflow of a commit, and run it until it ends or waits for an approval."""
        github = {
            "event_name": event, "sha": sha, "ref": ref, "ref_name": ref.split("/", 2)[2], "repository": REPOSITORY,
            "actor": "ada", "run_id": len(self.runs) + 1, "event": payload, "token": PASSWORD,
        }  # fmt: skip
        run = WorkflowRun(len(self.runs) + 1, name, github, dict(inputs))
        self.runs.append(run)
        return self.go_on(run)

    def go_on(self, run: WorkflowRun, *approved: str) -> WorkflowRun:
        """Run the jobs that may run; `approved`: environments whose deployment somebody approved."""
        workflow = yaml.safe_load(
            self.remote.git("show", f"{run.github['sha']}:.github/workflows/{run.path}")
        )
        by_hand = (
            workflow[True].get("workflow_dispatch")
            if run.github["event_name"] == "workflow_dispatch"
            else {}
        )
        declared = {
            name: each.get("default", "")
            for name, each in (by_hand or {}).get("inputs", {}).items()
        }
        assert run.github["event_name"] in workflow[True]
        assert set(run.inputs) <= set(declared)
        for name, job in workflow["jobs"].items():
            for value in job.get("strategy", {}).get("matrix", {}).get("environment", [""]):
                label = f"{name} {value}".strip()
                if run.jobs.get(label, Job("waiting")).result == "waiting":
                    contexts = {
                        "inputs": {**declared, **run.inputs},
                        "matrix": {"environment": value},
                    }
                    run.jobs[label] = self._played(run, job, contexts, approved)
        if not {"waiting"} & set(run.results.values()):
            conclusion = "failure" if "failure" in run.results.values() else "success"
            self.add(
                "runs", id=run.number, path=run.path, event=run.github["event_name"], conclusion=conclusion,
                head_sha=looked_up("event.pull_request.head.sha", run.github) or run.github["sha"],
                head_branch=looked_up("event.pull_request.head.ref", run.github) or run.github["ref_name"],
                head_repository=looked_up("event.pull_request.head.repo", run.github) or {"full_name": REPOSITORY},
                run_started_at=PRESENT,
            )  # fmt: skip
        return run

    def _played(
        self,
        run: WorkflowRun,
        job: dict[str, Any],
        contexts: dict[str, Any],
        approved: tuple[str, ...],
    ) -> Job:
        """Run a job, unless it waits for a different job or an approval, or must be skipped."""
        needed = job.get("needs", [])
        needs = {
            each: whole(run, each) for each in ([needed] if isinstance(needed, str) else needed)
        }
        results = {each.result for each in needs.values()}
        if "waiting" in results:
            return Job("waiting")
        told = {
            name: {"result": each.result, "outputs": each.outputs} for name, each in needs.items()
        }
        contexts = {**contexts, "github": run.github, "needs": told}
        if not holds(job.get("if"), contexts, fails=bool(results - {"success"})):
            return Job("skipped")
        environment = filled(job.get("environment"), contexts)
        if environment in self.reviewed and environment not in approved:
            return Job("waiting")
        contexts["secrets"] = self.environments[environment] if environment else {}
        return _Runner(self, run, contexts, job).run()


class _Runner:
    """A hosted runner, which keeps nothing of earlier jobs."""

    def __init__(
        self, hub: GitHub, run: WorkflowRun, contexts: dict[str, Any], job: dict[str, Any]
    ) -> None:
        self.hub = hub
        self.of = run
        self.job = job
        self.result = Job("success")
        self.temp = hub.folder / "runner-temp"
        for made in (self.temp, hub.workspace):
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
        self.contexts = {**contexts, "runner": {"temp": str(self.temp)}}
        self.path = [str(hub.folder / "bin")]
        (self.temp / "event.json").write_text(json.dumps(run.github["event"]), encoding="utf-8")

    def run(self) -> Job:
        outputs = self._all(self.job["steps"], self.contexts, {})
        contexts = {**self.contexts, "steps": outputs}
        self.result.outputs = {
            name: filled(text, contexts) for name, text in self.job.get("outputs", {}).items()
        }
        return self.result

    def _all(
        self, steps: list[dict[str, Any]], contexts: dict[str, Any], env: Mapping[str, str]
    ) -> dict[str, Any]:
        """Run steps one after the other; return the outputs of the steps with an id."""
        seen: dict[str, Any] = {}
        for step in steps:
            inner = {**contexts, "steps": seen}
            if not holds(step.get("if"), inner, fails=self.result.result == "failure"):
                continue
            variables = {
                **env,
                **{name: filled(text, inner) for name, text in step.get("env", {}).items()},
            }
            given = {name: filled(text, inner) for name, text in step.get("with", {}).items()}
            done, outputs = self._one(step, given, variables, inner)
            if not done:
                self.result.result = "failure"
            if "id" in step:
                seen[step["id"]] = {"outputs": outputs}
        return seen

    def _one(
        self,
        step: dict[str, Any],
        given: dict[str, str],
        env: dict[str, str],
        contexts: dict[str, Any],
    ) -> tuple[bool, dict[str, str]]:
        match step.get("uses", "").partition("@")[0]:
            case "":
                return self._bash(step["run"], env)
            case "actions/checkout":
                git = self.hub.remote.git
                git("init", "--quiet", at=self.hub.workspace)
                git("remote", "add", "origin", self.hub.remote.url, at=self.hub.workspace)
                commit = (str(self.hub.remote.path), self.of.github["sha"])
                git("fetch", "--quiet", "--depth=1", *commit, at=self.hub.workspace)
                git("checkout", "--quiet", "FETCH_HEAD", at=self.hub.workspace)
                return True, {}
            case "actions/upload-artifact":
                files = dict(self._found(given["path"]))
                if files:
                    self.hub.artifacts[self.of.number, given["name"]] = files
                return bool(files) or given["if-no-files-found"] == "ignore", {}
            case "actions/download-artifact":
                files = self.hub.artifacts.get((int(given["run-id"]), given["name"]), {})
                for name, data in files.items():
                    Path(given["path"]).mkdir(exist_ok=True)
                    (Path(given["path"]) / name).write_bytes(data)
                return bool(files), {}
        assert OUR_ACTION.fullmatch(step["uses"]), step["uses"]
        return self._action(given, env, contexts)

    def _action(
        self, given: dict[str, str], env: dict[str, str], contexts: dict[str, Any]
    ) -> tuple[bool, dict[str, str]]:
        """Run the steps of action.yml. A composite action gets no secrets except by its inputs."""
        action = self.hub._steps
        assert set(given) <= set(action["inputs"])
        inner = {name: contexts[name] for name in ("github", "runner")}
        defaults = {
            name: filled(each.get("default"), inner) for name, each in action["inputs"].items()
        }
        inner["inputs"] = {**defaults, **given}
        before = self.result.result
        self.result.result = "success"
        steps = self._all(action["runs"]["steps"], inner, env)
        is_done, self.result.result = self.result.result == "success", before
        outputs = {
            name: filled(each["value"], {**inner, "steps": steps})
            for name, each in action["outputs"].items()
        }
        return is_done, outputs

    def _found(self, patterns: str) -> Iterator[tuple[str, bytes]]:
        for pattern in patterns.split():
            for path in sorted(Path("/").glob(str(self.hub.workspace / pattern)[1:])):
                yield path.name, path.read_bytes()

    def _bash(self, script: str, env: Mapping[str, str]) -> tuple[bool, dict[str, str]]:
        files = {
            name: self.temp / name.lower()
            for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
        }
        for path in files.values():
            path.write_text("", encoding="utf-8")
        github = self.of.github
        everything = {
            **self.hub.remote.environ,
            "PATH": os.pathsep.join([*reversed(self.path), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(self.hub._action),
            "GITHUB_EVENT_PATH": str(self.temp / "event.json"),
            "GITHUB_SERVER_URL": self.hub.remote.url.removesuffix(f"/{self.hub.remote.path.name}"),
            "GITHUB_WORKSPACE": str(self.hub.workspace),
            "RUNNER_TEMP": str(self.temp),
            **{
                f"GITHUB_{name.upper()}": str(github[name])
                for name in ("sha", "ref", "ref_name", "run_id", "repository")
            },
            "GH_WORLD": str(self.hub.world),
            "GH_GIT": str(self.hub.remote.path),
            "GH_EVENT": github["event_name"],
            "GH_PERMISSIONS": json.dumps(self.job["permissions"]),
            **{name: str(path) for name, path in files.items()},
            **env,
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.hub.workspace,
            env=everything,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        said = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
        self.result.log += done.stdout
        self.result.summary += said["GITHUB_STEP_SUMMARY"]
        self.path += said["GITHUB_PATH"].splitlines()
        return done.returncode == 0, dict(
            line.split("=", 1) for line in said["GITHUB_OUTPUT"].splitlines()
        )
