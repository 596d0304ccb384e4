"""The readers of answers: every answer of a wrong shape is an error, never an empty list."""

from __future__ import annotations

import errno
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.errors import AnswerLost, ServiceError
from hooksync.core.model import LiveSubscriptions, Secret
from hooksync.service.client import NotUnderstood, read_json
from hooksync.service.http import Request, Response, Transport, explain_connecting
from tests.clients import Clients
from tests.makers import declared

ITEM = {"id": "9495ddbf", "url": "https://h.example/a", "triggerType": "MOVED"}


CLIENT = Clients().client("https://archive.example")


def read_list(data: bytes) -> LiveSubscriptions:
    return CLIENT._read_list(Response(200, data))


class Answering(Transport):
    """A service that logs everybody in, and gives the same answer to each other call."""

    data = b""

    def send(self, request: Request) -> Response:
        is_log_in = "/accesstoken/" in request.url
        return Response(200, b'{"success": true, "token": "t0ken"}' if is_log_in else self.data)


def created(data: bytes) -> str | None:
    transport = Answering(30.0, 1, {})
    transport.data = data
    client = Clients(transport).client("https://archive.example")
    return client.subscribe(declared(), Secret("a-secret-of-tests"))


def body(document: object) -> bytes:
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \r\n",
        b"null",
        b"{}",
        b'""',
        b"0",
        b"false",
        b'{"content": []}',
        b"[null]",
        b"[[]]",
        b'["a"]',
        b'[{"id": "1"',
        b"[] []",
        b"<html></html>",
        b"\xff\xfe[\x00]\x00",
        b"[" * 100_000,
        b"[" + b"9" * 10_000 + b"]",
        body([{**ITEM, "id": None}]),
        body([{**ITEM, "id": ""}]),
        body([{**ITEM, "id": 5.0}]),
        body([{**ITEM, "id": True}]),
        body([{**ITEM, "id": 5}, {**ITEM, "id": "5"}]),
        body([{"url": ITEM["url"], "triggerType": "MOVED"}]),
        body([{"id": "1", "triggerType": "MOVED"}]),
        body([{**ITEM, "url": ""}]),
        body([{**ITEM, "url": ["https://h.example"]}]),
        body([{**ITEM, "triggerType": None}]),
        body([ITEM, ITEM]),
        body([{**ITEM, "id": "\ud800"}]),
        b'[{"id": "1", "id": "2", "url": "https://h.example/a", "triggerType": "MOVED"}]',
        b'[{"id": "1", "url": "https://h.example/a", "triggerType": "MOVED", "x": NaN}]',
        b'[{"id": "1", "triggerType": "MOVED", "url": "\xed\xa0\x80"}]',
    ],
)
def test_a_list_of_a_different_shape_is_an_error(data: bytes) -> None:
    with pytest.raises(NotUnderstood) as caught:
        read_list(data)
    assert str(caught.value)
    assert caught.value.__context__ is None  # the parser's error holds the whole text


def test_a_missing_flag_is_unknown() -> None:
    assert read_list(body([ITEM]))[0].include_identifiers is None


@pytest.mark.parametrize("value", [5, 1, 0, "", "yes", "True", "1", [], {}])
def test_a_flag_that_is_neither_true_nor_false_is_an_error(value: object) -> None:
    with pytest.raises(NotUnderstood, match="includeIdentifiers"):
        read_list(body([{**ITEM, "includeIdentifiers": value}]))


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(), st.lists, max_leaves=20
    ).map(body)
)
def test_no_bytes_break_the_readers(data: bytes) -> None:
    for read in (read_json, read_list):
        with suppress(NotUnderstood):
            read(data)
    with suppress(AnswerLost):
        created(data)


def test_the_id_of_a_new_subscription_is_read_if_the_answer_has_it() -> None:
    assert created(body({"id": "abc", "more": 1})) == "abc"
    assert created(b'{"id": 7}') == "7"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"ok", b"<html>", b"\xff", b"[]", b'"abc"', b"{}", b'{"error": null}',
        b'{"id": null}', b'{"id": ""}', b'{"id": 7.5}', b'{"id": true}', b'{"id": [1]}',
    ],
)  # fmt: skip
def test_an_answer_to_a_subscribe_may_be_anything_and_then_has_no_id(data: bytes) -> None:
    assert created(data) is None


@pytest.mark.parametrize("field", [{"error": "no"}, {"errors": [{}]}, {"success": False}])
def test_an_answer_to_a_subscribe_may_report_an_error(field: dict[str, object]) -> None:
    with pytest.raises(AnswerLost):
        created(body({"id": "abc", **field}))


def test_without_a_route_to_the_server_no_call_counts_as_sent() -> None:
    unreachable = OSError(errno.ENETUNREACH, "Network is unreachable")
    error = explain_connecting(unreachable, 10, is_proxy=False)
    assert (type(error), error.kind) == (ServiceError, "not-sent")
    assert error.summary == "no connection to the server: Network is unreachable"
