"""Makes a failing history smaller, as long as the same law breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulation.history import Command, History, Mishap, Step
from tests.simulation.play import play

MOST_TRIES = 600


def shrink(
    history: History, fails: Callable[[History], bool], *, tries: int = MOST_TRIES
) -> History:
    """Return a smaller history that still fails."""
    is_smaller = True
    while is_smaller and tries > 0:
        is_smaller = False
        for candidate in candidates(history):
            tries -= 1
            if fails(candidate):
                history, is_smaller = candidate, True
            if is_smaller or tries <= 0:
                break
    return history


def breaks(law: str) -> Callable[[History], bool]:
    """Return a function that checks whether a history breaks this law."""
    return lambda history: any(broken.law == law for broken in play(history).broken)


def candidates(history: History) -> Iterator[History]:
    """Yield histories that have less in them, the smallest first."""
    steps = history.steps
    for size in (len(steps) // 2, len(steps) // 4, 1):
        if size:
            for start in range(0, len(steps), size):
                yield replace(history, steps=steps[:start] + steps[start + size :])
    for trait in history.traits:
        yield replace(history, traits=tuple(each for each in history.traits if each != trait))
    for number, step in enumerate(steps):
        for less in _less(step):
            yield replace(history, steps=(*steps[:number], less, *steps[number + 1 :]))
    yield from _simpler(history)


def _less(step: Step) -> Iterator[Step]:
    if not isinstance(step, Command):
        return
    if step.verb == "saved":
        yield replace(step, verb="apply", between=())
    for field in ("flags", "mishaps", "between"):
        several = getattr(step, field)
        for number in range(len(several)):
            yield replace(step, **{field: several[:number] + several[number + 1 :]})
    for number, mishap in enumerate(step.mishaps):
        if isinstance(mishap.act, Command):
            for act in _less(mishap.act):
                yield _with_mishap(step, number, replace(mishap, act=act))  # type: ignore[arg-type]


def _with_mishap(step: Command, number: int, mishap: Mishap) -> Command:
    return replace(step, mishaps=(*step.mishaps[:number], mishap, *step.mishaps[number + 1 :]))


def _simpler(history: History) -> Iterator[History]:
    """Yield the history with one setting nearer to its usual value."""
    usual: dict[str, Callable[[History], object]] = {
        "tenancies": lambda _: 1,
        "declared": lambda it: max(1, it.declared - 1),
        "live": lambda it: max(0, it.live - 1),
        "lag_additions": lambda _: 0.0,
        "lag_removals": lambda _: 0.0,
        "list_wait": lambda _: 30,
        "remove_first": lambda _: False,
        "probes": lambda _: False,
        "unknown": lambda _: "warn",
        "rest": lambda _: 301.0,
    }
    for name, value in usual.items():
        if getattr(history, name) != value(history):
            yield replace(history, **{name: value(history)})  # type: ignore[arg-type]
