"""GitHub shows problems of hooks files at their lines, by the matcher of the action."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.command_line import ROOT, hooksync

WRONG = """\
version: 1
tenancies:
  archive:
    server: eu.preservica.com
    subscriptions:
      catalogue: {url: "http://fn.example.net/hook", trigger: INDEXED, secret: {env: HOOK_SECRET}}
"""


def matched(text: str) -> list[tuple[str | None, str, str, str, str]]:
    """Return what the runner finds in each line: severity, file, line, column and message."""
    path = ROOT / "examples/ci/github/problem-matcher.json"
    [matcher] = json.loads(path.read_text())["problemMatcher"]
    [pattern] = matcher["pattern"]
    assert matcher["severity"] == "error"  # for a line that names no severity
    names = ("severity", "file", "line", "column", "message")
    found = (re.match(pattern["regexp"], line) for line in text.splitlines())
    return [tuple(each[pattern[name]] for name in names) for each in found if each]  # type: ignore[misc]


def test_errors_and_warnings_of_a_file_match_and_their_fixes_do_not(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks.yaml"
    hooks.write_text(WRONG)
    [warning] = matched(hooksync(["validate"], {}, tmp_path).err)
    assert warning[:4] == ("warning", "hooks.yaml", "6", "19")
    hooks.write_text(WRONG.replace("INDEXED", "INDEXD"))
    [error] = matched(hooksync(["validate"], {}, tmp_path).err)
    assert error[:3] == (None, "hooks.yaml", "6")
    assert error[4].startswith('unknown trigger "INDEXD"')
