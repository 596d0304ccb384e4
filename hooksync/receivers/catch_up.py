"""Make up for events that were lost: one signed event for each entity that was updated since.

It does not know which events a receiver has seen. So work may be done twice.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from urllib.parse import urlencode
from xml.etree import ElementTree

from hooksync.core.errors import ServiceError
from hooksync.core.record import replace
from hooksync.receivers.events import JSON_HEADERS, signed
from hooksync.receivers.suite import Sender, Trial
from hooksync.service.client import NotUnderstood, Preservica
from hooksync.service.http import Response

MARK = "Hooksync-Catch-Up"  # the header that marks such an event; its value is the time
INDEXED = "FULL_TEXT_INDEXED"
_UPDATED = "/api/entity/entities/updated-since"
_PAGE = 100  # entities
_MOST_PAGES = 10_000
EntityRef = tuple[str, str]  # type and reference
LIMITS = (
    "catch-up cannot recover failed ingests, deletions, or how often and in which order something"
    " happened. Its events have the time of this run, and no identifiers, subscriptionId"
    " or version. An entity that was changed for a different reason gets an event, too."
    " Work may be done twice."
)


def updated_entities(client: Preservica, moment: str) -> list[EntityRef]:
    """List each entity that was updated since a time, page by page.

    `moment`: ISO 8601. Raises ServiceError. Source: pyPreservica 4.2.2, entityAPI.py.
    """
    found: dict[EntityRef, None] = {}  # a page may repeat what has moved on meanwhile
    start = 0
    for _ in range(_MOST_PAGES):
        query = urlencode({"date": moment, "start": start, "max": _PAGE})
        entities, has_more = client.fetch(f"{_UPDATED}?{query}", _read_page)
        before = len(found)
        found |= dict.fromkeys(entities)
        if not has_more or len(found) == before:
            return list(found)
        start += len(entities)
    raise ServiceError(
        f"the list of updated entities does not end after {_MOST_PAGES} pages",
        "give a later time: --since",
    )


class _TreeBuilder(ElementTree.TreeBuilder):
    """Builds the tree of a document, which must not define entities: these expand without end."""

    def doctype(self, *_: object) -> None:
        """Refuse a document type, in any encoding."""
        raise NotUnderstood("it has a document type")


def _read_page(response: Response) -> tuple[list[EntityRef], bool]:
    """Read a page of a list of entities. Returns also whether there are more.

    Raises NotUnderstood.
    """
    parser = ElementTree.XMLParser(target=_TreeBuilder())  # noqa: S314, see there  # nosec B314
    try:
        root = ElementTree.fromstring(response.body, parser)  # noqa: S314  # nosec B314
    except ElementTree.ParseError as error:
        raise NotUnderstood("it is not XML") from error
    entities = []
    for entity in root.iterfind(".//{*}Entity"):
        kind = entity.get("type", "")
        reference = entity.get("ref", "")
        is_right = re.fullmatch("[A-Za-z]{1,8}/[0-9A-Za-z-]{1,64}", f"{kind}/{reference}")
        if not is_right:
            raise NotUnderstood("an entity has no type or no reference")
        entities.append((kind, reference))
    return entities, root.find(".//{*}Next") is not None and bool(entities)


def send_again(sender: Sender, tenant: str, moment: str, entity: EntityRef) -> Trial:
    """Send an event for an entity. It is a new one in each run, so that work is done again."""
    kind, reference = entity
    now = datetime.fromtimestamp(sender.caller.context.clock.now(), UTC).replace(tzinfo=None)
    happened = {"event": "FullTextIndexed", "entityType": kind, "entityRef": reference}
    event = {
        "timestamp": now.isoformat(),
        "tenant": tenant,
        "trigger": INDEXED,
        "events": [{**happened, "identifiers": []}],
    }
    sent = signed(json.dumps(event).encode(), sender.secret)
    return sender.send(f"{kind} {reference}", replace(sent, headers=JSON_HEADERS | {MARK: moment}))
