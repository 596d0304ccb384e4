"""Breaks hooksync on purpose, one way at a time in a copy, and asks the simulation: a law must be found broken.

So that a law that no longer bites is noticed. A text that is not there any more is an error, too: then the list has to
follow the code.
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
    """A wrong change of one file."""

    name: str
    file: str  # below hooksync/
    old: str  # found once
    new: str


BREAKS: tuple[Break, ...] = ()


def copy_broken(each: Break, folder: Path) -> None:
    """Copy what the simulation needs, with one break. Raises ValueError where its old text is not there, once."""
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    path = folder / "hooksync" / each.file
    text = path.read_text(encoding="utf-8")
    if text.count(each.old) != 1:
        raise ValueError(f"{each.name}: its old text stands {text.count(each.old)} times in {each.file}")
    path.write_text(text.replace(each.old, each.new), encoding="utf-8")


def find_broken_law(folder: Path) -> str:
    """Play histories with the copy in a folder until a law breaks; returns what was told. Raises TimeoutExpired."""
    command = [sys.executable, "-m", "tests.simulation", "--steps", str(10 * SEEDS), "--first"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LONGEST, check=False)
    return done.stdout if done.returncode == 1 else ""
