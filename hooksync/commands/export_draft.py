"""What is live in a tenancy -> entries that declare it, with names, and what cannot be declared.

Pure.

A variable replaces each value of a URL's query and what looks like a key in its path; `Need` alone
holds these.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count

from hooksync.core.errors import Problem
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscription,
    SecretRef,
    SubscriptionKey,
    Tenancy,
    Trigger,
)
from hooksync.core.record import Record
from hooksync.core.redaction import Redactor, printable
from hooksync.core.template import escape, parse_template
from hooksync.core.urls import masked_pair, masked_path, normal_url, owns_url, split_url, url_fault

_DECLARABLE = re.compile("[A-Za-z][A-Za-z0-9_]*")  # as the schema has it for a trigger
_BEST_FLAG = (True, False, None)  # of duplicates, the first of these is in the file
_LONGEST = 60  # characters of a name, before a number that tells it from others
_NOT_A_WORD = re.compile("[^A-Za-z0-9]+")
_PORT = re.compile(":[0-9]*$")
_RESERVED = {
    f"PRESERVICA_{name}" for name in ("SERVER", "TENANT", "USERNAME", "PASSWORD", "2FA_TOKEN")
}


class Names:
    """Gives names that are all different, even in another case."""

    def __init__(self, taken: Iterable[str], separator: str) -> None:
        self._taken = {name.casefold() for name in taken}
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))
        self._separator = separator

    def take(self, *wanted: str) -> str:
        """Take the first of these that is free, or else the last of them with a number."""
        stem = wanted[-1]
        numbered = (f"{stem}{self._separator}{number}" for number in self._numbers[stem])
        name = next(name for name in chain(wanted, numbered) if name.casefold() not in self._taken)
        self._taken.add(name.casefold())
        return name


class Need(Record, frozen=True):
    """A variable that the file refers to and that the user has to set."""

    HIDDEN = ("value",)

    variable: str
    what: str  # it stands for
    value: str = ""  # as it is in the live URL; empty for a secret, which no service tells


class ExportedEntry(Record, frozen=True):
    """One subscription of the file: a receiver and its triggers."""

    name: str
    url: str  # with `${NAME}` in place of what may be a key
    triggers: tuple[Trigger, ...]
    secret: SecretRef
    include_identifiers: bool | None  # None: neither reported nor declared


def free_variables(tenancies: Iterable[Tenancy]) -> Names:
    """Make a source of variable names that these tenancies do not use yet."""
    taken = set(_RESERVED)
    for tenancy in tenancies:
        login = tenancy.credentials
        taken.update(ref.name for ref in (login.username, login.password, login.totp))
        texts = [tenancy.server.declared, tenancy.tenant_declared or ""]
        for one in tenancy.subscriptions:
            taken.add(one.secret.name)
            texts.append(one.url.shown)
        for text in texts:
            taken.update(parse_template(text).names)
    return Names(taken, "_")


def shown(live: LiveSubscription) -> str:
    """Write a live subscription on one line, without what may be a key."""
    return printable(f"{live.url.shown} {live.trigger.shown}")


def _fault(live: LiveSubscription) -> str | None:
    """Return the reason why a live subscription cannot be declared, if there is one."""
    if fault := url_fault(live.url.full):
        return f"its URL {fault}"
    named = Trigger.named(live.trigger.short)
    if named != live.trigger or not _DECLARABLE.fullmatch(live.trigger.wire):
        return "a hooks file cannot hold the name of its trigger"
    return None


def _covered(tenancy: Tenancy, live: Sequence[LiveSubscription]) -> Sequence[LiveSubscription]:
    """Keep what a file may declare: with prefixes in `owns`, only what is under them."""
    if not isinstance(tenancy.owns, frozenset):
        return live
    return [one for one in live if owns_url(tenancy.owns, one.url.full)]


def _by_identity(live: Iterable[LiveSubscription]) -> list[list[LiveSubscription]]:
    """Group them by identity, the best flag first. The order of the service's list is no order."""
    found: defaultdict[SubscriptionKey, list[LiveSubscription]] = defaultdict(list)
    for one in live:
        found[one.key].append(one)
    for several in found.values():
        several.sort(key=lambda one: (_BEST_FLAG.index(one.include_identifiers), one.url.full))
    return [found[key] for key in sorted(found)]


_Group = tuple[str, bool | None, str]  # identity of the URL, the flag, the declared name or ""


class ExportedTenancy:
    """What is live in a tenancy as a file declares it.

    What is declared already keeps its references.
    """

    def __init__(
        self,
        tenancy: Tenancy,
        live: Sequence[LiveSubscription],
        variables: Names,
        redactor: Redactor,
    ) -> None:
        covered = _covered(tenancy, live)
        self.tenancy = tenancy
        self.not_covered = len(live) - len(covered)
        self.left_out: list[str] = []  # what no file can declare, with the reason
        self.needs: list[Need] = []
        self.warnings: list[Problem] = []
        self._variables = variables
        self._redactor = redactor
        self._by_key = {one.key: one for one in tenancy.subscriptions}
        self._by_url = {one.url.identity: one for one in reversed(tenancy.subscriptions)}
        # not used for an entry yet
        self._declared_names = {one.name for one in tenancy.subscriptions}
        self._names = Names(self._declared_names, "-")
        self._groups: dict[_Group, list[LiveSubscription]] = {}
        # URL and secret of a receiver, by the URL's identity
        self._made: dict[str, tuple[str, SecretRef]] = {}
        self.entries = tuple(self._entries(covered))

    def _add(self, candidates: Sequence[LiveSubscription]) -> None:
        """Add the live subscriptions of one identity."""
        live = candidates[0]
        if fault := _fault(live):
            self.left_out.append(f"{shown(live)}: {fault}")
            what = f"{self.tenancy.name}: {shown(live)} is left out: {fault}"
            fix = "with `owns: all`, apply would remove it, because no file declares it"
            self.warnings.append(Problem(what, fix))
            return
        if len(candidates) > 1:
            what = (
                f"{self.tenancy.name}: {shown(live)} is live {len(candidates)} times, and in the"
                " file once"
            )
            self.warnings.append(
                Problem(
                    what,
                    "apply removes duplicates only if `owns` covers them; `--replace ADDRESS`"
                    " replaces all",
                )
            )
        anchor = self._anchor(live)
        group = live.url.identity, live.include_identifiers, anchor.name if anchor else ""
        self._groups.setdefault(group, []).append(live)

    def _entries(self, covered: Iterable[LiveSubscription]) -> Iterator[ExportedEntry]:
        """Make one entry for each receiver and flag, in the order of their URLs."""
        for candidates in _by_identity(covered):
            self._add(candidates)
        for (_, flag, _), several in self._groups.items():
            anchor = self._anchor(several[0])
            name = self._name(several[0], anchor)
            if anchor:
                url = anchor.url.shown
                secret = anchor.secret
                flag = anchor.include_identifiers if flag is None else flag
            else:
                url, secret = self._receiver(name, several[0])
            by_name = {one.trigger.short: one.trigger for one in several}
            triggers = tuple(by_name[short] for short in sorted(by_name))
            yield ExportedEntry(name, url, triggers, secret, flag)

    def _anchor(self, live: LiveSubscription) -> DeclaredSubscription | None:
        """Find the declared subscription for it, or for its receiver."""
        return self._by_key.get(live.key) or self._by_url.get(live.url.identity)

    def _name(self, live: LiveSubscription, anchor: DeclaredSubscription | None) -> str:
        if anchor and anchor.name in self._declared_names:
            self._declared_names.remove(anchor.name)
            return anchor.name
        return self._names.take(anchor.name if anchor else name_of_url(live.url.shown))

    def _receiver(self, name: str, live: LiveSubscription) -> tuple[str, SecretRef]:
        """Return URL and secret of a receiver that is not declared; its entries share them."""
        identity = live.url.identity
        if identity not in self._made:
            secret = self._need("the secret", "", name, "secret")
            head, mark, query = live.url.full.partition("?")
            _, _, path = split_url(head)
            segments = "/".join(self._segment(segment, name) for segment in path.split("/"))
            pairs = "&".join(self._pair(pair, name) for pair in query.split("&"))
            url = f"{escape(head.removesuffix(path))}{segments}{mark}{pairs}"
            if self._redactor.holds(
                url
            ):  # a part of it that looks like any other came from a variable elsewhere
                url = f"${{{self._need('the URL', live.url.full, name, 'url')}}}"
            self._made[identity] = url, SecretRef("env", secret)
        return self._made[identity]

    def _segment(self, segment: str, name: str) -> str:
        """Write one segment of a path, with a variable instead of what looks like a key."""
        if masked_path(segment) == segment and not self._redactor.holds(segment):
            return escape(segment)
        return f"${{{self._need('a part of the path in the URL', segment, name, 'path')}}}"

    def _pair(self, pair: str, name: str) -> str:
        """Write one pair of a query with a variable instead of its value, or of all of it."""
        if not pair:
            return pair
        key, equals, _ = masked_pair(pair).partition("=")
        key = key if equals and not self._redactor.holds(key) else ""
        what = f'the value of "{printable(key)}"' if key else "the query"
        value = pair[len(key) + 1 :] if key else pair
        variable = self._need(f"{what} in the URL", value, name, "url", key)
        return f"{escape(key)}=${{{variable}}}" if key else f"${{{variable}}}"

    def _need(self, what: str, value: str, name: str, *words: str) -> str:
        wanted = variable_name(name, *words)
        variable = self._variables.take(wanted, variable_name(self.tenancy.name, name, *words))
        self.needs.append(Need(variable, f"{what} of {self.tenancy.name}/{name}", value))
        return variable


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
