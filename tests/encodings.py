"""The encodings in which an answer may contain a secret."""

from __future__ import annotations

import base64
import html
import html.entities
import json
from array import array
from collections.abc import Callable
from urllib.parse import quote, quote_plus


def of_each(write: Callable[[int], str]) -> Callable[[str], str]:
    """Return an encoder of every single byte, even of bytes that other encoders leave unchanged."""
    return lambda text: "".join(map(write, text.encode()))


def as_base64(before: bytes = b"", after: bytes = b"") -> Callable[[str], str]:
    return lambda text: base64.b64encode(before + text.encode() + after).decode()


def as_url_base64(before: bytes = b"") -> Callable[[str], str]:
    return lambda text: base64.urlsafe_b64encode(before + text.encode()).decode().rstrip("=")


ENCODERS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON, not ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON with \\/": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    "\\u of all": lambda text: "".join(
        f"\\u{unit:04X}" for unit in array("H", text.encode("utf-16")[2:])
    ),
    "\\u of every second": lambda text: "".join(
        f"\\u{ord(c):04x}" if i % 2 or c == "\\" else c for i, c in enumerate(text)
    ),
    "percent": lambda text: quote(text, safe=""),
    "percent, / left": quote,
    "percent of all": of_each("%{:02X}".format),
    "percent of all, lower case": of_each("%{:02x}".format),
    "a form": quote_plus,
    "hex": of_each("{:02x}".format),
    "hex, upper case": of_each("{:02X}".format),
    "HTML": html.escape,
    "HTML, quotes left": lambda text: html.escape(text, quote=False),
    "HTML, named": lambda text: "".join(
        f"&{html.entities.codepoint2name.get(ord(c), f'#{ord(c)}')};" for c in text
    ),
    "HTML, decimal": lambda text: "".join(f"&#{ord(c):07};" for c in text),
    "HTML, hex": lambda text: "".join(f"&#X{ord(c):x};" for c in text),
    "HTML, no semicolons": lambda text: "".join(f"&#{ord(c)}" for c in text),
    "base64": as_base64(),
    "base64 after one byte": as_base64(b"{"),
    "base64 after two bytes, in more": as_base64(b"p=", b"\xff\xfe more"),
    "our JSON, in JSON": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "\\u of all, in JSON": lambda text: json.dumps("".join(f"\\u{ord(c):04x}" for c in text)),
    "our form, in HTML": lambda text: html.escape(quote_plus(text)),
    "base64 for URLs": as_url_base64(),
    "base64 for URLs after one byte": as_url_base64(b"\xff"),
    "base64 for URLs after two bytes": as_url_base64(b"\xff\xff"),
    "Python escapes": of_each("\\x{:02x}".format),
    "base64 within more": as_base64(b'{"secret": "', b'"}'),
}
