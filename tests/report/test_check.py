"""How findings of a check are judged and written, with values that no real run produces."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.errors import ExitCode
from hooksync.render.check import Finding, check_json, check_lines
from hooksync.render.text import plain


@given(st.text(), st.text(), st.text(), st.text())
def test_no_text_of_a_finding_breaks_the_text_or_the_json(
    name: str, place: str, subject: str, text: str
) -> None:
    findings = [Finding(name, subject, "failed", text, text), Finding("", "it", "ok", text)]
    lines = [*check_lines(findings, {name: place})]
    assert all(line.isprintable() for line in plain(lines).split("\n"))
    document = json.loads(check_json(findings, {name: place}, (), "2026-01-31", ExitCode.ERROR))
    assert (document["exit_code"], document["findings"][0]["detail"]) == (1, text)
