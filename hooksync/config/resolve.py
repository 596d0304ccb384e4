"""Declarations + the environment -> the declared tenancies, with everything but secrets filled in.

Pure: the environment is an argument. What depends on a `${NAME}` is checked here, when its value is
known, and nowhere else. Messages name variables, and the files that set them; they never quote
what variables hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from hooksync.config import declarations
from hooksync.config.declarations import (
    SubscriptionDeclaration,
    TenancyDeclaration,
    Written,
    origin_of,
    set_fix,
    unset_problem,
)
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import (
    CREDENTIALS,
    CredentialRefs,
    DeclaredSubscription,
    Environ,
    HookUrl,
    PlainSettings,
    SecretRef,
    Server,
    Tenancy,
)
from hooksync.core.record import fields_of, replace
from hooksync.core.template import MissingVariableError, parse_template
from hooksync.core.urls import is_plain_http, server_url

Environment = Mapping[str, str]


def resolve(
    entries: Sequence[TenancyDeclaration],
    environ: Environment,
    *,
    needs_login: bool = False,
) -> tuple[tuple[Tenancy, ...], tuple[Problem, ...]]:
    """Fill in what the environment says.

    Returns the tenancies and new warnings, in the order of the entries.

    `needs_login`: an error if no tenancy has a log-in. Raises FileError with every problem, and
    with all variables that are not set.
    """
    fillings = [_Filling(entry, environ) for entry in entries]
    tenancies = [filling.tenancy() for filling in fillings]
    problems = [*_same_tenancy_problems(fillings)]
    warnings = _override_warnings(fillings, environ)
    for filling in fillings:
        problems += filling.problems
        warnings += filling.warnings
    has_login = not fillings or any(not filling.unset(filling.login) for filling in fillings)
    if problems or (needs_login and not has_login):
        raise _unresolved(fillings, problems)
    return tuple(filter(None, tenancies)), tuple(dict.fromkeys(warnings))


def _unresolved(fillings: Sequence[_Filling], problems: Iterable[Problem]) -> FileError:
    """Report these problems, and all variables that are not set."""
    found = dict.fromkeys(problems)
    for filling in fillings:
        found.update(dict.fromkeys(filling.unset([*filling.login, *filling.secrets])))
    return FileError(*sorted(found, key=lambda problem: problem.where or ("", 0, 0)))


def resolve_subscriptions(
    entry: TenancyDeclaration, environ: Environment
) -> tuple[DeclaredSubscription, ...]:
    """Fill in URLs alone: who calls receivers needs no server.

    Raises FileError with every problem.
    """
    filling = _Filling(entry, environ)
    found = filling.subscriptions()
    if filling.problems:
        raise FileError(*dict.fromkeys(filling.problems))
    return found


def url_environment_values(
    entries: Sequence[TenancyDeclaration], environ: Environment
) -> tuple[str, ...]:
    """Return what URLs were filled in with, for the redactor: foreign text may echo it.

    What fills in a server or a tenant too is left out: these are not secret, and are shown.
    """
    shown = {"PRESERVICA_SERVER", "PRESERVICA_TENANT"}
    names: dict[str, None] = {}
    for tenancy in entries:
        for text in (tenancy.settings.server, tenancy.settings.tenant):
            if text:
                shown.update(text.template.names)
        for entry in tenancy.subscriptions:
            if entry.url.template.literal is None:
                names.update(dict.fromkeys(entry.url.template.names))
    values = (environ.get(name) for name in names if name not in shown)
    return tuple(dict.fromkeys(filter(None, values)))


class _Filling:
    """One tenancy while it is filled in, with its problems."""

    def __init__(self, entry: TenancyDeclaration, environ: Environment) -> None:
        self.entry = entry
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._environ = environ

    def tenancy(self) -> Tenancy | None:
        """Fill everything in. None: it has no valid server."""
        server = self.server
        tenant = self.tenant
        subscriptions = self.subscriptions()
        if server is None:
            return None
        plain = fields_of(PlainSettings, self.entry.settings)
        plain["credentials"] = self._credentials
        return Tenancy(
            self.entry.name,
            server,
            *tenant,
            subscriptions,
            self.entry.location,
            **plain,
        )

    @cached_property
    def _credentials(self) -> CredentialRefs:
        refs = self.entry.settings.credentials
        return CredentialRefs(**{name: self._sourced(getattr(refs, name)) for name in CREDENTIALS})

    @property
    def login(self) -> list[SecretRef]:
        """What every log-in needs."""
        return [self._credentials.username, self._credentials.password]

    @property
    def secrets(self) -> list[SecretRef]:
        """The secrets, and a seed that is declared."""
        seed = self._credentials.totp
        found = [seed] if seed.location else []
        return found + [self._sourced(one.secret) for one in self.entry.subscriptions]

    def unset(self, refs: Sequence[SecretRef]) -> list[Problem]:
        """Name the variables among these references that are not set."""
        problems = []
        for ref in dict.fromkeys(refs):
            problem = unset_problem(ref, self._environ) if ref.kind == "env" else None
            if problem:
                problems.append(replace(problem, where=problem.where or self.entry.location))
        return problems

    def _sourced(self, ref: SecretRef) -> SecretRef:
        """Add the file that sets the variable of a reference."""
        file = origin_of(ref.name, self._environ) if ref.kind == "env" else ""
        return replace(ref, origin=file) if file else ref

    @cached_property
    def server(self) -> Server | None:
        """The server; None: there is none, or it is invalid, which is noted."""
        written = self._written("server")
        if written is None:
            fix = f"{declarations.SERVER_FIX}, or set PRESERVICA_SERVER"
            self._note(f'tenancy "{self.entry.name}" has no server', fix)
            return None
        text = self._fill(written, "server")
        if text is None:
            return None
        if written.template.literal is None:
            problem = declarations.server_problem(
                text,
                written.subject("the server", self._environ),
                written.location,
                allow_http=self.entry.settings.allow_http,
            )
            if problem:
                self.problems.append(problem)
                return None
        server = Server(written.template.text, server_url(text))
        if is_plain_http(server.base_url):
            what = f"the password goes to {server.shown} in clear: it can be read in transit"
            fix = "use https, and remove `allow_http: true`"
            self.warnings.append(Problem(what, fix, written.location))
        return server

    @cached_property
    def tenant(self) -> tuple[str | None, str | None]:
        """The tenant's name, and how it is written; an empty one counts as not set."""
        written = self._written("tenant")
        text = self._fill(written, "tenant") if written else None
        if not written or not text:
            return None, None
        if not text.isprintable():
            subject = written.subject("the tenant", self._environ)
            what = f"{subject} holds a line break or a control character"
            self._note(what, "check the variable", written)
        return text, written.template.text

    def subscriptions(self) -> tuple[DeclaredSubscription, ...]:
        """Fill in the URLs."""
        made: list[DeclaredSubscription] = []
        known = []
        for entry in self.entry.subscriptions:
            text = self._url(entry)
            if text is not None:
                url = HookUrl(entry.url.template.text, text)
                known.append((entry, url.identity))
                made += entry.filled(self.entry.name, url, self._sourced(entry.secret))
        self.problems += declarations.duplicate_subscription_problems(known)
        return tuple(made)

    def _url(self, entry: SubscriptionDeclaration) -> str | None:
        """Fill a URL in, and judge it if it has variables."""
        written = entry.url
        if written.template.literal is not None:
            return written.template.literal
        url = self._fill(written, "URL")
        if url is None:
            return None
        subject = written.subject("the URL", self._environ)
        owns = self.entry.settings.owns
        if problem := declarations.url_problem(url, subject, written.location, owns):
            self.problems.append(problem)
            return None
        if warning := declarations.http_warning(url, subject, written.location):
            self.warnings.append(warning)
        return url

    def _written(self, field: str) -> Written | None:
        """Return how a server or a tenant is written; if it is not, its usual variable."""
        written: Written | None = getattr(self.entry.settings, field)
        variable = f"PRESERVICA_{field.upper()}"
        if not written and self._environ.get(variable):
            return Written(parse_template(f"${{{variable}}}"), self.entry.location)
        return written

    def _fill(self, written: Written, noun: str) -> str | None:
        """Fill in a text. None: a variable is not set, which is noted."""
        try:
            return written.template.fill(self._environ)
        except MissingVariableError as error:
            for name in error.names:
                fix = f"{set_fix(name)}; `hooksync validate` needs none of this"
                self._note(f"{noun} variable ${{{name}}} is not set", fix, written)
            return None

    def _note(self, what: str, fix: str, written: Written | None = None) -> None:
        where = written.location if written else self.entry.location
        self.problems.append(Problem(what, fix, where))


def _override_warnings(fillings: Sequence[_Filling], environ: Environment) -> list[Problem]:
    """Warn of variables of secrets that a file sets, too, to a different value."""
    warnings = []
    overridden = environ.overridden if isinstance(environ, Environ) else {}
    for name, file in overridden.items():
        ref = SecretRef("env", name)
        if any(ref in filling.login or ref in filling.secrets for filling in fillings):
            what = f"{name} has different values in the environment and in {file}"
            fix = f"unset {name} to use the value in {file}; the environment overrides it"
            warnings.append(Problem(what, fix))
    return warnings


def _same_tenancy_problems(fillings: Sequence[_Filling]) -> Iterator[Problem]:
    """Refuse two names of one tenancy, as far as the environment allows.

    A tenant that is not given becomes known at log-in.
    """
    places = []
    for filling in fillings:
        tenant, _ = filling.tenant
        if filling.server:
            place = (filling.server.base_url, (tenant or "").casefold())
            places.append((filling.entry, place))
    return declarations.same_place_problems(places)
