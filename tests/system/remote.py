"""Start jobs as a CI does: each has a new folder, and all share one state on a real backend."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.backends import Backend
from tests.boxes import Receiver, Sandbox
from tests.command_line import ROOT, Run
from tests.conftest import Place, make_environ

TRIGGERS = ("INDEXED", "MOVED", "INGEST_FAILED", "SECURITY_CHANGED")
HOOKS = f"""\
version: 1
tenancies:
  prod:
    server: ${{BOX}}
    tenant: DEMO
    probe: never
    subscriptions:
      catalogue:
        url: ${{RECEIVER}}?code=${{FN_KEY}}
        triggers: [{", ".join(TRIGGERS)}]
        secret: {{env: CATALOGUE_SECRET}}
"""
APPLY = ("apply", "--yes", "--parallelism", "2")
PATIENT = (*APPLY, "--lock-timeout", "60")
CALLS = 3 + 2 * len(TRIGGERS)  # that a rotation makes: log-in, lists, and two for each trigger
FIRST = "first-secret-of-the-catalogue-0001"
LATENCY = 0.03  # seconds that each call to the service takes
EXPIRY = 6  # seconds until a run lock expires


@dataclass
class Runners:
    """Makes a folder for each job, which has only the hooks file and the place of the state."""

    folder: Path
    backend: Backend
    box: Sandbox
    receiver: Receiver
    secret: str = FIRST
    number: int = 0
    environ: dict[str, str] = field(default_factory=dict)

    def fresh(self) -> Place:
        self.number += 1
        folder = self.folder / f"runner-{self.number}"
        folder.mkdir()
        self.backend.prepare(folder)
        environ = make_environ(
            BOX=self.box.url,
            RECEIVER=self.receiver.url("catalogue"),
            HOOKSYNC_STATE=self.backend.where,
            HOOKSYNC_LOCK_EXPIRY=str(EXPIRY),
            HOOKSYNC_LIST_WAIT="5",
            CI="true",
            PYTHONPATH=str(ROOT),
            XDG_CACHE_HOME=str(folder / "cache"),
        )
        place = Place(
            folder, self.box, self.receiver, {**environ, **self.backend.environ, **self.environ}
        )
        place.environ["CATALOGUE_SECRET"] = self.secret
        place.write(HOOKS)
        return place

    def rotate(self) -> str:
        """Choose a new secret for all later runs, and return it."""
        self.secret = f"another-secret-of-the-catalogue-{self.number:04}"
        self.receiver.set_secret("catalogue", self.secret)
        return self.secret

    def run(self, *arguments: str) -> Run:
        return self.fresh().run_process(*arguments)

    def differences(self) -> list[str]:
        """Return how the tenancy differs from one subscription per trigger with the new secret."""
        held = [(one.trigger, one.secret) for one in self.box.subscriptions("DEMO")]
        missing = {trigger for trigger, secret in held if secret != self.secret}
        is_whole = len(held) == len({trigger for trigger, _ in held}) == len(TRIGGERS)
        return [
            *(f"{it} has an old secret" for it in missing),
            *([] if is_whole else [f"there are {len(held)}"]),
        ]


@contextmanager
def runners(folder: Path, backend: Backend) -> Iterator[Runners]:
    with Receiver({"catalogue": [FIRST]}) as receiver, Sandbox() as box:
        box.latency = LATENCY
        yield Runners(folder, backend, box, receiver)


def reach(box: Sandbox, process: subprocess.Popen[Any], calls: int) -> bool:
    """Wait until the sandbox has seen so many calls; return False if the process ends before."""
    while len(box.calls) < calls:
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    return True


def kill_one(jobs: Runners, calls: int) -> list[str]:
    """Kill a rotation after so many calls, run the next job, and return what is wrong then."""
    jobs.rotate()
    before = len(jobs.box.calls)
    with jobs.fresh().popen(*PATIENT) as process:
        reach(jobs.box, process, before + calls)
        process.send_signal(signal.SIGKILL)
    again = jobs.run(*PATIENT)
    wrong = jobs.differences()
    return [f"exit {again.code}: {again.err}"] if again.code else wrong


def race(jobs: Runners, *flags: str) -> list[str]:
    """Start two rotations at the same time, and return what is wrong after them."""
    jobs.rotate()
    places = [jobs.fresh() for _ in range(2)]
    before = sum(call.name == "subscribe" for call in jobs.box.calls)
    processes = [place.popen(*APPLY, *flags) for place in places]
    ends = [(process.communicate()[1], process.returncode) for process in processes]
    made = sum(call.name == "subscribe" for call in jobs.box.calls) - before
    codes = sorted(code for _, code in ends)
    wrong = [] if codes in ([0, 0], [0, 3]) else [f"exits {ends}"]
    return [*wrong, *jobs.differences(), *([] if made == len(TRIGGERS) else [f"{made} were made"])]
