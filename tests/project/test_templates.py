"""The templates of issues and pull requests warn against secrets, and name only commands and files
that exist. `.ci/lint` checks the form of the templates.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from hooksync.cli.arguments import read_arguments
from hooksync.cli.parser import Help
from tests.command_line import ROOT

GITHUB = ROOT / ".github"
FORMS = sorted(
    path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"
)
TEMPLATES = [*FORMS, GITHUB / "PULL_REQUEST_TEMPLATE.md"]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_warns_against_secrets_and_names_only_commands_and_files_that_exist(
    path: Path,
) -> None:
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert re.search(r"(?i)never paste a secret|without secrets", text)
    for command in re.findall(r"`hooksync ([a-z][^`]*)`", text):
        try:
            read_arguments(shlex.split(command), {})
        except Help:
            continue
    for name in re.findall(r"\b[A-Z]+\.md\b|\.ci/\w+", text):
        assert (ROOT / name).exists()
