"""Challenge receivers just as Preservica will, and read their answers. Touches the network; changes nothing.

No redirect is followed, no answer read beyond 64 KiB. What a receiver says is quoted only through the redactor.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from urllib.parse import quote

from hooksync.core.handshake import EVENT_PREFIX
from hooksync.core.model import HookUrl, Secret
from hooksync.core.record import Record, field, replace
from hooksync.core.url_forms import split_netloc
from hooksync.service.calling import CallContext
from hooksync.service.challenge import READY, ProbeResult, judge_answer, signed_in_disguise
from hooksync.service.http import Answer, Request
from hooksync.service.one_try import Label, probe_once
from hooksync.service.worker_pool import WorkerPool

__all__ = ["READY", "ProbeResult", "ProbeTarget", "challenge", "probe_all", "signs_events_in_disguise"]

ProbeTarget = tuple[HookUrl, Secret]

_LARGEST_ANSWER = 64 * 1024  # bytes
_CODE_BYTES = 16  # of chance in a code; written as hex
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"  # in a path and a query; other characters are percent-encoded
_DEAF = frozenset({"no-name", "no-route", "no-connection"})  # kinds that hold for every receiver of the server
_QUOTED = frozenset({"status", "not-json"})  # kinds where the receiver's own words help


def challenge(url: HookUrl, secret: Secret, line: CallContext) -> ProbeResult:
    """Challenge a receiver and judge its answer. `secret`: printable ASCII. Raises nothing that a network can cause."""
    line.redactor.learn([secret.reveal()])
    return _challenge(url, secret, line)


def probe_all(
    wanted: Iterable[ProbeTarget], pool: WorkerPool, line: CallContext, advance: Callable[[], None] = lambda: None
) -> dict[ProbeTarget, ProbeResult]:
    """Challenge each distinct URL and secret once, side by side; after a stop the rest is left out of the result.

    `advance`: called once for each that was challenged. Every wanted pair is a key, however its URL is shown.
    """
    pairs = tuple(wanted)
    distinct: dict[tuple[str, Secret], ProbeTarget] = {}
    for pair in pairs:
        distinct.setdefault(_identity(pair), pair)
    line.redactor.learn({secret.reveal() for _, secret in distinct.values()})
    prober = _Prober(line, advance)
    found = pool.run("receivers", [partial(prober.ask, pair) for pair in distinct.values()])
    readings: Mapping[tuple[str, Secret], ProbeResult | None] = dict(zip(distinct, found, strict=True))
    return {pair: reading for pair in pairs if (reading := readings[_identity(pair)]) is not None}


class _Prober(Record, frozen=True):
    """Challenges receivers, and does not wait again for a server that takes no connection."""

    line: CallContext
    advance: Callable[[], None]
    deaf: dict[str, ProbeResult] = field(default_factory=dict)  # by host and port

    def ask(self, pair: ProbeTarget) -> ProbeResult:
        server, _ = split_netloc(pair[0].full.partition("://")[2])
        try:
            reading = self.deaf.get(server) or _challenge(*pair, self.line)
        finally:
            self.advance()
        if reading.kind in _DEAF:
            self.deaf[server] = reading
        return reading


def signs_events_in_disguise(url: HookUrl, secret: Secret, line: CallContext) -> bool | None:
    """Tell whether a receiver signs a challenge code that begins as a signed event does. None: no clear answer.

    Such an answer is the valid signature of the event that the rest of the code spells. This code spells none: an event
    is a JSON object, and hex digits are not, so that what comes back is of no use even to whoever overhears it.
    """
    code = EVENT_PREFIX.decode("ascii") + secrets.token_hex(_CODE_BYTES)
    answer = _send(url, code, line, "challenge that begins as an event does")
    if isinstance(answer, ProbeResult):
        return None
    return signed_in_disguise(answer.status, answer.body, code, _key(secret))


def _challenge(url: HookUrl, secret: Secret, line: CallContext) -> ProbeResult:
    code = secrets.token_hex(_CODE_BYTES)
    answer = _send(url, code, line, "challenge")
    if isinstance(answer, ProbeResult):
        return answer
    reading = judge_answer(answer.status, answer.body, code, _key(secret))
    if reading.kind in _QUOTED and (said := line.redactor.quote(answer.text)):
        return replace(reading, detail=f"{reading.detail}: {said}")
    return reading


def _send(url: HookUrl, code: str, line: CallContext, what: str) -> Answer | ProbeResult:
    return probe_once(_request(url.full, code), Label("receiver", f"POST {url.shown} {what}"), line)


def _request(url: str, code: str) -> Request:
    """Make the request of a challenge: an empty POST, with the code added to whatever query is there."""
    scheme, _, rest = url.partition("#")[0].partition("://")
    netloc, tail = split_netloc(rest)
    path = quote(tail if tail.startswith("/") else f"/{tail}", _AS_IT_IS)
    _, question_mark, query = path.partition("?")
    glue = "&" if query else "" if question_mark else "?"
    return Request("POST", f"{scheme}://{netloc}", f"{path}{glue}challengeCode={code}", answer_limit=_LARGEST_ANSWER)


def _identity(pair: ProbeTarget) -> tuple[str, Secret]:
    url, secret = pair
    return url.full, secret


def _key(secret: Secret) -> bytes:
    return secret.reveal().encode("latin-1")
