"""The client of one tenancy: log in, list, subscribe, unsubscribe.

Every call goes through `Caller.repeat`.

Source of paths and fields: pyPreservica 4.2.2, webHooksAPI.py; of the log-in: Preservica's Access
Token API and two-factor pages, and pyPreservica's common.py. If the service's behaviour is not
known, the code handles every likely answer. An answer of an unexpected shape is an error, never an
empty list.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Container, Iterable
from typing import Annotated, Literal, TypeVar
from urllib.parse import quote, urlencode

from hooksync.core.errors import (
    AnswerLost,
    HooksyncError,
    InvalidDocument,
    Rejected,
    SecretError,
    ServiceError,
)
from hooksync.core.model import (
    DeclaredSubscription,
    HookUrl,
    LiveSubscription,
    LiveSubscriptions,
    Secret,
    SecretRef,
    Secrets,
    Tenancy,
    Trigger,
)
from hooksync.core.record import Meta, Record, convert, replace
from hooksync.core.signing import parse_json
from hooksync.core.urls import masked_url, normal_url
from hooksync.service.http import (
    PROXY_FIX,
    SERVER_ERROR,
    TOO_MANY,
    Caller,
    Request,
    Response,
)

FindSecrets = Callable[[Iterable[SecretRef]], Secrets]

SUBSCRIPTIONS = "/api/webhook/subscriptions"

CONFLICT = 409
CONFLICT_FIX = (
    "the service refuses a second subscription for this URL and trigger: declare"
    " `replacement: remove-first`, which leaves a gap"
)
UNKNOWN_STATUS = "read the service's answer above; hooksync does not know this status"
_TOKEN = "/api/accesstoken"  # noqa: S105, a path
_WRONG_CREDENTIALS = frozenset({400, 401, 403})  # statuses that may mean wrong credentials
TOKEN_HEADER = "Preservica-Access-Token"  # noqa: S105, the header's name
_NOT_KNOWN = (
    "check that `server` is a Preservica server; if it is, hooksync does not know this kind of"
    " answer"
)
_FIXES = {
    401: "the service refused a new token: check the user's account, and that `tenant` is right",
    403: "give the user one of the roles ROLE_SDB_MANAGER_USER, ROLE_SDB_ADMIN_USER,"
    " ROLE_SDB_CONFIG_MANAGER_USER",
    404: "check `server`, and that this Preservica has this API: webhooks need 6.8 or later",
    407: PROXY_FIX,
    **dict.fromkeys(
        range(300, 400), "redirects are not followed: set `server` to the address that it leads to"
    ),
}
T = TypeVar("T")
_LARGEST_LIST = 8 * 1024 * 1024  # bytes; some 40,000 subscriptions


class NotUnderstood(Exception):
    """An answer does not have the shape that the API defines. The message does not quote it."""


class LogIn(
    Record,
    rename={"refresh_token": "refresh-token", "continuation": "continuationToken"},
):
    """An answer to a log-in: a token, a request for the second factor, or a refusal."""

    token: str | None = None
    refresh_token: str | None = None
    tenant: str | None = None  # the service names it if the request named none
    success: bool | None = None
    message: str | None = None  # why the log-in was refused
    continuation: str | None = None  # to be sent with the code of the second factor


_Text = Annotated[str, Meta(min_length=1)]


class _Live(Record, rename={"trigger": "triggerType", "include": "includeIdentifiers"}):
    """A subscription as the service lists it."""

    id: _Text | int
    url: _Text
    trigger: _Text
    # not known whether it is a boolean or a string
    include: bool | Literal["true", "false"] | None = None


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


def may_pass(status: int) -> bool:
    """Whether the same call may succeed later: the service or a gateway is busy or broken."""
    return status == TOO_MANY or status >= SERVER_ERROR


def fix_for_status(status: int, usual: str = UNKNOWN_STATUS) -> str:
    """Return what to do about a status that is not a success. `usual`: about most of them."""
    if may_pass(status):
        return "the service is busy or broken: try again later"
    return _FIXES.get(status, usual)


class Preservica:
    """One tenancy's service. Thread-safe.

    It logs in at the first call, and again once when the token expires. Refused credentials are not
    tried again, because accounts get locked.
    """

    def __init__(self, tenancy: Tenancy, caller: Caller, find: FindSecrets) -> None:
        self.tenant = tenancy.tenant  # if None, the log-in may set it, fit to be shown
        self.tenancy = tenancy  # as it is declared
        self._server = tenancy.server.base_url
        self._caller = caller
        self._find = find
        self._mutex = threading.Lock()
        self._token = ""
        self._refusal: HooksyncError | None = None  # set if a new log-in would fail again

    def token(self, instead_of: str = "") -> str:
        """Return the token. Logs in if there is none, or if it is the one in `instead_of`.

        `instead_of`: a token that the service refused. If a different thread has replaced it
        already, the new token is returned without a log-in.
        """
        with self._mutex:
            if self._refusal is not None:
                raise self._refusal
            if self._token == instead_of:
                try:
                    self._token = self._log_in()
                except (Rejected, SecretError) as error:
                    self._refusal = error
                    raise
            return self._token

    def _log_in(self) -> str:
        """Log in by password, and by a one-time code if the service asks for it.

        Raises SecretError if a credential is missing or unusable, and otherwise ServiceError.
        """
        credentials = self.tenancy.credentials
        found = self._find([credentials.username, credentials.password])
        username = found[credentials.username].reveal()
        form = {"username": username, "password": found[credentials.password].reveal()}
        tenant = self.tenancy.tenant
        form |= {"tenant": tenant} if tenant else {"includeUserDetails": "true"}
        names = f"{credentials.username.subject}, {credentials.password.subject}"
        first = self._ask("login", form, f"check {names} and the tenant")
        if first.token:
            return first.token
        code = self._one_time_code(credentials.totp)
        continuation = first.continuation or ""
        self._caller.redactor.learn([continuation, code])
        form = {
            "username": username,
            "tenant": tenant or first.tenant or "",
            "continuationToken": continuation,
            "twoFactorToken": code,
        }
        log_in = self._ask(
            "complete-2fa",
            form,
            f"check the {credentials.totp.subject} and this machine's clock; a code may work only"
            " once, so wait 30 seconds",
        )
        return log_in.token or ""

    def _one_time_code(self, ref: SecretRef) -> str:
        """Compute the current six digits. Errors are not chained: they may contain the seed."""
        seed = self._find([ref])[ref].reveal()
        try:
            import pyotp
        except ImportError as error:
            raise SecretError(
                "the account requires a second factor, and pyotp is not installed",
                'install the extra "totp", as "Install" in README.md describes',
            ) from error

        class Totp(pyotp.TOTP):
            # Preservica chooses the seed, often 16 characters (80 bits); pyotp 2.12 wants 112 bits
            min_secret_length_bits = 80

        try:
            return Totp(seed.replace(" ", "")).at(int(self._caller.context.clock.now()))
        except ValueError:
            pass
        raise SecretError(
            f"{ref.subject} is not a base32 seed (16 or more characters of A to Z and 2 to 7)",
            "use the seed that Preservica shows when the second factor is set up",
            ref.location,
        )

    def _ask(self, call: str, form: dict[str, str], fix: str) -> LogIn:
        """Send a form to the service. Returns a token, or a request for the second factor.

        `fix`: what to do if the credentials are refused. Raises ServiceError.
        """
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        url = f"{self._server}{_TOKEN}/{call}"
        request = Request("POST", url, headers, urlencode(form).encode())
        response = self._caller.repeat(request, self.tenancy.peer)
        try:
            log_in = _read(response.body, LogIn)
        except NotUnderstood:
            log_in = LogIn()
        self._caller.redactor.learn([log_in.token or "", log_in.refresh_token or ""])
        status = response.status
        is_done = status == 200 and log_in.token and log_in.success is not False
        needs_code = call == "login" and log_in.message == "needs.2fa" and log_in.continuation
        if is_done or needs_code:
            named = self._caller.redactor.quote(log_in.tenant or "")
            self.tenant = self.tenant or named or None
            return log_in
        if log_in.message == "needs.2fa.setup":
            fix = "log in to Preservica in a browser once, and set up the second factor"
        elif status == 200:
            fix = "check that `server` is a Preservica server: the answer contains no token"
        elif status not in _WRONG_CREDENTIALS:
            fix = fix_for_status(status)
        kind = ServiceError if may_pass(status) else Rejected
        raise kind(self._caller.quote(request, response), fix, status=status)

    def list_subscriptions(self) -> LiveSubscriptions:
        """Fetch the live subscriptions. Raises ServiceError for anything but a well-formed list."""
        return self.fetch(SUBSCRIPTIONS, self._read_list)

    def fetch(self, path: str, read: Callable[[Response], T]) -> T:
        """Fetch a document. `read`: returns its content, or raises NotUnderstood.

        Raises ServiceError.
        """
        request = Request("GET", self._server + path, answer_limit=_LARGEST_LIST)
        response = self._call(request, (200,))
        try:
            return read(response)
        except NotUnderstood as error:
            what = f"{error}: {self._caller.quote(request, response)}"
            raise ServiceError(what, _NOT_KNOWN) from error

    def _read_list(self, response: Response) -> LiveSubscriptions:
        """Read the live subscriptions, in the order of the answer. Raises NotUnderstood.

        A declared URL is shown as the file writes it. Any other URL is masked, also the secrets of
        the run in it.
        """
        if response.has_next_page:
            raise NotUnderstood("a part of the list, with a Link header to the next part")
        declared = {}
        for subscription in self.tenancy.subscriptions:
            declared[subscription.url.identity] = subscription.url.shown
        redactor = self._caller.redactor
        live = []
        for item in _read(response.body, list[_Live]):
            flag = item.include == "true" if isinstance(item.include, str) else item.include
            shown = declared.get(normal_url(item.url)) or redactor.clean(masked_url(item.url))
            url = HookUrl(shown, item.url)
            live.append(LiveSubscription(str(item.id), url, Trigger(item.trigger), flag))
        if len({item.id for item in live}) < len(live):
            raise NotUnderstood("the list contains the same id twice")
        if redactor.holds(" ".join(f"{item.id} {item.trigger}" for item in live)):
            raise NotUnderstood("an id or a trigger in it contains a secret value")
        return tuple(live)

    def subscribe(self, declared: DeclaredSubscription, secret: Secret) -> str | None:
        """Make a subscription. Returns its id, if the service reports it.

        Any 2xx is a success, whatever its body is, unless the body reports an error. Raises
        AnswerLost if the subscription may have been made, and otherwise ServiceError.
        """
        wanted = {
            "url": declared.url.full,
            "triggerType": declared.trigger,
            "secret": secret.reveal(),
            "includeIdentifiers": str(declared.include_identifiers).lower(),  # as pyPreservica
        }
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        body = json.dumps(wanted).encode()
        request = Request("POST", self._server + SUBSCRIPTIONS, headers, body, "creation")
        usual = (
            f'check that the receiver runs and holds the same secret as "{declared.name}"'
            f" ({declared.location})"
        )
        response = self._call(request, range(200, 300), usual)
        try:
            document = read_json(response.body)
        except NotUnderstood:
            return None
        if not isinstance(document, dict):
            return None
        if document.get("error") or document.get("errors") or document.get("success") is False:
            raise self._failure(request, response, usual)
        identifier = document.get("id")
        is_usable = type(identifier) in (str, int)  # true is an int, too
        # an id that contains a secret is never shown
        if not is_usable or self._caller.redactor.holds(str(identifier)):
            return None
        return str(identifier) or None

    def unsubscribe(self, identifier: str) -> None:
        """Remove a live subscription. It is no error if the service no longer has it.

        Raises AnswerLost if the subscription may have been removed, and otherwise ServiceError.
        """
        if identifier in ("", ".", ".."):  # encoding does not help: servers read `%2E%2E` as `..`
            raise ServiceError(
                f'the id "{identifier}" cannot be used in a path: the call would go elsewhere',
                "remove this subscription in Preservica itself",
            )
        url = f"{self._server}{SUBSCRIPTIONS}/{quote(identifier, safe='')}"
        self._call(Request("DELETE", url, purpose="removal"), (204, 404))

    def _call(
        self, request: Request, accepted: Container[int], usual: str = UNKNOWN_STATUS
    ) -> Response:
        """Send a request with a token. If the service refuses the token, log in again once.

        Raises AnswerLost for a status that is not accepted if a change may have been made, and
        otherwise Rejected. `usual`: what to do about most statuses.
        """
        token = ""
        for _ in range(2):
            token = self.token(instead_of=token)
            sent = replace(request, headers={**request.headers, TOKEN_HEADER: token})
            response = self._caller.repeat(sent, self.tenancy.peer)
            if response.status != 401:
                break
        if response.status not in accepted:
            raise self._failure(request, response, usual)
        return response

    def _failure(self, request: Request, response: Response, usual: str) -> ServiceError:
        """Return AnswerLost if a change may have been made, and otherwise Rejected."""
        status = response.status
        what = self._caller.quote(request, response)
        if request.purpose != "read" and (status < 300 or status >= SERVER_ERROR):
            return AnswerLost(what, "the list will show whether it was done")
        if status == CONFLICT and request.purpose == "creation":
            usual = CONFLICT_FIX
        return Rejected(what, fix_for_status(status, usual), status=status)
