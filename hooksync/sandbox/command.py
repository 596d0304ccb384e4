"""The command `hooksync sandbox`: a sandbox with receivers, and what a second terminal needs.

Reads the environment; neither prints nor writes itself. `SANDBOX` in cli/commands.py explains
faults and traits.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from hooksync.sandbox.accounts import PASSWORD, TENANT, Account
from hooksync.sandbox.faults import read_fault
from hooksync.sandbox.http_server import Log, SandboxError
from hooksync.sandbox.receiver import Receiver
from hooksync.sandbox.server import Sandbox
from hooksync.sandbox.tenancies import SandboxOptions, Trait

# makes a file that only its owner may read, or raises FileExistsError
Write = Callable[[str, str], None]
Secrets = Mapping[str, Mapping[str, str]]  # by receiver and variable

_PASSWORD_ENV = "SANDBOX_PASSWORD"  # noqa: S105  the variable that replaces it
_RECEIVER = re.compile("(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:=(?P<variables>.+))?")
_SECOND_TERMINAL = "In a second terminal, paste this; then try hooksync plan and hooksync apply:"
_LOOK = 0.2  # seconds
# exit codes
_DONE = 0
_FAILED = 1
_WRONG_USAGE = 64


@dataclass(frozen=True)
class SandboxFlags:
    """The flags of `sandbox`."""

    port: int
    faults: Sequence[str]
    traits: Sequence[str]
    list_lag: float  # seconds
    tenant: Sequence[str]
    totp_env: str | None
    receiver: Sequence[str]  # NAME=ENV,...
    receiver_port: int
    write_hooks: str | None  # path


def run(
    flags: SandboxFlags,
    say: Callable[[str], None],
    log: Log,
    write: Write,
    catch_signals: Callable[[Callable[[int], None]], AbstractContextManager[None]],
) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code.

    `say` takes the addresses and should flush, for programs that wait for them; `log` what happens,
    errors too. `catch_signals` hands each signal to a function.
    """
    arrived: SimpleQueue[int] = SimpleQueue()  # unlike an Event, safe to use in a signal handler
    with catch_signals(arrived.put), ExitStack() as running:
        code = _WRONG_USAGE
        try:
            options = replace(read_options(flags), log=log)
            secrets = dict(map(_read_receiver, flags.receiver or ["catalogue"]))
            code = _FAILED
            say(_start(running, flags, options, secrets, write))
        except SandboxError as error:
            log({"kind": "error", "result": str(error)})
            return code
        while arrived.empty():
            time.sleep(_LOOK)  # on Windows, no signal interrupts a longer wait
    return _DONE


def log_line(entry: Mapping[str, object]) -> str:
    """Write what happened as a line, with the time."""
    if entry["kind"] == "error":
        return f"error: {entry['result']}"
    what = entry["what"]
    if "url" in entry:
        what = f"{what} {entry['url']}"
    return f"{datetime.now(UTC):%H:%M:%S} {entry['kind']:<9} {what} -> {entry['result']}"


def read_options(flags: SandboxFlags) -> SandboxOptions:
    """Read how the sandbox is to behave. Raises `SandboxError` for what is invalid."""
    for spec in flags.faults:
        read_fault(spec)
    for name in flags.traits:
        if name not in set(Trait):
            raise SandboxError(f'unknown trait "{name}"; known: {", ".join(Trait)}')
    account = Account(
        password=os.environ.get(_PASSWORD_ENV) or PASSWORD,
        tenants=tuple(flags.tenant or [TENANT]),
        totp_seed=_env(flags.totp_env) if flags.totp_env else None,
    )
    options = SandboxOptions((account,), flags.traits, flags.faults, port=flags.port)
    return replace(
        options,
        list_lag_additions=flags.list_lag,
        list_lag_removals=flags.list_lag,
    )


def _read_receiver(written: str) -> tuple[str, dict[str, str]]:
    """Read `NAME=ENV,...` or `NAME` into a name and its secrets, by their variables."""
    found = _RECEIVER.fullmatch(written)
    if not found:
        raise SandboxError(
            f'receiver "{written}" is not of the form NAME=ENV,..., e.g. catalogue=HOOK_SECRET'
        )
    name = found["name"]
    if found["variables"]:
        return name, {each: _env(each) for each in found["variables"].split(",")}
    return name, {f"{name.replace('-', '_').upper()}_SECRET": os.urandom(32).hex()}


def _env(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise SandboxError(f"the environment variable {name} is not set; export it first")
    return value


def _start(
    running: ExitStack,
    flags: SandboxFlags,
    options: SandboxOptions,
    secrets: Secrets,
    write: Write,
) -> str:
    """Start the sandbox with its receivers; returns where they are."""
    box = running.enter_context(Sandbox(options))
    values = {name: tuple(several.values()) for name, several in secrets.items()}
    receiver = running.enter_context(Receiver(values, flags.receiver_port, options.log))
    folder = running.enter_context(TemporaryDirectory(prefix="hooksync-sandbox-"))
    hooks = Path(flags.write_hooks or f"{folder}/hooks.yaml").absolute()
    account = options.accounts[0]
    variables = _log_in_variables(box.url, account)
    exports = _write_files(hooks, variables, secrets, receiver.url, write)
    text = f"sandbox  {box.url}  tenants {' '.join(account.tenants)}\n"
    for name in secrets:
        text += f"receiver {receiver.url(name)}\n"
    hooks_path = shlex.quote(str(hooks))
    exports_path = shlex.quote(str(exports))
    return f"{text}\n{_SECOND_TERMINAL}\n\nexport HOOKSYNC_FILE={hooks_path}\n. {exports_path}"


def _write_files(
    hooks: Path,
    variables: dict[str, str],
    secrets: Secrets,
    url: Callable[[str], str],
    write: Write,
) -> Path:
    """Write the hooks file and, beside it, the variables that it needs; returns the latter's path.

    The hooks file subscribes each receiver with its first secret.
    """
    text = "version: 1\ntenancies:\n  sandbox:\n    subscriptions:\n"
    for name, several in secrets.items():
        variables |= several
        text += f"""\
      "{name}":
        url: {url(name)}
        triggers: [INDEXED, MOVED]
        secret: {{env: {next(iter(several))}}}
"""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    exports = hooks.with_suffix(".env")
    try:
        write(str(hooks), text)
        write(str(exports), "".join(lines))
    except FileExistsError:
        raise SandboxError(
            f"{hooks} or {exports} is there already; remove both, or name another file"
        ) from None
    return exports


def _log_in_variables(url: str, account: Account) -> dict[str, str]:
    """Return the variables by which hooksync logs in to the sandbox."""
    found = {
        "PRESERVICA_SERVER": url,
        "PRESERVICA_TENANT": account.tenants[0],
        "PRESERVICA_USERNAME": account.username,
        "PRESERVICA_PASSWORD": account.password,
    }
    if account.totp_seed:
        found["PRESERVICA_2FA_TOKEN"] = account.totp_seed
    return found
