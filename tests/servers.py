"""A server of the standard library that runs in a thread for as long as a test needs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer

POLL = 0.02  # seconds between two checks whether to stop


@contextmanager
def running(server: BaseServer) -> Iterator[None]:
    """Let a server accept requests until the end of the block; then close it."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(POLL,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
