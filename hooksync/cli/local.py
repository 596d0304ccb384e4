"""The commands that run a server on this machine until a signal: `sandbox` and `listen`; `demo`.

Only the command line starts the sandbox.
"""

from __future__ import annotations

import gc
import math
import re
import secrets
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from hooksync.api.options import CallOptions
from hooksync.commands.receiving import SECRETS, find_secrets, open_receiver, receiver_at
from hooksync.core.clock import SYSTEM_CLOCK
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, StartError, UsageError
from hooksync.core.flags import OUTPUT, CommandOptions, flag, number_between
from hooksync.core.model import SecretRef, Variables
from hooksync.core.urls import masked_url
from hooksync.receivers.listener import Listener, warn_unless_ready
from hooksync.sandbox import demo as tour
from hooksync.sandbox.faults import SandboxError
from hooksync.sandbox.receiver import ReceiverServer
from hooksync.sandbox.server import Sandbox
from hooksync.sandbox.tenancies import PASSWORD, TENANT, USERNAME, Account, SandboxOptions

_RECEIVER = re.compile("([A-Za-z][A-Za-z0-9_-]*)(?:=(.+))?")  # its name, and a variable
_SECOND_TERMINAL = """
In a second terminal, paste this; then try hooksync plan and hooksync apply:

export HOOKSYNC_FILE={}
. {}
"""
_HOOKS = """\
version: 1
tenancies:
  sandbox:
    subscriptions:
"""
_SUBSCRIPTION = """\
      "{name}":
        url: {url}
        triggers: [INDEXED, MOVED]
        secret: {{env: {variable}}}
"""

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

ReceiverSecrets = dict[str, tuple[str, str]]  # by name, the variable and the secret in it


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
    except SandboxError as error:
        raise StartError(
            f"the tour ends early: {error}",
            "report this as a bug of hooksync, with the output above",
        ) from None
    return ExitCode.DONE


@contextmanager
def _until_signal(context: Context) -> Iterator[ExitStack]:
    """Keep what the caller opens until a signal."""
    gc.enable()  # `main` disables it for short runs
    try:
        with suppress(KeyboardInterrupt), ExitStack() as running:
            yield running
            SYSTEM_CLOCK.wait(context.stop, math.inf)
    except SandboxError as error:
        raise UsageError(
            str(error), "give different flags; `hooksync sandbox --help` explains them"
        ) from None


def sandbox(options: SandboxFlags, context: Context) -> ExitCode:
    """Run a sandbox with receivers until a signal."""
    named = _read_receivers(options.receivers, context.environ)
    shared = {name: [secret] for name, (_, secret) in named.items()}
    log = partial(_log, context)
    settings = SandboxOptions(
        (Account(tenants=options.tenants),),
        options.traits,
        options.faults,
        port=options.port,
        list_lag_additions=options.list_lag,
        list_lag_removals=options.list_lag,
        log=log,
    )
    with _until_signal(context) as running:
        box = running.enter_context(Sandbox(settings))
        server = running.enter_context(ReceiverServer(shared, options.receiver_port, log))
        folder = running.enter_context(TemporaryDirectory(prefix="hooksync-sandbox-"))
        hooks = Path(options.write_hooks or f"{folder}/hooks.yaml").absolute()
        exports = hooks.with_suffix(".env")
        variables, text, told = _texts(named, options.tenants, box, server)
        context.output.create_file(str(exports), variables, 0o600)
        context.output.create_file(str(hooks), text, 0o600)
        told += _SECOND_TERMINAL.format(*map(shlex.quote, (str(hooks), str(exports))))
        context.terminal.result(told)
    return ExitCode.DONE


def _read_receivers(receivers: Iterable[str], environ: Variables) -> ReceiverSecrets:
    """Read each `NAME=ENV` or `NAME`. A receiver without a variable gets a random secret."""
    named = {}
    for written in receivers:
        found = _RECEIVER.fullmatch(written)
        if not found:
            raise UsageError(
                f'receiver "{written}" is not of the form NAME=ENV',
                "write, for example, catalogue=HOOK_SECRET",
            )
        name, variable = found.groups()
        secret = environ.get(variable) if variable else secrets.token_hex(32)
        if not secret:
            raise UsageError(f"the environment variable {variable} is not set", "export it first")
        named[name] = (variable or f"{name.replace('-', '_').upper()}_SECRET", secret)
    return named


def _texts(
    named: ReceiverSecrets, tenants: Sequence[str], box: Sandbox, server: ReceiverServer
) -> tuple[str, str, str]:
    """Write variables for a shell, a hooks file that refers to them, and what is running."""
    variables = {
        "PRESERVICA_SERVER": box.url,
        "PRESERVICA_TENANT": tenants[0],
        "PRESERVICA_USERNAME": USERNAME,
        "PRESERVICA_PASSWORD": PASSWORD,
        **dict(named.values()),
    }
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    told = f"sandbox  {box.url}  tenants {' '.join(tenants)}\n"
    text = _HOOKS
    for name, (variable, _) in named.items():
        told += f"receiver {server.url(name)}\n"
        text += _SUBSCRIPTION.format(name=name, url=server.url(name), variable=variable)
    return "".join(lines), text, told


def _log(context: Context, kind: str, what: str, result: object) -> None:
    """Write what happened in the sandbox as a line."""
    if kind == "challenge":
        what = masked_url(what)
    context.terminal.message(f"{kind:<9} {what} -> {result}")


def listen(options: ListenOptions, context: Context) -> ExitCode:
    """Receive events until a signal comes."""
    known = find_secrets(options, options.secrets, context)
    first = next(iter(known))
    with _until_signal(context) as running:
        target = None
        if options.forward:
            named = receiver_at(options.forward, [*known])
            target, *_ = running.enter_context(open_receiver(named, options, context))
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
