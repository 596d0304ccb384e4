"""The simulated parts: the service with its late calls, the clock, the network, the terminal, and
the death of a process.

The mishaps of a command state everything that goes wrong. Only the order of tasks is random, from
the seed. The service is the sandbox's own, called as a function.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from hooksync.core.errors import AnswerLost, ServiceError, StateError
from hooksync.core.model import Secret
from hooksync.receiver import sign_challenge
from hooksync.receivers import http_server
from hooksync.sandbox.faults import call_name
from hooksync.sandbox.tenancies import TOKEN_HEADER, Account, SandboxOptions, Subscription
from hooksync.service.http import Request, Response
from hooksync.service.worker_pool import T, WorkerPool
from hooksync.state.fingerprints import Key, Salt
from tests.laws import SOMEBODY_ELSE, Held, Moment, Place
from tests.memory_terminal import MemoryTerminal
from tests.sandbox_faults import OddRules, normalised

if TYPE_CHECKING:
    from tests.simulation.history import Mishap

BEGINNING = 1_800_000_000.0  # seconds since 1970
CALL_SECONDS = 0.05
TIMEOUT = 30.0  # seconds that a process waits for an answer
MOST_CALLS = 2000  # of one process; more calls and waits count as an endless loop
USERNAME, PASSWORD = "archivist@example.org", "canary-of-the-password-0123456789"
SERVER = "https://sim.preservica.example"
spelt = lru_cache(maxsize=4096)(normalised)


class Killed(BaseException):
    """The process was killed."""


def cheap_key(wanted: tuple[Secret, Salt]) -> Key:
    """Return a key made by one HMAC, because scrypt takes 0.1 s."""
    secret, salt = wanted
    return Key(hmac.digest(salt.salt.encode(), secret.reveal().encode(), hashlib.sha256))


class Pool(WorkerPool):
    """Runs tasks one by one in the calling thread, in a random order, and starts no thread."""

    chance = random.Random(0)

    def run(self, tasks: Sequence[Callable[[], T]]) -> list[T | None]:
        results: list[T | None] = [None for _ in tasks]
        failure: BaseException | None = None
        for number in self.chance.sample(range(len(tasks)), len(tasks)):
            try:
                if not self._stop.is_set():
                    results[number] = tasks[number]()
            except BaseException as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return results


@dataclass(slots=True)
class LateCall:
    """A call that the service carries out after the process has stopped waiting for it."""

    request: http_server.IncomingRequest
    by: str
    tenant: str
    due: float  # on the clock
    calls: int  # so many further calls come first


class Service:
    """The tenancies, and everything that has happened to them."""

    def __init__(
        self,
        traits: Sequence[str],
        tenants: Sequence[str],
        lag_additions: float,
        lag_removals: float,
    ) -> None:
        self.time = BEGINNING
        self.traits = frozenset({*traits, "no-challenge"})
        self.ids = 0
        options = SandboxOptions(
            (Account(USERNAME, PASSWORD, tuple(tenants)),),
            self.traits,
            new_id=self._new_id,
            list_lag_additions=lag_additions,
            list_lag_removals=lag_removals,
            clock=self.now,
        )
        self.rules = OddRules(options, lambda url, secret: None)
        self.tenants = tuple(tenants)
        self.there: tuple[Held, ...] = ()
        self.is_changed = True  # since `there` was looked up
        self.moments: list[Moment] = []
        self.late: list[LateCall] = []
        self.calls = 0
        self.tokens: dict[str, str] = {}  # tenants by token

    def now(self) -> float:
        return self.time

    def _new_id(self) -> str:
        """Return the next id. Like random ids, these do not sort in the order of their creation."""
        self.ids += 1
        return hashlib.md5(str(self.ids).encode(), usedforsecurity=False).hexdigest()

    def held(self) -> tuple[Held, ...]:
        """Return the subscriptions that the service really holds."""
        if self.is_changed:
            self.there = tuple(
                _held(tenant, one) for tenant in self.tenants for one in self.rules.held_by(tenant)
            )
            self.is_changed = False
        return self.there

    def answer(self, request: http_server.IncomingRequest) -> http_server.Reply:
        """Carry a call out, and return the answer."""
        self.is_changed |= request.method != "GET"
        answer = self.rules.answer(request)
        if answer.status == 200 and request.path.startswith("/api/accesstoken"):
            document = json.loads(answer.body)
            self.tokens[document["token"]] = request.form()["tenant"]
        return answer

    def tenant_of(self, request: http_server.IncomingRequest) -> str:
        return self.tokens.get(request.headers.get(TOKEN_HEADER, ""), "")

    def shown(self, tenant: str) -> tuple[Held, ...]:
        """Return the subscriptions that a list shows now."""
        return tuple(_held(tenant, one) for one in self.rules.listed_for(tenant))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and carry out the late calls that fall due."""
        end = self.time + seconds
        while due := [it for it in self.late if it.due <= end and it.calls <= 0]:
            first = min(due, key=lambda it: it.due)
            self.late.remove(first)
            self.time = max(self.time, first.due)
            self._carry_out_late(first)
        self.time = end

    def count_call(self) -> None:
        """Count a call, and let its time pass."""
        self.calls += 1
        for it in self.late:
            it.calls -= 1
        self.pass_time(CALL_SECONDS)

    def carry_out_all_that_is_late(self) -> None:
        for it in list(self.late):
            self._carry_out_late(it)
        self.late.clear()

    def _carry_out_late(self, it: LateCall) -> None:
        self.answer(it.request)
        self.moments.append(
            Moment(it.by, self.held(), call_name(it.request), it.tenant, is_late=True)
        )

    def change(self, do: Callable[[], object]) -> None:
        """Make a change by hand. A change that the service refuses does not happen."""
        try:
            do()
        except http_server.Refusal:
            return
        self.is_changed = True
        self.moments.append(Moment(SOMEBODY_ELSE, self.held()))


@lru_cache(maxsize=4096)
def _held(tenant: str, one: Subscription) -> Held:
    return Held(tenant, one.id, spelt(one.url), one.trigger, one.include_identifiers, one.secret)


@dataclass(slots=True)
class Process(MemoryTerminal):
    """One process of hooksync with its clock, network, disk and terminal, and with its mishaps."""

    name: str
    service: Service
    mishaps: tuple[Mishap, ...] = ()
    act: Callable[[object], None] = lambda act: None  # lets others do something
    # the secrets that are declared for a receiver
    receivers: Callable[[str], Collection[str]] = lambda url: ()
    stop: Event = field(default_factory=Event)
    is_dead: bool = False
    is_cut_off: bool = False  # from a remote state
    meets_a_bug: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    faults: int = 0  # mishaps that happened
    trace: list[str] = field(default_factory=list)

    def can_ask(self) -> bool:
        return True

    def ask(self, question: str, expected: str = "yes") -> bool:
        return not self.stop.is_set()

    # the clock

    def now(self) -> float:
        return self.service.time

    def monotonic(self) -> float:
        return self.service.time

    def jitter(self) -> float:
        return 0.5

    def wait(self, stop: Event, seconds: float) -> bool:
        self.live()
        if not stop.is_set():
            self.counts["wait"] += 1
            self.service.pass_time(max(0.0, seconds))
        return stop.is_set()

    # the network

    def send(self, request: Request) -> Response:
        """Make one call, with its mishaps."""
        self.live()
        if not request.url.startswith(SERVER):
            return self._challenge(request)
        self.counts["any"] += 1
        if self.counts["any"] + self.counts["wait"] > MOST_CALLS:
            raise RuntimeError(f"{self.name} does not end")
        self.service.count_call()
        call = http_server.IncomingRequest(
            request.method,
            request.url.removeprefix(SERVER),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=request.body or b"",
        )
        name, tenant = call_name(call), self.service.tenant_of(call)
        fault = self._befalls(name)
        self.live()
        answer = self._carry_out(call, name, tenant, fault)
        self.trace.append(f"{call.method} {call.path} {tenant} -> {answer.status}")
        return answer

    def close(self) -> None:
        pass

    def live(self) -> None:
        """Raise Killed if the process is dead."""
        if self.is_dead:
            raise Killed

    def _befalls(self, name: str) -> Mishap | None:
        """Let others act just before the call, and return the fault of the call itself."""
        total, number = self.counts["any"] - 1, self.counts[name]
        self.counts[name] += 1
        fault = None
        for mishap in self.mishaps:
            place = {"any": total, name: number}.get(mishap.call, -1)
            if not mishap.nth <= place < mishap.nth + mishap.times:
                continue
            self.faults += 1
            self.trace.append(f"befalls {name}: {mishap.kind} {mishap.number:g}")
            if mishap.kind == "act":
                self.service.pass_time(mishap.number)  # this process is paused
                self.act(mishap.act)
            elif mishap.kind == "stop":
                self.stop.set()
            else:
                fault = mishap
        return fault

    def _carry_out(
        self, call: http_server.IncomingRequest, name: str, tenant: str, fault: Mishap | None
    ) -> Response:
        """Carry a call out as far as its fault allows, and record what the service then holds."""
        kind = fault.kind if fault else ""
        number = fault.number if fault else 0
        is_done = kind in CARRIED_OUT
        if kind == "expired":
            self.service.rules.expired.add(call.headers.get(TOKEN_HEADER, ""))
        answer = None
        if is_done:
            answer = self.service.answer(call)
        if answer is None and kind == "lie-gone" and name != "unsubscribe":
            answer = self.service.answer(call)
        result = self._result(kind, number, answer, call.body)
        # any 2xx to a subscribe is a success, whatever its body is
        is_success = name == "subscribe" and kind in ("garbage", "portal", "empty")
        is_heard = isinstance(result, Response) and (is_success or kind not in UNHEARD)
        named = None
        if name == "subscribe" and answer and is_heard and result.status == 200:
            named = _named(result.body)
        shown = (
            self.service.shown(tenant)
            if name == "list" and is_heard and result.status == 200 and answer
            else None
        )
        status = result.status if is_heard else None
        if name in ("list", "subscribe", "unsubscribe"):
            about = call.path.rpartition("/")[2] if name == "unsubscribe" else ""
            asked = _asked(call.body) if name == "subscribe" else None
            held = self.service.held()
            self.service.moments.append(
                Moment(self.name, held, name, tenant, status, shown, named, about, asked)
            )
        if kind in ("late", "late-calls"):
            due, calls = (self.now() + number, 0) if kind == "late" else (self.now(), int(number))
            self.service.late.append(LateCall(call, self.name, tenant, due, calls))
        if kind in ("killed", "commit-killed"):
            self.is_dead = True
            raise Killed
        if kind in ("bug", "commit-bug"):
            self.meets_a_bug = True
            raise MemoryError(PASSWORD)  # its text must not be shown
        if kind in ("slow", "late"):
            self.service.pass_time(TIMEOUT)
        if isinstance(result, Exception):
            self.trace.append(f"{call.method} {call.path} {tenant} -> {type(result).__name__}")
            raise result
        return result

    def _result(
        self, kind: str, number: float, answer: http_server.Reply | None, sent: bytes
    ) -> Response | Exception:
        """Return the answer that a process gets, or the error that its network raises instead."""
        match kind:
            case "cut" | "commit-cut" | "late-calls":
                return AnswerLost(
                    "the connection was cut before the answer was complete", "try again"
                )
            case "slow" | "late":
                return AnswerLost("no complete answer in time", "try again", "time-out")
            case "unreachable":
                return ServiceError("the server refuses connections", "try again", "not-sent")
            case "status" | "commit-status":
                headers = {"Retry-After": "3"} if number in (429, 503) else {}
                return Response(int(number), b'{"message": "the simulation says no"}', headers)
            case "echo":
                # without quotes, so that nothing looks like a JSON field
                return Response(400, b"cannot take " + sent.replace(b'"', b""))
            case "garbage":
                return Response(200, b"<html>this is a portal</html>")
            case "portal":
                return Response(200, b"<html>log in here first</html>")
            case "empty":
                return Response(200, b"")
            case "wrong-shape":
                return Response(200, b'{"message": "done"}')
            case "lie-gone" if answer is None:
                return Response(204, b"")
        return Response(answer.status, answer.body) if answer else Response(500, b"")

    def _challenge(self, request: Request) -> Response:
        """Answer as a receiver with the declared secret, or with 503 unless there is one secret."""
        parts = urlsplit(request.url)
        [code] = parse_qs(parts.query)["challengeCode"]
        secrets = self.receivers(spelt(f"{parts.scheme}://{parts.netloc}{parts.path}"))
        if len(secrets) != 1:
            return Response(503, b"")
        [only] = secrets
        response = sign_challenge(only.encode(), code.encode())
        return Response(
            200, json.dumps({"challengeCode": code, "challengeResponse": response}).encode()
        )

    # the disk

    def reach(self) -> None:
        """Reach a remote state. Raises StateError if the network does not allow that."""
        self.live()
        self.service.pass_time(CALL_SECONDS)
        if self.is_cut_off:
            raise StateError("the state cannot be reached", "try again")

    def write(self, write: Callable[[], None]) -> None:
        """Write the state. A mishap may prevent that, kill the process or lose the answer."""
        self.live()
        number = self.counts["write"]
        self.counts["write"] += 1
        [*fatal] = [it for it in self.mishaps if (it.call, it.nth) == ("write", number)]
        if fatal:
            self.faults += 1
            self.trace.append(f"befalls a write: {fatal[0].kind}")
        kind = fatal[0].kind if fatal else ""
        if kind in ("", "commit-killed", "commit-cut", "commit-cut-off"):
            write()
        if kind in ("killed", "commit-killed"):
            self.is_dead = True
            raise Killed
        if kind:
            self.is_cut_off = kind in ("cut-off", "commit-cut-off")
            raise StateError("the answer about the state is lost", "try again")


CARRIED_OUT = frozenset(
    {"", "commit-cut", "slow", "commit-status", "garbage", "expired", "commit-killed", "commit-bug"}
)
UNHEARD = frozenset({"killed", "commit-killed", "garbage", "portal", "empty", "bug", "commit-bug"})


def _asked(body: bytes) -> Place:
    """Return what a call asks the service to make."""
    asked = json.loads(body)
    return spelt(asked["url"]), asked["triggerType"]


def _named(body: bytes) -> str | None:
    """Return the id in an answer, or None."""
    if not body.startswith(b"{"):
        return None
    identifier = json.loads(body).get("id")
    return None if identifier is None else str(identifier)
