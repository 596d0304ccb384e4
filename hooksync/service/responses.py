"""What came back from a call: the service's answers as objects, and failures in our own words. Pure: it makes no call.

An answer of another shape is an error, and never an empty list. The texts of requests and urllib3 hold whole URLs, keys
included. Unreachable: nothing was sent. AnswerLost: the call may have been carried out.
"""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Iterator, Mapping

import requests.exceptions
import urllib3.exceptions

from hooksync.core.errors import FailureKind, InvalidDocument, ServiceError
from hooksync.core.model import NOT_DECLARED, LiveSubscription, Trigger, live_url
from hooksync.core.record import Record
from hooksync.core.signing import parse_json

TOO_MANY = 429
BUSY_STATUSES = frozenset({TOO_MANY, 502, 503, 504})  # the service, or a gateway before it, may answer better soon

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

_NETWORK = "check the network, the proxy settings and the server's name"
_RESOLVER = "check this machine's DNS"
_PROXY = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
_GATEWAYS = "check the proxies and gateways in front of the server"
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})\b")  # as http.client words it
_WRONG_NAME = frozenset({62, 64})  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_WRONG_TIME = frozenset({9, 10})  # OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED

Explanation = tuple[FailureKind, str, str]  # the kind of failure, what happened, how to fix it


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
        failure = NotUnderstood("the answer is not strict JSON (a key twice, NaN, nested too deeply)")
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
    return None if identifier is None else _text(identifier, "id")


def fix_for_status(status: int) -> str:
    """Return what to do about a status that is not a success."""
    return _FIXES.get(status, "read the service's answer above; hooksync does not know this status")


def _live(item: object, declared: Mapping[str, str]) -> LiveSubscription:
    data = _object(item, "a subscription")
    url, trigger = _text(data.get("url"), "url"), _text(data.get("triggerType"), "triggerType")
    return LiveSubscription(_text(_id(data), "id"), live_url(url, declared), Trigger(trigger), _flag(data))


def _text(value: object, name: str) -> str:
    """Check a text of a subscription."""
    if not isinstance(value, str) or not value:
        raise NotUnderstood(f"a subscription has no text in {name}")
    if len(value) > _LENGTHS[name]:
        raise NotUnderstood(f"a subscription has more than {_LENGTHS[name]} characters in {name}")
    return value


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


class Unreachable(ServiceError):
    """The call was never sent: no name, no connection, no trust."""


class Flood(OSError):
    """More came in than may be read."""

    def __init__(self) -> None:
        super().__init__(errno.EFBIG, "more came in than may be read")  # readers of sockets look at the number


class AddressRefused(OSError):
    """An address is one that a call may not go to: its `args` say what kind of address that is, and how to fix it."""


class SlowLookUp(OSError):
    """A name was not resolved in time."""


class Interim(OSError):
    """An answer that announces another one (1xx). Only after 100 does Python's http.client wait for the real one."""


def explain(error: Exception, limits: tuple[float, float, int], *, is_connected: bool) -> Explanation:
    """Return what an exception means. `limits`: seconds to connect, and of the call; bytes of the answer."""
    causes, (connect, call, answer_limit) = tuple(_causes(error)), limits
    if is_connected:
        return _after_sending(causes, call, answer_limit)
    return _before_sending(causes, connect)


def _after_sending(causes: tuple[BaseException, ...], call: float, answer_limit: int) -> Explanation:
    for cause in causes:
        match cause:
            case Flood():
                what = f"the answer is larger than {answer_limit} bytes"
                return "too-large", what, "check the address: this looks like a page or a download"
            case Interim():
                what = "only an interim answer (1xx) came, and hooksync does not wait for the one after it"
                return "cut", what, _GATEWAYS
            case TimeoutError() | urllib3.exceptions.ReadTimeoutError():
                return "time-out", f"no complete answer within {call:g} s", "try again, or give a longer --timeout"
            case ssl.SSLError():
                return "cut", f"the TLS connection broke{_reason(cause)}", _NETWORK
            case urllib3.exceptions.DecodeError():
                return "cut", "the answer's compression is broken", _GATEWAYS
            case urllib3.exceptions.InvalidHeader():
                return "cut", "the answer's headers are invalid", "check that the server speaks http on this port"
    return "cut", "the connection was cut before the answer was complete", _NETWORK


def _before_sending(causes: tuple[BaseException, ...], connect: float) -> Explanation:
    """Return what an exception means before the server could be asked: of the proxy, if that failed."""
    if not any(isinstance(each, urllib3.exceptions.ProxyError | requests.exceptions.ProxyError) for each in causes):
        return _not_connected(causes, connect, "the server")
    kind, what, fix = _not_connected(causes, connect, "the proxy")
    if kind == "proxy":
        return kind, what, fix
    return "proxy", what, f"{_PROXY}; {fix}" if kind == "tls" or fix == _RESOLVER else _PROXY


def _not_connected(causes: tuple[BaseException, ...], connect: float, who: str) -> Explanation:
    for cause in causes:
        match cause:
            case requests.exceptions.InvalidSchema():
                what = "the proxy cannot be used: SOCKS needs PySocks, which is not installed"
                return "proxy", what, "name an http proxy, or install PySocks"
            case OSError() if refused := _TUNNEL_REFUSED.match(str(cause)):
                wants_password = refused[1] == "407"
                fix = f"{_PROXY}; it needs a name and a password" if wants_password else _PROXY
                return "proxy", f"the proxy answers {refused[1]}", fix
            case ssl.SSLCertVerificationError():
                what = f"the certificate of {who} is not trusted: {cause.verify_message}"
                return "tls", what, _fix_for_certificate(cause.verify_code)
            case AddressRefused(args=(kind, fix)):
                return "no-route", f"the address is {kind}: no call is made to it", fix
            case SlowLookUp():
                return "no-name", f"{who}'s name was not resolved within {connect:g} s", _RESOLVER
            case urllib3.exceptions.NameResolutionError():
                return "no-name", f"{who}'s name does not resolve", _NETWORK
            case ConnectionRefusedError():
                return "refused", f"{who} refuses connections", "check that it runs, the port, and the proxies"
            case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
                return "no-route", f"{who} cannot be reached from this network", _NETWORK
            case TimeoutError():
                return "no-connection", f"no connection to {who} within {connect:g} s", _NETWORK
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                return "cut", f"no TLS connection to {who} could be made: it was cut", _NETWORK
            case ssl.SSLError():
                what = f"no TLS connection to {who} could be made{_reason(cause)}"
                return "tls", what, "check that the server speaks https on this port"
            case urllib3.exceptions.LocationValueError() | requests.exceptions.InvalidURL():
                return "no-name", f"{who}'s address cannot be used", "check the address in the file"
    system = next((c for c in causes if isinstance(c, OSError) and c.errno and c.strerror), None)
    if system is not None and not isinstance(system, ConnectionError):
        return "cut", f"no connection to {who} could be made: {system.strerror}", _NETWORK
    if isinstance(causes[0], ValueError):
        return "bug", f"the call could not be made ({type(causes[0]).__name__})", "report this as a bug"
    return "cut", f"the connection to {who} was cut", _NETWORK


def _fix_for_certificate(code: int) -> str:
    if code in _WRONG_NAME:
        return "write the server's name as it is in its certificate"
    if code in _WRONG_TIME:
        return "check this machine's clock; if it is right, the server needs a new certificate"
    return "if a private authority signed it, set REQUESTS_CA_BUNDLE to that authority's certificate"


def _reason(error: ssl.SSLError) -> str:
    """Return OpenSSL's name of what happened, if it has one: ` (WRONG_VERSION_NUMBER)`."""
    reason = getattr(error, "reason", None)  # only OpenSSL's own errors have one
    return f" ({reason})" if reason else ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Walk an exception, what it wraps, and what it was raised from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__]
        wrapped = (getattr(current, "reason", None), *current.args)
        waiting += [each for each in wrapped if isinstance(each, BaseException)]
