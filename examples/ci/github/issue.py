"""Keep one issue open for as long as live is not as declared.

Each artifact with its files, tenancies and shard has an issue of its own. The first line of its
body holds a digest of the difference, so that the same drift is told once and not every night.
EXIT_CODE is that of `hooksync plan`, FOLDER holds drift.md and, where there is drift, drift.json.
Where hooksync could not tell, the issue says so and stays open.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from urllib.parse import quote

from gh import fitting, gh

COMPARED = ("action", "address", "trigger", "url", "replaces_url", "id", "changes")
UNCHANGED = ("keep", "leave")
ENDED = {"state": "closed", "state_reason": "completed"}
CUT = "\n---\n\n"  # what follows is hooksync's own text
WAY_OUT = (
    "What is live is not as declared: somebody changed the tenancy, or a merge was not applied. If"
    " the change is right, put it into the hooks file by a pull request; if not, start `hooksync"
    " apply` by hand, which undoes it. The first check that finds no difference closes this issue."
)
UNTOLD = {
    "1": "it failed, and its log says why",
    "3": "an apply would be refused",
    "none": "the job ended before the comparison",
}


def digest(parts: object) -> str:
    """Tell one content from another."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def difference(plan: dict) -> str:
    """Digest what an apply would do, without times: the same difference, the same digest."""
    steps = [
        [
            tenancy["name"],
            step["secret"]["state"] if step.get("secret") else None,
            *map(step.get, COMPARED),
        ]
        for tenancy in plan["tenancies"]
        for step in tenancy["steps"]
        if step["action"] not in UNCHANGED
    ]
    return digest(sorted(steps, key=json.dumps))


def listed(name: str) -> list[str]:
    """Read an input that holds one a line."""
    return [line for line in os.environ.get(name, "").splitlines() if line]


class Issues:
    """Our open issues about one comparison; several only if two jobs ran at once."""

    def __init__(self, checked: list[str]) -> None:
        self.path = f"repos/{os.environ['GITHUB_REPOSITORY']}/issues"
        self.marker = f"<!-- hooksync:drift {digest([checked, listed('FILES')])} "
        author = os.environ.get("COMMENT_AUTHOR") or "github-actions[bot]"
        every = gh("--paginate", f"{self.path}?state=open&creator={quote(author)}&per_page=100")
        self.open = [
            each
            for each in every
            if each["user"]["login"] == author
            and "pull_request" not in each
            and (each["body"] or "").startswith(self.marker)
        ]

    def make(self, **fields: object) -> None:
        """Open one."""
        (made,) = gh(
            "--method",
            "POST",
            self.path,
            given={name: each for name, each in fields.items() if each},
        )
        print(f"Opened issue {int(made['number'])}.")

    def change(self, issue: dict, comment: str, **fields: object) -> None:
        """Change one, and tell those who watch it, if there is something to tell."""
        gh("--method", "PATCH", f"{self.path}/{issue['number']}", given=fields)
        if comment:
            gh(
                "--method",
                "POST",
                f"{self.path}/{issue['number']}/comments",
                given={"body": comment},
            )


def main() -> None:
    """Do it."""
    server, repository, run = (
        os.environ[f"GITHUB_{name}"] for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    link = f"[run {run}]({server}/{repository}/actions/runs/{run})"
    folder, code = Path(os.environ["FOLDER"]), os.environ["EXIT_CODE"] or "none"
    checked = [os.environ["ARTIFACT"], *listed("TENANCY"), *listed("SHARD")]
    issues = Issues(checked)
    if code == "0":
        for each in issues.open:
            issues.change(each, f"Live is as declared again: {link}.", **ENDED)
        return

    issue = issues.open[0] if issues.open else None
    before = (
        re.match(rf"{re.escape(issues.marker)}(\w*)/(\w*) -->", issue["body"]) if issue else None
    )
    # the difference, and the exit code where it could not tell
    seen, untold = before.groups() if before else ("", "")
    shown = (folder / "drift.md").read_text(encoding="utf-8") if code in ("2", "3") else ""
    shown = shown.partition("\n")[2]  # without its marker
    if code == "2":
        now, untold_now = (
            difference(json.loads((folder / "drift.json").read_text(encoding="utf-8"))),
            "",
        )
        title, what = f"Drift: {', '.join(checked)}", f"{WAY_OUT}\n\nFound by {link}."
        comment = "" if now == seen else f"The difference has changed: {link}.\n\n{shown}"
    else:
        now, untold_now = seen, code
        title = issue["title"] if issue and seen else f"Drift unknown: {', '.join(checked)}"
        why = UNTOLD.get(code, f"it exited with {code}")
        what = comment = f"hooksync could not tell whether live is as declared: {why}. See {link}."
        if issue and seen:
            what, shown = f"{what} What follows was seen before.", issue["body"].partition(CUT)[2]
    if (now, untold_now) == (seen, untold) and issue:
        return
    first = f"{issues.marker}{now}/{untold_now} -->\n\n{what}\n"
    body = fitting(
        f"{first}{CUT}{shown}",
        f"{first}\nIt is too long for an issue: see the summary of the run.\n",
    )
    if issue:
        issues.change(issue, fitting(comment, comment.partition("\n")[0]), title=title, body=body)
    else:
        issues.make(title=title, body=body, labels=listed("LABELS"), assignees=listed("ASSIGNEES"))


if __name__ == "__main__":
    main()
