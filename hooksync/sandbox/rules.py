"""What the service answers to each call. No sockets: a request goes in, an answer comes out.

The one call to the outside is the challenge to a receiver, through a function that is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial

from hooksync.sandbox.accounts import WEBHOOK_ROLES, Accounts, Session
from hooksync.sandbox.http_server import Answer, Refusal, Request, SandboxError, json_answer
from hooksync.sandbox.tenancies import TRIGGERS, Tenancies, Trait, read_subscription

# Challenges a URL under a secret; returns why the receiver failed, None if it passed.
Challenge = Callable[[str, str], str | None]

TOKEN_HEADER = "preservica-access-token"  # noqa: S105  the header's name, not a token
VERSION = "7.5.0"  # of Preservica, as this sandbox reports it
SUBSCRIPTIONS_PATH = "/api/webhook/subscriptions"

CALLS = {  # method and path -> the name of the call, as faults and the log know it
    ("POST", "/api/accesstoken/login"): "login",
    ("POST", "/api/accesstoken/complete-2fa"): "complete-2fa",
    ("POST", "/api/accesstoken/refresh"): "refresh",
    ("POST", "/api/accesstoken/acquire-external"): "external",
    ("GET", "/api/user/details"): "details",
    ("GET", "/api/entity/versiondetails/version"): "version",
    ("GET", SUBSCRIPTIONS_PATH): "list",
    ("POST", SUBSCRIPTIONS_PATH): "subscribe",
}
CALL_NAMES = (*CALLS.values(), "unsubscribe")

_VERSION_XML = (
    '<?xml version="1.0" encoding="UTF-8"?><VersionResponse xmlns="http://preservica.com/EntityAPI/v7.5">'
    f"<CurrentVersion>{VERSION}</CurrentVersion></VersionResponse>"
)


class Lie(Enum):
    """Which id the answer to a new subscription tells, where it is not the right one."""

    FALSE_ID = auto()  # one that nothing has: nothing is kept
    SAME_ID = auto()  # that of the newest one: nothing is kept
    KEPT_SAME_ID = auto()  # likewise, but the new one is kept, under an id of its own


def call_name(request: Request) -> str:
    """Name the call that a request makes; "unknown" if the service does not have it."""
    parent, _, subscription_id = request.path.rpartition("/")
    if request.method == "DELETE" and parent == SUBSCRIPTIONS_PATH and subscription_id:
        return "unsubscribe"
    return CALLS.get((request.method, request.path), "unknown")


@dataclass(frozen=True, slots=True)
class Rules:
    """The service: its accounts, its tenancies and how it challenges receivers."""

    accounts: Accounts
    tenancies: Tenancies
    challenge: Challenge
    traits: frozenset[Trait] = frozenset()
    triggers: tuple[str, ...] = TRIGGERS

    def answer(self, request: Request, lie: Lie | None = None) -> Answer:
        """Carry out a request, or refuse it; or lie about a new subscription."""
        try:
            return self._carry_out(request, lie)
        except Refusal as refusal:
            return refusal.answer
        except SandboxError as error:  # the data could not be saved
            return json_answer(500, {"message": str(error)})

    def _carry_out(self, request: Request, lie: Lie | None) -> Answer:
        name, token = call_name(request), request.headers.get(TOKEN_HEADER, "")
        log_ins: dict[str, Callable[[dict[str, str]], dict[str, object]]] = {
            "login": self.accounts.log_in,
            "complete-2fa": self.accounts.complete_second_factor,
            "refresh": partial(self.accounts.refresh, token),
            "external": self.accounts.log_in_externally,
        }
        if log_in := log_ins.get(name):
            return json_answer(200, log_in(request.form()))
        if name == "unknown":
            raise Refusal(404, f"there is no {request.method} {request.path}")
        return self._carry_out_for(self.accounts.session(token), name, request, lie)

    def _carry_out_for(self, session: Session, name: str, request: Request, lie: Lie | None) -> Answer:
        if name == "version":
            return Answer(200, _VERSION_XML.encode(), "application/xml")
        if name == "details":
            return json_answer(200, {"roles": list(session.account.roles)})
        if WEBHOOK_ROLES.isdisjoint(session.account.roles):
            raise Refusal(403, f"the account needs one of the roles {', '.join(sorted(WEBHOOK_ROLES))}")
        if name == "list":
            listed = self.tenancies.listed_for(session.tenant)
            return json_answer(200, [self.tenancies.describe(subscription) for subscription in listed])
        if name == "subscribe":
            return self._subscribe(session.tenant, request.body, lie)
        self.tenancies.remove(session.tenant, request.path.rpartition("/")[2])
        return Answer(204)

    def _subscribe(self, tenant: str, body: bytes, lie: Lie | None) -> Answer:
        wanted = read_subscription(body, self.triggers)
        if Trait.NO_CHALLENGE not in self.traits:
            reason = self.challenge(wanted.url, wanted.secret)
            if reason is not None:
                raise Refusal(400, f"the receiver at {wanted.url} failed the challenge: {reason}")
        held = self.tenancies.held_by(tenant) if lie else ()
        is_kept = lie in (None, Lie.KEPT_SAME_ID)
        made = self.tenancies.add(tenant, wanted) if is_kept else replace(wanted, id=self.tenancies.new_id())
        if held and lie is not Lie.FALSE_ID:
            made = replace(made, id=held[-1].id)
        document = self.tenancies.describe(made)
        if lie is None and Trait.ANSWER_WITHOUT_ID in self.traits:
            del document["id"]
        return json_answer(200, document)
