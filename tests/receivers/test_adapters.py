"""`wsgi` and `asgi`: receivers without a framework, on real servers and call by call."""

from __future__ import annotations

import asyncio
import io
import logging
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from hooksync.receiver import Inbox, Receiver, asgi, sign_event, wsgi
from tests.clocks import SteadyClock
from tests.command_line import hooksync
from tests.receivers.conftest import SECRETS, started
from tests.receivers.test_module import BODY, NEW, sign

INBOX = """
import os
from hooksync.receiver import Inbox, Receiver, asgi, wsgi
box = Inbox("events.sqlite")
receiver = Receiver("catalogue", {"HOOK_SECRET": os.environ["HOOK_SECRET"]}, inbox=box)
"""
WORK = """
import os
from hooksync.receiver import Receiver, asgi, wsgi
receiver = Receiver("catalogue", {"HOOK_SECRET": os.environ["HOOK_SECRET"]})
def work(event):
    for entity in event["events"]:
        print(entity["entityRef"])
"""
SERVERS = {
    "uvicorn": "import uvicorn; uvicorn.run(asgi(%s), port=0)",
    "werkzeug": "from werkzeug.serving import run_simple; run_simple('127.0.0.1', 0, wsgi(%s), threaded=True)",
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("kind", ["inbox", "work"])
def test_the_suite_finds_no_fault_with_an_adapter(server: str, kind: str, tmp_path: Path) -> None:
    arguments = "receiver" if kind == "inbox" else "receiver, work"
    code = (INBOX if kind == "inbox" else WORK) + SERVERS[server] % arguments
    with started(["-c", code], tmp_path, SECRETS) as running:
        given = ["fire", "--suite", "--url", running.url, "--secret", "env:HOOK_SECRET"]
        done = hooksync(given, dict(SECRETS), clock=SteadyClock())
    assert ", 0 failed.\n" in done.out
    assert (done.code, done.err) == (0, "")


def call_wsgi(receiver: Receiver, body: bytes, **more: object) -> tuple[str, dict[str, str], bytes]:
    """Call an application with a limit of 1000 bytes."""
    started: list[Any] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_PRESERVICA_SIGNATURE": sign_event(NEW.encode(), body),
        "wsgi.input": io.BytesIO(body),
        **more,
    }
    said = wsgi(receiver, bool, 1000)(environ, lambda *given: started.extend(given))
    status, headers = started
    return status, dict(headers), b"".join(said)


UNREAD: dict[str, object] = {"wsgi.input": None}  # which cannot be read
CHUNKED = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (BODY, {}, "200 OK"),
        (BODY, {**CHUNKED, "wsgi.input_terminated": True}, "200 OK"),
        (BODY, CHUNKED, "411 Length Required"),
        (b" " * 1001, UNREAD, f"413 {HTTPStatus(413).phrase}"),
        (b" " * 1001, {**UNREAD, "wsgi.input_terminated": True}, f"413 {HTTPStatus(413).phrase}"),
        (b" " * 1001, {**CHUNKED, "wsgi.input_terminated": True}, f"413 {HTTPStatus(413).phrase}"),
        (BODY, {"CONTENT_LENGTH": "nonsense"}, "401 Unauthorized"),
        (BODY, {"REQUEST_METHOD": "GET"}, "405 Method Not Allowed"),
        (b"", {"QUERY_STRING": "challengeCode=c0de"}, "200 OK"),
    ],
)
def test_a_wsgi_application_reads_a_body_within_its_limit(
    body: bytes, more: dict[str, object], status: str
) -> None:
    given = call_wsgi(Receiver("catalogue", {"NEW": NEW}), body, **more)
    assert given[0] == status
    assert given[1]["Content-Type"] == "application/json"


def call_asgi(receiver: Receiver, *pieces: bytes, **scope: object) -> list[dict[str, Any]]:
    """Call an application with a limit of 1000 bytes; an empty list of pieces: a disconnect."""
    sent: list[dict[str, Any]] = []
    messages: list[dict[str, object]] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    messages.append({"type": "http.request"} if pieces else {"type": "http.disconnect"})

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"preservica-signature", sign(b"".join(pieces)).encode())]
    request = {"type": "http", "method": "POST", "query_string": b"", "headers": headers, **scope}
    asyncio.run(asgi(receiver, bool, 1000)(request, receive, send))
    return sent


def test_an_asgi_application_joins_the_pieces_of_a_body_within_its_limit() -> None:
    receiver = Receiver("catalogue", {"NEW": NEW})
    start, end = call_asgi(receiver, BODY[:10], BODY[10:])
    assert (start["status"], end["body"]) == (200, b'{"success": true}')
    assert (b"Content-Type", b"application/json") in start["headers"]
    start, _ = call_asgi(receiver, b" " * 600, b" " * 600)
    assert start["status"] == 413
    assert call_asgi(receiver) == []
    with pytest.raises(ValueError, match="only http"):
        call_asgi(receiver, type="lifespan")


def test_an_application_logs_the_reason_of_a_refusal_and_the_secret_that_signed_an_event(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO, "hooksync.receiver")
    box = Inbox(str(tmp_path / "events.sqlite"))
    application = wsgi(Receiver("catalogue", {"NEW": NEW}, inbox=box))
    for signature in (sign(BODY), sign(BODY), "0" * 64):
        environ = {
            "REQUEST_METHOD": "POST",
            "CONTENT_LENGTH": str(len(BODY)),
            "HTTP_PRESERVICA_SIGNATURE": signature,
            "wsgi.input": io.BytesIO(BODY),
        }
        application(environ, lambda *_: None)
    wrong = "the signature is wrong: signed with a different secret, or the body was changed"
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "200 event NEW"),
        ("INFO", "200 duplicate NEW"),
        ("WARNING", f"401 refused {wrong}"),
    ]
