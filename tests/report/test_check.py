"""A check judged and written down, with evidence that no real run produces."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.errors import HooksyncError, Problem, Rejected, ServiceError
from hooksync.output.check import (
    CheckView,
    Finding,
    HookCheck,
    TenancyCheck,
    check_lines,
    check_markdown,
    judge_tenancy,
)
from hooksync.output.check_json import check_json
from hooksync.output.text import plain
from hooksync.service.receivers import READY, ProbeResult
from tests.makers import declared, live, tenancy

STAGES = ["name", "connection", "tls", "log-in", "role", "list"]
PROD = tenancy(declared())
LIVE = (live(),)
FAILED = ProbeResult("refused", "it refuses connections", "check that it runs")


def marks(findings: tuple[Finding, ...]) -> str:
    return " ".join(finding.mark for finding in findings)


def rejected(status: int) -> Rejected:
    return Rejected(Problem(f"POST /api -> {status}: no", "look"), status)


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        (judge_tenancy(PROD, READY, LIVE), "ok ok ok ok ok ok"),
        (judge_tenancy(PROD, ProbeResult("cut", "cut", "look"), LIVE), "ok ok ok ok ok ok"),
        (judge_tenancy(PROD, ProbeResult("cut", "cut", "look"), None, ServiceError(Problem("GET / cut", "look"))),
         "ok failed skipped skipped skipped skipped"),
        (judge_tenancy(PROD, ProbeResult("proxy", "no proxy", "look")),
         "failed skipped skipped skipped skipped skipped"),
        (judge_tenancy(PROD, FAILED), "ok failed skipped skipped skipped skipped"),
        (judge_tenancy(PROD, ProbeResult("no-connection", "no answer", "look")),
         "ok failed skipped skipped skipped skipped"),
        (judge_tenancy(PROD, ProbeResult("tls", "no tls", "look")), "ok ok failed skipped skipped skipped"),
        (judge_tenancy(PROD, READY, None, rejected(403)),
         "ok ok ok failed skipped skipped"),
        (judge_tenancy(PROD, READY, None, rejected(403), is_logged_in=True),
         "ok ok ok ok failed skipped"),
        (judge_tenancy(PROD, READY, None, rejected(404), is_logged_in=True),
         "ok ok ok ok skipped failed"),
        (judge_tenancy(PROD), "skipped skipped skipped skipped skipped skipped"),
    ],
)  # fmt: skip
def test_the_first_stage_that_does_not_work_is_the_one_that_failed(
    findings: tuple[Finding, ...], expected: str
) -> None:
    assert [finding.subject for finding in findings] == STAGES
    assert marks(findings) == expected


@given(st.text(), st.sampled_from(["tenancy", "url", "detail"]))
def test_whatever_a_text_holds_every_rendering_keeps_its_shape(text: str, where: str) -> None:
    one = declared(url=text if where == "url" else "https://hooks.example.org/a")
    answer = ProbeResult(
        "status", text if where == "detail" else "it answers 500, not 200", "see its log"
    )
    hook = HookCheck((one,), "auto", Finding("secret", "ok"), receiver=answer)
    named = tenancy(one, name=text if where == "tenancy" else "prod")
    error: HooksyncError = ServiceError(Problem(text if where == "detail" else "no", "look"))
    view = CheckView(
        (
            TenancyCheck(
                named, judge_tenancy(named, READY, None, error, is_logged_in=True), (hook,)
            ),
        ),
        "2026-01-31",
    )
    rows = [line for line in check_markdown(view).split("\n") if line.startswith("|")]
    assert len(rows) == 2 + 6 + 2
    assert {row.count("|") for row in rows} == {7}
    assert not set("`<>*_[]\\@#&") & set(re.sub(r"</?code>|&#[0-9]+;", "", "".join(rows)))
    assert all(line.isprintable() for line in plain(check_lines(view)).split("\n"))
    assert json.loads(check_json(view))["is_fine"] is False


@pytest.mark.parametrize(
    ("seconds", "mark"),
    [(0.2, "ok"), (3.0, "ok"), (3.1, "warning"), (10.0, "warning"), (10.1, "failed")],
)
def test_a_receiver_that_answers_slowly_is_a_warning_and_then_not_ready(
    seconds: float, mark: str
) -> None:
    answer = ProbeResult("ready", "", "", seconds)
    hook = HookCheck((declared(),), "auto", Finding("secret", "ok"), receiver=answer)
    [found] = [each for each in hook.findings if each.subject == "receiver"]
    assert (found.mark, f" {seconds:.3f} s" in (found.detail or "")) == (mark, True)
    assert ("Preservica's limit is not known" in (found.detail or "")) == (mark != "ok")
    view = CheckView((), "2026-01-31", receivers=(hook,))
    assert view.is_fine == (mark != "failed")
    assert json.loads(check_json(view))["receivers"][0]["receiver"]["seconds"] == seconds
