"""Names for what is exported: of subscriptions, of tenancies, of environment variables. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hooksync.core.url_forms import normal_url, split_netloc

_LONGEST = 60  # characters of a name, before a number that tells it from others
_NOT_A_WORD = re.compile("[^A-Za-z0-9]+")
_PORT = re.compile(":[0-9]*$")
_KEY = re.compile(
    r"(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{16,}"
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
)


class Names:
    """Gives names of which no two are the same, letter case aside."""

    def __init__(self, taken: Iterable[str], separator: str) -> None:
        self._taken = {name.casefold() for name in taken}
        self._next: dict[str, int] = {}
        self._separator = separator

    def take(self, *wanted: str) -> str:
        """Give the first of these that is free, or else the last of them with a number."""
        for name in wanted:
            if name.casefold() not in self._taken:
                self._taken.add(name.casefold())
                return name
        stem = wanted[-1]
        number = self._next.get(stem, 2)
        while f"{stem}{self._separator}{number}".casefold() in self._taken:
            number += 1
        self._next[stem] = number + 1
        return self.take(f"{stem}{self._separator}{number}")


def slug(text: str, otherwise: str) -> str:
    """Make a name of letters, digits and hyphens from any text."""
    return _NOT_A_WORD.sub("-", text).strip("-")[:_LONGEST].strip("-") or otherwise


def name_of_url(url: str) -> str:
    """Name a receiver by host and path, less what looks like a key."""
    host, path = _host_and_path(url)
    return slug(host + _KEY.sub("-", path), "hook")


def has_key_in_path(url: str) -> bool:
    """Tell whether a path holds what looks like a key: long, of letters and digits, or a UUID."""
    return _KEY.search(_host_and_path(url)[1]) is not None


def _host_and_path(url: str) -> tuple[str, str]:
    """Give the host, without its port, and the path."""
    host, tail = split_netloc(normal_url(url).partition("://")[2])
    return _PORT.sub("", host), tail.partition("?")[0]


def variable_name(*words: str) -> str:
    """Make the name of an environment variable."""
    name = _NOT_A_WORD.sub("_", "_".join(words)).strip("_").upper()
    return name if name[:1].isalpha() else f"HOOK_{name}".rstrip("_")
