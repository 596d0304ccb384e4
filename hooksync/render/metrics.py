"""How a run ended, as metrics for Prometheus's textfile collector. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

from hooksync.core.redaction import printable
from hooksync.reconcile.plan import TenancyPlan
from hooksync.render.notice import RunSummary

_LAST_SUCCESS = "hooksync_last_success_time_seconds"
_FORMER = re.compile(rf'^{_LAST_SUCCESS}{{tenancy="([^"\\]*)".*}} ([0-9.]+)$', re.MULTILINE)

_HELP = {
    "hooksync_pending_steps": "Steps that a plan contains, or that an apply did not complete.",
    "hooksync_steps": "Steps that are not as declared or not known, by the code of their reason.",
    "hooksync_unknown_secrets": "Kept subscriptions whose secret may not be the declared one.",
    "hooksync_live_subscriptions": "Live subscriptions, as listed last.",
    "hooksync_declared_subscriptions": "Declared subscriptions.",
    "hooksync_tenancy_unreadable": "1 for a tenancy that could not be read, or not be begun.",
    "hooksync_tenancy_refused": "1 for a tenancy whose plan is refused.",
    "hooksync_exit_code": "Exit code of the run.",
    "hooksync_start_time_seconds": "When the run began.",
    "hooksync_duration_seconds": "How long the run took.",
    _LAST_SUCCESS: "When the last run ended that planned or applied the tenancy; 0: none is known.",
}


def metrics_text(ending: RunSummary, run: str, before: str = "") -> str:
    """Return metrics in the text format of Prometheus.

    `run`: a label, so that the series differ from those of other files. `before`: the metrics of
    the last run, whose times of the last success are kept for tenancies that failed.
    """
    values: dict[str, list[str]] = {name: [] for name in _HELP}

    def add(name: str, value: object, **labels: str) -> None:
        labels |= {"command": ending.command, "run": run}
        values[name].append(f"{name}{_labels(labels)} {value}")

    for tenancy in ending.plan.tenancies if ending.plan else ():
        _add_tenancy(tenancy, add)
    add("hooksync_exit_code", int(ending.code))
    add("hooksync_start_time_seconds", f"{ending.begun:.3f}")
    add("hooksync_duration_seconds", f"{ending.ended - ending.begun:.3f}")
    for name, at in _last_successes(ending, before).items():
        add(_LAST_SUCCESS, at, tenancy=name)
    lines = []
    for name, what in _HELP.items():
        lines += [f"# HELP {name} {what}", f"# TYPE {name} gauge", *values[name]]
    return "\n".join([*lines, ""])


def _last_successes(ending: RunSummary, before: str) -> dict[str, str]:
    """Return when each tenancy was last planned or applied without an error or a refusal."""
    former: dict[str, str] = dict(_FORMER.findall(before))
    plan = ending.plan
    if plan is None:
        return former or {"": "0"}  # no run has read the hooks files yet
    has_ended = not (plan.errors or plan.refusals or plan.is_interrupted)
    found = {}
    for tenancy in plan.tenancies:
        is_right = not plan.is_report or tenancy.is_as_declared
        if has_ended and is_right and not (tenancy.errors or tenancy.refusals):
            found[tenancy.name] = f"{ending.ended:.3f}"
        else:
            found[tenancy.name] = former.get(tenancy.name, "0")
    return found


def _add_tenancy(tenancy: TenancyPlan, add: Callable[..., None]) -> None:
    """Add the metrics of one tenancy."""
    live = tenancy.live_count if tenancy.live_after is None else tenancy.live_after
    if tenancy.live_count is not None:
        _add_pending_steps(tenancy, add)
    for code, number in sorted(tenancy.reasons().items()):
        add("hooksync_steps", number, tenancy=tenancy.name, reason=code)
    if live is not None:
        add("hooksync_unknown_secrets", tenancy.secret_unknown, tenancy=tenancy.name)
        add("hooksync_live_subscriptions", live, tenancy=tenancy.name)
    add("hooksync_declared_subscriptions", tenancy.declared_count, tenancy=tenancy.name)
    add("hooksync_tenancy_unreadable", int(bool(tenancy.errors)), tenancy=tenancy.name)
    add("hooksync_tenancy_refused", int(bool(tenancy.refusals)), tenancy=tenancy.name)


def _add_pending_steps(tenancy: TenancyPlan, add: Callable[..., None]) -> None:
    """Add how many steps of each kind are not done."""
    pending = Counter(
        step.action
        for step in tenancy.steps
        if not step.outcome or step.outcome.result not in ("done", "unchanged")
    )
    for action in ("subscribe", "resubscribe", "unsubscribe", "adopt"):
        add("hooksync_pending_steps", pending[action], tenancy=tenancy.name, action=action)


def _labels(values: Mapping[str, str]) -> str:
    """Return labels as Prometheus reads them: backslashes and quotation marks are escaped."""
    escaped = {
        name: printable(text).replace("\\", "\\\\").replace('"', '\\"')
        for name, text in values.items()
    }
    return "{" + ",".join(f'{name}="{text}"' for name, text in escaped.items()) + "}"
