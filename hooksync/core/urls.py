"""URLs: normal and masked forms, valid receivers and servers, which URLs a prefix owns. Pure.

No message quotes the URL that it is about, except the ASCII form of its host.
"""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, unquote

DEFAULT_PORTS = {"http": 80, "https": 443}

_AFTER_NETLOC = re.compile("[/?#]")
_NORMAL = re.compile("https?://[a-z0-9.-]+/")


def normal_url(url: str) -> str:
    """Return the normal form of a URL, for comparisons; any other text is returned unchanged.

    Path and query stay unchanged: for some servers, `/a%20b` and `/a b` are different receivers.
    """
    if _NORMAL.match(url):  # most URLs are in normal form already
        return url
    scheme, netloc, tail = split_url(url)
    if scheme not in DEFAULT_PORTS:
        return url
    user, at, host = netloc.rpartition("@")
    host = re.sub(f":(?:{DEFAULT_PORTS[scheme]})?\\Z", "", host.lower())
    slash = "" if tail.startswith("/") else "/"
    return f"{scheme}://{user}{at}{host}{slash}{tail}"


def split_url(url: str) -> tuple[str, str, str]:
    """Split a URL into scheme, netloc and the rest.

    The scheme is in lower case, and empty if there is no `://`. The netloc is user, host and port.
    """
    scheme, separator, rest = url.partition("://")
    match = _AFTER_NETLOC.search(rest)
    end = match.start() if match else len(rest)
    return scheme.lower() if separator else "", rest[:end], rest[end:]


def split_written(text: str) -> tuple[str, str, str]:
    """Split a URL with unfilled `${NAME}`; a variable may contain its scheme and `://`."""
    return split_url(text if _WITH_SCHEME.match(text) else f"://{text}")


_WITH_SCHEME = re.compile("[^/?#]*://")
_WITH_HOST = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^/\\?#]*@)?"
    r"(?P<host>(?:\[[0-9A-Fa-f:.]+\]|(?:[^][@:/\\?#%;=]|%(?!40|3[Aa]))+)(?::[0-9]*)?)"
    r"(?P<path>/[^\\?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?",
    re.DOTALL,
)
_HOLDS_NO_KEY = re.compile("https?://[a-z0-9.-]+(?::[0-9]+)?(?:/(?:[a-z]{7,11}|[a-z0-9._-]{0,6}))*")
_NOT_IN_HOST = re.compile("[/?#;=@]")
_PLAIN_TEXT = re.compile(r"[^:@\\?#%;=]*")
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_PAIR = re.compile("[^?&;]+")
_WORD = re.compile("[A-Za-z0-9]{7,}")
_PERCENT = re.compile("%[0-9A-Fa-f]{2}")
_TO_OR_FROM_DIGITS = re.compile("(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")
_VERSION = re.compile("v[0-9]+(?:alpha|beta|rc)[0-9]*")
_VOWEL = re.compile("[aeiouy]", re.IGNORECASE)
_LONG_WORD = 12  # characters
_LONGEST_HOST = 253  # characters of a name in the DNS


def masked_url(url: str) -> str:
    """Hide what may be a key in a live URL: user, query values, fragment, key-like path segments.

    If the text is not a URL with a host, and may hold a password, all of it is hidden.
    """
    if _HOLDS_NO_KEY.fullmatch(url):  # most URLs; without this, 10,000 take a tenth of a plan
        return url
    match = _WITH_HOST.fullmatch(url)
    if not match:
        return masked_path(url) if _PLAIN_TEXT.fullmatch(url) else "***"
    host = ascii_host(match["host"])
    if _NOT_IN_HOST.search(host):  # e.g. a full-width slash, which the ASCII form turns into `/`
        return "***"
    user = "***@" if match["user"] else ""
    path = masked_path(match["path"] or "")
    query = _PAIR.sub(lambda pair: masked_pair(pair[0]), match["query"] or "")
    fragment = "#***" if match["fragment"] else ""
    return f"{match['scheme']}://{user}{host}{path}{query}{fragment}"


def masked_pair(pair: str) -> str:
    """Hide the value of a pair of a query; all of it if it has no value or a key-like name."""
    name, _, value = pair.partition("=")
    return f"{name}=***" if value.strip("=") and not is_like_key(name) else "***"


def has_literal_key(url: str) -> bool:
    """Whether a value in the query of a written URL looks like a key. `${NAME}` does not."""
    pairs = _PAIR.findall(_VARIABLE.sub("", url.partition("?")[2]))
    return any(is_like_key(pair.partition("=")[2]) for pair in pairs)


def masked_path(path: str) -> str:
    """Hide the segments of a path that look like keys, and its parameters (`;name=value`)."""
    shown = []
    for segment in path.split("/"):
        head, mark, parameters = segment.partition(";")
        head = "***" if is_like_key(head) else head
        shown.append(f"{head};***" if parameters else f"{head}{mark}")
    return "/".join(shown)


def is_like_key(segment: str) -> bool:
    """Whether a path segment looks like a key: a word mixes letters and digits, or has few vowels.

    Words with a number (`hook2`), versions (`v1beta1`), dates and slugs of these do not. This is a
    guess. Values of `${NAME}` do not depend on it: they are hidden because they are known.
    """
    for word in _WORD.findall(_PERCENT.sub("-", segment)):
        changes = len(_TO_OR_FROM_DIGITS.findall(word))
        if changes > 1 and not _VERSION.fullmatch(word):
            return True
        if len(word) >= _LONG_WORD and 5 * len(_VOWEL.findall(word)) < len(word):
            return True
    return False


def ascii_host(host: str) -> str:
    """Write a host in ASCII, so that no letter looks like a different one: `xn--…`.

    A port may follow the host.
    """
    if host.isascii():
        return host
    name, colon, port = host.partition(":")
    with suppress(UnicodeError):  # a label is too long, or has letters that no host name can have
        if len(name) <= _LONGEST_HOST:  # the codec takes seconds for 100,000 characters
            return name.encode("idna").decode() + colon + port
    return quote(host, safe=":")


_TYPOGRAPHIC_QUOTES = "\u201c\u201d\u201e\u2018\u2019\u201a\u00ab\u00bb"
_HOST_NAME = re.compile(r"[^\\\"<>^`{|}%@:\[\]]+")
_PORT = re.compile("[1-9][0-9]{0,4}")
# systems take such a host for an IPv4 address; some accept spellings like `127.1` or `0x7f000001`
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?")
_SLASH = re.compile(r"[/\\]|%2f|%5c", re.IGNORECASE)


def url_fault(url: str) -> str | None:
    """Return why a text is not a valid receiver URL, to follow "the URL"; None: it is valid."""
    if fault := _text_fault(url):
        return fault
    if "#" in url:
        return "has a fragment (#)"
    scheme, netloc, _ = split_url(url)
    return _netloc_fault(netloc) if scheme in DEFAULT_PORTS else "is neither http nor https"


def prefix_fault(prefix: str) -> str | None:
    """Return why a text is no prefix for `owns` and `protect`, to follow "this prefix", or None."""
    if "${" in prefix:
        return "has a `${`, which is not filled in here"
    return url_fault(prefix) or ("has a query (?)" if "?" in prefix else None)


def server_fault(server: str) -> str | None:
    """Return why a text is not a valid server, to follow "the server"; None: it is valid."""
    if fault := _text_fault(server):
        return fault
    scheme, netloc, tail = split_url(_with_scheme(server))
    if scheme not in DEFAULT_PORTS:
        return "is neither a host nor a URL with http or https"
    if tail:
        return "has a path, a query or a fragment"
    return _netloc_fault(netloc)


def server_url(server: str) -> str:
    """Return the one spelling of a valid server: scheme, host and port.

    A name has no final dot, and an IPv4 address is not written as an IPv6 address.
    """
    scheme, netloc, _ = split_url(normal_url(_with_scheme(server)))
    host, port = split_port(netloc)
    address = literal_address(host)
    if address is None:
        host = host.removesuffix(".")
    else:
        host = f"[{address}]" if address.version == 6 else str(address)
    return f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"


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
    prefix owns a URL with user information, a backslash or dot segments: servers read such URLs in
    different ways.
    """
    if not prefixes:
        return False
    scheme, netloc, tail = split_url(normal_url(url))
    path = re.split("[?#]", tail, maxsplit=1)[0]
    if "@" in netloc or "\\" in url or _has_dot_segments(path):
        return False
    here = f"{scheme}://{netloc}{path}"
    for prefix in prefixes:
        start = normal_url(prefix)
        if here == start or here.startswith(f"{start.removesuffix('/')}/"):
            return True
    return False


def _has_dot_segments(path: str) -> bool:
    """Whether a path has dot segments for some server, e.g. `..;x` or encoded dots and slashes."""
    dotted = path.lower().replace("%2e", ".")
    if "." not in dotted:
        return False
    segments = [segment.partition(";")[0] for segment in _SLASH.split(dotted)]
    return not path.isprintable() or "." in segments or ".." in segments


def _text_fault(text: str) -> str | None:
    if " " in text or not text.isprintable():
        return "contains white space or a control character"
    if text[:1] in _TYPOGRAPHIC_QUOTES and text:
        return f'begins with {text[0]}, which YAML takes for text: write " or no quotation marks'
    return None


def _with_scheme(server: str) -> str:
    server = server.removesuffix("/")
    return server if "://" in server else f"https://{server}"


def _netloc_fault(netloc: str) -> str | None:
    if "@" in netloc:
        return "contains user information (@)"
    host, port = split_port(netloc)
    if not host:
        return "has no host"
    if host.startswith("["):
        if _ipv6(host) is None:
            return "has a host that is not an IPv6 address"
    elif not _HOST_NAME.fullmatch(host):
        return f"has an invalid host{' (write IPv6 in brackets)' if ':' in host else ''}"
    elif _ENDS_IN_NUMBER.fullmatch(host) and literal_address(host) is None:
        return "has a host that ends in a number, and is not an IPv4 address such as 192.0.2.1"
    elif not host.isascii():
        written = ascii_host(host)
        if _NOT_IN_HOST.search(written):
            return "has letters in its host that look like / or other marks of a URL"
        return f"has letters in its host that look like others: write it as {written}"
    is_port = port == "" or (_PORT.fullmatch(port) and int(port) < 2**16)
    return None if is_port else "has an invalid port"


def split_port(netloc: str) -> tuple[str, str]:
    """Split a netloc into host and port; an IPv6 address is in brackets."""
    bracket = netloc.rfind("]") + 1
    host, colon, port = netloc[bracket:].rpartition(":")
    return (netloc[:bracket] + host, port) if colon else (netloc, "")


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """Parse a host that is an IP address, such as `127.0.0.1` or `[::1]`. None: it is a name."""
    if host.startswith("["):
        address = _ipv6(host)
        return (address and address.ipv4_mapped) or address
    if _ENDS_IN_NUMBER.fullmatch(host):
        with suppress(ValueError):
            return IPv4Address(host)
    return None


def _ipv6(host: str) -> IPv6Address | None:
    try:
        return IPv6Address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
