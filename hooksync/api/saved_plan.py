"""Read a saved plan, and check its digest, its signature and its schema.

Anybody may have written the text. `apply` carries out nothing from it: it plans again, and compares
the new plan with the saved one. Only `open_saved_plan` reads the environment and the clock; the
other functions get the key and the time as arguments. A field that the plan of an earlier version
lacks gets a default.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from hooksync.api.promise import Fields, Promise, promised
from hooksync.core import model
from hooksync.core.clock import rfc3339
from hooksync.core.errors import FileError, InvalidDocument, Problem, Refused
from hooksync.core.record import Record, convert, given_fields
from hooksync.core.schema import check_document
from hooksync.core.signing import KEY_VARIABLE, PlanKey, is_same, parse_json, plan_key
from hooksync.output.json_text import digest
from hooksync.output.plan_json import PLAN_FORMAT, signature_of
from hooksync.output.view import RunView, StepView, TenancyView
from hooksync.reconcile.plan import Change, Reason

if TYPE_CHECKING:
    from hooksync.reconcile.context import World

_MAKE_AGAIN = "make the plan again, with --out"
_CLOCKS_DIFFER = timedelta(minutes=5)  # between the clocks of two machines, at most
_NOWHERE = model.Location("", 1, 1)


class SavedPlan(Record, frozen=True):
    """The content of a saved plan."""

    promise: Promise
    selection: Fields  # by the names of flags
    is_unchecked: bool  # it is signed, but there is no key to verify the signature
    created_at: datetime
    expires_at: datetime | None
    view: RunView  # as it was shown
    commit: str | None = None  # of the hooks file's repository

    def html(self) -> str:
        """Return the plan as a complete HTML page, as `hooksync plan --format html` does."""
        from hooksync.output.html import plan_html  # only here: most runs write none

        return plan_html(self.view, self.promise.plan_id, self.commit)


def read_saved_plan(data: bytes, path: str, key: PlanKey | None) -> SavedPlan:
    """Read a saved plan. If there is a key, the plan must have its signature. `path`: for messages.

    Raises FileError if the plan is not valid. Raises Refused if it was altered, or lacks the
    signature. `age_problem` checks its age.
    """
    try:
        document = _parse(data)
        _check_seals(document, path, key)
        return _saved_plan(check_document("plan", document), key)
    except InvalidDocument as error:
        raise FileError(Problem(f"{path}: {error}", _MAKE_AGAIN)) from None
    except RecursionError:  # a parsed document may still be too deep to write for its digest
        raise FileError(Problem(f"{path}: nested too deeply", _MAKE_AGAIN)) from None


def open_saved_plan(
    data: bytes, path: str, max_age: timedelta | None, world: World
) -> tuple[SavedPlan, Problem | None]:
    """Read a saved plan with the key from the environment. Also returns why apply refuses it."""
    world.output.public.append(data)
    saved = read_saved_plan(data, path, plan_key(world.environ.get(KEY_VARIABLE)))
    refusal = age_problem(saved, path, max_age, datetime.fromtimestamp(world.clock.now(), UTC))
    if saved.is_unchecked and refusal is None:
        what = f"{path} is signed, and its signature cannot be checked: {KEY_VARIABLE} is not set"
        refusal = Problem(what, f"set {KEY_VARIABLE} to the key that it was signed with")
    return saved, refusal


def _parse(data: bytes) -> dict[str, Any]:
    try:
        document = parse_json(data.decode("utf-8-sig"))
    except ValueError:  # the parser's message may quote the text
        raise InvalidDocument("it is not JSON, or it was cut short") from None
    found = document.get("format") if isinstance(document, dict) else None
    if found == PLAN_FORMAT:
        return cast(dict[str, Any], document)
    raise InvalidDocument(f"its format is not {PLAN_FORMAT}, which this hooksync reads")


def _check_seals(document: Fields, path: str, key: PlanKey | None) -> None:
    """Raise Refused if the plan was altered, or if there is a key that did not sign it."""
    signature = document.get("signature")
    if key is not None:
        if signature is None:
            raise Refused(Problem(f"{path} is not signed, and {KEY_VARIABLE} is set", _MAKE_AGAIN))
        if not is_same(signature, signature_of(document, key)):
            what = f"the signature of {path} does not fit {KEY_VARIABLE}"
            why = "it was altered, or signed with a different key"
            raise Refused(Problem(f"{what}: {why}", f"{_MAKE_AGAIN}, under the same key"))
    rest = {name: value for name, value in document.items() if name != "digest"}
    if not is_same(document.get("digest"), digest(rest)):
        what = f"{path} was altered since it was saved: its digest does not fit"
        raise Refused(Problem(what, _MAKE_AGAIN))


def age_problem(
    saved: SavedPlan, path: str, max_age: timedelta | None, now: datetime
) -> Problem | None:
    """Return why a plan's date is not acceptable, or None. --max-age overrides its own expiry."""
    made = saved.created_at
    end = saved.expires_at
    when = f"it was made at {saved.view.created_at}, now it is {rfc3339(now.timestamp())}"
    if made - now > _CLOCKS_DIFFER:
        fix = f"check the clocks of both machines; then {_MAKE_AGAIN}"
        return Problem(f"{path} is dated in the future: {when}", fix)
    if max_age is not None and now - made > max_age:
        return Problem(f"{path} is older than --max-age allows ({max_age}): {when}", _MAKE_AGAIN)
    if max_age is None and end is not None and now > end:
        fix = f"{_MAKE_AGAIN}; --max-age allows an older one, e.g. --max-age 7d"
        return Problem(f"{path} expired at {rfc3339(end.timestamp())}: {when}", fix)
    return None


def _time(fields: Fields, name: str) -> datetime:
    try:
        return datetime.fromisoformat(fields[name])
    except ValueError:
        raise InvalidDocument(f"the plan: {name} is not a date and time") from None


def _saved_plan(fields: Fields, key: PlanKey | None) -> SavedPlan:
    selection = fields.get("selection", {})
    promise = _promise(fields, key)
    view = RunView(
        tuple(map(_view, fields["tenancies"])),
        fields["created_at"],
        fields.get("sources", ""),
        _problems(fields.get("warnings", ())),
        fields.get("state"),
        _problems(fields.get("undeclared", ())),
        is_state_missing=fields.get("state_missing", False),
        selection=(*selection.get("tenancy", ()), *selection.get("target", ())),
        is_targeted=bool(selection.get("target")),
        against_all=_problems(fields.get("refusals", ())),
        flags=None,
    )
    made = _time(fields, "created_at")
    end = _time(fields, "expires_at") if fields.get("expires_at") else None
    is_unchecked = key is None and "signature" in fields
    return SavedPlan(promise, selection, is_unchecked, made, end, view, fields.get("commit"))


def _promise(fields: Fields, key: PlanKey | None) -> Promise:
    """Read the steps that a new plan is compared with."""
    tenancies = {each["name"]: promised(each) for each in fields["tenancies"]}
    if len(tenancies) < len(fields["tenancies"]):
        raise InvalidDocument("the plan: two tenancies have the same name")
    return Promise(fields["id"], key, tenancies)


def _problems(lines: Iterable[str]) -> tuple[Problem, ...]:
    """Make problems from lines that `Problem.line` returned."""
    parts = (line.removesuffix(")").rpartition(" (fix: ") for line in lines)
    return tuple(Problem(what, fix) for what, _, fix in parts)


def _view(fields: Fields) -> TenancyView:
    """Make the view of a tenancy. Its live subscriptions are those that its steps name."""
    if fields.get("error"):
        raise InvalidDocument(f"{fields['name']} could not be read when the plan was made")
    server = model.Server("", fields.get("server", ""))
    settings = {}
    for name in ("replacement", "unknown_secret"):
        if name in fields:
            settings[name] = fields[name]
    tenant = fields.get("tenant")
    tenancy = model.Tenancy(fields["name"], server, tenant, None, (), _NOWHERE, **settings)
    steps = tuple(map(_step, fields["steps"]))
    live = []
    for step in steps:
        if step.id is not None:
            url = model.HookUrl(step.url, step.url)
            live.append(model.LiveSubscription(step.id, url, step.trigger, None))
    return TenancyView(
        tenancy,
        steps,
        tuple(live),
        declared_count=fields.get("declared_count", 0),
    )


def _step(fields: Fields) -> StepView:
    secret = fields.get("secret") or {"ref": None, "state": "unknown"}
    return StepView(
        fields["action"],
        fields.get("address"),
        fields.get("name"),
        fields.get("url", ""),
        model.Trigger(fields.get("trigger", "")),
        fields.get("id"),
        fields.get("include_identifiers"),
        replaces_url=fields.get("replaces_url"),
        reasons=convert(fields.get("reasons", ()), tuple[Reason, ...]),
        origin=fields.get("origin"),
        changes=convert(fields.get("changes", ()), tuple[Change, ...]),
        secret=secret["ref"] and model.SecretRef.read(secret["ref"]),
        secret_state=secret["state"],
        is_listed=fields.get("listed", True),
        **given_fields(model.Notes, fields),
    )
