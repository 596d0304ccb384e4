"""A sandbox in a process of its own, so that it takes no time from what is measured but that of the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.bench.workload import TENANT
from tests.command_line import ROOT


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a sandbox was asked since it was last told to report."""

    calls: int
    subscribes: int
    span: float  # seconds from the first subscribe to the end of the last, by when they arrived and the latency
    all_span: float  # the same for all calls
    connections: int  # opened since the sandbox started
    max_in_flight: int  # since the sandbox started


class Box:
    """A running sandbox. Use it as a context."""

    def __init__(self, latency: float = 0.0, tenants: tuple[str, ...] = (TENANT,)) -> None:
        """Start it; `latency`: seconds that each call takes at least."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.box_child", json.dumps({"latency": latency, "tenants": tenants})],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        self.url = str(self._answer())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._process.communicate()  # the end of its input ends it

    @property
    def environ(self) -> dict[str, str]:
        """What leads a client here."""
        return {"BOX": self.url, "PRESERVICA_SERVER": self.url, "PRESERVICA_TENANT": TENANT}

    def seed(self, count: int, tenant: str = TENANT) -> None:
        """Let the first subscriptions be live."""
        self._ask(do="seed", tenant=tenant, count=count)

    def save_list(self, path: Path) -> None:
        """Write what the service lists, as it lists it, into a file."""
        self._ask(do="save_list", path=str(path))

    def traffic(self) -> Traffic:
        """Tell what was asked since this was last called."""
        return Traffic(**self._ask(do="traffic"))

    def _ask(self, **question: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the sandbox of the benchmarks ended early")
        return json.loads(line)
