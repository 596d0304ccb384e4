"""Watches a tenancy past hooksync, and makes of what was seen the record that the laws are asked of."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping

from hooksync.sandbox import http_server
from hooksync.sandbox.faults import call_name
from hooksync.service.http import Answer, Request, Transport
from hooksync.state.format import read_state
from tests.boxes import Sandbox
from tests.faults.scene import OURS, TENANT, declared_places, key_of, same_url, wanted
from tests.faults.table import Way
from tests.laws import Declared, Held, Moment, Remembered, Wanted

TENANCY = "prod"  # its name in the hooks file


class Witness:
    """What the tenancy held after each call of each run. Thread-safe."""

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self._lock = threading.Lock()
        self._known: dict[str, Held] = {}
        self.moments: list[Moment] = []

    def held(self) -> tuple[Held, ...]:
        """Return what the tenancy holds now."""
        there = tuple(
            Held(TENANT, one.id, same_url(one.url), one.trigger, one.include_identifiers, one.secret)
            for one in self._box.subscriptions(TENANT)
        )
        self._known |= {one.id: one for one in there}
        return there

    def network(self, name: str, environ: Mapping[str, str]) -> Callable[[float, int], Transport]:
        """Return what makes the real network of a run of this name, and watches it."""
        return lambda timeout, connections: _Watched(Transport(timeout, connections, environ), name, self)

    def note(self, name: str, request: Request, answer: Answer | None) -> None:
        """Keep what is held after a call. `answer`: None where there was none."""
        call = call_name(http_server.Request(request.method, request.path))
        with self._lock:
            held = self.held()
            document = _document(answer)
            shown = named = None
            status = answer.status if answer else None
            if call == "list" and status == 200 and isinstance(document, list):
                is_whole = all(isinstance(one, dict) for one in document)
                shown = tuple(self._known[str(one["id"])] for one in document) if is_whole else None
            if call == "subscribe" and status == 200:
                status = status if isinstance(document, dict) else None  # an answer that makes no sense
                named = str(document["id"]) if isinstance(document, dict) and "id" in document else None
            about = request.path.rpartition("/")[2] if call == "unsubscribe" else ""
            self.moments.append(Moment(name, held, call, TENANT, status, shown, named, about))


class _Watched:
    """The real network of one run."""

    def __init__(self, network: Transport, name: str, witness: Witness) -> None:
        self._network = network
        self._name = name
        self._witness = witness

    def send(self, request: Request) -> Answer:
        answer = None
        try:
            answer = self._network.send(request)
            return answer
        finally:
            self._witness.note(self._name, request, answer)

    def close(self) -> None:
        self._network.close()


def _document(answer: Answer | None) -> object:
    try:
        return json.loads(answer.body) if answer else None
    except ValueError:
        return None


def declared_of(way: Way, *, may_conflict: bool) -> Declared:
    """Return what the hooks file of a way declares. `may_conflict`: whether the service may refuse a second one."""
    contents = {(url, trigger): (flag, secret) for url, trigger, flag, secret in wanted(way)}
    return Declared(
        name=TENANCY,
        tenant=TENANT,
        wanted=tuple(Wanted(address, *place, *contents[place]) for address, place in declared_places(way).items()),
        owns=frozenset([OURS]),
        removes_first=way.replacement == "remove-first",
        may_conflict=may_conflict,
        tells_flags="minimal-list" not in way.traits,
    )


def remembered(text: str, held: Collection[Held]) -> tuple[Remembered, ...]:
    """Read what a state says, and whether it is so. `held`: what is there."""
    if not text:
        return ()
    secrets = {one.id: one.secret for one in held}
    return tuple(
        Remembered(
            tenancy=entry.tenancy,
            id=entry.id,
            address=entry.address,
            is_right=entry.is_made_with(key_of(secrets[entry.id])) if entry.id in secrets else None,
            is_found=entry.is_found,
            flag=entry.include_identifiers,
        )
        for entry in read_state(text, "hooks.state.json").entries
    )
