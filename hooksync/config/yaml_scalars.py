"""What YAML 1.1 makes of a word without quotes: `off` is false, `0123` is 83, `12:30:45` is 45045.

Pure. The patterns are those of PyYAML's resolver (Source: PyYAML 6.0, resolver.py); a test compares the two.
"""

from __future__ import annotations

import re

from hooksync.config.yaml_nodes import Timestamp

WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
NUMBER_STARTS = frozenset("+-.0123456789")
_LONGEST_NUMBER = 1000  # characters; a longer one is infinite here: Python refuses to convert some, slowly does others

_INTEGER = re.compile(
    r"[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+)",
)
_FLOAT = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?"
    r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
)
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
    r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?",
)


def read_plain(text: str) -> object:
    """Read a scalar without quotes: None, bool, int, float, Timestamp, or else the text itself."""
    if text in WORDS:
        return WORDS[text]
    if text[0] in NUMBER_STARTS:
        return _read_number(text)
    return text


def _read_number(text: str) -> object:
    if _INTEGER.fullmatch(text):
        return _integer(text.replace("_", "")) if len(text) <= _LONGEST_NUMBER else float("inf")
    if _FLOAT.fullmatch(text):
        return _float(text.replace("_", "").lower()) if len(text) <= _LONGEST_NUMBER else float("inf")
    if _TIMESTAMP.fullmatch(text):
        return Timestamp(text)
    return text


def _integer(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if ":" in digits:
        return sign * int(_in_sixties(digits, int))
    for prefix, base in (("0b", 2), ("0x", 16), ("0", 8)):
        if digits.startswith(prefix):
            return sign * int(digits.removeprefix(prefix) or "0", base)
    return sign * int(digits)


def _float(text: str) -> float:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if digits in (".inf", ".nan"):
        return sign * float(digits[1:])
    return sign * (_in_sixties(digits, float) if ":" in digits else float(digits))


def _in_sixties(digits: str, number: type[int] | type[float]) -> float:
    """Add up `12:30:45` or `12:30.5`, each place worth 60 of the next. Floats throughout: a long integer is none."""
    total: float = 0
    for part in digits.split(":"):
        total = total * 60 + number(part)
    return total
