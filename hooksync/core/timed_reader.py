"""Reads from a socket that must all end within a time: a peer that sends byte by byte gets no more.

A timeout of a socket limits only each wait.
"""

from __future__ import annotations

import io
import socket
import time
from typing import Any


class TimedReader(io.RawIOBase):
    """Reads from a socket. All reads since `restart` must end within the same time.

    At first, that is the timeout of the socket.
    """

    def __init__(self, connection: socket.socket, raw: io.RawIOBase) -> None:
        self._connection = connection
        self._raw = raw
        self.restart(connection.gettimeout() or 0)

    def restart(self, seconds: float) -> None:
        """Allow the next reads so many seconds, all together."""
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        """Allow reads."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has arrived. Raises TimeoutError once all reads together took too long."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close what it reads from."""
        self._raw.close()
        super().close()
