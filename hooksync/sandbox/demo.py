"""The command `hooksync demo`: a tour on a local tenancy, with the real commands.

The story is told from `_declare` to `_refuse`. Prints nothing itself, reaches nothing but 127.0.0.1, leaves nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from hooksync.sandbox import defaults
from hooksync.sandbox.accounts import Account
from hooksync.sandbox.demo_shell import Shell, Stopped, Unexpected, Watch, clean_environ, paragraph
from hooksync.sandbox.messages import SandboxError
from hooksync.sandbox.receiver import Receiver
from hooksync.sandbox.server import Sandbox, SandboxOptions

_HOOKS = """\
version: 1
tenancies:
  demo:
    server: ${SANDBOX}                   # yours: eu.preservica.com, say
    tenant: DEMO
    owns: ["RECEIVERS"]     # what lies elsewhere is left alone
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

_WELCOME = """A tour of hooksync, on a tenancy that is on this machine only, and only for as long as the tour takes.
Nothing has to be set up, and nothing of yours is touched."""

_FAREWELL = """\
Nothing is left behind: the tenancy, its receivers and the folder are gone.

To go on:
    README               the guide, up to a tenancy of your own
    hooksync sandbox     a local tenancy to try your own file on
    hooksync --help      the commands"""

_BROKEN = """The tour ends early: {}. Perhaps something on this machine keeps programs from talking over 127.0.0.1. If
not, this is a fault of hooksync: please report it with what is shown above. Nothing is left behind."""


CatchSignals = Callable[[Callable[[int], None]], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class _Stage:
    """What the tour is played on."""

    shell: Shell
    box: Sandbox
    receiver: Receiver
    secrets: dict[str, str] = field(repr=False)  # that the commands are given; by the receiver's name

    def write(self, hooks: str) -> None:
        """Write the hooks file."""
        (self.shell.folder / "hooks.yaml").write_text(hooks, encoding="utf-8")


def run_demo(announce: Callable[[str], None], catch_signals: CatchSignals, *, is_coloured: bool) -> int:
    """Give the tour. `announce` shows a line. Gives the exit code: 1 where a command did not do what it should.

    `catch_signals` hands each SIGINT and SIGTERM to a function while it is entered.
    """
    try:
        with _open_stage(announce, catch_signals, is_coloured=is_coloured) as stage:
            stage.shell.say(_WELCOME)
            for tell in (_declare, _plan, _apply, _mend, _refuse):
                tell(stage)
    except Stopped as stopped:
        return stopped.exit_code
    except (OSError, SandboxError, Unexpected) as error:
        announce(paragraph(_BROKEN.format(error)))
        return 1
    announce(_FAREWELL)
    return 0


@contextmanager
def _open_stage(announce: Callable[[str], None], catch_signals: CatchSignals, *, is_coloured: bool) -> Iterator[_Stage]:
    """Start a tenancy with its receivers, and make a folder to run commands in; all of it is gone at the end."""
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
            "PRESERVICA_USERNAME": defaults.USERNAME,
            "PRESERVICA_PASSWORD": password,
            "CATALOGUE_SECRET": shared["catalogue"],
            "ALERTS_SECRET": shared["alerts"],
        }
        yield _Stage(Shell(announce, watch, Path(folder), environ, is_coloured), box, receiver, shared)


def _hooks(stage: _Stage) -> str:
    return _HOOKS.replace("RECEIVERS", stage.receiver.url("").rstrip("/"))


def _declare(stage: _Stage) -> None:
    shell = stage.shell
    stage.write(_hooks(stage))
    shell.title("1. The file")
    shell.say(
        """It declares which subscriptions a tenancy is to have: the receiver that Preservica calls (url), the
        triggers to call it for, and where the secret is found that the two share. The secret itself never stands
        in the file."""
    )
    shell.command("cat hooks.yaml")
    shell.show(_hooks(stage))
    shell.hooksync("validate")


def _plan(stage: _Stage) -> None:
    stage.box.seed(defaults.TENANT, "https://vendor.example/hook", "MOVED", secrets.token_hex(32))
    stage.shell.title("2. Plan")
    stage.shell.say(
        """`plan` compares what is declared with what is live in the tenancy, and shows the difference; it changes
        nothing. A plus is to be subscribed. The dot is left alone: it is somebody else's, outside `owns`."""
    )
    stage.shell.hooksync("plan")


def _apply(stage: _Stage) -> None:
    shell = stage.shell
    shell.title("3. Apply")
    shell.say(
        """`apply` plans, asks, and does it; then it looks again. Here nobody is asked, hence the --yes. Preservica
        challenges each receiver first: one that does not know the secret cannot be subscribed."""
    )
    shell.hooksync("apply", "--yes")
    shell.say("Now that all is as declared, there is nothing to do, however often it runs:")
    shell.hooksync("plan")


def _mend(stage: _Stage) -> None:
    shell, box = stage.shell, stage.box
    lost = next(live for live in box.subscriptions(defaults.TENANT) if live.trigger == "FULL_TEXT_INDEXED")
    box.remove(defaults.TENANT, lost.id)
    box.seed(defaults.TENANT, stage.receiver.url("old-catalogue"), "MOVED", secrets.token_hex(32))
    shell.title("4. Drift")
    shell.say(
        """Somebody has just removed one subscription by hand, and added another. With --detailed-exitcode, `plan`
        ends with exit code 2 when there are changes, so that a nightly job can raise the alarm."""
    )
    shell.hooksync("plan", "--detailed-exitcode", expects=(2,))
    shell.say("`apply` brings back what is missing, and unsubscribes what is not declared (the minus).")
    shell.hooksync("apply", "--yes")


def _refuse(stage: _Stage) -> None:
    shell = stage.shell
    stage.write(_hooks(stage).replace(_TRIGGERS, _MORE_TRIGGERS))
    stage.receiver.set_secret("alerts", secrets.token_hex(32))
    shell.title("5. A receiver with the wrong secret")
    shell.say("Another trigger is wanted for the alerts, so their line in the file changes:")
    shell.show(f"-{_TRIGGERS}\n+{_MORE_TRIGGERS}")
    shell.say(
        """But meanwhile their receiver was given another secret than ALERTS_SECRET. It fails the challenge, so it is
        refused; nothing else is touched."""
    )
    shell.hooksync("apply", "--yes", expects=_REFUSED)
    stage.receiver.set_secret("alerts", stage.secrets["alerts"])
    shell.say("The mend is in the line that begins with `fix:`. The receiver now holds the right secret again:")
    shell.hooksync("apply", "--yes")
