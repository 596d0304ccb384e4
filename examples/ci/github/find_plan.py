"""Find the run that made the reviewed plan of the pull request that this commit merged.

A merge queue plans the commit that it merges. If there is such a plan, it is the reviewed plan. A
plan is valid if it comes from this repository (no fork) and from the workflow WORKFLOW, is for the
commit of the queue or the last commit of the pull request, and is older than the merge. The script
writes `run-id` to GITHUB_OUTPUT.
"""

import os
from pathlib import Path

from gh import gh

ADVICE = (
    "Nothing was changed. Start this workflow by hand: it makes a new plan, and applies it once"
    " approved."
)


def give_up(what: str) -> SystemExit:
    """Print advice, and return the exception to raise."""
    print(f"::error title=No reviewed plan::{what} {ADVICE}")
    return SystemExit(1)


def planned(event: str, commit: str, repository: str, pull: dict) -> list[dict]:
    """Return the runs that planned this commit before the merge."""
    query = {"head_sha": commit, "event": event, "status": "success", "per_page": "100"}
    fields = [part for name, value in query.items() for part in ("-f", f"{name}={value}")]
    path = f"repos/{repository}/actions/workflows/{os.environ['WORKFLOW']}/runs"
    (answer,) = gh("--method", "GET", path, *fields)
    queue = f"gh-readonly-queue/{pull['base']['ref']}/"  # branches that GitHub alone makes
    return [
        run
        for run in answer["workflow_runs"]
        if (run["head_repository"] or {}).get("full_name") == repository
        and (
            run["head_branch"].startswith(queue)
            if event == "merge_group"
            else run["head_branch"] == pull["head"]["ref"]
        )
        and run["run_started_at"] <= pull["merged_at"]
    ]


def main() -> None:
    """Run the step."""
    repository, commit = os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_SHA"]
    pulls = [
        pull
        for pull in gh("--method", "GET", f"repos/{repository}/commits/{commit}/pulls")
        if pull["merged_at"]
        and pull["merge_commit_sha"] == commit
        and pull["base"]["ref"] == os.environ["GITHUB_REF_NAME"]
    ]
    if not pulls:
        raise give_up("This commit is not the merge of a pull request.")
    pull = pulls[0]
    is_ours = (pull["head"]["repo"] or {}).get("full_name") == repository
    runs = planned("merge_group", commit, repository, pull)
    if not runs and is_ours:
        runs = planned("pull_request", pull["head"]["sha"], repository, pull)
    if not runs:
        whose = f"pull request {pull['number']}{'' if is_ours else ', which is from a fork,'}"
        raise give_up(f"No run of {os.environ['WORKFLOW']} planned {whose} before it was merged.")
    newest = max(runs, key=lambda run: run["run_started_at"])
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as output:
        output.write(f"run-id={int(newest['id'])}\n")
    print(f"The plan of pull request {pull['number']}, made by run {newest['id']}.")


if __name__ == "__main__":
    main()
