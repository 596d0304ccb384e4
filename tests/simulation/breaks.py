"""Breaks hooksync on purpose, one way at a time in a copy, and asks the simulation: a law must be
found broken.

So that a law that no longer bites is noticed. A text that is not there any more is an error, too:
then the list has to follow the code.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.command_line import ROOT

NEEDED = ("hooksync", "schemas", "tests", "pyproject.toml")
SEEDS = 1500  # histories that are played for a break, at most
LONGEST = 60.0  # seconds in which a law must be broken


class Break(NamedTuple):
    """A wrong change of one file, and of another one where two things in hooksync stand against the
    same harm.
    """

    name: str
    file: str  # below hooksync/
    old: str  # found once
    new: str
    also: tuple[tuple[str, str, str], ...] = ()  # further files, old and new texts
    begin: int = 0  # the first seed


BREAKS: tuple[Break, ...] = (
    Break(
        "forget what `owns` says",
        "reconcile/diff.py",
        "    match tenancy.owns:\n",
        '    match "all":\n',
    ),
    Break(
        "remove every duplicate",
        "reconcile/diff.py",
        "if is_requested or live.id in replaced or is_owned(tenancy, live, history):",
        "if True:",
    ),
    Break(
        "remove nothing that is not declared",
        "reconcile/diff.py",
        '    return planned.Unsubscribe(live, "no longer declared" if was else "not declared",'
        " was=was)",
        '    return planned.Leave(live, "not declared", was=was)',
    ),
    Break(
        "exit 0 always",
        "api/run.py",
        "        if self.has_changed:\n            return ExitCode.PARTLY_APPLIED",
        "        if self.has_changed:\n            return ExitCode.DONE",
    ),
    Break(
        "call every secret the same",
        "reconcile/planner.py",
        'same if is_same else "changed"',
        "same",
    ),
    Break(
        "compare no flag with the one that was sent",
        "state/history.py",
        "if live.include_identifiers is None and made:",
        "if False:",
    ),
    Break(
        "remove the old half first",
        "reconcile/apply.py",
        'removes_first=self.plan.tenancy.replacement == "remove-first"',
        "removes_first=True",
    ),
    Break(
        "trust any newcomer",
        "reconcile/planner.py",
        '"unknown" if made.is_found else "same"',
        '"same"',
        begin=150,
    ),
    Break(
        "trust no newcomer",
        "reconcile/apply.py",
        "            if len(candidates) == 1:\n",
        "            if False:\n",
    ),
    Break(
        "skip the second look before a removal",
        "reconcile/step_runner.py",
        "return self.needs_removal and isinstance(self.step, Resubscribe) and not self.is_listed",
        "return False",
    ),
    Break(
        "believe one id that was told for two",
        "reconcile/apply.py",
        "            if runner.new_id and told[runner.new_id] > 1:",
        "            if False:",
        (
            (
                "reconcile/step_runner.py",
                "if shown and not fills(shown, self.declared):",
                "if False:",
            ),
        ),
    ),
    Break(
        "drop an id that an answer told",
        "reconcile/step_runner.py",
        "            if identifier and identifier not in known:\n",
        "            if False:\n",
    ),
    Break(
        "forget what no list has shown yet",
        "reconcile/journal.py",
        "if ids is None or one.new_id in ids or one.is_unlisted:",
        "if ids is None or one.new_id in ids:",
    ),
    Break(
        "take no run lock",
        "api/inputs.py",
        "if store and is_apply else nullcontext()",
        "if False else nullcontext()",
    ),
    Break(
        "never ask a lagging list again",
        "reconcile/apply.py",
        "while not is_settled(live) and backoff.wait():",
        "while False:",
    ),
    Break(
        "forget what was removed and is still listed",
        "state/history.py",
        "each.id for each in state.removed if each.tenancy == tenancy",
        "each.id for each in state.removed if False",
    ),
    Break(
        "report failed steps as done",
        "reconcile/step_runner.py",
        'return "failed" if is_tried else "not-attempted"',
        'return "done" if is_tried else "not-attempted"',
    ),
    Break(
        "report half of a replacement as done",
        "reconcile/step_runner.py",
        'return "done" if all(halves) else "half-done"',
        'return "done"',
    ),
    Break(
        "find no difference in the end",
        "reconcile/apply.py",
        "self.plan, self._outcomes(left), self._differences(left), last_live=live",
        "self.plan, self._outcomes(left), (), last_live=live",
    ),
    Break(
        "know no secret of the run where foreign text is shown",
        "core/redaction.py",
        '{value.strip() for value in values} - self._forms.keys() - {""}',
        "set[str]()",
        begin=400,
    ),
    Break(
        "change the tenancy without asking whether the run lock is lost",
        "reconcile/session.py",
        "            self.run.check_lock()\n",
        "            pass\n",
        begin=400,
    ),
    Break(
        "take the lock of another run for one's own",
        "state/remote.py",
        "        if self._lock and (lock is None or lock.id != self._lock.id):",
        "        if False:",
        begin=400,
    ),
    Break(
        "repeat a subscribe whose answer is lost",
        "service/http.py",
        "CREATION = RetryRule(frozenset({TOO_MANY}), repeats_lost=False",
        "CREATION = RetryRule(frozenset({TOO_MANY}), repeats_lost=True",
    ),
    Break(
        "take a list that cannot be read for an empty one",
        "service/client.py",
        "            raise self._failed(ServiceError, request, answer, _NOT_KNOWN, str(error))"
        " from error",
        "            return ()",
        begin=1180,
    ),
)


def copy_broken(each: Break, folder: Path) -> None:
    """Copy what the simulation needs, with one break. Raises ValueError where its old text is not
    there, once.
    """
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    for file, old, new in ((each.file, each.old, each.new), *each.also):
        path = folder / "hooksync" / file
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{each.name}: its old text stands {text.count(old)} times in {file}")
        path.write_text(text.replace(old, new), encoding="utf-8")


def find_broken_law(folder: Path, begin: int) -> str:
    """Play histories with the copy in a folder until a law breaks; returns what was told. Raises
    TimeoutExpired.

    `begin`: the first seed.
    """
    settings = ["--from", str(begin), "--steps", str(10 * SEEDS), "--first"]
    command = [sys.executable, "-m", "tests.simulation", *settings]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=LONGEST, check=False
    )
    return done.stdout if done.returncode == 1 else ""
