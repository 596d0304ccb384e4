"""The declarations of hooks files, with their locations, before variables are filled in.

`select` keeps the tenancies that --tenancy and --target match. `uses_of` lists the variables and
the sources of secrets that a tenancy names, and `reference_problems` those that it must not name.

A place is a server, a tenant, a username or the host of a URL. hooksync shows places, and the DNS
and proxies see hosts. Preservica lists whole URLs, and receivers see them. So no place and no URL
may use a variable that holds a secret or a credential. Messages never quote the value of a
variable, or a text with variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from hooksync.config.files import climbs, is_device, real_path
from hooksync.core import model
from hooksync.core.errors import Problem, UsageError, shortened, suggestion
from hooksync.core.model import Variables
from hooksync.core.record import Record, asdict
from hooksync.core.template import Template
from hooksync.core.urls import split_url

_USUAL_ENV_FILE = "hooks.env"  # as the documentation and the sandbox name it
ON_DEVICE = (
    "leads to a file of the system itself (/proc, /dev, /sys)",
    "write the secret into a file of its own, or into a variable",
)
_ALWAYS_SECRET = frozenset({"PRESERVICA_PASSWORD", "PRESERVICA_2FA_TOKEN"})


# a subscription as a file writes it: the variables of its URL are not filled in
WrittenSubscription = model.Declaration[Template]


class TenancyDeclaration(model.PlainSettings):
    """One tenancy as all files together declare it.

    The default values are those of settings that it leaves out.
    """

    name: str
    subscriptions: tuple[WrittenSubscription, ...]
    # of its name, in the file with its settings; without settings, in the first file that names it
    location: model.Location
    files: tuple[str, ...] = ()  # that declare a part of it, or whose defaults it takes
    variable: str = ""  # the value of ${TENANCY}, if a text contains it
    server: Template = Template("${PRESERVICA_SERVER}")
    tenant: Template = Template("${PRESERVICA_TENANT:-}")  # "": not set


Declarations = Sequence[TenancyDeclaration]


def reference_problem(ref: model.SecretRef, state: str, fix: str) -> Problem:
    """Return the problem of a secret or a credential. It names the source, never the value."""
    return Problem(f"{ref.subject} {state}", fix, ref.location)


def is_unset(ref: model.SecretRef, environ: Variables) -> bool:
    """Whether a reference needs a variable that is not set. Few log-ins need a TOTP seed."""
    if ref.kind != "env" or environ.get(ref.name):
        return False
    return bool(ref.location) or ref.noun != model.CREDENTIALS["totp"]


def unset_problem(
    subjects: Iterable[str], environ: Variables, where: model.Location | None
) -> Problem:
    """Return one problem of all that is not set in a tenancy.

    Its fix names no variable: so it is shown once below several.
    """
    fix = "export each variable, or set it in a file that --env-file names"
    if os.path.lexists(_USUAL_ENV_FILE):
        fix = f"set each variable in {_USUAL_ENV_FILE}, and name that file by --env-file"
    if isinstance(environ, model.Environ) and environ.credentials:
        fix = f"{fix}; {environ.credentials}, which has log-ins, has none of them"
    return Problem(
        f"not set: {', '.join(dict.fromkeys(subjects))}",
        f"{fix}; validate needs none of them",
        where,
    )


def name_values(name: str) -> Variables:
    """Return the values of `${tenancy}` and `${TENANCY}`, e.g. `t-07` and `T_07`."""
    return {"tenancy": name, "TENANCY": name.upper().replace("-", "_")}


def select(
    declared: Declarations, tenancies: Sequence[str], targets: Sequence[str]
) -> Declarations:
    """Keep the tenancies that `tenancies` match and in which `targets` may match an address.

    Both are globs; without globs, everything matches. Raises UsageError for a glob that matches
    nothing: this mistake would look like "nothing to do".
    """
    refuse_unmatched("--tenancy", tenancies, [entry.name for entry in declared], "tenancy")
    selected = []
    known: list[str] = []
    matched: set[str] = set()
    for declaration in declared:
        if tenancies and not model.matches_any(declaration.name, tenancies):
            continue
        known += addresses([declaration])
        matching = [glob for glob in targets if _may_match(glob, declaration)]
        matched.update(matching)
        if matching or not targets:
            selected.append(declaration)
    unmatched = [glob for glob in targets if glob not in matched]
    refuse_unmatched("--target", unmatched, known, "address")
    return tuple(selected)


def _may_match(glob: str, declaration: TenancyDeclaration) -> bool:
    """Whether a target matches an address of a tenancy, or may match a former one.

    A former address is no longer declared, but the state may still contain it.
    """
    name, slash, _ = glob.partition("/")
    is_former = bool(slash) and fnmatchcase(declaration.name, name)
    return is_former or any(fnmatchcase(address, glob) for address in addresses([declaration]))


def addresses(declarations: Declarations) -> list[str]:
    """List the addresses of all subscriptions."""
    return [
        subscription.address
        for declaration in declarations
        for subscription in declaration.subscriptions
    ]


def refuse_unmatched(flag: str, globs: Iterable[str], candidates: Sequence[str], noun: str) -> None:
    """Raise UsageError for globs that match none of the candidates.

    `flag`: the flag or argument that gave the globs; `noun`: what the candidates are.
    """
    some = shortened([*dict.fromkeys(candidates)], 3)
    problems = []
    for glob in globs:
        if not any(fnmatchcase(candidate, glob) for candidate in candidates):
            fix = suggestion(glob, candidates, f"known: {some or 'none'}")
            problems.append(Problem(f'{flag} "{glob}" matches no {noun}', fix))
    if problems:
        raise UsageError.of(problems)


class VariableUse(Record):
    """One use of a variable, or of a different source of secrets, in a tenancy."""

    name: str  # of the variable; "" for a file or a command
    # a credential, a secret, in the path or query of a URL, or in a server, a tenant or a host
    role: Literal["login", "secret", "url", "place"]
    where: model.Location | None
    is_default: bool = False  # no file names it: the usual variable of what a tenancy leaves out
    ref: model.SecretRef | None = None  # None if the variable is part of a text


def uses_of(tenancy: TenancyDeclaration) -> Iterator[VariableUse]:
    """Yield all uses of a tenancy.

    If it leaves out its server, tenant or a credential, it uses the usual variable.
    """
    for text in (tenancy.server, tenancy.tenant):
        for name in text.names:
            where = text.location or tenancy.location
            yield VariableUse(name, "place", where, is_default=text.location is None)
    for ref in asdict(tenancy.credentials).values():
        where = ref.location or tenancy.location
        yield VariableUse(ref.variable, "login", where, ref.location is None, ref)
    for subscription in tenancy.subscriptions:
        secret = subscription.secret
        yield VariableUse(secret.variable, "secret", secret.location, ref=secret)
        yield from _url_variable_uses(subscription.url)


def _url_variable_uses(url: Template) -> Iterator[VariableUse]:
    """Yield a URL's variables: a variable in its scheme, host or port is a place.

    So is a variable right after the host or port, because its value may extend them. The text
    before a variable in a path has a path with and without the defaults of its variables: a value
    may be set instead of a default such as `x/`.
    """
    for name, before, without in url.variables():
        in_path = _has_path(before) and _has_path(without)
        yield VariableUse(name, "url" if in_path else "place", url.location)


def _has_path(before: str) -> bool:
    """Whether the text before a variable contains a path or a query."""
    _, netloc, tail = split_url(before)
    # a value that begins with a slash would make a host of what follows `https:/`
    has_host = "://" in before or not netloc.endswith(":")
    return bool(tail) and has_host


def reference_problems(tenancies: Declarations) -> Iterator[Problem]:
    """Refuse references that no hooks file may contain.

    Otherwise a file that nobody reviewed could send a secret of this machine to a foreign server.
    """
    uses = [use for tenancy in tenancies for use in uses_of(tenancy)]
    refs = [use.ref for use in uses if use.ref]
    yield from _path_problems(refs)
    credentials = _ALWAYS_SECRET.union(ref.variable for ref in refs)
    secrets = _ALWAYS_SECRET.union(ref.variable for ref in refs if ref.noun != "username")
    for use in uses:
        hidden = credentials
        if use.ref:
            hidden = secrets if use.ref.noun == "username" else frozenset()
        if model.is_own(use.name) or use.name.lower() == "tenancy":
            yield Problem(
                f"the variable {use.name} is for hooksync itself, which sends it nowhere",
                "use a variable with a different name",
                use.where,
            )
        elif use.name and use.name in hidden:
            yield Problem(
                f"the variable {use.name} contains a secret or a credential",
                "use a variable that contains neither: others would see the value here",
                use.where,
            )


def _path_problems(refs: Iterable[model.SecretRef]) -> Iterator[Problem]:
    """Refuse files on devices, and `..` after the name of a folder."""
    for ref in dict.fromkeys(refs):  # each file once: following links reads the disk
        if ref.kind == "file" and is_device(real_path(ref)):
            yield reference_problem(ref, *ON_DEVICE)
        elif ref.kind == "file" and climbs(ref.name):
            yield reference_problem(
                ref,
                "has `..` after the name of a folder",
                "write the path without `..`; only its beginning may have some",
            )


def refs_of(tenancy: TenancyDeclaration) -> list[model.SecretRef]:
    """List the references to all credentials and secrets of a tenancy."""
    credentials = asdict(tenancy.credentials).values()
    return [*credentials, *(subscription.secret for subscription in tenancy.subscriptions)]


def command_problems(tenancies: Declarations) -> Iterator[Problem]:
    """Refuse references to programs, so that the author of a hooks file cannot run any."""
    fix = "if you trust whoever wrote this, give --allow-commands; or name a variable or a file"
    for tenancy in tenancies:
        for ref in refs_of(tenancy):
            if ref.kind == "command":
                yield reference_problem(ref, "runs a program, which is not allowed", fix)
