"""The nouns of the file: what it says, each with its place, and nothing from the environment filled in.

Nothing here reads, checks or fills in.
"""

from __future__ import annotations

from hooksync.core.errors import Problem
from hooksync.core.model import (
    CONSISTENCY_WAIT,
    Location,
    LoginMethod,
    PlainFields,
    Probe,
    Replacement,
    SecretRef,
    Trigger,
    UnknownSecret,
    UnsubscribeLimit,
)
from hooksync.core.record import Record, field
from hooksync.core.template import Template


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


class CredentialsDeclaration(Record, frozen=True):
    """How to log in; None where the file leaves it to the environment."""

    username: SecretRef | None = None
    password: SecretRef | None = None
    totp: SecretRef | None = None
    method: LoginMethod = "password"


class Settings(Record, frozen=True):
    """All that a tenancy says besides its subscriptions. Made without arguments: what holds where it is silent."""

    server: Written | None = None
    tenant: Written | None = None
    allow_http: bool = False
    credentials: CredentialsDeclaration = field(default_factory=CredentialsDeclaration)
    owns: tuple[str, ...] | None = None  # None: all
    limit: UnsubscribeLimit = field(default_factory=lambda: UnsubscribeLimit(percent=50))
    replacement: Replacement = "create-first"
    probe: Probe = "auto"
    prune: bool = True
    unknown_secret: UnknownSecret = "warn"
    consistency_wait: float = CONSISTENCY_WAIT  # seconds


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
