"""Logging in: by password, or by password and second factor.

Source: Preservica's Access Token API and two-factor pages; pyPreservica 4.2.2, common.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from urllib.parse import urlencode

from hooksync.core.errors import HooksyncError, Problem, Rejected, SecretError
from hooksync.core.model import SecretRef, Secrets, Tenancy
from hooksync.core.record import replace
from hooksync.service.http import Caller, Request
from hooksync.service.responses import (
    LogIn,
    fix_for_status,
    may_pass,
    read_log_in,
)

FindSecrets = Callable[[Iterable[SecretRef]], Secrets]

CODE_SECONDS = 30  # a one-time code is valid for so long

_PATH = "/api/accesstoken"
_WRONG_CREDENTIALS = frozenset({400, 401, 403})  # statuses that may mean wrong credentials


class TokenSession:
    """Logs in to one tenancy, for all its threads.

    Refused credentials are not tried again, because accounts get locked. A one-time code is tried
    once more, when the next one is due.
    """

    def __init__(self, tenancy: Tenancy, caller: Caller, find: FindSecrets) -> None:
        self.tenant = tenancy.tenant  # if None, the log-in may set it, fit to be shown
        self._tenancy = tenancy
        self._caller = caller
        self._find = find
        self._mutex = threading.Lock()
        self._token = ""
        self._refusal: HooksyncError | None = None  # set if a new log-in would fail again

    def token(self, instead_of: str | None = None) -> str:
        """Return the token. Logs in if there is none, or if it is the one in `instead_of`.

        `instead_of`: a token that the service refused. If a different thread has replaced it
        already, the new token is returned without a log-in.
        """
        with self._mutex:
            if self._refusal is not None:
                raise self._refusal
            if not self._token or self._token == instead_of:
                try:
                    log_in = self._log_in()
                except (Rejected, SecretError) as error:
                    if isinstance(error, SecretError) or not may_pass(error.status):
                        self._refusal = error
                    raise
                self._token = log_in.token or ""
                named = self._caller.redactor.quote(log_in.tenant or "")
                self.tenant = self.tenant or named or None
            return self._token

    def _log_in(self, *, may_wait: bool = True) -> LogIn:
        """Log in by password, and by a one-time code if the service asks for it.

        `may_wait`: whether a refused code is followed by the next one. Raises SecretError if a
        credential is missing or unusable, and otherwise ServiceError.
        """
        credentials = self._tenancy.credentials
        found = self._find([credentials.username, credentials.password])
        username = found[credentials.username].reveal()
        form = {"username": username, "password": found[credentials.password].reveal()}
        tenant = self._tenancy.tenant
        form |= {"tenant": tenant} if tenant else {"includeUserDetails": "true"}
        names = f"{credentials.username.subject}, {credentials.password.subject}"
        log_in = self._ask("login", form, f"check {names} and the tenant")
        if log_in.token:
            return log_in
        try:
            return self._second_factor(username, log_in)
        except Rejected as error:
            is_refused = error.status in _WRONG_CREDENTIALS
            if not (is_refused and may_wait) or self._wait_for_next_code():
                raise
        return self._log_in(may_wait=False)

    def _wait_for_next_code(self) -> bool:
        """Wait until a new one-time code is due; return whether a stop ended the wait."""
        context = self._caller.context
        # one second more, because the clock of the service may be a little behind
        seconds = CODE_SECONDS - int(context.clock.now()) % CODE_SECONDS + 1
        context.terminal.message(
            f"{self._tenancy.name}: the service refused the one-time code, which may work only"
            f" once: waiting {seconds} seconds for the next code"
        )
        return context.clock.wait(context.stop, seconds)

    def _second_factor(self, username: str, first: LogIn) -> LogIn:
        """Log in by a one-time code. `first`: the answer to the password."""
        ref = self._tenancy.credentials.totp
        code = self._one_time_code(ref)
        continuation = first.continuation or ""
        self._caller.redactor.learn([continuation, code])
        form = {
            "username": username,
            "tenant": self._tenancy.tenant or first.tenant or "",
            "continuationToken": continuation,
            "twoFactorToken": code,
        }
        fix = f"check the {ref.subject} and this machine's clock"
        log_in = self._ask("complete-2fa", form, fix)
        return replace(log_in, tenant=log_in.tenant or first.tenant)

    def _one_time_code(self, ref: SecretRef) -> str:
        """Compute the current six digits. Errors are not chained: they may contain the seed."""
        seed = self._find([ref])[ref].reveal()
        try:
            import pyotp
        except ImportError as error:
            what = "the account requires a second factor, and pyotp is not installed"
            fix = 'install the extra "totp", as "Install" in README.md describes'
            raise SecretError(Problem(what, fix)) from error

        class Totp(pyotp.TOTP):
            # Preservica chooses the seed, often 16 characters (80 bits); pyotp 2.12 wants 112 bits
            min_secret_length_bits = 80

        try:
            return Totp(seed.replace(" ", "")).at(int(self._caller.context.clock.now()))
        except ValueError:
            pass
        what = f"{ref.subject} is not a base32 seed (16 or more characters of A to Z and 2 to 7)"
        fix = "use the seed that Preservica shows when the second factor is set up"
        raise SecretError(Problem(what, fix, ref.location))

    def _ask(self, call: str, form: dict[str, str], fix: str) -> LogIn:
        """Send a form to the service. Returns a token, or a request for the second factor.

        `fix`: what to do if the credentials are refused. Raises ServiceError.
        """
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        server = self._tenancy.server.base_url
        request = Request("POST", server, f"{_PATH}/{call}", headers, urlencode(form).encode())
        response = self._caller.repeat(request, self._tenancy.peer)
        log_in = read_log_in(response.body)
        self._caller.redactor.learn([log_in.token or "", log_in.refresh_token or ""])
        status = response.status
        if status == 200 and log_in.token and log_in.success is not False:
            return log_in
        if call == "login" and log_in.message == "needs.2fa" and log_in.continuation:
            return log_in
        if log_in.message == "needs.2fa.setup":
            fix = "log in to Preservica in a browser once, and set up the second factor"
        elif status == 200:
            fix = "check that `server` is a Preservica server: the answer contains no token"
        elif status not in _WRONG_CREDENTIALS:
            fix = fix_for_status(status)
        raise Rejected(self._caller.problem(request, response, fix), status)
