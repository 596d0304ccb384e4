"""Keep one issue open as long as live differs from declared.

FOUND is what run.py found. `drift`, `refused` and `new` open an issue or change the open one, and
`nothing` closes it. If it is empty, the job fails, and the issue does not change: nothing was found
in the tenancies that could be read. FOLDER contains plan.md, which also names those that could
not. The first line of an issue identifies the comparison and its result, so the same drift is
reported once, not every night.
"""

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

from gh import gh

ADVICE = {
    "drift": "Live is not as declared, no file declares a tenancy of the state, or something was"
    " not compared. The plan below names it.",
    "new": "Live subscriptions are new: the state does not have them, and no apply has seen them."
    " An apply leaves them, and ends this notice.",
    "refused": "An apply would be refused. The summary of the run states why.",
}
WAY_OUT = (
    "If the change is right, put it into the hooks file by a pull request. If not, start an apply"
    " by hand, which carries out this plan. The first check without a difference closes this issue."
)


def listed(name: str) -> list[str]:
    """Return the lines of an input."""
    return [line for line in os.environ.get(name, "").splitlines() if line]


def digest(*parts: str) -> str:
    """Return a short digest that identifies a content."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def main() -> None:
    """Run the step."""
    server, repository, run, found = (
        os.environ[name]
        for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID", "FOUND")
    )
    if not found:
        print("hooksync could not compare live with declared: no issue was changed.")
        return
    link = f"[run {run}]({server}/{repository}/actions/runs/{run})"
    checked = [os.environ["ARTIFACT"], *listed("TENANCY")]
    marker = f"<!-- hooksync:drift {digest(*checked, *listed('FILES'))} "
    issues = f"repos/{repository}/issues"
    author = os.environ.get("COMMENT_AUTHOR") or "github-actions[bot]"
    ours = [
        each
        for each in gh("--paginate", f"{issues}?state=open&creator={quote(author)}&per_page=100")
        if each["user"]["login"] == author
        and "pull_request" not in each
        and (each["body"] or "").startswith(marker)
    ]
    if found == "nothing":
        for each in ours:
            place = f"{issues}/{each['number']}"
            gh("--method", "PATCH", place, given={"state": "closed", "state_reason": "completed"})
            comment = {"body": f"Live is as declared again: {link}."}
            gh("--method", "POST", f"{place}/comments", given=comment)
        return

    _, _, shown = (Path(os.environ["FOLDER"]) / "plan.md").read_text("utf-8").partition("\n")
    first = f"{marker}{digest(found, shown)} -->\n\n{ADVICE[found]} {WAY_OUT}\n\nFound by {link}.\n"
    text = {"title": f"Drift: {', '.join(checked)}", "body": f"{first}\n{shown}"}
    if not ours:
        more = {"labels": listed("LABELS"), "assignees": listed("ASSIGNEES")}
        (made,) = gh("--method", "POST", issues, given={**text, **more})
        print(f"Opened issue {int(made['number'])}.")
    elif ours[0]["body"].partition("\n")[0] != first.partition("\n")[0]:
        place = f"{issues}/{ours[0]['number']}"
        gh("--method", "PATCH", place, given=text)
        gh("--method", "POST", f"{place}/comments", given={"body": f"It has changed: {link}."})


if __name__ == "__main__":
    main()
