"""Signed events: make and send them as Preservica does, and explain their signatures."""

from __future__ import annotations

import glob
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from hooksync.config.files import read_named
from hooksync.core.errors import FileError
from hooksync.core.model import HookUrl, ReceiverResult, Secret, SecretRef, Secrets
from hooksync.core.record import Record, field
from hooksync.receiver import sign_event, verify_event
from hooksync.receivers.diagnosis import event_mistakes
from hooksync.service.challenges import key_of, post
from hooksync.service.http import Caller, Response
from hooksync.service.signatures import name_mistake

SIGNATURE = "Preservica-Signature"  # the header
SUCCESS = range(200, 300)  # statuses of success; it is not known which of them Preservica accepts

LISTEN = "Hooksync-Listen"  # the header of an answer that is not of the receiver behind `listen`
_OF_A_CONNECTION = (
    "host connection keep-alive te trailer upgrade transfer-encoding content-length"
    " accept-encoding proxy-authorization proxy-connection expect"
)
JSON_HEADERS = {"Content-Type": "application/json"}
# suffix of the file with an event's headers, which is next to the file with the event's body
HEADERS = ".headers"


class Delivery(Record):
    """One event, and how it is sent."""

    body: bytes
    signature: str | None  # None: the event is sent without the header
    is_chunked: bool = True
    headers: Mapping[str, str] = field(default_factory=JSON_HEADERS.copy)  # besides the signature
    method: str = "POST"
    before_last: Callable[[], object] | None = None  # called before the last chunk


class NewEvents:
    """Makes events that differ in their timestamps.

    `now`: the time of the first one, in seconds since 1970. `template`: the body of an event that
    they resemble; without one, they look like the event in a blog post of 2023. Source:
    jcarr.org.uk/2023/06/10/webhooks. Raises FileError if it is not a JSON object.
    """

    def __init__(self, now: float, trigger: str, template: bytes = b"") -> None:
        self._moment = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)
        self.is_made_up = not template  # so its entities need not exist
        entity = {"event": trigger.title().replace("_", ""), "entityType": "IO"}
        self._template: dict[str, object] = {
            "subscriptionId": uuid.uuid4().hex,
            "timestamp": "",
            "tenant": "HOOKSYNC-FIRE",
            "version": "6.10",
            "events": [{**entity, "entityRef": str(uuid.uuid4()), "identifiers": []}],
            "trigger": trigger,
        }
        if template:
            try:
                self._template = dict(json.loads(template))
            except (ValueError, TypeError, RecursionError):
                raise FileError(
                    "the event is not a JSON object",
                    "give the body of an event, as `hooksync listen --record` writes one",
                ) from None

    def make(self, *identifiers: Mapping[str, str], **changed: object) -> dict[str, object]:
        """Make an event with the next timestamp, and an entity for each of `identifiers`.

        `changed`: fields to set. An identifier has its type as the name, as in a receiver in use
        (NYPL's prsv-repair-tools).
        """
        self._moment += timedelta(milliseconds=1)
        timestamp = self._moment.isoformat(timespec="milliseconds")
        document = {**self._template, "timestamp": timestamp, **changed}
        match document.get("events"):
            case [dict(entity), *_] if identifiers:
                document["events"] = [
                    {**entity, "identifiers": [identifier]} for identifier in identifiers
                ]
        return document


def signed(body: bytes, secret: Secret, *, is_chunked: bool = True) -> Delivery:
    """Sign an event, and return it with its signature."""
    return Delivery(body, sign_event(key_of(secret), body), is_chunked=is_chunked)


def forwarded(headers: Mapping[str, str], body: bytes) -> Delivery:
    """Return an event as it came: the same body, and all headers but those of the connection.

    The names of `headers` are in lower case.
    """
    of_connection = _OF_A_CONNECTION.split()
    kept = {name: value for name, value in headers.items() if name not in of_connection}
    signature = kept.pop(SIGNATURE.lower(), None)
    return Delivery(body, signature, "transfer-encoding" in headers, kept)


def deliver(url: HookUrl, sent: Delivery, caller: Caller) -> Response | ReceiverResult:
    """Send an event once, as Preservica does. Returns the answer, or why there is none."""
    headers = dict(sent.headers)
    if sent.signature is not None:
        headers[SIGNATURE] = sent.signature
    body = _chunks(sent) if sent.is_chunked else sent.body
    return post(url, caller, "event", headers=headers, body=body, method=sent.method)


def _chunks(sent: Delivery) -> Iterator[bytes]:
    """Send a body in two pieces. `before_last` runs between them."""
    middle = len(sent.body) // 2
    yield sent.body[:middle]
    if sent.before_last is not None:
        sent.before_last()
    yield sent.body[middle:]


def find_signers(secrets: Secrets, body: bytes, signature: str) -> list[SecretRef]:
    """Return the references to the secret that signed an event, if it is one of `secrets`.

    `body`: raw bytes, as received.
    """
    return [
        ref
        for ref, secret in secrets.items()
        if verify_event({"": key_of(secret)}, body, signature) is not None
    ]


def explain_signature(secrets: Secrets, body: bytes, signature: str) -> str:
    """Explain why none of the secrets fits a signature; "" if one does.

    Quotes neither signature nor body.
    """
    if find_signers(secrets, body, signature):
        return ""
    if not signature:
        return f"the header {SIGNATURE} is missing"
    for ref, secret in secrets.items():
        mistake = name_mistake(signature, event_mistakes(key_of(secret), body))
        if mistake:
            return f"by {ref}, the signature {mistake.what}: {mistake.fix}"
    return "signed with a different secret or in a different way, or the body was changed"


def read_event(path: str, stdin: BinaryIO | None = None) -> tuple[bytes, dict[str, str]]:
    """Read the body of a captured event, and its headers if `listen --record` wrote them.

    The names of headers are in lower case. Raises FileError.
    """
    fix = "name a file that contains the body of an event as it was sent, or - for standard input"
    body = read_named(path, "event", fix, stdin)
    if not os.path.lexists(path + HEADERS):
        return body, {}
    data = read_named(path + HEADERS, "file", fix)
    lines = (line.partition(":") for line in data.decode("latin-1").splitlines())
    return body, {name.strip().lower(): value.strip() for name, _, value in lines}


def recorded_events(folder: str) -> list[str]:
    """List the genuine events that `listen --record` wrote into a folder, oldest first.

    `folder`: or the path of one event. Raises FileError if there is none.
    """
    if os.path.isfile(folder):
        return [folder]
    files = sorted(glob.glob(os.path.join(glob.escape(folder), "*.json")))
    paths = [path for path in files if not path.endswith("-refused.json")]
    if not paths:
        raise FileError(
            f"there is no recorded event in {folder}",
            "name a folder that `hooksync listen --record` wrote events into",
        )
    return paths
