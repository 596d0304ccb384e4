"""The command `hooksync sandbox`: a sandbox, with receivers if asked for, until a signal comes.

Reads the environment and prints nothing itself. What the help says of faults and traits stands in help.txt. The server
is loaded where it is started: the help needs none.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hooksync.sandbox.server import SandboxOptions

# Sample values for a server on loopback; they protect nothing.
USERNAME = "archivist@example.org"
PASSWORD = "sandbox-password"  # noqa: S105  shown in the help
TENANT = "DEMO"
ROLE = "ROLE_SDB_MANAGER_USER"

_PASSWORD_ENV = "SANDBOX_PASSWORD"  # noqa: S105  the variable that replaces it
_LAGS = ("additions", "removals")
_DONE, _FAILED, _WRONG_USAGE = 0, 1, 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `hooksync sandbox`, and its help, to a parser."""
    with open(os.path.join(os.path.dirname(__file__), "help.txt"), encoding="utf-8") as file:
        parser.epilog = file.read()
    add = parser.add_argument_group("the service").add_argument
    add("--port", type=int, default=0, metavar="N", help="its port (default: any free port)")
    add("--data", metavar="PATH", help="keep the subscriptions in this file, secrets too")
    add("--latency", type=float, default=0.0, metavar="MS", help="milliseconds that each call takes")
    add("--fault", action="append", default=[], metavar="SPEC", help="make a call fail, see below")
    add("--trait", action="append", default=[], metavar="NAME", help="behave in another way, see below")
    add("--list-lag", action="append", default=[], metavar="LAG", help="make the list late by seconds, see below")
    add("--extra-trigger", action="append", default=[], metavar="NAME", help="accept this trigger too")
    add = parser.add_argument_group("the account").add_argument
    add("--tenant", action="append", metavar="NAME", help=f"repeatable (default: {TENANT})")
    add("--username-env", metavar="ENV", help=f"holds the name (default: {USERNAME})")
    add("--password-env", metavar="ENV", help=f"holds the password (default: {_PASSWORD_ENV})")
    add("--totp-env", metavar="ENV", help="holds a base32 seed: require a second factor")
    add("--role", action="append", metavar="ROLE", help=f"repeatable (default: {ROLE})")
    add("--token-seconds", type=float, default=900.0, metavar="S", help="lifetime of a token (default: 900)")
    add = parser.add_argument_group("receivers").add_argument
    text = "run one with these secrets; the first answers challenges"
    add("--receiver", action="append", default=[], metavar="NAME=ENV,...", help=text)
    add("--receiver-port", type=int, default=0, metavar="N", help="their port")


def run(
    args: argparse.Namespace,
    announce: Callable[[str], None],
    catch_signals: Callable[[Callable[[int], None]], AbstractContextManager[None]],
) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code. Each line announced is an address, an export or an error.

    `announce` should flush, so that a program that waits for the addresses gets them. `catch_signals` hands each
    signal to a function while it is entered.
    """
    from contextlib import ExitStack
    from queue import SimpleQueue

    from hooksync.sandbox.http_server import SandboxError
    from hooksync.sandbox.receiver import Receiver
    from hooksync.sandbox.server import Sandbox

    try:
        options = read_options(args)
        secrets = dict(map(_read_receiver, args.receiver))
    except ValueError as error:
        announce(f"error: {error}")
        return _WRONG_USAGE
    arrived: SimpleQueue[int] = SimpleQueue()  # unlike an Event, safe to use in a signal handler
    with catch_signals(arrived.put), ExitStack() as running:
        try:
            box = running.enter_context(Sandbox(options))
            announce(f"sandbox  {box.url}  tenants {' '.join(options.accounts[0].tenants)}")
            if secrets:
                receiver = running.enter_context(Receiver(secrets, args.receiver_port))
                for name in secrets:
                    announce(f"receiver {receiver.url(name)}")
        except SandboxError as error:
            announce(f"error: {error}")
            return _FAILED
        for name, value in _exports(args, box.url):
            announce(f"export {name}={value}")
        arrived.get()
    return _DONE


def read_options(args: argparse.Namespace) -> SandboxOptions:
    """Read how the sandbox is to behave. Raises ValueError for what is invalid."""
    from pathlib import Path

    from hooksync.sandbox.accounts import Account
    from hooksync.sandbox.server import SandboxOptions

    lags = dict(pair for written in args.list_lag for pair in _read_lag(written))
    password_env = _password_env(args)
    account = Account(
        username=_env(args.username_env) if args.username_env else USERNAME,
        password=_env(password_env) if password_env else PASSWORD,
        tenants=tuple(args.tenant or [TENANT]),
        roles=tuple(args.role or [ROLE]),
        totp_seed=_env(args.totp_env) if args.totp_env else None,
    )
    return SandboxOptions(
        accounts=(account,),
        traits=frozenset(args.trait),
        faults=tuple(args.fault),
        latency=args.latency / 1000,
        token_seconds=args.token_seconds,
        extra_triggers=tuple(args.extra_trigger),
        list_lag_additions=lags.get("additions", 0.0),
        list_lag_removals=lags.get("removals", 0.0),
        port=args.port,
        data=Path(args.data) if args.data else None,
    )


def _read_lag(written: str) -> Iterator[tuple[str, float]]:
    """Read `SECONDS`, `additions=SECONDS` or `removals=SECONDS`. Raises ValueError if it is neither."""
    kind, equals, number = written.rpartition("=")
    kinds = [kind] if equals else list(_LAGS)
    try:
        seconds = float(number)
    except ValueError:
        kinds = []
    if not kinds or kinds[0] not in _LAGS:
        raise ValueError(f'list lag "{written}" is not SECONDS, additions=SECONDS or removals=SECONDS, e.g. 5')
    for each in kinds:
        yield each, seconds


def _password_env(args: argparse.Namespace) -> str | None:
    """Name the variable that holds the password; None: the default password counts."""
    if args.password_env:
        return str(args.password_env)
    return _PASSWORD_ENV if os.environ.get(_PASSWORD_ENV) else None


def _read_receiver(written: str) -> tuple[str, tuple[str, ...]]:
    """Read `NAME=ENV,...` into a name and the secrets."""
    name, equals, variables = written.partition("=")
    if not equals or not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError(f'receiver "{written}" is not of the form NAME=ENV,..., e.g. catalogue=HOOK_SECRET')
    return name, tuple(_env(variable) for variable in variables.split(","))


def _env(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ValueError(f"the environment variable {name} is not set; export it first")
    return value


def _exports(args: argparse.Namespace, url: str) -> Iterator[tuple[str, str]]:
    """Return what a user exports to use the sandbox; a value from the environment is named, not shown."""
    password_env = _password_env(args)
    yield "PRESERVICA_SERVER", url
    yield "PRESERVICA_TENANT", shlex.quote((args.tenant or [TENANT])[0])
    yield "PRESERVICA_USERNAME", f'"${args.username_env}"' if args.username_env else USERNAME
    yield "PRESERVICA_PASSWORD", f'"${password_env}"' if password_env else PASSWORD
    if args.totp_env:
        yield "PRESERVICA_2FA_TOKEN", f'"${args.totp_env}"'
