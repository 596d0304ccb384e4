"""Answers that keep a run waiting, that are huge, that grow when they are unpacked or never end,
that are invalid, or that speak a different protocol.

Each case is a whole process of hooksync. One of its calls gets the misbehaviour instead of an
answer; the peer answers all other calls correctly.
"""

from __future__ import annotations

import json
import socket
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.attacks.peers import (
    DECLARED,
    HOOKS,
    NEVER_SHOWN,
    NOT_DECLARED,
    RECEIVER,
    UNPROBED,
    body,
    bomb,
    call_in,
    flood,
    keep_silent,
    service,
    trickle,
)
from tests.attacks.scene import steers
from tests.conftest import make_environ
from tests.measured import HOOKSYNC, Measured, finish, start
from tests.wire import Respond, Wire, answer, cutting, make_certificate

SIDE_BY_SIDE = 20  # children of one family at a time; most of them wait most of the time
MOST_MIB = 200  # of the memory of a child

# --- kinds of mischief


@dataclass(frozen=True)
class Mischief:
    """The misbehaviour of a peer instead of an answer, and the expected reaction of hooksync."""

    play: Respond
    # if a list is answered so, hooksync must print one of these; if empty, it must print no error
    said: tuple[str, ...] = ()
    is_repeated: bool = False  # if the call may be repeated, hooksync repeats it up to 4 times
    speaks_first: bool = False  # upon connection, before any request
    is_https: bool = False


_LATE, _CUT = "no complete answer within", "the connection was cut before the answer was complete"
_HUGE, _NO_JSON = "the answer is larger than", "the answer is not JSON"
_SHAPE, _INVALID = "the answer has a different shape: ", "the connection was cut"
_NO_TLS = "no connection to the server: [SSL"
_NO_CONNECTION = "no connection to the server: no answer within"

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_LIST = json.dumps([DECLARED, NOT_DECLARED]).encode()
_BOM = b"\xef\xbb\xbf"
_ODD = (
    b'[{"id": "1", "id": "2", "url": "https://h.example/", "triggerType": "MOVED", "x": NaN, "y":'
    b" 1e999}]"
)


def _lengths(*lengths: object) -> bytes:
    return _OK + "".join(f"Content-Length: {length}\r\n" for length in lengths).encode() + b"\r\n"


def _repeated(play: Respond, *said: str) -> Mischief:
    return Mischief(play, said, is_repeated=True)


def _over_tls(play: Respond, said: str, *, is_repeated: bool = False) -> Mischief:
    return Mischief(play, (said,), is_repeated, speaks_first=True, is_https=True)


_BOMBS = {
    # too much
    "10 MB": Mischief(body(b'["' + b"x" * 10_000_000 + b'"]'), (_HUGE, _SHAPE)),
    "10 MB of empty lists": Mischief(body(b"[" + b"[]," * 3_300_000 + b"[]]"), (_HUGE,)),
    "chunks without end": _repeated(flood(_CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"), _HUGE),
    "a body without end": _repeated(flood(_OK + b"\r\n", b"x" * 65536), _HUGE),
    "a chunk size without end": _repeated(flood(_CHUNKED, b"1" * 65536), _CUT),
    "a trailer without end": _repeated(
        flood(_CHUNKED + b"2\r\n[]\r\n0\r\nT: ", b"t" * 65536), _CUT
    ),
    "headers without end": _repeated(flood(_OK, b"X: y\r\n" * 1024), _CUT),
    "a header without end": _repeated(flood(_OK + b"X: ", b"y" * 65536), _CUT),
    "a status line without end": _repeated(flood(b"HTTP/1.1 200 ", b"O" * 65536), _CUT),
    "103 Early Hints without end": _repeated(
        flood(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1024), _CUT
    ),
    # compressed, although hooksync accepts only identity
    "a gzip bomb": _repeated(bomb("gzip"), _HUGE),
    "a deflate bomb": _repeated(bomb("deflate"), _HUGE),
    "a gzip bomb in gzip": _repeated(bomb("gzip", "gzip"), _HUGE),
    "six layers of gzip": _repeated(bomb(*["gzip"] * 6, size=1 << 20), _INVALID),
    "gzip that is none": _repeated(body(b"plain", "Content-Encoding: gzip"), _INVALID),
    "br that is none": Mischief(
        body(b"\x1b\x03\x00plain", "Content-Encoding: br"), (_NO_JSON, _INVALID)
    ),
}
_SLOW = {
    "silence": _repeated(keep_silent, _LATE),
    "a slow body over https": Mischief(
        trickle(_lengths(100_000), b"["), (_LATE,), is_repeated=True, is_https=True
    ),
    "a slow header": _repeated(trickle(_OK + b"X: ", b"y"), _LATE),
    "a slow body": _repeated(trickle(_lengths(100_000), b"["), _LATE),
    "slow chunks": _repeated(trickle(_CHUNKED, b"1\r\n[\r\n"), _LATE),
    "slow 100 Continues": _repeated(trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), _LATE),
    "100 Continue without end": _repeated(
        flood(b"", (b"HTTP/1.1 100 " + b"C" * 1000 + b"\r\n\r\n") * 64), _LATE
    ),
    "trailers without end": _repeated(flood(_CHUNKED + b"0\r\n", b"T: t\r\n" * 1024), _LATE),
    "a length too long, left open": _repeated(trickle(_lengths(1000) + _LIST, b""), _LATE),
}
_BROKEN = {
    # invalid or odd JSON
    "deep JSON": Mischief(body(b"[" * 100_000 + b"]" * 100_000), (_NO_JSON,)),
    "deep JSON, 60 KB": Mischief(body(b"[" * 60_000), (_NO_JSON,)),
    "a number of a million digits": Mischief(body(b"[" + b"9" * 1_000_000 + b"]"), (_NO_JSON,)),
    "NaN for an id": Mischief(
        body(b'[{"id": NaN, "url": "https://h.example", "triggerType": "M"}]'), (_NO_JSON,)
    ),
    "UTF-16": Mischief(body(_LIST.decode().encode("utf-16")), (_NO_JSON,)),
    "Latin-1": Mischief(body(b'[{"id": "\xe9"}]'), (_NO_JSON,)),
    "broken UTF-8": Mischief(body(b'[{"id": "\xc3\x28\xed\xa0\x80\xf8"}]'), (_NO_JSON,)),
    "nothing": Mischief(body(b""), (_NO_JSON,)),
    "a byte order mark": Mischief(body(_BOM + _LIST)),
    "keys twice, NaN and infinity": Mischief(body(_ODD), (_NO_JSON,)),
    # invalid HTTP
    "a length too long, cut": _repeated(cutting(_lengths(1000) + _LIST), _CUT),
    "a length too short": Mischief(cutting(_lengths(5) + _LIST), (_NO_JSON,)),
    "a negative length": Mischief(cutting(_lengths(-5) + b"[nonsense"), (_NO_JSON,)),
    "two lengths": _repeated(cutting(_lengths(3, len(_LIST)) + _LIST), _INVALID),
    "chunks that are none": _repeated(cutting(_CHUNKED + b"nonsense\r\n"), _CUT),
    "a chunk of 2^64 bytes": _repeated(cutting(_CHUNKED + b"F" * 16 + b"\r\n[]"), _CUT),
    "a negative chunk": _repeated(cutting(_CHUNKED + b"-5\r\n[]\r\n0\r\n\r\n"), _CUT),
    "HTTP/0.9": _repeated(cutting(_LIST), _CUT),
    "garbage": _repeated(cutting(bytes(range(256)) * 40), _CUT),
    "no answer": _repeated(cutting(b""), _CUT),
}
_TLS = {
    "TLS where http is spoken": _repeated(cutting(b"\x15\x03\x03\x00\x02\x02\x28"), _CUT),
    "a mail server": Mischief(
        cutting(b"220 mail.example.org ESMTP\r\n"), (_CUT,), is_repeated=True, speaks_first=True
    ),
    "http where TLS is spoken": _over_tls(cutting(answer(b"{}")), _NO_TLS),
    "TLS that is none": _over_tls(cutting(b"\x16\x03\x03\x00\x04nope"), _NO_TLS),
    "TLS that keeps silent": _over_tls(keep_silent, _NO_CONNECTION, is_repeated=True),
    "slow TLS": _over_tls(
        trickle(b"\x16\x03\x03\x40\x00", b"\x02"), _NO_CONNECTION, is_repeated=True
    ),
}
FAMILIES = {"bombs": _BOMBS, "slow bodies": _SLOW, "broken answers": _BROKEN, "TLS": _TLS}
# the other calls meet some of what may have a different result for them
_FEW = {
    "bombs": ("10 MB", "chunks without end", "a gzip bomb", "headers without end"),
    "slow bodies": ("silence",),
    "broken answers": ("deep JSON", "two lengths", "garbage"),
}


class Blunt(Wire):
    """A peer that sends its bytes upon connection, and ignores all requests."""

    def _serve(self, plain: socket.socket) -> None:
        with plain, suppress(OSError):
            self.connections += 1
            self._respond(self, plain, b"")
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(65536):
                pass


# --- playing and judging


class Case(NamedTuple):
    """One call of a command, and the mischief that answers it."""

    # "log-in", "list", "subscribe", "unsubscribe"; "receiver": the challenge of an apply; "check":
    # the challenge of a check
    call: str
    family: str
    name: str


_APPLY = ("apply", "--yes")
# by call: the command, how often it makes the call at most, and its exit code after a mischief
_COMMANDS = {
    "log-in": (("plan", "--no-state"), 5, 1),
    "list": (("plan", "--no-state"), 5, 1),
    "subscribe": (_APPLY, 2, 4),  # the change may have been made, and no list shows it
    "unsubscribe": (("remove", "--yes", NOT_DECLARED["id"]), 5, 4),
    "receiver": (_APPLY, 1, 3),
    "check": (("check",), 1, 1),
}


def cases_of(family: str) -> list[Case]:
    """Return the cases of a family. Lists, which may be the largest answers, meet all of it."""
    rest = product(set(_COMMANDS) - {"list"}, _FEW.get(family, ()))
    # only 204 and 404 are right answers to a removal: hooksync does not parse the others
    others = [
        Case(call, family, name)
        for call, name in rest
        if (call, name[:4]) != ("unsubscribe", "deep")
    ]
    return [*(Case("list", family, name) for name in FAMILIES[family]), *others]


def play(case: Case) -> tuple[Measured, int]:
    """Run hooksync against the service or the receiver of a case. Return also the number of calls
    that the mischief answered.
    """
    mischief = FAMILIES[case.family][case.name]
    is_service = case.call not in ("receiver", "check")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        live = [DECLARED, NOT_DECLARED] if case.call == "unsubscribe" else []
        certificate = make_certificate(folder, "127.0.0.1")
        scheme, tls = ("https", certificate.server) if mischief.is_https else ("http", None)
        respond = service(case.call if is_service else "", mischief.play, live)
        peer = Blunt(mischief.play) if mischief.speaks_first else Wire(respond, tls)
        box, receiver = stack.enter_context(peer), stack.enter_context(Wire(mischief.play))
        environ = {
            "BOX": f"{scheme}://127.0.0.1:{box.port}",
            "RECEIVER": RECEIVER if is_service else f"{receiver.url}/x",
            "REQUESTS_CA_BUNDLE": str(certificate.pem),
        }
        (folder / "hooks.yaml").write_text(UNPROBED if is_service else HOOKS)
        timeout = "60" if case.family in ("bombs", "broken answers") else "4"  # the others wait
        arguments = (*_COMMANDS[case.call][0], "--format", "json", "--timeout", timeout)
        measured = finish(start((*HOOKSYNC, *arguments), make_environ(**environ), folder), folder)
        calls = [call_in(request) for request in box.requests]
    return measured, calls.count(case.call) if is_service else len(receiver.requests)


def complaints(case: Case) -> list[str]:
    """Play a case, and return what is wrong."""
    mischief = FAMILIES[case.family][case.name]
    _, tries, code = _COMMANDS[case.call]
    measured, calls = play(case)
    if not mischief.is_repeated and case.call != "subscribe":
        tries = 1
    said = measured.out + measured.err
    claims = {
        f"it took {measured.mib:.0f} MiB": measured.mib < MOST_MIB,
        f"it exited with {measured.code}": measured.code == (code if mischief.said else 0),
        f"it made {calls} calls": calls <= tries,
        "its words": case.call != "list" or any(it in said for it in mischief.said or [""]),
        "its standard output is no JSON": measured.out.startswith("{"),
        "there is a traceback": "Traceback" not in said and "internal error: " not in said,
        "it steers a terminal or a CI runner": not steers(measured.err),
        "it shows a secret": not any(hidden in said for hidden in NEVER_SHOWN),
    }
    return [f"{case}: {claim}: {said}" for claim, holds in claims.items() if not holds]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_peer_that_misbehaves_costs_a_run_little_and_leads_to_one_clear_error(
    family: str,
) -> None:
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        assert [text for said in pool.map(complaints, cases_of(family)) for text in said] == []
