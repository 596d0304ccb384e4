"""Read the service's answers. Pure: bytes in, objects out; an answer of another shape is an error.

It is never read as an empty list.
"""

from __future__ import annotations

from collections.abc import Mapping

from hooksync.core.errors import InvalidDocument
from hooksync.core.model import NOT_DECLARED, LiveSubscription, Trigger, live_url
from hooksync.core.record import Record
from hooksync.core.signing import parse_json
from hooksync.service.http import BUSY_STATUSES

ROLES = ("ROLE_SDB_MANAGER_USER", "ROLE_SDB_ADMIN_USER", "ROLE_SDB_CONFIG_MANAGER_USER")  # one is enough
_FIXES = {
    401: "the service refused a new token: check the user's account, and that `tenant` is right",
    403: f"give the user one of the roles {', '.join(ROLES)}",
    404: "check `server`; the webhook API needs Preservica 6.8 or later",
    407: "the proxy needs a name and a password: check HTTPS_PROXY and HTTP_PROXY",
    **dict.fromkeys(range(300, 400), "redirects are not followed: set `server` to the address that it leads to"),
    **dict.fromkeys(BUSY_STATUSES, "the service is busy: try again later"),
}


MOST_ENTRIES = 100_000  # of a list
_MOST_VALUES = 20 * MOST_ENTRIES  # of an answer; an object or a list counts five times
_LENGTHS = {"id": 1024, "url": 8192, "triggerType": 256}  # characters, at most


class NotUnderstood(Exception):
    """An answer has not the shape that the API defines. The message quotes nothing of it."""


class LogIn(Record, frozen=True):
    """A successful log-in."""

    HIDDEN = ("token", "hidden")

    token: str
    hidden: tuple[str, ...]  # all values in it that must never be shown
    tenant: str | None  # named by the service where the request named none


class SecondFactor(Record, frozen=True):
    """A log-in that waits for the code of the second factor."""

    HIDDEN = ("continuation",)

    continuation: str
    tenant: str | None


def read_json(body: bytes) -> object:
    """Parse a body. Raises NotUnderstood when it is empty, cut short or not JSON."""
    if not body.strip():
        raise NotUnderstood("the answer is empty")
    if 5 * (body.count(b"{") + body.count(b"[")) + body.count(b",") > _MOST_VALUES:  # in memory they are much larger
        raise NotUnderstood(f"the answer holds more values than a list of {MOST_ENTRIES} subscriptions has")
    try:
        return parse_json(body.decode("utf-8-sig"))
    except ValueError:
        failure = NotUnderstood("the answer is not JSON")
    except InvalidDocument:  # its text may quote the answer
        failure = NotUnderstood("the answer is not JSON that all read alike (a key twice, NaN, nested too deeply)")
    raise failure  # out here: the parser's errors hold the whole text, and are not chained


def read_log_in(body: bytes) -> LogIn:
    """Read the answer to a log-in with status 200."""
    data = _object(read_json(body))
    token = data.get("token")
    if not isinstance(token, str) or not token or data.get("success") is False:
        raise NotUnderstood("the answer holds no token")
    if not all("!" <= character <= "~" for character in token):
        raise NotUnderstood("the answer's token cannot be sent in a header")
    refresh = data.get("refresh-token")
    hidden = (token, refresh) if isinstance(refresh, str) else (token,)
    return LogIn(token, hidden, _text_or_none(data.get("tenant")))


def read_refusal(body: bytes) -> SecondFactor | str:
    """Read the answer to a refused log-in: a request for the second factor, or a message ("" if there is none)."""
    try:
        data = _object(read_json(body))
    except NotUnderstood:
        return ""
    message = data.get("message")
    continuation = data.get("continuationToken")
    if message == "needs.2fa" and isinstance(continuation, str):
        return SecondFactor(continuation, _text_or_none(data.get("tenant")))
    return message if isinstance(message, str) else ""


def read_subscriptions(body: bytes, declared: Mapping[str, str] = NOT_DECLARED) -> tuple[LiveSubscription, ...]:
    """Read the live subscriptions in the order given. `declared`: URLs as the file writes them, by their identities."""
    data = read_json(body)
    if not isinstance(data, list):
        raise NotUnderstood("the answer is not a list")
    if len(data) > MOST_ENTRIES:
        raise NotUnderstood(f"the list holds more than {MOST_ENTRIES} subscriptions")
    subscriptions = tuple([_live(item, declared) for item in data])
    if len({subscription.id for subscription in subscriptions}) < len(subscriptions):
        raise NotUnderstood("the list holds the same id twice")
    return subscriptions


def read_created_id(body: bytes) -> str | None:
    """Read the id of a new subscription from the answer to a subscribe; None where the answer holds none."""
    identifier = _id(_object(read_json(body)))
    if identifier is None:
        return None
    if not isinstance(identifier, str) or not identifier:
        raise NotUnderstood("the id is not text")
    if len(identifier) > _LENGTHS["id"]:
        raise NotUnderstood(f"the id is longer than {_LENGTHS['id']} characters")
    return identifier


def fix_for_status(status: int) -> str:
    """Return what to do about a status that is not a success."""
    return _FIXES.get(status, "read the service's answer above; hooksync assumed nothing from it")


def _live(item: object, declared: Mapping[str, str]) -> LiveSubscription:
    data = _object(item, "a subscription")
    found = {"id": _id(data), "url": data.get("url"), "triggerType": data.get("triggerType")}
    for name, value in found.items():
        if not isinstance(value, str) or not value:
            raise NotUnderstood(f"a subscription has no text in {name}")
        if len(value) > _LENGTHS[name]:
            raise NotUnderstood(f"a subscription has more than {_LENGTHS[name]} characters in {name}")
    identifier, url, trigger = map(str, found.values())
    return LiveSubscription(identifier, live_url(url, declared), Trigger(trigger), _flag(data))


def _id(data: dict[str, object]) -> object:
    """Return the id; a number as its text, by which a path names it."""
    value = data.get("id")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _flag(data: dict[str, object]) -> bool | None:
    """Read includeIdentifiers, which a service may report as boolean, as string, or not at all."""
    value = data.get("includeIdentifiers")
    if value is None or isinstance(value, bool):
        return value
    known = {"true": True, "false": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise NotUnderstood("includeIdentifiers is neither true nor false")


def _object(data: object, what: str = "the answer") -> dict[str, object]:
    if not isinstance(data, dict):
        raise NotUnderstood(f"{what} is not a JSON object")
    return data


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
