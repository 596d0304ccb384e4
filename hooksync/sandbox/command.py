"""The command `hooksync sandbox`: a sandbox, with receivers if asked for, until a signal comes.

Reads the environment and prints nothing itself. For the help alone, import `add_arguments` from `arguments`.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from queue import SimpleQueue

from hooksync.sandbox.accounts import Account
from hooksync.sandbox.arguments import PASSWORD, PASSWORD_ENV, ROLE, TENANT, USERNAME, add_arguments
from hooksync.sandbox.http_server import SandboxError
from hooksync.sandbox.receiver import Receiver
from hooksync.sandbox.server import Sandbox, SandboxOptions

__all__ = ["add_arguments", "read_options", "run"]

_LAGS = ("additions", "removals")
_DONE, _FAILED, _WRONG_USAGE = 0, 1, 64


def run(
    args: argparse.Namespace,
    announce: Callable[[str], None],
    catch_signals: Callable[[Callable[[int], None]], AbstractContextManager[None]],
) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code. Each line announced is an address, an export or an error.

    `announce` should flush, so that a program that waits for the addresses gets them. `catch_signals` hands each
    signal to a function while it is entered.
    """
    try:
        options = read_options(args)
        secrets = dict(_read_receiver(written) for written in args.receiver)
    except SandboxError as error:
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
    """Read how the sandbox is to behave. Raises `SandboxError` for what is invalid."""
    lags = dict(pair for written in args.list_lag for pair in _read_lag(written))
    return SandboxOptions(
        accounts=(_read_account(args),),
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
    """Read `SECONDS`, `additions=SECONDS` or `removals=SECONDS`. Raises `SandboxError` if it is neither."""
    kind, equals, number = written.rpartition("=")
    kinds = [kind] if equals else list(_LAGS)
    try:
        seconds = float(number)
    except ValueError:
        kinds = []
    if not kinds or kinds[0] not in _LAGS:
        raise SandboxError(f'list lag "{written}" is not SECONDS, additions=SECONDS or removals=SECONDS, e.g. 5')
    for each in kinds:
        yield each, seconds


def _read_account(args: argparse.Namespace) -> Account:
    password_env = _password_env(args)
    return Account(
        username=_env(args.username_env) if args.username_env else USERNAME,
        password=_env(password_env) if password_env else PASSWORD,
        tenants=tuple(args.tenant or [TENANT]),
        roles=tuple(args.role or [ROLE]),
        totp_seed=_env(args.totp_env) if args.totp_env else None,
    )


def _password_env(args: argparse.Namespace) -> str | None:
    """Name the variable that holds the password; None: the default password counts."""
    if args.password_env:
        return str(args.password_env)
    return PASSWORD_ENV if os.environ.get(PASSWORD_ENV) else None


def _read_receiver(written: str) -> tuple[str, tuple[str, ...]]:
    """Read `NAME=ENV,...` into a name and the secrets."""
    name, equals, variables = written.partition("=")
    if not equals or not name.replace("-", "").replace("_", "").isalnum():
        raise SandboxError(f'receiver "{written}" is not of the form NAME=ENV,..., e.g. catalogue=HOOK_SECRET')
    return name, tuple(_env(variable) for variable in variables.split(","))


def _env(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SandboxError(f"the environment variable {name} is not set; export it first")
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
