"""The data types: what a file declares and what a tenancy holds.

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from math import ceil, inf
from types import MappingProxyType
from typing import Any, Generic, Literal, NamedTuple, NoReturn, TypeVar, get_args

from hooksync.core.record import Record, Shown
from hooksync.core.urls import normal_url

KEY_VARIABLE = "HOOKSYNC_PLAN_KEY"  # of the key that plans and states are signed with

Replacement = Literal["create-first", "remove-first"]
Probe = Literal["never", "auto", "require"]
PROBES: tuple[Probe, ...] = get_args(Probe)  # the weakest first
Owns = Literal["made", "all", "none"] | frozenset[str]
# "alive": it answers challenges, and hooksync does not know its secret
ReceiverState = Literal["ready", "alive", "wrong-secret", "wrong-answer", "unreachable"]
SecretState = Literal["same", "changed", "unknown", "not-set", "unusable"]
NO_VALUE: tuple[SecretState, ...] = ("not-set", "unusable")  # nothing is compared
SecretKind = Literal["env", "file", "command"]  # of references, as hooks files write them
SECRET_KINDS: tuple[SecretKind, ...] = get_args(SecretKind)

# pyPreservica's name -> the name on the wire. Source: pyPreservica 4.2.2, webHooksAPI.py,
# TriggerType.
TRIGGER_NAMES = {
    "MOVED": "MOVED",
    "INDEXED": "FULL_TEXT_INDEXED",
    "SECURITY_CHANGED": "CHANGED_SECURITY_DESCRIPTOR",
    "INGEST_FAILED": "INGEST_FAILED",
    "CHANGE_ASSET_VISIBILITY": "CHANGE_ASSET_VISIBILITY",
}


_ONE_WORD = re.compile("[!#-~]+")
_SHORT_NAMES = {wire: short for short, wire in TRIGGER_NAMES.items()}


class Location(Record, order=True):
    """A place in a hooks file."""

    file: str  # as the user named it; "<stdin>" for standard input
    line: int  # 1-based
    column: int  # 1-based

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


Variables = Mapping[str, str]  # of an environment, by name


class Environ(ChainMap[str, str]):
    """The environment of the process; files add variables that it does not set."""

    # the path of pyPreservica's file in the working folder, if it adds variables
    found_credentials = ""
    # the path of pyPreservica's file, if the run reads one, and the variables that it adds
    credentials = ""
    credential_names: tuple[str, ...] = ()
    # by variable: the file whose value differs from the environment, which overrides it
    overridden: Variables = MappingProxyType({})


def process_environ(environ: Variables) -> Variables:
    """Return the variables of the process, without those of files.

    Programs inherit only these, and only these name proxies, certificates and object stores.
    """
    return environ.maps[0] if isinstance(environ, Environ) else environ


def found_credentials(environ: Variables) -> str:
    """Return the path of pyPreservica's file in the working folder, if the run uses it, or ""."""
    return environ.found_credentials if isinstance(environ, Environ) else ""


def is_own(name: str) -> bool:
    """Whether a variable is for hooksync itself: hooks files and programs must not use it."""
    return name.upper().startswith("HOOKSYNC_")  # Windows ignores the case of names


SHORTEST_STRONG = 16  # bytes of a strong secret
_FEWEST_CHARACTERS = 8  # different ones in it
# secrets of examples, such as `my_shared_secret`: their letters are nothing but these words
_WELL_KNOWN = re.compile(
    "(change|default|example|hook|key|me|my|password|preservica|secret|shared|test|the|web|your)+"
)
_NO_LETTERS = re.compile("[^a-z]+")


class Secret:
    """A value that is never shown: repr, str and format hide it, and it cannot be pickled.

    Search for `reveal()` to find all code that uses the value.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself, to check, send, mask or fingerprint it, or to sign with it."""
        return self._value

    @property
    def weakness(self) -> str:
        """Why the value is easy to guess; "": no reason is known, which proves nothing."""
        if len(self._value.encode("utf-8", "surrogatepass")) < SHORTEST_STRONG:
            return f"is shorter than {SHORTEST_STRONG} bytes"
        if len(set(self._value)) < _FEWEST_CHARACTERS:
            return f"has fewer than {_FEWEST_CHARACTERS} different characters"
        if _WELL_KNOWN.fullmatch(_NO_LETTERS.sub("", self._value.lower())):
            return "consists of words that people try first"
        return ""

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is neither pickled nor copied")


class SecretRef(Shown):
    """Where a secret or a credential is found; never the value. Documents show `written`."""

    __slots__ = ("base", "identity", "kind", "location", "noun", "value")

    def __init__(
        self,
        kind: SecretKind,
        value: str | tuple[str, ...],  # a variable's name, a path as written, or a program's parts
        location: Location | None = None,  # None: it has no place in a file
        base: str = "",  # the folder to which a relative path refers
        *,
        noun: str = "secret",  # what messages call it, e.g. "password"
    ) -> None:
        self.kind = kind
        self.value = value
        self.location = location
        self.base = base
        self.noun = noun
        # its source only: different places in a file may name the same one
        self.identity: object = (kind, value, base)

    @property
    def name(self) -> str:
        """The variable's name, the path as written, or the program with its number of arguments.

        An argument may be a token, so none is ever shown.
        """
        if isinstance(self.value, str):
            return self.value
        program, *arguments = self.value
        noun = "argument" if len(arguments) == 1 else "arguments"
        return f"{program} ({len(arguments)} {noun})" if arguments else program

    @property
    def variable(self) -> str:
        """The variable's name; "" for a different kind of source."""
        return self.name if self.kind == "env" else ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    def to_json(self) -> object:
        """Return its form in plans."""
        return {self.kind: self.name}

    @classmethod
    def from_json(cls, data: Any) -> SecretRef:
        """Make a reference from its form in plans. Raises ValueError."""
        ((kind, value),) = dict(data).items()
        if kind not in SECRET_KINDS or not isinstance(value, str):
            raise ValueError("not a reference to a secret")
        return cls(kind, (value,) if kind == "command" else value)

    @property
    def subject(self) -> str:
        """Its name in a message, e.g. `secret env:A`."""
        return f"{self.noun} {self}"


Secrets = Mapping[SecretRef, Secret]  # by their places


class Trigger(str, Shown):
    """The kind of event that a subscription is for, by the name that the service uses."""

    __slots__ = ()

    def to_json(self) -> object:
        """Return the name that the service uses."""
        return str(self)

    @classmethod
    def from_json(cls, data: Any) -> Trigger:
        """Make a trigger from the name that the service uses."""
        return cls(data)

    @property
    def short(self) -> str:
        """Return pyPreservica's name, or the wire name if there is none."""
        return _SHORT_NAMES.get(self) or str(self)

    @property
    def shown(self) -> str:
        """Return the short name; quoted if it has spaces, quotes or non-ASCII characters."""
        name = self.short
        return name if _ONE_WORD.fullmatch(name) else '"{}"'.format(name.replace('"', r"\""))

    @classmethod
    def named(cls, name: str) -> Trigger:
        """Accept both spellings: `INDEXED` and `FULL_TEXT_INDEXED` are the same trigger."""
        return cls(TRIGGER_NAMES.get(name, name))


class SubscriptionKey(Record, order=True):
    """The identity of a subscription within its tenancy."""

    url: str  # in its normal form; may hold a key in its query
    trigger: Trigger


class HookUrl(Shown):
    """A receiver's URL, in the form that may be shown and the form that is sent."""

    __slots__ = ("full", "identity", "shown")

    def __init__(self, shown: str, full: str) -> None:
        # as the file writes it, with `${NAME}`; if no file declares it, what may be a key is masked
        self.shown = shown
        self.full = full  # may hold a key; goes to the service and the receiver, nowhere else
        self.identity: str = normal_url(full)

    def to_json(self) -> object:
        """Return the form that may be shown."""
        return self.shown

    @classmethod
    def from_json(cls, data: Any) -> HookUrl:
        """Make a URL of which only the shown form is known."""
        return cls(data, data)


class Notes(Record, kw_only=True):
    """Remarks of a file about a subscription: shown, never compared with what is live."""

    description: str | None = None


class PlainFields(Notes, kw_only=True):
    """The fields of a subscription that the plan takes unchanged from the file."""

    include_identifiers: bool = True
    enabled: bool = True  # False: paused; it stays declared, but must not be live
    adopt: tuple[str, ...] = ()  # the ids of live subscriptions that have the declared secret


Value = bool | str | int | None
Content = dict[str, Value]  # compared fields, by name
# the fields that are compared with what is live, beside the secret; the values are those of
# subscriptions that the state recorded before hooksync knew the field
COMPARED: Content = {"include_identifiers": True}


class _Compared:
    """A subscription of either side of the comparison."""

    __slots__ = ()

    url: HookUrl
    trigger: Trigger

    @property
    def content(self) -> Content:
        """The fields that are compared with the other side; None: not reported."""
        return {name: getattr(self, name) for name in COMPARED}

    @property
    def key(self) -> SubscriptionKey:
        """Its identity within the tenancy."""
        return SubscriptionKey(self.url.identity, self.trigger)


Url = TypeVar("Url")


class Declaration(PlainFields, Generic[Url]):
    """A named entry of a file, with one of its triggers, before or after its URL is filled in."""

    tenancy: str
    name: str
    url: Url
    trigger: Trigger
    secret: SecretRef
    location: Location  # of its name in the file

    @property
    def address(self) -> str:
        """Its name in commands and reports, e.g. `archive-prod/catalogue/INDEXED`."""
        return f"{self.tenancy}/{self.name}/{self.trigger.short}"


class DeclaredSubscription(Declaration[HookUrl], _Compared):
    """One declared subscription, as a run compares it with what is live."""


# why a call has no answer
FailureKind = Literal["not-sent", "time-out", "too-large", "cut"]


class ReceiverResult(Record):
    """The result of a challenge, or the failure of any call to a receiver."""

    state: ReceiverState
    detail: str  # one line, safe to show, without the URL; "" if ready
    fix: str  # "" if ready
    seconds: float = 0.0  # that a challenge took, to the end of its answer; 0: there is none
    status: int | None = None  # of the answer
    failure: FailureKind | None = None  # why there is no answer


class LiveSubscription(Record, _Compared):
    """One subscription that the tenancy holds."""

    id: str  # from Preservica; a subscription that is made again gets a new one
    url: HookUrl
    trigger: Trigger
    include_identifiers: bool | None  # None: the service does not report it
    # a later field needs a default: saved plans of before lack it


DeclaredSubscriptions = tuple[DeclaredSubscription, ...]
LiveSubscriptions = tuple[LiveSubscription, ...]


# the fields of `credentials`, and what messages call them
CREDENTIALS = {
    "username": "username",
    "password": "password",
    "totp": "TOTP seed",
}


class CredentialRefs(Record):
    """Where the credentials of a tenancy are found; by default, in the usual variables."""

    username: SecretRef = SecretRef("env", "PRESERVICA_USERNAME", noun=CREDENTIALS["username"])
    password: SecretRef = SecretRef("env", "PRESERVICA_PASSWORD", noun=CREDENTIALS["password"])
    # used only if the service demands a second factor
    totp: SecretRef = SecretRef("env", "PRESERVICA_2FA_TOKEN", noun=CREDENTIALS["totp"])


# the fields of a policy that limit actions; each with `_run` limits all tenancies together
MOST = ("max_unsubscribe", "max_move", "max_resubscribe")


class UnsubscribeLimit(Record):
    """How many subscriptions a plan may remove or replace."""

    written: str | int  # as in hooks files and policies: a share of the owned ones, or a number
    policy: str = ""  # path and line of the policy that sets it; "": no policy does

    def most(self, owned: int) -> float:
        """Return the highest number that is allowed.

        Numbers that reach a share exceed it, but one is within every share above 0%.
        """
        if isinstance(self.written, int):
            return self.written
        percent = float(self.written.removesuffix("%"))
        if percent == 100:
            return inf
        return max(1, ceil(owned * percent / 100) - 1) if percent else 0

    def __str__(self) -> str:
        return f"{self.written}"


class PlainSettings(Record, kw_only=True):
    """The settings of a tenancy that the plan takes unchanged from the file.

    The default values are those of settings that the file leaves out.
    """

    enabled: bool = True  # False: all its subscriptions are paused
    allow_http: bool = False
    credentials: CredentialRefs = CredentialRefs()
    # the undeclared live subscriptions that hooksync may remove; a set: those under these prefixes
    owns: Owns = "made"
    protect: frozenset[str] = frozenset()  # prefixes of URLs that hooksync never touches
    limit: UnsubscribeLimit = UnsubscribeLimit("50%")
    replacement: Replacement = "create-first"
    probe: Probe = "auto"

    @property
    def is_handed_over(self) -> bool:
        """Whether somebody else takes the tenancy over: nothing is removed, all is forgotten."""
        return not self.enabled and self.owns == "none"


class TenancyKey(NamedTuple):
    """The key of a tenancy in the state; its name in the file can change."""

    server: str  # as `Server.shown` writes it
    tenant: str  # casefolded; "": not known

    def __str__(self) -> str:
        return f"{self.server} / {self.tenant}" if self.tenant else self.server

    @classmethod
    def of(cls, server: str, tenant: str | None) -> TenancyKey:
        """Return the key of a server and a tenant, which may not be known."""
        return cls(server, (tenant or "").casefold())

    def is_elsewhere(self, other: TenancyKey) -> bool:
        """Whether it is certain that this is a different tenancy on the service."""
        return self.server != other.server or self.tenant not in ("", other.tenant)


# of declared tenancies, by name: the server, and the tenant as far as it is known; None: neither is
TenancyPlaces = Mapping[str, TenancyKey | None]


class Server(Record):
    """The server of a tenancy."""

    # in normal form, without a slash at the end, e.g. "https://eu.preservica.com"
    base_url: str

    @property
    def shown(self) -> str:
        """Its form in messages: `eu.preservica.com`, `http://127.0.0.1:8080`."""
        return self.base_url.removeprefix("https://")


class Tenancy(PlainSettings):
    """One declared tenancy; its variables are filled in, its secrets are references."""

    name: str
    server: Server
    tenant: str | None  # the declared one, or the one that the log-in reported; None: not known yet
    subscriptions: DeclaredSubscriptions  # those that --target selects; by default, all
    location: Location
    not_selected: DeclaredSubscriptions = ()  # declared, but not selected
    ceilings: Mapping[str, UnsubscribeLimit] = {}  # of the policy, by field; `limit` applies, too

    @property
    def key(self) -> TenancyKey:
        """Its key in the state."""
        return TenancyKey.of(self.server.shown, self.tenant)

    @property
    def peer(self) -> str:
        """Its name in records of calls."""
        return f"{self.name} ({self.server.shown})"

    @property
    def where(self) -> str:
        """Its server and tenant, e.g. `eu.preservica.com / BRAMA`: neither is secret."""
        return str(TenancyKey(self.server.shown, self.tenant or ""))


Globs = tuple[str, ...]  # patterns for addresses, or for names of tenancies


def matches_any(text: str, globs: Iterable[str]) -> bool:
    """Whether one of the globs matches this address or name; letter case counts."""
    return any(fnmatchcase(text, glob) for glob in globs)
