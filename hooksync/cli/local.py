"""The commands `sandbox` and `demo`. Only the command line starts the sandbox.

`SANDBOX` in commands.py explains faults and traits.
"""

from __future__ import annotations

import gc
import math
import re
import secrets
import shlex
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hooksync.cli.terminal import catch_signals
from hooksync.core.clock import SYSTEM_CLOCK, rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, FileError, Problem, StartError, UsageError
from hooksync.core.record import Record
from hooksync.core.urls import masked_url
from hooksync.receivers.http_server import PortError
from hooksync.sandbox import demo as tour
from hooksync.sandbox.faults import SandboxError
from hooksync.sandbox.receiver import ReceiverServer
from hooksync.sandbox.server import Sandbox
from hooksync.sandbox.tenancies import PASSWORD, TENANT, TRAITS, Account, SandboxOptions

_FIX = "give different flags; `hooksync sandbox --help` explains them"
_PORT_FIX = "choose different ports with --port and --receiver-port; 0 is any free one"
_TOUR_FIX = (
    "allow connections to 127.0.0.1; if nothing blocks them, report this as a bug of hooksync, with"
    " the output above; nothing is left behind"
)
_PASSWORD_ENV = "SANDBOX_PASSWORD"  # noqa: S105  the variable with a different password
_RECEIVER = re.compile("(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:=(?P<variable>.+))?")
_SECOND_TERMINAL = "In a second terminal, paste this; then try hooksync plan and hooksync apply:"


class SandboxFlags(Record, frozen=True):
    """The flags of `sandbox`."""

    port: int
    faults: Sequence[str]
    traits: Sequence[str]
    list_lag: float  # seconds
    tenant: Sequence[str]
    receiver: Sequence[str]  # NAME=ENV or NAME
    receiver_port: int
    write_hooks: str | None  # path


class NamedReceiver(Record, frozen=True):
    """A receiver of the sandbox, its secret, and the variable that the hooks file names for it."""

    HIDDEN = ("secret",)

    name: str
    variable: str
    secret: str


def demo(context: Context) -> ExitCode:
    """Show what hooksync does, on a sandbox."""
    signals: list[int] = []

    def announce(text: str) -> None:
        if signals:
            raise KeyboardInterrupt  # the running command has ended
        _say(context, text)

    with catch_signals(signals.append):
        try:
            tour.run_demo(announce)
        except KeyboardInterrupt:
            return ExitCode(128 + signals[0])
        except (OSError, SandboxError) as error:
            raise StartError(Problem(f"the tour ends early: {error}", _TOUR_FIX)) from None
    return ExitCode.DONE


def sandbox(flags: SandboxFlags, context: Context) -> ExitCode:
    """Run a sandbox with receivers until a signal."""
    gc.enable()  # `main` disables it, but the sandbox runs for a long time
    receivers = [
        _read_receiver(written, context.environ) for written in flags.receiver or ["catalogue"]
    ]
    named = {receiver.name: receiver for receiver in receivers}  # the last one of each name
    done = threading.Event()
    with catch_signals(lambda _: done.set()), ExitStack() as running:
        try:
            options = _read_options(flags, context)
            _say(context, _start(running, flags, options, tuple(named.values()), context))
        except PortError as error:
            raise StartError(Problem(str(error), _PORT_FIX)) from None
        except SandboxError as error:
            raise UsageError(Problem(str(error), _FIX)) from None
        SYSTEM_CLOCK.wait(done, math.inf)
    return ExitCode.DONE


def _say(context: Context, text: str) -> None:
    context.terminal.result(f"{text}\n")


def _log(context: Context, kind: str, what: str, result: object) -> None:
    """Write what happened in the sandbox as a line, with the time."""
    if kind == "challenge":
        what = masked_url(what)
    time = rfc3339(context.clock.now())[11:]
    context.terminal.message(f"{time} {kind:<9} {what} -> {result}")


def _read_options(flags: SandboxFlags, context: Context) -> SandboxOptions:
    """Read how the sandbox is to behave. Raises UsageError or SandboxError."""
    for name in flags.traits:
        if name not in TRAITS:
            raise UsageError(
                Problem(f'unknown trait "{name}"', f"write one of: {', '.join(TRAITS)}")
            )
    account = Account(
        password=context.environ.get(_PASSWORD_ENV) or PASSWORD,
        tenants=tuple(flags.tenant or [TENANT]),
    )
    return SandboxOptions(
        (account,),
        flags.traits,
        flags.faults,
        port=flags.port,
        list_lag_additions=flags.list_lag,
        list_lag_removals=flags.list_lag,
        log=partial(_log, context),
    )


def _read_receiver(written: str, environ: Mapping[str, str]) -> NamedReceiver:
    """Read `NAME=ENV` or `NAME`. A receiver without a variable gets a random secret."""
    found = _RECEIVER.fullmatch(written)
    if not found:
        what = f'receiver "{written}" is not of the form NAME=ENV'
        raise UsageError(Problem(what, "write, for example, catalogue=HOOK_SECRET"))
    name = found["name"]
    if variable := found["variable"]:
        return NamedReceiver(name, variable, _env(variable, environ))
    variable = f"{name.replace('-', '_').upper()}_SECRET"
    return NamedReceiver(name, variable, secrets.token_hex(32))


def _env(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if not value:
        raise UsageError(Problem(f"the environment variable {name} is not set", "export it first"))
    return value


def _start(
    running: ExitStack,
    flags: SandboxFlags,
    options: SandboxOptions,
    receivers: Sequence[NamedReceiver],
    context: Context,
) -> str:
    """Start the sandbox and its receivers. Returns the text that tells the user how to use them."""
    box = running.enter_context(Sandbox(options))
    shared = {receiver.name: (receiver.secret,) for receiver in receivers}
    server = running.enter_context(ReceiverServer(shared, flags.receiver_port, options.log))
    folder = running.enter_context(TemporaryDirectory(prefix="hooksync-sandbox-"))
    hooks = Path(flags.write_hooks or f"{folder}/hooks.yaml").absolute()
    account = options.accounts[0]
    exports = _write_files(hooks, receivers, server, context, url=box.url, account=account)
    text = f"sandbox  {box.url}  tenants {' '.join(account.tenants)}\n"
    for receiver in receivers:
        text += f"receiver {server.url(receiver.name)}\n"
    hooks_path = shlex.quote(str(hooks))
    exports_path = shlex.quote(str(exports))
    return f"{text}\n{_SECOND_TERMINAL}\n\nexport HOOKSYNC_FILE={hooks_path}\n. {exports_path}"


def _write_files(
    hooks: Path,
    receivers: Sequence[NamedReceiver],
    server: ReceiverServer,
    context: Context,
    *,
    url: str,
    account: Account,
) -> Path:
    """Write the hooks file and a file with its variables. Returns the path of the second file."""
    variables = {
        "PRESERVICA_SERVER": url,
        "PRESERVICA_TENANT": account.tenants[0],
        "PRESERVICA_USERNAME": account.username,
        "PRESERVICA_PASSWORD": account.password,
    }
    text = "version: 1\ntenancies:\n  sandbox:\n    subscriptions:\n"
    for receiver in receivers:
        variables[receiver.variable] = receiver.secret
        text += f"""\
      "{receiver.name}":
        url: {server.url(receiver.name)}
        triggers: [INDEXED, MOVED]
        secret: {{env: {receiver.variable}}}
"""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    exports = hooks.with_suffix(".env")
    for path, content in ((exports, "".join(lines)), (hooks, text)):
        try:
            context.output.create_file(str(path), content, mode=0o600)
        except FileExistsError:
            fix = "leave out --write-hooks to keep it, or name a different file"
            raise FileError(Problem(f"{path} exists already", fix)) from None
    return exports
