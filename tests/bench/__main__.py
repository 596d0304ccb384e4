"""`python -m tests.bench`: measure, and write tables to standard output."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.bench import network, peers, scale, startup, tenancies
from tests.bench.figures import Found
from tests.bench.measure import Failed, Ground, run_child
from tests.bench.table import json_text, markdown_table, text_table

BENCHMARKS = {
    "startup": startup.measure,
    "scale": scale.measure,
    "network": network.measure,
    "tenancies": tenancies.measure,
    "peer": peers.measure,
}
LIBRARIES = ("PyYAML", "jsonschema", "requests", "urllib3", "deepdiff", "filelock", "pyPreservica")


def main() -> int:
    """Measure what is asked for. Exits with 0 whatever was found, and with 1 where it could not be measured."""
    arguments = _read_arguments()
    before = os.getloadavg()
    start = time.monotonic()
    try:
        found = [_measure(name, is_quick=arguments.quick) for name in arguments.only or BENCHMARKS]
    except Failed as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    circumstances = {
        **_circumstances(),
        "load": {"before": before, "after": os.getloadavg()},
        "seconds": round(time.monotonic() - start, 1),
        "is_quick": arguments.quick,
    }
    write = markdown_table if arguments.markdown else text_table
    sys.stdout.write(write(circumstances, found))
    if arguments.json:
        arguments.json.write_text(json_text(circumstances, found), encoding="utf-8")
    return 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and few repeats: to try the benchmarks")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="measure this; may be repeated")
    parser.add_argument("--markdown", action="store_true", help="write Markdown instead of text")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every figure and sample to a file, too")
    return parser.parse_args()


def _measure(name: str, *, is_quick: bool) -> Found:
    with tempfile.TemporaryDirectory(prefix="hooksync-bench-") as folder:
        ground = Ground(Path(folder), is_quick, _say)
        ground.say(name)
        try:
            run_child([sys.executable, "-c", "import hooksync"], ground.folder)
        except Failed:
            raise Failed("hooksync is not installed for this Python; see the README for how") from None
        return BENCHMARKS[name](ground)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _circumstances() -> dict[str, object]:
    from hooksync import __version__

    return {
        "hooksync": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
