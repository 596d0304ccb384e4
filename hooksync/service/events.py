"""Signed events: make and send them as Preservica does; find what signed one, or what is wrong.

And notices of how a run ended, which are sent to a webhook in much the same way.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from hooksync.core.model import HookUrl, Secret, SecretRef
from hooksync.core.record import Record
from hooksync.core.redaction import SHORTEST_MASKED
from hooksync.core.urls import is_plain_http, split_url, url_fault
from hooksync.receiver import sign_event, verify_event
from hooksync.service.diagnosis import Mistake, event_mistakes, name_mistake
from hooksync.service.http import Answer, CallContext
from hooksync.service.receivers import ProbeResult, key_of, post

SIGNATURE = "Preservica-Signature"  # the header
TAKEN = range(200, 300)  # statuses; not known: which of them Preservica takes for success

_OF_A_CONNECTION = (
    "host connection keep-alive te trailer upgrade transfer-encoding content-length"
    " accept-encoding proxy-authorization proxy-connection expect"
)
_OF_JSON = {"Content-Type": "application/json"}
_PIECES = 8  # that a body is sent in
_NOTICE_PAUSE = 2.0  # seconds before the second try
_HEX = re.compile("[0-9A-Fa-f]{64}")


class Delivery(Record, frozen=True):
    """One event, and how it is sent."""

    HIDDEN = ("body",)

    body: bytes
    signature: str | None  # None: without the header
    is_chunked: bool = True
    before_last: Callable[[], object] = bool  # called before the last piece


class NewEvents:
    """Makes events that never came before, like a template or as the blog post of 2023 shows one.

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

    def make(self, identifier: str = "", **changed: object) -> dict[str, object]:
        """Make an event that differs from all others in its time.

        `identifier`: the value of an identifier in it.
        """
        self._moment += timedelta(milliseconds=1)
        timestamp = self._moment.isoformat(timespec="milliseconds")
        document = {**self._template, "timestamp": timestamp, **changed}
        events = document.get("events")
        if identifier and isinstance(events, list) and events and isinstance(events[0], dict):
            identifiers = [{"type": "hooksync", "value": identifier}]
            document["events"] = [{**events[0], "identifiers": identifiers}, *events[1:]]
        return document


def signed(body: bytes, secret: Secret, *, is_chunked: bool = True) -> Delivery:
    """Sign an event."""
    return Delivery(body, sign_event(key_of(secret), body), is_chunked)


def deliver(url: HookUrl, sent: Delivery, context: CallContext) -> Answer | ProbeResult:
    """Send an event once, as Preservica does. Returns the answer, or why there is none."""
    headers = dict(_OF_JSON)
    if sent.signature is not None:
        headers[SIGNATURE] = sent.signature
    body = _pieces(sent) if sent.is_chunked else sent.body
    return post(url, context, "event", headers=headers, body=body)


def find_bug(url: HookUrl, body: bytes, secret: Secret, context: CallContext) -> Mistake | None:
    """Find the mistake of a receiver that refused a genuine event: it takes the wrong signature.

    It works on the event then.
    """
    for mistake in event_mistakes(key_of(secret), body):
        answer = deliver(url, Delivery(body, mistake.signature), context)
        if isinstance(answer, Answer) and answer.status in TAKEN:
            return mistake
    return None


def send_notice(url: Secret, body: bytes, name: str, context: CallContext) -> str:
    """Send JSON to a URL that is a secret, shown as `name`; once more if that fails.

    Returns why it failed, or "".
    """
    target = url.reveal()
    if fault := url_fault(target):
        return f"its URL {fault}"
    if is_plain_http(target):
        return "its URL begins with http, and is not on this machine: https is needed"
    context.redactor.learn(
        each for each in (target, split_url(target)[2]) if len(each) >= SHORTEST_MASKED
    )
    failure = _post_notice(HookUrl(name, target), body, context)
    if failure and not context.clock.wait(context.stop, _NOTICE_PAUSE):
        failure = _post_notice(HookUrl(name, target), body, context)
    return failure


def _post_notice(url: HookUrl, body: bytes, context: CallContext) -> str:
    answer = post(url, context, "notice", headers=_OF_JSON, body=body)
    if isinstance(answer, ProbeResult):
        return answer.detail
    return "" if answer.status in TAKEN else f"it answers {answer.status}"


def pass_on(
    url: HookUrl, headers: Mapping[str, str], body: bytes, context: CallContext
) -> Answer | ProbeResult:
    """Forward a request byte for byte, with its headers except those of the connection."""
    owned = _OF_A_CONNECTION.split()
    kept = {name: value for name, value in headers.items() if name not in owned}
    sent = iter([body]) if "transfer-encoding" in headers else body
    return post(url, context, "event", headers=kept, body=sent)


def _pieces(sent: Delivery) -> Iterator[bytes]:
    size = len(sent.body) // _PIECES + 1
    for start in range(0, len(sent.body), size):
        if start + size >= len(sent.body):
            sent.before_last()
        yield sent.body[start : start + size]


def find_signers(
    secrets: Mapping[SecretRef, Secret], body: bytes, signature: str
) -> list[SecretRef]:
    """Find what an event was signed with: references to one secret, or none.

    `body`: raw bytes, as received.
    """
    found = []
    for ref, secret in secrets.items():
        if verify_event({"": key_of(secret)}, body, signature) is not None:
            found.append(ref)
    return found


def explain_signature(secrets: Mapping[SecretRef, Secret], body: bytes, signature: str) -> str:
    """Word what is known of a signature that no secret made of this body; quotes nothing."""
    if not signature:
        return f"the header {SIGNATURE} is missing"
    for ref, secret in secrets.items():
        mistake = name_mistake(signature, event_mistakes(key_of(secret), body))
        if mistake:
            return f"by {ref}, the signature {mistake.what}: {mistake.fix}"
    if not _HEX.fullmatch(signature.strip()):
        return "the signature is not the hex of an HMAC-SHA256, which has 64 digits"
    return "signed with a different secret, or the body was changed"
