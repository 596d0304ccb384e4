"""What a command costs before it does anything: against Python itself, and against the imports it cannot do without."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.box import Box
from tests.bench.figures import Figure, Found, Sample, compare_cpu
from tests.bench.measure import HOOKSYNC, Ground, interleave, run_child
from tests.bench.workload import TENANT, Entry, hooks_file, like_live

SIZE = 3  # subscriptions in the small file

NOTHING = "python -c pass"
TO_VALIDATE = "import yaml, jsonschema"
TO_PLAN = "import yaml, jsonschema, requests"
TO_DIFFER = "import yaml, jsonschema, requests, deepdiff"
FLOORS = {NOTHING: "pass", TO_VALIDATE: TO_VALIDATE, TO_PLAN: TO_PLAN, TO_DIFFER: TO_DIFFER}


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and the floor that it is measured against."""

    name: str
    arguments: tuple[str, ...]
    floor: str
    limit: float | None = None


COMMANDS = (
    Command("--version", ("--version",), NOTHING, 1.8),
    Command("--help", ("--help",), NOTHING),
    Command("validate", ("validate",), TO_VALIDATE, 0.65),
    Command("plan", ("plan", "--no-state"), TO_PLAN, 0.85),
    Command("apply, nothing to do", ("apply", "--no-state"), TO_PLAN),
    Command("plan, one pair differs", ("plan", "--no-state", "-f", "other.yaml"), TO_DIFFER),
    Command("plan with a state: one scrypt", ("plan",), TO_PLAN),
)


def measure(ground: Ground) -> Found:
    """Measure every command as a module and as the script that is installed."""
    _write(ground.folder)
    ways = dict(_ways())
    with Box() as box:
        box.seed(SIZE)
        run_child([*HOOKSYNC, "apply", "--adopt", "--no-probe"], ground.folder, box.environ)
        samples = interleave(_subjects(ways, ground.folder, box.environ), ground.choose(21, 1))
    figures = [
        _against(each.floor, compare_cpu(name, samples[name], samples[each.floor], each.limit))
        for each in COMMANDS
        for name in (f"{way} {each.name}" for way in ways)
    ]
    return Found("start-up: CPU of whole processes", [*figures, *_missing(ways)], samples)


def _against(floor: str, figure: Figure) -> Figure:
    return replace(figure, detail=f"{figure.detail}, {floor}")


def _ways() -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "python -m hooksync", HOOKSYNC
    script = Path(sys.executable).parent / "hooksync"
    if script.exists():
        yield "hooksync", (str(script),)


def _missing(ways: Mapping[str, tuple[str, ...]]) -> list[Figure]:
    return [] if "hooksync" in ways else [Figure("hooksync: no such script beside this Python", 0, "scripts")]


def _write(folder: Path) -> None:
    same, other = list(like_live(SIZE)), [Entry(0, include_identifiers=False), *list(like_live(SIZE))[1:]]
    (folder / "hooks.yaml").write_text("".join(hooks_file([(TENANT, same)])))
    (folder / "other.yaml").write_text("".join(hooks_file([(TENANT, other)])))


def _subjects(
    ways: Mapping[str, tuple[str, ...]], folder: Path, environ: Mapping[str, str]
) -> dict[str, Callable[[], Sample]]:
    def subject(*arguments: str) -> Callable[[], Sample]:
        return lambda: run_child(arguments, folder, environ)

    floors = {name: subject(sys.executable, "-c", code) for name, code in FLOORS.items()}
    commands = {
        f"{way} {each.name}": subject(*start, *each.arguments) for each in COMMANDS for way, start in ways.items()
    }
    return floors | commands
