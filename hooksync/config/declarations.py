"""What the hooks files declare, with places and before variables are filled in; its rules.

A run looks at the tenancies and addresses that --tenancy and --target name.

`resolve` judges what they declare: texts without `${NAME}` when the files are read, the others when
their values are filled in. So `subject` names what is judged, and no message quotes the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from hooksync.core import model
from hooksync.core.errors import Problem, UsageError, some_of
from hooksync.core.record import Record, replace
from hooksync.core.template import Template

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


class Settings(model.PlainSettings, frozen=True):
    """All that a tenancy says besides its subscriptions.

    Made without arguments: what holds where it is silent.
    """

    server: Written | None = None
    tenant: Written | None = None


class TenancyDeclaration(Record, frozen=True):
    """One tenancy as the files declare it, or as one of them does."""

    name: str
    settings: Settings
    subscriptions: tuple[SubscriptionDeclaration, ...]
    location: model.Location  # of its name where its settings stand, or else where it comes first
    # whether the file has settings and subscriptions of it
    has_settings: bool = True
    has_subscriptions: bool = True


class Document(Record, frozen=True):
    """All files of a run together, checked as far as that goes without the environment."""

    tenancies: tuple[TenancyDeclaration, ...]
    warnings: tuple[Problem, ...] = ()


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
