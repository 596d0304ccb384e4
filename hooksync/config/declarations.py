"""The declarations of hooks files, with their locations, before variables are filled in.

`select` keeps the tenancies that --tenancy and --target match.

Messages never quote a text with variables: `Template.subject` names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from hooksync.core import model
from hooksync.core.errors import Problem, UsageError, shortened
from hooksync.core.record import Record
from hooksync.core.redaction import printable
from hooksync.core.template import Template, parse_template

ON_DEVICE = (
    "leads to a file of the system itself (/proc, /dev, /sys)",
    "write the secret into a file of its own, or into a variable",
)
_VALIDATE_HINT = "`hooksync validate` needs no credentials"


class Settings(model.PlainSettings, frozen=True):
    """Everything that a tenancy declares, except its subscriptions.

    `Settings()` holds the defaults of settings that a tenancy leaves out.
    """

    server: Template = parse_template("${PRESERVICA_SERVER}")
    tenant: Template = parse_template("${PRESERVICA_TENANT:-}")  # "": not set


class TenancyDeclaration(Record, frozen=True):
    """One tenancy as all files together declare it."""

    name: str
    settings: Settings
    subscriptions: tuple[model.DeclaredSubscription, ...]
    # of its name, in the file with its settings; without settings, in the first file that names it
    location: model.Location
    files: tuple[str, ...] = ()  # that declare a part of it, or whose defaults it takes


class Document(Record, frozen=True):
    """All hooks files of a run together. Rules that need no environment are already checked."""

    HIDDEN = ("texts",)

    tenancies: tuple[TenancyDeclaration, ...]
    texts: tuple[bytes, ...] = ()  # of all files, with those whose defaults apply


def url_template(subscription: model.DeclaredSubscription) -> Template:
    """Return the URL of a declared subscription as it is written."""
    return parse_template(subscription.url.shown, subscription.url.location)


def in_order(problems: Iterable[Problem], files: Sequence[str] = ()) -> list[Problem]:
    """Sort by place, with the files in the order of the command line.

    If a YAML alias repeats a problem, it is reported once.
    """
    order = {name: index for index, name in enumerate(files)}

    def place(problem: Problem) -> tuple[int, model.Location]:
        where = problem.where or model.Location("", 0, 0)
        return order.get(where.file, 0), where

    return sorted(dict.fromkeys(problems), key=place)


def reference_problem(ref: model.SecretRef, state: str, fix: str) -> Problem:
    """Return the problem of a secret or a credential. It names the source, never the value.

    For a credential, the fix also names the command that needs no credentials.
    """
    if ref.noun != "secret":
        fix = f"{fix}; {_VALIDATE_HINT}"
    return Problem(f"{ref.subject} {state}", fix, ref.location)


def unset_words(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return what is wrong with a variable that is empty or not set, and how to fix it."""
    return "is empty" if name in environ else "is not set", set_fix(name)


def is_own(name: str) -> bool:
    """Whether a variable is for hooksync itself: hooks files and programs must not use it."""
    return name.upper().startswith("HOOKSYNC_")  # Windows ignores the case of names


def name_values(name: str) -> dict[str, str]:
    """Return the values of `${tenancy}` and `${TENANCY}`, e.g. `t-07` and `T_07`."""
    return {"tenancy": name, "TENANCY": name.upper().replace("-", "_")}


def set_fix(name: str) -> str:
    """Say how to set a variable."""
    return f"export {name}, or set it in a file that --env-file names"


def select(
    document: Document, tenancies: Sequence[str], targets: Sequence[str]
) -> tuple[TenancyDeclaration, ...]:
    """Keep the tenancies that `tenancies` match and in which `targets` may match an address.

    Both are globs; without globs, everything matches. Raises UsageError for a glob that matches
    nothing: this mistake would look like "nothing to do".
    """
    names = [entry.name for entry in document.tenancies]
    refuse_unmatched("--tenancy", tenancies, names, "tenancy")
    chosen = []
    for entry in document.tenancies:
        if not tenancies or model.matches_any(entry.name, tenancies):
            chosen.append(entry)
    unmatched = []
    selected: set[str] = set()
    for glob in targets:
        matching = [entry.name for entry in chosen if _may_match(glob, entry)]
        selected.update(matching)
        if not matching:
            unmatched.append(glob)
    refuse_unmatched("--target", unmatched, addresses(chosen), "address")
    return tuple(entry for entry in chosen if entry.name in selected or not targets)


def _may_match(glob: str, entry: TenancyDeclaration) -> bool:
    """Whether a target matches an address of a tenancy, or may match a former one.

    A former address is no longer declared, but the state may still contain it.
    """
    name, slash, _ = glob.partition("/")
    is_former = bool(slash) and fnmatchcase(entry.name, name)
    return is_former or any(fnmatchcase(address, glob) for address in addresses([entry]))


def addresses(entries: Iterable[TenancyDeclaration]) -> list[str]:
    """List the addresses of all subscriptions."""
    return [subscription.address for entry in entries for subscription in entry.subscriptions]


def refuse_unmatched(flag: str, globs: Iterable[str], candidates: Sequence[str], noun: str) -> None:
    """Raise UsageError for globs that match none of the candidates.

    `flag`: the flag or argument that gave the globs; `noun`: what the candidates are.
    """
    # addresses from the state may contain any characters, so they are escaped
    some = printable(shortened(list(dict.fromkeys(candidates)), 3))
    fix = f"known: {some}" if some else f"there is no {noun} to choose"
    problems = []
    for glob in globs:
        if not any(fnmatchcase(candidate, glob) for candidate in candidates):
            problems.append(Problem(f'{flag} "{glob}" matches no {noun}', fix))
    if problems:
        raise UsageError(*problems)
