"""The last net: foreign text (an answer, a library's exception) made fit to show.

Our own text never holds a secret, so nothing of ours goes through here. No I/O.
"""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

QUOTED_LENGTH = 256  # characters of an answer that an error quotes
_MASK = "***"


class Redactor:
    """Knows the values of this run that must not be seen and replaces them, plain or encoded. Safe among threads."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} forms)"

    def learn(self, values: Iterable[str]) -> None:
        """Take in values to hide; empty ones are passed over."""
        with self._lock:
            self._forms.update(form for value in values if value for form in _forms(value))
            self._pattern = None

    def clean(self, text: str) -> str:
        """Hide every known value in a text, in any of its forms."""
        with self._lock:
            if self._pattern is None and self._forms:
                longest_first = sorted(self._forms, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
            pattern = self._pattern
        return pattern.sub(_MASK, text) if pattern else text

    def quote(self, text: str) -> str:
        """Make foreign text fit for an error message: redacted, on one line, printable, cut at 256 characters."""
        line = printable(" ".join(self.clean(text).split()))
        return line if len(line) <= QUOTED_LENGTH else line[: QUOTED_LENGTH - 1] + "…"


def printable(text: str) -> str:
    """Write every character that could steer a terminal or hide text (controls, direction marks) as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _forms(value: str) -> Iterator[str]:
    """Yield the ways in which a peer may echo a value: as sent, escaped (JSON, Python, HTML, URL), hex, base64."""
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield html.escape(value)
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    raw = value.encode("utf-8", "surrogatepass")
    yield raw.hex()
    if len(raw) >= _SHORTEST_IN_BASE64:
        yield from _base64_forms(raw)


_SHORTEST_IN_BASE64 = 4  # bytes; fewer leave too little of their own in base64 to be told from other text


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Yield the part of a value's base64 that is its own, at each of the three places it can start in a longer text."""
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + raw).decode("ascii")
        own = encoded[(0, 2, 3)[lead] :].rstrip("=")
        own = own[:-1] if (lead + len(raw)) % 3 else own  # the last character shares its bits with what follows
        yield own
        yield own.replace("+", "-").replace("/", "_")
