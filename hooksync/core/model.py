"""The nouns: what a file declares and what a tenancy holds.

Nothing here reads, writes, calls or looks at a clock.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias, get_args

from hooksync.core.record import Record
from hooksync.core.urls import masked_url, normal_url

Replacement = Literal["create-first", "remove-first"]
Probe = Literal["never", "auto", "require"]
PROBES: tuple[Probe, ...] = get_args(Probe)  # the weakest first
UnknownSecret = Literal["refuse", "warn", "replace"]
Owns = Literal["made", "all", "none"]
SecretState = Literal["same", "changed", "unknown", "not-set"]

# pyPreservica's name -> the name on the wire. Source: pyPreservica 4.2.2, webHooksAPI.py,
# TriggerType.
TRIGGER_NAMES = {
    "MOVED": "MOVED",
    "INDEXED": "FULL_TEXT_INDEXED",
    "SECURITY_CHANGED": "CHANGED_SECURITY_DESCRIPTOR",
    "INGEST_FAILED": "INGEST_FAILED",
    "CHANGE_ASSET_VISIBILITY": "CHANGE_ASSET_VISIBILITY",
}


class SecretKind(NamedTuple):
    """How hooks files write one kind of reference to a secret."""

    example: str
    fields: tuple[str, ...] = ()  # of a mapping, whose values are the reference's parts


SECRET_KINDS: Mapping[str, SecretKind] = {
    "env": SecretKind("{env: NAME}"),
    "file": SecretKind("{file: PATH}"),
    "command": SecretKind("{command: [PROGRAM, ARGUMENT]}"),
    "keyring": SecretKind("{keyring: {service: NAME, username: NAME}}", ("service", "username")),
}
NOT_DECLARED: Mapping[str, str] = MappingProxyType({})  # no URLs
_ONE_WORD = re.compile("[!#-~]+")
_SHORT_NAMES = {wire: short for short, wire in TRIGGER_NAMES.items()}


class Location(NamedTuple):
    """A place in a hooks file."""

    file: str  # as the user named it; "<stdin>" for standard input
    line: int  # 1-based
    column: int  # 1-based

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Environ(ChainMap[str, str]):
    """The environment of the process, and below it what files of variables add."""

    def __init__(self, *maps: MutableMapping[str, str]) -> None:
        super().__init__(*maps)
        # files by the variables that they set, or that they should set
        self.origins: dict[str, str] = {}
        # files by the variables that have a different value in the environment, which overrides it
        self.overridden: dict[str, str] = {}


def process_environ(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return what programs may inherit: nothing that a file of variables sets."""
    return environ.maps[0] if isinstance(environ, Environ) else environ


class Secret:
    """A value that is never shown: its repr, str, format and pickle give nothing away.

    It lives from `secret_sources` to the modules that send it or sign with it; search for
    `reveal()` to find them all.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself. Only modules that send it or sign with it call this."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is neither pickled nor copied")


class SecretRef(Record, frozen=True):
    """Where a secret or a credential is found; never the value."""

    HIDDEN = ("base",)

    kind: str  # of SECRET_KINDS
    name: str  # the variable's name, the path as written, or the parts as they may be shown
    location: Location | None = None  # None: the default of a field that was left out
    base: str = ""  # folder that a relative path starts at
    noun: str = "secret"  # what it is, for messages
    # a program with its arguments, or service and username of a keyring
    parts: tuple[str, ...] = ()
    origin: str = ""  # the file that sets the variable; "": the environment does

    def __eq__(self, other: object) -> bool:
        """Two places may name the same source."""
        if not isinstance(other, SecretRef):
            return False
        if self.kind != other.kind or self.name != other.name:
            return False
        return self.base == other.base and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def subject(self) -> str:
        """Name it in a message, e.g. `secret env:A`, or `password in credentials.properties`."""
        if not self.origin:
            return f"{self.noun} {self}"
        name = f"secret {self}" if self.noun == "secret" else self.noun
        return f"{name} in {self.origin}"

    @classmethod
    def read(
        cls,
        written: Mapping[Any, Any],
        where: Location | None = None,
        noun: str = "secret",
        base: str = "",
    ) -> SecretRef:
        """Read a reference as hooks files and plans write it, which fits their schemas."""
        ((kind, value),) = written.items()
        parts: tuple[str, ...] = ()
        if isinstance(value, Mapping):
            parts = tuple(value[name] for name in SECRET_KINDS[kind].fields)
        elif not isinstance(value, str):
            parts = tuple(value)
        name = " ".join(parts) if parts else value
        return cls(kind, name, where, base if kind == "file" else "", noun, parts)

    def written(self) -> dict[str, object]:
        """Write it as hooks files and plans do."""
        fields = SECRET_KINDS[self.kind].fields
        if fields:
            return {self.kind: dict(zip(fields, self.parts, strict=True))}
        return {self.kind: list(self.parts) or self.name}


class Trigger(NamedTuple):
    """The kind of event that a subscription waits for."""

    wire: str  # as the service writes it

    @property
    def short(self) -> str:
        """Return pyPreservica's name, or the wire name where there is none."""
        return _SHORT_NAMES.get(self.wire, self.wire)

    @property
    def shown(self) -> str:
        """Return the text, in quotation marks if white space could mislead a reader."""
        name = self.short
        return name if _ONE_WORD.fullmatch(name) else '"{}"'.format(name.replace('"', r"\""))

    @classmethod
    def named(cls, name: str) -> Trigger:
        """Take either spelling: `INDEXED` and `FULL_TEXT_INDEXED` are one trigger."""
        return cls(TRIGGER_NAMES.get(name, name))


class SubscriptionKey(Record, frozen=True, order=True):
    """What makes two subscriptions of a tenancy the same one."""

    HIDDEN = ("url",)

    url: str  # in its normal form; may hold a key in its query
    trigger: Trigger


class HookUrl(Record, frozen=True):
    """A receiver's URL, in the form that may be shown and the form that is sent."""

    HIDDEN = ("full",)

    # as the file writes it, `${NAME}` unfilled; of a live one that is not declared, what cannot be
    # a key
    shown: str
    full: str  # may hold a key; goes to the service and the receiver, nowhere else

    @property
    def identity(self) -> str:
        """The full one in its normal form."""
        return normal_url(self.full)


NO_URL = HookUrl("(not listed yet)", "")  # of a live one that no list has shown


class Notes(Record, frozen=True, kw_only=True):
    """What a file tells people about a subscription: shown, never compared."""

    description: str | None = None
    owner: str | None = None


class PlainFields(Notes, frozen=True, kw_only=True):
    """The fields of a subscription that go unchanged from the file to the plan."""

    include_identifiers: bool = True


class DeclaredSubscription(PlainFields, frozen=True):
    """One subscription that the file asks for: a name and one of its triggers."""

    tenancy: str
    name: str
    url: HookUrl
    trigger: Trigger
    secret: SecretRef
    location: Location  # of its name in the file

    @property
    def key(self) -> SubscriptionKey:
        """Its identity within the tenancy."""
        return SubscriptionKey(self.url.identity, self.trigger)

    @property
    def address(self) -> str:
        """Its name in commands and reports: `tenancy/name/TRIGGER`."""
        return address_of(self.tenancy, self.name, self.trigger)


class LiveSubscription(Record, frozen=True):
    """One subscription that the tenancy holds."""

    id: str  # given by Preservica, another one after each subscribe
    url: HookUrl
    trigger: Trigger
    include_identifiers: bool | None  # None: the service does not report it
    is_listed: bool = True  # False: made a short time ago, and the list does not show it yet

    @property
    def key(self) -> SubscriptionKey:
        """Its identity within the tenancy."""
        return SubscriptionKey(self.url.identity, self.trigger)


LiveSubscriptions: TypeAlias = tuple[LiveSubscription, ...]


# fields, and what they are
CREDENTIALS = {
    "username": "username",
    "password": "password",
    "totp": "TOTP seed",
}


class CredentialRefs(Record, frozen=True):
    """How to log in to a tenancy, by reference; what the file leaves out has its usual variable."""

    username: SecretRef = SecretRef("env", "PRESERVICA_USERNAME", noun=CREDENTIALS["username"])
    password: SecretRef = SecretRef("env", "PRESERVICA_PASSWORD", noun=CREDENTIALS["password"])
    # only where the service demands a second factor
    totp: SecretRef = SecretRef("env", "PRESERVICA_2FA_TOKEN", noun=CREDENTIALS["totp"])


class UnsubscribeLimit(Record, frozen=True):
    """How many subscriptions a plan may remove: a share of those it owns, or a number.

    One of the two is set.
    """

    percent: float | None = None
    number: int | None = None
    policy: str = ""  # the place of the policy that sets it; "": a hooks file sets it

    @classmethod
    def read(cls, written: str | int, policy: str = "") -> UnsubscribeLimit:
        """Read a limit as hooks files and policies write it: `50%` or 3."""
        if isinstance(written, int):
            return cls(number=written, policy=policy)
        return cls(percent=float(written.removesuffix("%")), policy=policy)

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else str(self.number)


class PlainSettings(Record, frozen=True, kw_only=True):
    """The settings of a tenancy that go unchanged from the file to the plan.

    Made without arguments: what holds where the file is silent.
    """

    allow_http: bool = False
    credentials: CredentialRefs = CredentialRefs()
    # which undeclared live subscriptions hooksync may remove; a set: those under these prefixes
    owns: Owns | frozenset[str] = "made"
    limit: UnsubscribeLimit = UnsubscribeLimit(percent=50)
    replacement: Replacement = "create-first"
    probe: Probe = "auto"
    # what becomes of a live one whose secret may not be the declared one
    unknown_secret: UnknownSecret = "refuse"


class TenancyKey(NamedTuple):
    """What the state knows a tenancy by, so that its name in the file may change."""

    server: str  # as `Server.shown` writes it
    tenant: str  # as the log-in reports it, in lower case; "": it reports none

    def __str__(self) -> str:
        return f"{self.server} / {self.tenant}" if self.tenant else self.server


class Server(Record, frozen=True):
    """Where a tenancy lives."""

    declared: str  # as the file writes it, `${NAME}` unfilled
    # "https://eu.preservica.com" or "http://127.0.0.1:8080", in normal form, no slash at the end
    base_url: str

    @property
    def shown(self) -> str:
        """Write it for people: `eu.preservica.com`, `eu.preservica.com:8443`, `http://127.0.0.1:8080`."""
        return self.base_url.removeprefix("https://")


class Tenancy(PlainSettings, frozen=True):
    """One tenancy as declared, with everything but secrets filled in."""

    name: str
    server: Server
    tenant: str | None  # None: the service tells it at log-in; once it did, this is it
    tenant_declared: str | None  # as the file writes it, `${NAME}` unfilled
    subscriptions: tuple[DeclaredSubscription, ...]  # that are selected
    location: Location
    not_selected: tuple[DeclaredSubscription, ...] = ()  # by --target
    ceiling: UnsubscribeLimit | None = None  # what the policy adds to `limit`

    @property
    def key(self) -> TenancyKey:
        """What the state knows it by."""
        return TenancyKey(self.server.shown, (self.tenant or "").casefold())

    @property
    def where(self) -> str:
        """Name the real server and tenant, e.g. `eu.preservica.com / BRAMA`: neither is secret."""
        return str(TenancyKey(self.server.shown, self.tenant or ""))


def live_url(url: str, declared: Mapping[str, str] = NOT_DECLARED) -> HookUrl:
    """Make a live subscription's URL, with the form that may be shown.

    `declared`: as the file writes them, by their identities; one of those tells all that may be
    seen of it.
    """
    return HookUrl(declared.get(normal_url(url)) or masked_url(url), url)


def address_of(tenancy: str, name: str, trigger: Trigger) -> str:
    """Write the address of a declared subscription, e.g. `archive-prod/catalogue/INDEXED`."""
    return f"{tenancy}/{name}/{trigger.short}"


Globs: TypeAlias = tuple[str, ...]  # of addresses, or of names of tenancies


def address_matches(address: str, globs: Iterable[str]) -> bool:
    """Whether one of the globs names this address; letter case counts."""
    return any(fnmatchcase(address, glob) for glob in globs)
