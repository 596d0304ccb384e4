"""The client of one tenancy: log in, list, subscribe, unsubscribe.

Every call goes through `Caller.repeat`.

Source of paths and fields: pyPreservica 4.2.2, webHooksAPI.py. If the service's behaviour is not
known, the code handles every likely answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from typing import TypeVar
from urllib.parse import quote, urlencode

from hooksync.core.errors import AnswerLost, Problem, Rejected, ServiceError
from hooksync.core.model import (
    DeclaredSubscription,
    LiveSubscriptions,
    Secret,
    Tenancy,
)
from hooksync.core.record import replace
from hooksync.service.auth import FindSecrets, TokenSession
from hooksync.service.http import (
    Caller,
    Request,
    Response,
)
from hooksync.service.responses import (
    CONFLICT,
    SERVER_ERROR,
    UNKNOWN_STATUS,
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
        response = self._call(request, (200,))
        try:
            return read(response)
        except NotUnderstood as error:
            problem = self._caller.problem(request, response, _NOT_KNOWN, str(error))
            raise ServiceError(problem) from error

    def _read_list(self, response: Response) -> LiveSubscriptions:
        """Read the list, and mask secrets in it. Raises NotUnderstood."""
        if response.has_next_page:
            raise NotUnderstood("a part of the list, with a Link header to the next part")
        declared = {}
        for subscription in self._tenancy.subscriptions:
            declared[subscription.url.identity] = subscription.url.shown
        redactor = self._caller.redactor
        live = read_subscriptions(response.body, declared, redactor.clean)
        if redactor.holds(" ".join(f"{item.id} {item.trigger}" for item in live)):
            raise NotUnderstood("an id or a trigger in it contains a secret value")
        return live

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
        request = Request("POST", self._server, SUBSCRIPTIONS, headers, body, "creation")
        usual = (
            f'check that the receiver runs and holds the same secret as "{declared.name}"'
            f" ({declared.location})"
        )
        response = self._call(request, range(200, 300), usual)
        identifier = read_created(response.body)
        if identifier is None:
            raise self._failure(request, response, usual)
        # an id that contains a secret is never shown
        return None if self._caller.redactor.holds(identifier) else identifier or None

    def unsubscribe(self, identifier: str) -> None:
        """Remove a live subscription. It is no error if the service no longer has it.

        Raises AnswerLost if the subscription may have been removed, and otherwise ServiceError.
        """
        if identifier in ("", ".", ".."):  # encoding does not help: servers read `%2E%2E` as `..`
            what = f'the id "{identifier}" cannot be used in a path: the call would go elsewhere'
            raise ServiceError(Problem(what, "remove this subscription in Preservica itself"))
        path = f"{SUBSCRIPTIONS}/{quote(identifier, safe='')}"
        self._call(Request("DELETE", self._server, path, purpose="removal"), (204, 404))

    def _call(
        self, request: Request, accepted: Container[int], usual: str = UNKNOWN_STATUS
    ) -> Response:
        """Send a request with a token. If the service refuses the token, log in again once.

        Raises AnswerLost or Rejected for a status that is not accepted. `usual`: what to do about
        most of them.
        """
        token = self._session.token()
        response = self._send(request, token)
        if response.status == 401:
            response = self._send(request, self._session.token(instead_of=token))
        if response.status not in accepted:
            raise self._failure(request, response, usual)
        return response

    def _send(self, request: Request, token: str) -> Response:
        """Send a request with a token."""
        request = replace(request, headers={**request.headers, TOKEN_HEADER: token})
        return self._caller.repeat(request, self._tenancy.peer)

    def _failure(self, request: Request, response: Response, usual: str) -> ServiceError:
        """Return AnswerLost if a change may have been made, and otherwise Rejected."""
        status = response.status
        if request.purpose != "read" and (status < 300 or status >= SERVER_ERROR):
            fix = "the list will show whether it was done"
            return AnswerLost(self._caller.problem(request, response, fix))
        if status == CONFLICT and request.purpose == "creation":
            usual = _REMOVE_FIRST
        problem = self._caller.problem(request, response, fix_for_status(status, usual))
        return Rejected(problem, status)
