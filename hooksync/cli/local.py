"""The commands that run a server on this machine until a signal: `sandbox` and `listen`; `demo`.

Only the command line starts the sandbox.
"""

from __future__ import annotations

import gc
import math
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from hooksync.api.options import CallOptions
from hooksync.commands.receiving import SECRETS, find_secrets, open_receiver, receiver_at
from hooksync.core.clock import SYSTEM_CLOCK, rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, Problem, StartError, UsageError
from hooksync.core.flags import OUTPUT, CommandOptions, flag, number_between
from hooksync.core.model import SecretRef, Variables
from hooksync.core.urls import masked_url
from hooksync.receivers.http_server import PortError
from hooksync.receivers.listener import Listener, warn_unless_ready
from hooksync.receivers.suite import Sender
from hooksync.sandbox import demo as tour
from hooksync.sandbox.faults import SandboxError
from hooksync.sandbox.receiver import ReceiverServer
from hooksync.sandbox.server import Sandbox
from hooksync.sandbox.tenancies import TENANT, Account, SandboxOptions

_FIX = "give different flags; `hooksync sandbox --help` explains them"
_PORT_FIX = "choose a different port with {flags}; 0 is any free one"
_TOUR_FIX = (
    "allow connections to 127.0.0.1; if nothing blocks them, report this as a bug of hooksync, with"
    " the output above; nothing is left behind"
)
_RECEIVER = re.compile("(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:=(?P<variable>.+))?")
_SECOND_TERMINAL = "In a second terminal, paste this; then try hooksync plan and hooksync apply:"

_SERVICE = "service"
_RECEIVERS = "receivers"
_RECEIVING = "how to receive"
_PORT_NUMBER = number_between(int, 0, 65535)
_PORT = flag(
    "--port N",
    "the port on 127.0.0.1 (default: any free port)",
    _RECEIVING,
    _PORT_NUMBER,
    default=0,
)

ReceiverSecrets = Mapping[str, tuple[str, str]]  # the variable and the secret of each receiver


class SandboxFlags(CommandOptions):
    """The flags of `sandbox`."""

    faults: tuple[str, ...] = flag(
        "--fault SPEC", "make a call fail; repeatable", _SERVICE, default=()
    )
    traits: tuple[Literal["refuse-duplicates", "answer-without-id", "no-challenge"], ...] = flag(
        "--trait NAME", "behave in a different way; repeatable", _SERVICE, default=()
    )
    list_lag: float = flag(
        "--list-lag S",
        "the list shows each change S seconds late",
        _SERVICE,
        number_between(float, 0, 86_400),
        default=0.0,
    )
    tenants: tuple[str, ...] = flag(
        "--tenant NAME",
        "a tenant of the account; repeatable (default: DEMO)",
        _SERVICE,
        default=(TENANT,),
    )
    port: int = _PORT
    receivers: tuple[str, ...] = flag(
        "--receiver NAME=ENV",
        "a receiver, and the variable with its secret (or NAME: a new secret); repeatable"
        " (default: catalogue)",
        _RECEIVERS,
        default=("catalogue",),
    )
    receiver_port: int = flag(
        "--receiver-port N",
        "the port of the receivers (default: any free port)",
        _RECEIVERS,
        _PORT_NUMBER,
        default=0,
    )
    write_hooks: str | None = flag(
        "--write-hooks FILE",
        "write its hooks file (NAME.yaml), and NAME.env beside it",
        _RECEIVERS,
        default=None,
    )


class ListenOptions(CallOptions):
    """The flags of `listen`."""

    secrets: tuple[SecretRef, ...] = SECRETS
    port: int = _PORT
    forward: str | None = flag(
        "--forward URL",
        "pass genuine events to this receiver, byte for byte; return its answer, and report"
        " why it refuses one",
        _RECEIVING,
        default=None,
    )
    # made if it does not exist
    record: str | None = flag(
        "--record FOLDER",
        "write each event there, for verify and fire --replay",
        OUTPUT,
        default=None,
    )
    shows_body: bool = flag("--body", "show each event's document", OUTPUT, default=False)


def demo(options: CommandOptions, context: Context) -> ExitCode:
    """Show what hooksync does, on a sandbox."""
    try:
        tour.run_demo(lambda text: context.terminal.result(f"{text}\n"))
    except (OSError, SandboxError) as error:
        raise StartError(Problem(f"the tour ends early: {error}", _TOUR_FIX)) from None
    return ExitCode.DONE


@contextmanager
def _until_signal(flags: str, context: Context) -> Iterator[ExitStack]:
    """Keep what the caller opens until a signal.

    `flags`: what chooses the ports. Raises StartError if a port cannot be used.
    """
    gc.enable()  # `main` disables it for short runs
    with suppress(KeyboardInterrupt), ExitStack() as running:
        try:
            yield running
        except PortError as error:
            raise StartError(Problem(str(error), _PORT_FIX.format(flags=flags))) from None
        SYSTEM_CLOCK.wait(context.stop, math.inf)


def sandbox(options: SandboxFlags, context: Context) -> ExitCode:
    """Run a sandbox with receivers until a signal."""
    named = _read_receivers(options.receivers, context.environ)
    with _until_signal("--port and --receiver-port", context) as running:
        try:
            context.terminal.result(_start(running, options, named, context))
        except SandboxError as error:
            raise UsageError(Problem(str(error), _FIX)) from None
    return ExitCode.DONE


def listen(options: ListenOptions, context: Context) -> ExitCode:
    """Receive events until a signal comes."""
    known = find_secrets(options, options.secrets, context)
    first = next(iter(known))
    with _until_signal("--port", context) as running:
        target = None
        if options.forward:
            named = receiver_at(options.forward, [*known])
            run, declared = running.enter_context(open_receiver(named, options, context))
            target = Sender(declared.url, known[first], run.caller)
        listener = Listener(
            options.port,
            known,
            context,
            target=target,
            folder=options.record,
            shows_body=options.shows_body,
        )
        running.enter_context(listener)
        context.terminal.message(
            f"listening on http://127.0.0.1:{listener.port}, challenges are answered with {first}"
        )
        if target:
            warn_unless_ready(target)
    return ExitCode.DONE


def _log(context: Context, kind: str, what: str, result: object) -> None:
    """Write what happened in the sandbox as a line, with the time."""
    if kind == "challenge":
        what = masked_url(what)
    time = rfc3339(context.clock.now())[11:]
    context.terminal.message(f"{time} {kind:<9} {what} -> {result}")


def _read_receivers(receivers: Sequence[str], environ: Variables) -> ReceiverSecrets:
    """Read each `NAME=ENV` or `NAME`. A receiver without a variable gets a random secret."""
    named = {}
    for written in receivers:
        found = _RECEIVER.fullmatch(written)
        if not found:
            what = f'receiver "{written}" is not of the form NAME=ENV'
            raise UsageError(Problem(what, "write, for example, catalogue=HOOK_SECRET"))
        name = found["name"]
        if variable := found["variable"]:
            secret = environ.get(variable)
        else:
            variable = f"{name.replace('-', '_').upper()}_SECRET"
            secret = secrets.token_hex(32)
        if not secret:
            what = f"the environment variable {variable} is not set"
            raise UsageError(Problem(what, "export it first"))
        named[name] = variable, secret
    return named


def _start(
    running: ExitStack, flags: SandboxFlags, named: ReceiverSecrets, context: Context
) -> str:
    """Start the sandbox and its receivers. Returns the text that tells the user how to use them."""
    log = partial(_log, context)
    account = Account(tenants=flags.tenants)
    options = SandboxOptions(
        (account,),
        flags.traits,
        flags.faults,
        port=flags.port,
        list_lag_additions=flags.list_lag,
        list_lag_removals=flags.list_lag,
        log=log,
    )
    box = running.enter_context(Sandbox(options))
    shared = {name: (secret,) for name, (_, secret) in named.items()}
    server = running.enter_context(ReceiverServer(shared, flags.receiver_port, log))
    folder = running.enter_context(TemporaryDirectory(prefix="hooksync-sandbox-"))
    lines = [f"sandbox  {box.url}  tenants {' '.join(account.tenants)}"]
    lines += [f"receiver {server.url(name)}" for name in named]
    hooks = Path(flags.write_hooks or f"{folder}/hooks.yaml").absolute()
    exports = hooks.with_suffix(".env")
    context.output.create_file(str(exports), _exports(box.url, account, named), 0o600)
    context.output.create_file(str(hooks), _hooks(server, named), 0o600)
    lines += ["", _SECOND_TERMINAL, "", f"export HOOKSYNC_FILE={shlex.quote(str(hooks))}"]
    return "\n".join([*lines, f". {shlex.quote(str(exports))}\n"])


def _exports(url: str, account: Account, named: ReceiverSecrets) -> str:
    """Write the variables of the hooks file for a shell."""
    variables = {
        "PRESERVICA_SERVER": url,
        "PRESERVICA_TENANT": account.tenants[0],
        "PRESERVICA_USERNAME": account.username,
        "PRESERVICA_PASSWORD": account.password,
        **dict(named.values()),
    }
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    return "".join(lines)


def _hooks(server: ReceiverServer, named: ReceiverSecrets) -> str:
    """Write a hooks file that declares the receivers."""
    text = "version: 1\ntenancies:\n  sandbox:\n    subscriptions:\n"
    for name, (variable, _) in named.items():
        text += f"""\
      "{name}":
        url: {server.url(name)}
        triggers: [INDEXED, MOVED]
        secret: {{env: {variable}}}
"""
    return text
