"""Write the live subscriptions of a tenancy as a first hooks file. Pure.

The file adopts what it declares. A warning names each subscription that a file cannot declare.
PyYAML writes all data from outside, so no text is read as YAML syntax.

Variables replace the values in a URL's query, and parts of its path that look like keys. Only
`Need` contains the replaced values.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from hooksync.config.variable_files import PYPRESERVICA
from hooksync.config.yaml_loader import write_yaml
from hooksync.core.errors import Problem
from hooksync.core.model import TRIGGER_NAMES, LiveSubscription, Tenancy
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.core.template import escape
from hooksync.core.urls import (
    masked_pair,
    masked_path,
    normal_url,
    owns_url,
    split_url,
    url_fault,
)

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


_HEAD = """\
# yaml-language-server: $schema=./hooks.schema.json
#
# `hooksync init --from-live` wrote this file from the live webhook subscriptions. It contains no
# secrets, no query values of URLs and no keys in their paths, only names of variables.
# Which of these subscriptions are yours? Delete the others from this file: hooksync leaves alone
# what it did not make or adopt, unless `owns` says something else. Then set the variables, and run
#   hooksync check            asks the receivers whether they have these secrets
#   hooksync plan             shows what apply adopts: nothing changes in Preservica
#   hooksync apply            adopts it: hooksync owns it from then on
# Delete the lines `adopt` after that.
# Editors check this file by the first line, after `hooksync schema > hooks.schema.json`.
"""
_OWNS = """
    # what hooksync may remove if no file declares it: made (or adopted by it), all, none, or URL
    # prefixes
    owns: made
"""
_NOT_REPORTED = """\
# The service does not report include_identifiers of some subscriptions; the default is true.
"""
_OTHERS = """\
      # Live, and not under the prefixes that you gave. If one is yours, make it a part of the file.
"""


class Draft:
    """The live subscriptions of a tenancy, as entries of a hooks file."""

    def __init__(
        self, tenancy: Tenancy, live: Sequence[LiveSubscription], prefixes: Sequence[str] = ()
    ) -> None:
        """Make the entries. `prefixes`: only what is under one is declared; (): everything."""
        self.tenancy = tenancy
        self.others: dict[str, dict[str, object]] = {}  # what is not declared
        self._prefixes = frozenset(prefixes)
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
            if self._is_declared(subscription):
                self.triggers.add(subscription.trigger.wire)
        for several in groups.values():
            name = unique_name(name_of_url(several[0].url.shown), "-", names)
            names.add(name.casefold())
            entries = self.entries if self._is_declared(several[0]) else self.others
            entries[name] = self._entry(name, several)

    def _entry(self, name: str, several: Sequence[LiveSubscription]) -> dict[str, object]:
        """Make the entry of live subscriptions that have one URL and flag."""
        url, variable = self._receiver(name, several[0])
        triggers = sorted(subscription.trigger.short for subscription in several)
        ids = [subscription.id for subscription in several]
        entry: dict[str, object] = {"url": url, "triggers": triggers, "secret": {"env": variable}}
        entry["adopt"] = ids[0] if len(ids) == 1 else ids
        flag = several[0].include_identifiers
        if flag is not None:  # the service reports it
            entry["include_identifiers"] = flag
        return entry

    def _is_declared(self, live: LiveSubscription) -> bool:
        return not self._prefixes or owns_url(self._prefixes, live.url.full)

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
            before = len(self.needs)
            secret = self._need("the secret", "", name, "secret")
            head, mark, query = live.url.full.partition("?")
            _, _, path = split_url(head)
            segments = "/".join(self._segment(segment, name) for segment in path.split("/"))
            pairs = "&".join(self._pair(pair, name) for pair in query.split("&"))
            url = f"{escape(head.removesuffix(path))}{segments}{mark}{pairs}"
            self._receivers[identity] = url, secret
            if not self._is_declared(live):
                del self.needs[before:]  # nobody has to set them
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


def draft_text(draft: Draft) -> str:
    """Return the text of the hooks file. What it does not declare is written as comments."""
    document: dict[str, object] = {"version": 1}
    extra = draft.triggers.difference(TRIGGER_NAMES, TRIGGER_NAMES.values())
    if extra:
        document["extra_triggers"] = sorted(extra)
    tenancy = draft.tenancy
    settings: dict[str, object] = {"server": tenancy.server.declared}
    if tenancy.tenant_declared:
        settings["tenant"] = tenancy.tenant_declared
    settings["owns"] = "made"
    settings["subscriptions"] = draft.entries
    document["tenancies"] = {tenancy.name: settings}
    text = write_yaml(document).replace("\n    owns: made\n", _OWNS, 1)
    if draft.others:
        lines = write_yaml(draft.others).splitlines()
        text += _OTHERS + "".join(f"      # {line}\n" for line in lines)
    if any("include_identifiers" not in entry for entry in draft.entries.values()):
        text += _NOT_REPORTED
    return _HEAD + text


def env_text(needs: Iterable[Need], file: str) -> str:
    """Return the text of a file for --env-file: the variables that the hooks file needs.

    A value that python-dotenv or a shell could read differently is left empty. No shell may run
    text from a service.
    """
    lines = [f"# The variables of {printable(file)}, for --env-file. Keep this file out of Git."]
    for need in needs:
        value = need.value
        if "'" in value or "\\" in value:
            value = ""
        lines += ["", f"# {printable(need.what)}", f"{need.variable}='{value}'"]
    return "\n".join(lines) + "\n"


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
