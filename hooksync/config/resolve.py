"""Declarations + the environment -> the declared tenancies, with everything but secrets filled in.

Pure: the environment is an argument. What depends on a `${NAME}` is checked here, when its value is
known, and nowhere else. Messages name variables and never quote what they hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from hooksync.config import declarations
from hooksync.config.declarations import (
    SubscriptionDeclaration,
    TenancyDeclaration,
    Written,
    set_fix,
    unset_problem,
)
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import (
    DeclaredSubscription,
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
    whole: Sequence[TenancyDeclaration] = (),
    *,
    needs_login: bool = False,
) -> tuple[tuple[Tenancy, ...], tuple[Problem, ...]]:
    """Fill in what the environment says.

    Returns the tenancies and new warnings, in the order of the entries.

    `whole`: what the entries are a shard of, for names of the same tenancy. `needs_login`: an error
    if no tenancy has a log-in. Raises FileError with every problem, and with all variables that are
    not set.
    """
    problems = [*same_tenancy_problems(whole, environ)]
    warnings = []
    known = []
    for entry in entries:
        filling = _Filling(entry, environ)
        made = filling.tenancy()
        if made:
            known.append((entry, made))
        problems += filling.problems
        warnings += filling.warnings
    places = ((entry, made.server.base_url, made.tenant) for entry, made in known)
    problems += declarations.duplicate_tenancy_problems(places)
    has_login = not entries or any(not _unset(entry, _log_in(entry), environ) for entry in entries)
    if problems or (needs_login and not has_login):
        for entry in entries:
            problems += _unset(entry, [*_log_in(entry), *_secrets(entry)], environ)
        raise FileError(
            *sorted(dict.fromkeys(problems), key=lambda problem: problem.where or ("", 0, 0))
        )
    return tuple(made for _, made in known), tuple(dict.fromkeys(warnings))


def _log_in(entry: TenancyDeclaration) -> list[SecretRef]:
    login = entry.settings.credentials
    return [login.username, login.password]


def _secrets(entry: TenancyDeclaration) -> list[SecretRef]:
    """List the secrets, and a seed that is declared."""
    seed = entry.settings.credentials.totp
    seeds = [seed] if seed.location else []
    return seeds + [one.secret for one in entry.subscriptions]


def _unset(
    entry: TenancyDeclaration, refs: Iterable[SecretRef], environ: Environment
) -> list[Problem]:
    """Name the variables among these references that are not set."""
    problems = []
    for ref in dict.fromkeys(refs):
        problem = unset_problem(ref, environ) if ref.kind == "env" else None
        if problem:
            problems.append(replace(problem, where=problem.where or entry.location))
    return problems


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
    urls = (entry.url.template for tenancy in entries for entry in tenancy.subscriptions)
    places = (
        text
        for tenancy in entries
        for text in (tenancy.settings.server, tenancy.settings.tenant)
        if text
    )
    shown = {"PRESERVICA_SERVER", "PRESERVICA_TENANT"}.union(
        *(text.template.names for text in places)
    )
    names = dict.fromkeys(
        name for url in urls if url.literal is None for name in url.names if name not in shown
    )
    return tuple(dict.fromkeys(value for name in names if (value := environ.get(name))))


class _Filling:
    """One tenancy while it is filled in, with its problems."""

    def __init__(self, entry: TenancyDeclaration, environ: Environment) -> None:
        self.entry = entry
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._environ = environ

    def tenancy(self) -> Tenancy | None:
        """Fill everything in. None: it has no valid server."""
        server, tenant, subscriptions = self._server(), self._tenant(), self.subscriptions()
        if server is None:
            return None
        plain = fields_of(PlainSettings, self.entry.settings)
        return Tenancy(
            self.entry.name, server, *tenant, subscriptions, self.entry.location, **plain
        )

    def _server(self) -> Server | None:
        written, text = self._shown("server")
        if written is None:
            fix = f"{declarations.SERVER_FIX}, or set PRESERVICA_SERVER"
            self._note(f'tenancy "{self.entry.name}" has no server', fix)
        if written is None or text is None:
            return None
        if written.template.literal is None:
            subject, allow_http = written.subject("the server"), self.entry.settings.allow_http
            if problem := declarations.server_problem(
                text, subject, written.location, allow_http=allow_http
            ):
                self.problems.append(problem)
                return None
        server = Server(written.template.text, server_url(text))
        if is_plain_http(server.base_url):
            what = f"the password goes to {server.shown} in clear: it can be read in transit"
            self.warnings.append(
                Problem(what, "use https, and remove `allow_http: true`", written.location)
            )
        return server

    def _tenant(self) -> tuple[str | None, str | None]:
        """Return the tenant's name, and how it is written; an empty one counts as not set."""
        written, text = self._shown("tenant")
        if written and text:
            if not text.isprintable():
                subject = written.subject("the tenant")
                self._note(
                    f"{subject} holds a line break or a control character",
                    "check the variable",
                    written,
                )
            return text, written.template.text
        return None, None

    def subscriptions(self) -> tuple[DeclaredSubscription, ...]:
        """Fill in the URLs."""
        filled = [(entry, self._url(entry)) for entry in self.entry.subscriptions]
        known = [
            (entry, HookUrl(entry.url.template.text, url))
            for entry, url in filled
            if url is not None
        ]
        self.problems += declarations.duplicate_subscription_problems(
            (entry, url.identity) for entry, url in known
        )
        return tuple(each for entry, url in known for each in entry.filled(self.entry.name, url))

    def _url(self, entry: SubscriptionDeclaration) -> str | None:
        """Fill a URL in, and judge it if it has variables."""
        written = entry.url
        if written.template.literal is not None:
            return written.template.literal
        url = self._fill(written, "URL")
        if url is None:
            return None
        subject = written.subject("the URL")
        if problem := declarations.url_problem(
            url, subject, written.location, self.entry.settings.owns
        ):
            self.problems.append(problem)
            return None
        if warning := declarations.http_warning(url, subject, written.location):
            self.warnings.append(warning)
        return url

    def _shown(self, field: str) -> tuple[Written | None, str | None]:
        """Fill in a server or a tenant.

        Returns how it is written, if at all, and the text; "": it is not written; None: it cannot
        be filled in.
        """
        written, variable = getattr(self.entry.settings, field), f"PRESERVICA_{field.upper()}"
        if not written and self._environ.get(variable):
            written = Written(parse_template(f"${{{variable}}}"), self.entry.location)
        if not written:
            return None, ""
        return written, self._fill(written, field)

    def _fill(self, written: Written, noun: str) -> str | None:
        try:
            return written.template.fill(self._environ)
        except MissingVariableError as error:
            for name in error.names:
                fix = (
                    f"{set_fix(name)}, or give it a default: ${{{name}:-...}}; `hooksync validate`"
                    " needs none of this"
                )
                self._note(f"{noun} variable ${{{name}}} is not set", fix, written)
            return None

    def _note(self, what: str, fix: str, written: Written | None = None) -> None:
        self.problems.append(
            Problem(what, fix, written.location if written else self.entry.location)
        )


def same_tenancy_problems(
    entries: Sequence[TenancyDeclaration], environ: Environment
) -> Iterator[Problem]:
    """Find the same tenancy under two names across all shards, as far as the environment allows.

    What prevents that is reported in its own shard. A tenant that is not given becomes known at
    log-in, and then only in its own shard: beside others on the same server it must be given.
    """
    fillings = [_Filling(replace(entry, subscriptions=()), environ) for entry in entries]
    known = [(one.entry, made) for one in fillings if (made := one.tenancy()) and not one.problems]
    places = ((entry, made.server.base_url, made.tenant) for entry, made in known)
    yield from declarations.duplicate_tenancy_problems(places)
    named = {made.server.base_url: entry.name for entry, made in reversed(known) if made.tenant}
    for entry, made in known:
        if not made.tenant and (other := named.get(made.server.base_url)):
            what = (
                f'tenancy "{entry.name}" has no tenant: with --shard, it cannot be told apart from'
                f' "{other}"'
            )
            yield Problem(
                f"{what}, which is on the same server", "write tenant: NAME", entry.location
            )
