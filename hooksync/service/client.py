"""The client of one tenancy: log in, list, subscribe, unsubscribe.

Every call goes through `Caller.repeat`.

Source of paths and fields: pyPreservica 4.2.2, webHooksAPI.py. If the service's behaviour is not
known, the code handles every likely answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import quote, urlencode

from hooksync.core.errors import AnswerLost, Problem, Rejected, ServiceError
from hooksync.core.model import (
    DeclaredSubscription,
    HookUrl,
    LiveSubscription,
    LiveSubscriptions,
    Secret,
    Tenancy,
)
from hooksync.core.record import replace
from hooksync.service.auth import FindSecrets, TokenSession
from hooksync.service.http import (
    Caller,
    Purpose,
    Request,
    Response,
)
from hooksync.service.responses import (
    CONFLICT,
    SERVER_ERROR,
    EntityPage,
    NotUnderstood,
    fix_for_status,
    read_created,
    read_entities,
    read_subscriptions,
)

SUBSCRIPTIONS = "/api/webhook/subscriptions"
_UPDATED = "/api/entity/entities/updated-since"
_PAGE = 100  # entities
TOKEN_HEADER = "Preservica-Access-Token"  # noqa: S105, the header's name
_NOT_KNOWN = (
    "check that `server` is a Preservica server; if it is, hooksync does not know this kind of"
    " answer"
)
_REMOVE_FIRST = (
    "the service refuses a second subscription for this URL and trigger: declare"
    " `replacement: remove-first`, which leaves a gap"
)
T = TypeVar("T")
_LARGEST_LIST = 8 * 1024 * 1024  # bytes; some 40,000 subscriptions


class Preservica:
    """One tenancy's service.

    Thread-safe; logs in at the first call, and again once when the token expires.
    """

    def __init__(self, tenancy: Tenancy, caller: Caller, find: FindSecrets) -> None:
        self._tenancy = tenancy
        self._server = tenancy.server.base_url
        self._caller = caller
        self._redactor = caller.redactor
        self._session = TokenSession(tenancy, caller, find)

    @property
    def tenant(self) -> str | None:
        """The declared tenant, or the one that the log-in returned. None: neither is known."""
        return self._session.tenant

    def log_in(self) -> None:
        """Log in, if there is no token yet.

        The other methods log in by themselves. `check` calls this method first, to report a failed
        log-in as such.
        """
        self._session.token()

    def list_subscriptions(self) -> LiveSubscriptions:
        """Fetch the live subscriptions. Raises ServiceError for anything but a well-formed list."""
        return self._fetch(SUBSCRIPTIONS, self._read_list)

    def updated_since(self, moment: str, start: int) -> EntityPage:
        """Fetch a page of the entities that were updated since a time, from a number on.

        `moment`: ISO 8601. Raises ServiceError. Source: pyPreservica 4.2.2, entityAPI.py.
        """
        query = urlencode({"date": moment, "start": start, "max": _PAGE})
        return self._fetch(f"{_UPDATED}?{query}", lambda response: read_entities(response.body))

    def _fetch(self, path: str, read: Callable[[Response], T]) -> T:
        """Fetch a document. `read`: returns its content, or raises NotUnderstood."""
        request = Request("GET", self._server, path, answer_limit=_LARGEST_LIST)
        response = self._authorised(request, "read")
        if response.status != 200:
            fix = fix_for_status(response.status)
            raise Rejected(self._caller.problem(request, response, fix), response.status)
        try:
            return read(response)
        except NotUnderstood as error:
            problem = self._caller.problem(request, response, _NOT_KNOWN, str(error))
            raise ServiceError(problem) from error

    def _read_list(self, response: Response) -> LiveSubscriptions:
        if response.has_next_page:
            raise NotUnderstood("a part of the list, with a Link header to the next part")
        declared = {
            subscription.url.identity: subscription.url.shown
            for subscription in self._tenancy.subscriptions
        }
        live = read_subscriptions(response.body, declared)
        shown = [f"{item.id} {item.trigger} {item.url.shown}" for item in live]
        if not self._redactor.holds(" ".join(shown)):
            return live  # one search, as few hold a secret
        return tuple(map(self._cleaned, live))

    def _cleaned(self, live: LiveSubscription) -> LiveSubscription:
        """Mask secrets in the shown form of a URL, so no output holds them."""
        if self._redactor.holds(f"{live.id} {live.trigger}"):
            raise NotUnderstood("an id or a trigger in it contains a secret value")
        if not self._redactor.holds(live.url.shown):
            return live
        return replace(live, url=HookUrl(self._redactor.clean(live.url.shown), live.url.full))

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
        request = Request("POST", self._server, SUBSCRIPTIONS, headers, body)
        response = self._authorised(request, "creation")
        identifier = read_created(response.body)
        if not 200 <= response.status < 300 or identifier is None:
            usual = (
                f'check that the receiver runs and holds the same secret as "{declared.name}"'
                f" ({declared.location})"
            )
            if response.status == CONFLICT:
                usual = _REMOVE_FIRST
            raise self._failure(request, response, fix_for_status(response.status, usual))
        # an id that contains a secret is never shown
        return None if self._redactor.holds(identifier) else identifier or None

    def unsubscribe(self, identifier: str) -> None:
        """Remove a live subscription. It is no error if the service no longer has it.

        Raises AnswerLost if the subscription may have been removed, and otherwise ServiceError.
        """
        if identifier in ("", ".", ".."):  # encoding does not help: servers read `%2E%2E` as `..`
            what = f'the id "{identifier}" cannot be used in a path: the call would go elsewhere'
            raise ServiceError(Problem(what, "remove this subscription in Preservica itself"))
        path = f"{SUBSCRIPTIONS}/{quote(identifier, safe='')}"
        request = Request("DELETE", self._server, path)
        response = self._authorised(request, "removal")
        if response.status not in (204, 404):
            raise self._failure(request, response, fix_for_status(response.status))

    def _authorised(self, request: Request, purpose: Purpose) -> Response:
        """Send a request with a token. If the service refuses the token, log in again once."""

        def send(token: str) -> Response:
            headers = {**request.headers, TOKEN_HEADER: token}
            return self._caller.repeat(
                replace(request, headers=headers), self._tenancy.peer, purpose
            )

        token = self._session.token()
        response = send(token)
        if response.status != 401:
            return response
        return send(self._session.token(instead_of=token))

    def _failure(self, request: Request, response: Response, fix: str) -> ServiceError:
        """Return AnswerLost if the change may have been made, and otherwise Rejected with `fix`."""
        if 200 <= response.status < 300 or response.status >= SERVER_ERROR:
            fix = "the list will show whether it was done"
            return AnswerLost(self._caller.problem(request, response, fix))
        return Rejected(self._caller.problem(request, response, fix), response.status)
