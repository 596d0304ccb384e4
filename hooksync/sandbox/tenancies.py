"""What the tenancies hold, the rules for a new subscription, and the file that keeps all of it. No sockets.

Where the behaviour of the real service is unknown, a trait chooses one. Only the list may lag behind what the tenancies
hold: refusals, events and the data file do not. Whoever starts from the file lists at once what is in it.

The data file holds the secrets of the subscriptions, because events are signed with them: it is made with mode 0600,
and is as confidential as they are. Accounts and tokens are not in it.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from hooksync.sandbox.http_server import Refusal, SandboxError

# Source: pyPreservica 4.2.2, webHooksAPI.py, TriggerType; the names on the wire.
TRIGGERS = ("MOVED", "FULL_TEXT_INDEXED", "CHANGED_SECURITY_DESCRIPTOR", "INGEST_FAILED", "CHANGE_ASSET_VISIBILITY")

_FORMAT = "hooksync.sandbox/1"  # of the data file
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FLAGS = {True: True, False: False, "true": True, "false": False}


class Trait(StrEnum):
    """A way in which the real service may differ from this one's default; the help explains each."""

    REFUSE_DUPLICATES = "refuse-duplicates"  # with 409
    ANSWER_WITHOUT_ID = "answer-without-id"
    MINIMAL_LIST = "minimal-list"  # id, url, triggerType
    STRING_FLAGS = "string-flags"  # "true" and "false"
    NORMALISE_URLS = "normalise-urls"
    NUMBER_IDS = "number-ids"  # in the list and in answers; a path holds the number's text
    TOTP_ONCE = "totp-once"  # a code of an account
    NO_CHALLENGE = "no-challenge"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription as the service holds it."""

    url: str
    trigger: str  # as on the wire
    secret: str = field(repr=False)  # kept to sign events; no call returns it
    include_identifiers: bool = True
    id: str = ""  # given when it is kept


@dataclass(frozen=True, slots=True)
class ListLag:
    """How long after it was made a change shows in the list."""

    additions: float = 0.0  # seconds
    removals: float = 0.0  # seconds
    clock: Callable[[], float] = time.time  # seconds


@dataclass(slots=True)
class _Kept:
    """A subscription, and when the list shows it."""

    subscription: Subscription
    listed_from: float  # on the clock of the lag
    listed_until: float | None = None  # likewise, of one that is removed; None: it is there


def make_id() -> str:
    """Make an id as the service does: 32 hex digits."""
    return uuid.uuid4().hex


Holdings = Mapping[str, tuple[Subscription, ...]]  # by tenant


class Tenancies:
    """The subscriptions of every tenant. Thread-safe."""

    def __init__(
        self,
        held: Holdings,
        traits: frozenset[Trait],
        save: Callable[[Holdings], None] | None,
        lag: ListLag | None = None,
        new_id: Callable[[], str] = make_id,
    ) -> None:
        self._lock = threading.Lock()
        self._kept = {
            tenant: {each.id: _Kept(each, -math.inf) for each in subscriptions}
            for tenant, subscriptions in held.items()
        }
        self._traits = traits
        self._save = save  # called under the lock after each change, so that the newest data is written last
        self._lag = lag or ListLag()
        self._make_id = new_id

    def held_by(self, tenant: str) -> tuple[Subscription, ...]:
        """Return the subscriptions of a tenant, oldest first."""
        with self._lock:
            return self._held(tenant)

    def listed_for(self, tenant: str) -> tuple[Subscription, ...]:
        """Return those that the list shows now, oldest first: some too few and some too many, while it lags."""
        now = self._lag.clock()
        with self._lock:
            return tuple(
                kept.subscription
                for kept in self._kept.get(tenant, {}).values()
                if kept.listed_from <= now and (kept.listed_until is None or now < kept.listed_until)
            )

    def add(
        self, tenant: str, subscription: Subscription, *, lags: bool = True, is_checked: bool = True
    ) -> Subscription:
        """Keep a subscription, and return it as it is kept, with an id. Raises `Refusal` for a duplicate, if so chosen.

        `lags`: whether the list may lag. `is_checked`: whether a duplicate is refused, with the trait for it.
        """
        url = normalised(subscription.url) if Trait.NORMALISE_URLS in self._traits else subscription.url
        with self._lock:
            others = self._held(tenant) if is_checked and Trait.REFUSE_DUPLICATES in self._traits else ()
            if any((each.url, each.trigger) == (url, subscription.trigger) for each in others):
                raise Refusal(409, f"there is already a subscription for {url} and {subscription.trigger}")
            made = replace(subscription, url=url, id=self.new_id())
            self._kept.setdefault(tenant, {})[made.id] = _Kept(made, self._after(self._lag.additions, lags))
            self._saved()
        return made

    def remove(self, tenant: str, subscription_id: str, *, lags: bool = True) -> None:
        """Remove a subscription. Raises `Refusal` for an id that this tenant does not have.

        `lags`: whether the list may lag.
        """
        with self._lock:
            kept = self._kept.get(tenant, {}).get(subscription_id)
            if kept is None or kept.listed_until is not None:
                raise Refusal(404, f"there is no subscription {subscription_id}")
            kept.listed_until = self._after(self._lag.removals, lags)
            self._forget_unlisted(tenant)
            self._saved()

    def _after(self, seconds: float, lags: bool) -> float:
        """Return the moment from which a list shows a change that is made now."""
        return self._lag.clock() + seconds if lags and seconds else -math.inf

    def _forget_unlisted(self, tenant: str) -> None:
        """Forget what is removed and in no list any more."""
        now, kept = self._lag.clock(), self._kept[tenant]
        for identifier in [
            id_ for id_, each in kept.items() if each.listed_until is not None and each.listed_until <= now
        ]:
            del kept[identifier]

    def _held(self, tenant: str) -> tuple[Subscription, ...]:
        return tuple(kept.subscription for kept in self._kept.get(tenant, {}).values() if kept.listed_until is None)

    def describe(self, subscription: Subscription) -> dict[str, object]:
        """Return a subscription as the list shows it: never with its secret."""
        document: dict[str, object] = {
            "id": self.told_id(subscription.id),
            "url": subscription.url,
            "triggerType": subscription.trigger,
        }
        if Trait.MINIMAL_LIST not in self._traits:
            flag = subscription.include_identifiers
            document["includeIdentifiers"] = str(flag).lower() if Trait.STRING_FLAGS in self._traits else flag
        return document

    def new_id(self) -> str:
        """Make an id for a subscription that is kept."""
        made = self._make_id()
        return str(int(made, 16) % 2**53) if Trait.NUMBER_IDS in self._traits else made

    def told_id(self, subscription_id: str) -> str | int:
        """Return an id as JSON tells it."""
        return int(subscription_id) if Trait.NUMBER_IDS in self._traits else subscription_id

    def _saved(self) -> None:
        if self._save is not None:
            self._save({tenant: self._held(tenant) for tenant in self._kept})


def read_subscription(body: bytes, triggers: Iterable[str]) -> Subscription:
    """Read the JSON of a new subscription. Raises `Refusal` with a reason if it is invalid."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(document, dict):
        raise Refusal(400, "the body is not a JSON object")
    url, trigger, secret = (document.get(name) for name in ("url", "triggerType", "secret"))
    if not isinstance(url, str) or not _is_receiver_url(url):
        raise Refusal(400, "url is not an http or https URL")
    if not isinstance(trigger, str) or trigger not in triggers:
        raise Refusal(400, f"triggerType is not one of {', '.join(triggers)}")
    if not isinstance(secret, str) or not secret or max(secret) > "\xff":
        raise Refusal(400, "secret is not text in Latin-1 characters")
    flag = document.get("includeIdentifiers", False)
    if not isinstance(flag, bool | str) or flag not in _FLAGS:
        raise Refusal(400, 'includeIdentifiers is neither "true" nor "false"')
    return Subscription(url, trigger, secret, _FLAGS[flag])


def read_traits(names: Iterable[str]) -> frozenset[Trait]:
    """Read the names of traits. Raises `SandboxError` for an unknown one."""
    for name in names:
        if name not in set(Trait):
            raise SandboxError(f'unknown trait "{name}"; known: {", ".join(Trait)}')
    return frozenset(map(Trait, names))


def normalised(url: str) -> str:
    """Normalise a URL: host in lower case, no default port, `/` for an empty path."""
    parts = urlsplit(url)
    port = parts.port
    host = parts.hostname or ""
    netloc = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[parts.scheme]:
        netloc = f"{netloc}:{port}"
    return parts._replace(netloc=netloc, path=parts.path or "/").geturl()


def _is_receiver_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False


def load_data(path: Path) -> Holdings:
    """Read what the tenants held; nothing if there is no file. Raises `SandboxError` for an unusable file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SandboxError(f"cannot read the data file {path}: {error}") from error
    try:
        document = json.loads(text)
        if document["format"] != _FORMAT:
            raise ValueError(f"its format is not {_FORMAT}")
        return {
            tenant: tuple(_read_subscription(entry) for entry in entries)
            for tenant, entries in document["tenants"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        # the error's text may quote the file, and so a secret: only its kind is shown
        raise SandboxError(
            f"the data file {path} was not written by a sandbox ({type(error).__name__}); "
            "remove it to start empty, or name another"
        ) from None


def save_data(path: Path, holdings: Holdings) -> None:
    """Write what the tenants hold, atomically, readable by its owner alone. Raises `SandboxError`."""
    tenants = {tenant: [asdict(each) for each in held] for tenant, held in holdings.items()}
    text = json.dumps({"format": _FORMAT, "tenants": tenants}, indent=1, sort_keys=True)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise SandboxError(f"cannot write the data file {path}: {error}") from error


def _read_subscription(entry: dict[str, object]) -> Subscription:
    """Read one entry. Raises KeyError or TypeError."""
    values = {each.name: entry[each.name] for each in fields(Subscription)}
    for name, value in values.items():
        if not isinstance(value, bool if name == "include_identifiers" else str):
            raise TypeError(name)
    return Subscription(**values)  # type: ignore[arg-type]  # checked just now
