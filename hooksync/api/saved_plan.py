"""A saved plan: its JSON text -> what it asks for, once it is known to be whole, and signed where that is required.

The text, the key and the time are arguments, and of the disk only links are looked at. Anybody may have written the
text: it is checked by its seals, by `schemas/plan.schema.json`, here for what a schema cannot check, and by `resolve`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from hooksync.config import declarations
from hooksync.config.declarations import Settings, SubscriptionDeclaration, TenancyDeclaration, Written
from hooksync.config.references import reference_problems
from hooksync.core import model
from hooksync.core.clock import rfc3339
from hooksync.core.errors import FileError, InvalidDocument, Problem, Refused
from hooksync.core.record import Record, convert, fields_of, given_fields
from hooksync.core.schema import check_document
from hooksync.core.signing import KEY_VARIABLE, PlanKey, is_same, parse_json
from hooksync.core.template import parse_template
from hooksync.core.urls import prefix_fault, shown_server
from hooksync.output.json_text import digest
from hooksync.output.plan_json import PLAN_FORMAT, signature_of
from hooksync.output.view import RunView, StepView, TenancyView, id_length
from hooksync.reconcile.diff import DiffOptions
from hooksync.reconcile.plan import Action, Change
from hooksync.state.format import Mark

CLOCK_SKEW = timedelta(minutes=5)  # between the clocks of two machines

_MAKE_AGAIN = "create it again with `hooksync plan --out`"
_DECLARING: tuple[Action, ...] = ("subscribe", "resubscribe", "keep")  # the actions that are about a declared one

Fields = Mapping[str, Any]  # an object of the document, which fits the schema


class Binding(Record, frozen=True):
    """Where the plan leads: what `${NAME}` stood for when it was made."""

    server: str  # as `Server.base_url`
    tenant: str | None
    urls: Mapping[str, str]  # digests, as of `url_digest`, by address


class SavedTenancy(Record, frozen=True):
    """One tenancy of a saved plan."""

    entry: TenancyDeclaration  # as if a hooks file declared it
    binding: Binding
    live_digest: str
    live: Mapping[str, model.LiveSubscription]  # by id; as they may be shown
    steps: tuple[StepView, ...]


class SavedPlan(Record, frozen=True):
    """What a saved plan asks for."""

    id: str
    is_signed: bool
    tenancies: tuple[SavedTenancy, ...]
    options: DiffOptions
    state_mark: Mark | None  # of the state that it was made with; None: there was none
    warnings: tuple[Problem, ...]  # of its reading
    created_at: datetime
    expires_at: datetime | None
    view: RunView  # as it was shown


def read_saved_plan(data: bytes, path: str, key: PlanKey | None) -> SavedPlan:
    """Read a saved plan; signed with the key where there is one. `path`: for messages.

    Raises FileError where it is not valid, and Refused where it was altered or is not signed. Fields that this version
    does not know are ignored. How old it may be is for `age_problem` to say.
    """
    try:
        document = _parse(data)
        warnings = _check_seals(document, path, key)
        return _saved_plan(check_document("plan", document), warnings)
    except InvalidDocument as error:
        raise FileError(Problem(f"{path}: {error}", _MAKE_AGAIN)) from None
    except RecursionError:  # what can be parsed cannot always be written again, for its digest
        raise FileError(Problem(f"{path}: nested too deeply", _MAKE_AGAIN)) from None


def _parse(data: bytes) -> dict[str, Any]:
    try:
        document = parse_json(data.decode("utf-8-sig"))
    except ValueError:  # the parser's message may quote the text
        raise InvalidDocument("it is not JSON, or it was cut short") from None
    found = document.get("format") if isinstance(document, dict) else None
    if found == PLAN_FORMAT:
        return cast(dict[str, Any], document)
    is_plan = isinstance(found, str) and found.startswith("hooksync.plan/")
    way = "create and apply it with the same hooksync" if is_plan else "it is not a saved plan"
    raise InvalidDocument(f"its format is not {PLAN_FORMAT}: {way}")


def _check_seals(document: dict[str, Any], path: str, key: PlanKey | None) -> tuple[Problem, ...]:
    """Refuse what was altered since it was written, and what was not signed with the key."""
    signature = document.get("signature")
    if key is not None:
        if signature is None:
            raise Refused(Problem(f"{path} is not signed, and {KEY_VARIABLE} is set", _MAKE_AGAIN))
        if not is_same(signature, signature_of(document, key)):
            what = f"the signature of {path} does not fit {KEY_VARIABLE}: it was altered, or signed with another key"
            raise Refused(Problem(what, f"{_MAKE_AGAIN}, under the same key"))
    rest = {name: value for name, value in document.items() if name != "digest"}
    if not is_same(document.get("digest"), digest(rest)):
        raise Refused(Problem(f"{path} was altered since it was saved: its digest does not fit", _MAKE_AGAIN))
    if key is None and signature is not None:
        unchecked = "its signature is not checked, nor what its URLs stand for"
        what = f"{path} is signed, and {unchecked}: {KEY_VARIABLE} is not set"
        return (Problem(what, f"set {KEY_VARIABLE} to the key it was signed with"),)
    return ()


def age_problem(saved: SavedPlan, path: str, max_age: timedelta | None, now: datetime) -> Problem | None:
    """Say why a plan is too old, if it is: by --max-age, or without it by what a signed plan says itself."""
    made, end = saved.created_at, saved.expires_at
    when = f"it was made at {saved.view.created_at}, now it is {rfc3339(now.timestamp())}"
    if max_age is not None and now - made > max_age:
        return Problem(f"{path} is older than --max-age allows ({max_age}): {when}", _MAKE_AGAIN)
    if max_age is None and end is not None and now > end:
        fix = f"{_MAKE_AGAIN}; --max-age allows an older one, e.g. --max-age 7d"
        return Problem(f"{path} expired at {rfc3339(end.timestamp())}: {when}", fix)
    if (max_age or end) is not None and now - made < -CLOCK_SKEW:
        what = f"{path} was made in the future, by this machine's clock: its age is not known"
        return Problem(what, "set the clocks of both machines")
    return None


def _time(fields: Fields, name: str) -> datetime:
    try:
        return datetime.fromisoformat(fields[name])
    except ValueError:
        raise InvalidDocument(f"the plan: {name} is not a date and time") from None


def _saved_plan(fields: Fields, warnings: tuple[Problem, ...]) -> SavedPlan:
    tenancies = tuple(_tenancy(each, f"tenancies[{n}]") for n, each in enumerate(fields["tenancies"]))
    if len({tenancy.entry.name for tenancy in tenancies}) < len(tenancies):
        raise InvalidDocument("the plan: two tenancies have the same name")
    if problems := [*reference_problems([tenancy.entry for tenancy in tenancies])]:
        raise FileError(*problems)
    options = convert(fields["options"], DiffOptions)
    view = RunView(
        tuple(map(_view, tenancies)),
        fields["created_at"],
        fields["sources"],
        _problems(fields["warnings"]),
        fields["state"],
        _problems(fields["undeclared"]),
        not_adopted=_problems(fields["refusals"]),
        is_state_missing=fields["state_missing"],
        is_targeted=options.is_targeted,
    )
    made, end = _time(fields, "created_at"), _time(fields, "expires_at") if fields["expires_at"] else None
    mark, is_signed = convert(fields["state_serial"], Mark | None), "signature" in fields
    return SavedPlan(fields["id"], is_signed, tenancies, options, mark, warnings, made, end, view)


def _problems(lines: Iterable[str]) -> tuple[Problem, ...]:
    """Read what `Problem.line` writes."""
    parts = (line.removesuffix(")").rpartition(" (fix: ") for line in lines)
    return tuple(Problem(what, fix) for what, _, fix in parts)


def _view(saved: SavedTenancy) -> TenancyView:
    """View a tenancy with what may be shown of it: no environment is needed."""
    entry, settings, live = saved.entry, saved.entry.settings, tuple(saved.live.values())
    urls = (model.HookUrl(one.url.template.text, one.url.template.text) for one in entry.subscriptions)
    declared = tuple(
        each for one, url in zip(entry.subscriptions, urls, strict=True) for each in one.filled(entry.name, url)
    )
    bound, plain = saved.binding, fields_of(model.PlainSettings, settings)
    server = model.Server(settings.server.template.text if settings.server else "", bound.server)
    tenancy = model.Tenancy(entry.name, server, bound.tenant, None, declared, entry.location, **plain)
    return TenancyView(tenancy, saved.steps, live, id_length=id_length(live))


def _tenancy(fields: Fields, where: str) -> SavedTenancy:
    """Read one tenancy. Raises InvalidDocument, or FileError where a rule of hooks files is broken."""
    if fields["error"] is not None or fields["live_digest"] is None or fields["live"] is None:
        raise InvalidDocument(f"{where} could not be read when the plan was made: there is nothing to apply")
    place, steps = _place(fields["place"]), fields["steps"]
    declared = tuple(
        _subscription(step, fields["name"], f"{where}.steps[{n}]")
        for n, step in enumerate(steps)
        if step["action"] in _DECLARING
    )
    entry = TenancyDeclaration(fields["name"], _settings(fields, where, place), declared, place)
    if problems := [*declarations.tenancy_problems(entry)]:
        raise FileError(*problems)
    live = {row["id"]: _live(row) for row in fields["live"]}
    saved = tuple(_step(step, live) for step in steps)
    _check_steps(saved, live, where)
    return SavedTenancy(entry, _binding(fields, saved, where), fields["live_digest"], live, saved)


def _live(row: Fields) -> model.LiveSubscription:
    shown, trigger = model.HookUrl(row["url"], row["url"]), model.Trigger(row["trigger"])
    return model.LiveSubscription(row["id"], shown, trigger, row["include_identifiers"], row.get("listed", True))


def _step(fields: Fields, live: Mapping[str, model.LiveSubscription]) -> StepView:
    secret = fields["secret"] or {"ref": None, "state": "unknown"}
    read = {
        "trigger": model.Trigger(fields["trigger"]),
        "reasons": tuple(fields["reasons"]),
        "changes": convert(fields["changes"], tuple[Change, ...]),
        "secret": secret["ref"] and model.SecretRef.read(secret["ref"]),
        "secret_state": secret["state"],
        "receiver": None,  # of another time
        "is_awaited": fields["id"] in live and not live[fields["id"]].is_listed,
        "place": None,  # that of its declaration
    }
    return StepView(**(given_fields(StepView, fields) | read))


def _place(text: str) -> model.Location:
    """Read a place in a hooks file."""
    file, line, column = text.rsplit(":", 2)
    return model.Location(file, int(line), int(column))


def _binding(fields: Fields, steps: Sequence[StepView], where: str) -> Binding:
    bound = convert(fields["binding"], Binding)
    if (shown_server(bound.server), bound.tenant) != (fields["server"], fields["tenant"]):
        raise InvalidDocument(f"{where}: server and tenant are not those of the binding")
    if bound.urls.keys() != {step.address for step in steps if step.action in _DECLARING}:
        raise InvalidDocument(f"{where}: the binding is not about the URLs of the steps")
    return bound


def _settings(fields: Fields, where: str, place: model.Location) -> Settings:
    login, owns = fields["credentials"], fields["owns"]
    refs = {name: model.SecretRef.read(login[name], place, noun) for name, noun in model.CREDENTIALS.items()}
    for fault in map(prefix_fault, owns if isinstance(owns, list) else ()):
        if fault:
            raise InvalidDocument(f"{where}: a prefix of owns {fault}")
    read = {
        "credentials": model.CredentialRefs(**refs),
        "owns": None if isinstance(owns, str) else frozenset(owns),
        "limit": convert(fields["limit"], model.UnsubscribeLimit),
    }
    server, tenant = (_written(fields, name, where, place) for name in ("server_declared", "tenant_declared"))
    return Settings(server=server, tenant=tenant, **(given_fields(model.PlainSettings, fields) | read))


def _written(fields: Fields, name: str, where: str, place: model.Location) -> Written:
    """Read a text with references to the environment. Null becomes empty, so that no default takes its place."""
    try:
        return Written(parse_template(fields[name] or ""), place)
    except ValueError as error:
        raise InvalidDocument(f"{where}: {name} has {error}") from None


def _subscription(step: Fields, tenancy: str, where: str) -> SubscriptionDeclaration:
    place, trigger = _place(step["place"]), model.Trigger(step["trigger"])
    if step["address"] != model.address_of(tenancy, step["name"], trigger):
        raise InvalidDocument(f"{where}: address does not fit name and trigger")
    return SubscriptionDeclaration(
        name=step["name"],
        url=_written(step, "url", where, place),
        triggers=(trigger,),
        secret=model.SecretRef.read(step["secret"]["ref"], place),
        location=place,
        **given_fields(model.PlainFields, step),
    )


def _check_steps(steps: tuple[StepView, ...], live: Mapping[str, model.LiveSubscription], where: str) -> None:
    """Hold that each declared and each live subscription is in one step, and that a duplicate has its original."""
    declared = [step.address for step in steps if step.action in _DECLARING]
    ids = [step.id for step in steps if step.id is not None]
    if len(set(declared)) < len(declared) or len(set(ids)) < len(ids):
        raise InvalidDocument(f"{where}: a subscription is in more than one step")
    if set(ids) != live.keys():
        raise InvalidDocument(f"{where}: its steps are not about what was live")
    filled = {step.address for step in steps if step.action in ("resubscribe", "keep")}
    doubled = {step.address for step in steps if step.action == "unsubscribe" and step.address is not None}
    if not doubled <= filled:
        raise InvalidDocument(f"{where}: a duplicate has the address of no other step")
