"""The service's calls, and faults as data: what goes wrong, with which call, how often. `server` carries them out.

A fault is written `KIND@CALL[:TIMES[:SKIP]]`, e.g. `status-503@list`, `commit-cut@subscribe:2:5`, `slow-0.5@any:*`.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

from hooksync.sandbox.http_server import Answer, Request, SandboxError, html_answer, json_answer

SUBSCRIPTIONS_PATH = "/api/webhook/subscriptions"
CALLS = {  # method and path -> the name of the call, as faults and the log know it
    ("POST", "/api/accesstoken/login"): "login",
    ("POST", "/api/accesstoken/complete-2fa"): "complete-2fa",
    ("GET", "/api/user/details"): "details",
    ("GET", "/api/entity/versiondetails/version"): "version",
    ("GET", SUBSCRIPTIONS_PATH): "list",
    ("POST", SUBSCRIPTIONS_PATH): "subscribe",
}
CALL_NAMES = (*CALLS.values(), "unsubscribe")

# Which id the answer to a new subscription tells, where it is not the right one: one that nothing has, and nothing is
# kept; that of the newest one, and nothing is kept; likewise, but the new one is kept, under an id of its own.
Lie = Literal["false-id", "same-id", "kept-same-id"]

_SPEC = re.compile(
    r"(?P<kind>(?P<name>[a-z0-9-]+?)(-(?P<number>\d+(\.\d+)?))?)@(?P<call>[a-z0-9-]+)"
    r"(:(?P<times>\d{1,9}|\*))?(:(?P<skip>\d{1,9}))?"
)
_BIG = 10_000_000  # bytes
_ELSEWHERE = ("Location", "/elsewhere")
LONGEST = 86_400  # seconds that anything may take


def call_name(request: Request) -> str:
    """Name the call that a request makes; "unknown" if the service does not have it."""
    parent, _, subscription_id = request.path.rpartition("/")
    if request.method == "DELETE" and parent == SUBSCRIPTIONS_PATH and subscription_id:
        return "unsubscribe"
    return CALLS.get((request.method, request.path), "unknown")


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """How one call goes wrong. What has its default goes right."""

    carries_out: int = 0  # how often the call is carried out
    lie: Lie | None = None  # about a new subscription
    answer: Answer | None = None  # instead of the right one
    waits_before: float = 0.0  # seconds, before the call is carried out
    waits_after: float = 0.0  # seconds, before the answer goes out
    drops_token: bool = False  # whether the token that the call bears is dropped
    is_cut: bool = False  # the connection, instead of an answer
    is_halved: bool = False  # the body, although its whole length was announced; then the connection is cut


@dataclass(frozen=True, slots=True)
class Fault:
    """A misbehaviour, the call that it happens to, and how often."""

    kind: str  # a name in `KINDS`
    call: str  # a name in `CALL_NAMES`, or "any"
    number: float = 0.0  # a status or seconds, as the kind has it
    times: int | None = 1  # None: for ever
    skip: int = 0  # this many such calls go right first


class FaultScript:
    """The faults that are still to happen, in order. Thread-safe.

    Each call gets the first fault that is due for it; later faults do not count that call. So `status-503@list:2`
    followed by `cut@list` is two 503s, then a cut.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._lock = threading.Lock()
        self._faults = list(faults)
        self._met: Counter[int] = Counter()  # calls that reached each fault, by its place

    def add(self, spec: str) -> None:
        """Add a fault. Raises `SandboxError` for an unknown one."""
        with self._lock:
            self._faults.append(read_fault(spec))

    def end(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._faults.clear()
            self._met.clear()

    def next(self, call: str) -> Fault | None:
        """Return the fault that happens to this call, if any, and count the call."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.call not in (call, "any"):
                    continue
                met = self._met[index]
                if fault.times is not None and met >= fault.skip + fault.times:
                    continue  # it has happened often enough
                self._met[index] += 1
                if met >= fault.skip:
                    return fault
        return None


def read_fault(spec: str) -> Fault:
    """Read a fault as a user writes it. Raises `SandboxError` if it is invalid."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise SandboxError(f'fault "{spec}" is not of the form KIND@CALL[:TIMES[:SKIP]], e.g. status-503@list:2')
    if match["call"] not in (*CALL_NAMES, "any"):
        raise SandboxError(f'fault "{spec}": unknown call "{match["call"]}"; known: {", ".join(CALL_NAMES)}, any')
    forms = {match["kind"], *(f"{match['name']}-{unit}" for unit in "NS" if match["number"])}
    kind = next((each for each in KINDS if each in forms), None)
    if kind is None:
        raise SandboxError(f'fault "{spec}": unknown kind "{match["kind"]}"; known: {", ".join(KINDS)}')
    number = 0.0 if kind == match["kind"] else float(match["number"])
    if kind.endswith("-N") and number not in range(200, 600):
        raise SandboxError(f'fault "{spec}": {match["number"]} is not an HTTP status from 200 to 599')
    if number > LONGEST:
        raise SandboxError(f'fault "{spec}": {match["number"]} seconds are more than a day')
    times = None if match["times"] == "*" else int(match["times"] or 1)
    return Fault(kind, match["call"], number, times, int(match["skip"] or 0))


def _says(status: float, *headers: tuple[str, str]) -> Misbehaviour:
    return Misbehaviour(answer=json_answer(int(status), {"message": f"the sandbox answers {status:g}"}, *headers))


def _echoes(request: Request) -> Misbehaviour:
    """Quote the whole call with its secrets: a client must not show such an answer unredacted."""
    message = f"cannot take {request.body.decode('utf-8', 'replace')}"
    return Misbehaviour(answer=json_answer(400, {"message": message, "headers": dict(request.headers)}))


KINDS: dict[str, Callable[[float, Request], Misbehaviour]] = {  # one that ends with -N takes a status, with -S seconds
    "status-N": lambda status, _: _says(status),
    "gateway-N": lambda status, _: Misbehaviour(answer=html_answer(int(status))),
    "retry-after-S": lambda seconds, _: _says(429, ("Retry-After", f"{seconds:g}")),
    "retry-after-date-S": lambda seconds, _: _says(
        429, ("Retry-After", formatdate(time.time() + seconds, usegmt=True))
    ),
    "busy-S": lambda seconds, _: _says(503, ("Retry-After", f"{seconds:g}")),
    "slow-S": lambda seconds, _: Misbehaviour(carries_out=1, waits_before=seconds),
    "commit-slow-S": lambda seconds, _: Misbehaviour(carries_out=1, waits_after=seconds),
    "cut": lambda *_: Misbehaviour(is_cut=True),
    "commit-cut": lambda *_: Misbehaviour(carries_out=1, is_cut=True),
    "commit-502": lambda *_: Misbehaviour(carries_out=1, answer=html_answer(502)),
    "half-body": lambda *_: Misbehaviour(carries_out=1, is_halved=True),
    "doubled": lambda *_: Misbehaviour(carries_out=2),
    "lie-id": lambda *_: Misbehaviour(carries_out=1, lie="false-id"),
    "same-id": lambda *_: Misbehaviour(carries_out=1, lie="same-id"),
    "commit-same-id": lambda *_: Misbehaviour(carries_out=1, lie="kept-same-id"),
    "expired-token": lambda *_: Misbehaviour(answer=_says(401).answer, drops_token=True),
    "empty-body": lambda *_: Misbehaviour(answer=Answer(200)),
    "not-json": lambda *_: Misbehaviour(answer=Answer(200, b"all is well, but this is not JSON")),
    "wrong-shape": lambda *_: Misbehaviour(answer=json_answer(200, {"content": []})),
    "redirect": lambda *_: _says(302, _ELSEWHERE),
    "redirect-307": lambda *_: _says(307, _ELSEWHERE),
    "echo": lambda _, request: _echoes(request),
    "big": lambda *_: Misbehaviour(answer=Answer(200, b'["' + b"x" * _BIG + b'"]')),
}
