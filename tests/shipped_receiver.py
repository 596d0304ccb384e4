"""The receiver that pyPreservica ships, listening on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer

from pyPreservica.webHooksAPI import WebHookHandler

from tests.servers import running


class _Quiet(WebHookHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def shipped_receiver(secret: str) -> Iterator[str]:
    """Start the receiver with a secret, and yield its URL."""
    server = HTTPServer(("127.0.0.1", 0), _Quiet)
    server.secret_key = secret  # type: ignore[attr-defined]
    with running(server):
        yield f"http://127.0.0.1:{server.server_port}/hook"
