"""Kill many runs of hooksync at random moments, and check what they and the next runs leave.

    python -m tests.system.kills --number 500 --seed 1

Each kill has its own sandbox tenancy over real HTTP, and its plan has steps of every kind. A
process applies this plan. Shortly after some of its calls, it gets SIGKILL, SIGTERM, SIGINT or
SIGHUP. Then one apply must settle everything: live is as declared, the vendor's subscriptions are
untouched, and a second apply has nothing to do. The simulation checks the laws of killed runs, also
with lists that lag. The program prints figures, and exits with 1 if any check fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Literal

from hooksync.core.model import Secret, SubscriptionKey, TenancyKey, Trigger
from hooksync.sandbox.tenancies import SandboxOptions, Subscription
from hooksync.state.fingerprints import Salt, derive_key, identity_digest
from hooksync.state.format import read_state, state_text
from hooksync.state.history import open_attempts
from hooksync.state.model import State, StateEntry, TenancyRecords
from tests.boxes import Sandbox
from tests.command_line import PASSWORD, ROOT, hooksync
from tests.conftest import make_environ
from tests.wire import Wire, answering_challenges

SIGNALS = {  # with the exit code of a run that handles the signal; None: no run can handle it
    signal.SIGKILL: None,
    signal.SIGTERM: 143,
    signal.SIGINT: 130,
    signal.SIGHUP: 143,
}
LATENCY = 0.02  # seconds
CALLS = 20  # about as many as a whole apply makes
# the longest delay of a signal after a call, in seconds: LONG covers the derivation of keys and a
# write of the state, SHORT the time between two calls
LONG, SHORT = 0.3, 0.03
OUR_PROGRAM = "cli/main.py"  # in every traceback that begins in hooksync itself

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
What = tuple[str, str, bool, str]  # URL, trigger, flag, secret


@dataclass(frozen=True, slots=True)
class Way:
    """How hooksync replaces subscriptions, and how the service behaves."""

    replacement: Literal["create-first", "remove-first"] = "create-first"
    trait: str = "no-challenge"  # of the sandbox


WAYS = {
    "create-first": Way(),
    "remove-first": Way("remove-first"),
    "answer-without-id": Way(trait="answer-without-id"),
    "refuse-duplicates": Way("remove-first", "refuse-duplicates"),
}


@dataclass(frozen=True, slots=True)
class Kill:
    """How one process is killed."""

    number: int
    way: str
    signal: signal.Signals
    calls: int  # that the process makes before the signal
    delay: float  # seconds from the last of these calls to the signal

    def __str__(self) -> str:
        moment = f"{self.signal.name} {self.delay:.3f} s after call {self.calls}"
        return f"kill {self.number}: {self.way}, {moment}"


@dataclass(frozen=True, slots=True)
class Killed:
    """The result of a kill."""

    kill: Kill
    code: int  # negative: the number of the signal that ended the process
    changes: int  # subscriptions that the process made or removed
    broken: tuple[str, ...]

    @property
    def is_in_between(self) -> bool:
        """Whether the process ended after some of its changes, but not all."""
        return self.code != 0 and self.changes > 0


def draw(number: int, seed: object) -> list[Kill]:
    """Return `number` kills, spread over all ways and signals."""
    chance = random.Random(f"kills {seed}")
    pairs = [(way, each) for way in WAYS for each in SIGNALS]
    chance.shuffle(pairs)
    kills = []
    for index in range(number):
        way, each = pairs[index % len(pairs)]
        calls = chance.randrange(CALLS)
        delay = chance.uniform(0, LONG if calls <= 2 or chance.random() < 0.2 else SHORT)
        kills.append(Kill(index, way, each, calls, delay))
    return kills


def carry_out(kill: Kill) -> Killed:
    """Kill a process during its apply, check it and the next runs, and return the result."""
    way = WAYS[kill.way]
    with (
        tempfile.TemporaryDirectory() as name,
        Sandbox(_options(way)) as box,
        Wire(answering_challenges(SECRET)) as receivers,  # reached as a proxy
    ):
        folder = Path(name)
        proxies = {"HTTP_PROXY": receivers.url, "NO_PROXY": "127.0.0.1"}
        given = {"HOOK_SECRET": SECRET, "BOX": box.url, "HOOKSYNC_LIST_WAIT": "30"}
        environ = make_environ(**given, **proxies)
        box.latency = LATENCY
        _prepare(way, folder, box)
        before = box.subscriptions(TENANT)
        code, said = _kill(kill, folder, environ, box)
        changes = {one.id for one in before} ^ {one.id for one in box.subscriptions(TENANT)}
        # whether Python was still starting, or already ending
        is_outside = not box.calls or (folder / "report.json").exists()
        broken = []
        if "Traceback" in said and OUR_PROGRAM in said:
            broken.append(f"it shows a traceback: {said[-600:]}")
        elif code not in (0, SIGNALS[kill.signal] or -kill.signal) and not is_outside:
            broken.append(f"it ends with {code}: {said[-400:]}")
        texts = [said, *(path.read_text(encoding="utf-8") for path in folder.glob("*.json"))]
        broken += [f"it shows {hidden}" for hidden in HIDDEN if hidden in "".join(texts)]
        broken += _settle(way, folder, environ, box)
        if _theirs(box) != [one for one in before if one.url.startswith(THEIRS)]:
            broken.append("a subscription of the vendor has changed")
    return Killed(kill, code, len(changes), tuple(broken))


def _kill(kill: Kill, folder: Path, environ: dict[str, str], box: Sandbox) -> tuple[int, str]:
    """Start an apply, kill it, and return its exit code and its output."""
    command = [sys.executable, "-m", "hooksync", "apply", "--yes", "--parallelism", "2"]
    with subprocess.Popen(
        [*command, "--report", "report.json"],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        while len(box.calls) < kill.calls and process.poll() is None:
            time.sleep(0.0005)
        time.sleep(kill.delay)
        process.send_signal(kill.signal)
        said, _ = process.communicate()
    while any(call.status is None for call in box.calls):
        time.sleep(0.01)  # hooksync has stopped waiting for these calls
    return process.returncode, said


def _settle(way: Way, folder: Path, environ: dict[str, str], box: Sandbox) -> list[str]:
    """Apply twice more and plan, and return what is wrong. Only the first may make changes.

    If responses have no ids, nothing proves what a killed run made: that takes one --replace. With
    remove-first, what nothing proves is replaced only after a review.
    """
    replacing = ("--replace", "*") if way.trait == "answer-without-id" else ()
    if way.replacement == "remove-first":
        hooksync(["apply", "--yes"], environ, folder)
        hooksync(["plan", "--out", "plan.json"], environ, folder)
        hooksync(["apply", "plan.json"], environ, folder)
    broken = []
    for name, arguments in (
        ("apply that settles", ("apply", "--yes", *replacing)),
        ("apply after it", ("apply", "--yes")),
        ("plan after both", ("plan", "--detailed-exitcode")),
    ):
        calls = len(box.calls)
        done = hooksync([*arguments, "--format", "json"], environ, folder)
        if done.code != 0:
            broken.append(f"{name}: it ends with {done.code}: {done.err[-400:]}")
        changing = {call.name for call in box.calls[calls:]} - {"login", "list"}
        if changing and name != "apply that settles":
            broken.append(f"{name}: it makes calls to {changing}")
    held = box.subscriptions(TENANT)
    if _ours(held) != _wanted(way):
        broken.append("the next run does not leave what is declared")
    secrets = {step["secret"] for step in done.steps if step["action"] == "keep"}
    if secrets != {"same"}:
        broken.append("a secret is unknown in the end")
    state = read_state((folder / "hooks.state.json").read_text(encoding="utf-8"), "the state")
    shown = {one.id for one in held}
    if any(open_attempts(records, shown) for records in state.tenancies):
        broken.append("attempts are still open")
    return broken


# --- the tenancy


def _wanted(way: Way) -> Counter[What]:
    """Return the owned subscriptions that the tenancy must hold in the end."""
    wanted = Counter[What]([(f"{OURS}/extra", "MOVED", False, SECRET)])
    for trigger in TRIGGERS:
        wanted[f"{OURS}/steady", trigger, True, SECRET] = 1
        wanted[f"{OURS}/turned", trigger, False, SECRET] = 1
        wanted[f"{OURS}/fresh", trigger, True, SECRET] = 1
    return wanted


def _ours(held: Iterable[Subscription]) -> Counter[What]:
    return Counter(
        (one.url, one.trigger, one.include_identifiers, one.secret)
        for one in held
        if one.url.startswith(OURS)
    )


def _theirs(box: Sandbox) -> list[Subscription]:
    return [one for one in box.subscriptions(TENANT) if one.url.startswith(THEIRS)]


def _options(way: Way) -> SandboxOptions:
    return SandboxOptions(
        traits=frozenset({way.trait, "no-challenge"}),
        new_id=partial(next, _ids()),
    )


def _ids() -> Iterator[str]:
    """Yield the same ids in every run, in an order that is not alphabetical."""
    for number in count():
        yield hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def _prepare(way: Way, folder: Path, box: Sandbox) -> None:
    """Write the hooks file, fill the sandbox for steps of every kind, and write the state of the
    run that made most of it.
    """
    hooks = HOOKS.replace("create-first", way.replacement)
    (folder / "hooks.yaml").write_text(hooks, encoding="utf-8")
    for trigger in TRIGGERS:
        # by its fingerprint in the state, hooksync finds that this secret has changed
        box.seed(TENANT, f"{OURS}/turned", trigger, OLD_SECRET)  # resubscribed
        box.seed(TENANT, f"{OURS}/steady", trigger, SECRET)  # kept
        box.seed(TENANT, f"{OURS}/gone", trigger, OLD_SECRET)  # unsubscribed
        box.seed(TENANT, f"{THEIRS}/hook", trigger, OTHER_SECRET)  # left
    box.seed(TENANT, f"{OURS}/steady", "MOVED", SECRET)  # a duplicate: one must be removed
    key = TenancyKey(box.url, TENANT.lower())
    entries = []
    for one in box.subscriptions(TENANT):
        name = one.url.rpartition("/")[2]
        if one.url.startswith(OURS):
            digest = identity_digest(URL_SALT, SubscriptionKey(one.url, Trigger(one.trigger)))
            address = f"{TENANCY}/{name}/{one.trigger.removeprefix('FULL_TEXT_')}"
            flag = {"include_identifiers": one.include_identifiers}
            entry = StateEntry(address, 1, 0, digest, flag, one.id)
            entries.append(entry.made_with(derive_key((Secret(one.secret), SALT)), SALT, key))
    state = State(URL_SALT, (SALT,), (TenancyRecords(*key, tuple(entries)),), serial=1)
    (folder / "hooks.state.json").write_text(state_text(state), encoding="utf-8")


# --- the campaign


def main() -> int:
    """Carry out the kills in parallel, and print the results."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.kills")
    parser.add_argument("--number", type=int, default=500, help="how many are killed")
    parser.add_argument("--seed", default="hooksync", help="chooses the moments")
    args = parser.parse_args()
    processes = 2 * (os.cpu_count() or 1)
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(carry_out, draw(args.number, args.seed)))
    broken = [f"broken: {one.kill}: {text}" for one in results for text in one.broken]
    figures = {
        "kills": len(results),
        "in the middle of its changes": sum(one.is_in_between for one in results),
        "before the first change": sum(one.changes == 0 for one in results),
        "ends": dict(Counter(one.code for one in results)),
    }
    sys.stdout.write(f"seed {args.seed}: {json.dumps(figures)}\n" + "\n".join(broken))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
