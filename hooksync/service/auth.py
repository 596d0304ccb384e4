"""Logging in: by password, or by password and second factor.

Source: Preservica's Access Token API and two-factor pages; pyPreservica 4.2.2, common.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlencode

from hooksync.core.errors import HooksyncError, Problem, Rejected, SecretError, ServiceError
from hooksync.core.model import Secret, SecretRef, Tenancy
from hooksync.core.record import replace
from hooksync.core.urls import shown_server
from hooksync.service import responses
from hooksync.service.http import Answer, CallContext, CallRecord, Request

Send = Callable[[Request], Answer]  # repeats a call after a lost or busy answer
FindSecret = Callable[[SecretRef], Secret]

_PATH = "/api/accesstoken"
_PERIOD = 30  # seconds that a one-time code lasts
_WRONG_CREDENTIALS = frozenset({400, 401, 403})  # these statuses do not pass with time


class _Outdated(Rejected):
    """The service refused a code that may have expired, or that was used before."""


class UsedCodes:
    """Which one-time codes a run has used: a service takes each of them once. Thread-safe."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._latest: dict[tuple[str, str], int] = {}  # by server and seed; in periods since 1970

    def reserve(self, server: str, seed: str, now: float) -> int:
        """Return the first period from now on whose code is still free, and take it."""
        with self._mutex:
            period = max(int(now // _PERIOD), self._latest.get((server, seed), -1) + 1)
            self._latest[server, seed] = period
            return period


class TokenSession:
    """Logs in to one tenancy, for all its threads.

    Refused credentials are not tried again: accounts get locked.
    """

    def __init__(
        self, tenancy: Tenancy, context: CallContext, find: FindSecret, used: UsedCodes, send: Send
    ) -> None:
        self.tenant = tenancy.tenant  # that the log-in led to
        self._tenancy = tenancy
        self._context = context
        self._find = find
        self._used = used
        self._send = send
        self._mutex = threading.Lock()
        self._token: str | None = None
        self._error: HooksyncError | None = None  # the latest
        self._is_final = False  # trying again would fail alike, or lock the account
        self._failures = 0

    def token(self, instead_of: str | None = None) -> str:
        """Return a token; log in if there is none, or only the one that the service just refused.

        `instead_of`: the refused one. If another thread has replaced it meanwhile, that new token
        is returned; if another thread's log-in failed while this one waited, the same error is
        raised.
        """
        failures = self._failures
        with self._mutex:
            if self._error is not None and (self._is_final or self._failures > failures):
                raise self._error
            if self._token is None or self._token == instead_of:
                try:
                    log_in = self._log_in()
                except HooksyncError as error:
                    self._failures += 1
                    self._error = error
                    is_refused = (
                        isinstance(error, Rejected) and error.status not in responses.BUSY_STATUSES
                    )
                    self._is_final = is_refused or isinstance(error, SecretError)
                    raise
                self._token = log_in.token
                self.tenant = self.tenant or log_in.tenant
            return self._token

    def _log_in(self) -> responses.LogIn:
        """Log in; once more only with a new code.

        Raises SecretError for what is not set, ServiceError.
        """
        with suppress(_Outdated):
            return self._password()
        code, _ = self._one_time_code()
        return self._password(code)

    def _password(self, code: str = "") -> responses.LogIn:
        """Log in by password. `code`: of the second factor; "": one is made if it is asked for."""
        username, password = self._user_and_password()
        tenant = self._tenancy.tenant
        form = {"username": username, "password": password}
        form |= {"tenant": tenant} if tenant else {"includeUserDetails": "true"}
        request, answer = self._ask("login", form)
        refusal = responses.read_refusal(answer.body) if answer.status != 200 else ""
        if isinstance(refusal, responses.SecondFactor):
            self._context.redactor.learn([refusal.continuation])
            if not code:
                code, has_waited = self._one_time_code()
                if has_waited:  # perhaps for longer than the continuation token lasts
                    return self._password(code)
            return self._second_factor(form["username"], refusal, code)
        if refusal == "needs.2fa.setup":
            what = (
                f"{request} -> {answer.status}: the account needs a second factor, and none is"
                " set up"
            )
            raise Rejected(
                Problem(what, "log in to Preservica in a browser once and set it up"), answer.status
            )
        return self._read(request, answer)

    def _second_factor(
        self, username: str, demand: responses.SecondFactor, code: str
    ) -> responses.LogIn:
        form = {"username": username, "tenant": self._tenancy.tenant or demand.tenant or ""}
        form |= {"continuationToken": demand.continuation, "twoFactorToken": code}
        doubt = f"the {self._tenancy.credentials.totp.subject} and this machine's clock"
        log_in = self._read(*self._ask("complete-2fa", form), doubt)
        return responses.LogIn(log_in.token, log_in.hidden, log_in.tenant or demand.tenant)

    def _one_time_code(self) -> tuple[str, bool]:
        """Compute the six digits of the current period, or of the next one if they were used.

        Returns whether that had to be waited for, too. Raises ServiceError when the wait was
        interrupted.
        """
        ref = self._tenancy.credentials.totp
        try:
            seed = self._find(ref).reveal()
        except SecretError as error:
            what = f"the account asks for a second factor, and {error.summary}"
            fix = f"set {ref} to the base32 seed of the account"
            raise SecretError(Problem(what, fix, ref.location)) from None
        self._context.redactor.learn([seed])
        seed = seed.replace(" ", "")
        now = self._context.clock.now()
        server = self._tenancy.server.base_url
        period = self._used.reserve(server, seed, now)
        code = self._code_of(seed, period * _PERIOD)
        if code is None:
            seed_form = "a base32 seed (16 or more characters of A to Z and 2 to 7)"
            what = f"{ref.subject} is not {seed_form}"
            fix = "use the seed that Preservica shows when the second factor is set up"
            raise SecretError(Problem(what, fix, ref.location))
        self._context.redactor.learn([code])
        left = period * _PERIOD - now
        if left > 0:
            peer = f"{self._tenancy.name} ({shown_server(server)})"
            self._context.watch(CallRecord(peer, "one-time code", "waits for an unused one", left))
            if self._context.clock.wait(self._context.stop, left):
                what = "interrupted while it waited for the next one-time code"
                raise ServiceError(Problem(what, "run it again"))
        return code, left > 0

    def _code_of(self, seed: str, moment: int) -> str | None:
        """Compute the code of a seed; None for an invalid seed.

        Errors are not chained: they may hold the seed.
        """
        try:
            import pyotp
        except ImportError as error:
            what = "the account asks for a second factor, and pyotp is not installed"
            fix = 'install the extra "totp", as "Install" in README.md describes'
            raise SecretError(Problem(what, fix)) from error

        class Totp(pyotp.TOTP):
            # seeds of 16 characters are usual, and we cannot choose; pyotp 2.12 wants 112
            min_secret_length_bits = 80

        try:
            return Totp(seed).at(moment)
        except ValueError:
            return None

    def _user_and_password(self) -> tuple[str, str]:
        """Look both up.

        Raises one SecretError for both, at the tenancy's place where the file names neither.
        """
        found: list[str] = []
        problems: list[Problem] = []
        credentials = self._tenancy.credentials
        for ref in (credentials.username, credentials.password):
            try:
                found.append(self._find(ref).reveal())
            except SecretError as error:
                problems += (
                    replace(one, where=one.where or self._tenancy.location)
                    for one in error.problems
                )
        if problems:
            raise SecretError(*problems)
        username, password = found
        self._context.redactor.learn([password])
        return username, password

    def _ask(self, call: str, form: dict[str, str]) -> tuple[Request, Answer]:
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        server = self._tenancy.server.base_url
        request = Request("POST", server, f"{_PATH}/{call}", headers, urlencode(form).encode())
        return request, self._send(request)

    def _read(self, request: Request, answer: Answer, doubt: str = "") -> responses.LogIn:
        """Read the token of an answer.

        `doubt`: what may be wrong with a one-time code; "": there was none.
        """
        credentials = self._tenancy.credentials
        kind = Rejected
        error = None
        if answer.status == 200:
            try:
                log_in = responses.read_log_in(answer.body)
                self._context.redactor.learn(log_in.hidden)
                return log_in
            except responses.NotUnderstood as reason:
                error = reason
                fix = "check that `server` is a Preservica server"
        elif answer.status in _WRONG_CREDENTIALS:
            kind = _Outdated if doubt else Rejected
            login = f"{credentials.username.subject}, {credentials.password.subject}"
            fix = f"check {doubt or f'{login} and the tenant'}"
        else:
            fix = responses.fix_for_status(answer.status)
        quoted = self._context.redactor.quote(answer.text) or "(an empty answer)"
        remark = f"{error}: " if error else ""
        raise kind(
            Problem(f"{request} -> {answer.status}: {remark}{quoted}", fix), answer.status
        ) from error
