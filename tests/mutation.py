"""`python -m tests.mutation reconcile/diff`: break modules on purpose with mutmut, and show what no test notices.

Works in a copy of the tree. Needs `pip install mutmut` (3.x), which nothing else in the project does.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.command_line import ROOT

# A module and the tests that are about it: fast ones, for they run once for every mutant.
ENGINE = (
    "reconcile/test_diff.py",
    "reconcile/test_plan.py",
    "reconcile/test_apply.py",
    "reconcile/test_step_runner.py",
)
TESTS = {
    "reconcile/diff": ENGINE,
    "reconcile/plan": ENGINE,
    "reconcile/apply": ENGINE[2:],
    "reconcile/step_runner": ENGINE[2:],
    "state/format": ("state/test_format.py",),
    "receiver": ("receivers/test_module.py",),
}
CAUGHT = {"killed", "timeout", "segfault"}
NEEDED = ("hooksync", "schemas", "tests", "pyproject.toml")

SETTINGS = """\
[mutmut]
source_paths = hooksync
only_mutate =
    {modules}
also_copy =
    hooksync
    schemas
pytest_add_cli_args =
    --hypothesis-profile=mutants
pytest_add_cli_args_test_selection =
    {tests}
timeout_constant = 2
use_git_change_detection = false
"""
MUTMUT = (sys.executable, "-m", "mutmut")
RESULT = re.compile(r"^\s*(hooksync\.([\w.]+)\.x\S+): (.+)$", re.MULTILINE)


def main() -> int:
    """Exits with 0 whatever survives: each survivor is for a reader to judge."""
    arguments = _read_arguments()
    modules = arguments.modules or list(TESTS)
    with tempfile.TemporaryDirectory(prefix="hooksync-mutation-") as name:
        folder = Path(name)
        _copy(folder, modules)
        subprocess.run(
            [*MUTMUT, "run", "--max-children", str(arguments.jobs)], cwd=folder, stdout=sys.stderr, check=True
        )
        found = RESULT.findall(_mutmut(folder, "results", "--all", "true"))
        survivors = [mutant for mutant, _, result in found if result not in CAUGHT]
        sys.stdout.write("\n\n".join([*(_mutmut(folder, "show", each).strip() for each in survivors), _table(found)]))
    return 0


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(TESTS)}; all, if none is named")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="mutants at a time (default 2)")
    arguments = parser.parse_args()
    if unknown := set(arguments.modules) - set(TESTS):
        parser.error(f"no such module here: {', '.join(sorted(unknown))}")
    return arguments


def _copy(folder: Path, modules: list[str]) -> None:
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    files = [f"hooksync/{module}.py" for module in modules]
    tests = sorted({f"tests/{test}" for module in modules for test in TESTS[module]})
    settings = SETTINGS.format(modules="\n    ".join([*files, ""]), tests="\n    ".join([*tests, ""]))
    (folder / "setup.cfg").write_text(settings, encoding="utf-8")


def _mutmut(folder: Path, *arguments: str) -> str:
    done = subprocess.run([*MUTMUT, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def _table(found: list[tuple[str, str, str]]) -> str:
    lines = [f"{'module':24}{'mutants':>8}{'caught':>8}{'score':>8}"]
    mutants = Counter(module for _, module, _ in found)
    caught = Counter(module for _, module, result in found if result in CAUGHT)
    for module, number in mutants.items():
        lines.append(f"{module.replace('.', '/'):24}{number:8}{caught[module]:8}{caught[module] / number:8.1%}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
