"""`python -m tests.bench`: measure, and write the table of docs/internals/performance.md to
standard output.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

from hooksync import __version__
from tests.bench.measure import (
    Figure,
    compare_cpu,
    growth,
    interleave,
    median_cpu,
    run,
)
from tests.bench.workload import (
    TENANT,
    secrets_of,
    start_box,
    write_hooks,
    write_list,
    write_many,
)
from tests.measured import HOOKSYNC, Measured

LIBRARIES = ("PyYAML", "jsonschema", "requests", "urllib3", "deepdiff")

# start-up: a command | its floor | the limit, as a multiple
SMALL = 3  # subscriptions
COMMANDS = {
    "--version": ("pass", 1.45),
    "validate": ("import yaml, jsonschema", 0.65),
    "plan --no-state": ("import yaml, jsonschema, requests", 0.88),
}

# a plan of n declared and n live subscriptions: flags | its limits, as a multiple and in MiB
LARGE = 10_000
WAYS = {
    "text": ("--no-state", 2.5, 78),
    "as JSON": ("--no-state --format json", 3.0, 95),
    "saved": ("--no-state --out plan.json", 3.2, 95),
    "with a state": ("--state the.state.json", 3.8, 100),
}
LEAST = "the least work"
LINEAR = 1.1  # the largest exponent that counts as linear

# an apply over a network
COUNT, LATENCY, IN_FLIGHT = 600, 0.05, 16
OTHER_CALLS = 3  # log in, list, and the verification

# many tenancies in one file, with the usual number of calls in flight
TENANCIES, EACH, USUAL = (40, 200, 1_000), 5, 8
JUDGED = 200  # tenancies: of this number, the limits are
SCALE = {"plan": 1.75, "apply --yes": 1.15}  # a command | the limit, as a multiple
MANY = 60  # MiB

# a secret for each tenancy: with a key, a plan needs no scrypt
KEYED = 1.6  # times the same plan without a state
KEY = {"HOOKSYNC_PLAN_KEY": "a-key-of-the-benchmarks"}


def main() -> int:
    """Measure everything, and return 0, even if a limit is exceeded."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes, one round: to try the benchmarks"
    )
    is_quick = parser.parse_args().quick
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    sys.stdout.write(
        f"hooksync {__version__}, Python {platform.python_version()}, {os.cpu_count()} cores;"
        f" {libraries}\n\n| what | measured | limit | made from |\n|---|---|---|---|\n"
    )
    for measure in (_start_up, _plans, _apply, _scale, _secrets, _since):
        with tempfile.TemporaryDirectory(prefix="hooksync-bench-") as folder:
            for figure in measure(Path(folder), is_quick):
                sys.stdout.write(f"{figure}\n")
                sys.stdout.flush()
    return 0


def _start_up(folder: Path, is_quick: bool) -> Iterator[Figure]:
    """Compare commands on a small file with what Python needs to import their libraries."""
    write_hooks(folder / "hooks.yaml", SMALL, differs=False)
    subjects: dict[str, Callable[[], Measured]] = {}
    with start_box(SMALL) as box:
        environ = _environ(box.url)
        for command, (floor, _) in COMMANDS.items():
            subjects[command] = partial(run, (*HOOKSYNC, *command.split()), folder, environ)
            subjects[floor] = partial(run, (sys.executable, "-c", floor), folder, environ)
        samples = interleave(subjects, 1 if is_quick else 21)
    for command, (floor, limit) in COMMANDS.items():
        yield compare_cpu(
            f"`hooksync {command}`", samples[command], samples[floor], limit, f"`{floor}`"
        )


def _plans(folder: Path, is_quick: bool) -> Iterator[Figure]:
    """Compare plans with the least work, and plans of three sizes with each other. In each plan, 3
    of 100 subscriptions differ.
    """
    rounds = {LARGE // 10: 9, LARGE: 5, LARGE * 3: 2}  # a list has at most 8 MiB
    if is_quick:
        rounds = {10: 1, 100: 1, 1_000: 1}
    small, judged, large = rounds
    costs: dict[str, dict[int, float]] = {"text": {}, "with a state": {}}
    for size, repeats in rounds.items():
        samples = _plan(folder, size, repeats, WAYS if size == judged else costs)
        for way, by_size in costs.items():
            by_size[size] = median_cpu(samples[way])
        if size != judged:
            continue
        for way, (_, limit, memory) in WAYS.items():
            name = f"`plan` of {size:,} declared, {size:,} live, {way}"
            yield compare_cpu(name, samples[way], samples[LEAST], limit, LEAST)
            peak = max(sample.mib for sample in samples[way])
            yield Figure("the same: memory", peak, "MiB", memory)
    for way, by_size in costs.items():
        name = f"growth of `plan` from {small:,} to {large:,}, {way}"
        yield Figure(name, growth(by_size), "", LINEAR, "the exponent; 1 is linear")


def _plan(folder: Path, size: int, repeats: int, ways: Iterable[str]) -> dict[str, list[Measured]]:
    write_hooks(folder / "same.yaml", size, differs=False)
    write_hooks(folder / "hooks.yaml", size, differs=True)
    write_list(folder / "list.json", size)
    (folder / "the.state.json").unlink(missing_ok=True)
    with start_box(size) as box:
        environ = _environ(box.url)
        adopt = (*HOOKSYNC, "apply", "--yes", "--adopt", "*", "-f", "same.yaml")
        run((*adopt, "--state", "the.state.json"), folder, environ)
        least = (sys.executable, "-m", "tests.bench.least", "hooks.yaml", "list.json")
        subjects: dict[str, Callable[[], Measured]] = {LEAST: partial(run, least, folder, environ)}
        for way in ways:
            flags = WAYS[way][0].split()
            subjects[way] = partial(run, (*HOOKSYNC, "plan", *flags), folder, environ)
        return interleave(subjects, repeats)


def _apply(folder: Path, is_quick: bool) -> Iterator[Figure]:
    """Compare the time in which `apply` subscribes with n x latency / in flight."""
    count = 160 if is_quick else COUNT
    write_hooks(folder / "hooks.yaml", count, differs=False)
    spans = []
    outside = []
    for _ in range(1 if is_quick else 3):
        (folder / "hooks.state.json").unlink(missing_ok=True)
        with start_box(latency=LATENCY) as box:
            command = (*HOOKSYNC, "apply", "--yes", "--parallelism", str(IN_FLIGHT))
            sample = run(command, folder, _environ(box.url))
            arrived = [call.arrived for call in box.calls if call.name == "subscribe"]
            span = max(arrived) - min(arrived) + LATENCY
            spans.append(span)
            outside.append(sample.wall - span)
    least = count * LATENCY / IN_FLIGHT
    name = f"`apply` of {count} at {LATENCY * 1000:.0f} ms, {IN_FLIGHT} in flight"
    detail = f"{median(spans):.2f} s over {least:.2f} s; {sample.cpu:.2f} s CPU"
    yield Figure(name, median(spans) / least, "x", 1.1, detail)
    yield Figure("the same, outside of the calls", median(outside), "s", 1.2, "by the clock")
    yield Figure(
        "the same: calls", len(box.calls), "calls", count + OTHER_CALLS, f"n + {OTHER_CALLS}"
    )
    yield Figure("the same: connections", box.connections, "connections", IN_FLIGHT)


def _scale(folder: Path, is_quick: bool) -> Iterator[Figure]:
    """Compare the time that many tenancies take with calls x latency / in flight."""
    for tenancies in (4, 8, 12) if is_quick else TENANCIES:
        is_judged = tenancies == JUDGED
        write_many(folder / "hooks.yaml", tenancies, EACH)
        size = f"{tenancies:,} tenancies of {EACH} at {LATENCY * 1000:.0f} ms, {USUAL} in flight"
        with start_box(latency=LATENCY, tenancies=tenancies) as box:
            for command, limit in SCALE.items():
                before = len(box.calls)
                (folder / "hooks.state.json").unlink(missing_ok=True)
                sample = run((*HOOKSYNC, *command.split()), folder, _environ(box.url))
                calls = len(box.calls) - before
                least = calls * LATENCY / USUAL
                made = f"{sample.wall:.2f} s over {least:.2f} s: {calls:,} calls"
                detail = f"{made}; {sample.cpu:.2f} s CPU"
                ratio = sample.wall / least
                yield Figure(
                    f"`{command}` of {size}", ratio, "x", limit if is_judged else None, detail
                )
                yield Figure("the same: memory", sample.mib, "MiB", MANY if is_judged else None)


def _secrets(folder: Path, is_quick: bool) -> Iterator[Figure]:
    """Compare plans of tenancies with a secret each, with and without a key, with the same plan
    without a state.
    """
    for tenancies in (4, 8) if is_quick else TENANCIES:
        write_many(folder / "hooks.yaml", tenancies, 1, own_secrets=True)
        (folder / "hooks.state.json").unlink(missing_ok=True)
        rounds = 1 if is_quick or tenancies > JUDGED else 3
        with start_box(tenancies=tenancies) as box:
            environ = _environ(box.url) | secrets_of(tenancies)
            run((*HOOKSYNC, "apply", "--yes"), folder, environ | KEY)
            plan = (*HOOKSYNC, "plan")
            subjects: dict[str, Callable[[], Measured]] = {
                "with a key": partial(run, plan, folder, environ | KEY),
                "without a key": partial(run, plan, folder, environ),
                "without a state": partial(run, (*plan, "--no-state"), folder, environ),
            }
            samples = interleave(subjects, rounds)
        base = samples.pop("without a state")
        for way, runs in samples.items():
            name = f"`plan` of {tenancies:,} tenancies with a secret each, {way}"
            is_keyed = way == "with a key"
            yield compare_cpu(name, runs, base, KEYED if is_keyed else None, "`--no-state`")
            peak = max(sample.mib for sample in runs)
            yield Figure("the same: memory", peak, "MiB", MANY if is_keyed else None)


def _since(folder: Path, is_quick: bool) -> Iterator[Figure]:
    """Compare `plan --since` of one changed tenancy among many with a plan of one tenancy."""
    tenancies = 10 if is_quick else JUDGED
    alone = folder / "alone"
    alone.mkdir()
    write_many(alone / "hooks.yaml", 1, EACH)
    write_many(folder / "hooks.yaml", tenancies, EACH)
    git = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.org")
    for command in (("init", "-q"), ("add", "hooks.yaml"), ("commit", "-qm", "All tenancies")):
        subprocess.run((*git, *command), cwd=folder, check=True)
    hooks = folder / "hooks.yaml"
    hooks.write_text(hooks.read_text(encoding="utf-8").replace(": true", ": false", 1))
    plan = (*HOOKSYNC, "plan", "--no-state")
    with start_box(tenancies=tenancies) as box:
        environ = _environ(box.url)
        before = len(box.calls)
        run((*plan, "--since", "HEAD"), folder, environ)
        calls = len(box.calls) - before
        subjects: dict[str, Callable[[], Measured]] = {
            "since": partial(run, (*plan, "--since", "HEAD"), folder, environ),
            "alone": partial(run, plan, alone, environ),
        }
        samples = interleave(subjects, 1 if is_quick else 9)
    name = f"`plan --since` of one changed tenancy among {tenancies}"
    yield compare_cpu(name, samples["since"], samples["alone"], None, "`plan` of one tenancy")
    yield Figure("the same: calls", calls, "calls", 2, "log in, list")


def _environ(url: str) -> dict[str, str]:
    return {"BOX": url, "PRESERVICA_SERVER": url, "PRESERVICA_TENANT": TENANT}


if __name__ == "__main__":
    sys.exit(main())
