"""Peers that misbehave on purpose, and whole processes of hooksync measured against them.

Each case is data: one call, and the misbehaviour that replaces its answer. The peer answers all
other calls correctly.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

from tests.conftest import HIDDEN, SECRET, URL_KEY, make_environ
from tests.wire import (
    Respond,
    Wire,
    answer,
    answering_challenges,
    cutting,
    make_certificate,
    saying,
)

TOKEN, REFRESH = "t0ken-0123456789-of-the-service", "r3fresh-0123456789-of-the-service"
NEVER_SHOWN = (*HIDDEN, TOKEN, REFRESH)
RECEIVER = "https://hooks.example.org/catalogue"  # declared if a case has no challenge
TIMEOUT = 4.0  # seconds that a call may take
SIDE_BY_SIDE = 12  # children of one family at a time; most of them wait most of the time

_PATIENCE = 60.0  # seconds after which a slow peer gives up, long after hooksync should have
_PAUSE = 0.1  # seconds between two pieces
_HANG = 600.0  # seconds after which a child is killed
# bytes of address space: a child that needs more fails, instead of the machine
_MOST_MEMORY = 4 * 1024**3
_MIB = 1024 * 1024
_LITTLE = 40  # MiB that any child may need beyond a run without mischief

HOOKS = """\
version: 1
tenancies:
  prod:
    server: ${BOX}
    tenant: DEMO
    probe: require
    owns: all
    subscriptions:
      catalogue:
        url: ${RECEIVER}?code=${FN_KEY}
        trigger: MOVED
        secret: {env: CATALOGUE_SECRET}
"""
UNPROBED = HOOKS.replace("probe: require", "probe: never")
DECLARED = {"id": "0" * 31 + "1", "url": f"{RECEIVER}?code={URL_KEY}", "triggerType": "MOVED"}
NOT_DECLARED = {"id": "0" * 31 + "2", "url": "https://old.example.org/hook", "triggerType": "MOVED"}

# --- ways to misbehave


def body(data: bytes, *headers: str) -> Respond:
    return saying(answer(data, "200 OK", *headers))


def raw(data: bytes) -> Respond:
    return cutting(data)


def flood(start: bytes, piece: bytes) -> Respond:
    """Send a piece again and again, until hooksync closes the connection."""

    def respond(wire: Wire, connection: socket.socket, __: bytes) -> bool:
        connection.sendall(start)
        while not wire.stopping.is_set():
            connection.sendall(piece)
        return False

    return respond


def trickle(start: bytes, piece: bytes) -> Respond:
    """Send a piece now and then. If hooksync still waits after `_PATIENCE`, cut the connection: then
    hooksync reports the cut, and not that it was too slow.
    """

    def respond(wire: Wire, connection: socket.socket, _: bytes) -> None:
        connection.sendall(start)
        for _ in range(int(_PATIENCE / _PAUSE)):
            if wire.stopping.wait(_PAUSE):
                break
            connection.sendall(piece)

    return respond


def bomb(*layers: str, size: int = 1 << 28) -> Respond:
    """Send a list with `size` bytes of spaces in it, compressed once for each layer."""
    headers = ("Content-Type: application/json", f"Content-Encoding: {', '.join(layers)}")

    def respond(wire: Wire, connection: socket.socket, request: bytes) -> object:
        packed = answer(_compressed(layers, size), "200 OK", *headers)
        return saying(packed)(wire, connection, request)

    return respond


@functools.cache
def _compressed(layers: Sequence[str], size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31 if layers[0] == "gzip" else 15)
    spaces = b" " * _MIB
    packed = packer.compress(b"[") + b"".join(packer.compress(spaces) for _ in range(size // _MIB))
    packed += packer.compress(b"]") + packer.flush()
    for _ in layers[1:]:
        packed = gzip.compress(packed)
    return packed


def _keep_silent(wire: Wire, _: socket.socket, __: bytes) -> None:
    wire.stopping.wait(_PATIENCE)


answer_well = answering_challenges(SECRET)


# --- kinds of mischief


@dataclass(frozen=True)
class Mischief:
    """The misbehaviour of a peer instead of an answer, and the expected reaction of hooksync."""

    play: Respond
    said: tuple[str, ...] = ()  # hooksync must print one of these; if empty, it must print no error
    is_repeated: bool = False  # if the call may be repeated, hooksync repeats it up to 4 times
    speaks_first: bool = False  # upon connection, before any request
    mib: int = _LITTLE  # that a child may need beyond a run without mischief


_LATE, _CUT = "no complete answer within", "the connection was cut before the answer was complete"
_HUGE, _NO_JSON = "the answer is larger than", "the answer is not JSON"
_SHAPE, _HEAD, _ENCODING = (
    "the answer has a different shape: ",
    "the connection was cut",
    "the connection was cut",
)
_INTERIM = "cut before the answer was complete"
_NO_TLS = "no TLS connection to the server could be made"

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


def _large(play: Respond, mib: int = _LITTLE) -> Mischief:
    """Return a mischief that sends more than hooksync reads.

    The limit of size or the limit of time is reached first, depending on the machine.
    """
    return Mischief(play, (_HUGE, _LATE), is_repeated=True, mib=mib)


_BOMBS = {
    # too much
    "10 MB": Mischief(body(b'["' + b"x" * 10_000_000 + b'"]'), (_HUGE, _SHAPE)),
    "10 MB of empty lists": Mischief(body(b"[" + b"[]," * 3_300_000 + b"[]]"), (_HUGE,), mib=80),
    "chunks without end": _large(flood(_CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"), 80),
    "a body without end": _large(flood(_OK + b"\r\n", b"x" * 65536), 80),
    "100 Continue without end": _large(flood(b"", b"HTTP/1.1 100 " + b"C" * 1000 + b"\r\n\r\n")),
    "trailers without end": _large(flood(_CHUNKED + b"0\r\n", b"T: t\r\n" * 1024)),
    "a chunk size without end": _repeated(flood(_CHUNKED, b"1" * 65536), _CUT),
    "a trailer without end": _repeated(
        flood(_CHUNKED + b"2\r\n[]\r\n0\r\nT: ", b"t" * 65536), _CUT
    ),
    "headers without end": _repeated(flood(_OK, b"X: y\r\n" * 1024), _CUT),
    "a header without end": _repeated(flood(_OK + b"X: ", b"y" * 65536), _CUT),
    "a status line without end": _repeated(flood(b"HTTP/1.1 200 ", b"O" * 65536), _CUT),
    "103 Early Hints without end": _repeated(
        flood(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1024), _INTERIM
    ),
    # compressed, although hooksync accepts only identity
    "a gzip bomb": _large(bomb("gzip"), 80),
    "a deflate bomb": _large(bomb("deflate"), 80),
    "a gzip bomb in gzip": _large(bomb("gzip", "gzip"), 80),
    "six layers of gzip": _repeated(bomb(*["gzip"] * 6, size=_MIB), _ENCODING),
    "gzip that is none": _repeated(body(b"plain", "Content-Encoding: gzip"), _ENCODING),
    "br that is none": Mischief(
        body(b"\x1b\x03\x00plain", "Content-Encoding: br"), (_NO_JSON, _ENCODING)
    ),
}
_SLOW = {
    "silence": _repeated(_keep_silent, _LATE),
    "a slow header": _repeated(trickle(_OK + b"X: ", b"y"), _LATE),
    "a slow body": _repeated(trickle(_lengths(100_000), b"["), _LATE),
    "slow chunks": _repeated(trickle(_CHUNKED, b"1\r\n[\r\n"), _LATE),
    "slow 100 Continues": _repeated(trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), _LATE),
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
    "a length too long, cut": _repeated(raw(_lengths(1000) + _LIST), _CUT),
    "a length too short": Mischief(raw(_lengths(5) + _LIST), (_NO_JSON,)),
    "a negative length": Mischief(raw(_lengths(-5) + b"[nonsense"), (_NO_JSON,)),
    "two lengths": _repeated(raw(_lengths(3, len(_LIST)) + _LIST), _HEAD),
    "chunks that are none": _repeated(raw(_CHUNKED + b"nonsense\r\n"), _CUT),
    "a chunk of 2^64 bytes": _repeated(raw(_CHUNKED + b"F" * 16 + b"\r\n[]"), _CUT),
    "a negative chunk": _repeated(raw(_CHUNKED + b"-5\r\n[]\r\n0\r\n\r\n"), _CUT),
    "HTTP/0.9": _repeated(raw(_LIST), _CUT),
    "garbage": _repeated(raw(bytes(range(256)) * 40), _CUT),
    "no answer": _repeated(raw(b""), _CUT),
}
_TLS = {
    "TLS where http is spoken": _repeated(raw(b"\x15\x03\x03\x00\x02\x02\x28"), _CUT),
    "a mail server": Mischief(
        raw(b"220 mail.example.org ESMTP\r\n"), (_CUT,), is_repeated=True, speaks_first=True
    ),
    "http where TLS is spoken": Mischief(raw(answer(b"{}")), (_NO_TLS,), speaks_first=True),
    "TLS that is none": Mischief(raw(b"\x16\x03\x03\x00\x04nope"), (_NO_TLS,), speaks_first=True),
    "TLS that keeps silent": Mischief(
        _keep_silent,
        ("no connection to the server within",),
        is_repeated=True,
        speaks_first=True,
    ),
    "slow TLS": Mischief(
        trickle(b"\x16\x03\x03\x40\x00", b"\x02"),
        ("no connection to the server within",),
        is_repeated=True,
        speaks_first=True,
    ),
}
_HARMLESS = {
    "all is well": Mischief(answer_well),
    "an empty list": Mischief(body(b"[]")),
}
FAMILIES = {
    "bombs": _BOMBS,
    "slow bodies": _SLOW,
    "broken answers": _BROKEN,
    "TLS": _TLS,
}
MISCHIEFS = {
    name: mischief
    for family in (*FAMILIES.values(), _HARMLESS)
    for name, mischief in family.items()
}

# Messages about a receiver, if they differ from those about the service.
_OF_A_RECEIVER = {
    **dict.fromkeys((_NO_JSON, _SHAPE), "its answer is not JSON"),
}

# Messages about the answer to a subscribe, if they differ.
_OF_A_SUCCESS = dict.fromkeys((_NO_JSON, _SHAPE), "the response has no new id")

# Messages about the answer to a log-in, if they differ.
_OF_A_LOG_IN = dict.fromkeys((_NO_JSON, _SHAPE), "the answer contains no token")

# --- the cases


@dataclass(frozen=True)
class Case:
    """One call, the mischief that answers it, and the expected result."""

    # "log-in", "list", "subscribe", "unsubscribe"; "receiver": the challenge of an apply; "check":
    # the challenge of a check
    call: str
    name: str  # of the mischief
    code: int
    said: tuple[str, ...]
    tries: int  # of the call, at most
    mib: int  # that the child may need beyond a run without mischief
    is_https: bool = False

    def columns(self) -> tuple[str, str]:
        """Return the columns by which `covering` chooses cases."""
        return self.call, self.name

    def __str__(self) -> str:
        return f"{self.call}: {self.name}{' over https' if self.is_https else ''}"


_TRIES = {"log-in": 5, "list": 5, "subscribe": 2, "unsubscribe": 5, "receiver": 1, "check": 1}


def _cases(call: str, *names: str, is_https: bool = False) -> Iterator[Case]:
    for name in names:
        mischief = MISCHIEFS[name]
        is_lost = mischief.is_repeated or call == "subscribe"
        said = mischief.said
        if call in ("receiver", "check"):
            said = tuple(_OF_A_RECEIVER.get(each, each) for each in said)
        elif call == "subscribe":  # any 2xx without an error in it is a success (design 5)
            said = tuple(_OF_A_SUCCESS.get(each, each) for each in said)
        elif call == "log-in":
            said = tuple(_OF_A_LOG_IN.get(each, each) for each in said)
        elif call == "unsubscribe" and not is_lost:
            said = (*said, "-> 200: ")  # only 204 and 404 are right answers
        code = 0 if not said else 3 if call == "receiver" else 1
        if call in ("subscribe", "unsubscribe") and (_HUGE in said or is_lost):
            code = 4  # the change may have been made, and no list shows it
        # hooksync reads 1 MiB of other answers, and 64 KiB of a receiver's answer
        mib = mischief.mib if call == "list" else _LITTLE
        yield Case(call, name, code, said, _TRIES[call] if is_lost else 1, mib, is_https)


def _all_cases() -> Iterator[Case]:
    """Yield the cases. Lists, which may be the largest answers, meet nearly every mischief.

    The other calls meet each mischief that may have a different result for them.
    """
    of_others = {
        "trailers without end",
        "100 Continue without end",
        "deep JSON, 60 KB",
        "all is well",
    }
    over_tls = {name for name in MISCHIEFS if "TLS" in name} - {"TLS where http is spoken"}
    yield from _cases("list", *(name for name in MISCHIEFS if name not in of_others | over_tls))
    yield from _cases("list", *sorted(over_tls), "a slow body", is_https=True)
    large = ("10 MB", "chunks without end", "a gzip bomb")
    odd = ("deep JSON, 60 KB", "broken UTF-8", "nothing", "two lengths", "garbage")
    endless_heads = ("100 Continue without end", "headers without end", "a header without end")
    yield from _cases("log-in", *large, *endless_heads, *odd, "silence", "trailers without end")
    yield from _cases("subscribe", *large, *odd, "silence", "a slow body", "a length too short")
    yield from _cases("unsubscribe", *large, "two lengths", "garbage", "silence")
    yield from _cases("receiver", *large, *endless_heads, *odd, "a gzip bomb in gzip")
    yield from _cases("receiver", "silence", "a slow header", "a slow body", "all is well")
    yield from _cases("check", "chunks without end", "silence", "garbage")


CASES = tuple(_all_cases())


def cases_of(family: str) -> list[Case]:
    """Return the cases of a family of attacks."""
    return [case for case in CASES if case.name in FAMILIES[family]]


# --- playing the cases


@dataclass(frozen=True)
class Measured:
    """The measured result of a child."""

    mib: float  # the peak of its resident memory
    code: int
    out: str
    err: str
    requests: tuple[bytes, ...] = ()  # that the service got
    challenges: tuple[bytes, ...] = ()  # that the receiver got

    @property
    def said(self) -> str:
        return self.out + self.err


# A small process between the tests and the child. On Linux, the peak of a child includes the size
# of the process that starts it. The small process ignores signals. The child gets them too, and
# reacts.
_LAUNCHER = """
import contextlib, json, os, resource, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: None)
with contextlib.suppress(OSError, ValueError):  # not every system bounds it
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)
child = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[3:]], os.environ)
_, status, usage = os.wait4(child, 0)
found = {"code": os.waitstatus_to_exitcode(status), "peak": usage.ru_maxrss}
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
"""


def start(
    arguments: Sequence[str], environ: dict[str, str], folder: Path
) -> subprocess.Popen[bytes]:
    """Start a command whose memory `finish` returns.

    The command and its launcher are a process group.
    """
    measuring = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        _LAUNCHER,
        str(folder / "usage.json"),
        str(_MOST_MEMORY),
    ]
    return subprocess.Popen(
        [*measuring, "-m", "hooksync", *arguments],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes], folder: Path) -> Measured:
    """Wait for the end of a command that `start` started, or kill it after `_HANG` seconds."""
    with process:
        try:
            out, err = process.communicate(timeout=_HANG)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            return Measured(
                0.0, -signal.SIGKILL, out.decode(), f"it had to be ended\n{err.decode()}"
            )
    found = json.loads((folder / "usage.json").read_text())
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes
    mib = found["peak"] * unit / _MIB
    return Measured(mib, found["code"], out.decode("utf-8"), err.decode("utf-8"))


class Blunt(Wire):
    """A peer that sends its bytes upon connection, and ignores all requests."""

    def _serve(self, plain: socket.socket) -> None:
        with plain, suppress(OSError):
            self.connections += 1
            self._respond(self, plain, b"")
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(65536):
                pass


def service(call: str, misbehave: Respond, live: Sequence[Mapping[str, object]] = ()) -> Respond:
    """Answer all calls but one correctly, as a service that keeps its subscriptions."""
    held = {str(one["id"]): one for one in live}

    def respond(wire: Wire, connection: socket.socket, request: bytes) -> object:
        name = call_in(request)
        if name == call:
            return misbehave(wire, connection, request)
        match name:
            case "log-in":
                said = answer(
                    json.dumps({"success": True, "token": TOKEN, "refresh-token": REFRESH}).encode()
                )
            case "list":
                said = answer(json.dumps(list(held.values())).encode())
            case "subscribe":
                wanted = json.loads(request.partition(b"\r\n\r\n")[2])
                made = {
                    "id": f"{len(held) + 3:032}",
                    "url": wanted["url"],
                    "triggerType": wanted["triggerType"],
                }
                held[made["id"]] = made
                said = answer(json.dumps(made).encode())
            case "unsubscribe":
                held.pop(unquote(request.split(b" ")[1].rpartition(b"/")[2].decode("ascii")), None)
                said = answer(b"", "204 No Content")
            case _:
                said = answer(b"{}", "404 Not Found")
        connection.sendall(said)
        return True

    return respond


def call_in(request: bytes) -> str:
    method, path, _ = request.split(b" ", 2)
    if path.startswith(b"/api/accesstoken/"):
        return "log-in"
    if path.startswith(b"/api/webhook/subscriptions"):
        return {b"GET": "list", b"POST": "subscribe", b"DELETE": "unsubscribe"}.get(method, "other")
    return "other"


_OF_SERVICES = ("log-in", "list", "subscribe", "unsubscribe")
_APPLY = ("apply", "--yes")
_COMMANDS = {
    "log-in": ("plan", "--no-state"),
    "list": ("plan", "--no-state"),
    "subscribe": _APPLY,
    "unsubscribe": ("remove", "--yes", NOT_DECLARED["id"]),
    "receiver": _APPLY,
    "check": ("check",),
}


def play(case: Case) -> Measured:
    """Run hooksync against the service or the receiver of a case."""
    mischief = MISCHIEFS[case.name]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        is_service = case.call in _OF_SERVICES
        live = [DECLARED, NOT_DECLARED] if case.call == "unsubscribe" else []
        environ: dict[str, str] = {}
        tls = None
        if case.is_https:
            certificate = make_certificate(folder, "127.0.0.1")
            environ["REQUESTS_CA_BUNDLE"], tls = str(certificate.pem), certificate.server
        if mischief.speaks_first:
            box: Wire = stack.enter_context(Blunt(mischief.play))
        else:
            box = stack.enter_context(
                Wire(service(case.call if is_service else "", mischief.play, live), tls)
            )
        receiver = None if is_service else stack.enter_context(Wire(mischief.play))
        scheme = "https" if case.is_https else "http"
        environ |= {
            "BOX": f"{scheme}://127.0.0.1:{box.port}",
            "RECEIVER": f"{receiver.url}/x" if receiver else RECEIVER,
        }
        (folder / "hooks.yaml").write_text(UNPROBED if is_service else HOOKS)
        arguments = (*_COMMANDS[case.call], "--format", "json", "--timeout", f"{TIMEOUT:g}")
        measured = finish(start(arguments, make_environ(**environ), folder), folder)
        asked = tuple(receiver.requests) if receiver else ()
        return replace(
            measured,
            requests=tuple(box.requests),
            challenges=asked,
        )


# --- judging the results


def complaints(case: Case, measured: Measured, at_rest: float) -> list[str]:
    """Return all complaints about a result.

    `at_rest`: the MiB that the same command needs without mischief.
    """
    more = measured.mib - at_rest
    calls = measured.challenges if case.call in ("receiver", "check") else measured.requests
    tried = (
        sum(call_in(request) == case.call for request in calls)
        if case.call in _OF_SERVICES
        else len(calls)
    )
    claims = {
        f"it took {more:.0f} MiB more than at rest, and may take {case.mib}": more <= case.mib,
        f"it exited with {measured.code}, not {case.code}": measured.code == case.code,
        f"it tried {tried} times, and may {case.tries} times": tried <= case.tries,
        f"it said none of {case.said}": (
            not case.said or any(said in measured.said for said in case.said)
        ),
        "it said something of an error": bool(case.said) or "error" not in measured.err,
        "its standard output is no JSON": _is_json(measured.out),
        "there is a traceback": "Traceback" not in measured.err and "Exception" not in measured.err,
        "it meets what no code is made for": "internal error: " not in measured.err,
        "its standard error steers a terminal or a CI runner": is_inert(measured.err),
        "a receiver that is not ready was subscribed": (
            case.call != "receiver"
            or (not case.code)
            == any(call_in(request) == "subscribe" for request in measured.requests)
        ),
    }
    shown = [f"it shows {hidden}" for hidden in NEVER_SHOWN if hidden in measured.said]
    return [claim for claim, holds in claims.items() if not holds] + shown


def is_inert(text: str) -> bool:
    """Return whether a text contains no command to a terminal or a CI runner."""
    return all(
        line.isprintable() and not line.startswith("::") and "##[" not in line
        for line in text.split("\n")
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


AT_REST = {
    **dict.fromkeys(("log-in", "list"), Case("list", "an empty list", 0, (), 1, 0)),
    **dict.fromkeys(
        ("subscribe", "unsubscribe", "receiver"), Case("receiver", "all is well", 0, (), 1, 0)
    ),
    "check": Case("check", "all is well", 0, (), 1, 0),
}
