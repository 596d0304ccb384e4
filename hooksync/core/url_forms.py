"""The forms of a URL: the normal one that identities are compared in, and the masked one that may be shown. Pure."""

from __future__ import annotations

import re

DEFAULT_PORTS = {"http": 80, "https": 443}

_AFTER_NETLOC = re.compile("[/?#]")


def normal_url(url: str) -> str:
    """Bring a URL into the form that identities are compared in; what is no http(s) URL stays as it is.

    Path and query are left alone: `/a%20b` and `/a b` are two receivers to some servers.
    """
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in DEFAULT_PORTS:
        return url
    netloc, tail = split_netloc(rest)
    user, at, host = netloc.rpartition("@")
    host = host.lower()
    name, colon, port = host.rpartition(":")
    if colon and (port == "" or port == str(DEFAULT_PORTS[scheme])):
        host = name
    slash = "" if tail.startswith("/") else "/"
    return f"{scheme}://{user}{at}{host}{slash}{tail}"


def split_netloc(rest: str) -> tuple[str, str]:
    """Cut what follows `://` into user, host and port, and the rest from the first `/`, `?` or `#` on."""
    found = _AFTER_NETLOC.search(rest)
    end = found.start() if found else len(rest)
    return rest[:end], rest[end:]


def masked_url(url: str) -> str:
    """Hide what may be a key in a live URL: user information, the values of its query, its fragment."""
    head, hash_mark, fragment = url.partition("#")
    head, question_mark, query = head.partition("?")
    scheme, separator, rest = head.partition("://")
    netloc, path = split_netloc(rest) if separator else ("", head)
    _, at, host = netloc.rpartition("@")
    shown = f"{scheme}://{'***@' if at else ''}{host}{path}" if separator else head
    if query:
        pairs = (pair.partition("=") for pair in query.split("&"))
        query = "&".join(f"{name}=***" if equals else "***" for name, equals, _ in pairs)
    return f"{shown}{question_mark}{query}{hash_mark}{'***' if fragment else ''}"
