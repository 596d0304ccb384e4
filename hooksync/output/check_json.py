"""A check as JSON text: `hooksync.check/1`. Pure."""

from __future__ import annotations

from hooksync import __version__
from hooksync.core.record import to_builtins
from hooksync.output.check import MARKS, CheckView, HookCheck, TenancyCheck
from hooksync.output.json_text import to_text

FORMAT = "hooksync.check/1"


def check_json(view: CheckView) -> str:
    """Write a check as JSON."""
    counts = view.counts()
    warnings = [problem.line for problem in view.warnings]
    document = {
        "format": FORMAT,
        "created_at": view.created_at,
        "hooksync_version": __version__,
        "is_fine": view.is_fine,
        "tenancies": [*map(_tenancy_json, view.tenancies)],
        "receivers": [*map(_hook_json, view.receivers)],
        "summary": {mark: counts[mark] for mark in MARKS},
        "warnings": warnings,
    }
    return to_text(document)


def _tenancy_json(check: TenancyCheck) -> dict[str, object]:
    return {
        "name": check.tenancy.name,
        "server": check.tenancy.server.shown,
        "tenant": check.tenancy.tenant,
        "findings": to_builtins(check.findings),
        "subscriptions": [_hook_json(hook) for hook in check.hooks],
    }


def _hook_json(check: HookCheck) -> dict[str, object]:
    subscription = check.subscription
    receiver: dict[str, object] = {"state": "not-checked", "kind": None, "detail": None}
    receiver["seconds"] = None
    if answer := check.receiver:
        receiver = {
            "state": answer.state,
            "kind": answer.kind,
            "detail": answer.detail or None,
            "seconds": round(answer.seconds, 3),
        }
    return {
        "name": subscription.name,
        "addresses": [each.address for each in check.subscriptions if each.tenancy],
        "url": subscription.url.shown,
        "secret": subscription.secret.written(),
        "receiver": receiver,
        "findings": to_builtins(check.findings),
    }
