"""Faults on demand: how a fault is written, when it is due, and what each kind does over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests

from hooksync.sandbox.faults import SandboxError, read_fault
from tests.boxes import Sandbox
from tests.sandbox_faults import KINDS

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
    ("status-503", False, (503, JSON)),
    ("status-599", False, (599, JSON)),
    ("gateway-502", False, (502, HTML)),
    ("retry-after-7", False, (429, JSON)),
    ("busy-7", False, (503, JSON)),
    ("cut", False, CUT),
    ("commit-cut", True, CUT),
    ("commit-502", True, (502, HTML)),
    ("half-body", True, HALF),
    ("stall-0.001", True, (200, JSON)),
    ("slow-0.001", True, (200, JSON)),
    ("expired-token", False, (401, JSON)),
    ("empty-body", False, (200, JSON)),
    ("not-json", False, (200, JSON)),
    ("wrong-shape", False, (200, JSON)),
    ("echo", False, (400, JSON)),
    ("big", False, (200, JSON)),
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
    assert [call.name for call in box.calls] == ["login", "subscribe"]


def test_the_table_of_cases_has_every_kind_of_fault() -> None:
    kinds = {read_fault(f"{kind}@any", KINDS).kind for kind, _, _ in CASES}
    assert kinds == KINDS.keys() - {"needs-2fa-setup"}


# When a fault is due


# How a fault is written


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("", "is not of the form"),
        ("cut", "is not of the form"),
        ("cut@list:often", "is not of the form"),
        ("cut@list:1:*", "is not of the form"),
        ("cut@list\n", "is not of the form"),
        (f"cut@list:{'9' * 5000}", "is not of the form"),
        ("cut@listing", "is not of the form"),
        ("cuts@list", "is not of the form"),
        ("status@list", "is not of the form"),
        ("cut-5@list", "is not of the form"),
        ("status-99@list", "N: 200 to 599"),
        ("status-502.5@list", "N: 200 to 599"),
        ("slow-100000@list", "is not of the form"),
    ],
)
def test_a_text_that_is_no_fault_is_refused_with_the_reason(spec: str, reason: str) -> None:
    with pytest.raises(SandboxError) as caught:
        read_fault(spec)
    assert reason in str(caught.value)
    assert str(caught.value).startswith(f'fault "{spec}"')
