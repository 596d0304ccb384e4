"""Run hooksync for a step of the action, and decide by the documents that hooksync writes.

hooksync reads the inputs of the action from its variables, so nothing here handles arguments of a
user. FOLDER is outside the checkout. A policy is read from the default branch, which is fetched in
the same step: the checkout is the change under review.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(os.environ["FOLDER"])
PLAN, REPORT, MARKDOWN = (str(FOLDER / name) for name in ("plan.json", "report.json", "plan.md"))
METRICS = str(FOLDER / "hooksync.prom")
MAX_AGE = os.environ.get("MAX_AGE", "")
PROBE = ["--probe"] if os.environ.get("PROBE") == "true" else []
POLICY_REF = "refs/hooksync/policy"
REFUSED, FAILED_IN_PART, DIFFERS = 3, 4, 2

TITLES = {
    "drift": (
        "error",
        "Live is not as declared",
        "A subscription differs, or no file declares a tenancy of the state; see the summary.",
    ),
    "refused": (
        "error",
        "hooksync apply would refuse",
        "Live may not be as declared, and an apply would be refused; see the summary.",
    ),
    "new": (
        "warning",
        "New subscriptions",
        "Live subscriptions are new, and the state does not have them; see the summary.",
    ),
    "running": ("notice", "An apply is running", "What it has begun was not compared."),
}


def say(kind: str, title: str, text: str) -> None:
    """Print an annotation of the run."""
    print(f"::{kind} title={title}::{text}", flush=True)


def output(name: str, value: str) -> None:
    """Set an output of the step."""
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.write(f"{name}={value}\n")


def hooksync(*arguments: str) -> int:
    """Run hooksync, and return its exit code."""
    return subprocess.run(["hooksync", *arguments], check=False).returncode  # noqa: S603, S607


def prepare() -> None:
    """Let git use the token of the job, remove the files of an earlier step, fetch the policy."""
    helper = '!f() { echo username=x-access-token; echo "password=$GH_TOKEN"; }; f'
    settings = {  # the checkout need not keep the token, and may belong to a different user
        f"credential.{os.environ['GITHUB_SERVER_URL']}.helper": helper,
        "safe.directory": os.environ["GITHUB_WORKSPACE"],
    }
    os.environ["GIT_CONFIG_COUNT"] = str(len(settings))
    for index, (key, value) in enumerate(settings.items()):
        os.environ[f"GIT_CONFIG_KEY_{index}"] = key
        os.environ[f"GIT_CONFIG_VALUE_{index}"] = value
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in (REPORT, MARKDOWN, METRICS):
        Path(path).unlink(missing_ok=True)
    policy = os.environ.get("POLICY")
    if policy:
        fetch = ["git", "fetch", "--quiet", "--no-tags", "origin", f"+HEAD:{POLICY_REF}"]
        if subprocess.run(fetch, check=False).returncode:  # noqa: S603
            say("error", "No policy", "The default branch could not be fetched; see the log.")
            raise SystemExit(1)
        os.environ["HOOKSYNC_POLICY"] = f"git:{POLICY_REF}:{policy}"


def read(path: str) -> dict:
    """Return a plan or report that hooksync wrote; {} if it wrote none, or an error."""
    try:
        document = json.loads(Path(path).read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return document if "tenancies" in document else {}


def summarise(path: str) -> None:
    """Put a plan into the summary of the job."""
    show = ["hooksync", "show", path, "--format", "markdown", "--out", MARKDOWN]
    # the log has its messages; the report of an early error is no plan
    subprocess.run(show, check=False, stderr=subprocess.DEVNULL)  # noqa: S603
    if Path(MARKDOWN).exists():
        append_summary()


def append_summary() -> None:
    """Append the Markdown that hooksync wrote to the summary of the job."""
    with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write(Path(MARKDOWN).read_text("utf-8"))
    output("markdown", MARKDOWN)


def conclusions(document: dict) -> set[str]:
    """Return the conclusions of the tenancies."""
    return {tenancy["conclusion"] for tenancy in document["tenancies"]}


def validate() -> int:
    """Check the files, without a network and without secrets. Show each problem at its line."""
    print(f"::add-matcher::{Path(__file__).with_name('problem-matcher.json')}", flush=True)
    return hooksync("validate")


def plan() -> int:
    """Plan, and save the plan.

    The step fails if hooksync refuses or cannot plan a tenancy that a pull request changes. If a
    person asked for all tenancies, the saved plan leaves that tenancy out.
    """
    Path(PLAN).unlink(missing_ok=True)
    code = hooksync("plan", "--out", PLAN, "--report", REPORT, "--metrics", METRICS, *PROBE)
    summarise(REPORT)
    made = read(PLAN)
    if code and made and not os.environ.get("HOOKSYNC_SINCE"):
        text = "The plan leaves out those that were refused or not read; see the summary."
        say("warning", "Not all tenancies", text)
        code = 0
    if code == REFUSED:
        text = "See the summary for why; a merge would not apply what is refused."
        say("error", "hooksync would refuse this plan", text)
    elif code:
        say("error", "hooksync could not plan", f"It exited with {code}; see the log.")
    else:
        output("changes", str("changes" in conclusions(made)).lower())
    return code


def show() -> int:
    """Show a saved plan to its approvers. Needs no secrets."""
    code = hooksync("show", PLAN, "--max-age", MAX_AGE)
    made = read(PLAN)
    if not made:
        say("error", "hooksync could not show the plan", f"It exited with {code}; see the log.")
        return code
    summarise(PLAN)
    output("changes", str("changes" in conclusions(made)).lower())
    return 0  # a plan that leaves out a tenancy has exit code 1 or 3


def apply() -> int:
    """Apply exactly the saved plan, which contains its selection."""
    command = ["hooksync", "apply", PLAN, "--max-age", MAX_AGE, "--format", "markdown"]
    command += ["--report", REPORT, "--metrics", METRICS]
    with Path(MARKDOWN).open("w", encoding="utf-8") as result:
        code = subprocess.run(command, check=False, stdout=result).returncode  # noqa: S603
    print(Path(MARKDOWN).read_text("utf-8"), flush=True)
    append_summary()
    if code == REFUSED:
        text = "Nothing was changed. Start this workflow by hand for a new plan."
        say("error", "hooksync refused the plan", text)
    elif code == FAILED_IN_PART:
        text = "See the summary for what was done; start this workflow by hand."
        say("error", "hooksync applied in part", text)
    elif code:
        say("error", "hooksync failed", f"It exited with {code}; see the log.")
    return code


def findings(document: dict, code: int) -> Iterator[str]:
    """Yield what a comparison found, the most important first.

    Nothing: it found no difference, and could not compare everything.
    """
    found = conclusions(document)
    if document.get("undeclared") or found & {"changes", "not-as-declared"}:
        yield "drift"
    if "refused" in found:
        yield "refused"
    if code == DIFFERS and "in-progress" in found:
        yield "running"
    if code == 0:
        steps = [step for tenancy in document["tenancies"] for step in tenancy["steps"]]
        yield "new" if any(step.get("is_new") for step in steps) else "nothing"


def drift() -> int:
    """Compare live with declared.

    The step fails if they differ, an apply would be refused, or a tenancy could not be read.
    """
    code = hooksync("plan", "--detailed-exitcode", "--report", REPORT, "--metrics", METRICS, *PROBE)
    summarise(REPORT)
    document = read(REPORT)
    found = next(findings(document, code), "") if document else ""
    if found in TITLES:
        say(*TITLES[found])
    if found == "running":
        found, code = "", 0  # the next check compares it; an open issue does not change
    if found in ("drift", "new", "nothing"):
        output("drift", str(found == "drift").lower())
    output("found", found)
    if code == 1:
        text = "See the log for what could not be read."
        say("error", "hooksync could not compare everything", text)
    return code


if __name__ == "__main__":
    prepare()
    commands = {"validate": validate, "plan": plan, "show": show, "apply": apply, "drift": drift}
    raise SystemExit(commands[sys.argv[1]]())
