"""The tables of inputs, outputs and parameters, generated from the files of the pipelines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.site.parts import page_with

ROOT = Path(__file__).parents[2]
JENKINSFILE = ROOT / "examples" / "ci" / "jenkins" / "Jenkinsfile"
TEMPLATE = ROOT / "examples" / "ci" / "gitlab" / "hooksync.yml"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    head = tuple(head)
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def inputs(given: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of inputs, with the purpose and the default of each."""

    def default(each: Mapping[str, Any]) -> str:
        value = each.get("default")
        shown = ", ".join(value) if isinstance(value, list) else value
        return "Required" if value is None else f"Default: `{shown}`" if shown else ""

    rows = (
        (f"`{name}`", f"{each['description']}. {default(each)}".strip())
        for name, each in given.items()
    )
    return table(("input", "what it is for"), rows)


def pages() -> dict[Path, str]:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    template, *_ = yaml.safe_load_all(TEMPLATE.read_text(encoding="utf-8"))
    parameter = r"(string|booleanParam)\(name: '(\w+)', description: '(.*)'\)"
    parameters = re.findall(parameter, JENKINSFILE.read_text(encoding="utf-8"))
    return {
        **page_with(
            "github.md",
            inputs=inputs(action["inputs"]),
            outputs=table(
                ("output", "what it contains"),
                ((f"`{name}`", each["description"]) for name, each in action["outputs"].items()),
            ),
        ),
        **page_with("gitlab.md", inputs=inputs(template["spec"]["inputs"])),
        **page_with(
            "jenkins.md",
            parameters=table(
                ("parameter", "what it is for"),
                (
                    (f"`{name}`", what if kind == "string" else f"Tick box. {what}")
                    for kind, name, what in parameters
                ),
            ),
        ),
    }
