"""The process of `box.Box`: a sandbox that is told on standard input, in lines of JSON, what to do.

One answer a line on standard output; the first is where it listens. It ends with its input.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.tenancies import SandboxOptions
from tests.bench.measure import SECRET
from tests.bench.workload import TENANT, WIRE_TRIGGER, url_of
from tests.boxes import Call, Sandbox


def serve(latency: float, tenants: Sequence[str]) -> None:
    """Run a sandbox until the input ends."""
    options = SandboxOptions(
        accounts=(Account(tenants=tuple(tenants)),), traits=frozenset({"no-challenge"}), latency=latency
    )
    reported = 0
    with Sandbox(options) as box:
        _answer(box.url)
        for line in sys.stdin:
            match json.loads(line):
                case {"do": "seed", "tenant": tenant, "count": count}:
                    for number in range(count):
                        box.seed(tenant, url_of(number), WIRE_TRIGGER, SECRET)
                    _answer(None)
                case {"do": "save_list", "path": path}:
                    _save_list(box, Path(path))
                    _answer(None)
                case {"do": "traffic"}:
                    calls = box.calls[reported:]
                    reported += len(calls)
                    _answer(_traffic(calls, latency, box))


def _traffic(calls: Sequence[Call], latency: float, box: Sandbox) -> dict[str, float]:
    subscribes = [call for call in calls if call.name == "subscribe"]
    return {
        "calls": len(calls),
        "subscribes": len(subscribes),
        "span": _span(subscribes, latency),
        "all_span": _span(calls, latency),
        "connections": box.connections,
        "max_in_flight": box.max_in_flight,
    }


def _span(calls: Sequence[Call], latency: float) -> float:
    """Give the seconds from the first arrival to the end of the last call, at the earliest."""
    return max(call.arrived for call in calls) - min(call.arrived for call in calls) + latency if calls else 0.0


def _save_list(box: Sandbox, path: Path) -> None:
    """Write a tenancy's list with the fields and the spacing that the sandbox sends it with."""
    held = [
        {"id": one.id, "url": one.url, "triggerType": one.trigger, "includeIdentifiers": one.include_identifiers}
        for one in box.subscriptions(TENANT)
    ]
    path.write_text(json.dumps(held), encoding="utf-8")


def _answer(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
