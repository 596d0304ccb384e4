"""The names of the service's calls, and the faults that make calls go wrong.

This module reads and counts faults; `server` carries them out.

A user writes a fault as `KIND@CALL[:TIMES[:SKIP]]`, e.g. `status-503@list:2`,
`commit-cut@subscribe:2:5` or `slow-0.5@any:*`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hooksync.receivers.http_server import IncomingRequest

SUBSCRIPTIONS_PATH = "/api/webhook/subscriptions"
CALLS = {  # method and path -> the name of the call, as faults and the log know it
    ("POST", "/api/accesstoken/login"): "login",
    ("POST", "/api/accesstoken/complete-2fa"): "complete-2fa",
    ("GET", "/api/user/details"): "details",
    ("GET", "/api/entity/versiondetails/version"): "version",
    ("GET", "/api/entity/entities/updated-since"): "updated",
    ("GET", SUBSCRIPTIONS_PATH): "list",
    ("POST", SUBSCRIPTIONS_PATH): "subscribe",
}
CALL_NAMES = (*CALLS.values(), "unsubscribe")

# The name of a kind -> what the user must write after it: an HTTP status (N) or seconds (S).
KINDS = {"status": "-N", "retry-after": "-S", "slow": "-S", "cut": "", "commit-cut": ""}

_NUMBERS = {"-N": "-([2-5][0-9]{2})", "-S": r"-([0-9]{1,5}(?:\.[0-9]{1,3})?)", "": "()"}
_CALL = rf"({'|'.join(CALL_NAMES)}|any)(?::([0-9]{{1,9}}|\*))?(?::([0-9]{{1,9}}))?"


class SandboxError(ValueError):
    """The sandbox cannot start or go on as asked; the text is one line for the user."""


def call_name(request: IncomingRequest) -> str:
    """Return the name of the call that a request makes, or "unknown"."""
    parent, _, subscription_id = request.path.rpartition("/")
    if request.method == "DELETE" and parent == SUBSCRIPTIONS_PATH and subscription_id:
        return "unsubscribe"
    return CALLS.get((request.method, request.path), "unknown")


@dataclass(slots=True)
class Fault:
    """What goes wrong with a call, and how often."""

    kind: str  # a name in `KINDS`
    call: str  # a name in `CALL_NAMES`, or "any"
    number: float = 0.0  # a status or seconds
    times: float = 1  # how often it goes wrong from now on; infinite: always
    skip: int = 0  # how many calls go right first


def next_fault(faults: Iterable[Fault], call: str) -> Fault | None:
    """Return the first fault that is due for this call, if any.

    It and the matching faults before it count the call; later faults do not. So
    `status-503@list:2` followed by `cut@list` is two 503s, then a cut.
    """
    for fault in faults:
        if fault.call in (call, "any") and fault.times:
            if not fault.skip:
                fault.times -= 1
                return fault
            fault.skip -= 1
    return None


def read_fault(spec: str, kinds: Mapping[str, str] = KINDS) -> Fault:
    """Read a fault as a user writes it. Raises `SandboxError` if it is invalid."""
    for kind, unit in kinds.items():
        match = re.fullmatch(f"{kind}{_NUMBERS[unit]}@{_CALL}", spec)
        if match:
            number, call, times, skip = match.groups()
            limit = math.inf if times == "*" else int(times or 1)
            return Fault(kind, call, float(number or 0), limit, int(skip or 0))
    known = ", ".join(name + unit for name, unit in KINDS.items())
    raise SandboxError(
        f'fault "{spec}" is not of the form KIND@CALL[:TIMES[:SKIP]], e.g. status-503@list:2;'
        f" kinds: {known}; N: 200 to 599; calls: {', '.join(CALL_NAMES)}, any"
    )
