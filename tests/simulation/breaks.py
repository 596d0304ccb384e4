"""Deliberate breaks of hooksync, each in a copy of its own: the simulation must find a broken law.

So a law that no longer finds anything is noticed. If the code no longer contains the old text of a
break, that is an error, too: the list must follow the code.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.command_line import ROOT

NEEDED = ("hooksync", "schemas", "tests", "pyproject.toml")
SEEDS = 1500  # the most histories that are played for a break


class Break(NamedTuple):
    """A wrong change of one file.

    If two places in hooksync prevent the same harm, `also` changes the second one.
    """

    name: str
    file: str  # below hooksync/
    old: str  # occurs once in the file
    new: str
    also: tuple[tuple[str, str, str], ...] = ()  # more changes: file, old text, new text
    begin: int | None = 0  # the first seed; None: the model of attempts finds it, see test_model.py


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
        "may_go = stays and (is_free or self._is_recorded(live))",
        "may_go = True",
        begin=1100,
    ),
    Break(
        "remove nothing that is not declared",
        "reconcile/diff.py",
        '        return self._step("unsubscribe", None, live, reasons)\n',
        '        return self._step("leave", None, live, reasons)\n',
    ),
    Break(
        "need no review for what was only found",
        "reconcile/diff.py",
        "return self.history.is_trusted and live.id in self.history.entries",
        "return self._is_recorded(live)",
    ),
    Break(
        "remove a duplicate of something unproven",
        "reconcile/diff.py",
        "            may_go = stays and (is_free",
        "            may_go = (is_free",
    ),
    Break(
        "exit 0 always",
        "reconcile/plan.py",
        "    if plan.may_have_changed:\n        return ExitCode.PARTLY_APPLIED",
        "    if plan.may_have_changed:\n        return ExitCode.DONE",
    ),
    Break(
        "call every secret the same",
        "reconcile/diff.py",
        '"same" if is_same else "changed"',
        '"same"',
    ),
    Break(
        "compare no flag with the one that was sent",
        "reconcile/diff.py",
        "COMPARED | record.content if record else wanted",
        "wanted",
    ),
    Break(
        "remove the old half first",
        "reconcile/apply.py",
        'if self.plan.replacement == "remove-first" and runner.step.removes:',
        "if runner.step.removes:",
    ),
    Break(
        "trust what only a list has shown",
        "state/history.py",
        "if proof and len(unseen) == 1:",
        "if proof:",
        (
            (
                "reconcile/journal.py",
                "if attempt.run != run and not attempt.id:",
                "if False:",
            ),
        ),
        begin=None,
    ),
    Break(
        "keep what is unconfirmed",
        "reconcile/diff.py",
        "        if live.id in self.history.found:\n",
        "        if False:\n",
    ),
    Break(
        "find nothing that attempts have made",
        "state/history.py",
        "    if attempt.id or not unseen:\n",
        "    if True:\n",
    ),
    Break(
        "remove what no list has shown to be replaced",
        "reconcile/step_runner.py",
        "self.creation = CallState.UNLISTED if record.fingerprint else CallState.FOUND",
        "self.creation = CallState.DONE",
    ),
    Break(
        "remove what is not declared before all else exists",
        "reconcile/apply.py",
        "awaited = absent if address is None else absent & {address}",
        "awaited = absent & {address}",
        begin=3060,
    ),
    Break(
        "drop an id that a response contains",
        "reconcile/journal.py",
        "if identifier and identifier not in self._ids.union(attempt.seen):",
        "if False:",
    ),
    Break(
        "forget attempts at once",
        "state/history.py",
        "return record if record.id in shown or is_needed else None",
        "return record if record.id in shown else None",
    ),
    Break(
        "create under two open attempts",
        "state/history.py",
        "numbers[attempt.identity] >= MOST_OPEN",
        "False",
    ),
    Break(
        "call unsettled steps done",
        "reconcile/step_runner.py",
        '            return "unsettled"\n',
        '            return "done"\n',
    ),
    Break(
        "exit 0 of a plan that compared no secret",
        "reconcile/plan.py",
        "any(step.differs for step",
        "any(step.is_drift for step",
    ),
    Break(
        "take no run lock",
        "api/run.py",
        "        held.enter_context(run_lock(store, options.lock_timeout, inputs.context))\n",
        "",
    ),
    Break(
        "never ask a lagging list again",
        "reconcile/apply.py",
        "while awaited() and backoff.wait():",
        "while False:",
    ),
    Break(
        "report failed steps as done",
        "reconcile/step_runner.py",
        'return "failed" if CallState.REFUSED in calls else "not-attempted"',
        'return "done" if CallState.REFUSED in calls else "not-attempted"',
    ),
    Break(
        "report half of a replacement as done",
        "reconcile/step_runner.py",
        '            return "half-done"\n',
        '            return "done"\n',
    ),
    Break(
        "find no difference in the end",
        "reconcile/journal.py",
        "differences=tuple(_still_different(plan, after))",
        "differences=()",
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
        "api/run.py",
        "            store.check()\n",
        "            pass\n",
        begin=400,
    ),
    Break(
        "take the lock of another run for one's own",
        "state/remote.py",
        "        if self._lock is None or (lock is not None and lock.id == self._lock.id):",
        "        if True:",
        begin=400,
    ),
    Break(
        "repeat a subscribe whose answer is lost",
        "service/http.py",
        'may_repeat = request.purpose != "creation"',
        "may_repeat = True",
    ),
    Break(
        "take a list that cannot be read for an empty one",
        "service/client.py",
        "            raise ServiceError(problem) from error\n\n    def _read_list(",
        "            return ()\n\n    def _read_list(",
    ),
)


def copy_broken(each: Break, folder: Path) -> None:
    """Copy the files that the simulation needs, and apply one break to the copy.

    Raises ValueError if the old text of the break does not occur exactly once.
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


def find_broken_law(folder: Path, begin: int | None) -> str:
    """Play histories with the copy in a folder until a law breaks. Return the output, or "" if none
    breaks.

    `begin`: the first seed; None: play the histories of the model of attempts.
    """
    command = [sys.executable, "-m", "pytest", "-xq", "-n0", "tests/simulation/test_model.py"]
    if begin is not None:
        settings = ["--from", str(begin), "--steps", str(10 * SEEDS), "--first"]
        command = [sys.executable, "-m", "tests.simulation", *settings]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 1 else ""
