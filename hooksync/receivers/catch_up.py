"""Make up for events that were lost: one signed event for each entity that was updated since.

It does not know which events a receiver has seen. So work may be done twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from hooksync.core.record import replace
from hooksync.receivers.events import JSON_HEADERS, signed
from hooksync.receivers.suite import Sender, Trial
from hooksync.service.client import Preservica

MARK = "Hooksync-Catch-Up"  # the header that marks such an event; its value is the time
INDEXED = "FULL_TEXT_INDEXED"
LIMITS = (
    "catch-up cannot recover failed ingests, deletions, or how often and in which order something"
    " happened. Its events have the time of this run, and no identifiers, subscriptionId"
    " or version. An entity that was changed for a different reason gets an event, too."
    " Work may be done twice."
)


def updated_entities(client: Preservica, moment: str) -> list[tuple[str, str]]:
    """List type and reference of each entity that was updated since a time, page by page."""
    found: dict[tuple[str, str], None] = {}  # a page may repeat what has moved on meanwhile
    start = 0
    while True:
        page = client.updated_since(moment, start)
        found |= dict.fromkeys(page.entities)
        start += len(page.entities)
        if not page.has_more:
            return list(found)


def send_again(
    sender: Sender, tenant: str, moment: str, entities: list[tuple[str, str]]
) -> Iterator[Trial]:
    """Send an event for each entity, until the receiver cannot be reached.

    Each run makes new events, so that work is done again.
    """
    now = datetime.fromtimestamp(sender.caller.context.clock.now(), UTC).replace(tzinfo=None)
    fields = {"timestamp": now.isoformat(), "tenant": tenant, "trigger": INDEXED}
    for kind, reference in entities:
        entity = {"event": "FullTextIndexed", "entityType": kind, "entityRef": reference}
        event = {**fields, "events": [{**entity, "identifiers": []}]}
        sent = signed(json.dumps(event).encode(), sender.secret)
        marked = replace(sent, headers=JSON_HEADERS | {MARK: moment})
        trial = sender.send(f"{kind} {reference}", marked)
        yield trial
        if trial.is_last:
            break
