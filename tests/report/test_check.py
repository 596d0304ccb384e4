"""How findings of a check are judged and written, with values that no real run produces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.commands.check import Finding, check_lines, receiver_finding
from hooksync.core.model import ReceiverResult
from hooksync.render.json_text import to_text
from hooksync.render.text import plain
from tests.makers import declared


@given(st.text(), st.text(), st.text(), st.text())
def test_no_text_of_a_finding_breaks_the_text_or_the_json(
    name: str, place: str, subject: str, text: str
) -> None:
    findings = [Finding(name, subject, "failed", text, text), Finding("", "it", "ok", text)]
    lines = [*check_lines(findings, [{"name": name, "where": place}])]
    assert all(line.isprintable() for line in plain(lines).split("\n"))
    assert json.loads(to_text(findings))[0]["detail"] == text


@pytest.mark.parametrize(
    ("seconds", "content_type", "doubt"),
    [
        (3.0, "application/json", ""),
        (3.1, "application/json", "but it takes more than 3 s"),
        (0.2, "text/html; charset=utf-8", "but its challenge is answered as a web page"),
    ],
)
def test_a_slow_answer_and_a_web_page_are_warnings_because_nobody_knows_the_limits(
    seconds: float, content_type: str, doubt: str
) -> None:
    answer = ReceiverResult("ready", "", "", seconds, content_type=content_type)
    found = receiver_finding(declared(), answer)
    assert (found.state, found.seconds) == ("warning" if doubt else "ok", seconds)
    assert f" {seconds:.3f} s" in found.detail
    assert doubt in found.detail
