"""Find the run that made the plan which was reviewed: that of the pull request merged as this very commit.

Talks to GitHub through `gh`. A plan counts if it comes from this repository (no fork), from the workflow WORKFLOW, for
the last commit of the pull request, and was made before the merge. Writes `run-id` to GITHUB_OUTPUT.
"""

import json
import os
import subprocess
from pathlib import Path

ADVICE = "Nothing was changed. Start this workflow by hand: it makes a new plan, and applies it once approved."


def gh(path: str, **query: str) -> object:
    """Ask GitHub's API."""
    fields = [part for name, value in query.items() for part in ("-f", f"{name}={value}")]
    command = ["gh", "api", "--method", "GET", path, *fields]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603, a list and no shell
    return json.loads(done.stdout)


def give_up(what: str) -> SystemExit:
    """Say what to do; raise what comes back."""
    print(f"::error title=No reviewed plan::{what} {ADVICE}")  # noqa: T201
    return SystemExit(1)


def main() -> None:
    """Do it."""
    repository, commit, workflow = (os.environ[name] for name in ("GITHUB_REPOSITORY", "GITHUB_SHA", "WORKFLOW"))
    pulls = [
        pull
        for pull in gh(f"repos/{repository}/commits/{commit}/pulls")
        if pull["merged_at"]
        and pull["merge_commit_sha"] == commit
        and pull["base"]["ref"] == os.environ["GITHUB_REF_NAME"]
        and (pull["head"]["repo"] or {}).get("full_name") == repository
    ]
    if not pulls:
        raise give_up("This commit is not the merge of a pull request from this repository.")
    pull = pulls[0]
    runs = gh(
        f"repos/{repository}/actions/workflows/{workflow}/runs",
        head_sha=pull["head"]["sha"],
        event="pull_request",
        status="success",
        per_page="100",
    )
    fit = [
        run
        for run in runs["workflow_runs"]
        if (run["head_repository"] or {}).get("full_name") == repository
        and run["head_branch"] == pull["head"]["ref"]
        and run["run_started_at"] <= pull["merged_at"]
    ]
    if not fit:
        raise give_up(f"No run of {workflow} planned pull request {pull['number']} before it was merged.")
    newest = max(fit, key=lambda run: run["run_started_at"])
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as output:
        output.write(f"run-id={int(newest['id'])}\n")
    print(f"The plan of pull request {pull['number']}, made by run {newest['id']}.")  # noqa: T201


if __name__ == "__main__":
    main()
