"""The flags and arguments of each command, for argparse.

A flag's `dest` is the field of the command's options. The flags that several commands share come
first, then one function for each command. Each help has its flags in named groups, the most used
groups first. Nothing here reads a file or the environment.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, get_args

from hooksync.config.declarations import is_own
from hooksync.core.errors import Problem, UsageError
from hooksync.core.model import SecretRef
from hooksync.core.output import Format
from hooksync.core.schema import SCHEMA_KINDS, is_reference

Group = argparse._ActionsContainer
Keywords = dict[str, Any]

SHELLS = ("bash", "zsh", "fish")

READ = "what to read"
SELECT = "what to select"
OUTPUT = "output"
SAFETY = "safety"
MORE = "more"

_FORMATS: tuple[str, ...] = get_args(Format)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


# How the text of a value is read.


def duration(text: str) -> timedelta:
    """Read a number with its unit: 30m, 24h, 7d."""
    found = re.fullmatch("([1-9][0-9]{0,5})([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f'"{text}" is not a duration: a number with s, m, h or d')
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def number_between(kind: type[float], least: float, most: float) -> Callable[[str], float]:
    """Return a function that reads a number from `least` to `most`."""

    def read(text: str) -> float:
        with suppress(ValueError):
            number = kind(text)
            if least <= number <= most:
                return number
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from {least} to {most}')

    return read


def reference(flag: str, text: str) -> SecretRef:
    """Read the place of a secret.

    Raises UsageError. The error does not quote `text`, because it may be the secret itself.
    """
    kind, _, name = text.partition(":")
    if not is_reference({kind: name}):  # only some kinds are written as one text
        fix = (
            "name its place, never the secret itself; only a hooks file can name a different kind"
            " of place"
        )
        raise UsageError(Problem(f"{flag} is neither env:NAME nor file:PATH", fix))
    if kind == "env" and is_own(name):
        fix = f"name a different variable with {flag}"
        raise UsageError(Problem(f"the variable {name} is for hooksync itself", fix))
    return SecretRef(kind, name)


# The flags that several commands share, as `add_argument` takes them.

_REPEATABLE: Keywords = {"action": "append", "default": []}
_SHORT = {"--file": "-f", "--yes": "-y", "--verbose": "-v", "--help": "-h"}

_SHARED: dict[str, Keywords] = {
    "--file": {
        **_REPEATABLE,
        "dest": "files",
        "metavar": "PATH",
        "help": "hooks file, folder or - (HOOKSYNC_FILE or hooks.yaml)",
    },
    "--env-file": {
        **_REPEATABLE,
        "dest": "env_files",
        "metavar": "FILE",
        "help": "NAME=value lines, if not set (HOOKSYNC_ENV_FILE)",
    },
    "--state": {
        "metavar": "WHERE",
        "help": "path, git:BRANCH or object's URL (HOOKSYNC_STATE)",
    },
    "--no-state": {
        "dest": "uses_state",
        "action": "store_false",
        "help": "read no state, and compare no secrets",
    },
    "--credentials": {
        "metavar": "FILE",
        "help": "credentials.properties of pyPreservica, to log in",
    },
    "--tenancy": {
        **_REPEATABLE,
        "dest": "tenancies",
        "metavar": "GLOB",
        "help": "only tenancies with this name; repeatable",
    },
    "--since": {
        "metavar": "REF",
        "help": "only tenancies changed since the merge base with it",
    },
    "--target": {
        **_REPEATABLE,
        "dest": "targets",
        "metavar": "GLOB",
        "help": "only addresses tenancy/name/TRIGGER; repeatable",
    },
    "--replace": {
        **_REPEATABLE,
        "metavar": "GLOB",
        "help": "resubscribe these addresses in any case; repeatable",
    },
    "--adopt": {
        **_REPEATABLE,
        "metavar": "GLOB",
        "help": "adopt what is live at these addresses; repeatable",
    },
    "--url": {
        "metavar": "URL",
        "help": "a receiver; in its URL, ${NAME} is a variable",
    },
    "--secret": {
        **_REPEATABLE,
        "dest": "secrets",
        "type": partial(reference, "--secret"),
        "metavar": "REF",
        "help": "place of its secret: env:NAME, file:PATH; repeatable",
    },
    "--all": {
        "dest": "shows_kept",
        "action": "store_true",
        "help": "also show what is kept or left alone",
    },
    "--detailed-exitcode": {
        "dest": "has_detailed_exit_code",
        "action": "store_true",
        "help": "exit with 2 if live differs, or was not compared",
    },
    "--report": {
        "metavar": "FILE",
        "help": "also write the result as JSON, even if steps fail",
    },
    "--policy": {
        "metavar": "FILE",
        "help": "limit what the run may do (default: HOOKSYNC_POLICY)",
    },
    "--allow-commands": {
        "dest": "allows_commands",
        "action": "store_true",
        "help": "run the programs that hooks files name for secrets",
    },
    "--yes": {
        "dest": "is_confirmed",
        "action": "store_true",
        "help": "apply without a prompt; needed without a terminal",
    },
    "--max-age": {
        "type": duration,
        "metavar": "DURATION",
        "help": "longest age of the plan: 30m, 24h, 7d",
    },
    "--timeout": {
        "type": number_between(float, 0.001, 3600),
        "default": 30.0,
        "metavar": "SECONDS",
        "help": "longest time for a call (default: 30; 10 to connect)",
    },
    "--parallelism": {
        "type": number_between(int, 1, 64),
        "default": 8,
        "metavar": "N",
        "help": "calls at a time over the whole run (default: 8)",
    },
    "--lock-timeout": {
        "type": number_between(float, 0, 86400),
        "metavar": "SECONDS",
        "help": "longest wait for a different run (default: 60)",
    },
    "--notify": {
        "type": partial(reference, "--notify"),
        "metavar": "REF",
        "help": "webhook to notify: env:NAME or file:PATH of its URL",
    },
    "--notify-as": {
        "choices": ("json", "slack", "teams"),
        "default": "json",
        "metavar": "KIND",
        "help": "json (default), slack, teams",
    },
    "--metrics": {
        "metavar": "FILE",
        "help": "write metrics for Prometheus's textfile collector",
    },
    "--verbose": {"action": "store_true", "help": "log each call on standard error"},
    "--help": {"action": "help", "help": "show this text"},
}


def _add(group: Group, *names: str) -> None:
    """Add flags that several commands share."""
    for name in names:
        spellings = [_SHORT[name], name] if name in _SHORT else [name]
        group.add_argument(*spellings, **_SHARED[name])


def _group(parser: argparse.ArgumentParser, title: str, *names: str) -> Group:
    """Add flags that several commands share to a group. Make the group if it does not exist."""
    group: Group | None = next(
        (known for known in parser._action_groups if known.title == title), None
    )
    if group is None:
        group = parser.add_argument_group(title)
    _add(group, *names)
    return group


def add_help(parser: argparse.ArgumentParser) -> None:
    """Add --help, as the last flag of every command."""
    _group(parser, MORE, "--help")


def _add_format(group: Group, *choices: str) -> None:
    group.add_argument(
        "--format",
        choices=("text", *choices),
        default="text",
        metavar="FORMAT",
        help=f"text (default), {', '.join(choices)}",
    )


def _add_port(group: Group, meaning: str, name: str = "--port") -> None:
    group.add_argument(
        name, type=number_between(int, 0, 65535), default=0, metavar="N", help=meaning
    )


def _add_planning(parser: argparse.ArgumentParser, *more: str) -> None:
    """Add the flags that `plan` and `apply` share. `more`: other flags for the last group."""
    _group(parser, READ, "--file", "--env-file", "--state")
    _group(parser, SELECT, "--tenancy", "--target", "--replace", "--adopt")
    _group(parser, OUTPUT)
    _group(parser, SAFETY, "--policy")
    shared = ("--timeout", "--parallelism", "--credentials", "--allow-commands")
    _group(parser, MORE, *shared, "--notify", "--notify-as", "--metrics", *more, "--verbose")


def _add_rest(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the last groups of a command that logs in. `names`: more flags for the last group."""
    _group(parser, SAFETY, "--policy", "--allow-commands")
    _group(parser, MORE, "--timeout", "--parallelism", "--credentials", *names, "--verbose")


# One function for each command.


def add_validate(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "--file")
    _group(parser, SELECT, "--tenancy", "--target")
    _group(parser, SAFETY, "--policy", "--allow-commands")


def add_plan(parser: argparse.ArgumentParser) -> None:
    _add_planning(parser, "--no-state")
    _group(parser, SELECT, "--since")
    output = _group(parser, OUTPUT)
    _add_format(output, *_FORMATS[1:])
    output.add_argument(
        "--out",
        metavar="PLAN",
        help="save the plan for `apply PLAN`, if apply may do it",
    )
    _add(output, "--detailed-exitcode", "--all")
    _group(parser, SAFETY).add_argument(
        "--probe",
        dest="probes",
        action="store_true",
        help="challenge the receivers of new subscriptions",
    )
    output.add_argument(
        "--quiet",
        dest="is_quiet",
        action="store_true",
        help="print nothing unless a person is needed: for cron",
    )


def check_plan(arguments: argparse.Namespace) -> None:
    """Refuse --quiet with a format that always has a document."""
    if arguments.is_quiet and arguments.format != "text":
        what = f"--quiet cannot be combined with --format {arguments.format}"
        raise UsageError(Problem(what, "leave out one of the two"))


def add_apply(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ).add_argument(
        "saved_plan",
        nargs="?",
        metavar="PLAN",
        help="saved by `plan --out`: apply it without a prompt",
    )
    _add_planning(parser, "--lock-timeout")
    output = _group(parser, OUTPUT)
    _add_format(output, "json", "markdown")
    _add(output, "--report", "--all")
    _group(parser, SAFETY, "--yes", "--max-age")


def check_apply(arguments: argparse.Namespace) -> None:
    """Refuse flags that choose what a saved plan has chosen already."""
    if arguments.saved_plan is not None:
        fix = "give such flags to `hooksync plan --out`; see `hooksync apply --help`"
        _refuse(arguments, _SELECTING, "a saved plan", fix)
    elif arguments.max_age is not None:
        raise UsageError(Problem("--max-age needs a saved plan", "see `hooksync apply --help`"))


def add_remove(parser: argparse.ArgumentParser) -> None:
    _group(parser, SELECT).add_argument(
        "remove", nargs="+", metavar="ID", help="of a live subscription, in full"
    )
    _group(parser, READ, "--file", "--env-file", "--state")
    _group(parser, SELECT, "--tenancy")
    output = _group(parser, OUTPUT)
    _add_format(output, "json", "markdown")
    _add(output, "--report")
    _group(parser, SAFETY, "--yes")
    _add_rest(parser, "--lock-timeout")


def add_show(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ).add_argument("path", metavar="PLAN", help="a file of `plan --out`")
    output = _group(parser, OUTPUT)
    _add_format(output, *_FORMATS[1:])
    _add(output, "--all", "--detailed-exitcode", "--max-age")


def add_list(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "--file", "--env-file", "--state", "--no-state")
    _group(parser, SELECT, "--tenancy", "--target")
    _add_format(_group(parser, OUTPUT), "json")
    _add_rest(parser)


def add_init(parser: argparse.ArgumentParser) -> None:
    write = _group(parser, "what to write")
    write.add_argument(
        "-f",
        "--file",
        dest="path",
        default="hooks.yaml",
        metavar="PATH",
        help="the file to write (default: hooks.yaml); - prints it",
    )
    write.add_argument(
        "--from-live",
        nargs="*",
        metavar="URL-PREFIX",
        help="write what is live; what is under no prefix, as comments",
    )
    _group(parser, READ, "--env-file", "--credentials")
    _group(parser, SAFETY, "--policy")
    _group(parser, MORE, "--timeout", "--verbose")


def add_check(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "--file", "--env-file")
    _group(parser, SELECT, "--tenancy", "--target", "--url", "--secret")
    _add_format(_group(parser, OUTPUT), "json")
    _add_rest(parser)


def check_receiver(arguments: argparse.Namespace) -> None:
    """Refuse --url without --secret or with other flags that select, and --secret without --url."""
    if not arguments.url:
        if arguments.secrets:
            fix = "a hooks file names the secrets of its receivers itself"
            raise UsageError(Problem("--secret needs --url", fix))
        return
    flags = {"an address": "address", "--file": "files", **_SELECTING}
    _refuse(arguments, flags, "--url", "name either one receiver, or hooks files")
    if not arguments.secrets:
        raise UsageError(
            Problem("--url needs --secret", "give --secret env:NAME or --secret file:PATH")
        )


def check_fire(arguments: argparse.Namespace) -> None:
    """Check --url and --secret, and refuse --replay with flags that describe new events."""
    check_receiver(arguments)
    if arguments.replay is not None:
        flags = {"--event": "event", "--trigger": "trigger"}
        _refuse(arguments, flags, "--replay", "send recorded events, or new ones")
    if not arguments.is_suite and (arguments.log or arguments.format != "text"):
        raise UsageError(Problem("--log and --format need --suite", "add --suite"))


_SELECTING = {
    "--tenancy": "tenancies",
    "--target": "targets",
    "--replace": "replace",
    "--adopt": "adopt",
}


def _refuse(
    arguments: argparse.Namespace, flags: Mapping[str, str], with_what: str, fix: str
) -> None:
    """Raise UsageError for the flags that are given. `flags`: each with its `dest`."""
    given = [name for name, dest in flags.items() if getattr(arguments, dest, None)]
    if given:
        raise UsageError(Problem(f"{', '.join(given)} cannot be combined with {with_what}", fix))


def add_fire(parser: argparse.ArgumentParser) -> None:
    receiver = _group(parser, "which receiver")
    receiver.add_argument(
        "address",
        nargs="?",
        metavar="ADDRESS",
        help="declared in hooks files: tenancy/name[/TRIGGER]",
    )
    _add(receiver, "--url", "--secret", "--file", "--env-file")
    send = parser.add_argument_group("what to send")
    several = send.add_mutually_exclusive_group()
    several.add_argument(
        "--suite",
        dest="is_suite",
        action="store_true",
        help=(
            "send everything that a receiver must handle: different bytes and signatures, chunks,"
            " repeated events, two at once, challenges"
        ),
    )
    send.add_argument(
        "--log",
        metavar="FILE",
        help="for --suite: look there for how often it worked on each event",
    )
    send.add_argument(
        "--trigger",
        metavar="NAME",
        help="of the event (default: the declared one, or INDEXED)",
    )
    several.add_argument(
        "--replay",
        metavar="PATH",
        help="resend what `listen --record` wrote: a folder, or an event",
    )
    send.add_argument(
        "--event",
        metavar="FILE",
        help="send this body, newly signed; for --suite: a model",
    )
    send.add_argument(
        "--format",
        choices=("text", "json", "junit"),
        default="text",
        help="of the suite's result: text (default), json, junit",
    )
    _group(parser, SAFETY, "--policy", "--allow-commands")
    _group(parser, MORE, "--timeout", "--verbose")


def add_catch_up(parser: argparse.ArgumentParser) -> None:
    receiver = _group(parser, "which receiver")
    receiver.add_argument(
        "address",
        metavar="ADDRESS",
        help="declared in hooks files: tenancy/name[/INDEXED]",
    )
    _add(receiver, "--file", "--env-file")
    send = parser.add_argument_group("what to send")
    send.add_argument(
        "--since",
        dest="moment",
        required=True,
        metavar="TIME",
        help="send what was updated since, e.g. 2026-11-30T14:00Z",
    )
    send.add_argument(
        "--dry-run",
        dest="is_dry_run",
        action="store_true",
        help="list what would be sent, and send nothing",
    )
    _group(parser, SAFETY, "--yes", "--policy", "--allow-commands")
    _group(parser, MORE, "--timeout", "--verbose")


def _add_secret_sources(parser: argparse.ArgumentParser) -> None:
    """Add the flags that select the secrets for `listen` and `verify`."""
    sources = ("--secret", "--file", "--env-file", "--tenancy", "--target")
    _group(parser, "which secrets", *sources)
    _group(parser, SAFETY, "--policy", "--allow-commands")


def add_listen(parser: argparse.ArgumentParser) -> None:
    receive = parser.add_argument_group("how to receive")
    _add_port(receive, "the port on 127.0.0.1 (default: any free port)")
    receive.add_argument(
        "--forward",
        metavar="URL",
        help=(
            "pass genuine events to this receiver, byte for byte; return its answer, and report"
            " why it refuses one"
        ),
    )
    _add(receive, "--timeout")
    _add_secret_sources(parser)
    output = parser.add_argument_group(OUTPUT)
    output.add_argument(
        "--record",
        metavar="FOLDER",
        help="write each event there, for verify and fire --replay",
    )
    output.add_argument(
        "--body", dest="shows_body", action="store_true", help="show each event's document"
    )
    _group(parser, MORE, "--verbose")


def add_verify(parser: argparse.ArgumentParser) -> None:
    event = _group(parser, "which event")
    event.add_argument("path", metavar="FILE", help="the body, byte for byte; - for standard input")
    event.add_argument(
        "--signature",
        metavar="HEX",
        help="of the header Preservica-Signature (default: recorded)",
    )
    _add_secret_sources(parser)


def add_state_place(parser: argparse.ArgumentParser) -> None:
    """Add the flags that all actions of `state` share."""
    _group(parser, "which state", "--state").add_argument(
        "-f",
        "--file",
        **_REPEATABLE,
        dest="files",
        metavar="PATH",
        help="the state's hooks file (HOOKSYNC_FILE or hooks.yaml)",
    )


def add_state_push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", metavar="FILE", help="a state that was pulled or kept; - for standard input"
    )
    parser.add_argument(
        "--force",
        dest="is_forced",
        action="store_true",
        help=(
            "push even an older or an unrelated state; the records of all later runs are lost, so"
            " hooksync may miss rotations, or make subscriptions twice; without"
            " HOOKSYNC_PLAN_KEY, the signature is lost, too"
        ),
    )
    _add(parser, "--lock-timeout")
    add_state_place(parser)


def add_state_unlock(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the id of the run, from `hooksync state show`")
    _add(parser, "--yes")
    add_state_place(parser)


def add_state_move(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="an address (tenancy/name/TRIGGER) in the state")
    parser.add_argument(
        "new", metavar="NEW", help="its new address: a different name in the same tenancy"
    )
    _add(parser, "--lock-timeout")
    add_state_place(parser)


def add_state_forget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "globs", nargs="+", metavar="GLOB", help="addresses (tenancy/name/TRIGGER) in the state"
    )
    parser.add_argument("--server", metavar="HOST", help="only what is recorded for this server")
    parser.add_argument("--tenant", metavar="NAME", help="only what is recorded for this tenant")
    _add(parser, "--yes", "--lock-timeout")
    add_state_place(parser)


def add_schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kind",
        choices=SCHEMA_KINDS,
        default=SCHEMA_KINDS[0],
        metavar="KIND",
        help=(
            "the document: hooks (the hooks file, by default), policy, state, plan (--format json"
            " of plan, apply and list), notice (--notify) or error (--format json without a result)"
        ),
    )


def add_version(parser: argparse.ArgumentParser) -> None:
    _add_format(parser, "json")


def add_no_flags(parser: argparse.ArgumentParser) -> None:
    """Add nothing."""


def add_sandbox(parser: argparse.ArgumentParser) -> None:
    service = _group(parser, "service")
    _add_port(service, "the port of the service (default: any free port)")
    service.add_argument(
        "--fault",
        **_REPEATABLE,
        dest="faults",
        metavar="SPEC",
        help="make a call fail; repeatable",
    )
    service.add_argument(
        "--trait",
        **_REPEATABLE,
        dest="traits",
        metavar="NAME",
        help="behave in a different way; repeatable",
    )
    service.add_argument(
        "--list-lag",
        type=number_between(float, 0, 86_400),
        default=0.0,
        metavar="S",
        help="seconds by which the list lags; 404 and 409 do not",
    )
    service.add_argument(
        "--tenant",
        **_REPEATABLE,
        metavar="NAME",
        help="a tenant of the account; repeatable (default: DEMO)",
    )
    service.add_argument(
        "--totp-env",
        metavar="ENV",
        help="require a second factor; its base32 seed",
    )
    receivers = parser.add_argument_group("receivers")
    receivers.add_argument(
        "--receiver",
        **_REPEATABLE,
        metavar="NAME=ENV",
        help=(
            "a receiver, and the variable with its secret (or NAME: a new secret); repeatable"
            " (default: catalogue)"
        ),
    )
    _add_port(receivers, "the port of the receivers (default: any free port)", "--receiver-port")
    receivers.add_argument(
        "--write-hooks",
        metavar="FILE",
        help="write its hooks file here, and a .env beside it",
    )


def add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")
