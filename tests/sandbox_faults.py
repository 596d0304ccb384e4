"""More faults and traits of the sandbox's service, only for tests.

`misbehave` lets a fault happen. `OddRules` are the service's rules with more traits.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from http.client import responses
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pyotp

from hooksync.core import record
from hooksync.receivers.http_server import Connection, IncomingRequest, Reply, json_answer
from hooksync.sandbox import faults, tenancies
from hooksync.sandbox.faults import Fault, call_name
from hooksync.sandbox.server import status_answer
from hooksync.sandbox.tenancies import TOKEN_HEADER, LocalService, SandboxOptions, Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.boxes import Sandbox

KINDS = {  # all of `faults.KINDS`, and more
    **faults.KINDS,
    "gateway": "-N",  # this status, with a gateway's HTML page
    "busy": "-S",  # 503, with Retry-After
    "stall": "-S",  # waits, and then does the call
    "commit": "-N",  # does the call, and then answers as a failing gateway
    "half-body": "",  # does the call, and then sends half of the answer
    "expired-token": "",  # 401, and the token is invalid from now on
    "needs-2fa-setup": "",
    "empty-body": "",
    "not-json": "",
    "wrong-shape": "",
    # quotes the call with its secrets: a client must not show such an answer unredacted
    "echo": "",
    "big": "",
}
ODD_TRAITS = (
    "minimal-list",
    "string-flags",
    "normalise-urls",
    "number-ids",
    "answer-empty",
)
BIG = 10_000_000  # bytes
PORTS = {"http": 80, "https": 443}


class Half(Reply, frozen=True):
    """An answer of which only half is sent, although its header announces the whole length."""


def send_half(connection: Connection, answer: Reply) -> None:
    """Send an answer without the second half of its body, and close the connection. If the answer
    has no body, send only "HTTP/1.1".
    """
    stream, connection.wfile = connection.wfile, io.BytesIO()
    connection.send(answer)
    head, end, body = connection.wfile.getvalue().partition(b"\r\n\r\n")
    connection.wfile = stream
    connection.close_connection = True
    stream.write(head + end + body[: len(body) // 2] if body else b"HTTP/1.1")


@dataclass(frozen=True)
class Account(tenancies.Account):
    """An account that needs a second factor if it has a seed (base32)."""

    totp_seed: str | None = field(default=None, repr=False)


class Totp(pyotp.TOTP):
    """One-time codes, also of seeds of 16 characters."""

    min_secret_length_bits = 80


class OddRules(LocalService):
    """The rules of a service that may have `ODD_TRAITS`, and has a trigger that hooksync lacks."""

    triggers = (*LocalService.triggers, "ENTITY_DELETED")

    def __init__(
        self, options: SandboxOptions, challenge: Callable[[str, str], str | None]
    ) -> None:
        self.is_odd = frozenset(options.traits)
        self.expired: set[str] = set()  # tokens
        self.accounts = {account.username: account for account in options.accounts}
        self.clock = options.clock
        # answers to log-ins, and the seeds of their accounts, by continuation token
        self.pending: dict[str, tuple[Reply, str]] = {}
        if "number-ids" in self.is_odd:
            new_id = options.new_id
            options = replace(options, new_id=lambda: str(int(new_id(), 16) % 2**53))
        super().__init__(options, challenge)

    def answer(self, request: IncomingRequest) -> Reply:
        """Carry out a request, or refuse it."""
        name = call_name(request)
        is_log_in = name in ("login", "complete-2fa")
        if not is_log_in and request.headers.get(TOKEN_HEADER) in self.expired:
            return json_answer(401, {"message": "the access token is expired"})
        if name == "subscribe" and "normalise-urls" in self.is_odd:
            request = with_normal_url(request)
        if name == "complete-2fa":
            return self._complete_log_in(request.form())
        answer = super().answer(request)
        account = self.accounts.get(request.form().get("username", "")) if is_log_in else None
        if isinstance(account, Account) and account.totp_seed and answer.status == 200:
            token = f"continuation-{len(self.pending)}"
            self.pending[token] = answer, account.totp_seed
            tenant = request.form().get("tenant") or account.tenants[0]
            document = {"message": "needs.2fa", "continuationToken": token, "tenant": tenant}
            return json_answer(401, document)
        is_new = name == "subscribe" and answer.status == 200
        return Reply(200) if is_new and "answer-empty" in self.is_odd else answer

    def _complete_log_in(self, form: dict[str, str]) -> Reply:
        """Complete a log-in by a one-time code. A continuation token works once."""
        token, code = form["continuationToken"], form["twoFactorToken"]
        if token not in self.pending:
            return status_answer(401)
        answer, seed = self.pending[token]
        now = int(self.clock())
        codes = {Totp(seed).at(now + shift) for shift in (-30, 0, 30)}  # clocks may differ
        if code not in codes:
            return status_answer(401)
        del self.pending[token]
        return answer

    def describe(self, subscription: Subscription) -> dict[str, object]:
        """Return a subscription as the list shows it."""
        document = super().describe(subscription)
        if "number-ids" in self.is_odd:
            document["id"] = int(subscription.id)
        if "string-flags" in self.is_odd:
            document["includeIdentifiers"] = str(subscription.include_identifiers).lower()
        if "minimal-list" in self.is_odd:
            del document["includeIdentifiers"]
        return document


def with_normal_url(request: IncomingRequest) -> IncomingRequest:
    """Return a request to subscribe with its URL normalised."""
    try:
        document = json.loads(request.body)
        document["url"] = normalised(document["url"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return request  # the rules refuse it
    return record.replace(request, body=json.dumps(document).encode())


def normalised(url: str) -> str:
    """Normalise a URL: host in lower case, no default port, `/` for an empty path."""
    parts = urlsplit(url)
    netloc = parts.netloc.lower().removesuffix(f":{PORTS[parts.scheme]}")
    return parts._replace(netloc=netloc, path=parts.path or "/").geturl()


def misbehave(box: Sandbox, fault: Fault, request: IncomingRequest) -> Reply | None:
    """Let a fault that is not in `faults.KINDS` happen to a call, and return the answer. Return
    None if the connection must be cut.
    """
    rules, number = box.rules, fault.number
    match fault.kind:
        case "gateway":
            return html_answer(number)
        case "busy":
            return status_answer(503, ("Retry-After", f"{number:g}"))
        case "stall":
            return None if box.stopping.wait(number) else rules.answer(request)
        case "commit":
            rules.answer(request)
            return html_answer(number)
        case "half-body":
            answer = rules.answer(request)
            return Half(answer.status, answer.body, answer.content_type)
        case "expired-token":
            assert isinstance(rules, OddRules)
            rules.expired.add(request.headers[TOKEN_HEADER])
            return status_answer(401)
        case "echo":
            message = f"cannot take {request.body.decode('utf-8', 'replace')}"
            return json_answer(400, {"message": message, "headers": dict(request.headers)})
    return FIXED[fault.kind]


def html_answer(status: float) -> Reply:
    """Return the answer of a gateway in front of the service: an HTML page, not JSON."""
    title = f"{status:g} {responses.get(int(status), 'Unknown')}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Reply(int(status), page.encode(), "text/html")


FIXED: dict[str, Reply] = {
    "needs-2fa-setup": json_answer(401, {"message": "needs.2fa.setup", "tenant": "DEMO"}),
    "empty-body": Reply(200),
    "not-json": Reply(200, b"all is well, but this is not JSON"),
    "wrong-shape": json_answer(200, {"content": []}),
    "big": Reply(200, b'["' + b"x" * BIG + b'"]'),
}
