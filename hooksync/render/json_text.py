"""Records as JSON: canonical, with its digest, and indented. Pure.

All of it is ASCII, so that a stream of any encoding takes it.
"""

from __future__ import annotations

import json

import msgspec.json

from hooksync import __version__
from hooksync.core.errors import ExitCode
from hooksync.core.record import show, to_builtins

ERROR_FORMAT = "hooksync.error/1"


def canonical(data: object) -> bytes:
    """Write data as canonical JSON: sorted, compact, ASCII. Records are objects.

    msgspec takes a fifth of the time that `json` takes, but does not escape what is not ASCII.
    """
    try:
        text = msgspec.json.encode(data, order="sorted", enc_hook=show)
        if text.isascii() and b"\x7f" not in text:
            return text
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, or a number of many digits
        pass
    encoded = json.dumps(to_builtins(data, enc_hook=show), sort_keys=True, separators=(",", ":"))
    return encoded.encode()


def to_text(document: object) -> str:
    """Write a document, indented. The canonical text is not kept: a large plan has megabytes."""
    try:
        return msgspec.json.format(canonical(document), indent=2).decode() + "\n"
    except msgspec.DecodeError:  # half a surrogate pair
        return json.dumps(json.loads(canonical(document)), indent=2) + "\n"


def result_json(form: str, exit_code: ExitCode, **fields: object) -> str:
    """Write the result of a command other than a plan. `form`: the document's format."""
    head = {"format": form, "exit_code": int(exit_code), "hooksync_version": __version__}
    return to_text({**head, **fields})
