"""Challenge receivers as Preservica does, and read their answers. Touches the network; changes nothing.

No redirect is followed, no answer read beyond 64 KiB. What a receiver says is quoted only through the redactor, and
failures are described in our own words: the transport's texts hold paths, and a receiver's path may hold a key.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from urllib.parse import quote

from hooksync.core.errors import ServiceError
from hooksync.core.handshake import EVENT_PREFIX
from hooksync.core.model import HookUrl, Secret
from hooksync.core.record import Record, field, replace
from hooksync.core.urls import split_netloc
from hooksync.service import http_errors
from hooksync.service.challenge import FailureKind, ProbeResult, judge_answer, signed_in_disguise
from hooksync.service.http import Answer, Request
from hooksync.service.retry import CallContext, CallRecord
from hooksync.service.worker_pool import WorkerPool

ProbeTarget = tuple[HookUrl, Secret]

_LARGEST_ANSWER = 64 * 1024  # bytes
_CODE_BYTES = 16  # random bytes in a code; written as hex
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"  # in a path and a query; other characters are percent-encoded
_UNREACHED = frozenset({"no-name", "no-route", "no-connection"})  # kinds that hold for every receiver of the server
_QUOTED = frozenset({"status", "not-json"})  # kinds where the receiver's own words help

_KINDS: tuple[tuple[type[ServiceError], FailureKind], ...] = (
    (http_errors.NoName, "no-name"),
    (http_errors.ConnectionRefused, "refused"),
    (http_errors.NoRoute, "no-route"),
    (http_errors.NoProxy, "proxy"),
    (http_errors.NoTls, "tls"),
    (http_errors.NoConnection, "no-connection"),
    (http_errors.TimedOut, "time-out"),
    (http_errors.TooLarge, "too-large"),
)  # any other: "cut"
_WORDS: dict[FailureKind, tuple[str, str]] = {
    "no-name": ("its name does not resolve", "check the host's name, and this machine's DNS"),
    "refused": ("it refuses connections", "check that it runs, and the port"),
    "no-route": ("it cannot be reached from this network", "check the network, and where it may be reached from"),
    "no-connection": ("it takes no connection in time", "check the network: a firewall may block this machine"),
    "proxy": ("the proxy on the way to it cannot be used", "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"),
    "tls": ("no TLS connection can be made, or it breaks off", "check that it speaks https on this port"),
    "time-out": ("it does not answer in time", "check that it runs, or give a longer --timeout"),
    "cut": ("its answer breaks off, or is not HTTP", "see its log; check the port, and http or https"),
    "too-large": ("its answer is too large", "check the URL: this looks like a web page or a download"),
}


def probe_all(
    wanted: Iterable[ProbeTarget], pool: WorkerPool, context: CallContext, advance: Callable[[], None] = lambda: None
) -> dict[ProbeTarget, ProbeResult]:
    """Challenge each distinct URL and secret once, in parallel; after a stop, the rest is missing from the result.

    `advance`: called once for each that was challenged. Every wanted target is a key, however its URL is shown.
    """
    targets = tuple(wanted)
    distinct: dict[tuple[str, Secret], ProbeTarget] = {}
    for target in targets:
        distinct.setdefault(_identity(target), target)
    context.redactor.learn({secret.reveal() for _, secret in distinct.values()})
    prober = _Prober(context, advance)
    found = pool.run("receivers", [partial(prober.probe, target) for target in distinct.values()])
    results: Mapping[tuple[str, Secret], ProbeResult | None] = dict(zip(distinct, found, strict=True))
    return {target: result for target in targets if (result := results[_identity(target)]) is not None}


class _Prober(Record, frozen=True):
    """Challenges receivers, and does not wait again for a server that takes no connection."""

    context: CallContext
    advance: Callable[[], None]
    unreached: dict[str, ProbeResult] = field(default_factory=dict)  # by host and port

    def probe(self, target: ProbeTarget) -> ProbeResult:
        server, _ = split_netloc(target[0].full.partition("://")[2])
        try:
            result = self.unreached.get(server) or _challenge(*target, self.context)
        finally:
            self.advance()
        if result.kind in _UNREACHED:
            self.unreached[server] = result
        return result


def signs_events_in_disguise(url: HookUrl, secret: Secret, context: CallContext) -> bool | None:
    """Whether a receiver signs a challenge code that begins as a signed event does. None: no clear answer.

    Such an answer would be the valid signature of the event that the rest of the code spells. This code spells none:
    an event is a JSON object, and hex digits are not, so the answer is of no use even to somebody who overhears it.
    """
    code = EVENT_PREFIX.decode("ascii") + secrets.token_hex(_CODE_BYTES)
    answer = _send(url, code, context, "challenge that begins as an event does")
    if isinstance(answer, ProbeResult):
        return None
    return signed_in_disguise(answer.status, answer.body, code, _key(secret))


def probe_once(request: Request, context: CallContext, peer: str, shown: str) -> Answer | ProbeResult:
    """Make a call, without a repeat: returns its answer, or why there is none.

    `peer`: who is called, as it is recorded; `shown`: the request as it is recorded, without any key.
    """
    start = context.clock.monotonic()
    result = "failed"
    try:
        answer = context.transport.send(request)
        result = str(answer.status)
    except ServiceError as error:
        failure = _failed(error, context)
        result = failure.detail
        return failure
    finally:
        context.watch(CallRecord(peer, shown, result, context.clock.monotonic() - start))
    return answer


def _failed(error: ServiceError, context: CallContext) -> ProbeResult:
    kind: FailureKind = next((kind for failure, kind in _KINDS if isinstance(error, failure)), "cut")
    if isinstance(error, http_errors.BadBundle):  # about this machine, and without a URL
        return ProbeResult(kind, error.reason, error.problems[0].fix)
    if isinstance(error, http_errors.UntrustedCertificate):  # the reason may quote the certificate
        return ProbeResult(kind, context.redactor.quote(error.reason), error.problems[0].fix)
    return ProbeResult(kind, *_WORDS[kind])


def _challenge(url: HookUrl, secret: Secret, context: CallContext) -> ProbeResult:
    code = secrets.token_hex(_CODE_BYTES)
    answer = _send(url, code, context, "challenge")
    if isinstance(answer, ProbeResult):
        return answer
    result = judge_answer(answer.status, answer.body, code, _key(secret))
    if result.kind in _QUOTED and (quoted := context.redactor.quote(answer.text)):
        return replace(result, detail=f"{result.detail}: {quoted}")
    return result


def _send(url: HookUrl, code: str, context: CallContext, what: str) -> Answer | ProbeResult:
    return probe_once(_request(url.full, code), context, "receiver", f"POST {url.shown} {what}")


def _request(url: str, code: str) -> Request:
    """Make the request of a challenge: an empty POST, with the code added to whatever query is there."""
    scheme, _, rest = url.partition("#")[0].partition("://")
    netloc, tail = split_netloc(rest)
    path = quote(tail if tail.startswith("/") else f"/{tail}", _AS_IT_IS)
    _, question_mark, query = path.partition("?")
    glue = "&" if query else "" if question_mark else "?"
    return Request("POST", f"{scheme}://{netloc}", f"{path}{glue}challengeCode={code}", answer_limit=_LARGEST_ANSWER)


def _identity(target: ProbeTarget) -> tuple[str, Secret]:
    url, secret = target
    return url.full, secret


def _key(secret: Secret) -> bytes:
    return secret.reveal().encode("latin-1")
