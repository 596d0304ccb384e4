"""One tenancy of a saved plan: its record -> an entry as of a hooks file, and the steps. Pure.

What the rules of hooks files ask is asked here again, for nobody knows who wrote the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hooksync.config.declarations import (
    CredentialsDeclaration,
    Settings,
    SubscriptionDeclaration,
    TenancyDeclaration,
    Written,
)
from hooksync.config.rules import ownership_problem, url_problem
from hooksync.core.errors import FileError, Problem
from hooksync.core.model import Location, SecretState, Trigger, UnsubscribeLimit, address_of
from hooksync.core.record import Record
from hooksync.core.template import parse_template
from hooksync.core.urls import outline
from hooksync.documents.plan_fields import PlanRecord, Wrong, credentials, limit, owns, reference
from hooksync.reconcile.plan import ACTIONS, Action, Change

SECRET_STATES: tuple[SecretState, ...] = ("same", "changed", "unknown", "not-set")
DECLARING: tuple[Action, ...] = ("subscribe", "resubscribe", "keep")  # the actions that are about a declared one


class LiveRow(Record, frozen=True):
    """What was live when the plan was made, as it may be shown."""

    url: str
    trigger: str  # on the wire
    include_identifiers: bool | None


class SavedStep(Record, frozen=True):
    """One step, by address and id."""

    action: Action
    address: str | None
    id: str | None
    reasons: tuple[str, ...]
    changes: tuple[Change, ...]
    secret_state: SecretState


class SavedTenancy(Record, frozen=True):
    """One tenancy of a saved plan."""

    entry: TenancyDeclaration  # as if a hooks file declared it
    live_digest: str
    live: Mapping[str, LiveRow] | None  # by id; None: the plan does not tell
    steps: tuple[SavedStep, ...]


def tenancy_of(record: PlanRecord) -> SavedTenancy:
    """Read one tenancy. Raises Wrong, or FileError where a rule of hooks files is broken."""
    name, where = record.name("name"), record.place()
    if record.has("error") or not record.has("live_digest"):
        raise Wrong(f"{record.where} could not be read when the plan was made: there is nothing to apply")
    steps = record.records("steps")
    settings = _settings(record, where)
    declaring = [step for step in steps if step.choice("action", ACTIONS) in DECLARING]
    entry = TenancyDeclaration(name, settings, tuple(_subscription(step, name) for step in declaring), where)
    if problems := [*_url_problems(entry)]:
        raise FileError(*problems)
    saved = tuple(map(_step, steps))
    _check_steps(saved, record.where)
    return SavedTenancy(entry, record.text("live_digest"), _live(record), saved)


def _settings(record: PlanRecord, where: Location) -> Settings:
    tenant = record.template("tenant", where) if record.has("tenant") else Written(parse_template(""), where)
    return Settings(
        server=record.template("server", where),
        tenant=tenant,  # "" is none, whatever PRESERVICA_TENANT says here
        allow_http=record.flag("allow_http"),
        credentials=credentials(record.record("credentials"), where)
        if record.has("credentials")
        else CredentialsDeclaration(),
        owns=owns(record),
        limit=limit(record.record("limit")) if record.has("limit") else UnsubscribeLimit(percent=50),
        replacement=record.choice("replacement", ("create-first", "remove-first")),
        probe=record.choice("probe", ("auto", "require", "never")),
    )


def _subscription(step: PlanRecord, tenancy: str) -> SubscriptionDeclaration:
    where, trigger = step.place(), Trigger(step.trigger("trigger"))
    name = step.name("name")
    if step.text("address") != address_of(tenancy, name, trigger):
        raise Wrong(f"{step.where}: address is not that of its name and trigger")
    return SubscriptionDeclaration(
        name=name,
        url=step.template("url", where),
        triggers=(trigger,),
        secret=reference(step.record("secret").record("ref"), where),
        include_identifiers=step.flag("include_identifiers"),
        location=where,
    )


def _url_problems(entry: TenancyDeclaration) -> Iterator[Problem]:
    for each in entry.subscriptions:
        text, where = outline(each.url.template), each.location
        problem = url_problem(text, "the URL", where)
        problem = problem or ownership_problem(entry.settings.owns, text, "the URL", where)
        if problem:
            yield problem


def _step(step: PlanRecord) -> SavedStep:
    action = step.choice("action", ACTIONS)
    reasons = step.lines("reasons")
    if not reasons and action in ("resubscribe", "unsubscribe", "leave"):
        raise Wrong(f"{step.where}: reasons is empty")
    secret = step.record("secret") if action in DECLARING else None
    return SavedStep(
        action=action,
        address=step.maybe_text("address"),
        id=None if action == "subscribe" else step.foreign_text("id"),
        reasons=reasons,
        changes=tuple(map(_change, step.records("changes"))),
        secret_state=secret.choice("state", SECRET_STATES) if secret else "unknown",
    )


def _change(record: PlanRecord) -> Change:
    return Change(record.text("field"), record.flag("live"), record.flag("declared"))


def _check_steps(steps: tuple[SavedStep, ...], where: str) -> None:
    """Hold that each declared and each live subscription is in one step, and a duplicate doubles what is there."""
    declared = [step.address for step in steps if step.action in DECLARING]
    ids = [step.id for step in steps if step.id is not None]
    if len(set(declared)) < len(declared) or len(set(ids)) < len(ids):
        raise Wrong(f"{where}: a subscription is in more than one step")
    filled = {step.address for step in steps if step.action in ("resubscribe", "keep")}
    doubled = {step.address for step in steps if step.action == "unsubscribe" and step.address is not None}
    if not doubled <= filled:
        raise Wrong(f"{where}: a duplicate doubles nothing")


def _live(record: PlanRecord) -> dict[str, LiveRow] | None:
    if not record.has("live"):
        return None
    rows = {}
    for each in record.records("live"):
        includes = each.flag("include_identifiers") if each.has("include_identifiers") else None
        rows[each.foreign_text("id")] = LiveRow(each.foreign_text("url"), each.foreign_text("trigger"), includes)
    return rows
