"""The receiver's side as JSON texts: `hooksync.verify/1`, `hooksync.fire/1`, `hooksync.event/1`.

Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from hooksync.output.json_text import to_text

VERIFY_FORMAT = "hooksync.verify/1"
FIRE_FORMAT = "hooksync.fire/1"
EVENT_FORMAT = "hooksync.event/1"


def verify_json(signed_with: Sequence[Mapping[str, object]], reason: str) -> str:
    """Write which secrets signed an event. `reason`: why none did."""
    document = {
        "format": VERIFY_FORMAT,
        "is_genuine": bool(signed_with),
        "signed_with": signed_with,
        "reason": reason or None,
    }
    return to_text(document)


def fire_json(url: str, results: Sequence[Mapping[str, object]], *, failed: int) -> str:
    """Write how a receiver took what was sent. `url`: as it may be shown."""
    document = {
        "format": FIRE_FORMAT,
        "url": url,
        "is_fine": not failed,
        "results": results,
        "summary": {"passed": len(results) - failed, "failed": failed},
    }
    return to_text(document)


def event_json(told: Mapping[str, object], event: object) -> str:
    """Write one request that `listen` received, on a line. `told`: what became of it."""
    return json.dumps({"format": EVENT_FORMAT, **told, "event": event}, sort_keys=True) + "\n"
