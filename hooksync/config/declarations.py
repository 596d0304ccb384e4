"""What the hooks files declare, with places and before variables are filled in; its rules.

A run looks at the tenancies and addresses that --tenancy and --target name.

`tenancy_problems` judges texts without `${NAME}`. `resolve` judges the others, by the same
functions, when their values are filled in. So `subject` names what is judged, and no message
quotes the text itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from hooksync.core import model
from hooksync.core.errors import Problem, UsageError, some_of
from hooksync.core.record import Record, fields_of, replace
from hooksync.core.template import Template
from hooksync.core.urls import (
    is_plain_http,
    normal_url,
    owns_url,
    server_fault,
    split_written,
    url_fault,
)

_URL_FIX = "write a URL such as https://fn.example.net/api/hook?code=${FN_KEY}"
SERVER_FIX = "write server: eu.preservica.com, a host with a port, or a URL without a path"

ON_DEVICE = (
    "leads to a file of the system itself (/proc, /dev, /sys)",
    "write the secret into a file of its own, or into a variable",
)
_NEEDS_NONE = "`hooksync validate` needs no credentials: a pull request from a fork can run it"


class Written(Record, frozen=True):
    """A text with references, and where it is written."""

    template: Template
    location: model.Location

    def subject(self, noun: str, environ: Mapping[str, str]) -> str:
        """Name the text in a message, with its variables and the files that set them."""
        names = []
        for name in self.template.names:
            file = origin_of(name, environ)
            names.append(f"${{{name}}} of {file}" if file else f"${{{name}}}")
        return f"{noun}, with {', '.join(names)} filled in," if names else noun


class SubscriptionDeclaration(model.PlainFields, frozen=True):
    """One subscription as the file declares it, its defaults already in place."""

    name: str
    url: Written
    triggers: tuple[model.Trigger, ...]  # at least one, each once
    secret: model.SecretRef
    location: model.Location  # of its name

    def filled(
        self, tenancy: str, url: model.HookUrl, secret: model.SecretRef
    ) -> Iterator[model.DeclaredSubscription]:
        """Give what it declares with its URL filled in: one for each trigger."""
        plain = fields_of(model.PlainFields, self)
        for trigger in self.triggers:
            yield model.DeclaredSubscription(
                tenancy, self.name, url, trigger, secret, self.location, **plain
            )


class Settings(model.PlainSettings, frozen=True):
    """All that a tenancy says besides its subscriptions.

    Made without arguments: what holds where it is silent.
    """

    server: Written | None = None
    tenant: Written | None = None


class TenancyDeclaration(Record, frozen=True):
    """One tenancy as the files declare it."""

    name: str
    settings: Settings
    subscriptions: tuple[SubscriptionDeclaration, ...]
    location: model.Location  # of its name where its settings stand, or else where it comes first


class Document(Record, frozen=True):
    """All files of a run together, checked as far as that goes without the environment."""

    tenancies: tuple[TenancyDeclaration, ...]
    warnings: tuple[Problem, ...] = ()


def url_problem(
    url: str,
    subject: str,
    where: model.Location | None,
    owns: model.Owns | frozenset[str] = "made",
) -> Problem | None:
    """Judge the URL of a receiver: hooksync may remove what it declares, so a prefix covers it."""
    if fault := url_fault(url):
        return Problem(f"{subject} {fault}", _URL_FIX, where)
    if isinstance(owns, frozenset) and not owns_url(owns, url):
        fix = "add a prefix of it to `owns`, or change the URL"
        return Problem(f"{subject} lies outside `owns` of its tenancy", fix, where)
    return None


def http_warning(url: str, subject: str, where: model.Location) -> Problem | None:
    """Warn of a receiver that is reached over plain http."""
    if not is_plain_http(url):
        return None
    return Problem(f"{subject} is plain http: events can be read in transit", "use https", where)


def server_problem(
    server: str, subject: str, where: model.Location | None, *, allow_http: bool
) -> Problem | None:
    """Judge a server."""
    if fault := server_fault(server):
        return Problem(f"{subject} {fault}", SERVER_FIX, where)
    if is_plain_http(server) and not allow_http:
        what = f"{subject} is plain http: the password can be read in transit"
        return Problem(what, "use https, or say `allow_http: true`", where)
    return None


def tenancy_problems(tenancy: TenancyDeclaration) -> Iterator[Problem]:
    """Judge the server and the URLs of a tenancy as far as nothing has to be filled in."""
    settings = tenancy.settings
    server = settings.server
    found = []
    if server and server.template.literal is not None:
        text = server.template.literal
        found.append(
            server_problem(text, "the server", server.location, allow_http=settings.allow_http)
        )
    elif server:
        found.append(_password_problem(server, "the server", SERVER_FIX))
    identities: list[tuple[SubscriptionDeclaration, Hashable]] = []
    for entry in tenancy.subscriptions:
        url = entry.url.template
        if url.literal is None:
            found.append(_password_problem(entry.url, "the URL", _URL_FIX))
            # a tuple, so that no literal text equals one with references; hashing a Template again
            # and again is slow
            identities.append((entry, (url.text,)))
        else:
            found.append(url_problem(url.literal, "the URL", entry.url.location, settings.owns))
            identities.append((entry, normal_url(url.literal)))
    yield from filter(None, found)
    yield from duplicate_subscription_problems(identities)


def _password_problem(written: Written, subject: str, fix: str) -> Problem | None:
    """Find user information beside variables: it is in the file, whatever they are filled with."""
    text = "".join(part for part in written.template.parts if isinstance(part, str))
    _, netloc, _ = split_written(text)
    if "@" not in netloc:
        return None
    return Problem(f"{subject} holds user information (@)", fix, written.location)


def duplicate_subscription_problems(
    subscriptions: Iterable[tuple[SubscriptionDeclaration, Hashable]],
) -> Iterator[Problem]:
    """Refuse two subscriptions of a tenancy with the same URL identity and trigger."""
    seen: dict[tuple[Hashable, model.Trigger], SubscriptionDeclaration] = {}
    for entry, identity in subscriptions:
        for trigger in entry.triggers:
            first = seen.setdefault((identity, trigger), entry)
            if first is not entry:
                same = f'the URL and the trigger {trigger.short} of "{first.name}"'
                what = f'"{entry.name}" has {same} ({first.location})'
                yield Problem(what, "remove one of the two", entry.location)


def duplicate_tenancy_problems(tenancies: Iterable[TenancyDeclaration]) -> Iterator[Problem]:
    """Refuse two tenancies with the same server and tenant as they are written."""
    places = []
    for entry in tenancies:
        written = (entry.settings.server, entry.settings.tenant)
        places.append((entry, tuple(each and each.template.text for each in written)))
    return same_place_problems(places)


def same_place_problems(
    places: Iterable[tuple[TenancyDeclaration, Hashable]],
) -> Iterator[Problem]:
    """Refuse two tenancies with the same place (server and tenant): they would undo each other."""
    seen: dict[Hashable, TenancyDeclaration] = {}
    for entry, place in places:
        first = seen.setdefault(place, entry)
        if first is not entry:
            same = f'the server and tenant of "{first.name}" ({first.location})'
            what = f'tenancy "{entry.name}" has {same}'
            yield Problem(what, "put their subscriptions under one name", entry.location)


def reference_problem(ref: model.SecretRef, state: str, fix: str) -> Problem:
    """Say what is wrong with a credential or a secret, by where it is found.

    No credentials: name what needs none.
    """
    if ref.noun != "secret":
        fix = f"{fix}; {_NEEDS_NONE}"
    return Problem(f"{ref.subject} {state}", fix, ref.location)


def unset_problem(ref: model.SecretRef, environ: Mapping[str, str]) -> Problem | None:
    """Say why a variable cannot be used; None: it can."""
    if environ.get(ref.name):
        return None
    state = "is empty" if ref.name in environ else "is not set"
    fix = f"add it to {ref.origin}, or export {ref.name}" if ref.origin else set_fix(ref.name)
    return reference_problem(ref, state, fix)


def origin_of(name: str, environ: Mapping[str, str]) -> str:
    """Return the file that sets a variable; "": the environment does."""
    return environ.origins.get(name, "") if isinstance(environ, model.Environ) else ""


def is_own(name: str) -> bool:
    """Whether a variable is for hooksync itself, and goes nowhere else."""
    return name.upper().startswith("HOOKSYNC_")  # Windows does not mind the case


def set_fix(name: str) -> str:
    """Say how to set a variable."""
    return f"export {name}, or set it in a file that --env-file names"


def select(
    document: Document, tenancies: Sequence[str], targets: Sequence[str]
) -> tuple[TenancyDeclaration, ...]:
    """Keep the tenancies that a glob matches, and in which a target may match an address.

    Raises UsageError for a glob that matches nothing: it is a mistake, and would look like "nothing
    to do". A target that matches no declared address may match one that the state contains.
    """
    names = [entry.name for entry in document.tenancies]
    refuse_unmatched("--tenancy", tenancies, names, "tenancy")
    chosen = []
    for entry in document.tenancies:
        if not tenancies or model.address_matches(entry.name, tenancies):
            chosen.append(entry)
    return _targeted(chosen, targets) if targets else tuple(chosen)


def _targeted(
    entries: Sequence[TenancyDeclaration], targets: Sequence[str]
) -> tuple[TenancyDeclaration, ...]:
    """Keep the tenancies in which a target matches an address, or may match a former one."""
    declared = addresses(entries)
    former = []
    for glob in targets:
        if not any(fnmatchcase(each, glob) for each in declared):
            former.append(glob)
    refuse_unmatched("--target", [glob for glob in former if "/" not in glob], declared, "address")
    places = [glob.partition("/")[0] for glob in former]
    kept = []
    for entry in entries:
        is_targeted = any(model.address_matches(each, targets) for each in addresses([entry]))
        if is_targeted or model.address_matches(entry.name, places):
            kept.append(entry)
    if not kept:
        refuse_unmatched("--target", former, declared, "address")
    return tuple(kept)


def addresses(entries: Iterable[TenancyDeclaration]) -> list[str]:
    """List the addresses of all subscriptions."""
    return [
        model.address_of(entry.name, subscription.name, trigger)
        for entry in entries
        for subscription in entry.subscriptions
        for trigger in subscription.triggers
    ]


def narrowed(entry: TenancyDeclaration, targets: Sequence[str]) -> TenancyDeclaration:
    """Keep the subscriptions of a tenancy whose addresses a target matches."""
    kept = []
    for one in entry.subscriptions:
        triggers = []
        for trigger in one.triggers:
            if model.address_matches(model.address_of(entry.name, one.name, trigger), targets):
                triggers.append(trigger)
        if triggers:
            kept.append(replace(one, triggers=tuple(triggers)))
    return replace(entry, subscriptions=tuple(kept))


def refuse_unmatched(flag: str, globs: Iterable[str], candidates: Sequence[str], noun: str) -> None:
    """Raise UsageError for globs that match none of the candidates. `flag`: that they came with."""
    # only here: the addresses of a state may be anything
    from hooksync.core.redaction import printable

    some = printable(some_of(candidates, 3))
    fix = f"choose among {some}" if some else f"there is no {noun} to choose"
    problems = []
    for glob in globs:
        if not any(fnmatchcase(each, glob) for each in candidates):
            problems.append(Problem(f'{flag} "{glob}" matches no {noun}', fix))
    if problems:
        raise UsageError(*problems)
