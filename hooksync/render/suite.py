"""The results of `hooksync fire`: as text, as JSON and as JUnit's XML. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from hooksync.core.errors import ExitCode
from hooksync.core.redaction import printable
from hooksync.receivers.suite import Trial, TrialState
from hooksync.receivers.verdict import Cause
from hooksync.render.json_text import result_json
from hooksync.render.text import Line, Style

FORMAT = "hooksync.suite/1"
_STYLES: dict[TrialState, Style] = {
    "passed": "green",
    "warning": "yellow",
    "unproved": "yellow",
    "failed": "red",
}
_INDENT = " " * 10
_MOST_NAMED = 4  # tests of a cause, in text


def trial_line(trial: Trial, word: str = "") -> Line:
    """Write one test. `word`: instead of its state."""
    status = f"{trial.status} " if trial.status is not None else ""
    took = f"{status}in {trial.seconds:.3f} s"
    return _STYLES[trial.state], printable(f"{word or trial.state:<10}{trial.name:<38}  {took}")


def cause_lines(causes: Sequence[Cause]) -> list[Line]:
    """Write each cause, with the tests that have it."""
    lines: list[Line] = []
    for cause in causes:
        lines += [
            ("", ""),
            (_STYLES[cause.severity], printable(f"{cause.severity:<10}{cause.what}")),
        ]
        if len(cause.tests) > 1:
            named = ", ".join(cause.tests[:_MOST_NAMED])
            more = len(cause.tests) - _MOST_NAMED
            text = f"{_INDENT}{len(cause.tests)} tests: {named}"
            lines.append(("", f"{text} and {more} more" if more > 0 else text))
        elif cause.tests:
            lines.append(("", f"{_INDENT}test: {cause.tests[0]}"))
        if cause.meaning:
            lines.append(("", printable(f"{_INDENT}so {cause.meaning}")))
        lines.append(("", printable(f"{_INDENT}  fix: {cause.fix}")))
    return lines


def summary(trials: Sequence[Trial]) -> str:
    """Count the tests by their states."""
    counts = Counter(trial.state for trial in trials)
    words = [f"{counts['passed']} passed", f"{counts['failed']} failed"]
    if counts["unproved"]:
        words.append(f"{counts['unproved']} unproved")
    if counts["warning"]:
        words.append(f"{counts['warning']} with a warning")
    return f"Suite: {', '.join(words)}."


def suite_json(
    trials: Sequence[Trial], causes: Sequence[Cause], created_at: str, exit_code: ExitCode
) -> str:
    """Write the suite as JSON. `created_at`: RFC 3339."""
    tests = [
        {
            "name": trial.name,
            "state": trial.state,
            "status": trial.status,
            "seconds": round(trial.seconds, 3),
            "detail": trial.detail,
        }
        for trial in trials
    ]
    counts = Counter(trial.state for trial in trials)
    numbers = {state: counts[state] for state in _STYLES}
    return result_json(
        FORMAT, exit_code, created_at=created_at, tests=tests, causes=causes, summary=numbers
    )


def suite_junit(trials: Sequence[Trial], causes: Sequence[Cause]) -> str:
    """Write the suite as JUnit's XML, for the report of a CI. Unproved tests are failures there."""
    lines = []
    failures = 0
    for trial in trials:
        name = quoteattr(trial.name)
        case = f'  <testcase classname="receiver" name={name} time="{trial.seconds:.3f}"'
        found = [cause for cause in causes if trial.name in cause.tests]
        text = printable("; ".join(f"{cause.what}; fix: {cause.fix}" for cause in found))
        if trial.state in ("failed", "unproved"):
            failures += 1
            lines.append(f"{case}><failure message={quoteattr(text or trial.state)}/></testcase>")
        elif text:
            lines.append(f"{case}><system-out>{escape(text)}</system-out></testcase>")
        else:
            lines.append(f"{case}/>")
    head = f'<testsuite name="hooksync fire --suite" tests="{len(trials)}" failures="{failures}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *lines, "</testsuite>", ""])
