"""How a run ended, as metrics for Prometheus's textfile collector. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from hooksync.core.redaction import printable
from hooksync.output.notice import SUCCESSES, Ending
from hooksync.output.view import TenancyView

LAST_SUCCESS = "hooksync_last_success_time_seconds"

_HELP = {
    "hooksync_pending_steps": "Steps that a plan asks for, or that an apply did not get done.",
    "hooksync_unknown_secrets": "Kept subscriptions whose secret may not be the declared one.",
    "hooksync_live_subscriptions": "Live subscriptions, as listed last.",
    "hooksync_declared_subscriptions": "Declared subscriptions.",
    "hooksync_tenancy_unreadable": "1 for a tenancy that could not be read, or not be begun.",
    "hooksync_tenancy_refused": "1 for a tenancy whose plan is refused.",
    "hooksync_exit_code": "Exit code of the run.",
    "hooksync_start_time_seconds": "When the run began.",
    "hooksync_duration_seconds": "How long the run took.",
    LAST_SUCCESS: "When the last run that exited with 0 or 2 ended; 0: none is known.",
}


def metrics_text(ending: Ending, run: str, last_success: str) -> str:
    """Write it as Prometheus reads it.

    `run`: tells its series from those of other files; `last_success`: as it is written, of an
    earlier run.
    """
    found = [
        each for one in (ending.view.tenancies if ending.view else ()) for each in _figures(one)
    ]
    found += [
        ("hooksync_exit_code", {}, int(ending.code)),
        ("hooksync_start_time_seconds", {}, f"{ending.begun:.3f}"),
        ("hooksync_duration_seconds", {}, f"{ending.ended - ending.begun:.3f}"),
        (LAST_SUCCESS, {}, f"{ending.ended:.3f}" if ending.code in SUCCESSES else last_success),
    ]
    common = {"command": ending.command, "run": run}
    lines = []
    for name, what in _HELP.items():
        lines += [f"# HELP {name} {what}", f"# TYPE {name} gauge"]
        lines += [
            f"{name}{_labels(labels | common)} {value}"
            for each, labels, value in found
            if each == name
        ]
    return "\n".join([*lines, ""])


def _figures(one: TenancyView) -> Iterator[tuple[str, dict[str, str], object]]:
    """Give the metrics of one tenancy, each with its labels."""
    is_undone = (
        step
        for step in one.steps
        if not (step.outcome and step.outcome.result in ("done", "unchanged"))
    )
    pending = Counter[str](step.action for step in is_undone)
    live = None if one.live is None else len(one.live)
    if one.outcome and one.outcome.last_ids is not None:
        live = len(one.outcome.last_ids)
    labels = {"tenancy": one.tenancy.name}
    for action in ("subscribe", "resubscribe", "unsubscribe") if one.live is not None else ():
        yield "hooksync_pending_steps", {**labels, "action": action}, pending[action]
    if live is not None:
        yield "hooksync_unknown_secrets", labels, one.secret_unknown
        yield "hooksync_live_subscriptions", labels, live
    yield "hooksync_declared_subscriptions", labels, one.declared_count
    yield "hooksync_tenancy_unreadable", labels, int(bool(one.error))
    yield "hooksync_tenancy_refused", labels, int(bool(one.refusals))


def _labels(values: Mapping[str, str]) -> str:
    """Write labels; their values are escaped as JSON's are."""
    escaped = {
        name: printable(text).replace("\\", "\\\\").replace('"', '\\"')
        for name, text in values.items()
    }
    return "{" + ",".join(f'{name}="{text}"' for name, text in escaped.items()) + "}"
