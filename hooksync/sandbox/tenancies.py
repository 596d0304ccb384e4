"""The subscriptions of the sandbox, in memory, and its answer to each call. No sockets.

`Rules` takes a request and returns an answer. Its only call to the outside is the challenge of a
receiver, through a function that it is given. If nobody knows how the real service behaves, a trait
chooses a behaviour. Only the list may lag behind the subscriptions; refusals never do.
"""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar
from urllib.parse import parse_qsl

from hooksync.receivers.http_server import IncomingRequest, Log, Refusal, Reply, json_answer
from hooksync.sandbox.accounts import WEBHOOK_ROLES, Account, Accounts, Session
from hooksync.sandbox.faults import call_name

# Source: pyPreservica 4.2.2, webHooksAPI.py, TriggerType; the names on the wire.
TRIGGERS = (
    "MOVED",
    "FULL_TEXT_INDEXED",
    "CHANGED_SECURITY_DESCRIPTOR",
    "INGEST_FAILED",
    "CHANGE_ASSET_VISIBILITY",
)
TOKEN_HEADER = "preservica-access-token"  # noqa: S105  the header's name, not a token

_ENTITY_API = "http://preservica.com/EntityAPI/v7.5"
_VERSION_XML = (  # of Preservica, as this sandbox reports it
    f'<?xml version="1.0" encoding="UTF-8"?><VersionResponse xmlns="{_ENTITY_API}">'
    "<CurrentVersion>7.5.0</CurrentVersion></VersionResponse>"
)


# behaviours that the real service may have; the help explains each
TRAITS = ("refuse-duplicates", "answer-without-id", "no-challenge")


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription as the service holds it."""

    url: str
    trigger: str  # as on the wire
    secret: str = field(repr=False)  # no call returns it
    include_identifiers: bool = True
    id: str = ""  # `Tenancies` sets it and the following ones
    listed_from: float = 0.0  # on the clock of the options
    listed_until: float = math.inf  # on the same clock; infinite: the subscription is not removed


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """How a sandbox behaves."""

    accounts: tuple[Account, ...] = (Account(),)
    traits: Collection[str] = ()  # names in `TRAITS`
    faults: Sequence[str] = ()  # as `faults.read_fault` takes them
    port: int = 0  # 0: any that is free
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex  # for each subscription that is kept
    list_lag_additions: float = 0.0  # seconds after which the list shows what was made
    updated_entities: int = 3  # how many the list of updated entities has
    list_lag_removals: float = 0.0  # seconds for which the list shows what was removed
    # seconds since 1970, for the lag of the list
    clock: Callable[[], float] = time.time
    log: Log = lambda kind, what, result: None


class Tenancies:
    """The subscriptions of every tenant. Thread-safe."""

    def __init__(self, options: SandboxOptions) -> None:
        self._options = options
        self._lock = threading.RLock()
        self._kept: dict[str, dict[str, Subscription]] = {}  # by tenant, then by id

    def held_by(self, tenant: str) -> tuple[Subscription, ...]:
        """Return the subscriptions of a tenant, oldest first."""
        return tuple(item for item in self._all(tenant) if item.listed_until == math.inf)

    def listed_for(self, tenant: str) -> tuple[Subscription, ...]:
        """Return the subscriptions that the list shows now, oldest first; the list may lag."""
        now = self._options.clock()
        return tuple(
            item for item in self._all(tenant) if item.listed_from <= now < item.listed_until
        )

    def _all(self, tenant: str) -> list[Subscription]:
        with self._lock:
            return list(self._kept.get(tenant, {}).values())

    def add(
        self, tenant: str, subscription: Subscription, *, by_hand: bool = False
    ) -> Subscription:
        """Keep a subscription, and return it with its id.

        `by_hand`: not through a call, so traits and lag do not apply. Raises `Refusal` for a
        duplicate, if a trait says so.
        """
        wanted = (subscription.url, subscription.trigger)
        listed_from = self._options.clock() + self._options.list_lag_additions
        with self._lock:
            held = [(other.url, other.trigger) for other in self.held_by(tenant)]
            if "refuse-duplicates" in self._options.traits and not by_hand and wanted in held:
                raise Refusal(409, "there is already a subscription for this URL and trigger")
            made = replace(
                subscription,
                id=self._options.new_id(),
                listed_from=0.0 if by_hand else listed_from,
            )
            self._kept.setdefault(tenant, {})[made.id] = made
        return made

    def remove(self, tenant: str, subscription_id: str, *, by_hand: bool = False) -> None:
        """Remove a subscription.

        `by_hand`: not through a call, so the list stops showing it at once. Raises `Refusal` if the
        tenant has no subscription with this id.
        """
        until = self._options.clock() + self._options.list_lag_removals
        with self._lock:
            kept = self._kept.get(tenant, {})
            found = kept.get(subscription_id)
            if found is None or found.listed_until < math.inf:
                raise Refusal(404, f"there is no subscription {subscription_id}")
            kept[found.id] = replace(found, listed_until=0.0 if by_hand else until)


class Rules:
    """The service: its accounts, its tenancies, its rules.

    `challenge` takes a URL and a secret, and challenges the receiver. It returns why the receiver
    failed, or None if it passed.
    """

    triggers: ClassVar[tuple[str, ...]] = TRIGGERS  # that subscriptions may have

    def __init__(
        self, options: SandboxOptions, challenge: Callable[[str, str], str | None]
    ) -> None:
        self._accounts = Accounts(options.accounts)
        self.tenancies = Tenancies(options)
        self._traits = options.traits
        self._updated_entities = options.updated_entities
        self._challenge = challenge

    def answer(self, request: IncomingRequest) -> Reply:
        """Carry out a request, or refuse it."""
        try:
            return self._carry_out(request)
        except Refusal as refusal:
            return refusal.answer

    def describe(self, subscription: Subscription) -> dict[str, object]:
        """Return a subscription as the list shows it: never with its secret."""
        return {
            "id": subscription.id,
            "url": subscription.url,
            "triggerType": subscription.trigger,
            "includeIdentifiers": subscription.include_identifiers,
        }

    def _carry_out(self, request: IncomingRequest) -> Reply:
        name = call_name(request)
        match name:
            case "login":
                return json_answer(200, self._accounts.log_in(request.form()))
            case "unknown":
                raise Refusal(404, f"there is no {request.method} {request.path}")
        session = self._accounts.session(request.headers.get(TOKEN_HEADER, ""))
        return self._carry_out_for(session, name, request)

    def _carry_out_for(self, session: Session, name: str, request: IncomingRequest) -> Reply:
        account, tenant = session
        match name:
            case "version":
                return Reply(200, _VERSION_XML.encode(), "application/xml")
            case "details":
                return json_answer(200, {"roles": list(account.roles)})
            case "updated":
                return self._updated(request)
        if WEBHOOK_ROLES.isdisjoint(account.roles):
            known = ", ".join(sorted(WEBHOOK_ROLES))
            raise Refusal(403, f"the account needs one of the roles {known}")
        if name == "list":
            listed = self.tenancies.listed_for(tenant)
            return json_answer(200, [self.describe(subscription) for subscription in listed])
        if name == "subscribe":
            return self._subscribe(tenant, request.body)
        self.tenancies.remove(tenant, request.path.rpartition("/")[2])
        return Reply(204)

    def _updated(self, request: IncomingRequest) -> Reply:
        """List what was updated since a time: pages of assets with made-up references.

        Source: pyPreservica 4.2.2, entityAPI.py; not verified on a live tenancy.
        """
        query = dict(parse_qsl(request.query))
        start = int(query.get("start", 0))
        end = min(start + int(query.get("max", 50)), self._updated_entities)
        entities = ""
        for number in range(start, end):
            reference = uuid.uuid5(uuid.NAMESPACE_URL, f"asset {number}")
            entities += f'<Entity title="asset {number}" ref="{reference}" type="IO"/>'
        host = f"http://{request.headers.get('host', '')}{request.path}"
        more = f"<Next>{host}?start={end}</Next>" if end < self._updated_entities else ""
        total = f"<TotalResults>{self._updated_entities}</TotalResults>"
        body = f"<Entities>{entities}</Entities><Paging>{total}{more}</Paging>"
        text = f'<EntitiesResponse xmlns="{_ENTITY_API}">{body}</EntitiesResponse>'
        return Reply(200, text.encode(), "application/xml")

    def _subscribe(self, tenant: str, body: bytes) -> Reply:
        wanted = _read_subscription(body, self.triggers)
        if "no-challenge" not in self._traits:
            reason = self._challenge(wanted.url, wanted.secret)
            if reason is not None:
                raise Refusal(400, f"the receiver at {wanted.url} failed the challenge: {reason}")
        document = self.describe(self.tenancies.add(tenant, wanted))
        if "answer-without-id" in self._traits:
            del document["id"]
        return json_answer(200, document)


def _read_subscription(body: bytes, triggers: Iterable[str]) -> Subscription:
    """Read the JSON of a new subscription. Raises `Refusal` with a reason if it is invalid."""
    try:
        document = dict(json.loads(body))
    except (ValueError, TypeError, RecursionError):
        raise Refusal(400, "the body is not a JSON object") from None
    url = str(document.get("url"))
    if not url.startswith(("http://", "https://")):
        raise Refusal(400, "url is not an http or https URL")
    trigger = str(document.get("triggerType"))
    if trigger not in triggers:
        raise Refusal(400, f"triggerType is not one of {', '.join(triggers)}")
    secret = document.get("secret")
    if not isinstance(secret, str) or not secret or not secret.isascii():
        raise Refusal(400, "secret is not text in ASCII characters")
    flag = document.get("includeIdentifiers", False)
    if flag not in ("true", "false", True, False):
        raise Refusal(400, 'includeIdentifiers is neither "true" nor "false"')
    return Subscription(url, trigger, secret, flag in ("true", True))
