"""One call to find out how the other side is doing: made once, told to the watcher, its failure sorted by kind.

Own words only: the transport's texts hold paths, and a receiver's path may hold a key. Touches the network.
"""

from __future__ import annotations

import time

from hooksync.core.errors import ServiceError
from hooksync.core.record import Record
from hooksync.service.calling import CallContext, CallRecord
from hooksync.service.challenge import FailureKind, ProbeResult
from hooksync.service.http import Answer, Request
from hooksync.service.http_errors import (
    ConnectionRefused,
    NoConnection,
    NoName,
    NoProxy,
    NoRoute,
    NoTls,
    TimedOut,
    TooLarge,
)


class Label(Record, frozen=True):
    """How a call is shown to those who watch."""

    whom: str  # the tenancy, or "receiver"
    request: str  # holds no key


_KINDS: tuple[tuple[type[ServiceError], FailureKind], ...] = (
    (NoName, "no-name"),
    (ConnectionRefused, "refused"),
    (NoRoute, "no-route"),
    (NoProxy, "proxy"),
    (NoTls, "tls"),
    (NoConnection, "no-connection"),
    (TimedOut, "time-out"),
    (TooLarge, "too-large"),
)  # any other: "cut"
_WORDS: dict[FailureKind, tuple[str, str]] = {
    "no-name": ("its name does not resolve", "check the host's name, and this machine's DNS"),
    "refused": ("it refuses connections", "check that it runs, and the port"),
    "no-route": ("it cannot be reached from this network", "check the network, and where it may be reached from"),
    "no-connection": ("it takes no connection in time", "check the network: a firewall may keep this machine away"),
    "proxy": ("the proxy on the way to it cannot be used", "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"),
    "tls": ("no TLS connection can be made, or it breaks off", "check that it speaks https on this port"),
    "time-out": ("it does not answer in time", "check that it runs, or give more --timeout"),
    "cut": ("its answer breaks off, or is no HTTP", "see its log; check the port, and http or https"),
    "too-large": ("its answer is too large", "check the URL: this looks like a web page or a download"),
}
_UNTRUSTED = "is not trusted: "


def probe_once(request: Request, label: Label, line: CallContext) -> Answer | ProbeResult:
    """Make a call, without a repeat: its answer, or why there is none to judge."""
    start = time.monotonic()
    result = "failed"
    try:
        answer = line.transport.send(request)
        result = str(answer.status)
    except ServiceError as error:
        reading = _failed(error, line)
        result = reading.detail
        return reading
    finally:
        line.watch(CallRecord(label.whom, label.request, result, time.monotonic() - start))
    return answer


def _failed(error: ServiceError, line: CallContext) -> ProbeResult:
    said = error.summary
    kind: FailureKind = next((kind for failure, kind in _KINDS if isinstance(error, failure)), "cut")
    what, fix = _WORDS[kind]
    if "certificate bundle" in said:  # about this machine, and without a URL
        return ProbeResult(kind, said, error.problems[0].fix)
    if kind == "tls" and _UNTRUSTED in said:
        reason = line.redactor.quote(said.rpartition(_UNTRUSTED)[2])  # of the TLS library; may quote the certificate
        return ProbeResult(kind, f"its certificate is not trusted: {reason}", error.problems[0].fix)
    return ProbeResult(kind, what, fix)
