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
        'action: Action = "unsubscribe" if stays and is_free else "leave"',
        'action: Action = "unsubscribe"',
        begin=1100,
    ),
    Break(
        "remove nothing that is not declared",
        "reconcile/diff.py",
        '        return self._step("unsubscribe", None, live, [reason])\n',
        '        return self._step("leave", None, live, [reason])\n',
    ),
    Break(
        "need no review for what was only found",
        "reconcile/diff.py",
        '_PROVEN = ("made", "adopted")',
        '_PROVEN = ("made", "adopted", "found")',
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
        "COMPARED | record.content if record else declared.content",
        "declared.content",
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
        "if proof and len(_unseen(attempt, new)) == 1:",
        "if proof and _unseen(attempt, new):",
        (
            (
                "reconcile/apply.py",
                "elif all(map(attempt.is_like, others)):",
                "else:",
            ),
        ),
        begin=None,
    ),
    Break(
        "keep what is unconfirmed",
        "reconcile/diff.py",
        "        if live.id in self.found:\n",
        "        if False:\n",
    ),
    Break(
        "find nothing that attempts have made",
        "state/history.py",
        "        if _unseen(attempt, new):\n",
        "        if False:\n",
        begin=None,
    ),
    Break(
        "remove what nothing new replaces",
        "reconcile/apply.py",
        "awaited = absent.keys() & {address} if address else",
        "awaited = [] if address else",
    ),
    Break(
        "remove what is not declared before all else exists",
        "reconcile/apply.py",
        "[*absent, *self.plan.held]",
        "[]",
        begin=3060,
    ),
    Break(
        "remove what only the second plan removes",
        "reconcile/apply.py",
        "removing = [runner for runner in self.due if runner.may_remove]",
        "removing = [runner for runner in self.runners if runner.step.live]",
    ),
    Break(
        "close an attempt at once",
        "reconcile/journal.py",
        "closing = needless_attempts(records, shown, declared, self.plan.as_declared)",
        "closing = {it.key for it in records.attempts}",
        begin=None,
    ),
    Break(
        "forget the mark of what was removed",
        "reconcile/apply.py",
        "runner.step.id for runner in self.due if runner.is_removed)",
        "runner.step.id for runner in self.due if False)",
        begin=None,
    ),
    Break(
        "keep what is marked",
        "reconcile/diff.py",
        '            known["secret"] = "marked"\n',
        "            pass\n",
    ),
    Break(
        "hold too little",
        "reconcile/plan.py",
        "        elif problem:\n",
        "        elif problem and not step.creates:\n",
        begin=None,
    ),
    Break(
        "replace twice in a run",
        "reconcile/diff.py",
        "requested = [REQUESTED] if is_named and not is_done else []",
        "requested = [REQUESTED] if is_named else []",
        begin=None,
    ),
    Break(
        "drop an id that a response contains",
        "reconcile/apply.py",
        "if identifier and identifier not in ids and identifier not in attempt.seen:",
        "if False:",
    ),
    Break(
        "create under two open attempts",
        "reconcile/refusals.py",
        "if needed[step.declared_side.address] < MOST_OPEN:",
        "if True:",
    ),
    Break(
        "need an attempt whatever is live",
        "state/history.py",
        "is_wanted = wanted and wanted.enabled and wanted.key not in as_declared",
        "is_wanted = wanted and wanted.enabled",
        begin=None,
    ),
    Break(
        "call unsettled steps done",
        "reconcile/step.py",
        '            return Outcome("unsettled", self._doubt(record, next_fix), new_id)\n',
        '            return Outcome("done", None, new_id)\n',
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
        "            held.enter_context(_lock(store, lock_timeout, inputs))\n",
        "            pass\n",
    ),
    Break(
        "never ask a lagging list again",
        "reconcile/apply.py",
        "while self._awaited() and backoff.wait():",
        "while False:",
    ),
    Break(
        "report failed steps as done",
        "reconcile/step.py",
        '"half-done" if is_made or self.is_removed else "failed"',
        '"half-done" if is_made or self.is_removed else "done"',
    ),
    Break(
        "report half of a replacement as done",
        "reconcile/step.py",
        '"half-done" if is_made or self.is_removed else "failed"',
        '"done" if is_made or self.is_removed else "failed"',
    ),
    Break(
        "find no difference in the end",
        "reconcile/apply.py",
        "differences=tuple(_still_different(self.plan, found)),",
        "",
    ),
    Break(
        "know no secret of the run where foreign text is shown",
        "core/redaction.py",
        '{value.strip() for value in values} - self._forms - {""}',
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
        "            raise ServiceError(what, _NOT_KNOWN) from error\n\n    def _read_list(",
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
