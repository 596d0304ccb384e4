"""Turn the live subscriptions of a tenancy into named entries of a hooks file. Pure.

A warning names each subscription that a file cannot declare.

Variables replace the values in a URL's query, and parts of its path that look like keys. Only
`Need` contains the replaced values.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from hooksync.config.secret_sources import PYPRESERVICA
from hooksync.core.errors import Problem
from hooksync.core.model import LiveSubscription, Tenancy
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.core.template import escape
from hooksync.core.urls import masked_pair, masked_path, normal_url, split_url, url_fault

_DECLARABLE = re.compile("[A-Za-z][A-Za-z0-9_]*")  # the pattern of a trigger in the schema
_LONGEST = 60  # characters of a name, without the number that makes it unique
_NOT_A_WORD = re.compile("[^A-Za-z0-9]+")
_PORT = re.compile(":[0-9]*$")


class Need(Record, frozen=True):
    """A variable that the file refers to and that the user has to set."""

    HIDDEN = ("value",)

    variable: str
    what: str  # what the variable stands for
    value: str = ""  # from the live URL; empty for a secret, which the service never returns


class ExportedTenancy:
    """The live subscriptions of a tenancy, as entries of a hooks file."""

    def __init__(self, tenancy: Tenancy, live: Sequence[LiveSubscription]) -> None:
        self.tenancy = tenancy
        self.needs: list[Need] = []
        self.warnings: list[Problem] = []  # about subscriptions that no file can declare
        self.triggers: set[str] = set()  # the triggers of all entries, as the service writes them
        self.entries: dict[str, dict[str, object]] = {}  # by name, as in the file
        # names of variables that are already in use, case-folded
        self._variables = {name.casefold() for name in PYPRESERVICA.values()}
        # URL and secret variable of each receiver, by the URL's identity
        self._receivers: dict[str, tuple[str, str]] = {}
        self._add_entries(live)

    def _add_entries(self, live: Sequence[LiveSubscription]) -> None:
        """Make one entry for each receiver and `include_identifiers`, in the order of the URLs."""
        names: set[str] = set()
        groups: dict[tuple[str, bool | None], list[LiveSubscription]] = {}
        for subscription in self._declarable(live):
            groups.setdefault(
                (subscription.url.identity, subscription.include_identifiers), []
            ).append(subscription)
            self.triggers.add(subscription.trigger.wire)
        for (_, flag), several in groups.items():
            name = unique_name(name_of_url(several[0].url.shown), "-", names)
            names.add(name.casefold())
            url, variable = self._receiver(name, several[0])
            triggers = sorted(subscription.trigger.short for subscription in several)
            secret = {"env": variable}
            entry: dict[str, object] = {"url": url, "triggers": triggers, "secret": secret}
            if flag is not None:  # the service reports it
                entry["include_identifiers"] = flag
            self.entries[name] = entry

    def _declarable(self, live: Sequence[LiveSubscription]) -> Iterator[LiveSubscription]:
        """Yield what a file can declare, and warn of each subscription that is left out."""
        keys = set()
        # the service's list is in no fixed order
        for subscription in sorted(
            live, key=lambda subscription: (subscription.key, str(subscription.include_identifiers))
        ):
            fault = _fault(subscription)
            if subscription.key in keys:
                fault = "it is live more than once, and in the file once"
            keys.add(subscription.key)
            if fault is None:
                yield subscription
                continue
            what = printable(
                f"{self.tenancy.name}: {subscription.url.shown} {subscription.trigger.shown}"
            )
            fix = "keep `owns: made`, so that apply leaves it alone: `owns: all` would remove it"
            self.warnings.append(Problem(f"{what} is left out: {fault}", fix))

    def _receiver(self, name: str, live: LiveSubscription) -> tuple[str, str]:
        """Return the URL and the secret's variable. All entries of a receiver share both."""
        identity = live.url.identity
        if identity not in self._receivers:
            secret = self._need("the secret", "", name, "secret")
            head, mark, query = live.url.full.partition("?")
            _, _, path = split_url(head)
            segments = "/".join(self._segment(segment, name) for segment in path.split("/"))
            pairs = "&".join(self._pair(pair, name) for pair in query.split("&"))
            url = f"{escape(head.removesuffix(path))}{segments}{mark}{pairs}"
            self._receivers[identity] = url, secret
        return self._receivers[identity]

    def _segment(self, segment: str, name: str) -> str:
        """Write one segment of a path, with a variable instead of what looks like a key."""
        if masked_path(segment) == segment:
            return escape(segment)
        return f"${{{self._need('a part of the path in the URL', segment, name, 'path')}}}"

    def _pair(self, pair: str, name: str) -> str:
        """Write one pair of a query, with a variable instead of its value or of the whole pair."""
        key, equals, _ = masked_pair(pair).partition("=")
        if not pair:
            return pair
        if not equals:
            return f"${{{self._need('the query in the URL', pair, name, 'url')}}}"
        value = pair[len(key) + 1 :]
        what = f'the value of "{printable(key)}" in the URL'
        return f"{escape(key)}=${{{self._need(what, value, name, 'url', key)}}}"

    def _need(self, what: str, value: str, name: str, *words: str) -> str:
        variable = unique_name(variable_name(name, *words), "_", self._variables)
        self._variables.add(variable.casefold())
        self.needs.append(Need(variable, f"{what} of {self.tenancy.name}/{name}", value))
        return variable


def _fault(live: LiveSubscription) -> str | None:
    """Return the reason why a live subscription cannot be declared, if there is one."""
    if fault := url_fault(live.url.full):
        return f"its URL {fault}"
    if not _DECLARABLE.fullmatch(live.trigger.wire):
        return "a hooks file cannot hold the name of its trigger"
    return None


def unique_name(name: str, separator: str, taken: Collection[str]) -> str:
    """Return a name that differs from those in `taken` by more than case, with a number if needed.

    `taken`: case-folded names.
    """
    unique = name
    number = 1
    while unique.casefold() in taken:
        number += 1
        unique = f"{name}{separator}{number}"
    return unique


def slug(text: str, otherwise: str) -> str:
    """Make a name of letters, digits and hyphens from any text."""
    return _NOT_A_WORD.sub("-", text).strip("-")[:_LONGEST].strip("-") or otherwise


def name_of_url(url: str) -> str:
    """Name a receiver by its host and path, as a URL shows them."""
    _, host, tail = split_url(normal_url(url))
    return slug(_PORT.sub("", host) + tail.partition("?")[0], "hook")


def variable_name(*words: str) -> str:
    """Make the name of an environment variable."""
    name = _NOT_A_WORD.sub("_", "_".join(words)).strip("_").upper()
    return name if name[:1].isalpha() else f"HOOK_{name}".rstrip("_")
