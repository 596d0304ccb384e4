"""Kill many runs of hooksync at random moments, and check what they and the next runs leave.

    python -m tests.system.kills --number 500 --seed 1

Each kill has its own sandbox tenancy over real HTTP, and its plan has steps of every kind. A
process applies this plan. Shortly after some of its calls, it gets SIGKILL, SIGTERM, SIGINT or
SIGHUP. The record of the run must break no law of `tests.laws`. Then one apply must settle
everything, and the last plan must find every secret unchanged. The program prints figures, and
exits with 1 if any check fails.
"""

from __future__ import annotations

import argparse
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
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hooksync.state.attempts import open_attempts
from hooksync.state.format import read_state
from tests.boxes import Sandbox
from tests.command_line import ROOT, hooksync
from tests.laws import IDLE, SETTLED, Run, broken_by
from tests.system.tenancy import NAMED, SECRET, Killable, options_of, ours, prepare, wanted
from tests.wire import Wire, answering_challenges

SIGNALS = {  # with the exit code of a run that handles the signal; None: no run can handle it
    getattr(signal, "SIGKILL", signal.SIGABRT): None,
    signal.SIGTERM: 143,
    signal.SIGINT: 130,
    getattr(signal, "SIGHUP", signal.SIGABRT): 143,
}
WAYS = tuple(NAMED)
LATENCY = 0.02  # seconds
CALLS = 20  # about as many as a whole apply makes
# the longest delay of a signal after a call, in seconds: LONG covers the derivation of keys and a
# write of the state, SHORT the time between two calls
LONG, SHORT = (
    0.3,
    0.03,
)
OURS = "cli/main.py"  # in every traceback that begins in hooksync itself


@dataclass(frozen=True, slots=True)
class Kill:
    """How one process is killed."""

    number: int
    way: str
    signal: signal.Signals
    calls: int  # that the process makes before the signal
    delay: float  # seconds from the last of these calls to the signal

    def __str__(self) -> str:
        return (
            f"kill {self.number}: {self.way}, {self.signal.name} {self.delay:.3f} s after call"
            f" {self.calls}"
        )


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
    way = NAMED[kill.way]
    with (
        tempfile.TemporaryDirectory() as name,
        Sandbox(options_of(way)) as box,
        Wire(answering_challenges(SECRET)) as proxy,
    ):
        folder = Path(name)
        box.latency = LATENCY
        prepare(way, folder, box)
        tenancy = Killable(way, box, folder, proxy.url)
        run = _kill(kill, tenancy)
        broken = [f"{law}: {how}" for law, how in broken_by(run)]
        broken += _broken_code(kill, run, folder, has_called=bool(box.calls))
        if not broken:
            broken += _settle(tenancy)
    changes = len(set(run.before) ^ set(run.after))
    code = run.code if run.code is not None else -kill.signal
    return Killed(kill, code, changes, tuple(broken))


def _kill(kill: Kill, tenancy: Killable) -> Run:
    """Start a process, watch it, kill it, and return the record that the laws check."""
    box, before = tenancy.box, (tenancy.held(), tenancy.state)
    command = [sys.executable, "-m", "hooksync", "apply", "--yes", "--format", "json"]
    command += ["--parallelism", "2", "--report", "report.json"]
    moments = [tenancy.look("apply")]
    with subprocess.Popen(
        command,
        cwd=tenancy.folder,
        env={**tenancy.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        calls = 0
        while calls < kill.calls and process.poll() is None:
            calls = len(box.calls)
            moments.append(tenancy.look("apply"))
            time.sleep(0.0005)
        time.sleep(kill.delay)
        process.send_signal(kill.signal)
        out, err = process.communicate()
    while any(call.status is None for call in box.calls):
        time.sleep(0.01)  # hooksync has stopped waiting for these calls
    moments.append(tenancy.look("apply"))
    # false if Python itself was still starting
    has_begun = bool(box.calls) or OURS in err or "Traceback" not in err
    code = process.returncode if has_begun and process.returncode >= 0 else None
    return tenancy.record("apply", code, out, err, before, moments)


def _broken_code(kill: Kill, run: Run, folder: Path, *, has_called: bool) -> Iterator[str]:
    """Yield what is wrong with the exit code, a traceback, or the report that the run wrote."""
    if "Traceback" in run.said and OURS in run.said:
        yield f"it shows a traceback: {run.said[-600:]}"
    expected = SIGNALS[kill.signal]
    # whether Python was still starting, or already ending
    is_outside = not has_called or (folder / "report.json").exists()
    if run.code not in (0, expected) and not (run.code is None and is_outside):
        yield f"it ends with {run.code}, not {expected}: {run.said[-400:]}"
    if (
        run.result is not None
        and json.loads((folder / "report.json").read_text(encoding="utf-8")) != run.result
    ):
        yield "the report that it wrote is another than the one that it shows"


def _settle(tenancy: Killable) -> list[str]:
    """Apply twice more and plan, and return what is wrong. Only the first may make changes.

    If responses have no ids, nothing proves what a killed run made: that takes one --replace.
    """
    replacing = ("--replace", "*") if "answer-without-id" in tenancy.way.traits else ()
    broken = []
    for name, arguments in (
        ("apply that settles", ("apply", "--yes", *replacing)),
        ("apply after it", ("apply", "--yes")),
        ("plan after both", ("plan", "--detailed-exitcode")),
    ):
        before, calls = (tenancy.held(), tenancy.state), len(tenancy.box.calls)
        done = hooksync([*arguments, "--format", "json"], tenancy.environ, tenancy.folder)
        run = tenancy.record(name, done.code, done.out, done.err, before, [tenancy.look(name)])
        is_first = name == "apply that settles"
        for law, how in broken_by(run, SETTLED if is_first else IDLE):
            broken.append(f"{name}: {law}: {how}")
        changing = {call.name for call in tenancy.box.calls[calls:]} - {"login", "list"}
        if changing and not is_first:
            broken.append(f"{name}: it makes calls to {changing}")
    if ours(tenancy.box.subscriptions("DEMO")) != wanted(tenancy.way):
        broken.append("the next run does not leave what is declared")
    shown = {one.id for one in run.after}
    for records in read_state(tenancy.state, "the state").tenancies:
        if open_attempts(records, shown):
            broken.append("attempts are still open")
    steps = [step for step in run.steps("prod") if step["action"] == "keep"]
    if {step["secret"] for step in steps} != {"same"}:
        broken.append("a secret is unknown in the end")
    return broken


def figures(results: Sequence[Killed]) -> str:
    """Return the results as figures. A negative end is the number of the signal that caused it."""
    lines = [f"{len(results)} kills, {sum(bool(one.broken) for one in results)} broken"]
    counted = {
        "signals": Counter(one.kill.signal.name for one in results),
        "ends": Counter(str(one.code) for one in results),
        "ways": Counter(one.kill.way for one in results),
    }
    for what, counts in counted.items():
        lines += [f"{what}: {', '.join(f'{number} {name}' for name, number in counts.items())}"]
    lines += [
        f"in the middle of its changes: {sum(one.is_in_between for one in results)}",
        f"before the first change: {sum(one.changes == 0 for one in results)}",
    ]
    lines += [f"broken: {one.kill}: {text}" for one in results for text in one.broken]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out the kills in parallel, and print the results."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.system.kills", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--number", type=int, default=500, help="how many are killed (default: 500)"
    )
    parser.add_argument(
        "--seed", default="hooksync", help="chooses the moments (default: hooksync)"
    )
    parser.add_argument("--only", type=int, metavar="N", help="only the kill of this number")
    args = parser.parse_args(argv)
    kills = [kill for kill in draw(args.number, args.seed) if args.only in (None, kill.number)]
    processes = 2 * (os.cpu_count() or 1)
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        results = list(pool.map(carry_out, kills))
    sys.stdout.write(f"seed {args.seed}: {figures(results)}\n")
    return int(any(one.broken for one in results))


if __name__ == "__main__":
    sys.exit(main())
