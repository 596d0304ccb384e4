"""Finds the values that no reader may see, and masks them. No I/O.

All output passes through `core/output.py`, which masks them. Foreign text (a response, the message
of a library's exception) is also masked when it arrives, before it is cut or put into a message.

A value is found in clear, in hex and in base64. If it has percent, JSON or HTML escapes, its whole
line is masked: one level of encoding. If a peer splits or encrypts a value, it is not found.
"""

from __future__ import annotations

import json
import re
import threading
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from html import unescape
from urllib.parse import unquote

from hooksync.core.urls import masked_url

QUOTED_LENGTH = 256  # characters of an answer that an error quotes
# characters; output masks no shorter value, because it may be part of an ordinary word
SHORTEST_MASKED = 8
_MASK = "***"
_LONGEST_SEARCHED = 64 * 1024  # characters; a longer text is searched up to here, and cut to half

# find values that this run does not know: keys in other people's URLs, tokens in an answer; they
# are compiled only if an answer is quoted
_UNKNOWN = (
    r"(://)[^/\s\"'<>@]{1,1000}(?=@)",
    r"([?&;][^=&?;\s\"'<>]{1,100}=)[^&\s\"'<>]+",
    r'(?i)("[^"\\\s]{0,40}(?:token|secret|password)[^"\\\s]{0,40}\\?"\s{0,9}:\s{0,9}\\?")(?:[^"\\]|\\.)+',
)
_URL = re.compile(r"""[A-Za-z][A-Za-z0-9+.-]{0,30}://(?:[^\s"'<>\\]|\\(?!["']))+""")
RUNNER_COMMAND = re.compile(r"(##\w{0,20})\[")
# the default ignorable code points of Unicode that Python calls printable
_IGNORED_BY_ALL = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

_LINE = re.compile(r"[^\r\n]+")
_BACKSLASH = re.compile(r"\\(?:u[0-9A-Fa-f]{4}(?:\\u[0-9A-Fa-f]{4})*|x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_URL_SAFE = str.maketrans("+/", "-_")

Span = tuple[int, int]  # where a known value is in a text


class Redactor:
    """Knows the secret values of this run, and finds them in texts. Thread-safe."""

    def __init__(self) -> None:
        # the forms in which a text may contain the values; `learn` replaces the set
        self._forms: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def learn(self, values: Iterable[str]) -> None:
        """Add values to hide, without the white space around them; empty ones are ignored."""
        with self._lock:
            fresh = {value.strip() for value in values} - self._forms - {""}
            self._forms = self._forms.union(*map(_forms, fresh))

    def find(self, text: str, shortest: int = 1) -> list[Span]:
        """Find every known value in a text. If it has escapes, the whole line is found.

        `shortest`: the least number of characters of a form that is searched for.
        """
        forms = self._forms
        spans = _spans(text, forms, shortest)
        for decode in (unquote, _without_entities, without_escapes, _without_doubled):
            decoded = decode(text)
            if decoded == text or not _spans(decoded, forms, shortest):
                continue
            lines = []
            for line in _LINE.finditer(text):
                if _spans(decode(line[0]), forms, shortest):
                    lines.append(line.span())
            spans += lines or [(0, len(text))]  # a value may extend over several lines
        return spans

    def holds(self, text: str) -> bool:
        """Whether a text contains a known value, in a form of eight characters or more."""
        return bool(self.find(text, SHORTEST_MASKED))

    def mask(self, text: str) -> str:
        """Mask every known value in a text, in a form of eight characters or more."""
        return _masked(text, self.find(text, SHORTEST_MASKED))

    def clean(self, text: str) -> str:
        """Mask every known value in a foreign text, even a very short one.

        A text longer than `_LONGEST_SEARCHED` is cut to half of that.
        """
        looked_at = text[:_LONGEST_SEARCHED]
        shown = text if text == looked_at else text[: _LONGEST_SEARCHED // 2]
        return _masked(shown, self.find(looked_at))

    def quote(self, text: str) -> str:
        """Make foreign text fit for an error message: masked, one line, at most 256 characters.

        It also hides what only looks like a secret: tokens, and in any URL what `masked_url` hides.
        """
        hidden = self.clean(text).replace("\\/", "/")  # some programs write JSON in this way
        hidden = _URL.sub(lambda url: masked_url(url[0]), hidden)
        for pattern in _UNKNOWN:
            hidden = re.sub(pattern, rf"\1{_MASK}", hidden)
        line = printable(" ".join(hidden.split()))
        return cut(line, QUOTED_LENGTH)


def _spans(text: str, forms: Iterable[str], shortest: int) -> list[Span]:
    """Find the forms of at least `shortest` characters in a text. The spans may overlap."""
    spans = []
    for form in forms:
        start = text.find(form) if len(form) >= shortest else -1
        while start >= 0:
            spans.append((start, start + len(form)))
            start = text.find(form, start + 1)
    return spans


def _masked(text: str, spans: Iterable[Span]) -> str:
    """Return a text with all spans masked. Spans may overlap, or lie beyond its end."""
    pieces: list[str] = []
    covered = 0  # the text up to here is copied or masked
    for start, end in sorted(spans):
        if end > covered:
            pieces += [text[covered:start], _MASK]
            covered = end
    return "".join([*pieces, text[covered:]])


def _forms(value: str) -> Iterator[str]:
    """Yield a value as it is, as we print and send it, percent-decoded, in hex and in base64."""
    yield value
    yield printable(value)
    yield json.dumps(value)[1:-1]
    yield value.replace(" ", "+")  # as a log-in sends it: form-encoded
    yield unquote(value)
    data = utf_8(value)
    encoded = [data.hex(), data.hex().upper()]
    for before in range(3):  # bytes before the value in the same group of three
        base64 = b2a_base64(bytes(before) + data, newline=False).decode()
        # the characters that encode only bits of the value
        own = base64[(8 * before + 5) // 6 : 8 * (before + len(data)) // 6]
        encoded += [own, own.translate(_URL_SAFE)]
    for form in encoded:
        if len(form) >= SHORTEST_MASKED:  # a shorter one may occur by chance
            yield form


def without_escapes(text: str) -> str:
    """Replace the JSON escapes in a text by their characters."""
    return _BACKSLASH.sub(_of_backslash, text)


def _without_doubled(text: str) -> str:
    """Replace the JSON escapes of JSON in a JSON string, whose backslashes are doubled."""
    return without_escapes(text.replace("\\\\", "\\"))


def _of_backslash(escape: re.Match[str]) -> str:
    """Return the character that an escape with a backslash means."""
    written = escape[0].replace("\\x", "\\u00")
    try:
        decoded: str = json.loads(f'"{written}"')
    except ValueError:  # JSON has no such escape
        return written[1:]
    return decoded


def _without_entities(text: str) -> str:
    """Replace the HTML escapes in a text by their characters."""
    try:
        return unescape(text)
    except ValueError:  # Python reads no number of many digits
        return text


def printable(text: str) -> str:
    """Escape every character that could control a terminal or hide text, and CI commands.

    CI runners take `##[` and `##vso[` for commands, anywhere in a line. Sources: GitHub's runner,
    ActionCommand.cs, the older of its two forms; Azure Pipelines' logging commands.
    """
    text = RUNNER_COMMAND.sub(r"\1\\x5b", text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def cut(text: str, length: int) -> str:
    """Return at most `length` characters of a text, the last of which shows that more are cut."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _visible(character: str) -> str:
    if is_visible(character):
        return character
    return character.encode("unicode_escape").decode("ascii")


def is_visible(character: str) -> bool:
    """Whether people see a character, and .NET (CI runners use it) does not ignore it."""
    return character.isprintable() and not _IGNORED_BY_ALL.match(character)


def utf_8(text: str) -> bytes:
    """Encode any text, even one with half of a surrogate pair."""
    return text.encode("utf-8", "surrogatepass")
