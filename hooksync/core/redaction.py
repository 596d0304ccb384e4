"""The last net: foreign text (an answer, a library's exception) made fit to show.

Our own text never holds a secret and needs none of this. No I/O.

A known value that stands in clear is masked. Where a text holds one when it is decoded, nothing of the text is shown:
escapes of URLs, JSON, Python and HTML, hex, base64 and UTF-16, some in one another, with other white space or
letter case. A peer that means to tell a value can cut it up or encrypt it; no net is so fine.
"""

from __future__ import annotations

import re
import threading
from binascii import a2b_base64, a2b_hex
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache

QUOTED_LENGTH = 256  # characters of an answer that an error quotes
NOT_SHOWN = "(not shown: it holds a secret in an encoded form)"
_MASK = "***"
_LOOKED_AT = 64 * 1024  # characters of a long text that are looked at; the first half of them may be shown
_DEPTH = 4  # encodings in one another: three by the peer, and that of our request, which it may echo whole
_GROWTH, _ROOM = 16, 65536  # bytes that decoding may make of each byte, and of any text
_SHORTEST = 4  # bytes of a value that is looked for in what a text decodes to: fewer are there by chance
_LONG = 8  # bytes, from which white space and letter case no longer count
_MANY = 64  # values that are looked for one by one

# what hides values that this run does not know: the keys of others' URLs, tokens that came in an answer
_UNKNOWN = (
    re.compile(r"(://)[^/\s\"'<>@]{1,1000}(?=@)"),
    re.compile(r"([?&;][^=&?;\s\"'<>]{1,100}=)[^&\s\"'<>]+"),
    re.compile(
        r'("[^"\\\s]{0,40}(?:token|secret|password)[^"\\\s]{0,40}\\?"\s{0,9}:\s{0,9}\\?")(?:[^"\\]|\\.)+', re.IGNORECASE
    ),
)
RUNNER_COMMAND = re.compile(r"(##\w{0,20})\[")
# Unicode's default ignorable code points, as far as Python calls them printable
_IGNORED_BY_ALL = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

_ESCAPE = re.compile(
    rb"(?P<units>(?:[\\%]u[0-9A-Fa-f]{4})+)|\\U(?P<wide>[0-9A-Fa-f]{8})|\\u\{(?P<braced>[0-9A-Fa-f]{1,6})\}"
    rb"|(?:%|\\x)(?P<byte>[0-9A-Fa-f]{2})|(?P<entity>&#?[0-9A-Za-z]{1,31};?)|\\(?P<other>.)",
    re.DOTALL,
)
_UNIT_MARK = re.compile(rb"[\\%]u")
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"f": b"\f", b"b": b"\b"}
_LEGIBLE = bytes(ord("x") if 9 <= code <= 13 or 32 <= code < 127 else 0 for code in range(256))  # marks text
_SHORTEST_ENCODED = b"x" * 6  # characters that a value takes at least, encoded, as `_LEGIBLE` marks them
_HEX_MARK = re.compile(rb"0[xX]")
_NO_HEX = bytes(set(range(256)) - set(b"0123456789abcdefABCDEF"))
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_NO_BASE64 = bytes(set(range(256)) - set(_BASE64))
_STANDARD = bytes.maketrans(b"-_", b"+/")
_IGNORED = bytes({*range(33), *b"+\\\x7f", *range(128, 256)})  # white space (of forms, too), and what is not ASCII
_LOWER = bytes(range(256)).lower()


class Redactor:
    """Knows the values of this run that must not be seen, and keeps them out of foreign text. Safe among threads."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._waiting: list[Callable[[], Iterable[str]]] = []
        self._clear: frozenset[str] = frozenset()  # these are replaced as a whole, so that readers need no lock
        self._short: frozenset[bytes] = frozenset()
        self._long: frozenset[bytes] = frozenset()  # as `_essence` has them
        self._lock = threading.Lock()

    def learn(self, values: Iterable[str]) -> None:
        """Take in values to hide; empty ones are passed over."""
        with self._lock:
            if fresh := {value for value in values if value} - self._values:
                self._values |= fresh
                forms = {form for value in fresh for form in _forms(value) if len(form) >= _SHORTEST}
                self._clear |= fresh | {form.decode("utf-8", "replace") for form in forms}
                self._short |= {form for form in forms if len(_essence(form)) < _LONG}
                self._long |= {made for form in forms if len(made := _essence(form)) >= _LONG}

    def values(self) -> frozenset[str]:
        """Return every known value, those that wait to be looked up as well."""
        for values in self._waiting:
            self.learn(values())
        self._waiting = []
        return self._values

    def learn_later(self, values: Callable[[], Iterable[str]]) -> None:
        """Take in where to find values to hide: they are looked up when there first is a foreign text to show."""
        self._waiting.append(values)

    def clean(self, text: str) -> str:
        """Mask every known value in a foreign text; NOT_SHOWN where the text holds one in an encoded form."""
        self.values()
        looked_at, end = text[:_LOOKED_AT], len(text) if len(text) <= _LOOKED_AT else _LOOKED_AT // 2
        shown = masked(looked_at, self._clear)
        if self._is_encoded_in(looked_at, shown, self._short):
            return NOT_SHOWN
        return shown if end == len(text) else masked(looked_at, self._clear, end)

    def holds(self, text: str, *, only_long: bool = False) -> bool:
        """Whether a text of any length holds a known value of four bytes or more, or eight, in clear or encoded."""
        self.values()
        return self._is_encoded_in(text, text, frozenset() if only_long else self._short)

    def quote(self, text: str) -> str:
        """Make foreign text fit for an error message: redacted, on one line, printable, cut at 256 characters.

        Hides also what only looks like a secret: user information and query values of URLs, tokens in JSON.
        """
        known_hidden = self.clean(text)
        for pattern in _UNKNOWN:
            known_hidden = pattern.sub(rf"\1{_MASK}", known_hidden)
        line = printable(" ".join(known_hidden.split()))
        return line if len(line) <= QUOTED_LENGTH else line[: QUOTED_LENGTH - 1] + "…"

    def _is_encoded_in(self, text: str, masked: str, short: Collection[bytes]) -> bool:
        """Whether a text decodes to a known value, or to more than there is time to look at."""
        room = _ROOM + _GROWTH * len(text)
        for made in _decoded(utf_8(text), utf_8(masked)):
            room -= len(made)
            if room < 0 or any_in(short, made) or any_in(self._long, _essence(made)):
                return True
        return False


def printable(text: str) -> str:
    """Write every character that could steer a terminal or hide text (controls, direction marks) as an escape.

    And `##[` and `##vso[`, which CI runners take for commands wherever they stand in a line.
    Sources: GitHub's runner, ActionCommand.cs, the older of its two forms; Azure Pipelines' logging commands.
    """
    text = RUNNER_COMMAND.sub(r"\1\\x5b", text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if is_visible(c) else c.encode("unicode_escape").decode("ascii") for c in text)


def is_visible(character: str) -> bool:
    """Whether a reader sees a character, and .NET, in which runners are written, when it compares texts."""
    return character.isprintable() and not _IGNORED_BY_ALL.match(character)


def masked(text: str, forms: Iterable[str], end: int | None = None) -> str:
    """Return a text up to `end` with a mask over all that any form covers; forms may overlap."""
    end = len(text) if end is None else end
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


def _forms(value: str) -> Iterator[bytes]:
    """Yield what a text that was decoded may hold of a value: itself, trimmed, misread, and what it decodes to."""
    text = value.strip()
    forms = [utf_8(text)]
    if not text.isascii():
        encodings = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", *(("latin-1",) if max(text) <= "\xff" else ()))
        raw = [text.encode(encoding, "surrogatepass").replace(b"\0", b"") for encoding in encodings]
        forms += [utf_8(forms[0].decode("latin-1")), *raw, *(each.decode("utf-8", "replace").encode() for each in raw)]
    forms.append(forms[0].replace(b" ", b"+"))
    for form in forms:
        yield form
        for _ in range(_DEPTH):  # what stands in a URL is decoded by whoever gets it
            form = _unescaped(form)
            yield form


def _decoded(whole: bytes, masked: bytes) -> Iterator[bytes]:
    """Yield all that a text may be decoded to. `masked`: without what stands there in clear, which escapes leave."""
    yield masked.replace(b"\0", b"")  # before a backslash takes what follows it along
    level = [(whole, masked)]
    for _ in range(_DEPTH):
        following = []
        for text, without in level:
            plain = _unescaped(without)
            if plain != without:
                yield plain.replace(b"\0", b"")
                following.append((plain, plain))
            legible: list[bytes] = []
            for made in _runs(text):
                made = made.replace(b"\0", b"")
                yield made
                legible += _legible(made)  # of what was no base64, hardly anything
            following.append((b" ".join(legible),) * 2)
        level = following


def _unescaped(data: bytes) -> bytes:
    """Undo escapes of URLs, JSON, Python and HTML, once; and of UTF-16 and line breaks what they add."""
    data = data.translate(None, b"\0\r\n")
    return _ESCAPE.sub(_plain, data) if b"%" in data or b"\\" in data or b"&" in data else data


def _plain(match: re.Match[bytes]) -> bytes:
    kind = match.lastgroup or ""
    found = match[kind]
    match kind:
        case "byte":
            return bytes.fromhex(found.decode())
        case "units":
            units = bytes.fromhex(_UNIT_MARK.sub(b"", found).decode())
            return utf_8(units.decode("utf-16-be", "surrogatepass"))
        case "wide" | "braced":
            return utf_8(chr(code)) if (code := int(found, 16)) < 0x110000 else found
        case "entity":
            from html import unescape  # rarely needed

            return utf_8(unescape(found.decode()).replace("\ufffd", ""))
    return _CONTROLS.get(found, found)


def _runs(data: bytes) -> Iterator[bytes]:
    """Decode hex and base64, wherever it starts in a text, and whatever stands between its characters."""
    digits = _HEX_MARK.sub(b"", data).translate(None, _NO_HEX) + b"0"
    for start in range(2):
        yield a2b_hex(digits[start : len(digits) - (len(digits) - start) % 2])
    letters = data.translate(_STANDARD, _NO_BASE64) + b"AAAA"
    for start in range(4):
        yield a2b_base64(letters[start : len(letters) - (len(letters) - start) % 4])


def _legible(data: bytes) -> Iterator[bytes]:
    """Yield what may be text in data, and long enough to be an encoded value. By finding: a pattern is slow here."""
    marks = data.translate(_LEGIBLE) + b"\0"
    start = marks.find(_SHORTEST_ENCODED)
    while start >= 0:
        end = marks.find(0, start)
        yield data[start:end]
        start = marks.find(_SHORTEST_ENCODED, end)


def _essence(data: bytes) -> bytes:
    """Return what stays the same of a value when it is trimmed, broken into lines, or written in capitals."""
    return data.translate(_LOWER, _IGNORED)


def any_in(values: Collection[bytes], data: bytes) -> bool:
    """Whether one of many values, each of four bytes or more, is in data."""
    if len(values) > _MANY:  # then only those whose first bytes are there
        by_start = _by_start(frozenset(values))
        words = (memoryview(data)[at : len(data) - (len(data) - at) % 4].cast("I") for at in range(min(4, len(data))))
        values = [value for found in words for start in by_start.keys() & found for value in by_start[start]]
    return any(value in data for value in values)


@lru_cache(maxsize=4)
def _by_start(values: frozenset[bytes]) -> dict[int, list[bytes]]:
    """Group values by their first four bytes, as a number."""
    found: dict[int, list[bytes]] = {}
    for value in values:
        found.setdefault(memoryview(value[:4]).cast("I")[0], []).append(value)
    return found


def utf_8(text: str) -> bytes:
    """Encode any text, half a surrogate pair as well."""
    return text.encode("utf-8", "surrogatepass")
