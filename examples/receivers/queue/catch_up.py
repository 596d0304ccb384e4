"""Catch up after an outage: put what has changed since into the queue, for the same `work`.

It asks the Entity API, through pyPreservica, which entities were updated since the last catching
up, or since the first event. Run it after each outage; run it every night, and you miss nothing
for longer than a day.

It recovers each asset, folder and content object that was ingested, moved or changed, once, under
the trigger CATCH_UP. It cannot recover which trigger fired, how often and in which order; failed
ingests (INGEST_FAILED), which have no entity; or deletions.
"""

import math
import time
from datetime import UTC, datetime

from event_queue import Queue
from pyPreservica import EntityAPI

from hooksync.receiver import Event

DAY = 86_400.0  # seconds; updated_entities counts in days
OVERLAP = 3600.0  # seconds, because clocks differ


def catch_up(client: EntityAPI, queue: Queue) -> int:
    """Queue every entity that was updated since the last complete time; return how many."""
    now = time.time()
    since = queue.complete_until()
    if since is None:
        raise SystemExit("no event ever came, so there is no time to catch up from")
    days = math.ceil((now - since + OVERLAP) / DAY)
    number = 0
    for entity in client.updated_entities(previous_days=days):
        queue.put(_event(entity.reference, entity.entity_type.value, since))
        number += 1
    queue.caught_up(now)  # only now: a run that breaks off is repeated
    return number


def _event(reference: str, kind: str, since: float) -> Event:
    """Make an event; it is the same, and so worked on once, if a run is repeated."""
    moment = datetime.fromtimestamp(since, UTC).replace(tzinfo=None)
    return {
        "timestamp": moment.isoformat(timespec="milliseconds"),
        "trigger": "CATCH_UP",
        "events": [
            {"event": "Updated", "entityType": kind, "entityRef": reference, "identifiers": []}
        ],
    }


if __name__ == "__main__":
    print(catch_up(EntityAPI(), Queue()), "entities were updated since")
