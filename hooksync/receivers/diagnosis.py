"""The mistakes that only the signatures of events have. Pure.

A receiver that refuses genuine events is sent events with such signatures, one after the other.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from hooksync.receiver import EVENT_PREFIX
from hooksync.service.signatures import Mistake, usual_mistakes, wrong_messages

_RAW_FIX = (
    "take the raw bytes of the body, before a framework, a proxy or a relay such as smee changes"
    " them"
)
_PREFIX = EVENT_PREFIX.decode()
_PREFIX_FIX = f"sign the text {_PREFIX}, followed at once by the raw bytes of the body"
# between prefix and body
_SEPARATORS = {"a line break": b"\n", "a colon": b":", "a space": b" ", "a full stop": b"."}
# how programs write JSON, as arguments of json.dumps
_JSON_FORMS: dict[str, dict[str, Any]] = {
    "compact": {"separators": (",", ":")},
    "spaced": {},
    "indented": {"indent": 2},
    "indented by 4": {"indent": 4},
    "sorted compact": {"separators": (",", ":"), "sort_keys": True},
    "sorted spaced": {"sort_keys": True},
}


def event_mistakes(secret: bytes, body: bytes) -> Iterator[Mistake]:
    """Yield the mistakes that a sender may make in signing an event, or a receiver in checking."""
    right = EVENT_PREFIX + body
    messages = (
        (f"is made of the body alone, without {_PREFIX} before it", body),
        *(
            (f"has {name} between {_PREFIX} and the body", EVENT_PREFIX + separator + body)
            for name, separator in _SEPARATORS.items()
        ),
        ("has the prefix in different letters", b"Preservica-Webhook-Auth" + body),
        ("has the prefix after the body", body + EVENT_PREFIX),
    )
    yield from wrong_messages(secret, right, messages, _PREFIX_FIX)
    changed = ((f"is made of {what}", EVENT_PREFIX + other) for what, other in _changed(body))
    yield from wrong_messages(secret, right, changed, _RAW_FIX)
    yield from usual_mistakes(secret, right)


def _changed(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield descriptions and bodies, changed as servers, proxies and frameworks change them."""
    text = body.decode("utf-8", "replace")
    lines = body.replace(b"\r\n", b"\n")
    yield from (
        ("an empty body", b""),
        ("the first 64 kB of the body", body[:65536]),
        ("the body in lower case", body.lower()),
        ("the body in UTF-16", text.encode("utf-16-le")),
        ("the text undefined instead of the body", b"undefined"),
        ("the body in base64", base64.b64encode(body)),
        ("the body without white space at its ends", body.strip()),
        ("the body and a line break", body + b"\n"),
        ("the body with different line breaks", lines),
        ("the body with different line breaks", lines.replace(b"\n", b"\r\n")),
        ("the body in Latin-1 instead of UTF-8", text.encode("latin-1", "replace")),
        ("the body read as Latin-1 instead of UTF-8", body.decode("latin-1").encode()),
        ("the body cut to ASCII", text.encode("ascii", "ignore")),
        ("the body cut to ASCII", text.encode("ascii", "replace")),
    )
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        document = json.loads(body)
        for name, how in _JSON_FORMS.items():
            for is_ascii in (False, True):
                again = json.dumps(document, ensure_ascii=is_ascii, **how)
                what = f"the event written again as {name} JSON"
                yield what, again.encode("utf-8", "replace")
                yield f"{what} in Latin-1", again.encode("latin-1", "replace")
        for how in _JSON_FORMS.values():
            events = json.dumps(document["events"], ensure_ascii=False, **how)
            yield "the list of events alone", events.encode("utf-8", "replace")
