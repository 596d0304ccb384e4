"""No repr shows a secret. The tests search hooksync for all its types, so they include new types.

A field may hold a secret if its type includes bytes, or if RAW matches its name and PLAIN its type.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import pytest
from msgspec import Struct

import hooksync
from hooksync.config.secret_sources import SecretSources
from hooksync.config.yaml_loader import YamlMap
from hooksync.core.model import HookUrl, Secret, SecretRef
from hooksync.core.output import Output
from hooksync.core.record import HIDDEN_FIELDS, Shown
from hooksync.core.redaction import Redactor
from hooksync.receivers.http_server import IncomingRequest, Reply
from hooksync.service.client import Preservica
from hooksync.service.http import Caller, Transport
from tests.makers import HERE, tenancy
from tests.memory_terminal import make_context

CANARY = "c4nary-0123456789-in-a-field"
RAW = re.compile(
    r"body|continuation|declared|environ|fingerprint|full|headers|hidden|identity|instance|key|password|secret|seed|(refresh_)?token"
    r"|totp|url|value|(url_)?salt"
)
PLAIN = re.compile(
    r"\b(bytes|str|object|Any|Variables)\b"
)  # the types that can hold a plain secret
# URLs with unfilled variables or hidden query values; the page of a CI run
MAY_BE_SHOWN = {"Starter.url"}
MAY_BE_SHOWN |= {"StateEntry.salt", "Attempt.salt", "SubscriptionRecord.salt"}  # the id of a salt
# the public answer of a receiver
MAY_BE_SHOWN |= {
    "hooksync.receiver.Answer.body",
    "hooksync.receiver.Answer.headers",
    "hooksync.receiver.Answer.key",
    "hooksync.receiver.Stored.key",
}


def modules() -> Iterator[Any]:
    for found in pkgutil.walk_packages(hooksync.__path__, "hooksync."):
        if not found.name.startswith("hooksync.sandbox") and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def types() -> list[type]:
    """Return all classes, each from the module that defines it."""
    return [
        value
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]


def annotations(kind: type) -> dict[str, str]:
    """Return the fields of a record or a named tuple with their types as written.

    The fields of its base classes are included.
    """
    fields: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        fields |= {
            name: str(written) for name, written in vars(each).get("__annotations__", {}).items()
        }
    return {name: written for name, written in fields.items() if not written.startswith("ClassVar")}


def may_be_secret(name: str, written: str) -> bool:
    return "bytes" in written or bool(RAW.fullmatch(name.strip("_")) and PLAIN.search(written))


def filled(written: str) -> object:
    """Return a value of about this type that holds the canary."""
    if re.match(r"(Mapping|dict|Variables)\b", written):
        return {CANARY: CANARY}
    if re.match(r"(tuple|list|Sequence|frozenset)\b", written):
        return (CANARY,)
    return CANARY.encode() if "bytes" in written else CANARY


def shown(value: object) -> str:
    return " ".join(
        [repr(value), str(value), f"{value}", f"{value!r:>9}", repr([value]), repr({"of": value})]
    )


def is_record(kind: type) -> bool:
    return issubclass(kind, Struct) or (issubclass(kind, tuple) and hasattr(kind, "_fields"))


RECORDS = [kind for kind in types() if is_record(kind)]
FIELDS = [
    (kind, name, written)
    for kind in RECORDS
    for name, written in annotations(kind).items()
    if may_be_secret(name, written)
    and not {f"{kind.__name__}.{name}", f"{kind.__module__}.{kind.__name__}.{name}"} & MAY_BE_SHOWN
]


@pytest.mark.parametrize(
    ("kind", "name", "written"), FIELDS, ids=[f"{each[0].__name__}.{each[1]}" for each in FIELDS]
)
def test_a_field_that_may_hold_a_secret_is_in_no_repr(kind: type, name: str, written: str) -> None:
    others = {other: "" if type_of == "str" else () for other, type_of in annotations(kind).items()}
    value = kind(**(others | {name: filled(written)}))
    assert CANARY not in shown(value), (
        f"{kind.__module__}: add {name!r} of {kind.__name__} to the hidden fields of `core/record.py`"
    )


def test_the_rule_finds_the_fields_that_are_known_to_hold_secrets() -> None:
    found = {f"{kind.__name__}.{name}" for kind, name, _ in FIELDS}
    known = {
        "LogIn.token",
        "LogIn.refresh_token",
        "LogIn.continuation",
    }
    known |= {"Request.body", "Request.headers", "Response.body", "Context.environ"}
    known |= {
        "PlanKey.value",
        "SubscriptionKey.url",
        "Salt.salt",
        "StateEntry.fingerprint",
        "Attempt.identity",
        "State.url_salt",
    }
    assert found >= known


def test_every_hidden_name_is_that_of_a_field() -> None:
    assert {name for kind in RECORDS for name in annotations(kind)} >= HIDDEN_FIELDS


def hiding() -> Redactor:
    redactor = Redactor()
    redactor.learn([CANARY])
    return redactor


def looked_up() -> SecretSources:
    sources = SecretSources(make_context({"NAME": CANARY}))
    sources.find(SecretRef("env", "NAME", HERE))
    return sources


def logged_in() -> Preservica:
    output = Output()
    output.redactor = hiding()
    caller = Caller(Transport(30.0, 1, {}), make_context(output=output))
    session = Preservica(
        tenancy(),
        caller,
        lambda refs: {ref: Secret(CANARY) for ref in refs},
    )
    session._token = CANARY
    return session


def mapping() -> YamlMap:
    found = YamlMap()
    found["secret"] = CANARY
    return found


HOLDERS: dict[
    type, Callable[[], object]
] = {  # classes that are no records and have their own repr, str or format
    Secret: lambda: Secret(CANARY),
    Redactor: hiding,
    SecretSources: looked_up,
    Preservica: logged_in,
    YamlMap: mapping,
    Shown: lambda: HookUrl("https://h.example/?key=${KEY}", f"https://h.example/?key={CANARY}"),
    SecretRef: lambda: SecretRef("file", "secret", HERE, base=CANARY),
    IncomingRequest: lambda: IncomingRequest("POST", "/", CANARY, {"A": CANARY}, CANARY.encode()),
    Reply: lambda: Reply(200, CANARY.encode()),
}


@pytest.mark.parametrize("kind", HOLDERS, ids=lambda kind: kind.__name__)
def test_a_class_that_holds_secrets_shows_none(kind: type) -> None:
    assert CANARY not in shown(HOLDERS[kind]())


def shows_itself(kind: type) -> bool:
    return any(name in vars(kind) for name in ("__repr__", "__str__", "__format__"))


def test_every_class_with_its_own_repr_is_tested_for_secrets() -> None:
    found = {
        kind
        for kind in types()
        if shows_itself(kind)
        and not is_record(kind)
        and not issubclass(kind, (BaseException, Enum))
    }
    assert found <= set(HOLDERS), "add to HOLDERS how one that holds a secret is made"
