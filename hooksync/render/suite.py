"""The results of `hooksync fire`: as text, as JSON and as JUnit's XML. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from hooksync.core.errors import ExitCode, shortened
from hooksync.core.redaction import printable
from hooksync.receivers.suite import Trial
from hooksync.receivers.verdict import Cause
from hooksync.render.json_text import result_json
from hooksync.render.sentences import counted

FORMAT = "hooksync.suite/1"
_WORDS = {
    "passed": "passed",
    "failed": "failed",
    "unproved": "unproved",
    "warning": "with a warning",
}
_INDENT = " " * 10


def trial_line(trial: Trial, word: str = "") -> str:
    """Write one test. `word`: instead of its state."""
    status = f"{trial.status} " if trial.status is not None else ""
    took = f"in {trial.seconds:.3f} s" if trial.seconds else ""
    return f"{word or trial.state:<10}{trial.name:<38}  {status}{took}".rstrip()


def cause_lines(causes: Sequence[Cause]) -> Iterator[str]:
    """Write each cause, with the tests that have it."""
    for cause in causes:
        yield ""
        yield f"{cause.severity:<10}{cause.what}"
        if cause.tests:
            yield f"{_INDENT}tests: {shortened(cause.tests, separator='; ')}"
        yield f"{_INDENT}  fix: {cause.fix}"


def summary(trials: Sequence[Trial]) -> str:
    """Count the tests by their states."""
    return f"Suite: {counted(_counts(trials), _WORDS, ('passed', 'failed'))}."


def _counts(trials: Sequence[Trial]) -> Counter[str]:
    return Counter(trial.state for trial in trials)


def suite_json(
    trials: Sequence[Trial],
    causes: Sequence[Cause],
    untested: Sequence[str],
    created_at: str,
    exit_code: ExitCode,
) -> str:
    """Write the suite as JSON. `created_at`: RFC 3339."""
    fields = ("name", "state", "status", "detail", "seconds")
    tests = []
    for trial in trials:
        tests.append({name: getattr(trial, name) for name in fields})
    return result_json(
        FORMAT,
        exit_code,
        created_at=created_at,
        tests=tests,
        causes=causes,
        untested=untested,
        summary={**dict.fromkeys(_WORDS, 0), **_counts(trials)},
    )


def suite_junit(trials: Sequence[Trial], causes: Sequence[Cause]) -> str:
    """Write the suite as JUnit's XML, for the report of a CI. Unproved tests are failures there."""
    counts = _counts(trials)
    failures = str(counts["failed"] + counts["unproved"])
    number = str(len(trials))
    suite = ElementTree.Element("testsuite", name="suite", tests=number, failures=failures)
    for trial in trials:
        case = ElementTree.SubElement(suite, "testcase", classname="receiver", name=trial.name)
        if trial.state in ("failed", "unproved"):
            found = [f"{one.what}; fix: {one.fix}" for one in causes if trial.name in one.tests]
            message = printable("; ".join(found)) or trial.state
            ElementTree.SubElement(case, "failure", message=message)
    return ElementTree.tostring(suite, encoding="unicode") + "\n"
