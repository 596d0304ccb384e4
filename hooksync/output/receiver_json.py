"""The receiver's side as JSON (of `verify`, `fire` and `listen`) and as text. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from hooksync.core.record import asdict
from hooksync.output.json_text import to_text
from hooksync.output.text import Line, Style
from hooksync.service.suite import Result

VERIFY_FORMAT = "hooksync.verify/1"
FIRE_FORMAT = "hooksync.fire/1"
EVENT_FORMAT = "hooksync.event/1"

_INDENT = " " * 12


def verify_json(signed_with: Sequence[Mapping[str, object]], reason: str) -> str:
    """Write which secrets signed an event. `reason`: why none did."""
    document = {
        "format": VERIFY_FORMAT,
        "is_genuine": bool(signed_with),
        "signed_with": signed_with,
        "reason": reason or None,
    }
    return to_text(document)


def fire_json(url: str, results: Sequence[Result]) -> str:
    """Write how a receiver took what was sent. `url`: as it may be shown."""
    failed = sum(each.state == "failed" for each in results)
    document = {
        "format": FIRE_FORMAT,
        "url": url,
        "is_fine": not failed,
        "results": [_result(each) for each in results],
        "summary": {"passed": len(results) - failed, "failed": failed},
    }
    return to_text(document)


def _result(result: Result) -> dict[str, object]:
    written = {name: text or None for name, text in asdict(result).items()}
    return {**written, "state": result.state, "seconds": round(result.seconds, 3)}


def result_lines(result: Result) -> Iterator[Line]:
    """Write for people how a receiver took one thing that was sent."""
    took = f"{result.status or ''} in {result.seconds:.3f} s".strip()
    style: Style = "red" if result.fix else "green"
    yield style, f"{result.state:<10}{result.name:<24}  {took}"
    if result.detail:
        yield "", f"{_INDENT}{result.detail}"
    if result.fix:
        yield "", f"{_INDENT}so {result.meaning}" if result.meaning else ""
        yield "", f"{_INDENT}  fix: {result.fix}"


def event_json(told: Mapping[str, object], event: object) -> str:
    """Write one request that `listen` received, on a line. `told`: what became of it."""
    return json.dumps({"format": EVENT_FORMAT, **told, "event": event}, sort_keys=True) + "\n"
