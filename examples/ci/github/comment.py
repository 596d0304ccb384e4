"""Keep one comment of the pull request up to date with the plan: make it the first time, change it from then on.

Talks to GitHub through `gh`, which every hosted runner has. FOLDER holds plan.md, ARTIFACT tells several plans apart.
"""

import json
import os
import subprocess
from pathlib import Path

MARKER = "<!-- hooksync:plan -->"
LIMIT = 65_536  # characters of a comment on GitHub


def gh(*arguments: str, given: object = None) -> list[dict]:
    """Call GitHub's API; give what all pages of the answer hold."""
    done = subprocess.run(  # noqa: S603, a list and no shell
        ["gh", "api", *arguments, *(["--input", "-"] if given else [])],  # noqa: S607, the runner's own
        input=json.dumps(given) if given else None,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found, rest = [], done.stdout.strip()
    while rest:
        page, end = json.JSONDecoder().raw_decode(rest)
        found += page if isinstance(page, list) else [page]
        rest = rest[end:].lstrip()
    return found


def main() -> None:
    """Do it."""
    repository = os.environ["GITHUB_REPOSITORY"]
    author = os.environ.get("COMMENT_AUTHOR") or "github-actions[bot]"
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    number = int(event["pull_request"]["number"])
    first, _, rest = (Path(os.environ["FOLDER"]) / "plan.md").read_text(encoding="utf-8").partition("\n")
    if MARKER not in first:
        raise SystemExit(f"error: the plan does not begin with {MARKER}")
    ours = f"{first} <!-- {os.environ['ARTIFACT'].replace('-->', '')} -->"
    body = f"{ours}\n{rest}"
    if len(body) > LIMIT:
        body = f"{ours}\nThe plan is too long for a comment: see the summary of the job.\n"

    comments = gh("--paginate", f"repos/{repository}/issues/{number}/comments?per_page=100")
    before = [each["id"] for each in comments if each["user"]["login"] == author and each["body"].startswith(ours)]
    if before:
        gh("--method", "PATCH", f"repos/{repository}/issues/comments/{before[0]}", given={"body": body})
    else:
        gh("--method", "POST", f"repos/{repository}/issues/{number}/comments", given={"body": body})


if __name__ == "__main__":
    main()
