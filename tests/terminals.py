"""Runs hooksync on a pseudo-terminal, as a person sees it."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence

from tests.conftest import Place


class Terminal:
    """A pseudo-terminal on which hooksync runs."""

    def __init__(
        self, place: Place, *arguments: str, program: Sequence[str] = ("-m", "hooksync")
    ) -> None:
        import pty  # only POSIX has it

        self._ours, theirs = pty.openpty()
        environ = place.environ | {"TERM": "xterm"}
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        self.process = place.popen(
            *arguments, program=program, env=environ, start_new_session=True, **streams
        )
        os.close(theirs)
        self.seen = ""

    def read_until(self, text: str) -> None:
        while text not in self.seen:
            ready, _, _ = select.select([self._ours], [], [], 300)
            assert ready, self.seen
            self.seen += os.read(self._ours, 4096).decode()

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def finish(self) -> int:
        try:
            while data := os.read(self._ours, 4096):
                self.seen += data.decode()
        except OSError:  # Linux raises it when the other side is closed
            pass
        os.close(self._ours)
        return self.process.wait()
