"""Turn declarations into tenancies: fill in everything but secrets, and check the rules.

Pure: the environment is an argument. `validate` has none, and judges the texts without `${NAME}`.
Messages name variables; they never quote what variables hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hooksync.config.declarations import (
    Declarations,
    TenancyDeclaration,
    WrittenSubscription,
    is_unset,
    refs_of,
    unset_problem,
)
from hooksync.core.errors import FileError, Problem, Problems, in_order, limited
from hooksync.core.model import (
    DeclaredSubscription,
    DeclaredSubscriptions,
    Environ,
    HookUrl,
    Location,
    PlainSettings,
    SecretRef,
    Server,
    SubscriptionKey,
    Tenancy,
    TenancyKey,
    TenancyPlaces,
    Variables,
)
from hooksync.core.record import asdict, fields_of
from hooksync.core.template import Template, has_bare_dollar
from hooksync.core.urls import (
    has_literal_key,
    is_plain_http,
    masked_url,
    normal_url,
    owns_url,
    protects_url,
    server_fault,
    server_url,
    url_fault,
)

_URL_FIX = (
    "write a URL such as https://fn.example.net/api/hook?code=${FN_KEY}; in it, a space is %20"
)
_SERVER_FIX = (
    "write your `server`: a host such as eu.preservica.com, host:port, or a URL without a path"
)


def check_as_written(warnings: list[Problem], declarations: Declarations) -> list[Problem]:
    """Return the problems of everything that does not depend on a variable; note the warnings."""
    problems: list[Problem] = []
    for declaration in declarations:  # only for the problems: the tenancies are incomplete
        resolver = _Resolver(declaration, None)
        resolver.resolve_tenancy()
        problems += resolver.problems
        warnings += resolver.warnings
    return problems


def resolve(declarations: Declarations, environ: Variables) -> tuple[tuple[Tenancy, ...], Problems]:
    """Fill in the values of environment variables.

    Returns the tenancies in the order of the declarations, and warnings.

    Raises FileError with every problem, and also if no tenancy has its log-in. One problem names
    all that is not set in a tenancy, also its secrets.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    tenancies = []
    unset: list[Problem] = []
    has_all = True
    has_login = not declarations
    for declaration in declarations:
        resolver = _Resolver(declaration, environ)
        if tenancy := resolver.resolve_tenancy():
            tenancies.append(tenancy)
        problems += resolver.problems
        refs = refs_of(declaration)
        warnings += [*_override_warnings(refs, environ), *resolver.warnings]
        has_all = has_all and not resolver.unset
        missing = [ref for ref in refs if is_unset(ref, environ)]
        has_login |= all(ref.noun == "secret" for ref in missing)
        if subjects := resolver.unset + [ref.subject for ref in missing]:
            unset.append(unset_problem(subjects, environ, declaration.location))
    if problems or not (has_all and has_login):
        raise FileError.of([*problems, *unset])
    return tuple(tenancies), limited(in_order(warnings))


def places_of(declarations: Declarations, environ: Variables) -> TenancyPlaces:
    """Return the server and tenant that each tenancy declares, by its name.

    The tenant is empty if the declaration leaves it out. None: the server is not known, or invalid.
    """
    places: dict[str, TenancyKey | None] = {}
    for declaration in declarations:
        server, tenant = _Resolver(declaration, environ).resolve_place()
        places[declaration.name] = TenancyKey.of(server.shown, tenant) if server else None
    return places


def resolve_subscriptions(
    declaration: TenancyDeclaration, environ: Variables
) -> DeclaredSubscriptions:
    """Fill in only the URLs: a command that calls receivers needs no server.

    Raises FileError with every problem.
    """
    resolver = _Resolver(declaration, environ)
    subscriptions = resolver.resolve_subscriptions()
    problems = resolver.problems
    if resolver.unset:
        problems.append(unset_problem(resolver.unset, environ, declaration.location))
    if problems:
        raise FileError.of(problems)
    return subscriptions


def url_environment_values(declarations: Declarations, environ: Variables) -> set[str]:
    """Return the values that fill in URLs: the redactor masks them in texts of other programs.

    Values that also fill in a server or a tenant are left out, because those are shown anyway.
    """
    used: set[str] = set()
    shown: set[str] = set()
    for tenancy in declarations:
        shown.update(tenancy.server.names, tenancy.tenant.names)
        used.update(*(subscription.url.names for subscription in tenancy.subscriptions))
    return {environ.get(name, "") for name in used - shown} - {""}


def url_problem(
    url: str, subject: str, where: Location | None, settings: PlainSettings | None = None
) -> Problem | None:
    """Return what is wrong with the URL of a receiver, or None.

    If `owns` of its tenancy is a set of prefixes, one of them must cover the URL, because hooksync
    may remove the subscription later. No prefix of `protect` may cover it.
    """
    if fault := url_fault(url):
        return Problem(f"{subject} {fault}", _URL_FIX, where)
    if settings and isinstance(settings.owns, frozenset) and not owns_url(settings.owns, url):
        return Problem(
            f"{subject} is outside `owns` of its tenancy",
            "add a prefix of it to `owns`, or change the URL",
            where,
        )
    if settings and protects_url(settings.protect, url):
        return Problem(
            f"{subject} is, or may be, under a prefix in `protect` of its tenancy",
            "remove the subscription from the file, or change the URL",
            where,
        )
    return None


class _Resolver:
    """Fills in and judges one tenancy, and collects problems and warnings.

    A text is judged as soon as it is known. If `environ` is None, those with variables are unknown.
    """

    def __init__(self, declaration: TenancyDeclaration, environ: Variables | None) -> None:
        self.declaration = declaration
        self.environ = environ
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.unset: list[str] = []  # variables, with what they are for

    def resolve_tenancy(self) -> Tenancy | None:
        """Fill everything in, and judge it. Returns None if there is no valid server."""
        declaration = self.declaration
        server, tenant = self.resolve_place()
        subscriptions = self.resolve_subscriptions()
        if server is None:
            return None
        plain = fields_of(PlainSettings, declaration)
        return Tenancy(
            declaration.name, server, tenant, subscriptions, declaration.location, **plain
        )

    def resolve_place(self) -> tuple[Server | None, str | None]:
        """Fill in the server and the tenant. An empty tenant counts as not set."""
        return self._resolve_server(), self._fill(self.declaration.tenant, "tenant") or None

    def _resolve_server(self) -> Server | None:
        """Fill in and judge the server. None: it is not known, or it is invalid."""
        written = self.declaration.server
        text = self._fill(written, "server")
        if text is None:
            return None
        where = written.location or self.declaration.location
        if fault := server_fault(text):
            self.problems.append(Problem(f"the server {fault}", _SERVER_FIX, where))
            return None
        if is_plain_http(text):
            what = "the server is plain http: the password can be read in transit"
            noted = self.warnings if self.declaration.allow_http else self.problems
            noted.append(Problem(what, "use https", where))
        return Server(server_url(text))

    def resolve_subscriptions(self) -> DeclaredSubscriptions:
        """Fill in the subscriptions whose URLs are known and valid.

        No two may have the same URL and trigger.
        """
        subscriptions = []
        urls: dict[str, HookUrl | None] = {}  # by name: all its triggers have one URL
        seen: dict[SubscriptionKey, WrittenSubscription] = {}
        for subscription in self.declaration.subscriptions:
            if subscription.name not in urls:
                urls[subscription.name] = self._resolve_url(subscription.url)
            identity = normal_url(subscription.url.text)
            if url := urls[subscription.name]:
                identity = url.identity
                fields = asdict(subscription) | {"url": url}
                subscriptions.append(DeclaredSubscription(**fields))
            key = SubscriptionKey(identity, subscription.trigger)
            first = seen.setdefault(key, subscription)
            if first is not subscription:
                same = f'the URL and the trigger {subscription.trigger.short} of "{first.name}"'
                self.problems.append(
                    Problem(
                        f'"{subscription.name}" has {same} ({first.location})',
                        "remove one of the two",
                        subscription.location,
                    )
                )
        return tuple(subscriptions)

    def _resolve_url(self, written: Template) -> HookUrl | None:
        """Fill in and judge a URL. None: it is not known, or it is invalid (a problem is noted)."""
        shown = written.text
        if has_literal_key(written.text):
            shown = masked_url(shown)
            self.warnings.append(
                Problem(
                    "the URL contains what looks like a key: whoever reads the file has it",
                    "write a variable instead, as in ?code=${FN_KEY}; a space in its value is %20",
                    written.location,
                )
            )
        text = self._fill(written, "URL")
        if text is None:
            return None
        problem = url_problem(text, "the URL", written.location, self.declaration)
        if problem:
            self.problems.append(problem)
            return None
        if is_plain_http(text):
            self.warnings.append(
                Problem(
                    "the URL is plain http: events can be read in transit",
                    "use https",
                    written.location,
                )
            )
        return HookUrl(shown, text)

    def _fill(self, written: Template, noun: str) -> str | None:
        """Fill in a text. None: it is not known. A variable that is not set is noted."""
        if has_bare_dollar(written.text):
            self.warnings.append(
                Problem(
                    f"the {noun} contains a $ without braces, which is sent as it is",
                    "write ${NAME} to fill in a variable, or $$ for a dollar sign",
                    written.location,
                )
            )
        if self.environ is None and written.names:
            return None
        text, missing = written.fill(self.environ or {})
        self.unset += [f"{noun} variable ${{{name}}}" for name in missing]
        return None if missing else text


def _override_warnings(refs: Sequence[SecretRef], environ: Variables) -> Iterator[Problem]:
    """Warn of each variable of a secret whose value in a file differs from the environment's."""
    overridden = environ.overridden if isinstance(environ, Environ) else {}
    for ref in refs if overridden else ():
        if file := overridden.get(ref.variable):
            yield Problem(
                f"{ref.name} has different values in the environment and in {file}",
                f"unset {ref.name} to use the value in {file}; the environment overrides it",
            )
