"""The accounts and subscriptions of the sandbox, in memory, and the answer to each call.

`LocalService` takes a request and returns an answer. It challenges a receiver, its only call to the
outside, through a function that it is given. If nobody knows how the real service behaves, a trait
chooses a behaviour. Only the list may lag behind the subscriptions; refusals never do. Tokens do
not expire. No sockets.

Source: Preservica's page on the Access Token API, and pyPreservica 4.2.2; not verified on a live
tenancy.
"""

from __future__ import annotations

import json
import math
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from hooksync.receivers.http_server import IncomingRequest, Log, Refusal, Reply, json_answer
from hooksync.sandbox.faults import call_name

# Sample values for a server on loopback; they protect nothing.
USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"  # noqa: S105  shown in the help
TENANT = "DEMO"
ROLE = "ROLE_SDB_MANAGER_USER"

WEBHOOK_ROLES = {ROLE, "ROLE_SDB_ADMIN_USER", "ROLE_SDB_CONFIG_MANAGER_USER"}
# Source: pyPreservica 4.2.2, webHooksAPI.py, TriggerType; the names on the wire.
TRIGGERS = (
    "MOVED",
    "FULL_TEXT_INDEXED",
    "CHANGED_SECURITY_DESCRIPTOR",
    "INGEST_FAILED",
    "CHANGE_ASSET_VISIBILITY",
)
TOKEN_HEADER = "preservica-access-token"  # noqa: S105  the header's name, not a token

_PAGE = 50  # entities in a page of those that were updated
_ENTITY_API = "http://preservica.com/EntityAPI/v7.5"
_VERSION_XML = (  # of Preservica, as this sandbox reports it
    f'<?xml version="1.0" encoding="UTF-8"?><VersionResponse xmlns="{_ENTITY_API}">'
    "<CurrentVersion>7.5.0</CurrentVersion></VersionResponse>"
)


@dataclass(frozen=True, slots=True)
class Account:
    """A person or a program that may log in."""

    username: str = USERNAME
    password: str = field(default=PASSWORD, repr=False)
    tenants: tuple[str, ...] = (TENANT,)  # a log-in that names none goes to the first
    roles: tuple[str, ...] = (ROLE,)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription as the service holds it."""

    url: str
    trigger: str  # as on the wire
    secret: str = field(repr=False)  # no call returns it
    include_identifiers: bool = True
    id: str = ""  # `LocalService` sets it and the following ones
    listed_from: float = 0.0  # on the clock of the options
    listed_until: float = math.inf  # on the same clock; infinite: the subscription is not removed


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """How a sandbox behaves."""

    accounts: tuple[Account, ...] = (Account(),)
    traits: Collection[str] = ()  # behaviours that the real service may have; the help has them
    faults: Sequence[str] = ()  # as `faults.read_fault` takes them
    port: int = 0  # 0: any that is free
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex  # for each subscription that is kept
    list_lag_additions: float = 0.0  # seconds after which the list shows what was made
    updated_entities: int = 3  # how many the list of updated entities has
    list_lag_removals: float = 0.0  # seconds for which the list shows what was removed
    # seconds since 1970, for the lag of the list
    clock: Callable[[], float] = time.time
    log: Log = lambda kind, what, result: None


class LocalService:
    """The service: its accounts, its subscriptions, its rules. Thread-safe.

    `challenge` takes a URL and a secret, and challenges the receiver. It returns why the receiver
    failed, or None if it passed.
    """

    triggers = TRIGGERS  # that subscriptions may have

    def __init__(
        self, options: SandboxOptions, challenge: Callable[[str, str], str | None]
    ) -> None:
        self._options = options
        self._challenge = challenge
        self._lock = threading.Lock()  # for changes of subscriptions
        # by tenant, then by id
        self._kept: defaultdict[str, dict[str, Subscription]] = defaultdict(dict)
        self._sessions: dict[str, tuple[Account, str]] = {}  # account and tenant, by token

    def held_by(self, tenant: str) -> tuple[Subscription, ...]:
        """Return the subscriptions of a tenant, oldest first."""
        kept = list(self._kept[tenant].values())
        return tuple(item for item in kept if item.listed_until == math.inf)

    def listed_for(self, tenant: str) -> tuple[Subscription, ...]:
        """Return the subscriptions that the list shows now, oldest first; the list may lag."""
        now = self._options.clock()
        kept = list(self._kept[tenant].values())
        return tuple(item for item in kept if item.listed_from <= now < item.listed_until)

    def keep(self, tenant: str, subscription: Subscription) -> Subscription:
        """Keep a subscription, and return it with its id. No trait applies."""
        made = replace(subscription, id=self._options.new_id())
        self._kept[tenant][made.id] = made
        return made

    def add(self, tenant: str, subscription: Subscription) -> Subscription:
        """Keep a subscription that the list may show later, and return it with its id.

        Raises `Refusal` for a duplicate, if a trait says so.
        """
        listed_from = self._options.clock() + self._options.list_lag_additions
        with self._lock:
            held = [(other.url, other.trigger) for other in self.held_by(tenant)]
            is_held = (subscription.url, subscription.trigger) in held
            if is_held and "refuse-duplicates" in self._options.traits:
                raise Refusal(409, "there is already a subscription for this URL and trigger")
            return self.keep(tenant, replace(subscription, listed_from=listed_from))

    def remove(self, tenant: str, subscription_id: str) -> None:
        """Remove a subscription that the list may still show for a while.

        Raises `Refusal` if the tenant has no subscription with this id.
        """
        until = self._options.clock() + self._options.list_lag_removals
        with self._lock:
            kept = self._kept[tenant]
            found = kept.get(subscription_id)
            if found is None or found.listed_until < math.inf:
                raise Refusal(404, f"there is no subscription {subscription_id}")
            kept[found.id] = replace(found, listed_until=until)

    def answer(self, request: IncomingRequest) -> Reply:
        """Carry out a request, or refuse it."""
        try:
            name = call_name(request)
            if name == "login":
                return json_answer(200, self._log_in(request.form()))
            token = request.headers.get(TOKEN_HEADER)
            if token not in self._sessions:
                raise Refusal(401, "the access token is unknown or expired")
            return self._carry_out(name, request, *self._sessions[token])
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

    def _log_in(self, form: dict[str, str]) -> dict[str, object]:
        """Return a new token. Raises Refusal unless user, password and tenant fit together."""
        credentials = (form.get("username"), form.get("password"))
        for account in self._options.accounts:
            tenant = form.get("tenant") or account.tenants[0]
            if (account.username, account.password) == credentials and tenant in account.tenants:
                token = str(uuid.uuid4())
                self._sessions[token] = (account, tenant)
                user = {"user": account.username, "tenant": tenant}
                return {"success": True, "token": token, **user}
        raise Refusal(401, "bad credentials")

    def _carry_out(
        self, name: str, request: IncomingRequest, account: Account, tenant: str
    ) -> Reply:
        """Do what a call asks for. Raises Refusal if the account may not do it."""
        is_webhook_call = name in ("list", "subscribe", "unsubscribe")
        if is_webhook_call and WEBHOOK_ROLES.isdisjoint(account.roles):
            known = ", ".join(sorted(WEBHOOK_ROLES))
            raise Refusal(403, f"the account needs one of the roles {known}")
        match name:
            case "version":
                return Reply(200, _VERSION_XML.encode(), "application/xml")
            case "details":
                return json_answer(200, {"roles": list(account.roles)})
            case "updated":
                return self._updated(request)
            case "list":
                return json_answer(200, [*map(self.describe, self.listed_for(tenant))])
            case "subscribe":
                return self._subscribe(tenant, request.body)
            case "unsubscribe":
                self.remove(tenant, request.path.rpartition("/")[2])
                return Reply(204)
        raise Refusal(404, f"there is no {request.method} {request.path}")

    def _updated(self, request: IncomingRequest) -> Reply:
        """List what was updated since a time: pages of assets with made-up references."""
        query = dict(parse_qsl(request.query))
        start = int(query.get("start", 0))
        number = self._options.updated_entities
        end = min(start + _PAGE, number)
        entities = ""
        for asset in range(start, end):
            reference = uuid.uuid5(uuid.NAMESPACE_URL, f"asset {asset}")
            entities += f'<Entity title="asset {asset}" ref="{reference}" type="IO"/>'
        host = f"http://{request.headers.get('host', '')}{request.path}"
        more = f"<Next>{host}?start={end}</Next>" if end < number else ""
        paging = f"<TotalResults>{number}</TotalResults>{more}"
        body = f"<Entities>{entities}</Entities><Paging>{paging}</Paging>"
        text = f'<EntitiesResponse xmlns="{_ENTITY_API}">{body}</EntitiesResponse>'
        return Reply(200, text.encode(), "application/xml")

    def _subscribe(self, tenant: str, body: bytes) -> Reply:
        """Read a subscription, challenge its receiver, and add it."""
        try:
            document = json.loads(body)
            url, trigger, secret = (
                str(document[name]) for name in ("url", "triggerType", "secret")
            )
            is_valid = url.startswith("http") and trigger in self.triggers and secret.isascii()
        except (ValueError, TypeError, KeyError, RecursionError):
            is_valid = False
        if not is_valid:
            raise Refusal(400, "url, triggerType or secret is missing or invalid")
        has_identifiers = document.get("includeIdentifiers") in ("true", True)
        wanted = Subscription(url, trigger, secret, has_identifiers)
        if "no-challenge" not in self._options.traits:
            reason = self._challenge(url, secret)
            if reason is not None:
                raise Refusal(400, f"the receiver at {url} failed the challenge: {reason}")
        made = self.describe(self.add(tenant, wanted))
        if "answer-without-id" in self._options.traits:
            del made["id"]
        return json_answer(200, made)
