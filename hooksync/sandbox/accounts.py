"""The accounts of the sandbox, and how they log in: passwords, second factors and tokens.

No sockets; the clock is an argument. Tokens do not expire.

Source: Preservica's pages on the Access Token API and on two-factor authentication, and
pyPreservica 4.2.2, common.py.
"""

from __future__ import annotations

import base64
import hmac
import struct
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from hooksync.receivers.http_server import Refusal

# Sample values for a server on loopback; they protect nothing.
USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"  # noqa: S105  shown in the help
TENANT = "DEMO"
ROLE = "ROLE_SDB_MANAGER_USER"

WEBHOOK_ROLES = frozenset(
    {"ROLE_SDB_MANAGER_USER", "ROLE_SDB_ADMIN_USER", "ROLE_SDB_CONFIG_MANAGER_USER"}
)

_BAD = "bad credentials"
_OTP_PERIOD = 30  # seconds that one code lasts


@dataclass(frozen=True, slots=True)
class Account:
    """A person or a program that may log in."""

    username: str = USERNAME
    password: str = field(default=PASSWORD, repr=False)
    tenants: tuple[str, ...] = (TENANT,)  # a log-in that names none goes to the first
    roles: tuple[str, ...] = (ROLE,)
    # base32; if it is set, a log-in needs a second factor
    totp_seed: str | None = field(default=None, repr=False)


Session = tuple[Account, str]  # and the tenant that it logs in to


class Accounts:
    """The accounts of the sandbox, and the tokens that they got. Thread-safe."""

    def __init__(self, accounts: tuple[Account, ...], clock: Callable[[], float]) -> None:
        self._accounts = accounts
        self._clock = clock  # seconds since 1970
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}  # by token
        self._pending: dict[str, Session] = {}  # by continuation token

    def log_in(self, form: dict[str, str]) -> dict[str, object]:
        """Log in by user name and password.

        Raises `Refusal` if they are wrong or a second factor is needed.
        """
        session = self._find(form)
        account, tenant = session
        if account.password != form.get("password"):
            raise Refusal(401, _BAD)
        if account.totp_seed is not None:
            continuation = str(uuid.uuid4())
            with self._lock:
                self._pending[continuation] = session
            raise Refusal(401, "needs.2fa", continuationToken=continuation, tenant=tenant)
        answer = self._open(session)
        if form.get("includeUserDetails") == "true":
            answer["tenant"] = tenant
        return answer

    def complete_second_factor(self, form: dict[str, str]) -> dict[str, object]:
        """Complete a log-in that needs a second factor. A continuation token works once.

        Raises `Refusal` if a value in the form is wrong.
        """
        continuation = form.get("continuationToken", "")
        with self._lock:
            session = self._pending.get(continuation)
            if session is None:
                raise Refusal(401, _BAD)
            account, _ = session
            period = int(self._clock() // _OTP_PERIOD)
            near = range(period - 1, period + 2)  # a client's clock may be off by one period
            codes = [one_time_code(account.totp_seed or "", period) for period in near]
            if form.get("twoFactorToken") not in codes:
                raise Refusal(401, "the two-factor code is wrong")
            del self._pending[continuation]
        return self._open(session)

    def session(self, token: str) -> Session:
        """Return the session of a token. Raises `Refusal` if the token is unknown."""
        with self._lock:
            session = self._sessions.get(token)
        if session is None:
            raise Refusal(401, "the access token is unknown or expired")
        return session

    def _find(self, form: dict[str, str]) -> Session:
        named = form.get("tenant")
        for account in self._accounts:
            if account.username == form.get("username") and (not named or named in account.tenants):
                return account, named or account.tenants[0]
        raise Refusal(401, _BAD)

    def _open(self, session: Session) -> dict[str, object]:
        account, _ = session
        token = str(uuid.uuid4())
        with self._lock:
            self._sessions[token] = session
        return {
            "success": True,
            "user": account.username,
            "token": token,
            "refresh-token": str(uuid.uuid4()),  # no known client uses it
            "validFor": 15,  # minutes, as the service says
        }


def one_time_code(seed: str, period: int) -> str:
    """Compute the code of a period (RFC 6238); period 0 begins in 1970. `seed`: base32."""
    letters = seed.replace(" ", "").upper()
    key = base64.b32decode(letters + "=" * (-len(letters) % 8))
    digest = hmac.digest(key, struct.pack(">Q", period), "sha1")
    (number,) = struct.unpack_from(">I", digest, digest[-1] & 0x0F)
    return f"{(number & 0x7FFFFFFF) % 10**6:06}"
