"""How a run ended, as metrics for Prometheus's textfile collector. Pure."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial

from hooksync.core.redaction import printable
from hooksync.reconcile.plan import TenancyPlan
from hooksync.render.notice import RunSummary
from hooksync.render.text import CHANGES

_LAST_SUCCESS = "hooksync_last_success_time_seconds"
_FORMER = re.compile(rf'^{_LAST_SUCCESS}{{tenancy="([^"\\]*)".*}} ([0-9.]+)$', re.MULTILINE)

_HELP = {
    "hooksync_pending_steps": "Steps that a plan contains, or that an apply did not complete.",
    "hooksync_steps": "Steps that are not as declared or not known, by the code of their reason.",
    "hooksync_unknown_secrets": "Kept subscriptions whose secret may not be the declared one.",
    "hooksync_live_subscriptions": "Live subscriptions, as listed last.",
    "hooksync_declared_subscriptions": "Declared subscriptions.",
    "hooksync_tenancy_outcome": "1, with the outcome of the tenancy as in a plan or report.",
    "hooksync_exit_code": "Exit code of the run.",
    _LAST_SUCCESS: "When the last run ended that planned or applied the tenancy; 0: none is known.",
}


def metrics_text(ending: RunSummary, run: str, before: str = "") -> str:
    """Return metrics in the text format of Prometheus.

    `run`: a label, so that the series differ from those of other files. `before`: the metrics of
    the last run, whose times of the last success are kept for tenancies that failed.
    """
    values: dict[str, list[str]] = defaultdict(list)

    def add(name: str, value: object, **labels: str) -> None:
        labels |= {"command": ending.command, "run": run}
        values[name].append(f"{name}{_labels(labels)} {value}")

    for tenancy in ending.plan.tenancies if ending.plan else ():
        _add_tenancy(tenancy, partial(add, tenancy=tenancy.name))
    add("hooksync_exit_code", int(ending.code))
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
    is_whole = not (plan.errors or plan.refusals or plan.is_interrupted)
    found = {}
    for tenancy in plan.tenancies:
        has_ended = tenancy.is_as_declared or not plan.is_report
        if is_whole and has_ended and tenancy.outcome not in ("error", "refused"):
            found[tenancy.name] = f"{ending.ended:.3f}"
        else:
            found[tenancy.name] = former.get(tenancy.name, "0")
    return found


def _add_tenancy(tenancy: TenancyPlan, add: Callable[..., None]) -> None:
    """Add the metrics of one tenancy."""
    if tenancy.live_count is not None:
        pending = tenancy.counts()
        for step in tenancy.steps:
            if step.outcome and step.outcome.result in ("done", "unchanged"):
                pending[step.action] -= 1
        for action in CHANGES:
            add("hooksync_pending_steps", pending[action], action=action)
        live = tenancy.live_count if tenancy.live_after is None else tenancy.live_after
        add("hooksync_unknown_secrets", tenancy.secret_unknown)
        add("hooksync_live_subscriptions", live)
    for code, number in sorted(tenancy.reasons().items()):
        add("hooksync_steps", number, reason=code)
    add("hooksync_declared_subscriptions", tenancy.declared_count)
    add("hooksync_tenancy_outcome", 1, outcome=tenancy.outcome)


def _labels(values: Mapping[str, str]) -> str:
    """Return labels as Prometheus reads them."""
    pairs = []
    for name, text in values.items():  # it escapes backslashes and quotation marks as JSON does
        pairs.append(f"{name}={json.dumps(printable(text), ensure_ascii=False)}")
    return f"{{{','.join(pairs)}}}"
