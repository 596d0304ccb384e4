"""How `plan` grows with what is declared and live: CPU against the least work, peak memory, with state and without."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from tests.bench.box import Box
from tests.bench.figures import Figure, Found, Sample, compare_cpu, growth, highest_peak, median_cpu
from tests.bench.measure import HOOKSYNC, Ground, interleave, run_child
from tests.bench.workload import TENANT, hooks_file, like_live, unlike_live
from tests.command_line import ROOT

LINEAR = 1.1  # the exponent that still passes for linear
JUDGED = 10_000  # the size that the budget sets limits for

LEAST, BARE, WITH_STATE = "least", "without a state", "with a state"
DOCUMENTS = {"as JSON": ("--format", "json"), "saved": ("--out", "plan.json")}  # without a state; of the size judged
LIMITS = {BARE: (2.5, 75.0), WITH_STATE: (4.0, 120.0), "as JSON": (3.0, 90.0), "saved": (3.0, 90.0)}  # times; MiB
ROUNDS = {100: 9, 1_000: 9, 10_000: 5, 100_000: 2}  # by size
QUICK_ROUNDS = {100: 1, 1_000: 1}


def measure(ground: Ground) -> Found:
    """Measure a plan of each size in which 3 in 100 differ."""
    rounds = QUICK_ROUNDS if ground.is_quick else ROUNDS
    samples: dict[str, list[Sample]] = {}
    for size, repeats in rounds.items():
        ground.say(f"scale: {size:,}")
        samples |= {f"{size:,} {name}": each for name, each in _measure_size(ground, size, repeats).items()}
    figures = [*(figure for size in rounds for figure in _figures_of(size, samples)), *_growth(list(rounds), samples)]
    return Found("plan of n declared against n live, 3 in 100 differing", figures, samples)


def _measure_size(ground: Ground, size: int, repeats: int) -> dict[str, list[Sample]]:
    folder = ground.folder / str(size)
    folder.mkdir()
    for name, entries in (("same.yaml", like_live(size)), ("hooks.yaml", unlike_live(size))):
        with (folder / name).open("w", encoding="utf-8") as file:
            file.writelines(hooks_file([(TENANT, entries)]))
    with Box() as box:
        box.seed(size)
        box.save_list(folder / "list.json")
        adopt = [*HOOKSYNC, "apply", "--adopt", "--no-probe", "-f", "same.yaml", "--state", "the.state.json"]
        run_child(adopt, folder, box.environ)
        least = [sys.executable, "-m", "tests.bench.least", str(folder / "hooks.yaml"), str(folder / "list.json")]
        plan: dict[str, Callable[[], Sample]] = {
            LEAST: lambda: run_child(least, ROOT),
            BARE: lambda: run_child([*HOOKSYNC, "plan", "--no-state"], folder, box.environ),
            WITH_STATE: lambda: run_child([*HOOKSYNC, "plan", "--state", "the.state.json"], folder, box.environ),
        }
        for way, flags in DOCUMENTS.items() if size == ground.choose(JUDGED, max(QUICK_ROUNDS)) else ():
            arguments = [*HOOKSYNC, "plan", "--no-state", *flags]
            plan[way] = lambda arguments=arguments: run_child(arguments, folder, box.environ)
        return interleave(plan, repeats)


def _figures_of(size: int, samples: Mapping[str, Sequence[Sample]]) -> list[Figure]:
    least = samples[f"{size:,} {LEAST}"]
    figures = []
    for way in (BARE, WITH_STATE, *DOCUMENTS):
        plan = samples.get(f"{size:,} {way}", ())
        if not plan:
            continue
        is_judged = size == JUDGED
        most, most_mib = LIMITS[way] if is_judged else (None, None)
        figures.append(compare_cpu(f"{size:,} {way} / the least work", plan, least, most))
        figures.append(Figure(f"{size:,} {way}: peak memory", highest_peak(plan), "MiB", most_mib))
    return figures


def _growth(sizes: Sequence[int], samples: Mapping[str, Sequence[Sample]]) -> list[Figure]:
    """Give the exponents of the growth; only the last is judged, for noise weighs less the longer a run is."""
    figures = []
    for way in (LEAST, BARE, WITH_STATE):
        exponents = growth([(size, median_cpu(samples[f"{size:,} {way}"])) for size in sizes])
        for step, exponent in enumerate(exponents):
            first, middle, last = sizes[step : step + 3]
            limit = LINEAR if last == sizes[-1] and way != LEAST else None
            name = f"{'the least work' if way == LEAST else way}: growth exponent"
            figures.append(Figure(name, exponent, "", limit, f"{first:,} to {middle:,} to {last:,}; 1 is linear"))
    return figures
