"""URLs: normal and masked forms, valid receivers and servers, which URLs a prefix owns. Pure.

No message quotes the URL that it is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import unquote

DEFAULT_PORTS = {"http": 80, "https": 443}

_PARTS = re.compile("(?:([^/?#]*?)://)?([^/?#]*)")
_NORMAL = re.compile(r"https?://(?:[a-z0-9-]+\.)*[a-z0-9-]+/")


def normal_url(url: str) -> str:
    """Return the normal form of a URL, for comparisons; any other text is returned unchanged.

    Path and query stay unchanged: for some servers, `/a%20b` and `/a b` are different receivers.
    """
    if _NORMAL.match(url):  # most URLs are in normal form already
        return url
    scheme, netloc, tail = split_url(url)
    if scheme not in DEFAULT_PORTS:
        return url
    user, at, place = netloc.rpartition("@")
    host, port = split_port(place.lower())
    host = host.removesuffix(".")
    if port and port != str(DEFAULT_PORTS[scheme]):
        host += f":{port}"
    slash = "" if tail.startswith("/") else "/"
    return f"{scheme}://{user}{at}{host}{slash}{tail}"


def split_url(url: str) -> tuple[str, str, str]:
    """Split a URL, even one with unfilled `${NAME}`, into scheme, netloc and the rest.

    The scheme is in lower case, and empty if there is no `://`; a variable may contain it. The
    netloc is user, host and port.
    """
    parts = _PARTS.match(url)
    assert parts  # noqa: S101  it matches any text
    return (parts[1] or "").lower(), parts[2], url[parts.end() :]


# compiled only for a URL that needs it: that takes as long as the rest of this module
_WITH_HOST = (
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^/\\?#]*@)?"
    r"(?P<host>(?:\[[0-9A-Fa-f:.]+\]|(?:[^][@:/\\?#%;=\x80-\U0010ffff]|%(?!40|3[Aa]))+)(?::[0-9]*)?)"
    r"(?P<path>/[^\\?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_HOLDS_NO_KEY = re.compile("https?://[a-z0-9.-]+(?::[0-9]+)?(?:/(?:[a-z]{7,11}|[a-z0-9._-]{0,6}))*")
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_PAIR = re.compile("[^?&;]+")
_WORD = re.compile("[A-Za-z0-9]{7,}")
_PERCENT = re.compile("%[0-9A-Fa-f]{2}")
_TO_OR_FROM_DIGITS = re.compile("(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
_VOWEL = re.compile("[aeiouy]", re.IGNORECASE)
_KEY_NAME = re.compile("code|key|password|secret|sig|token", re.IGNORECASE)
_LONG_WORD = 12  # characters


def _stars(name: str, value: str) -> str:
    return "***"


def masked_url(url: str, mask: Callable[[str, str], str] = _stars) -> str:
    """Hide what may be a key in a live URL: user, query values, fragment, key-like path segments.

    If the text is not a URL with a host in ASCII, all of it is hidden. `mask`: returns what to
    write instead of a part of path or query, or of all, by its name in the query and its text.
    """
    if _HOLDS_NO_KEY.fullmatch(url):  # most URLs; without this, 10,000 take a tenth of a plan
        return url
    match = re.fullmatch(_WITH_HOST, url, re.DOTALL)
    if not match:
        return mask("", url)

    def masked_pair(pair: re.Match[str]) -> str:
        """Hide the value of a pair; all of it if it has no value or a key-like name."""
        name, _, value = pair[0].partition("=")
        if value.strip("=") and not is_like_key(name):
            return f"{name}={mask(name, value)}"
        return mask("", pair[0])

    user = "***@" if match["user"] else ""
    segments = (match["path"] or "").split("/")
    for index, segment in enumerate(segments):
        if is_like_key(segment):
            segments[index] = mask("", segment)
    query = _PAIR.sub(masked_pair, match["query"] or "")
    fragment = "#***" if match["fragment"] else ""
    return f"{match['scheme']}://{user}{match['host']}{'/'.join(segments)}{query}{fragment}"


def has_literal_key(url: str) -> bool:
    """Whether a written URL has what looks like a key, or a value with the name of one.

    `${NAME}` does not look like a key.
    """
    _, _, tail = split_url(_VARIABLE.sub("", url))
    for pair in _PAIR.findall(tail):
        name, _, value = pair.partition("=")
        if value and "$" not in value and _KEY_NAME.search(name):
            return True
    return is_like_key(tail)


def is_like_key(part: str) -> bool:
    """Whether a part of a URL looks like a key: a word mixes letters and digits, or has few vowels.

    Words with a number (`hook2`), dates and slugs of these do not. This is a guess. Values of
    `${NAME}` do not depend on it: they are hidden because they are known.
    """
    for word in _WORD.findall(_PERCENT.sub("-", part)):
        if len(_TO_OR_FROM_DIGITS.findall(word)) > 1:
            return True
        if len(word) >= _LONG_WORD and 5 * len(_VOWEL.findall(word)) < len(word):
            return True
    return False


_HOST_NAME = re.compile("[A-Za-z0-9._-]+")
_PORT = re.compile("(?:[1-9][0-9]{0,4})?")
# systems take such a host for an IPv4 address; some accept spellings like `127.1` or `0x7f000001`
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?")
_NOT_IN_URL = re.compile("[ \u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb]")
# servers may read such a path as a different one: dot segments (for some servers, `..;x` is one),
# backslashes, escapes of `/ \ . %` or control characters, and a `%` that begins no escape
_DOUBTFUL = re.compile(
    r"/\.\.?(?:;[^/]*)?(?:/|\Z)|\\|%(?:2[5EF]|5C|[01][0-9A-F]|7F|(?![0-9A-F]{2}))", re.IGNORECASE
)


def server_fault(server: str) -> str | None:
    """Return why a text is not a valid server, to follow "the server"; None: it is valid."""
    url = _with_scheme(server)
    _, _, tail = split_url(url)
    return "has a path, a query or a fragment" if tail else url_fault(url)


# most URLs: https, a name whose last part is letters, a path in ASCII; nothing is wrong with them
_USUAL = re.compile(r"https://(?:[a-z0-9-]+\.)*[a-z]+/[!$-~]*")


def url_fault(url: str) -> str | None:
    """Return why a text is not a valid receiver URL, to follow "the URL"; None: it is valid."""
    if _USUAL.fullmatch(url):
        return None
    if not url.isprintable() or _NOT_IN_URL.search(url):
        return "contains white space, a control character or a typographic quotation mark"
    if "#" in url:
        return "has a fragment (#)"
    scheme, netloc, _ = split_url(url)
    if scheme not in DEFAULT_PORTS:
        return "is neither http nor https"
    if "@" in netloc:
        return "contains user information (@)"
    host, port = split_port(netloc)
    is_name = _HOST_NAME.fullmatch(host) and not _ENDS_IN_NUMBER.fullmatch(host)
    if not is_name and str(literal_address(host)) != host.lower().strip("[]"):
        return "has a host that is neither a name in ASCII nor an address like 192.0.2.1 or [::1]"
    return None if _PORT.fullmatch(port) and int(port or 0) < 2**16 else "has an invalid port"


def server_url(server: str) -> str:
    """Return the one spelling of a valid server: scheme, host and port."""
    scheme, netloc, _ = split_url(normal_url(_with_scheme(server)))
    return f"{scheme}://{netloc}"


def is_plain_http(url: str) -> bool:
    """Whether a URL uses http, and its host is not this machine."""
    scheme, netloc, _ = split_url(url)
    return scheme == "http" and not is_loopback(split_port(netloc)[0])


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: localhost, 127.0.0.0/8 or [::1].

    A name under localhost, such as `a.localhost`, does not count: any machine may have it.
    """
    address = literal_address(host)
    return address.is_loopback if address else host.lower() == "localhost"


def is_respelling(one: str, other: str) -> bool:
    """Whether two URLs differ at most in letter case, percent-encoding or slashes at the end."""
    first, second = (unquote(normal_url(url)).casefold().rstrip("/") for url in (one, other))
    return first == second


def owns_url(prefixes: frozenset[str], url: str) -> bool:
    """Whether a URL is under one of the prefixes.

    Whole path segments count: `https://h/api` owns `/api`, `/api/x` and `/api?x`, not `/apix`. No
    prefix owns an invalid URL or a doubtful path: servers read such URLs in different ways.
    """
    if not prefixes:
        return False
    scheme, netloc, tail = split_url(normal_url(url))
    path = re.split("[?#]", tail, maxsplit=1)[0]
    if url_fault(url) or _is_doubtful(path):
        return False
    here = f"{scheme}://{netloc}{path}"
    for prefix in prefixes:
        start = normal_url(prefix)
        if here == start or here.startswith(f"{start.removesuffix('/')}/"):
            return True
    return False


def _is_doubtful(path: str) -> bool:
    """Whether servers may read a path as a different one."""
    return bool(_DOUBTFUL.search(path)) or not unquote(path).isprintable()


def protects_url(prefixes: frozenset[str], url: str) -> bool:
    """Whether a URL may be under one of the prefixes, whatever its scheme. In doubt, it is.

    If a host is no plain name or address, it may be any host. If a path is doubtful, all URLs of
    its host count. The spellings of a path that some servers take for the same are the same here:
    letter case, escapes, `;x`, repeated slashes.
    """
    for prefix in prefixes:
        protected, start = _place(prefix)
        host, path = _place(url)
        if host and protected and host != protected:
            continue
        if path is None or start is None or path.startswith(start):
            return True
    return False


@lru_cache(maxsize=4096)
def _place(url: str) -> tuple[str | None, str | None]:
    """Return the host with its port, and the path with a final slash; None: it is doubtful."""
    _, netloc, tail = split_url(url)
    server = "https://" + re.sub(r"\A[^\\]*@", "", netloc)
    host = None if url_fault(server) else server_url(server).removesuffix(":80")
    path = re.split("[?#]", tail, maxsplit=1)[0]
    if _is_doubtful(path):
        return host, None
    plain = re.sub("(?:;[^/]*)?/+", "/", f"/{unquote(path)}/")
    return host, plain.casefold()


def _with_scheme(server: str) -> str:
    server = server.removesuffix("/")
    return server if "://" in server else f"https://{server}"


def split_port(netloc: str) -> tuple[str, str]:
    """Split a netloc into host and port; an IPv6 address is in brackets."""
    host, colon, port = netloc.rpartition(":")
    return (host, port) if colon and "]" not in port else (netloc, "")


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """Parse a host that is an IP address, such as `127.0.0.1` or `[::1]`. None: it is a name."""
    with suppress(ValueError):
        if not host.startswith("["):
            return IPv4Address(host)
        address = IPv6Address(host.removeprefix("[").removesuffix("]"))
        return address.ipv4_mapped or address
    return None
