"""Keep one comment of the pull request up to date with the plan.

FOLDER contains plan.md. ARTIFACT distinguishes several plans.
"""

import json
import os
from pathlib import Path

from gh import gh

MARKER = "<!-- hooksync:plan -->"


def main() -> None:
    """Run the step."""
    repository = os.environ["GITHUB_REPOSITORY"]
    author = os.environ.get("COMMENT_AUTHOR") or "github-actions[bot]"
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    number = int(event["pull_request"]["number"])
    first, _, rest = (
        (Path(os.environ["FOLDER"]) / "plan.md").read_text(encoding="utf-8").partition("\n")
    )
    if MARKER not in first:
        raise SystemExit(f"error: the plan does not begin with {MARKER}")
    ours = f"{first} <!-- {os.environ['ARTIFACT'].replace('-->', '')} -->"
    body = f"{ours}\n{rest}"  # hooksync keeps its Markdown short enough for GitHub

    comments = gh("--paginate", f"repos/{repository}/issues/{number}/comments?per_page=100")
    before = [
        each["id"]
        for each in comments
        if each["user"]["login"] == author and each["body"].startswith(ours)
    ]
    if before:
        gh(
            "--method",
            "PATCH",
            f"repos/{repository}/issues/comments/{before[0]}",
            given={"body": body},
        )
    else:
        gh("--method", "POST", f"repos/{repository}/issues/{number}/comments", given={"body": body})


if __name__ == "__main__":
    main()
