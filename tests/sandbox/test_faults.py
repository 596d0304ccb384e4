"""Faults on demand: how a fault is written, when it is due, and what each kind does over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from hooksync.sandbox.faults import SandboxError, read_fault
from tests.boxes import Sandbox

Start = Callable[..., Sandbox]
Connect = Callable[..., Any]

URL = "https://hooks.example.org/x"
HTML = "text/html"
JSON = "application/json"

# Each kind at a subscribe: how often the call is carried out; then status and content type, or the
# error of the client.
CUT = requests.ConnectionError
HALF = requests.exceptions.ChunkedEncodingError
CASES = [
    ("status-400", False, (400, JSON)),
    ("status-599", False, (599, JSON)),
    ("retry-after-7", False, (429, JSON)),
    ("cut", False, CUT),
    ("commit-cut", True, CUT),
    ("commit-502", True, (502, HTML)),
    ("half-body", True, HALF),
    ("stall-0.001", True, (200, JSON)),
    ("slow-0.001", True, (200, JSON)),
]


@pytest.mark.parametrize(("kind", "is_done", "outcome"), CASES)
def test_each_kind_of_fault_has_its_own_effect_on_a_subscribe(
    start: Start, connect: Connect, kind: str, is_done: int, outcome: Any
) -> None:
    box = start(faults=(f"{kind}@subscribe",))
    client = connect(box)
    if isinstance(outcome, tuple):
        answer = client.subscribe(URL)
        assert (answer.status_code, answer.headers["Content-Type"]) == outcome
    else:
        with pytest.raises(outcome):
            client.subscribe(URL)
    assert len(box.subscriptions("DEMO")) == is_done
    assert box.call_names == ["login", "subscribe"]


@pytest.mark.parametrize(
    "spec",
    [
        *("", "cut", "cut@list:often", "cut@list:1:*", "cut@list\n", f"cut@list:{'9' * 5000}"),
        *("cut@listing", "cuts@list", "status@list", "cut-5@list", "status-99@list"),
        *("status-502.5@list", "slow-100000@list"),
    ],
)
def test_a_text_that_is_no_fault_is_refused_with_the_form_of_one(spec: str) -> None:
    with pytest.raises(SandboxError, match="is not of the form KIND@CALL") as caught:
        read_fault(spec)
    assert str(caught.value).startswith(f'fault "{spec}"')
