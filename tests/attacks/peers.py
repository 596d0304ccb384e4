"""Peers that misbehave on purpose: what they send, and a service that misbehaves for one call."""

from __future__ import annotations

import functools
import gzip
import json
import socket
import threading
import zlib
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from tests.conftest import HIDDEN, SECRET, URL_KEY
from tests.wire import (
    Respond,
    Wire,
    answer,
    answering_challenges,
    saying,
)

TOKEN, REFRESH = "t0ken-0123456789-of-the-service", "r3fresh-0123456789-of-the-service"
NEVER_SHOWN = (*HIDDEN, TOKEN, REFRESH)
RECEIVER = "https://hooks.example.org/catalogue"  # declared if a case has no challenge

_PATIENCE = 60.0  # seconds after which a slow peer gives up, long after hooksync should have
_PAUSE = 0.1  # seconds between two pieces
_MIB = 1024 * 1024

HOOKS = """\
version: 1
tenancies:
  prod:
    server: ${BOX}
    tenant: DEMO
    probe: require
    owns: all
    subscriptions:
      catalogue:
        url: ${RECEIVER}?code=${FN_KEY}
        trigger: MOVED
        secret: {env: CATALOGUE_SECRET}
"""
UNPROBED = HOOKS.replace("probe: require", "probe: never")
DECLARED = {"id": "0" * 31 + "1", "url": f"{RECEIVER}?code={URL_KEY}", "triggerType": "MOVED"}
NOT_DECLARED = {"id": "0" * 31 + "2", "url": "https://old.example.org/hook", "triggerType": "MOVED"}

# --- ways to misbehave


def body(data: bytes, *headers: str) -> Respond:
    return saying(answer(data, "200 OK", *headers))


def flood(start: bytes, piece: bytes) -> Respond:
    """Send a piece again and again, until hooksync closes the connection."""

    def respond(wire: Wire, connection: socket.socket, __: bytes) -> bool:
        connection.sendall(start)
        while not wire.stopping.is_set():
            connection.sendall(piece)
        return False

    return respond


def trickle(start: bytes, piece: bytes) -> Respond:
    """Send a piece now and then. If hooksync still waits after `_PATIENCE`, cut the connection: then
    hooksync reports the cut, and not that it was too slow.
    """

    def respond(wire: Wire, connection: socket.socket, _: bytes) -> None:
        connection.sendall(start)
        for _ in range(int(_PATIENCE / _PAUSE)):
            if wire.stopping.wait(_PAUSE):
                break
            connection.sendall(piece)

    return respond


def bomb(*layers: str, size: int = 1 << 28) -> Respond:
    """Send a list with `size` bytes of spaces in it, compressed once for each layer."""
    headers = ("Content-Type: application/json", f"Content-Encoding: {', '.join(layers)}")

    def respond(wire: Wire, connection: socket.socket, request: bytes) -> object:
        with _COMPRESSING:
            packed = _compressed(layers, size)
        return saying(answer(packed, "200 OK", *headers))(wire, connection, request)

    return respond


_COMPRESSING = threading.Lock()  # it takes a second, so peers do it one after the other, and once


@functools.cache
def _compressed(layers: Sequence[str], size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31 if layers[0] == "gzip" else 15)
    spaces = b" " * _MIB
    packed = packer.compress(b"[") + b"".join(packer.compress(spaces) for _ in range(size // _MIB))
    packed += packer.compress(b"]") + packer.flush()
    for _ in layers[1:]:
        packed = gzip.compress(packed)
    return packed


def keep_silent(wire: Wire, _: socket.socket, __: bytes) -> None:
    wire.stopping.wait(_PATIENCE)


answer_well = answering_challenges(SECRET)


def service(call: str, misbehave: Respond, live: Sequence[Mapping[str, object]] = ()) -> Respond:
    """Answer all calls but one correctly, as a service that keeps its subscriptions."""
    held = {str(one["id"]): one for one in live}

    def respond(wire: Wire, connection: socket.socket, request: bytes) -> object:
        name = call_in(request)
        if name == call:
            return misbehave(wire, connection, request)
        match name:
            case "log-in":
                said = answer(
                    json.dumps({"success": True, "token": TOKEN, "refresh-token": REFRESH}).encode()
                )
            case "list":
                said = answer(json.dumps(list(held.values())).encode())
            case "subscribe":
                wanted = json.loads(request.partition(b"\r\n\r\n")[2])
                made = {
                    "id": f"{len(held) + 3:032}",
                    "url": wanted["url"],
                    "triggerType": wanted["triggerType"],
                }
                held[made["id"]] = made
                said = answer(json.dumps(made).encode())
            case "unsubscribe":
                held.pop(unquote(request.split(b" ")[1].rpartition(b"/")[2].decode("ascii")), None)
                said = answer(b"", "204 No Content")
            case _:
                said = answer(b"{}", "404 Not Found")
        connection.sendall(said)
        return True

    return respond


def call_in(request: bytes) -> str:
    method, path, _ = request.split(b" ", 2)
    if path.startswith(b"/api/accesstoken/"):
        return "log-in"
    if path.startswith(b"/api/webhook/subscriptions"):
        return {b"GET": "list", b"POST": "subscribe", b"DELETE": "unsubscribe"}.get(method, "other")
    return "other"
