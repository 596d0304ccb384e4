"""What every cell of the fault matrix begins with, and what is to be there at its end.

A tenancy that asks for steps of every kind, the hooks file for it, and the state of the run that made most of it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from itertools import count
from pathlib import Path

from hooksync.core.clock import SYSTEM_CLOCK, Clock
from hooksync.core.model import Secret, SubscriptionKey, Trigger
from hooksync.sandbox.tenancies import SandboxOptions, Subscription, normalised
from hooksync.state.fingerprints import Key, Salt, declared_digest, fingerprint, stretch
from hooksync.state.format import state_text
from hooksync.state.model import State, StateEntry
from tests.boxes import Sandbox
from tests.command_line import LOG_IN, PASSWORD
from tests.faults.table import Way
from tests.laws import Place

SECRET = "s3cret-of-every-hook-0123456789abc"
OLD_SECRET = "0ld-secret-of-every-hook-0123456789"
OTHER_SECRET = "s3cret-of-somebody-else-0123456789"
HIDDEN = (SECRET, OLD_SECRET, OTHER_SECRET, PASSWORD)
OURS, THEIRS = "https://hooks.example.org", "https://vendor.example"
SPELT_OTHERWISE = "https://Hooks.Example.org:443"
TENANT = "DEMO"
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
    owns: ["https://hooks.example.org"]
    limits: {unsubscribe: 100%}
    replacement: create-first
    subscriptions:
      fresh: {url: "https://hooks.example.org/fresh", triggers: [INDEXED, MOVED]}
      extra: {url: "https://hooks.example.org/extra", trigger: MOVED, include_identifiers: false}
      turned: {url: "https://hooks.example.org/turned", triggers: [INDEXED, MOVED], include_identifiers: false}
      steady: {url: "https://hooks.example.org/steady", triggers: [INDEXED, MOVED]}
"""

MOVED_NAMES = """\
      left: {url: "https://hooks.example.org/right", trigger: MOVED}
      right: {url: "https://hooks.example.org/left", trigger: MOVED}
"""
SWAPPED = {"left": "right", "right": "left"}
FORMER_NAMES = {"moved-from": "turned", "steady": "stayed"}  # what the state calls what was made at a URL

What = tuple[str, str, bool, str]  # URL, trigger, flag, secret


def hooks(way: Way) -> str:
    """Write the hooks file."""
    text = HOOKS.replace("create-first", way.replacement)
    if "normalise-urls" in way.traits:
        text = text.replace(f'url: "{OURS}', f'url: "{SPELT_OTHERWISE}')
    if way.moves:
        text += MOVED_NAMES
    if not way.subscribes:
        text = "".join(line for line in text.splitlines(True) if not line.strip().startswith(("fresh:", "extra:")))
    return text


def environ(url: str) -> dict[str, str]:
    """The environment of hooksync, for a service at a URL."""
    return {**LOG_IN, "HOOK_SECRET": SECRET, "BOX": url}


def wanted(way: Way) -> Counter[What]:
    """What is to be there at the end, of what is ours."""
    steady = [(f"{OURS}/steady", trigger, True, SECRET) for trigger in TRIGGERS]
    turned = [(f"{OURS}/turned", trigger, False, SECRET) for trigger in TRIGGERS]
    fresh = [(f"{OURS}/fresh", trigger, True, SECRET) for trigger in TRIGGERS]
    extra = [(f"{OURS}/extra", "MOVED", False, SECRET)]
    swapped = [(f"{OURS}/{name}", "MOVED", True, SECRET) for name in SWAPPED if way.moves]
    return Counter([*steady, *turned, *swapped, *(fresh + extra if way.subscribes else [])])


def declared_places(way: Way) -> dict[str, Place]:
    """What the hooks file declares, by address."""

    def address(url: str, trigger: str) -> str:
        name = url.rpartition("/")[2]
        return f"prod/{SWAPPED.get(name, name)}/{trigger.removeprefix('FULL_TEXT_')}"

    return {address(url, trigger): (url, trigger) for url, trigger, *_ in wanted(way)}


def what(one: Subscription) -> What:
    return one.url, one.trigger, one.include_identifiers, one.secret


def ours(live: Iterable[Subscription]) -> Counter[What]:
    return Counter(what(one) for one in live if one.url.startswith(f"{OURS}/"))


def theirs(live: Iterable[Subscription]) -> list[Subscription]:
    return [one for one in live if not one.url.startswith(f"{OURS}/")]


def same_url(shown: str) -> str:
    """Give a URL of a report as the sandbox would hold it in the one spelling that is compared here."""
    return normalised(shown)


def options_of(way: Way, data: Path, clock: Clock = SYSTEM_CLOCK) -> SandboxOptions:
    """How the sandbox is to be."""
    return SandboxOptions(
        traits=way.traits | {"no-challenge"},
        data=data,
        list_lag_additions=way.additions,
        list_lag_removals=way.removals,
        token_seconds=86_400.0,
        clock=clock.now,
        new_id=partial(next, _ids(is_later=data.exists())),
    )


def _ids(*, is_later: bool) -> Iterator[str]:
    """Give the same ids in every run, in an order that is not that of their text. `is_later`: after those seeded."""
    for number in count(1000 * is_later):
        yield hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def prepare(way: Way, folder: Path) -> None:
    """Write the hooks file, what the sandbox holds, and the state."""
    (folder / "hooks.yaml").write_text(hooks(way), encoding="utf-8")
    with Sandbox(options_of(way, folder / "held.json")) as box:
        made = list(_seed(box, way))
    if way.uses_state:
        names = FORMER_NAMES if way.moves else {}
        state = _old_state(made, names)
        (folder / "hooks.state.json").write_text(state_text(state), encoding="utf-8")


def _seed(box: Sandbox, way: Way) -> Iterator[Subscription]:
    """Hold what asks for every kind of step; give what the state is to know."""
    for trigger in TRIGGERS:
        # the state tells of one that its secret has changed; of the other, and without a state, the flag must tell
        flag = (trigger != "MOVED" or not way.uses_state or way.edits_flag) and not way.siblings
        turned = f"{OURS}/{'moved-from' if way.moves else 'turned'}"
        secret = SECRET if way.edits_flag else OLD_SECRET
        box.seed(TENANT, turned, trigger, secret, include_identifiers=flag)  # resubscribed
        box.seed(TENANT, f"{OURS}/steady", trigger, SECRET)  # kept
        box.seed(TENANT, f"{OURS}/gone", trigger, OLD_SECRET)  # unsubscribed
        box.seed(TENANT, f"{THEIRS}/hook", trigger, OTHER_SECRET)  # left
    for name in SWAPPED if way.moves else ():
        box.seed(TENANT, f"{OURS}/{name}", "MOVED", SECRET)  # kept
    made = box.subscriptions(TENANT)
    if way.has_duplicates:
        box.seed(TENANT, f"{OURS}/steady", "MOVED", SECRET)  # one of the two is to go
    if way.has_duplicates and way.refuses_duplicates:
        box.seed(TENANT, f"{OURS}/turned", "MOVED", OLD_SECRET)  # both are to go
    for one in made:
        is_unknown = way.siblings and (one.url, one.trigger) == (f"{OURS}/turned", "MOVED")
        if one.url.startswith(f"{OURS}/") and not is_unknown:
            yield one


def _old_state(made: Iterable[Subscription], names: Mapping[str, str]) -> State:
    entries = []
    for one in made:
        name = one.url.rpartition("/")[2]
        address = f"prod/{names.get(name, name)}/{one.trigger.removeprefix('FULL_TEXT_')}"
        mark = fingerprint(key_of(one.secret), "prod", one.id)
        digest = declared_digest(URL_SALT, SubscriptionKey(one.url, Trigger(one.trigger)))
        flag = one.include_identifiers
        entries.append(StateEntry("prod", address, 1, SALT.id, mark, digest, id=one.id, include_identifiers=flag))
    return State(1, URL_SALT, (SALT,), tuple(entries))


@cache
def key_of(secret: str) -> Key:
    """Stretch a secret under the one salt; once in a process, for it costs 0.1 s."""
    return stretch((Secret(secret), SALT))
