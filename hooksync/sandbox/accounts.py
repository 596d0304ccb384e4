"""The accounts of the sandbox, and how they log in: passwords and tokens.

No sockets. Tokens do not expire.

Source: Preservica's page on the Access Token API, and pyPreservica 4.2.2, common.py.
"""

from __future__ import annotations

import uuid
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


@dataclass(frozen=True, slots=True)
class Account:
    """A person or a program that may log in."""

    username: str = USERNAME
    password: str = field(default=PASSWORD, repr=False)
    tenants: tuple[str, ...] = (TENANT,)  # a log-in that names none goes to the first
    roles: tuple[str, ...] = (ROLE,)


Session = tuple[Account, str]  # and the tenant that it logs in to


class Accounts:
    """The accounts of the sandbox, and the tokens that they got. Thread-safe."""

    def __init__(self, accounts: tuple[Account, ...]) -> None:
        self._accounts = accounts
        self._sessions: dict[str, Session] = {}  # by token

    def log_in(self, form: dict[str, str]) -> dict[str, object]:
        """Log in by user name and password. Raises `Refusal` if they are wrong."""
        credentials = (form.get("username"), form.get("password"))
        for account in self._accounts:
            tenant = form.get("tenant") or account.tenants[0]
            if (account.username, account.password) == credentials and tenant in account.tenants:
                token = str(uuid.uuid4())
                self._sessions[token] = (account, tenant)
                answer = {"success": True, "user": account.username, "token": token}
                if form.get("includeUserDetails") == "true":
                    answer["tenant"] = tenant
                return answer
        raise Refusal(401, "bad credentials")

    def session(self, token: str) -> Session:
        """Return the session of a token. Raises `Refusal` if the token is unknown."""
        if token not in self._sessions:
            raise Refusal(401, "the access token is unknown or expired")
        return self._sessions[token]
