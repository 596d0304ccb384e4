"""The address of the repository. `pyproject.toml` names it; a release fills it in there, and
`python -m tests.site` writes it wherever else it is needed. Until then, a comment above each clone
command says that it is a placeholder.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.command_line import ROOT

ADDRESS = re.compile(r"https://github\.com/[\w.-]+/hooksync\b")
CLONE = re.compile(r"(?:^# OWNER .*\n)*^git clone ", re.MULTILINE)
PLACEHOLDER = "# OWNER is a placeholder until the first release: use the address of your copy\n"
MAINTAINERS = re.compile(r"@[\w.-]+/maintainers\b")
PROJECT = ROOT / "pyproject.toml"
OWNERS = ROOT / ".github" / "CODEOWNERS"


def address() -> str:
    settings = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    return str(settings["project"]["urls"]["Repository"])


def pages() -> dict[Path, str]:
    """Return each file that names the repository or its owner, as `pyproject.toml` names them."""
    repository = address()
    maintainers = f"@{repository.split('/')[3]}/maintainers"
    changed = {OWNERS: MAINTAINERS.sub(maintainers, OWNERS.read_text(encoding="utf-8"))}
    for path in (PROJECT, *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        text = path.read_text(encoding="utf-8")
        if ADDRESS.search(text):
            comment = PLACEHOLDER if "/OWNER/" in repository else ""
            changed[path] = CLONE.sub(f"{comment}git clone ", ADDRESS.sub(repository, text))
    return changed
