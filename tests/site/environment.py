"""The variables for pipelines on the page on the environment, from the flags that they set."""

from __future__ import annotations

from pathlib import Path

from hooksync.commands.plan_apply import ApplyOptions, PlanOptions
from tests.site.parts import page_with


def pages() -> dict[Path, str]:
    text = "| variable | flag |\n|---|---|\n"
    for flag in PlanOptions.flags().values():
        if flag.pipeline_variable:
            exception = "" if flag in ApplyOptions.flags().values() else " (`plan` alone)"
            text += f"| `{flag.pipeline_variable}` | `{flag.name}`{exception} |\n"
    return page_with("environment.md", variables=text)
