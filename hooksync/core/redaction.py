"""Finds the values that no reader may see, and masks them. No I/O.

The one exit (`core/output.py`) masks them in all that hooksync writes. Text of others (a response,
the text of a library's exception) is masked when it arrives as well, before it is cut or put into a
message.

A value is found in clear, in hex, in base64, and if percent, JSON or HTML escapes stand for any of
its characters: one level of encoding. A peer can always split or encrypt a value; nothing here
finds that.
"""

from __future__ import annotations

import re
import threading
from array import array
from binascii import b2a_base64
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

QUOTED_LENGTH = 256  # characters of an answer that an error quotes
# characters of a value that the exit masks; a shorter one may be a part of any word
SHORTEST_MASKED = 8
_MASK = "***"
_LOOKED_AT = 64 * 1024  # characters of a long text; the first half of them may be shown

# what hides values that this run does not know: the keys of others' URLs, tokens in an answer
_UNKNOWN = (
    re.compile(r"(://)[^/\s\"'<>@]{1,1000}(?=@)"),
    re.compile(r"([?&;][^=&?;\s\"'<>]{1,100}=)[^&\s\"'<>]+"),
    re.compile(
        r'("[^"\\\s]{0,40}(?:token|secret|password)[^"\\\s]{0,40}\\?"\s{0,9}:\s{0,9}\\?")(?:[^"\\]|\\.)+',
        re.IGNORECASE,
    ),
)
RUNNER_COMMAND = re.compile(r"(##\w{0,20})\[")
# Unicode's default ignorable code points, as far as Python calls them printable
_IGNORED_BY_ALL = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

# each begins with a literal character: a pattern without one takes a hundred times as long
_PERCENT = re.compile("%[0-9A-Fa-f]{2}(?:%[0-9A-Fa-f]{2})*")
_ENTITY = re.compile("&(?:#[0-9]{1,31}|#[xX][0-9A-Fa-f]{1,31}|[0-9A-Za-z]{1,31});?")
_BACKSLASH = re.compile(r"\\(?:u[0-9A-Fa-f]{4}(?:\\u[0-9A-Fa-f]{4})*|x[0-9A-Fa-f]{2}|.)", re.DOTALL)
# a body that is JSON doubles the backslashes in its strings
_DOUBLED = re.compile(r"\\\\{1,7}(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2})")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "b": "\b"}
_URL_SAFE = str.maketrans("+/", "-_")

Span = tuple[int, int, str]  # start and end in a text, and the value that is found there


class Redactor:
    """Knows the values of this run that must not be seen, and finds them in texts.

    Safe among threads.
    """

    def __init__(self) -> None:
        # what a text may hold of a value, and that value; replaced as a whole
        self._forms: dict[str, str] = {}
        self._lock = threading.Lock()

    def learn(self, values: Iterable[str]) -> None:
        """Take in values to hide, without the white space around them; empty ones are ignored."""
        with self._lock:
            fresh = {value.strip() for value in values} - self._forms.keys() - {""}
            if fresh:
                self._forms = self._forms | {
                    form: value for value in fresh for form in _forms(value)
                }

    def find(self, text: str, shortest: int = 1) -> list[Span]:
        """Find every known value in a text, in clear or encoded.

        `shortest`: characters that are there of it.
        """
        forms = self._forms
        if not forms:
            return []
        spans = _spans(text, forms, shortest)
        for pattern, decode in _ESCAPES:
            decoded = pattern.sub(decode, text)
            if decoded == text:
                continue
            found = _spans(decoded, forms, shortest)
            starts = _starts(text, pattern, decode) if found else []
            for start, end, value in found:
                end_of_last = bisect_right(starts, starts[end - 1])
                spans.append((starts[start], starts[end_of_last], value))
        return spans

    def holds(self, text: str) -> bool:
        """Whether a text holds a known value of eight characters or more."""
        return bool(self.find(text, SHORTEST_MASKED))

    def clean(self, text: str) -> str:
        """Mask every known value in a text of others, however short.

        Of a long text, only its beginning is left.
        """
        looked_at = text[:_LOOKED_AT]
        shown = text if text == looked_at else text[: _LOOKED_AT // 2]
        return masked(shown, self.find(looked_at))

    def quote(self, text: str) -> str:
        """Make foreign text fit for an error message: redacted, one line of 256 characters.

        Hides also what only looks like a secret: user information and query values of URLs, tokens.
        """
        known_hidden = self.clean(text)
        for pattern in _UNKNOWN:
            known_hidden = pattern.sub(rf"\1{_MASK}", known_hidden)
        line = printable(" ".join(known_hidden.split()))
        return line if len(line) <= QUOTED_LENGTH else line[: QUOTED_LENGTH - 1] + "…"


def _spans(text: str, forms: Mapping[str, str], shortest: int) -> list[Span]:
    """Find the forms that have so many characters in a text. They may overlap."""
    spans = []
    for form, value in forms.items():
        start = text.find(form) if len(form) >= shortest else -1
        while start >= 0:
            spans.append((start, start + len(form), value))
            start = text.find(form, start + 1)
    return spans


def masked(text: str, spans: Iterable[Span]) -> str:
    """Return a text with all spans masked; spans may overlap, or be beyond its end."""
    pieces: list[str] = []
    covered = 0  # up to here the text is written or masked
    for start, end, _ in sorted(spans):
        if end > covered:
            pieces += [text[covered:start], _MASK]
            covered = end
    return "".join([*pieces, text[covered:]])


def _forms(value: str) -> Iterator[str]:
    """Yield a value as it is, as we print and send it, as URLs decode it, in hex and in base64."""
    import json  # only here: most commands know no value

    yield value
    yield printable(value)
    yield json.dumps(value)[1:-1]
    yield value.replace(" ", "+")  # in the form of a log-in
    yield _PERCENT.sub(_of_percent, value)
    data = utf_8(value)
    encoded = [data.hex(), data.hex().upper()]
    for before in range(3):  # bytes before it in the same group of three
        base64 = b2a_base64(bytes(before) + data, newline=False).decode()
        start = (8 * before + 5) // 6
        end = 8 * (before + len(data)) // 6
        own = base64[start:end]  # the characters that depend on nothing around the value
        encoded += [own, own.translate(_URL_SAFE)]
    for form in encoded:
        if len(form) >= SHORTEST_MASKED:  # or else it may be there by chance
            yield form


def without_escapes(text: str) -> str:
    """Undo the escapes of JSON in a text."""
    return _BACKSLASH.sub(_of_backslash, text)


def _of_percent(escape: re.Match[str]) -> str:
    from urllib.parse import unquote  # only here: `validate` does without

    return unquote(escape[0])


def _of_entity(escape: re.Match[str]) -> str:
    from html import unescape  # only here: most runs see none

    return unescape(escape[0])


def _of_backslash(escape: re.Match[str]) -> str:
    import json  # only here: as in `_forms`

    if len(escape[0]) == 2:
        return _CONTROLS.get(escape[0][1], escape[0][1])
    units = escape[0].replace("\\x", "\\u00")
    decoded: str = json.loads(f'"{units}"')
    return decoded


def _of_doubled(escape: re.Match[str]) -> str:
    letter_and_digits = escape[0].lstrip("\\")
    return chr(int(letter_and_digits[1:], 16))


_ESCAPES = (
    (_PERCENT, _of_percent),
    (_ENTITY, _of_entity),
    (_BACKSLASH, _of_backslash),
    (_DOUBLED, _of_doubled),
)


def _starts(
    text: str, pattern: re.Pattern[str], decode: Callable[[re.Match[str]], str]
) -> Sequence[int]:
    """Return where each character of the decoded text comes from, and the end of the text."""
    starts = array("Q")
    position = 0
    for escape in pattern.finditer(text):
        starts.extend(range(position, escape.start()))
        starts.extend([escape.start()] * len(decode(escape)))
        position = escape.end()
    starts.extend(range(position, len(text) + 1))
    return starts


def printable(text: str) -> str:
    """Escape every character that could control a terminal or hide text.

    And `##[` and `##vso[`, which CI runners take for commands wherever they stand in a line.
    Sources: GitHub's runner, ActionCommand.cs, the older of its two forms; Azure Pipelines' logging
    commands.
    """
    text = RUNNER_COMMAND.sub(r"\1\\x5b", text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if is_visible(character):
        return character
    return character.encode("unicode_escape").decode("ascii")


def is_visible(character: str) -> bool:
    """Whether a reader sees a character, and .NET (of CI runners) when it compares texts."""
    return character.isprintable() and not _IGNORED_BY_ALL.match(character)


def utf_8(text: str) -> bytes:
    """Encode any text, half a surrogate pair as well."""
    return text.encode("utf-8", "surrogatepass")
