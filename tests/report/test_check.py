"""A check judged and written down, with evidence that no real run produces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.errors import Problem, ServiceError
from hooksync.output.check import (
    CheckView,
    Finding,
    HookCheck,
    TenancyCheck,
    check_lines,
    failure,
)
from hooksync.output.check_json import check_json
from hooksync.output.text import plain
from hooksync.service.receivers import ProbeResult
from tests.makers import declared, tenancy


@given(st.text(), st.sampled_from(["tenancy", "url", "detail"]))
def test_whatever_a_text_holds_every_rendering_keeps_its_shape(text: str, where: str) -> None:
    one = declared(url=text if where == "url" else "https://hooks.example.org/a")
    answer = ProbeResult(
        "status", text if where == "detail" else "it answers 500, not 200", "see its log"
    )
    hook = HookCheck((one,), "auto", Finding("secret", "ok"), receiver=answer)
    named = tenancy(one, name=text if where == "tenancy" else "prod")
    error = ServiceError(Problem(text if where == "detail" else "no", "look"))
    view = CheckView(
        (TenancyCheck(named, (failure("list", error),), (hook,)),),
        "2026-01-31",
    )
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
