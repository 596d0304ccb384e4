"""What the files declare, each with its place, nothing filled in; and the rules between its fields.

The rules are checked twice: by `document` for texts as they are written, by `resolve` for texts with `${NAME}` filled
in. So `subject` names what is checked, and no message quotes the text itself. Of the disk, only links are looked at.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from hooksync.config.files import is_device, real_path
from hooksync.core.errors import Problem
from hooksync.core.model import Location, PlainFields, PlainSettings, SecretRef, Trigger
from hooksync.core.record import Record
from hooksync.core.template import Template
from hooksync.core.urls import is_plain_http, may_own, normal_url, server_fault, server_url, url_fault

SERVER_FIX = "write server: eu.preservica.com, a host with a port, or a URL without a path"


class Written(Record, frozen=True):
    """A text with references, and where it is written."""

    template: Template
    location: Location


class SubscriptionDeclaration(PlainFields, frozen=True):
    """One subscription as the file declares it, its defaults already in place."""

    name: str
    url: Written
    triggers: tuple[Trigger, ...]  # at least one, each once
    secret: SecretRef
    location: Location  # of its name


class Settings(PlainSettings, frozen=True):
    """All that a tenancy says besides its subscriptions. Made without arguments: what holds where it is silent."""

    server: Written | None = None
    tenant: Written | None = None


class TenancyDeclaration(Record, frozen=True):
    """One tenancy as the files declare it."""

    name: str
    settings: Settings
    subscriptions: tuple[SubscriptionDeclaration, ...]
    location: Location  # of its name where its settings stand, or else where it comes first


class Document(Record, frozen=True):
    """All files of a run together, checked as far as that goes without the environment."""

    tenancies: tuple[TenancyDeclaration, ...]
    warnings: tuple[Problem, ...] = ()


def filled_subject(noun: str, template: Template) -> str:
    """Name a text by the variables that were filled in."""
    names = ", ".join(f"${{{name}}}" for name in template.names)
    return f"{noun}, with {names} filled in," if names else noun


def url_problem(url: str, subject: str, where: Location) -> Problem | None:
    """Judge the URL of a receiver, or its outline."""
    fault = url_fault(url)
    fix = "write a URL such as https://fn.example.net/api/hook?code=${FN_KEY}"
    return Problem(f"{subject} {fault}", fix, where) if fault else None


def ownership_problem(owns: tuple[str, ...] | None, url: str, subject: str, where: Location) -> Problem | None:
    """Refuse a URL that no prefix owns: hooksync would not find again what it made."""
    if may_own(owns, url):
        return None
    return Problem(
        f"{subject} lies outside `owns` of its tenancy", "add a prefix of it to `owns`, or change the URL", where
    )


def http_warning(url: str, subject: str, where: Location) -> Problem | None:
    """Warn of a receiver that is reached over plain http."""
    if not is_plain_http(url):
        return None
    return Problem(f"{subject} is plain http: events can be read in transit", "use https", where)


def server_problem(server: str, subject: str, where: Location | None, *, allow_http: bool) -> Problem | None:
    """Judge a server, or its outline."""
    if fault := server_fault(server):
        return Problem(f"{subject} {fault}", SERVER_FIX, where)
    if is_plain_http(server) and not allow_http:
        what = f"{subject} is plain http: the password can be read in transit"
        return Problem(what, "use https, or say `allow_http: true`", where)
    return None


def reference_problems(tenancy: TenancyDeclaration) -> Iterator[Problem]:
    """Refuse what no hooks file may name, so that one that nobody has reviewed yet cannot send it elsewhere."""
    settings, entries = tenancy.settings, tenancy.subscriptions
    for written in (settings.server, settings.tenant, *(entry.url for entry in entries)):
        if written and written.template.literal is None:
            for name in filter(_is_own, written.template.names):
                yield _own_variable_problem(name, written.location)
    login = settings.credentials
    for ref in (login.username, login.password, login.totp, *(entry.secret for entry in entries)):
        if ref.kind == "env" and _is_own(ref.name):
            yield _own_variable_problem(ref.name, ref.location)
        elif ref.kind == "file" and is_device(real_path(ref)):
            yield device_problem(ref)


def device_problem(ref: SecretRef) -> Problem:
    """Say that a file is none that a secret may be read from."""
    what = f"secret {ref} leads to what the system tells of processes or devices (/proc, /dev, /sys)"
    return Problem(what, "write the secret into a file of its own, or into a variable", ref.location)


def _is_own(name: str) -> bool:
    return name.upper().startswith("HOOKSYNC_")  # Windows does not mind the case


def _own_variable_problem(name: str, where: Location | None) -> Problem:
    what = f"the variable {name} is for hooksync itself: those named HOOKSYNC_... are never sent anywhere"
    return Problem(what, "give what you want to send a variable with another name", where)


def duplicate_subscription_problems(
    subscriptions: Iterable[tuple[SubscriptionDeclaration, Hashable]],
) -> Iterator[Problem]:
    """Refuse two subscriptions of one tenancy with the same URL, by its identity, and the same trigger."""
    seen: dict[tuple[Hashable, Trigger], SubscriptionDeclaration] = {}
    for entry, identity in subscriptions:
        for trigger in entry.triggers:
            first = seen.setdefault((identity, trigger), entry)
            if first is not entry:
                what = (
                    f'"{entry.name}" has the URL and the trigger {trigger.short} of "{first.name}" ({first.location})'
                )
                yield Problem(what, "remove one of the two", entry.location)


def duplicate_tenancy_problems(tenancies: Iterable[tuple[TenancyDeclaration, Hashable]]) -> Iterator[Problem]:
    """Refuse two tenancies with the same server and tenant: they would undo each other."""
    seen: dict[Hashable, TenancyDeclaration] = {}
    for entry, identity in tenancies:
        first = seen.setdefault(identity, entry)
        if first is not entry:
            what = f'tenancy "{entry.name}" has the server and tenant of "{first.name}" ({first.location})'
            yield Problem(what, "put their subscriptions under one name", entry.location)


def url_identity(template: Template) -> Hashable:
    """Return what two URLs must share to be the same, as far as their texts tell."""
    # a tuple, so that no literal text equals one with references; hashing a Template again and again is slow
    return (template.text,) if template.literal is None else normal_url(template.literal)


def tenancy_identity(server: str | Template | None, tenant: str | Template | None) -> Hashable:
    """Return what two tenancies must share to be the same. Templates: texts with references, not filled in yet."""
    host = server_url(server) if isinstance(server, str) and not server_fault(server) else server
    return host, tenant.casefold() if isinstance(tenant, str) else tenant
