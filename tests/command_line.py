"""Runs hooksync as its users do: a process of its own, an environment of its own, nothing of the caller's in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"

LOG_IN = {"PRESERVICA_USERNAME": USERNAME, "PRESERVICA_PASSWORD": PASSWORD}


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


def hooksync(arguments: Sequence[str], environ: Mapping[str, str], folder: Path = ROOT) -> Finished:
    """Run a command to its end; nobody is there to answer a question."""
    return run_python(["-W", "error", "-m", "hooksync", *arguments], environ, folder)


def run_python(arguments: Sequence[str], environ: Mapping[str, str], folder: Path = ROOT) -> Finished:
    """Run this Python with an environment of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "TMPDIR") if name in os.environ}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **environ},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)
