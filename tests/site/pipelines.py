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


def table(name: str, what: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return a table in Markdown: names, and what each is for."""
    lines = [f"| {name} | {what} |", "|---|---|"]
    lines += [f"| `{name}` | {text.strip().replace('|', chr(92) + '|')} |" for name, text in rows]
    return "\n".join(lines)


def inputs(given: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of inputs, with the purpose and the default of each."""
    rows = []
    for name, each in given.items():
        value = each.get("default")
        shown = ", ".join(value) if isinstance(value, list) else value
        default = f"Default: `{shown}`" if shown else ""
        if value is None:
            default = "Required"
        rows.append((name, f"{each['description']}. {default}"))
    return table("input", "what it is for", rows)


def pages() -> dict[Path, str]:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    template, *_ = yaml.safe_load_all(TEMPLATE.read_text(encoding="utf-8"))
    outputs = ((name, each["description"]) for name, each in action["outputs"].items())
    parameter = r"(string|booleanParam)\(name: '(\w+)', description: '(.*)'\)"
    parameters = [
        (name, what if kind == "string" else f"Tick box. {what}")
        for kind, name, what in re.findall(parameter, JENKINSFILE.read_text(encoding="utf-8"))
    ]
    return {
        **page_with(
            "github.md",
            inputs=inputs(action["inputs"]),
            outputs=table("output", "what it contains", outputs),
        ),
        **page_with("gitlab.md", inputs=inputs(template["spec"]["inputs"])),
        **page_with("jenkins.md", parameters=table("parameter", "what it is for", parameters)),
    }
