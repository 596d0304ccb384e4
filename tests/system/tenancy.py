"""The tenancy for the tests of kills: its plan has steps of every kind, and it has real HTTP.

`prepare` writes the hooks file, the subscriptions in the sandbox, and the state of the run that
made most of them. `Killable` reads the tenancy without hooksync, and records runs for the laws.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Literal

from hooksync.core.model import Secret, SubscriptionKey, TenancyKey, Trigger
from hooksync.sandbox.tenancies import SandboxOptions, Subscription
from hooksync.state.fingerprints import Key, Salt, derive_key, identity_digest
from hooksync.state.format import read_state, state_text
from hooksync.state.model import Attempt, State, StateEntry, SubscriptionRecord, TenancyRecords
from tests.boxes import Sandbox
from tests.command_line import PASSWORD
from tests.conftest import make_environ
from tests.laws import Declared, Held, Moment, Remembered, Run, Wanted
from tests.sandbox_faults import normalised

LAG = 0.4  # seconds by which a list lags: short, because all runs wait in real time

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


def options_of(way: Way) -> SandboxOptions:
    """Return the options of the sandbox for a way."""
    return SandboxOptions(
        traits=way.traits | {"no-challenge"},
        list_lag_additions=way.lag,
        list_lag_removals=way.lag,
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
        digest = identity_digest(URL_SALT, SubscriptionKey(one.url, Trigger(one.trigger)))
        entry = StateEntry(
            address, 1, 0, digest, {"include_identifiers": one.include_identifiers}, one.id
        )
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
            flag=entry.content["include_identifiers"],
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


@dataclass(frozen=True)
class Killable:
    """The tenancy in a sandbox, and the folder with its hooks file and its state."""

    way: Way
    box: Sandbox
    folder: Path
    proxy: str  # of the receivers

    @property
    def environ(self) -> dict[str, str]:
        proxies = {"HTTP_PROXY": self.proxy, "NO_PROXY": "127.0.0.1"}
        given = {"HOOK_SECRET": SECRET, "BOX": self.box.url, "HOOKSYNC_LIST_WAIT": "30"}
        return make_environ(**given, **proxies)

    @property
    def state(self) -> str:
        return (self.folder / "hooks.state.json").read_text(encoding="utf-8")

    def held(self) -> tuple[Held, ...]:
        """Return what the tenancy holds now."""
        return tuple(
            Held(
                TENANT,
                one.id,
                normalised(one.url),
                one.trigger,
                one.include_identifiers,
                one.secret,
            )
            for one in self.box.subscriptions(TENANT)
        )

    def look(self, name: str) -> Moment:
        """Return what the tenancy holds after some calls of a run. A run that ends has seen what is
        held, because it waits for a list that lags.
        """
        held = self.held()
        has_listed = any(call.name == "list" for call in self.box.calls)
        return Moment(name, held, "a call", TENANT, shown=held if has_listed else None)

    def record(
        self,
        name: str,
        code: int | None,
        out: str,
        err: str,
        before: tuple[tuple[Held, ...], str],
        moments: Iterable[Moment],
    ) -> Run:
        """Return the record of a run. `before`: the subscriptions and the state at its start."""
        document = json.loads(out) if code is not None and out else {}
        held, text = before
        return Run(
            name=name,
            verb=name.partition(" ")[0],
            code=code,
            tenancies=(declared_of(self.way),),
            before=held,
            moments=tuple(moments),
            result=document if "tenancies" in document else None,
            said=out + err,
            written=(self.state,),
            hidden=HIDDEN,
            is_interrupted=code in (130, 143),
            remembered=remembered(text, held),
            remembers=remembered(self.state, self.held()),
        )
