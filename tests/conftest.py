"""Fixtures for tests of whole commands: a folder with a hooks file, a sandbox and a receiver, in
which hooksync runs. Also settings of pytest.
"""

from __future__ import annotations

import hashlib
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
from tests import lanes
from tests.backends import backend, servers
from tests.boxes import Receiver, Sandbox
from tests.clients import Clients
from tests.clocks import JumpingClock
from tests.command_line import PASSWORD, Run, hooksync, hooksync_process
from tests.site.browser import browser
from tests.stretching import real_scrypt, scrypt, stretch_cheaply

__all__ = ["backend", "browser", "real_scrypt", "servers"]  # fixtures for all tests

# The number of examples that Hypothesis draws, by the value of -m. Examples have no deadline: their
# time depends on how busy the machine is.
EXAMPLES = {"not slow": 20, "": 300}

SHARING_FILES = (  # the tests of each file share a fixture that is costly
    "attacks/test_redirects.py",
    "receivers/test_examples.py",
    "report/test_html_in_a_browser.py",
    "service/test_http.py",
    "site/test_environment.py",
    "site/test_site.py",
    "state/test_backends.py",
    "state/test_cloud.py",
    "state/test_integrity.py",
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
    """Return a hooks file with `owns` set in each tenancy."""
    return hooks.replace("    subscriptions:", f"    owns: {owns}\n    subscriptions:")


def unprobed(hooks: str) -> str:
    """Return a hooks file with `probe: never` in each tenancy."""
    return hooks.replace("    subscriptions:", "    probe: never\n    subscriptions:")


@dataclass
class Place:
    """A folder with a hooks file, its sandbox and receiver, and the environment that names both."""

    folder: Path
    box: Sandbox
    receiver: Receiver
    environ: dict[str, str] = field(default_factory=dict)
    clock: JumpingClock | None = None  # of commands in this process; None: the system's

    def write(self, text: str, name: str = "hooks.yaml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def policy(self, **fields: object) -> str:
        """Write the policy of `policy_text`, and return its path."""
        return str(self.write(self.policy_text(**fields), "policy.yaml"))

    def policy_text(self, **fields: object) -> str:
        """Return a policy that allows everything in this place, with these fields replaced."""
        server, receiver = (
            url.split("/")[2] for url in (self.box.url, self.receiver.url("catalogue"))
        )
        given = {
            "version": 1,
            "servers": [server],
            "receivers": [receiver],
            "secret_kinds": ["env"],
            "login_variables": ["PRESERVICA_*"],
            "secret_variables": ["CATALOGUE_SECRET"],
            "url_variables": ["FN_KEY"],
            "place_variables": ["BOX", "RECEIVER"],
            "allow_private_receivers": True,
        }
        return "".join(f"{name}: {json.dumps(each)}\n" for name, each in (given | fields).items())

    @property
    def state(self) -> Any:
        """The state beside the hooks file, as JSON."""
        return json.loads((self.folder / "hooks.state.json").read_text())

    @property
    def changing_calls(self) -> list[str]:
        return [call.name for call in self.box.calls if call.name in ("subscribe", "unsubscribe")]

    def rotate(self, *, receiver: bool = True) -> None:
        """Declare a new secret. The receiver, if it takes part, accepts the old secret, too."""
        self.environ["CATALOGUE_SECRET"] = NEW_SECRET
        if receiver:
            self.receiver.set_secret("catalogue", NEW_SECRET, SECRET)

    def popen(
        self, *arguments: str, program: Sequence[str] = ("-m", "hooksync"), **settings: Any
    ) -> subprocess.Popen[str]:
        self._assert_real_keys()
        defaults = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "env": self.environ,
        }
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=self.folder,
            text=True,
            **(defaults | settings),
        )

    def run(self, *arguments: str, given: str = "") -> Run:
        """Run hooksync within this process. `given`: its standard input."""
        return checked(hooksync(arguments, self.environ, self.folder, given, clock=self.clock))

    def run_process(self, *arguments: str, given: str = "") -> Run:
        """Run hooksync as a new process. `given`: its standard input."""
        self._assert_real_keys()
        return checked(hooksync_process(arguments, self.environ, self.folder, given))

    def _assert_real_keys(self) -> None:
        """Assert that a new process can compare secrets with those of the state."""
        has_state = (self.folder / "hooks.state.json").exists()
        assert hashlib.scrypt is scrypt or not has_state, "use the fixture real_scrypt"


def checked(run: Run) -> Run:
    """Assert that a run shows no secret, no traceback and no internal error; return the run."""
    assert not [hidden for hidden in HIDDEN if hidden in run.out + run.err]
    assert "Traceback" not in run.err
    assert "error: internal error: " not in run.err, run.err
    assert "Exception ignored" not in run.err
    return run


def make_environ(**more: str) -> dict[str, str]:
    """Return the environment of a child: the log-in, the secrets, and of ours only the variables
    that it needs to start. HOME is not among them.
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
    hashlib.scrypt = stretch_cheaply  # type: ignore[assignment]
    # under nohup or in the background of a shell, these signals are ignored, also by the children
    # of tests
    for name, handler in (("SIGHUP", signal.SIG_DFL), ("SIGINT", signal.default_int_handler)):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    lanes.is_campaign = not {"not slow", "not nightly"} & {config.getoption("markexpr")}
    examples = EXAMPLES.get(config.getoption("markexpr"), 50)
    settings.register_profile("hooksync", deadline=None, max_examples=examples)
    settings.load_profile("hooksync")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of workers for `-n auto`: more than processors, because tests also wait.
    Each worker collects all tests, which takes seconds, so the fast lane has one fewer.
    """
    return (os.cpu_count() or 1) + (1 if config.getoption("markexpr") == "not slow" else 2)


class OneByOne(LoadScopeScheduling):
    """Gives a worker one test at a time, or a whole file if its tests share a costly fixture."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.endswith(SHARING_FILES) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneByOne | None:
    return OneByOne(config, log) if config.getvalue("dist") == "load" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # slow tests come first: at the end, no worker waits for one of them
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the coverage of branches, if .ci/run measures it. A worker must not: to combine the
    files deletes them, and the next combination forgets what they had.
    """
    environ = dict(os.environ)
    if "PYTEST_XDIST_WORKER" in environ or not environ.pop("COVERAGE_PROCESS_START", ""):
        return
    for command in ("combine", "report"):
        done = subprocess.run(
            [sys.executable, "-m", "coverage", command, "--rcfile=pyproject.toml"],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    terminalreporter.write(done.stdout)


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
    """Return the options of the sandbox of `place`. An indirect parameter can replace them."""
    return getattr(request, "param", SandboxOptions())


@pytest.fixture
def place(tmp_path: Path, options: SandboxOptions) -> Iterator[Place]:
    with Sandbox(options) as box, Receiver({"catalogue": [SECRET]}) as receiver:
        place = Place(
            tmp_path, box, receiver, make_environ(BOX=box.url, RECEIVER=receiver.url("catalogue"))
        )
        place.write(HOOKS)
        yield place
