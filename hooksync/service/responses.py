"""Read the service's answers into objects, and describe failed calls in our own words.

Pure: it makes no call.

An answer of an unexpected shape is an error, never an empty list. The texts of requests and urllib3
are not used: they hold whole URLs, and so keys.
"""

from __future__ import annotations

import errno
import re
import ssl
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, TypeVar

import requests.exceptions

from hooksync.core.errors import (
    AnswerLost,
    InvalidDocument,
    Problem,
    ServiceError,
)
from hooksync.core.model import (
    FailureKind,
    LiveSubscription,
    LiveSubscriptions,
    Trigger,
    live_url,
)
from hooksync.core.record import Meta, Record, convert
from hooksync.core.signing import parse_json

CONFLICT = 409
CONFLICT_FIX = (
    "the service refuses a second subscription for this URL and trigger: declare"
    " `replacement: remove-first`, which leaves a gap"
)
TOO_MANY = 429
SERVER_ERROR = 500  # with this status or a higher one, the service may have carried out the call

UNKNOWN_STATUS = "read the service's answer above; hooksync does not know this status"
_NETWORK = (
    "check that the server runs, its name and port, whether it speaks http or https there, and the"
    " network and proxy settings"
)
_PROXY = (
    "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY, e.g. http://proxy.example.org:3128; at 407, the"
    " proxy needs a name and a password"
)
_CERTIFICATE = (
    "if it has expired, ask whoever runs the server to renew it; otherwise check the server's name"
    " and this machine's clock, or set REQUESTS_CA_BUNDLE to the certificate of its own authority"
)

_FIXES = {
    401: "the service refused a new token: check the user's account, and that `tenant` is right",
    403: "give the user one of the roles ROLE_SDB_MANAGER_USER, ROLE_SDB_ADMIN_USER,"
    " ROLE_SDB_CONFIG_MANAGER_USER",
    404: "check `server`, and that this Preservica has this API: webhooks need 6.8 or later",
    407: _PROXY,
    **dict.fromkeys(
        range(300, 400), "redirects are not followed: set `server` to the address that it leads to"
    ),
}
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})\b")  # as http.client words it


class NotUnderstood(Exception):
    """An answer does not have the shape that the API defines. The message does not quote it."""


class LogIn(
    Record,
    rename={"refresh_token": "refresh-token", "continuation": "continuationToken"},
):
    """An answer to a log-in: a token, a request for the second factor, or a refusal."""

    HIDDEN = ("token", "refresh_token", "continuation")

    token: str | None = None
    refresh_token: str | None = None
    tenant: str | None = None  # the service names it if the request named none
    success: bool | None = None
    message: str | None = None  # why the log-in was refused
    continuation: str | None = None  # to be sent with the code of the second factor


_Text = Annotated[str, Meta(min_length=1)]


class _Live(Record, rename={"trigger": "triggerType", "include": "includeIdentifiers"}):
    """A subscription as the service lists it."""

    HIDDEN = ("url",)

    id: _Text | int
    url: _Text
    trigger: _Text
    # not known whether it is a boolean or a string
    include: bool | Literal["true", "false"] | None = None


T = TypeVar("T")


def read_json(body: bytes) -> object:
    """Parse a body. Raises NotUnderstood if it is not JSON, e.g. if it is empty."""
    try:
        return parse_json(body.decode("utf-8-sig"))
    except (ValueError, InvalidDocument):  # their texts may quote the answer
        failure = NotUnderstood("the answer is not JSON, has a key twice or NaN, or is too deep")
    raise failure  # outside the `except` clauses: a chained parser error would hold the whole text


def _read(body: bytes, kind: type[T]) -> T:
    """Convert a body to a type. Raises NotUnderstood, which names the field that is wrong."""
    document = read_json(body)
    try:
        return convert(document, kind)
    except ValueError as error:
        failure = NotUnderstood(f"the answer has a different shape: {error}")
    raise failure


def read_log_in(body: bytes) -> LogIn:
    """Read the answer to a log-in. The result is empty if the answer is not understood."""
    try:
        return _read(body, LogIn)
    except NotUnderstood:
        return LogIn()


def read_subscriptions(
    body: bytes, declared: Mapping[str, str], clean: Callable[[str], str] = str
) -> LiveSubscriptions:
    """Read the live subscriptions, in the order of the answer.

    `declared`: the declared URLs as the file writes them, by identity. `clean`: masks the secrets
    of the run in any other URL.
    """
    found = []
    for item in _read(body, list[_Live]):
        flag = item.include == "true" if isinstance(item.include, str) else item.include
        url = live_url(item.url, declared, clean)
        trigger = Trigger(item.trigger)
        found.append(LiveSubscription(str(item.id), url, trigger, flag))
    if len({subscription.id for subscription in found}) < len(found):
        raise NotUnderstood("the list contains the same id twice")
    return tuple(found)


def read_created(body: bytes) -> str | None:
    """Read the answer to the call that makes a subscription; its body may be anything.

    Returns the id, or "" if there is none that can be used; None: the answer reports an error.
    """
    try:
        document = read_json(body)
    except NotUnderstood:
        return ""
    if not isinstance(document, dict):
        return ""
    if document.get("error") or document.get("errors") or document.get("success") is False:
        return None
    identifier = document.get("id")
    return str(identifier) if type(identifier) in (str, int) else ""  # true is an int, too


def may_pass(status: int) -> bool:
    """Whether the same call may succeed later: the service or a gateway is busy or broken."""
    return status == TOO_MANY or status >= SERVER_ERROR


def fix_for_status(status: int, usual: str = UNKNOWN_STATUS) -> str:
    """Return what to do about a status that is not a success. `usual`: about most of them."""
    if may_pass(status):
        return "the service is busy or broken: try again later"
    return _FIXES.get(status, usual)


def failed_call(kind: FailureKind, what: str, fix: str) -> ServiceError:
    """Return the error of a call that got no answer. AnswerLost: it may have been carried out."""
    error = ServiceError if kind == "not-sent" else AnswerLost
    return error(Problem(what, fix), kind)


def explain(error: Exception, seconds: float) -> ServiceError:
    """Explain an exception that came after the connection was made."""
    cause: BaseException | None = error
    while cause and not isinstance(cause, TimeoutError | requests.exceptions.Timeout):
        cause = cause.__cause__ or cause.__context__
    if cause:
        what = f"no complete answer within {seconds:g} s"
        return failed_call("time-out", what, "try again, or give a longer --timeout")
    what = "the connection was cut before the answer was complete"
    return failed_call("cut", what, "see the log of the server, or of a gateway before it")


def explain_connecting(error: BaseException, seconds: float, *, is_proxy: bool) -> ServiceError:
    """Explain an exception that came before the connection was made.

    `is_proxy`: the connection was to the proxy, not to the server.
    """
    kind: FailureKind = "not-sent"
    reason = "it was cut"
    fix = _NETWORK
    refused = _TUNNEL_REFUSED.match(str(error))
    if refused:
        reason = f"it answers {refused[1]}"
        is_proxy = True
    elif isinstance(error, TimeoutError):
        kind = "time-out"
        reason = f"no answer within {seconds:g} s"
    elif isinstance(error, ssl.SSLCertVerificationError):
        reason = f"its certificate is not trusted: {error.verify_message}"
        fix = _CERTIFICATE
    elif isinstance(error, ValueError):
        reason = "its address is invalid"
    elif isinstance(error, OSError):
        reason = error.strerror or reason
        if isinstance(error, ConnectionError | ssl.SSLEOFError):
            kind = "not-sent" if error.errno == errno.ECONNREFUSED else "cut"
    if is_proxy:
        return failed_call("not-sent", f"no connection to the proxy: {reason}", _PROXY)
    return failed_call(kind, f"no connection to the server: {reason}", fix)
