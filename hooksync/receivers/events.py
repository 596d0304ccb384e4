"""Signed events: make and send them as Preservica does, and explain their signatures."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from hooksync.core.model import HookUrl, ProbeResult, Secret, SecretRef
from hooksync.core.record import Record
from hooksync.receiver import sign_event, verify_event
from hooksync.receivers.challenges import key_of, post
from hooksync.receivers.diagnosis import event_mistakes, name_mistake
from hooksync.service.http import Caller, Response

SIGNATURE = "Preservica-Signature"  # the header
TAKEN = range(200, 300)  # statuses of success; it is not known which of them Preservica accepts

_OF_A_CONNECTION = (
    "host connection keep-alive te trailer upgrade transfer-encoding content-length"
    " accept-encoding proxy-authorization proxy-connection expect"
)
JSON_HEADERS = {"Content-Type": "application/json"}
_CHUNKS = 8  # a body in chunks has at most this many
_HEX = re.compile("[0-9A-Fa-f]{64}")


class Delivery(Record, frozen=True):
    """One event, and how it is sent."""

    HIDDEN = ("body",)

    body: bytes
    signature: str | None  # None: the event is sent without the header
    is_chunked: bool = True
    header: str = SIGNATURE  # the name of the header, as it is written
    method: str = "POST"
    marks: tuple[tuple[str, str], ...] = ()  # further headers
    before_last: Callable[[], object] | None = None  # called before the last chunk


class NewEvents:
    """Makes events that differ in their timestamps.

    They are made from `template`; without one, they look like the event in a blog post of 2023.
    Source: jcarr.org.uk/2023/06/10/webhooks.
    """

    def __init__(
        self, moment: datetime, trigger: str, template: Mapping[str, object] | None = None
    ) -> None:
        self._moment = moment.replace(tzinfo=None)
        entity = {"event": trigger.title().replace("_", ""), "entityType": "IO"}
        self._template = template or {
            "subscriptionId": uuid.uuid4().hex,
            "timestamp": "",
            "tenant": "HOOKSYNC-FIRE",
            "version": "6.10",
            "events": [{**entity, "entityRef": str(uuid.uuid4()), "identifiers": []}],
            "trigger": trigger,
        }

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


class KnownSecrets(Record, frozen=True):
    """The secrets that events may be signed with."""

    # the first answers challenges; `secrets` has more, to explain a wrong signature
    accepted: tuple[SecretRef, ...]
    secrets: Mapping[SecretRef, Secret]


def signed(body: bytes, secret: Secret, *, is_chunked: bool = True) -> Delivery:
    """Sign an event, and return it with its signature."""
    return Delivery(body, sign_event(key_of(secret), body), is_chunked=is_chunked)


def deliver(url: HookUrl, sent: Delivery, caller: Caller) -> Response | ProbeResult:
    """Send an event once, as Preservica does. Returns the answer, or why there is none."""
    headers = dict(JSON_HEADERS) | dict(sent.marks)
    if sent.signature is not None:
        headers[sent.header] = sent.signature
    body = _chunks(sent) if sent.is_chunked else sent.body
    return post(url, caller, "event", headers=headers, body=body, method=sent.method)


def pass_on(
    url: HookUrl, headers: Mapping[str, str], body: bytes, caller: Caller
) -> Response | ProbeResult:
    """Forward a request: the unchanged body, and all headers but those of the connection."""
    of_connection = _OF_A_CONNECTION.split()
    kept = {}
    for name, value in headers.items():
        if name not in of_connection:
            kept[name] = value
    sent = iter([body]) if "transfer-encoding" in headers else body
    return post(url, caller, "event", headers=kept, body=sent)


def _chunks(sent: Delivery) -> Iterator[bytes]:
    size = len(sent.body) // _CHUNKS + 1
    for start in range(0, len(sent.body), size):
        if start + size >= len(sent.body) and sent.before_last is not None:
            sent.before_last()
        yield sent.body[start : start + size]


def find_signers(
    secrets: Mapping[SecretRef, Secret], body: bytes, signature: str
) -> list[SecretRef]:
    """Return the references to the secret that signed an event, if it is one of `secrets`.

    `body`: raw bytes, as received.
    """
    return [
        ref
        for ref, secret in secrets.items()
        if verify_event({"": key_of(secret)}, body, signature) is not None
    ]


def explain_signature(secrets: Mapping[SecretRef, Secret], body: bytes, signature: str) -> str:
    """Explain why none of the secrets fits a signature. Quotes neither signature nor body."""
    if not signature:
        return f"the header {SIGNATURE} is missing"
    for ref, secret in secrets.items():
        mistake = name_mistake(signature, event_mistakes(key_of(secret), body))
        if mistake:
            return f"by {ref}, the signature {mistake.what}: {mistake.fix}"
    if not _HEX.fullmatch(signature.strip()):
        return "the signature is not the hex of an HMAC-SHA256, which has 64 digits"
    return "signed with a different secret, or the body was changed"
