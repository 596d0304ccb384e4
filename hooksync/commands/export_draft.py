"""What is live in a tenancy -> what would declare it: entries with names, and what cannot be declared. Pure.

No value of a URL's query is kept here: a variable's name stands in its place.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from hooksync.commands.export_names import Names, has_key_in_path, name_of_url, variable_name
from hooksync.core.errors import Problem
from hooksync.core.model import DeclaredSubscription, LiveSubscription, SecretRef, SubscriptionKey, Tenancy, Trigger
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.core.template import escape, parse_template
from hooksync.core.url_forms import split_netloc
from hooksync.core.urls import closed, owns_url, url_fault

_DECLARABLE = re.compile("[A-Za-z][A-Za-z0-9_]*")  # as the schema has it for a trigger
_RESERVED = ("PRESERVICA_SERVER", "PRESERVICA_TENANT", "PRESERVICA_USERNAME", "PRESERVICA_PASSWORD")


class Need(Record, frozen=True):
    """A variable that the file refers to and that is still to be set."""

    variable: str
    what: str  # what it is to hold


class ExportedEntry(Record, frozen=True):
    """One subscription of the file: a receiver, and what it is told of."""

    name: str
    url: str  # with `${NAME}` for what may be a key
    triggers: tuple[Trigger, ...]
    secret: SecretRef
    include_identifiers: bool | None  # None: neither the service nor a file tells


class LeftOut(Record, frozen=True):
    """A live subscription that no file can declare."""

    shown: str  # its URL and trigger, fit for one line
    reason: str

    def __str__(self) -> str:
        return f"{self.shown}: {self.reason}"


class ExportedTenancy(Record, frozen=True):
    """One tenancy as it is to be written."""

    tenancy: Tenancy
    entries: tuple[ExportedEntry, ...]
    left_out: tuple[LeftOut, ...]
    not_owned: int  # how many live subscriptions lie outside `owns`
    needs: tuple[Need, ...]
    warnings: tuple[Problem, ...]


def free_variables(tenancies: Iterable[Tenancy]) -> Names:
    """Give the names of variables that these tenancies do not use yet."""
    taken = {*_RESERVED, "PRESERVICA_2FA_TOKEN"}
    for tenancy in tenancies:
        credentials = tenancy.credentials
        taken |= {ref.name for ref in (credentials.username, credentials.password, credentials.totp)}
        taken |= {one.secret.name for one in tenancy.subscriptions}
        texts = (tenancy.server.shown, tenancy.tenant_shown or "", *(one.url.shown for one in tenancy.subscriptions))
        taken |= {name for text in texts for name in parse_template(text).names}
    return Names(taken, "_")


def gather(tenancy: Tenancy, live: Sequence[LiveSubscription], variables: Names) -> ExportedTenancy:
    """Say how a file would declare what is live and owned; what is declared already keeps its name and references."""
    owned = [one for one in live if owns_url(tenancy.owns, one.url.full)]
    gathering = _Gathering(tenancy, variables)
    for candidates in _by_identity(owned):
        gathering.add(candidates)
    return ExportedTenancy(
        tenancy=tenancy,
        entries=tuple(gathering.entries()),
        left_out=tuple(gathering.left_out),
        not_owned=len(live) - len(owned),
        needs=tuple(gathering.needs),
        warnings=tuple(gathering.warnings),
    )


def shown(live: LiveSubscription) -> str:
    """Write a live subscription on one line, without what may be a key."""
    scheme, separator, rest = live.url.full.partition("?")[0].partition("://")
    hides_user = "@" in split_netloc(rest)[1] or (not separator and "@" in scheme)  # however it is cut
    url = f"{scheme if separator else ''}{separator}***" if hides_user else live.url.shown
    return printable(f"{url} {live.trigger.short}")


def _by_identity(live: Iterable[LiveSubscription]) -> list[list[LiveSubscription]]:
    """Put those of one identity together, sorted; the order in which the service lists them says nothing."""
    found: defaultdict[SubscriptionKey, list[LiveSubscription]] = defaultdict(list)
    for one in live:
        found[one.key].append(one)
    return [sorted(found[key], key=_worth) for key in sorted(found)]


def _worth(live: LiveSubscription) -> tuple[bool, bool, str]:
    return live.include_identifiers is not True, live.include_identifiers is None, live.url.full


def _fault(live: LiveSubscription) -> str | None:
    """Say why a live subscription cannot be declared."""
    if fault := url_fault(closed(live.url.full)):
        return f"its URL {fault}"
    named = Trigger.named(live.trigger.short)
    if named != live.trigger or not _DECLARABLE.fullmatch(live.trigger.wire):
        return "its trigger has a name that a hooks file cannot hold"
    return None


_Group = tuple[str, bool | None, str]  # identity of the URL, the flag, the declared name or ""


class _Gathering:
    """The entries of one tenancy while they are put together."""

    def __init__(self, tenancy: Tenancy, variables: Names) -> None:
        self.left_out: list[LeftOut] = []
        self.needs: list[Need] = []
        self.warnings: list[Problem] = []
        self._tenancy = tenancy
        self._variables = variables
        self._by_key = {one.key: one for one in tenancy.subscriptions}
        self._by_url: dict[str, DeclaredSubscription] = {}
        for declared in tenancy.subscriptions:
            self._by_url.setdefault(declared.url.identity, declared)
        self._names = Names((one.name for one in tenancy.subscriptions), "-")
        self._declared_names = {one.name for one in tenancy.subscriptions}  # not given to an entry yet
        self._groups: dict[_Group, list[LiveSubscription]] = {}
        self._made: dict[str, tuple[str, SecretRef]] = {}  # URL and secret of a receiver, by the URL's identity

    def add(self, candidates: Sequence[LiveSubscription]) -> None:
        """Take in what has one identity."""
        live = candidates[0]
        if fault := _fault(live):
            self.left_out.append(LeftOut(shown(live), fault))
            what = f"{self._tenancy.name}: {shown(live)} is left out: {fault}"
            fix = "apply would unsubscribe it, for it is not declared: replace it, or narrow `owns` first"
            self.warnings.append(Problem(what, fix))
            return
        if len(candidates) > 1:
            what = f"{self._tenancy.name}: {shown(live)} is live {len(candidates)} times, and in the file once"
            self.warnings.append(Problem(what, "apply unsubscribes the duplicates"))
        anchor = self._anchor(live)
        group = live.url.identity, live.include_identifiers, anchor.name if anchor else ""
        self._groups.setdefault(group, []).append(live)

    def entries(self) -> Iterator[ExportedEntry]:
        """Give one entry for each receiver and flag, in the order of their URLs."""
        for (_, flag, _), several in self._groups.items():
            anchor = self._anchor(several[0])
            name = self._name(several[0], anchor)
            url, secret = (anchor.url.shown, anchor.secret) if anchor else self._receiver(name, several[0])
            triggers = tuple(sorted({one.trigger for one in several}, key=lambda trigger: trigger.short))
            if flag is None and anchor:
                flag = anchor.include_identifiers
            yield ExportedEntry(name, url, triggers, secret, flag)

    def _anchor(self, live: LiveSubscription) -> DeclaredSubscription | None:
        """Find what is declared for it, or for its receiver."""
        return self._by_key.get(live.key) or self._by_url.get(live.url.identity)

    def _name(self, live: LiveSubscription, anchor: DeclaredSubscription | None) -> str:
        if anchor and anchor.name in self._declared_names:
            self._declared_names.remove(anchor.name)
            return anchor.name
        return self._names.take(anchor.name if anchor else name_of_url(live.url.full))

    def _receiver(self, name: str, live: LiveSubscription) -> tuple[str, SecretRef]:
        """Give URL and secret of a receiver that is not declared; its entries share them."""
        identity = live.url.identity
        if identity not in self._made:
            where = f"{self._tenancy.name}/{name}"
            secret = self._need(f"the secret of {where}", name, "secret")
            head, mark, query = live.url.full.partition("?")
            pairs = "&".join(self._pair(pair, name) for pair in query.split("&"))
            self._made[identity] = f"{escape(head)}{mark}{pairs}", SecretRef("env", secret)
            if has_key_in_path(live.url.full):
                what = f"{where}: the path of its URL holds what may be a key"
                self.warnings.append(Problem(what, "write ${NAME} in its place before the file goes into Git"))
        return self._made[identity]

    def _pair(self, pair: str, name: str) -> str:
        """Write one pair of a query with a variable in place of its value."""
        key, equals, value = pair.partition("=")
        if not (value if equals else key):
            return escape(pair)
        what = f'the value of "{printable(key)}"' if equals else "the query"
        variable = self._need(f"{what} in the URL of {self._tenancy.name}/{name}", name, "url", key if equals else "")
        return f"{escape(key)}=${{{variable}}}" if equals else f"${{{variable}}}"

    def _need(self, what: str, name: str, *words: str) -> str:
        wanted = variable_name(name, *words)
        variable = self._variables.take(wanted, variable_name(self._tenancy.name, name, *words))
        self.needs.append(Need(variable, what))
        return variable
