"""The command `hooksync demo`: a tour on a local tenancy, with the real commands.

This module prints nothing itself, connects only to 127.0.0.1, and leaves nothing behind.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hooksync.sandbox.accounts import TENANT, USERNAME, Account
from hooksync.sandbox.http_server import SandboxError
from hooksync.sandbox.receiver import ReceiverServer
from hooksync.sandbox.server import Sandbox
from hooksync.sandbox.tenancies import SandboxOptions

# makes a context that passes the number of each SIGINT and SIGTERM to a function
CatchSignals = Callable[[Callable[[int], None]], AbstractContextManager[None]]

_HOOKS = """\
version: 1
tenancies:
  demo:
    server: ${{SANDBOX}}                 # yours: e.g. eu.preservica.com
    tenant: DEMO
    subscriptions:
      catalogue:
        url: {receivers}/catalogue
        triggers: [INDEXED, MOVED]
        secret: {{env: CATALOGUE_SECRET}}
      alerts:
        url: {receivers}/alerts
        triggers: [INGEST_FAILED]
        secret: {{env: ALERTS_SECRET}}
"""
_WIDTH = 79  # columns
_INDENT = "    "  # before commands and their output, to tell them from the tour's own words
# prefixes of the variables that are about the user's own tenancies
_USERS_OWN = ("PRESERVICA_", "HOOKSYNC_")


class Stopped(Exception):
    """A signal came."""


@dataclass(frozen=True, slots=True)
class Tour:
    """Shows texts, and runs commands in a folder."""

    announce: Callable[[str], None]  # shows lines
    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    # received so far; after the first one, the tour ends as soon as the running command has ended
    signals: Sequence[int]

    def say(self, text: str) -> None:
        """Show a text. Raises Stopped after a signal."""
        self._show("")
        self._show(text)

    def quote(self, text: str) -> None:
        """Show a file or the output of a command, indented, with long lines wrapped."""
        wrapper = textwrap.TextWrapper(
            _WIDTH,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT * 2,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines():
            self._show(wrapper.fill(line))

    def run(self, command: str, code: int = 0) -> None:
        """Run a hooksync command. Shows it, its output, and its exit code if that is not 0.

        Raises Stopped after a signal, and SandboxError if the exit code is not `code`.
        """
        self.say(f"{_INDENT}$ hooksync {command}")
        done = subprocess.run(  # noqa: S603  our own program
            [sys.executable, "-m", "hooksync", *command.split()],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        self.quote(done.stdout)
        if done.returncode:
            self._show(f"{_INDENT}(exit code {done.returncode})")
        if done.returncode != code:
            what = f"`hooksync {command}` ended with exit code {done.returncode}, not {code}"
            raise SandboxError(what)

    def _show(self, text: str) -> None:
        if self.signals:
            raise Stopped
        self.announce(text)


def run_demo(announce: Callable[[str], None], catch_signals: CatchSignals) -> int:
    """Give the tour. Returns the exit code: 1 after an error, 128 + N after signal N.

    `announce` shows lines.
    """
    signals: list[int] = []
    shared = {name: secrets.token_hex(32) for name in ("catalogue", "alerts")}
    account = Account(password=secrets.token_hex(16))
    try:
        with (
            catch_signals(signals.append),
            TemporaryDirectory(prefix="hooksync-demo-") as folder,
            Sandbox(SandboxOptions(accounts=(account,))) as box,
            ReceiverServer({name: (secret,) for name, secret in shared.items()}) as receiver,
        ):
            environ = clean_environ() | {
                "FORCE_COLOR": "0",
                "SANDBOX": box.url,
                "PRESERVICA_USERNAME": USERNAME,
                "PRESERVICA_PASSWORD": account.password,
                "CATALOGUE_SECRET": shared["catalogue"],
                "ALERTS_SECRET": shared["alerts"],
            }
            tour = Tour(announce, Path(folder), environ, signals)
            _show_first_apply(tour, box, receiver)
            _show_drift(tour, box)
    except Stopped:
        return 128 + signals[0]
    except (OSError, SandboxError) as error:
        announce(
            f"The tour ends early: {error}. Perhaps something on this machine blocks connections to"
            " 127.0.0.1. If not, this is a bug in hooksync: please report it with the output above."
            " Nothing is left behind."
        )
        return 1
    announce("""
Nothing is left behind: the tenancy, its receivers and the folder are gone.

To go on:
    docs/quick-start.md  the guide, up to a tenancy of your own
    hooksync sandbox     a local tenancy to try your own file on
    hooksync --help      the commands""")
    return 0


def _show_first_apply(tour: Tour, box: Sandbox, receiver: ReceiverServer) -> None:
    hooks = _HOOKS.format(receivers=receiver.url("").rstrip("/"))
    (tour.folder / "hooks.yaml").write_text(hooks, encoding="utf-8")
    box.seed(TENANT, "https://vendor.example/hook", "MOVED", secrets.token_hex(32))
    tour.say("""\
A tour of hooksync, with a tenancy that exists on this machine only, and only
as long as the tour takes. You need to set up nothing, and nothing of yours is
touched.""")
    tour.say("1. The file, hooks.yaml")
    tour.say("""\
It declares which subscriptions a tenancy should have: the receiver that
Preservica calls (url), the triggers for which it is called, and where to find
the secret that the two share. The secret itself is never in the file.""")
    tour.quote(f"\n{hooks}")
    tour.run("validate")
    tour.say("2. Plan")
    tour.say("""\
`plan` compares what is declared with what is live in the tenancy, and shows
the difference; it changes nothing. A plus will be subscribed. The dot is left
alone: hooksync removes only what it has made itself.""")
    tour.run("plan")
    tour.say("3. Apply")
    tour.say("""\
`apply` shows the plan, asks, carries it out, and verifies the result. In this
tour nobody can answer, so it is run with --yes. Preservica challenges each
receiver first: one that does not know the secret cannot be subscribed.""")
    tour.run("apply --yes")
    tour.say("Now all is as declared, so there is nothing to do, however often it runs:")
    tour.run("plan")


def _show_drift(tour: Tour, box: Sandbox) -> None:
    for live in box.subscriptions(TENANT):
        if live.trigger == "FULL_TEXT_INDEXED":
            box.remove(TENANT, live.id)
    hooks = tour.folder / "hooks.yaml"
    hooks.write_text(hooks.read_text(encoding="utf-8").partition("      alerts:")[0])
    tour.say("4. Drift")
    tour.say("""\
Somebody has just removed one subscription by hand. You have deleted `alerts`
from the file. With --detailed-exitcode, `plan` ends with exit code 2 when there
are changes, so that a nightly job can raise an alarm.""")
    tour.run("plan --detailed-exitcode", code=2)
    tour.say("""\
`apply` brings back what is missing, and unsubscribes what it has made and the
file does not declare any more (the minus).""")
    tour.run("apply --yes")


def clean_environ() -> dict[str, str]:
    """Return the environment for commands: the user's, without tenancies and proxies."""
    kept: dict[str, str] = {}
    for name, value in os.environ.items():
        upper = name.upper()
        if not upper.startswith(_USERS_OWN) and not upper.endswith("_PROXY"):
            kept[name] = value
    kept["PYTHONIOENCODING"] = "utf-8"
    kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
    return kept
