"""A check as JSON text: `hooksync.check/1`. Pure."""

from __future__ import annotations

from hooksync import __version__
from hooksync.core.record import to_builtins
from hooksync.output.check import MARKS, CheckView, HookCheck
from hooksync.output.json_text import to_text

FORMAT = "hooksync.check/1"


def check_json(view: CheckView) -> str:
    """Write a check as JSON."""
    document = {
        "format": FORMAT,
        "created_at": view.created_at,
        "hooksync_version": __version__,
        "is_fine": view.is_fine,
        "tenancies": [
            {
                "name": one.tenancy.name,
                "server": one.tenancy.server.shown,
                "tenant": one.tenancy.tenant,
                "findings": to_builtins(one.findings),
                "subscriptions": [_hook_json(hook) for hook in one.hooks],
            }
            for one in view.tenancies
        ],
        "receivers": [_hook_json(hook) for hook in view.receivers],
        "summary": {mark: view.counts()[mark] for mark in MARKS},
        "warnings": [problem.line for problem in view.warnings],
    }
    return to_text(document)


def _hook_json(check: HookCheck) -> dict[str, object]:
    subscription, answer = check.subscription, check.receiver
    return {
        "name": subscription.name,
        "addresses": [each.address for each in check.subscriptions if each.tenancy],
        "url": subscription.url.shown,
        "secret": subscription.secret.written(),
        "receiver": {
            "state": answer.state if answer else "not-checked",
            "kind": answer.kind if answer else None,
            "detail": (answer.detail or None) if answer else None,
        },
        "signs_events_in_disguise": check.is_forgeable,
        "findings": to_builtins(check.findings),
    }
