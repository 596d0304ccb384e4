"""The command `hooksync sandbox`: a sandbox with receivers, and what a second terminal needs.

`hooksync sandbox fire` has one that runs send an event. Reads the environment, and neither prints
nor writes itself. What the help says of faults and traits stands in help.txt.
"""

from __future__ import annotations

import json
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
from urllib.parse import quote, urlsplit

from hooksync.sandbox.accounts import PASSWORD, ROLE, TENANT, Account
from hooksync.sandbox.faults import read_fault
from hooksync.sandbox.http_server import Log
from hooksync.sandbox.receiver import Receiver, WebhookSender
from hooksync.sandbox.server import FIRE_PATH, Sandbox
from hooksync.sandbox.tenancies import SandboxOptions, Trait

# by a variable's name; and the variable that it was taken from
Values = Mapping[str, tuple[str, str | None]]

_PASSWORD_ENV = "SANDBOX_PASSWORD"  # noqa: S105  the variable that replaces it
# how each sets a variable, to a value or to that of another one; writes a file; does what a file
# says
_SHELLS = {
    "sh": ("export {}={}", '"${}"', "cat > {} <<'END'\n{}END", ". {}"),
    "powershell": (
        "$env:{} = {}",
        "$env:{}",
        "@'\n{1}'@ | Set-Content {0}",
        "Invoke-Expression (Get-Content -Raw {})",
    ),
}
_RECEIVER = re.compile("(?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:=(?P<variables>.+))?")
_HOOKS = "sandbox-hooks.yaml"  # what a second terminal calls it
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST_DELIVERY = 600  # seconds that an event may take with all its receivers
_LOOK = 0.2  # seconds
_REPEATS = (1.0, 4.0, 16.0)  # seconds before each repetition of an event, with the trait for it
_DONE, _FAILED, _WRONG_USAGE = 0, 1, 64


@dataclass(frozen=True)
class SandboxFlags:
    """The flags of `sandbox`."""

    port: int
    data: str | None  # path of a file that keeps the subscriptions
    faults: Sequence[str]
    traits: Sequence[str]
    list_lag: float  # seconds
    extra_triggers: Sequence[str]
    json_log: bool
    tenant: Sequence[str]
    totp_env: str | None
    role: Sequence[str]
    receiver: Sequence[str]  # NAME=ENV,...
    receiver_port: int
    write_hooks: str | None  # path
    shell: str


@dataclass(frozen=True)
class SandboxFireFlags:
    """The flags of `sandbox fire`."""

    server: str | None
    trigger: str | None
    event: str | None  # path


def run(
    args: SandboxFlags,
    say: Callable[[str], None],
    log: Log,
    write: Callable[[str, str], None],
    catch_signals: Callable[[Callable[[int], None]], AbstractContextManager[None]],
) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code.

    `say` takes the addresses and should flush, for programs that wait for them; `log` what happens,
    errors too. `write` makes a file of its owner's alone, or raises FileExistsError.
    `catch_signals` hands each signal to a function.
    """
    arrived: SimpleQueue[int] = SimpleQueue()  # unlike an Event, safe to use in a signal handler
    with catch_signals(arrived.put), ExitStack() as running:
        code = _WRONG_USAGE
        try:
            options = replace(read_options(args), log=log)
            secrets = dict(map(_read_receiver, args.receiver or ["catalogue"]))
            code = _FAILED
            box = running.enter_context(Sandbox(options))
            given = {
                name: [value for value, _ in values.values()] for name, values in secrets.items()
            }
            receiver = running.enter_context(Receiver(given, args.receiver_port, log))
            say(f"sandbox  {box.url}  tenants {' '.join(options.accounts[0].tenants)}")
            for name in secrets:
                say(f"receiver {receiver.url(name)}")
            values = _values(args, box.url, options.accounts[0], secrets)
            say(_second_terminal(args, values, _hooks_file(secrets, receiver.url), write))
        except ValueError as error:
            log({"kind": "error", "result": str(error)})
            return code
        while arrived.empty():
            time.sleep(_LOOK)  # a wait for what arrives would hear no signal on Windows
    return _DONE


def log_line(entry: Mapping[str, object], *, as_json: bool) -> str:
    """Write what happened as a line, with the time."""
    at = f"{datetime.now(UTC).isoformat(timespec='milliseconds')[:23]}Z"
    if as_json:
        return json.dumps({"at": at, **entry})
    if entry["kind"] == "error":
        return f"error: {entry['result']}"
    what = " ".join(str(entry[name]) for name in ("what", "url") if name in entry)
    took = f" ({entry['seconds']} s)" if "seconds" in entry else ""
    return f"{at[11:]} {entry['kind']:<9} {what} -> {entry['result']}{took}"


def read_options(args: SandboxFlags) -> SandboxOptions:
    """Read how the sandbox is to behave. Raises ValueError for what is invalid."""
    for spec in args.faults:
        read_fault(spec)
    for name in args.traits:
        if name not in set(Trait):
            raise ValueError(f'unknown trait "{name}"; known: {", ".join(Trait)}')
    account = Account(
        password=os.environ.get(_PASSWORD_ENV) or PASSWORD,
        tenants=tuple(args.tenant or [TENANT]),
        roles=tuple(args.role or [ROLE]),
        totp_seed=_env(args.totp_env) if args.totp_env else None,
    )
    return SandboxOptions(
        accounts=(account,),
        traits=args.traits,
        faults=args.faults,
        extra_triggers=args.extra_triggers,
        port=args.port,
        data=Path(args.data) if args.data else None,
        list_lag_additions=args.list_lag,
        list_lag_removals=args.list_lag,
        repeats=_REPEATS if Trait.REPEAT_EVENTS in args.traits else (),
    )


def fire(args: SandboxFireFlags, event: bytes, say: Callable[[str], None], log: Log) -> int:
    """Have a running sandbox send an event, as this JSON has it; returns the exit code."""
    try:
        server = urlsplit(args.server or _env("PRESERVICA_SERVER"))
        if server.scheme != "http" or server.hostname not in _LOOPBACK:
            raise ValueError(
                "that is no sandbox on this machine: give --server as hooksync sandbox prints it"
            )
        url = f"http://{server.netloc}{FIRE_PATH}{quote(args.trigger or '', safe='')}"
        answer = WebhookSender(_LONGEST_DELIVERY).post(
            url, event, {"Content-Type": "application/json"}
        )
        if isinstance(answer, str):
            raise ValueError(answer)
        message = json.loads(answer[1])["message"]
        if answer[0] == 200:
            say(message)
            return _DONE
    except (LookupError, TypeError):
        message = "nothing was sent: the answer is not from a sandbox"
    except ValueError as error:
        message = f"nothing was sent: {error}"
    log({"kind": "error", "result": message})
    return _FAILED


def _read_receiver(written: str) -> tuple[str, Values]:
    """Read `NAME=ENV,...` or `NAME` into a name and the secrets."""
    found = _RECEIVER.fullmatch(written)
    if not found:
        raise ValueError(
            f'receiver "{written}" is not of the form NAME=ENV,..., e.g. catalogue=HOOK_SECRET'
        )
    if found["variables"]:
        return found["name"], {
            variable: (_env(variable), variable) for variable in found["variables"].split(",")
        }
    return found["name"], {
        f"{found['name'].replace('-', '_').upper()}_SECRET": (os.urandom(32).hex(), None)
    }


def _env(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ValueError(f"the environment variable {name} is not set; export it first")
    return value


def _values(
    args: SandboxFlags, url: str, account: Account, secrets: Mapping[str, Values]
) -> Values:
    """Return what the variables of a second terminal must be."""
    found: dict[str, tuple[str, str | None]] = {
        "PRESERVICA_SERVER": (url, None),
        "PRESERVICA_TENANT": (account.tenants[0], None),
        "PRESERVICA_USERNAME": (account.username, None),
        "PRESERVICA_PASSWORD": (
            account.password,
            None if account.password == PASSWORD else _PASSWORD_ENV,
        ),
    }
    if account.totp_seed:
        found["PRESERVICA_2FA_TOKEN"] = (account.totp_seed, args.totp_env)
    for values in secrets.values():
        found.update(values)
    return found


def _hooks_file(secrets: Mapping[str, Values], url: Callable[[str], str]) -> str:
    """Write the hooks file that subscribes the receivers, each under its first secret."""
    lines = ["version: 1", "tenancies:", "  sandbox:", "    subscriptions:"]
    for name, variables in secrets.items():
        lines += [
            f'      "{name}":',
            f"        url: {url(name)}",
            "        triggers: [INDEXED, MOVED]",
        ]
        lines += [f"        secret: {{env: {next(iter(variables))}}}"]
    return "\n".join([*lines, ""])


def _second_terminal(
    args: SandboxFlags, values: Values, hooks: str, write: Callable[[str, str], None]
) -> str:
    """Return what to paste into a second terminal.

    Values from the environment are not shown, but written to a file.
    """
    export, reference, here_document, source = _SHELLS[args.shell]
    path = os.path.abspath(args.write_hooks) if args.write_hooks else ""

    def quoted(text: str) -> str:
        return shlex.quote(text) if args.shell == "sh" else "'{}'".format(text.replace("'", "''"))

    lines = [
        export.format(name, reference.format(variable) if variable and not path else quoted(value))
        for name, (value, variable) in {**values, "HOOKSYNC_FILE": (path or _HOOKS, None)}.items()
    ]
    if path:
        exports = f"{os.path.splitext(path)[0]}.env"
        try:
            write(path, hooks)
            write(exports, "\n".join([*lines, ""]))
        except FileExistsError:
            raise ValueError(
                f"{path} or {exports} is there already; remove both, or name another file"
            ) from None
        lines = [source.format(quoted(exports))]
    else:
        lines.append(here_document.format(_HOOKS, hooks))
    return "\n".join(
        [
            "",
            "In a second terminal, paste this; then try hooksync plan and hooksync apply:",
            "",
            *lines,
        ]
    )
