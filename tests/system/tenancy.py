"""The tenancy for the tests of kills: its plan has steps of every kind, and it has real HTTP.

`prepare` writes the hooks file, the subscriptions in the sandbox, and the state of the run that
made most of them. `WatchedTenancy` runs commands on the tenancy in this process. It also reads the
tenancy without hooksync, and makes a record for the laws.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any, Literal

from hooksync.api.opening import connect, open_run
from hooksync.commands import plan_apply
from hooksync.commands.plan_apply import ApplyOptions, PlanOptions
from hooksync.core.clock import Clock
from hooksync.core.model import Secret, SubscriptionKey, TenancyKey, Trigger
from hooksync.sandbox import http_server
from hooksync.sandbox.faults import call_name
from hooksync.sandbox.tenancies import SandboxOptions, Subscription
from hooksync.service.http import Request, Response, RetryPolicy, Transport
from hooksync.state.fingerprints import Key, Salt, declared_digest, derive_key
from hooksync.state.format import read_state, state_text
from hooksync.state.model import Attempt, State, StateEntry, SubscriptionRecord, TenancyRecords
from tests.boxes import Sandbox
from tests.command_line import LOG_IN, PASSWORD, run_in
from tests.laws import Declared, Held, Moment, Remembered, Run, Wanted
from tests.memory_terminal import MemoryTerminal, make_context
from tests.sandbox_faults import normalised

QUICK = RetryPolicy(first_wait=0.01, longest_wait=0.05, jitter=lambda: 0.5)
TIMEOUT = 15.0  # seconds that a call may take
SIDE_BY_SIDE = 8  # calls in flight
LONGEST = 600.0  # seconds that a call may still take after hooksync has stopped waiting for it
LAG = 5.0  # seconds by which a list lags

SECRET = "s3cret-of-every-hook-0123456789abc"
OLD_SECRET = "0ld-secret-of-every-hook-0123456789"
OTHER_SECRET = "s3cret-of-somebody-else-0123456789"
HIDDEN = (SECRET, OLD_SECRET, OTHER_SECRET, PASSWORD)
OURS, THEIRS = "http://hooks.example.org", "https://vendor.example"
TENANT, TENANCY = "DEMO", "prod"  # the names in the service, and in the hooks file
TRIGGERS = ("FULL_TEXT_INDEXED", "MOVED")
SALT = Salt("env:HOOK_SECRET#73737373", "73" * 16)
URL_SALT = "75" * 16
HOOKS = """\
version: 1
defaults: {secret: {env: HOOK_SECRET}}
tenancies:
  prod:
    server: ${BOX}
    tenant: DEMO
    owns: ["http://hooks.example.org"]
    limits: {unsubscribe: 100%}
    replacement: create-first
    probe: never
    subscriptions:
      fresh: {url: "http://hooks.example.org/fresh", triggers: [INDEXED, MOVED]}
      extra: {url: "http://hooks.example.org/extra", trigger: MOVED, include_identifiers: false}
      turned: {url: "http://hooks.example.org/turned", triggers: [INDEXED, MOVED], include_identifiers: false}
      steady: {url: "http://hooks.example.org/steady", triggers: [INDEXED, MOVED]}
"""
MOVED_NAMES = """\
      left: {url: "http://hooks.example.org/right", trigger: MOVED}
      right: {url: "http://hooks.example.org/left", trigger: MOVED}
"""
SWAPPED = {"left": "right", "right": "left"}
# by the last part of a URL: the name of its subscription in the old state
FORMER_NAMES = {
    "moved-from": "turned",
    "steady": "stayed",
}

What = tuple[str, str, bool, str]  # URL, trigger, flag, secret


@dataclass(frozen=True, slots=True)
class Way:
    """How hooksync replaces subscriptions, and how the service behaves."""

    name: str
    replacement: Literal["create-first", "remove-first"] = "create-first"
    traits: frozenset[str] = frozenset()  # of the sandbox
    # whether resubscribed subscriptions have new URLs, and kept ones new names
    moves: bool = False
    lag: float = 0.0  # seconds by which the list is late


REFUSES = frozenset({"refuse-duplicates"})
NO_IDS = frozenset({"answer-without-id"})
NAMED = {
    way.name: way
    for way in (
        Way("create-first"),
        Way("remove-first", "remove-first"),
        Way("create-first, receivers move", moves=True),
        Way("answer-without-id", traits=NO_IDS),
        Way("refuse-duplicates", "remove-first", traits=REFUSES),
        Way("create-first, the list lags", lag=LAG),
        Way("remove-first, the list lags", "remove-first", lag=LAG),
        Way("create-first, receivers move, the list lags", moves=True, lag=LAG),
        Way("answer-without-id, the list lags", traits=NO_IDS, lag=LAG),
    )
}


# --- what the tenancy holds, and what it must hold in the end


def environ(url: str, proxy: str) -> dict[str, str]:
    """Return the environment of hooksync for a service at a URL, and receivers behind a proxy."""
    proxies = {"HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.1"}
    return {**LOG_IN, "HOOK_SECRET": SECRET, "BOX": url, **proxies}


def wanted(way: Way) -> Counter[What]:
    """Return the owned subscriptions that the tenancy must hold in the end."""
    steady = [(f"{OURS}/steady", trigger, True, SECRET) for trigger in TRIGGERS]
    turned = [(f"{OURS}/turned", trigger, False, SECRET) for trigger in TRIGGERS]
    fresh = [(f"{OURS}/fresh", trigger, True, SECRET) for trigger in TRIGGERS]
    extra = [(f"{OURS}/extra", "MOVED", False, SECRET)]
    swapped = [(f"{OURS}/{name}", "MOVED", True, SECRET) for name in SWAPPED if way.moves]
    return Counter([*steady, *turned, *swapped, *fresh, *extra])


def ours(live: Iterable[Subscription]) -> Counter[What]:
    return Counter(
        (one.url, one.trigger, one.include_identifiers, one.secret)
        for one in live
        if one.url.startswith(f"{OURS}/")
    )


def declared_of(way: Way) -> Declared:
    """Return what the hooks file of a way declares."""
    found = []
    for url, trigger, flag, secret in wanted(way):
        name = url.rpartition("/")[2]
        address = f"{TENANCY}/{SWAPPED.get(name, name)}/{trigger.removeprefix('FULL_TEXT_')}"
        found.append(Wanted(address, url, trigger, flag, secret))
    return Declared(
        name=TENANCY,
        tenant=TENANT,
        wanted=tuple(found),
        owns=frozenset([OURS]),
        removes_first=way.replacement == "remove-first",
        tells_flags=True,
    )


def options_of(way: Way, clock: Clock) -> SandboxOptions:
    """Return the options of the sandbox for a way."""
    return SandboxOptions(
        traits=way.traits | {"no-challenge"},
        list_lag_additions=way.lag,
        list_lag_removals=way.lag,
        clock=clock.now,
        new_id=partial(next, _ids()),
    )


def _ids() -> Iterator[str]:
    """Yield the same ids in every run, in an order that is not alphabetical."""
    for number in count():
        yield hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def prepare(way: Way, folder: Path, box: Sandbox) -> None:
    """Write the hooks file, fill the sandbox, and write the state of an earlier run."""
    hooks = HOOKS.replace("create-first", way.replacement) + (MOVED_NAMES if way.moves else "")
    (folder / "hooks.yaml").write_text(hooks, encoding="utf-8")
    state = _old_state(box.url, _seed(box, way), FORMER_NAMES if way.moves else {})
    (folder / "hooks.state.json").write_text(state_text(state), encoding="utf-8")


def _seed(box: Sandbox, way: Way) -> list[Subscription]:
    """Fill the sandbox for steps of every kind, and return the subscriptions for the state."""
    for trigger in TRIGGERS:
        # by its fingerprint in the state, hooksync finds that this secret has changed
        turned = f"{OURS}/{'moved-from' if way.moves else 'turned'}"
        box.seed(TENANT, turned, trigger, OLD_SECRET)  # resubscribed
        box.seed(TENANT, f"{OURS}/steady", trigger, SECRET)  # kept
        box.seed(TENANT, f"{OURS}/gone", trigger, OLD_SECRET)  # unsubscribed
        box.seed(TENANT, f"{THEIRS}/hook", trigger, OTHER_SECRET)  # left
    for name in SWAPPED if way.moves else ():
        box.seed(TENANT, f"{OURS}/{name}", "MOVED", SECRET)  # kept
    box.seed(TENANT, f"{OURS}/steady", "MOVED", SECRET)  # a duplicate: one must be removed
    return [one for one in box.subscriptions(TENANT) if one.url.startswith(f"{OURS}/")]


def _old_state(server: str, made: Iterable[Subscription], names: Mapping[str, str]) -> State:
    entries = []
    tenancy = TenancyKey(server, TENANT.lower())
    for one in made:
        name = one.url.rpartition("/")[2]
        address = f"{TENANCY}/{names.get(name, name)}/{one.trigger.removeprefix('FULL_TEXT_')}"
        digest = declared_digest(URL_SALT, SubscriptionKey(one.url, Trigger(one.trigger)))
        entry = StateEntry(address, 1, 0, digest, one.include_identifiers, one.id)
        entries.append(entry.made_with(key_of(one.secret), SALT, tenancy))
    return State(URL_SALT, (SALT,), (TenancyRecords(*tenancy, tuple(entries)),), serial=1)


@cache
def key_of(secret: str) -> Key:
    """Return the key of a secret with the one salt; cached, because a derivation takes 0.1 s."""
    return derive_key((Secret(secret), SALT))


def remembered(text: str, held: Collection[Held]) -> tuple[Remembered, ...]:
    """Return the records of a state, and whether each is right. `held`: the live subscriptions."""
    if not text:
        return ()
    secrets = {one.id: one.secret for one in held}
    tenancies = read_state(text, "hooks.state.json").tenancies
    return tuple(
        Remembered(
            tenancy=TENANCY,
            id=entry.id,
            address=entry.address,
            is_right=_is_right(entry, records.key, secrets.get(entry.id)),
            is_unconfirmed=not entry.fingerprint,
            flag=entry.include_identifiers,
            is_attempt=isinstance(entry, Attempt),
        )
        for records in tenancies
        for entry in records.subscriptions
        if entry.id
    )


def _is_right(entry: SubscriptionRecord, tenancy: TenancyKey, secret: str | None) -> bool | None:
    if secret is None or not entry.fingerprint:
        return None
    return entry.is_made_with(key_of(secret), tenancy)


# --- watching the tenancy


class Witness:
    """Records what the tenancy held after each call of each run. Thread-safe."""

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self._lock = threading.Lock()
        self._known: dict[str, Held] = {}
        self.moments: list[Moment] = []

    def held(self) -> tuple[Held, ...]:
        """Return what the tenancy holds now."""
        there = tuple(
            Held(
                TENANT,
                one.id,
                normalised(one.url),
                one.trigger,
                one.include_identifiers,
                one.secret,
            )
            for one in self._box.subscriptions(TENANT)
        )
        self._known |= {one.id: one for one in there}
        return there

    def network(self, name: str) -> Callable[[float, int, Mapping[str, str]], Transport]:
        """Return a function that makes the real network of a run, and records the calls."""
        return lambda *settings: _Watched(Transport(*settings), name, self)

    def note(self, name: str, request: Request, answer: Response | None) -> None:
        """Record what the tenancy holds after a call. `answer`: None if there was no answer."""
        call = call_name(http_server.IncomingRequest(request.method, request.path))
        with self._lock:
            held = self.held()
            document = _document(answer.body) if answer else None
            shown = named = None
            status = answer.status if answer else None
            if call == "list" and status == 200 and isinstance(document, list):
                shown = tuple(self._known[str(one["id"])] for one in document)
            if call == "subscribe" and status == 200 and isinstance(document, dict):
                named = str(document["id"]) if "id" in document else None
            about = request.path.rpartition("/")[2] if call == "unsubscribe" else ""
            self.moments.append(Moment(name, held, call, TENANT, status, shown, named, about))


class _Watched:
    """The real network of one run, whose calls a witness records."""

    def __init__(self, network: Transport, name: str, witness: Witness) -> None:
        self._network = network
        self._name = name
        self._witness = witness

    def send(self, request: Request) -> Response:
        answer = None
        try:
            answer = self._network.send(request)
            return answer
        finally:
            self._witness.note(self._name, request, answer)

    def close(self) -> None:
        self._network.close()


def _document(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


# --- running commands on the tenancy


@dataclass(frozen=True, slots=True)
class Came:
    """The results of a run of hooksync."""

    live: tuple[Subscription, ...]  # right after the run
    state: str  # its text right after the run
    run: Run  # the record that the laws check


class WatchedTenancy:
    """A tenancy, and the folder with its hooks file and its state."""

    def __init__(self, way: Way, box: Sandbox, clock: Clock, folder: Path, proxy: str) -> None:
        self.way = way
        self.proxy = proxy  # of the receivers
        self.box = box
        self.clock = clock
        self.folder = folder
        self.files = (str(folder / "hooks.yaml"),)
        self.witness = Witness(box)
        self._runs = 0

    def apply(self, *, replaces: bool = False) -> Came:
        """Run an apply. `replaces`: with --replace for every address."""
        options = ApplyOptions(
            self.files,
            format="json",
            is_confirmed=True,
            timeout=TIMEOUT,
            parallelism=SIDE_BY_SIDE,
            replace=("*",) if replaces else (),
        )
        return self._run(plan_apply.apply, options)

    def plan(self) -> Came:
        options = PlanOptions(
            self.files, format="json", uses_state=True, has_detailed_exit_code=True
        )
        return self._run(plan_apply.plan, options)

    def _run(self, verb: Callable[..., int], options: ApplyOptions | PlanOptions) -> Came:
        """Run a command as the command line does, but record an unexpected exception as a crash."""
        self._runs += 1
        name = f"{verb.__name__} {self._runs}"
        start = len(self.witness.moments)
        held = self.witness.held()
        known = _text(self.folder)
        environment = environ(self.box.url, self.proxy)
        network = self.witness.network(name)
        terminal = MemoryTerminal()
        context = make_context(environment, terminal=terminal, clock=self.clock)
        opening = partial(open_run, connect=partial(connect, retries=QUICK, make_transport=network))
        crash = ""
        code = 1
        try:
            code = run_in(context, verb, options, open_run=opening)
        except Exception:
            crash = traceback.format_exc()
        text = _text(self.folder)
        out = "".join(terminal.out)
        said = "\n".join(terminal.err)
        run = Run(
            name=name,
            verb=verb.__name__,
            code=code,
            tenancies=(declared_of(self.way),),
            before=held,
            moments=tuple(self.witness.moments[start:]),
            result=_document(out),
            said=f"{out}\n{said}",
            crash=crash,
            written=(text,),
            hidden=HIDDEN,
            remembered=remembered(known, held),
            remembers=remembered(text, self.witness.held()) if text else None,
        )
        return Came(self.box.subscriptions(TENANT), text, run)


def _text(folder: Path) -> str:
    """Return the text of the state; empty if there is no state."""
    path = folder / "hooks.state.json"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def wait_until_all_is_carried_out(box: Sandbox) -> None:
    """Wait for the calls that hooksync has stopped waiting for. A finished call has a status."""
    end = time.monotonic() + LONGEST
    while any(call.status is None for call in box.calls):
        if time.monotonic() > end:
            raise RuntimeError("a slow call is not through")
        time.sleep(0.01)
