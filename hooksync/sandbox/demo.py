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
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hooksync.sandbox.accounts import PASSWORD, TENANT, USERNAME
from hooksync.sandbox.faults import SandboxError
from hooksync.sandbox.receiver import ReceiverServer
from hooksync.sandbox.server import Sandbox

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
# the parts of the tour: a line that begins with $ is a command, which is run
_THE_FILE = (
    """\
A tour of hooksync, with a tenancy that exists on this machine only, and only
as long as the tour takes. You need to set up nothing, and nothing of yours is
touched.""",
    "1. The file, hooks.yaml",
    """\
It declares which subscriptions a tenancy should have: the receiver that
Preservica calls (url), the triggers for which it is called, and where to find
the secret that the two share. The secret itself is never in the file.""",
)
_PLAN_AND_APPLY = (
    "$ hooksync validate",
    "2. Plan",
    """\
`plan` compares what is declared with what is live in the tenancy, and shows
the difference; it changes nothing. A plus will be subscribed. The dot is left
alone: hooksync did not make it, and the file does not ask for its removal.""",
    "$ hooksync plan",
    "3. Apply",
    """\
`apply` shows the plan, prompts, carries it out, and verifies the result. Here,
nobody can answer, so it is run with --yes. Preservica challenges each
receiver first: a receiver with a different secret cannot be subscribed.""",
    "$ hooksync apply --yes",
    "Now all is as declared, so there is nothing to do, however often it runs:",
    "$ hooksync plan",
)
_DRIFT = (
    "4. Drift",
    """\
Somebody has just removed one subscription by hand. You have deleted `alerts`
from the file. With --detailed-exitcode, `plan` ends with exit code 2 when there
are changes, so that a nightly job can raise an alarm.""",
    "$ hooksync plan --detailed-exitcode",
    """\
`apply` brings back what is missing, and unsubscribes what it has made and the
file does not declare any more (the minus).""",
    "$ hooksync apply --yes",
)
_CHANGES = "--detailed-exitcode"  # then the exit code is 2, as there are changes
_WIDTH = 79  # columns
_INDENT = "    "  # before commands and their output, to tell them from the tour's own words
# prefixes of the variables that are about the user's own tenancies, and of proxies
_LEFT_OUT = ("PRESERVICA_", "HOOKSYNC_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Tour:
    """Shows texts, and runs commands in a folder."""

    announce: Callable[[str], None]  # shows lines
    folder: Path
    environ: Mapping[str, str] = field(repr=False)

    def show(self, parts: Sequence[str]) -> None:
        """Show texts, and run commands."""
        for part in parts:
            if part.startswith("$ "):
                self.announce(f"\n{_INDENT}{part}")
                self._run(part)
            else:
                self.announce(f"\n{part}")

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
            self.announce(wrapper.fill(line))

    def _run(self, command: str) -> None:
        """Run a hooksync command. Shows its output, and its exit code if that is not 0.

        Raises SandboxError if the exit code is not the expected one.
        """
        done = subprocess.run(  # noqa: S603  our own program
            [sys.executable, "-m", *command.split()[1:]],
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
            self.announce(f"{_INDENT}(exit code {done.returncode})")
        if done.returncode != (2 if _CHANGES in command else 0):
            raise SandboxError(f"`{command[2:]}` ended with exit code {done.returncode}")


def run_demo(announce: Callable[[str], None]) -> None:
    """Give the tour. `announce` shows lines; if it raises an exception, the tour ends.

    Raises SandboxError if a command fails, and OSError if no server can be started.
    """
    shared = {name: secrets.token_hex(32) for name in ("catalogue", "alerts")}
    with (
        TemporaryDirectory(prefix="hooksync-demo-") as folder,
        Sandbox() as box,
        ReceiverServer({name: (secret,) for name, secret in shared.items()}) as receiver,
    ):
        environ = clean_environ() | {
            "FORCE_COLOR": "0",
            "SANDBOX": box.url,
            "PRESERVICA_USERNAME": USERNAME,
            "PRESERVICA_PASSWORD": PASSWORD,
            "CATALOGUE_SECRET": shared["catalogue"],
            "ALERTS_SECRET": shared["alerts"],
        }
        _give(Tour(announce, Path(folder), environ), box, receiver)
    announce("""
Nothing is left behind: the tenancy, its receivers and the folder are gone.

To go on:
    docs/quick-start.md  the guide, up to a tenancy of your own
    hooksync sandbox     a local tenancy to try your own file on
    hooksync --help      the commands""")


def _give(tour: Tour, box: Sandbox, receiver: ReceiverServer) -> None:
    """Give the tour. Between its parts, somebody changes the tenancy and the file."""
    text = _HOOKS.format(receivers=receiver.url("").rstrip("/"))
    hooks = tour.folder / "hooks.yaml"
    hooks.write_text(text, encoding="utf-8")
    box.seed(TENANT, "https://vendor.example/hook", "MOVED", secrets.token_hex(32))
    tour.show(_THE_FILE)
    tour.quote(f"\n{text}")
    tour.show(_PLAN_AND_APPLY)
    for live in box.subscriptions(TENANT):
        if live.trigger == "FULL_TEXT_INDEXED":
            box.remove(TENANT, live.id)
    hooks.write_text(text.partition("      alerts:")[0], encoding="utf-8")
    tour.show(_DRIFT)


def clean_environ() -> dict[str, str]:
    """Return the environment for commands: the user's, without tenancies and proxies."""
    kept = {}
    for name, value in os.environ.items():
        if not name.upper().startswith(_LEFT_OUT):
            kept[name] = value
    kept["PYTHONIOENCODING"] = "utf-8"
    kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
    return kept
