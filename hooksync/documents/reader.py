"""A saved plan: its JSON text -> what it asks for, once it is sure to be whole, and signed where that is demanded.

Pure: the text, the key and the time are arguments. Who may write the text is not known, so nothing of it is believed
that is not checked here, or again by `resolve`.
"""

from __future__ import annotations

import hmac
import json
from datetime import datetime, timedelta
from typing import NoReturn, cast

from hooksync.core.errors import FileError, Problem, Refused
from hooksync.core.record import Record
from hooksync.documents.plan_fields import PlanRecord, Wrong
from hooksync.documents.plan_key import KEY_VARIABLE, PlanKey
from hooksync.documents.saved_records import SavedTenancy, tenancy_of
from hooksync.documents.sealing import digest
from hooksync.documents.writer import PLAN_FORMAT

CLOCK_SKEW = timedelta(minutes=5)  # of machines that mean to show the same time

_MAKE_ANEW = "make it anew with `hooksync plan --out`"


class Demands(Record, frozen=True):
    """What a saved plan must stand up to."""

    key: PlanKey | None
    max_age: timedelta | None
    now: datetime


class SavedPlan(Record, frozen=True):
    """What a saved plan asks for."""

    tenancies: tuple[SavedTenancy, ...]
    state: str | None
    prunes: bool
    is_targeted: bool
    allows_mass_unsubscribe: bool
    warnings: tuple[Problem, ...] = ()


def read_saved_plan(data: bytes, path: str, demands: Demands) -> SavedPlan:
    """Read a saved plan. Raises FileError for what is none, Refused for one that was altered, is not signed, or is old.

    `path`: for messages. Fields that this version does not know are passed over.
    """
    try:
        document = _parse(data)
        _check_format(document.get("format"))
        warnings = _check_seals(document, path, demands)
        record = PlanRecord(document, "the plan", path)
        _check_age(record, path, demands)
        return _saved_plan(record, warnings)
    except Wrong as wrong:
        raise FileError(Problem(f"{path}: {wrong}", _MAKE_ANEW)) from None
    except RecursionError:  # what can be parsed cannot always be written again, for its digest
        raise FileError(Problem(f"{path}: it is nested too deeply", _MAKE_ANEW)) from None


def _saved_plan(record: PlanRecord, warnings: tuple[Problem, ...]) -> SavedPlan:
    options = record.record("options") if record.has("options") else PlanRecord({}, "the plan.options", record.file)
    tenancies = tuple(map(tenancy_of, record.records("tenancies")))
    names = [tenancy.entry.name for tenancy in tenancies]
    if len(set(names)) < len(names):
        raise Wrong("a tenancy is named twice")
    return SavedPlan(
        tenancies=tenancies,
        state=record.maybe_text("state"),
        prunes=options.flag("prune", default=True),
        is_targeted=options.flag("targeted", default=False),
        allows_mass_unsubscribe=options.flag("allow_mass_unsubscribe", default=False),
        warnings=warnings,
    )


def _parse(data: bytes) -> dict[str, object]:
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_no_number)
    except (ValueError, RecursionError):  # what the parser says of it may quote it
        raise Wrong("it is not JSON, or it was cut short") from None
    if not isinstance(document, dict):
        raise Wrong("it is no saved plan")
    return cast("dict[str, object]", document)


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)


def _check_format(form: object) -> None:
    if form == PLAN_FORMAT:
        return
    if isinstance(form, str) and form.startswith("hooksync.plan/"):
        raise Wrong(f"it is in another format than {PLAN_FORMAT}: make and apply it with the same hooksync")
    raise Wrong(f"it is no saved plan: its format is not {PLAN_FORMAT}")


def _check_seals(document: dict[str, object], path: str, demands: Demands) -> tuple[Problem, ...]:
    """Refuse what was altered since it was written, and what the owner of the key did not write."""
    signature = document.get("signature")
    if demands.key is not None:
        if signature is None:
            raise Refused(Problem(f"{path} is not signed, and {KEY_VARIABLE} demands it", _MAKE_ANEW))
        if not _same(signature, demands.key.signature(document)):
            what = f"the signature of {path} is not of this {KEY_VARIABLE}: it was altered, or signed with another key"
            raise Refused(Problem(what, f"{_MAKE_ANEW}, under the same key"))
    rest = {name: value for name, value in document.items() if name != "digest"}
    if not _same(document.get("digest"), digest(rest)):
        raise Refused(Problem(f"{path} was altered since it was saved: its digest is another", _MAKE_ANEW))
    if demands.key is None and signature is not None:
        what = f"{path} is signed, and its signature is not checked: {KEY_VARIABLE} is not set"
        return (Problem(what, f"set {KEY_VARIABLE} to the key it was signed with"),)
    return ()


def _same(given: object, computed: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(given.encode("utf-8", "surrogatepass"), computed.encode())


def _check_age(record: PlanRecord, path: str, demands: Demands) -> None:
    try:
        created = datetime.fromisoformat(record.text("created_at"))
    except ValueError:
        raise Wrong("created_at is no date and time") from None
    if created.tzinfo is None:
        raise Wrong("created_at has no time zone")
    if demands.max_age is None:
        return
    try:
        age = demands.now - created
    except OverflowError:
        raise Wrong("created_at is no date and time") from None
    if age > demands.max_age:
        raise Refused(Problem(f"{path} is older than --max-age allows ({demands.max_age})", _MAKE_ANEW))
    if age < -CLOCK_SKEW:
        what = f"{path} was made in the future, by this machine's clock: its age cannot be told"
        raise Refused(Problem(what, "set the clocks of both machines right"))
