"""A canary in every field that a peer can fill. No command may show the canary, in any encoding.

A test finds the fields by reading hooksync's own code, so a new field without a canary fails.
"""

from __future__ import annotations

import ast
import json
from itertools import cycle, product
from pathlib import Path
from typing import get_type_hints

import pytest

import hooksync.service
from hooksync.service import client
from hooksync.service.http import Response
from tests.attacks.peers import REFRESH, TOKEN
from tests.attacks.scene import (
    COMMANDS,
    ENCODINGS,
    FIELDS,
    SHOWN,
    Plant,
    Scene,
    leaks,
    play,
    steers,
)
from tests.command_line import PASSWORD
from tests.conftest import HIDDEN
from tests.lanes import covering
from tests.wire import answer, saying

PLAN_KEY, SEED = "pl4n-key-0123456789-of-the-run", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
USER, PROXY = "pr0xy-user-0123456789", "pr0xy-password-0123456789"
ENVIRON = {
    "HOOKSYNC_PLAN_KEY": PLAN_KEY,
    "HTTPS_PROXY": f"http://{USER}:{PROXY}@proxy.example:3128",
    "PRESERVICA_2FA_TOKEN": SEED,
}
OF_THE_ENVIRONMENT = (*HIDDEN, PLAN_KEY, SEED, USER, PROXY)
VALUES = (*OF_THE_ENVIRONMENT, TOKEN, REFRESH)  # a run has the last two only after a log-in
STEERING = "##vso[task.complete]\n::error::owned\x1b[2J\u202e"


def _logged_in(**planted: object) -> Plant:
    """Plant a text in the given fields of the answer to a log-in."""

    def plant(text: str) -> Scene:
        said = {"success": True, "token": "t0ken", **dict.fromkeys(planted, text)}
        return Scene([], "log-in", saying(answer(json.dumps(said).encode())))

    return plant


def _second_factor(text: str) -> Scene:
    said = {"message": "needs.2fa", "continuationToken": text, "tenant": text}
    refused = saying(answer(json.dumps(said).encode(), "401 No"))
    return Scene([], "log-in", refused)


def _flag(text: str) -> Scene:
    listed = [
        {"id": "1", "url": "https://h.example/", "triggerType": "MOVED", "includeIdentifiers": text}
    ]
    return Scene(listed)


def _challenged(name: str) -> Plant:
    def plant(text: str) -> Scene:
        said = {"challengeCode": "c", "challengeResponse": "r", name: text}
        return Scene(receiver=saying(answer(json.dumps(said).encode())))

    return plant


def _one_line(text: str) -> bytes:
    return text.encode("latin-1", "replace").replace(b"\n", b" ").replace(b"\r", b" ")


def _redirect(text: str) -> Scene:
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: "
    return Scene(receiver=saying(head + _one_line(text) + b"\r\n\r\n"))


def _head(text: str) -> Scene:
    names = (b"HTTP/1.1 422 ", b"Retry-After: ", b"X-Said: ", b"Link: ", b"Content-Type: ")
    head = b"".join(name + _one_line(text) + b"\r\n" for name in names)
    return Scene([], "list", saying(head + b"Content-Length: 0\r\n\r\n"))


_PLANS, _CHECKS = (
    ("plan, text", "plan, JSON", "plan, Markdown", "draft", "init"),
    ("check, text", "check, JSON"),
)
PLANTS: dict[str, tuple[Plant, tuple[str, ...]]] = {
    **FIELDS,
    "a token": (_logged_in(token=0), (*_PLANS, *_CHECKS)),
    "a refresh token": (_logged_in(**{"refresh-token": 0}), (*_PLANS, *_CHECKS)),
    "a success": (_logged_in(success=0), (*_PLANS, *_CHECKS)),
    "a continuation token": (_second_factor, (*_PLANS, *_CHECKS)),
    "a flag": (_flag, (*_PLANS, *_CHECKS)),
    "a challenge code": (_challenged("challengeCode"), _CHECKS),
    "a challenge response": (_challenged("challengeResponse"), _CHECKS),
    "where a redirect leads": (_redirect, _CHECKS),
    "the head of an answer": (_head, (*_PLANS, *_CHECKS)),
}
READ = {  # each field that hooksync reads of answers, and the plant that fills it
    "token": "a token",
    "refresh-token": "a refresh token",
    "success": "a success",
    "continuationToken": "a continuation token",
    "message": "a refused log-in",
    "tenant": "a tenant",
    "id": "an id",
    "url": "a URL",
    "triggerType": "a trigger",
    "includeIdentifiers": "a flag",
    "challengeCode": "a challenge code",
    "challengeResponse": "a challenge response",
    "Retry-After": "the head of an answer",
    "Location": "where a redirect leads",
    "body": "a receiver",
    "links": "the head of an answer",
    "status_code": "the head of an answer",
}
_BEFORE_LOG_IN = (
    "a refused log-in",
    "a tenant",
    "a token",
    "a refresh token",
    "a success",
    "a continuation token",
)


def fields_read() -> set[str]:
    """Return the names of the fields that the code reads of answers.

    The names are in `x.get("name")`, `x["name"]`, attributes of a response, and fields of the types
    of answers.
    """
    found: set[str] = set()
    # of the record that the code makes of an answer, and of the connection
    ours = {*get_type_hints(Response), "text", "headers", "iter_content"}
    for kind in (client.LogIn, client._Live):
        found.update(kind.__struct_encode_fields__)
    for path in Path(hooksync.service.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(str(name)), *_]):
                    found.add(name)
                case ast.Subscript(slice=ast.Constant(str(name)), ctx=ast.Load()):
                    found.add(name)
                case ast.Attribute(ast.Name("response"), name) if name not in ours:
                    found.add(name)
    return found


def test_every_field_that_hooksync_reads_of_an_answer_has_a_canary() -> None:
    # names in forms, in URLs, and in events that hooksync forwards or makes
    ours = {
        "username",
        "password",
        "scheme",
        "transfer-encoding",
        "events",
        "Ł",
    }
    ours |= {"all_proxy", "no_proxy", "raw"}  # variables of proxies; the connection of a response
    ours |= {"error", "errors"}  # only their presence counts
    ours |= {"type", "ref"}  # of entities: commands/test_catch_up.py plants a secret there
    of_receivers = {"body", "challengeCode", "challengeResponse"}
    assert fields_read() - ours == set(READ) - of_receivers
    assert set(READ.values()) <= set(PLANTS)


_values = {True: cycle(OF_THE_ENVIRONMENT), False: cycle(VALUES)}
# without a hooks file, a run knows the password alone until it has a token
_VALUES_WITHOUT_FILE = {True: cycle([PASSWORD]), False: cycle([PASSWORD, TOKEN, REFRESH])}


def _planted(field: str, shown: str) -> str:
    """Return a value that the run knows when it reads a field."""
    values = _VALUES_WITHOUT_FILE if shown in ("draft", "init") else _values
    return next(values[field in _BEFORE_LOG_IN])


ATTACKS = [
    (field, form, shown, _planted(field, shown))
    for field, (_, places) in PLANTS.items()
    for form, shown in product(ENCODINGS, places)
]


@pytest.mark.parametrize(
    ("field", "form", "shown", "value"),
    covering(ATTACKS, key=lambda row: (*row[:3], row[1::2]), every=2),
)
def test_no_command_shows_a_value_that_a_peer_echoes_in_any_field_and_encoding(
    field: str, form: str, shown: str, value: str
) -> None:
    scene = PLANTS[field][0](f"{STEERING} {ENCODINGS[form](value)} and more")
    seen = play(SHOWN[shown], Scene(**{**vars(scene), "environ": {**ENVIRON, **scene.environ}}))
    assert leaks(seen.shown, VALUES) == []
    assert steers(seen.shown) == []
    assert seen.requests
    if "JSON" in shown and seen.run.out:
        json.loads(seen.run.out)


def test_a_canary_that_is_no_value_of_the_run_is_shown() -> None:
    seen = play(
        SHOWN["plan, text"], FIELDS["a refused list"][0]("a-value-that-no-run-knows-0123456789")
    )
    assert leaks(seen.shown, ["a-value-that-no-run-knows-0123456789"])


KEY = "Zq9x8w7v6u5t4s3r2q1p0"  # in the path of a stranger's URL; no run knows it


@pytest.mark.parametrize("shown", ["plan, text", "plan, JSON", "list", "draft"])
@pytest.mark.parametrize("status", ["200 OK", "422 No"])
def test_a_quoted_list_of_an_unknown_shape_shows_no_key_of_its_urls(
    shown: str, status: str
) -> None:
    url = f"https://user:pw@x.example/services/{KEY}?code=K3y"
    body = json.dumps({"value": [{"id": "a1", "url": url}]}).encode()
    seen = play({**COMMANDS, **SHOWN}[shown], Scene([], "list", saying(answer(body, status))))
    assert "https://***@x.example/services/***?code=***" in seen.shown
    assert KEY not in seen.shown


@pytest.mark.parametrize("value", VALUES)
def test_the_judge_of_leaks_finds_a_value_in_each_encoding(value: str) -> None:
    for encode in ENCODINGS.values():
        assert value in leaks(f"cannot use {encode(value)} here", VALUES)
