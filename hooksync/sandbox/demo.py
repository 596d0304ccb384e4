"""The command `hooksync demo`: a tour on a local tenancy, with the real commands.

The story runs from `_declare` to `_refuse`. Prints nothing itself, reaches 127.0.0.1 alone, leaves nothing behind.
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

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.arguments import TENANT, USERNAME
from hooksync.sandbox.http_server import SandboxError
from hooksync.sandbox.receiver import Receiver
from hooksync.sandbox.server import Sandbox, SandboxOptions

CatchSignals = Callable[[Callable[[int], None]], AbstractContextManager[None]]

_HOOKS = """\
version: 1
tenancies:
  demo:
    server: ${SANDBOX}                 # yours: e.g. eu.preservica.com
    tenant: DEMO
    owns: ["RECEIVERS"]   # other URLs are left alone
    subscriptions:
      catalogue:
        url: RECEIVERS/catalogue
        triggers: [INDEXED, MOVED]
        secret: {env: CATALOGUE_SECRET}
      alerts:
        url: RECEIVERS/alerts
        triggers: [INGEST_FAILED]
        secret: {env: ALERTS_SECRET}
"""
_TRIGGERS = "        triggers: [INGEST_FAILED]"
_MORE_TRIGGERS = "        triggers: [INGEST_FAILED, SECURITY_CHANGED]"

_REFUSED = (1, 3)  # by the service, or by hooksync, which may challenge the receiver itself before it changes anything

_WELCOME = """A tour of hooksync, with a tenancy that exists on this machine only, and only as long as the tour takes.
You need to set up nothing, and nothing of yours is touched."""

_FAREWELL = """\
Nothing is left behind: the tenancy, its receivers and the folder are gone.

To go on:
    README               the guide, up to a tenancy of your own
    hooksync sandbox     a local tenancy to try your own file on
    hooksync --help      the commands"""

_BROKEN = """The tour ends early: {}. Perhaps something on this machine blocks connections to 127.0.0.1. If not, this is
a bug in hooksync: please report it with the output above. Nothing is left behind."""

_WIDTH = 80  # columns
_INDENT = "    "  # before commands and their output, to tell them from the tour's own words
_COLOURED = ("plan", "apply")  # the commands that take --color
_USERS_OWN = ("PRESERVICA_", "HOOKSYNC_")  # beginnings of variables that are about the user's own tenancies


class Stopped(Exception):
    """A signal came."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Unexpected(Exception):
    """A command ended with another exit code than the tour expects."""


class Watch:
    """Notes a signal, so that it does not interrupt the cleaning up, and ends the command that runs then."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[str] | None = None  # the last command that was started
        self._noted: int | None = None

    def check(self) -> None:
        """Raise Stopped after a signal."""
        if self._noted is not None:
            raise Stopped(self._noted)

    def note(self, number: int) -> None:
        """Handle a signal."""
        self._noted = number
        if self.child is not None:
            self.child.terminate()


@dataclass(slots=True)
class Shell:
    """Runs commands, and shows them with their output."""

    announce: Callable[[str], None]  # shows a line
    watch: Watch
    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    is_coloured: bool
    _plan: list[str] = field(default_factory=list)  # the lines of the plan that was shown last

    def title(self, text: str) -> None:
        """Begin a part of the tour."""
        self._show([self._bold(text)])

    def say(self, text: str) -> None:
        """Show the tour's own words, as a paragraph."""
        self._show([_paragraph(text)])

    def show(self, text: str) -> None:
        """Show the text of a file, or of a part of it."""
        self._show(_INDENT + line for line in text.splitlines())

    def command(self, text: str) -> None:
        """Show a command as a user would type it."""
        self._line(_INDENT + self._bold(f"$ {text}"))

    def hooksync(self, *arguments: str, expects: tuple[int, ...] = (0,)) -> None:
        """Run a command, and show it with its output, and with its exit code if that is not 0.

        Raises Unexpected for an exit code that is not one of the expected ones.
        """
        text = " ".join(("hooksync", *arguments))
        self.command(text)
        colour = ("--color", "always") if self.is_coloured and arguments[0] in _COLOURED else ()
        output, code = self._run([*arguments, *colour])
        lines = self._without_repetition(output.splitlines())
        self._show([*map(_indented, lines), *([f"{_INDENT}(exit code {code})"] if code else [])])
        if code not in expects:
            raise Unexpected(f"`{text}` ended with exit code {code}, not {' or '.join(map(str, expects))}")

    def _run(self, arguments: Sequence[str]) -> tuple[str, int]:
        """Run a command to its end; returns its output and its exit code."""
        with subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-m", "hooksync", *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            process_group=0,  # Ctrl-C goes to the tour alone, which then ends the command
        ) as child:
            self.watch.child = child
            output, _ = child.communicate()
        return output, child.returncode

    def _without_repetition(self, lines: list[str]) -> list[str]:
        """Leave out a plan that was shown just before: `apply` begins with what `plan` shows."""
        length = next((number for number, line in enumerate(lines, start=1) if line.startswith("Plan:")), 0)
        plan, self._plan = self._plan, lines[:length] or self._plan
        return ["(the same plan as above)", *lines[length:]] if length and plan == self._plan else lines

    def _show(self, lines: Iterable[str]) -> None:
        for line in (*lines, ""):
            self._line(line)

    def _line(self, text: str) -> None:
        self.watch.check()
        self.announce(text.rstrip())

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self.is_coloured else text


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the tour needs."""

    shell: Shell
    box: Sandbox
    receiver: Receiver
    secrets: dict[str, str] = field(repr=False)  # those that the commands know; by the receiver's name

    @property
    def hooks(self) -> str:
        return _HOOKS.replace("RECEIVERS", self.receiver.url("").rstrip("/"))

    def write(self, hooks: str) -> None:
        """Write the hooks file."""
        (self.shell.folder / "hooks.yaml").write_text(hooks, encoding="utf-8")


def run_demo(announce: Callable[[str], None], catch_signals: CatchSignals, *, is_coloured: bool) -> int:
    """Give the tour. `announce` shows a line. Returns the exit code: 1 if a command did not do what it should.

    `catch_signals` hands each SIGINT and SIGTERM to a function while it is entered.
    """
    try:
        with _open_stage(announce, catch_signals, is_coloured=is_coloured) as stage:
            stage.shell.say(_WELCOME)
            for tell in (_declare, _plan, _apply, _repair, _refuse):
                tell(stage)
    except Stopped as stopped:
        return stopped.exit_code
    except (OSError, SandboxError, Unexpected) as error:
        announce(_paragraph(_BROKEN.format(error)))
        return 1
    announce(_FAREWELL)
    return 0


@contextmanager
def _open_stage(announce: Callable[[str], None], catch_signals: CatchSignals, *, is_coloured: bool) -> Iterator[_Stage]:
    """Start a tenancy with its receivers, and make a folder to run commands in; all of it is removed at the end."""
    password = secrets.token_hex(16)
    shared = {name: secrets.token_hex(32) for name in ("catalogue", "alerts")}
    watch = Watch()
    with (
        catch_signals(watch.note),
        TemporaryDirectory(prefix="hooksync-demo-") as folder,
        Sandbox(SandboxOptions(accounts=(Account(password=password),))) as box,
        Receiver({name: (secret,) for name, secret in shared.items()}) as receiver,
    ):
        environ = clean_environ() | {
            "SANDBOX": box.url,
            "PRESERVICA_USERNAME": USERNAME,
            "PRESERVICA_PASSWORD": password,
            "CATALOGUE_SECRET": shared["catalogue"],
            "ALERTS_SECRET": shared["alerts"],
            **dict.fromkeys(("XDG_CACHE_HOME", "LOCALAPPDATA"), folder),
        }
        yield _Stage(Shell(announce, watch, Path(folder), environ, is_coloured), box, receiver, shared)


def _declare(stage: _Stage) -> None:
    stage.write(stage.hooks)
    stage.shell.title("1. The file")
    stage.shell.say(
        """It declares which subscriptions a tenancy should have: the receiver that Preservica calls (url), the
        triggers for which it is called, and where to find the secret that the two share. The secret itself is never
        in the file."""
    )
    stage.shell.command("cat hooks.yaml")
    stage.shell.show(stage.hooks)
    stage.shell.hooksync("validate")


def _plan(stage: _Stage) -> None:
    stage.box.seed(TENANT, "https://vendor.example/hook", "MOVED", secrets.token_hex(32))
    stage.shell.title("2. Plan")
    stage.shell.say(
        """`plan` compares what is declared with what is live in the tenancy, and shows the difference; it changes
        nothing. A plus will be subscribed. The dot is left alone: it is not ours, because its URL is outside
        `owns`."""
    )
    stage.shell.hooksync("plan")


def _apply(stage: _Stage) -> None:
    stage.shell.title("3. Apply")
    stage.shell.say(
        """`apply` shows the plan, asks, carries it out, and verifies the result. In this tour nobody can answer, so
        it is run with --yes. Preservica challenges each receiver first: one that does not know the secret cannot be
        subscribed."""
    )
    stage.shell.hooksync("apply", "--yes")
    stage.shell.say("Now all is as declared, so there is nothing to do, however often it runs:")
    stage.shell.hooksync("plan")


def _repair(stage: _Stage) -> None:
    box = stage.box
    lost = next(live for live in box.subscriptions(TENANT) if live.trigger == "FULL_TEXT_INDEXED")
    box.remove(TENANT, lost.id)
    box.seed(TENANT, stage.receiver.url("old-catalogue"), "MOVED", secrets.token_hex(32))
    stage.shell.title("4. Drift")
    stage.shell.say(
        """Somebody has just removed one subscription by hand, and added another. With --detailed-exitcode, `plan`
        ends with exit code 2 when there are changes, so that a nightly job can raise an alarm."""
    )
    stage.shell.hooksync("plan", "--detailed-exitcode", expects=(2,))
    stage.shell.say("`apply` brings back what is missing, and unsubscribes what is not declared (the minus).")
    stage.shell.hooksync("apply", "--yes")


def _refuse(stage: _Stage) -> None:
    shell = stage.shell
    stage.write(stage.hooks.replace(_TRIGGERS, _MORE_TRIGGERS))
    stage.receiver.set_secret("alerts", secrets.token_hex(32))
    shell.title("5. A receiver with the wrong secret")
    shell.say("The alerts need another trigger, so their line in the file changes:")
    shell.show(f"-{_TRIGGERS}\n+{_MORE_TRIGGERS}")
    shell.say(
        """But meanwhile their receiver was given another secret than ALERTS_SECRET. It fails the challenge, so the
        change is refused; nothing else is touched."""
    )
    shell.hooksync("apply", "--yes", expects=_REFUSED)
    stage.receiver.set_secret("alerts", stage.secrets["alerts"])
    shell.say("The line that begins with `fix:` says what to do. Now the receiver has the right secret again:")
    shell.hooksync("apply", "--yes")


def clean_environ() -> dict[str, str]:
    """Return the user's environment without their tenancies and proxies, so that commands run this hooksync."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_USERS_OWN) and not name.upper().endswith("_PROXY")
    }
    return kept | {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}


def _paragraph(text: str, first: str = "", others: str = "") -> str:
    """Break a text at spaces into lines that fit the width. `first`, `others`: what the lines begin with."""
    wrapper = textwrap.TextWrapper(_WIDTH - 1, first, others, break_long_words=False, break_on_hyphens=False)
    return wrapper.fill(" ".join(text.split()))


def _indented(line: str) -> str:
    """Indent a line of a command's output; one that is too long is continued further to the right."""
    if len(_INDENT + line) < _WIDTH or "\x1b" in line:  # colours take no columns
        return _INDENT + line
    margin = _INDENT + line[: len(line) - len(line.lstrip())]
    return _paragraph(line, margin, margin + _INDENT)
