"""Signed events: send one as Preservica does; find which secret signed one, or what is wrong.

And notices of how a run ended, which are sent to a webhook in much the same way.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime

from hooksync.core.model import HookUrl, Secret, SecretRef
from hooksync.core.record import Record
from hooksync.core.urls import is_plain_http, split_url, url_fault
from hooksync.receiver import sign_challenge, sign_event, verify_event
from hooksync.service.http import Answer, CallContext
from hooksync.service.receivers import ProbeResult, post
from hooksync.service.responses import BUSY_STATUSES

SIGNATURE = "Preservica-Signature"  # the header

_OF_A_CONNECTION = (
    *(
        "host",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "transfer-encoding",
        "content-length",
    ),
    *("accept-encoding", "proxy-authorization", "proxy-connection", "expect"),
)
_OF_JSON = {"Content-Type": "application/json"}
_PIECES = 8  # that a body is sent in
_NOTICE_PAUSE = 2.0  # seconds before the second try
_SHORTEST_HIDDEN = 8  # characters of a path; a shorter one is no key
_HEX = re.compile("[0-9A-Fa-f]{64}")


class Delivery(Record, frozen=True):
    """One event, and how it is sent."""

    HIDDEN = ("body",)

    body: bytes
    signature: str | None  # None: without the header
    is_chunked: bool = True
    pause: float = 0.0  # seconds, before each piece


def make_event(trigger: str, moment: datetime, filling: int = 0) -> bytes:
    """Write an event that never came before, as jcarr.org.uk/2023/06/10/webhooks shows one.

    `filling`: bytes in it.
    """
    event = {
        "event": trigger.title().replace("_", ""),
        "entityType": "IO",
        "entityRef": str(uuid.uuid4()),
    }
    document = {
        "subscriptionId": uuid.uuid4().hex,
        "timestamp": moment.replace(tzinfo=None).isoformat(timespec="milliseconds"),
        "tenant": "HOOKSYNC-FIRE",
        "version": "6.10",
        "events": [{**event, "identifiers": [{"filling": "x" * filling}] if filling else []}],
        "trigger": trigger,
    }
    return json.dumps(document).encode()


def signed(body: bytes, secret: Secret, *, is_chunked: bool = True, pause: float = 0.0) -> Delivery:
    """Sign an event."""
    return Delivery(body, sign_event(secret.reveal().encode("latin-1"), body), is_chunked, pause)


def deliver(url: HookUrl, sent: Delivery, context: CallContext) -> Answer | ProbeResult:
    """Send an event once, as Preservica does. Returns the answer, or why there is none."""
    headers = _OF_JSON | ({} if sent.signature is None else {SIGNATURE: sent.signature})
    body = _pieces(sent, context) if sent.is_chunked else sent.body
    return post(url, context, "event", headers=headers, body=body)


def send_notice(url: Secret, body: bytes, name: str, context: CallContext) -> str:
    """Send JSON to a URL that is a secret, shown as `name`; again where that may help.

    Returns why it failed, or "".
    """
    target = url.reveal()
    if fault := url_fault(target):
        return f"its URL {fault}"
    if is_plain_http(target):
        return "its URL begins with http, and is not on this machine: https is needed"
    context.redactor.learn(
        each for each in (target, split_url(target)[2]) if len(each) >= _SHORTEST_HIDDEN
    )
    for is_last in (False, True):
        answer = post(HookUrl(name, target), context, "notice", headers=_OF_JSON, body=body)
        if isinstance(answer, Answer) and answer.status in range(200, 300):
            return ""
        may_help = isinstance(answer, ProbeResult) or answer.status in BUSY_STATUSES
        if is_last or not may_help or context.clock.wait(context.stop, _NOTICE_PAUSE):
            break
    return answer.detail if isinstance(answer, ProbeResult) else f"it answers {answer.status}"


def pass_on(
    url: HookUrl, headers: Mapping[str, str], body: bytes, context: CallContext
) -> Answer | ProbeResult:
    """Forward a request byte for byte, with its headers except those of the connection."""
    kept = {name: value for name, value in headers.items() if name not in _OF_A_CONNECTION}
    sent = iter([body]) if "transfer-encoding" in headers else body
    return post(url, context, "event", headers=kept, body=sent)


def _pieces(sent: Delivery, context: CallContext) -> Iterator[bytes]:
    size = len(sent.body) // _PIECES + 1
    for start in range(0, len(sent.body), size):
        if sent.pause:
            context.clock.wait(context.stop, sent.pause)
        yield sent.body[start : start + size]


def keys_of(secrets: Mapping[SecretRef, Secret]) -> dict[str, bytes]:
    """Return keys as `hooksync.receiver` takes them, named by number: two may be written alike."""
    return {
        str(number): secret.reveal().encode("latin-1")
        for number, secret in enumerate(secrets.values())
    }


def find_signers(
    secrets: Mapping[SecretRef, Secret], body: bytes, signature: str
) -> list[SecretRef]:
    """Find what an event was signed with: references to one secret, or none.

    `body`: raw bytes, as received.
    """
    return [
        ref
        for ref in secrets
        if verify_event(keys_of({ref: secrets[ref]}), body, signature) is not None
    ]


def explain_signature(secrets: Mapping[SecretRef, Secret], body: bytes, signature: str) -> str:
    """Word what is known of a signature that no secret made of this body; quotes nothing."""
    if not signature:
        return f"the header {SIGNATURE} is missing"
    given = signature.strip().lower()
    if not _HEX.fullmatch(given):
        return "the signature is not the hex of an HMAC-SHA256, which has 64 digits"
    for ref, secret in secrets.items():
        if sign_challenge(secret.reveal().encode("latin-1"), body) == given:
            return (
                f"{ref} signed the body alone: the text preservica-webhook-auth must come before it"
            )
    return "the signature is wrong: another secret, or the body was changed on its way"
