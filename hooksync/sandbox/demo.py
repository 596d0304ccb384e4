"""The command `hooksync demo`: a tour on a local tenancy, with the real commands.

The tour stands in tour.txt: the hooks file, the script, and what is shown when all is removed. In
the script `# ` begins a title, `$ ` a command that is run, with the exit codes that it may end
with, and `! ` what happens meanwhile, by its name in `_stage`.

Prints nothing itself, reaches 127.0.0.1 alone, leaves nothing behind.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hooksync.sandbox.accounts import TENANT, USERNAME, Account
from hooksync.sandbox.http_server import SandboxError
from hooksync.sandbox.receiver import Receiver
from hooksync.sandbox.server import Sandbox
from hooksync.sandbox.tenancies import SandboxOptions

# of SIGINT and SIGTERM, to a function
CatchSignals = Callable[[Callable[[int], None]], AbstractContextManager[None]]

_BROKEN = (
    "The tour ends early: {}. Perhaps something on this machine blocks connections to 127.0.0.1. If"
    " not, this is a bug in hooksync: please report it with the output above. Nothing is left"
    " behind."
)

_WIDTH = 80  # columns
_INDENT = "    "  # before commands and their output, to tell them from the tour's own words
# beginnings of variables that are about the user's own tenancies
_USERS_OWN = (
    "PRESERVICA_",
    "HOOKSYNC_",
)


class Stopped(Exception):
    """A signal came."""


@dataclass(slots=True)
class Tour:
    """Goes through a script, and runs its commands in a folder."""

    announce: Callable[[str], None]  # shows a line
    is_coloured: bool = False
    folder: Path = Path()
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    events: Mapping[str, Callable[[], None]] = field(default_factory=dict)  # what happens meanwhile
    # that came: it is noted, so that it does not interrupt the cleaning up
    signal: int | None = None
    _plan: list[str] = field(default_factory=list)  # the lines of the plan that was shown last

    def note(self, number: int) -> None:
        """Handle a signal: the tour ends after the running command, which gets the signal, too."""
        self.signal = number

    def follow(self, script: Iterable[str]) -> None:
        """Show the script line by line, and do what it says.

        Raises Stopped, SandboxError for a wrong exit code.
        """
        for line in script:
            kind, _, text = line.partition(" ")
            match kind:
                case "#":
                    self._show(self._bold(text))
                case "$":
                    command, _, codes = text.partition("  # ")
                    self._command(command, codes or "0")
                case "!":
                    self.events[text]()
                case _:
                    self._show(line)

    def _command(self, text: str, codes: str) -> None:
        """Run a command, and show it with its output, and with its exit code if that is not 0."""
        self._show(_INDENT + self._bold(f"$ {text}"))
        program, *arguments = text.split()
        if program == "cat":
            output, code = (
                "".join((self.folder / name).read_text(encoding="utf-8") for name in arguments),
                0,
            )
        else:
            output, code = self._run(arguments)
        for line in self._without_repetition(output.splitlines()):
            self._show(_indented(line))
        if code:
            self._show(f"{_INDENT}(exit code {code})")
        if str(code) not in codes.split(" or "):
            raise SandboxError(f"`{text}` ended with exit code {code}, not {codes}")

    def _run(self, arguments: Sequence[str]) -> tuple[str, int]:
        """Run hooksync to its end; returns its output and its exit code."""
        done = subprocess.run(  # noqa: S603  our own program
            [sys.executable, "-m", "hooksync", *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        return done.stdout, done.returncode

    def _without_repetition(self, lines: list[str]) -> list[str]:
        """Leave out a plan that was shown just before: `apply` begins with what `plan` shows."""
        length = next(
            (number for number, line in enumerate(lines, start=1) if line.startswith("Plan:")), 0
        )
        plan, self._plan = self._plan, lines[:length] or self._plan
        return (
            ["(the same plan as above)", *lines[length:]]
            if length and plan == self._plan
            else lines
        )

    def _show(self, line: str) -> None:
        if self.signal is not None:
            raise Stopped
        self.announce(line.rstrip())

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self.is_coloured else text


def run_demo(
    announce: Callable[[str], None], catch_signals: CatchSignals, *, is_coloured: bool
) -> int:
    """Give the tour; returns the exit code: 1 if a command did not do what it should.

    `announce` shows a line.
    """
    hooks, script, farewell = (
        Path(__file__).with_name("tour.txt").read_text(encoding="utf-8").split("---\n")
    )
    tour = Tour(announce, is_coloured)
    try:
        with catch_signals(tour.note), _stage(tour, hooks):
            tour.follow(script.splitlines())
    except Stopped:
        return 128 + (tour.signal or 0)
    except (OSError, SandboxError) as error:
        announce(_BROKEN.format(error))
        return 1
    announce(farewell.rstrip("\n"))
    return 0


@contextmanager
def _stage(tour: Tour, template: str) -> Iterator[None]:
    """Start a tenancy with its receivers and a folder for commands; all are removed at the end."""
    password = secrets.token_hex(16)
    shared = {name: secrets.token_hex(32) for name in ("catalogue", "alerts")}
    with (
        TemporaryDirectory(prefix="hooksync-demo-") as folder,
        Sandbox(SandboxOptions(accounts=(Account(password=password),))) as box,
        Receiver({name: (secret,) for name, secret in shared.items()}) as receiver,
    ):
        hooks = template.replace("RECEIVERS", receiver.url("").rstrip("/"))
        file = Path(folder, "hooks.yaml")

        def change_by_hand() -> None:
            lost = next(
                live for live in box.subscriptions(TENANT) if live.trigger == "FULL_TEXT_INDEXED"
            )
            box.remove(TENANT, lost.id)
            box.seed(TENANT, receiver.url("old-catalogue"), "MOVED", secrets.token_hex(32))

        def change_file_and_secret() -> None:
            file.write_text(
                hooks.replace("INGEST_FAILED", "INGEST_FAILED, SECURITY_CHANGED"), encoding="utf-8"
            )
            receiver.set_secret("alerts", secrets.token_hex(32))

        tour.events = {
            "somebody changes the tenancy by hand": change_by_hand,
            "the file changes, and the secret of a receiver": change_file_and_secret,
            "the receiver gets the right secret again": lambda: receiver.set_secret(
                "alerts", shared["alerts"]
            ),
        }
        tour.folder = Path(folder)
        tour.environ = clean_environ() | {
            "FORCE_COLOR": "1" if tour.is_coloured else "0",
            "SANDBOX": box.url,
            "PRESERVICA_USERNAME": USERNAME,
            "PRESERVICA_PASSWORD": password,
            "CATALOGUE_SECRET": shared["catalogue"],
            "ALERTS_SECRET": shared["alerts"],
        }
        file.write_text(hooks, encoding="utf-8")
        box.seed(TENANT, "https://vendor.example/hook", "MOVED", secrets.token_hex(32))
        yield


def clean_environ() -> dict[str, str]:
    """Return the user's environment without tenancies and proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_USERS_OWN) and not name.upper().endswith("_PROXY")
    }
    return kept | {
        "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
    }


def _indented(line: str) -> str:
    """Indent a line of a command's output, and wrap it if it is too long."""
    if len(_INDENT + line) < _WIDTH or "\x1b" in line:  # colours take no columns
        return _INDENT + line
    margin = _INDENT + line[: len(line) - len(line.lstrip())]
    wrapper = textwrap.TextWrapper(
        _WIDTH - 1, margin, margin + _INDENT, break_long_words=False, break_on_hyphens=False
    )
    return wrapper.fill(" ".join(line.split()))
