"""Bytes of a hooks file -> text that a YAML parser will take. Pure; it never quotes what it read."""

from __future__ import annotations

import codecs
import re

from hooksync.core.errors import FileError, Problem
from hooksync.core.model import Location

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SAVE_AS_UTF8 = "save the file as UTF-8"


def read_text(file: str, data: bytes) -> str:
    """Decode a file as UTF-8, a byte order mark at its start dropped.

    Raises FileError, with the place, for other encodings and for characters that YAML does not allow.
    """
    if _looks_like_utf16(data):
        raise FileError(Problem("the file is UTF-16, not UTF-8", _SAVE_AS_UTF8, Location(file, 1, 1)))
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        where = place_after(file, data[: error.start].decode("utf-8"))
        raise FileError(Problem("this byte is not UTF-8", _SAVE_AS_UTF8, where)) from None  # it would quote the bytes
    if forbidden := _FORBIDDEN.search(text):
        what = f"character U+{ord(forbidden[0]):04X} is not allowed in YAML"
        fix = 'remove it, or write it as an escape between double quotes, as in "\\x07"'
        raise FileError(Problem(what, fix, place_after(file, text[: forbidden.start()])))
    return text


def _looks_like_utf16(data: bytes) -> bool:
    """Tell by the byte order mark, or, without one, by a first character of which one byte is zero."""
    return data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (len(data) > 1 and 0 in data[:2])


def place_after(file: str, before: str) -> Location:
    """Say where a file goes on after the text before."""
    lines = _LINE_BREAK.split(before)
    return Location(file, len(lines), len(lines[-1]) + 1)
