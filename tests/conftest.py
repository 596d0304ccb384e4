"""What the tests of the whole command share: a tenancy with receivers to reconcile, and a way to
run hooksync on it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from hooksync.sandbox.tenancies import SandboxOptions
from tests.backends import backend, servers
from tests.boxes import Receiver, Sandbox
from tests.clients import Clients
from tests.command_line import PASSWORD, Run, hooksync, hooksync_process
from tests.posix import NOT_ON_WINDOWS, missing_on_windows
from tests.site.browser import browser

__all__ = ["backend", "browser", "servers"]  # fixtures of everybody

# An example's time says how busy the machine is, not whether the code is right. The key: what -m
# asks for.
EXAMPLES = {"not slow": 20, "": 300}

LONG_FILES = (  # of which each test makes all that it needs, or shares it with other workers
    "attacks/test_attacks.py",
    "commands/test_rotation.py",
    "commands/test_parts.py",
    "documents/test_saved_plan.py",
    "project/test_ci_examples.py",
    "simulation/test_simulation.py",
    "site/test_site_in_a_browser.py",
    "system/test_full_disk.py",
    "system/test_kills.py",
    "system/test_remote_state.py",
)

SECRET = "s3cret-of-the-catalogue-0123456789"
NEW_SECRET = "n3w-secret-of-the-catalogue-0123456"
URL_KEY = "k3y-in-the-url-0123456789"
HIDDEN = (SECRET, URL_KEY, PASSWORD)

HOOKS = """\
version: 1
tenancies:
  prod:
    server: ${BOX}
    tenant: DEMO
    subscriptions:
      catalogue:
        url: ${RECEIVER}?code=${FN_KEY}
        triggers: [INDEXED, MOVED]
        secret: {env: CATALOGUE_SECRET}
"""


def owning(hooks: str, owns: str = "all") -> str:
    """Say of each tenancy of a hooks file what hooksync may remove."""
    return hooks.replace("    subscriptions:", f"    owns: {owns}\n    subscriptions:")


@dataclass
class Place:
    """A folder with a hooks file, a sandbox and a receiver for it, and the environment that binds
    them.
    """

    folder: Path
    box: Sandbox
    receiver: Receiver
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, text: str, name: str = "hooks.yaml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def policy(self, **fields: object) -> str:
        """Write a policy that allows what the place has, but for these fields; return its path."""
        return str(self.write(self.policy_text(**fields), "policy.yaml"))

    def policy_text(self, **fields: object) -> str:
        """Make such a policy."""
        server, receiver = (
            url.split("/")[2] for url in (self.box.url, self.receiver.url("catalogue"))
        )
        given = {
            "version": 1,
            "servers": [server],
            "receivers": [receiver],
            "secret_kinds": ["env"],
            "secret_variables": ["CATALOGUE_SECRET", "FN_KEY"],
            "place_variables": ["BOX", "RECEIVER"],
            "allow_private_receivers": True,
        }
        return "".join(f"{name}: {json.dumps(each)}\n" for name, each in (given | fields).items())

    @property
    def state(self) -> Any:
        """The state beside the hooks file, as it is written."""
        return json.loads((self.folder / "hooks.state.json").read_text())

    @property
    def changing_calls(self) -> list[str]:
        return [call.name for call in self.box.calls if call.name in ("subscribe", "unsubscribe")]

    def rotate(self, *, receiver: bool = True) -> None:
        """Declare a new secret; the receiver, if it takes part, knows the old one too."""
        self.environ["CATALOGUE_SECRET"] = NEW_SECRET
        if receiver:
            self.receiver.set_secret("catalogue", NEW_SECRET, SECRET)

    def popen(
        self, *arguments: str, program: Sequence[str] = ("-m", "hooksync"), **settings: Any
    ) -> subprocess.Popen[str]:
        streams = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
        } | settings
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=self.folder,
            env=self.environ,
            text=True,
            **streams,
        )

    def run(self, *arguments: str, given: str = "") -> Run:
        """Run hooksync within this process; `given`: what it can read on standard input."""
        return checked(hooksync(arguments, self.environ, self.folder, given))

    def run_process(self, *arguments: str, given: str = "") -> Run:
        """Run hooksync as a process of its own."""
        return checked(hooksync_process(arguments, self.environ, self.folder, given))


def checked(run: Run) -> Run:
    """Hold a run to what every run must keep to."""
    assert not [hidden for hidden in HIDDEN if hidden in run.out + run.err]
    assert "Traceback" not in run.err
    assert "error: unforeseen: " not in run.err, run.err
    assert "Exception ignored" not in run.err
    return run


def make_environ(**more: str) -> dict[str, str]:
    """The environment of a child: of ours only what it needs to start. No HOME: serials are
    remembered there.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "PYTHONPATH", "TMPDIR", "LANG")
    }
    return {
        **kept,
        "PRESERVICA_USERNAME": "archivist@example.org",
        "PRESERVICA_PASSWORD": PASSWORD,
        "CATALOGUE_SECRET": SECRET,
        "FN_KEY": URL_KEY,
        "HOOKSYNC_LIST_WAIT": "0",  # these lists never lag
        **more,
    }


def pytest_configure(config: pytest.Config) -> None:
    # under nohup, or in the background of a shell, they are ignored, by the children of tests as
    # well
    for name, handler in (("SIGHUP", signal.SIG_DFL), ("SIGINT", signal.default_int_handler)):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    examples = EXAMPLES.get(config.getoption("markexpr"), 50)
    settings.register_profile("hooksync", deadline=None, max_examples=examples)
    settings.load_profile("hooksync")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`, two more than there are processors: many tests wait most of their time."""
    return (os.cpu_count() or 1) + 2


class ByFile(LoadScopeScheduling):
    """Gives a worker a whole file, whose tests share what is costly to make; of long ones, one test
    at a time.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.endswith(LONG_FILES) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile | None:
    return ByFile(config, log) if config.getvalue("dist") == "load" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # first what waits for locks to expire: at the end, all workers would wait
    items.sort(key=lambda item: "system/test_remote_state.py" not in item.nodeid)
    for item in items if os.name == "nt" else ():
        file, _, test = item.nodeid.removeprefix("tests/").partition("::")
        for place in (file, f"{file}::{test.partition('[')[0]}"):
            if place in NOT_ON_WINDOWS:
                item.add_marker(pytest.mark.skip(reason=f"not on Windows: {NOT_ON_WINDOWS[place]}"))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Iterator[None]:
    """On Windows, skip a test that meets what only POSIX has."""
    try:
        return (yield)
    except Exception as error:
        if what := missing_on_windows(error):
            pytest.skip(f"not on Windows: it needs {what}")
        raise


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def clients(stack: ExitStack) -> Clients:
    clients = Clients()
    stack.callback(clients.transport.close)
    return clients


@pytest.fixture
def options(request: pytest.FixtureRequest) -> SandboxOptions:
    """How the sandbox of `place` behaves; parametrize it indirectly to have another."""
    return getattr(request, "param", SandboxOptions())


@pytest.fixture
def place(tmp_path: Path, options: SandboxOptions) -> Iterator[Place]:
    with Sandbox(options) as box, Receiver({"catalogue": [SECRET]}) as receiver:
        place = Place(
            tmp_path, box, receiver, make_environ(BOX=box.url, RECEIVER=receiver.url("catalogue"))
        )
        place.write(HOOKS)
        yield place
