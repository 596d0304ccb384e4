"""The last net: foreign text (an answer, a library's exception) made fit to show.

Our own text never holds a secret and needs none of this. No I/O.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_from_bytes, quote_plus, unquote

QUOTED_LENGTH = 256  # characters of an answer that an error quotes
_MASK = "***"
_LOOKED_AT = 64 * 1024  # characters of a long answer that are looked at for those to quote
_SHORTEST_IN_BASE64 = 4  # bytes; fewer leave too little of their own in base64 to be told from other text

# what hides values that this run does not know: the keys of others' URLs, tokens that came in an answer
_UNKNOWN = (
    re.compile(r"(://)[^/\s\"'<>@]{1,1000}(?=@)"),
    re.compile(r"([?&;][^=&?;\s\"'<>]{1,100}=)[^&\s\"'<>]+"),
    re.compile(
        r'("[^"\\\s]{0,40}(?:token|secret|password)[^"\\\s]{0,40}\\?"\s{0,9}:\s{0,9}\\?")(?:[^"\\]|\\.)+',
        re.IGNORECASE,
    ),
)
_RUNNER_COMMAND = re.compile(r"(##\w{0,20})\[")


class Redactor:
    """Knows the values of this run that must not be seen and replaces them, plain or encoded. Safe among threads."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._waiting: list[Callable[[], Iterable[str]]] = []
        self._forms: frozenset[str] = frozenset()  # replaced as a whole, so that readers need no lock
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Redactor({len(self._forms)} forms)"

    def learn(self, values: Iterable[str]) -> None:
        """Take in values to hide; empty ones are passed over."""
        with self._lock:
            if fresh := {value for value in values if value} - self._values:
                self._values |= fresh
                self._forms |= {form for value in fresh for form in _forms(value) if form}

    def values(self) -> frozenset[str]:
        """Return every known value, those that wait to be looked up as well."""
        for values in self._waiting:
            self.learn(values())
        self._waiting = []
        return frozenset(self._values)

    def learn_later(self, values: Callable[[], Iterable[str]]) -> None:
        """Take in where to find values to hide: they are looked up when there first is a foreign text to show."""
        self._waiting.append(values)

    def clean(self, text: str, end: int | None = None) -> str:
        """Hide every known value in a text, in any of its forms. `end`: give it up to there; values are seen whole."""
        self.values()
        forms = self._forms
        end = len(text) if end is None else min(len(text), end)
        overhang = max(map(len, forms), default=0)  # a value that begins before the end is found whole
        return _masked(text[: end + overhang], forms, end)

    def quote(self, text: str) -> str:
        """Make foreign text fit for an error message: redacted, on one line, printable, cut at 256 characters.

        Hides also what only looks like a secret: user information and query values of URLs, tokens in JSON.
        """
        known_hidden = self.clean(text, _LOOKED_AT)
        for pattern in _UNKNOWN:
            known_hidden = pattern.sub(rf"\1{_MASK}", known_hidden)
        line = printable(" ".join(known_hidden.split()))
        return line if len(line) <= QUOTED_LENGTH else line[: QUOTED_LENGTH - 1] + "…"


def printable(text: str) -> str:
    """Write every character that could steer a terminal or hide text (controls, direction marks) as an escape.

    And `##[` and `##vso[`, which CI runners take for commands wherever they stand in a line.
    Sources: GitHub's runner, ActionCommand.cs, the older of its two forms; Azure Pipelines' logging commands.
    """
    text = _RUNNER_COMMAND.sub(r"\1\\x5b", text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _masked(text: str, forms: Iterable[str], end: int) -> str:
    """Return a text up to `end` with a mask over all that any form covers; forms may overlap."""
    pieces: list[str] = []
    covered = 0  # up to here the text is written or masked
    for start, stop in sorted(span for form in forms for span in _spans(text, form)):
        if start >= end:
            break
        if start > covered or not pieces:
            pieces += (text[covered:start], _MASK)
        covered = max(covered, stop)
    return "".join([*pieces, text[covered:end]])


def _spans(text: str, form: str) -> Iterator[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)


def _forms(value: str) -> Iterator[str]:
    """Yield the ways in which a peer may echo a value: as sent, escaped (JSON, Python, HTML, URL), hex, base64."""
    for text in {value, unquote(value)}:  # what stands in a URL is decoded by whoever gets it
        yield from _escaped_forms(text)
        for raw in _bytes_forms(text):
            yield raw.decode("utf-8", "replace")  # as an answer in Latin-1 is read
            yield from _python_forms(repr(raw + b"\"'")[2:-1])
            yield from _recased(quote_from_bytes(raw, safe=""), "%")
            yield raw.hex()
            yield raw.hex().upper()
            yield from _base64_forms(raw)


def _escaped_forms(text: str) -> Iterator[str]:
    yield text
    yield from _python_forms(repr(text + "\"'")[1:-1])
    for is_ascii in (True, False):
        once = json.dumps(text, ensure_ascii=is_ascii)[1:-1]
        twice = json.dumps(once, ensure_ascii=is_ascii)[1:-1]  # our JSON, quoted in theirs
        for escaped in (once, once.replace("/", r"\/"), twice):
            yield from _recased(escaped, r"\\u")
    # as html.escape does, whose module costs a millisecond to load
    markup = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield markup
    yield markup.replace('"', "&quot;").replace("'", "&#x27;")
    yield markup.replace('"', "&#34;").replace("'", "&#39;")
    if text.isascii():  # other characters: by their bytes
        yield quote(text)
        yield quote_plus(text)
    else:
        yield from _recased(quote_from_bytes(_utf_8(text)), "%")
        yield from _recased(quote_from_bytes(_utf_8(text), safe=" ").replace(" ", "+"), "%")


def _python_forms(shown: str) -> Iterator[str]:
    """Yield a repr without the `"'` at its end, with single quotes escaped or not."""
    escaped = shown.removesuffix("\"\\'")
    yield escaped
    yield escaped.replace("\\'", "'")


def _recased(text: str, mark: str) -> Iterator[str]:
    """Yield an escaped text with the hex digits of its escapes in either case."""
    yield text
    pattern = re.compile(f"({mark})([0-9A-Fa-f]{{{4 if 'u' in mark else 2}}})")
    yield pattern.sub(lambda match: match[1] + match[2].lower(), text)
    yield pattern.sub(lambda match: match[1] + match[2].upper(), text)


def _bytes_forms(text: str) -> Iterator[bytes]:
    yield _utf_8(text)
    if not text.isascii() and max(text) <= "\xff":
        yield text.encode("latin-1")


def _utf_8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Yield a value's base64, and the part of it that is its own at each of the three places it can start in others."""
    forms = [base64.b64encode(raw).decode("ascii")]
    if len(raw) >= _SHORTEST_IN_BASE64:
        for lead in range(3):
            encoded = base64.b64encode(b"\0" * lead + raw).decode("ascii")
            own = encoded[(0, 2, 3)[lead] :].rstrip("=")
            forms.append(own[:-1] if (lead + len(raw)) % 3 else own)  # the last one shares its bits with what follows
    for form in forms:
        yield form
        yield form.replace("+", "-").replace("/", "_")
