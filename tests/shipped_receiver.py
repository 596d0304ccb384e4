"""The receiver that pyPreservica ships, listening on loopback."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from pathlib import Path

from pyPreservica.webHooksAPI import WebHookHandler

from tests.servers import running


class _Quiet(WebHookHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def shipped_receiver(secret: str, certificate: Path | None = None) -> Iterator[str]:
    """Start the receiver with a secret, and yield its URL. With a certificate (PEM, with its key),
    the receiver uses TLS.
    """
    server = HTTPServer(("127.0.0.1", 0), _Quiet)
    server.secret_key = secret  # type: ignore[attr-defined]
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server):
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}/hook"
