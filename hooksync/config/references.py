"""The variables and sources of secrets that hooks files name, and those that they must not name.

A place is a server, a tenant, a username or the host of a URL. hooksync shows places, and the DNS
and proxies see hosts. Preservica lists whole URLs, and receivers see them. So no place and no URL
may use a variable that holds a secret or a credential. No message quotes the value of a variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from hooksync.config.declarations import (
    ON_DEVICE,
    TenancyDeclaration,
    is_own,
    reference_problem,
    url_template,
)
from hooksync.config.files import climbs, is_device, real_path
from hooksync.core.errors import Problem
from hooksync.core.model import CredentialRefs, Location, SecretRef
from hooksync.core.record import Record, asdict
from hooksync.core.template import Template
from hooksync.core.urls import split_url

# secret: also a password or a TOTP seed; url: in the path or query of a URL; place: as defined in
# the docstring of this module
Role = Literal["secret", "url", "place"]

_COMMAND_FIX = (
    "if you trust whoever wrote this, give --allow-commands; or name a variable or a file"
)
_SHOWN = {
    "place": "its value would be shown here",
    "url": "Preservica and the receiver would get its value in this URL",
}
_ALWAYS_SECRET = frozenset({"PRESERVICA_PASSWORD", "PRESERVICA_2FA_TOKEN"})


class VariableUse(Record, frozen=True):
    """One use of a variable, or of a different source of secrets, in a tenancy."""

    name: str  # of the variable; "" for a file or a command
    role: Role
    where: Location | None
    # whether it is the variable that pyPreservica uses for the same purpose, e.g.
    # PRESERVICA_PASSWORD for the password
    is_usual: bool = False
    ref: SecretRef | None = None  # None if the variable is part of a text


def uses_of(tenancy: TenancyDeclaration) -> Iterator[VariableUse]:
    """Yield all uses of a tenancy.

    If it leaves out its server, tenant or a credential, it uses the usual variable.
    """
    settings = tenancy.settings
    for text, known in (
        (settings.server, "PRESERVICA_SERVER"),
        (settings.tenant, "PRESERVICA_TENANT"),
    ):
        for name in text.names:
            yield VariableUse(name, "place", text.location or tenancy.location, name == known)
    usual = asdict(CredentialRefs())
    for field, ref in asdict(settings.credentials).items():
        where = ref.location or tenancy.location
        yield _reference_use(ref, where, is_usual=ref == usual[field])
    for entry in tenancy.subscriptions:
        yield _reference_use(entry.secret, entry.secret.location)
        yield from _url_variable_uses(url_template(entry))


def _reference_use(
    ref: SecretRef, where: Location | None, *, is_usual: bool = False
) -> VariableUse:
    name = ref.name if ref.kind == "env" else ""
    return VariableUse(name, "place" if ref.noun == "username" else "secret", where, is_usual, ref)


def _url_variable_uses(url: Template) -> Iterator[VariableUse]:
    """Yield a URL's variables: a variable in its scheme, host or port is a place.

    So is a variable right after the host or port, because its value may extend them. A variable
    without a default counts as empty: a policy judges the whole host when it is filled in.
    """
    for name, before in url.variables():
        _, netloc, tail = split_url(before)
        # a value that begins with a slash would make a host of what follows `https:/`
        has_host = "://" in before or not netloc.endswith(":")
        yield VariableUse(name, "url" if tail and has_host else "place", url.location)


def named_refs(tenancy: TenancyDeclaration) -> list[SecretRef]:
    """List the references to secrets and credentials of a tenancy, except the usual variables."""
    return [use.ref for use in uses_of(tenancy) if use.ref and not use.is_usual]


def reference_problems(tenancies: Sequence[TenancyDeclaration]) -> Iterator[Problem]:
    """Refuse references that no hooks file may contain.

    Otherwise a file that nobody reviewed could send a secret of this machine to a foreign server.
    """
    uses = [use for tenancy in tenancies for use in uses_of(tenancy)]
    secrets = _ALWAYS_SECRET.union(use.name for use in uses if use.role == "secret" and use.name)
    credentials = secrets.union(use.name for use in uses if use.ref and use.name)
    yield from _path_problems(use.ref for use in uses if use.ref and use.ref.kind == "file")
    for use in uses:
        not_shown = credentials if use.ref is None else secrets
        if is_own(use.name) or use.name.lower() == "tenancy":
            what = f"the variable {use.name} is for hooksync itself, which sends it nowhere"
            yield Problem(what, "use a variable with a different name", use.where)
        elif use.role != "secret" and use.name in not_shown:
            kind = "contains a secret or a credential"
            what = f"the variable {use.name} {kind}, and {_SHOWN[use.role]}"
            yield Problem(what, "use a variable that contains neither here", use.where)


def _path_problems(files: Iterable[SecretRef]) -> Iterator[Problem]:
    for ref in dict.fromkeys(files):  # each file once: following links reads the disk
        if fault := _path_fault(ref):
            yield reference_problem(ref, *fault)


def _path_fault(ref: SecretRef) -> tuple[str, str] | None:
    """Return why no hooks file may name the path of a file, and the fix; otherwise None."""
    if is_device(real_path(ref)):
        return ON_DEVICE
    if climbs(ref.name):
        fix = "write the path without `..`; only its beginning may have some"
        return "has `..` after the name of a folder", fix
    return None


def refs_of(tenancy: TenancyDeclaration) -> list[SecretRef]:
    """List the references to all credentials and secrets of a tenancy."""
    credentials = asdict(tenancy.settings.credentials).values()
    return [*credentials, *(entry.secret for entry in tenancy.subscriptions)]


def command_problems(tenancies: Iterable[TenancyDeclaration]) -> Iterator[Problem]:
    """Refuse references to programs, so that the author of a hooks file cannot run any."""
    for tenancy in tenancies:
        for ref in refs_of(tenancy):
            if ref.kind == "command":
                what = f"{ref.noun} {ref} runs a program, which is not allowed"
                yield Problem(what, _COMMAND_FIX, ref.location)
