"""The flags and arguments of each command, for argparse.

A flag's `dest` is the field of the command's options. The flags come first, then one function for
each command. Each help has its flags in named groups, the most used groups first. Nothing here
reads a file or the environment.
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
    return SecretRef.from_json({kind: name})


# Each flag and argument as `add_argument` takes it, by its name.

_REPEATABLE: Keywords = {"action": "append", "default": []}
_SWITCH: Keywords = {"action": "store_true"}
_PORT: Keywords = {"type": number_between(int, 0, 65535), "default": 0, "metavar": "N"}
_SHORT = {"--file": "-f", "--yes": "-y", "--verbose": "-v", "--help": "-h"}

_FLAGS: dict[str, Keywords] = {
    # what to read
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
    "saved_plan": {
        "nargs": "?",
        "metavar": "PLAN",
        "help": "saved by `plan --out`: apply it without a prompt",
    },
    # what to select
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
    "remove": {"nargs": "+", "metavar": "ID", "help": "of a live subscription, in full"},
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
    # output
    "--all": {**_SWITCH, "dest": "shows_kept", "help": "also show what is kept or left alone"},
    "--detailed-exitcode": {
        **_SWITCH,
        "dest": "has_detailed_exit_code",
        "help": "exit with 2 if live differs, or was not compared",
    },
    "--out": {
        "metavar": "PLAN",
        "help": "save the plan for `apply PLAN`, if apply may do it",
    },
    "--quiet": {
        **_SWITCH,
        "dest": "is_quiet",
        "help": "print nothing unless a person is needed: for cron",
    },
    "--report": {
        "metavar": "FILE",
        "help": "also write the result as JSON, even if steps fail",
    },
    # safety
    "--policy": {
        "metavar": "FILE",
        "help": "limit what the run may do (default: HOOKSYNC_POLICY)",
    },
    "--probe": {
        **_SWITCH,
        "dest": "probes",
        "help": "challenge the receivers of new subscriptions",
    },
    "--allow-commands": {
        **_SWITCH,
        "dest": "allows_commands",
        "help": "run the programs that hooks files name for secrets",
    },
    "--yes": {
        **_SWITCH,
        "dest": "is_confirmed",
        "help": "apply without a prompt; needed without a terminal",
    },
    "--max-age": {
        "type": duration,
        "metavar": "DURATION",
        "help": "longest age of the plan: 30m, 24h, 7d",
    },
    # more
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
        "help": "wait for a run lock (default: 60; state in a file: 0)",
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
    "--verbose": {**_SWITCH, "help": "log each call on standard error"},
    "--help": {"action": "help", "help": "show this text"},
    # fire, catch-up, listen and verify
    "--suite": {
        **_SWITCH,
        "dest": "is_suite",
        "help": (
            "send everything that a receiver must handle: different bytes and signatures, chunks,"
            " repeated events, two at once, challenges"
        ),
    },
    "--log": {
        "metavar": "FILE",
        "help": "for --suite: look there for how often it worked on each event",
    },
    "--trigger": {
        "metavar": "NAME",
        "help": "of the event (default: the declared one, or INDEXED)",
    },
    "--replay": {
        "metavar": "PATH",
        "help": "resend what `listen --record` wrote: a folder, or an event",
    },
    "--event": {
        "metavar": "FILE",
        "help": "send this body, newly signed; for --suite: a model",
    },
    "--dry-run": {
        **_SWITCH,
        "dest": "is_dry_run",
        "help": "list what would be sent, and send nothing",
    },
    "--port": {**_PORT, "help": "the port on 127.0.0.1 (default: any free port)"},
    "--forward": {
        "metavar": "URL",
        "help": (
            "pass genuine events to this receiver, byte for byte; return its answer, and report"
            " why it refuses one"
        ),
    },
    "--record": {
        "metavar": "FOLDER",
        "help": "write each event there, for verify and fire --replay",
    },
    "--body": {**_SWITCH, "dest": "shows_body", "help": "show each event's document"},
    "--signature": {
        "metavar": "HEX",
        "help": "of the header Preservica-Signature (default: recorded)",
    },
    # state
    "--force": {
        **_SWITCH,
        "dest": "is_forced",
        "help": (
            "push even an older or an unrelated state; the records of all later runs are lost, so"
            " hooksync may miss rotations, or make subscriptions twice; without"
            " HOOKSYNC_PLAN_KEY, the signature is lost, too"
        ),
    },
    "id": {"metavar": "ID", "help": "the id of the run, from `hooksync state show`"},
    "old": {"metavar": "OLD", "help": "an address (tenancy/name/TRIGGER) in the state"},
    "new": {
        "metavar": "NEW",
        "help": "its new address: a different name in the same tenancy",
    },
    "globs": {
        "nargs": "+",
        "metavar": "GLOB",
        "help": "addresses (tenancy/name/TRIGGER) in the state",
    },
    "--server": {"metavar": "HOST", "help": "only what is recorded for this server"},
    "--tenant": {"metavar": "NAME", "help": "only what is recorded for this tenant"},
    # sandbox and completion
    "--fault": {
        **_REPEATABLE,
        "dest": "faults",
        "metavar": "SPEC",
        "help": "make a call fail; repeatable",
    },
    "--trait": {
        **_REPEATABLE,
        "dest": "traits",
        "metavar": "NAME",
        "help": "behave in a different way; repeatable",
    },
    "--list-lag": {
        "type": number_between(float, 0, 86_400),
        "default": 0.0,
        "metavar": "S",
        "help": "seconds by which the list lags; 404 and 409 do not",
    },
    "--receiver": {
        **_REPEATABLE,
        "metavar": "NAME=ENV",
        "help": (
            "a receiver, and the variable with its secret (or NAME: a new secret); repeatable"
            " (default: catalogue)"
        ),
    },
    "--receiver-port": {**_PORT, "help": "the port of the receivers (default: any free port)"},
    "--write-hooks": {
        "metavar": "FILE",
        "help": "write its hooks file here, and a .env beside it",
    },
    "shell": {"choices": SHELLS, "metavar": "SHELL", "help": "bash, zsh or fish"},
}
_CONNECTION = ("--timeout", "--parallelism", "--credentials")
_WATCHING = ("--notify", "--notify-as", "--metrics")
_SELECTING = {
    "--tenancy": "tenancies",
    "--target": "targets",
    "--replace": "replace",
    "--adopt": "adopt",
}


def _group(parser: argparse.ArgumentParser, title: str, *names: str) -> Group:
    """Add flags to a group. Make the group if it does not exist."""
    for group in parser._action_groups:
        if group.title == title:
            break
    else:
        group = parser.add_argument_group(title)
    for name in names:
        spellings = [_SHORT[name], name] if name in _SHORT else [name]
        group.add_argument(*spellings, **_FLAGS[name])
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


def _add_rest(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the last groups of a command that calls others. `names`: flags of the last group."""
    _group(parser, SAFETY, "--policy", "--allow-commands")
    _group(parser, MORE, *names, "--verbose")


def _refuse(
    arguments: argparse.Namespace, flags: Mapping[str, str], with_what: str, fix: str
) -> None:
    """Raise UsageError for the flags that are given. `flags`: each with its `dest`."""
    given = [name for name, dest in flags.items() if getattr(arguments, dest, None)]
    if given:
        raise UsageError(Problem(f"{', '.join(given)} cannot be combined with {with_what}", fix))


# For each command, a function that adds its flags; for some, a function that refuses combinations.


def add_validate(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "--file")
    _group(parser, SAFETY, "--policy", "--allow-commands")


def add_plan(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "--file", "--env-file", "--state", "--no-state")
    _group(parser, SELECT, "--tenancy", "--target", "--since", "--replace", "--adopt")
    _add_format(_group(parser, OUTPUT), *_FORMATS[1:])
    _group(parser, OUTPUT, "--out", "--detailed-exitcode", "--all", "--quiet")
    _group(parser, SAFETY, "--probe")
    _add_rest(parser, *_CONNECTION, *_WATCHING)


def check_plan(arguments: argparse.Namespace) -> None:
    """Refuse --quiet with a format that always has a document."""
    if arguments.is_quiet and arguments.format != "text":
        _refuse(arguments, {"--quiet": "is_quiet"}, "--format", "leave out one of the two")


def add_apply(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "saved_plan", "--file", "--env-file", "--state")
    _group(parser, SELECT, *_SELECTING)
    _add_format(_group(parser, OUTPUT), "json", "markdown")
    _group(parser, OUTPUT, "--report", "--all")
    _group(parser, SAFETY, "--yes", "--max-age")
    _add_rest(parser, *_CONNECTION, *_WATCHING, "--lock-timeout")


def check_apply(arguments: argparse.Namespace) -> None:
    """Refuse flags that choose what a saved plan has chosen already."""
    if arguments.saved_plan is not None:
        fix = "give such flags to `hooksync plan --out`; see `hooksync apply --help`"
        _refuse(arguments, _SELECTING, "a saved plan", fix)
    elif arguments.max_age is not None:
        raise UsageError(Problem("--max-age needs a saved plan", "see `hooksync apply --help`"))


def add_remove(parser: argparse.ArgumentParser) -> None:
    _group(parser, SELECT, "remove", "--tenancy")
    _group(parser, READ, "--file", "--env-file", "--state")
    _add_format(_group(parser, OUTPUT, "--report"), "json", "markdown")
    _group(parser, SAFETY, "--yes")
    _add_rest(parser, *_CONNECTION, "--lock-timeout")


def add_show(parser: argparse.ArgumentParser) -> None:
    read = parser.add_argument_group(READ)
    read.add_argument("path", metavar="PLAN", help="a file of `plan --out`")
    _add_format(_group(parser, OUTPUT, "--all", "--max-age"), *_FORMATS[1:])


def add_list(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "--file", "--env-file", "--state", "--no-state")
    _group(parser, SELECT, "--tenancy", "--target")
    _add_format(_group(parser, OUTPUT), "json")
    _add_rest(parser, *_CONNECTION)


def add_init(parser: argparse.ArgumentParser) -> None:
    write = parser.add_argument_group("what to write")
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
    _add_rest(parser, *_CONNECTION)


def check_receiver(arguments: argparse.Namespace) -> None:
    """Refuse --url without --secret or with other flags that select, and --secret without --url."""
    if bool(arguments.url) != bool(arguments.secrets):
        fix = "name one receiver by --url URL --secret env:NAME, or leave out both"
        raise UsageError(Problem("--url and --secret need each other", fix))
    if arguments.url:
        flags = {"an address": "address", "--file": "files", **_SELECTING}
        _refuse(arguments, flags, "--url", "name either one receiver, or hooks files")


def add_fire(parser: argparse.ArgumentParser) -> None:
    receiver = parser.add_argument_group("which receiver")
    receiver.add_argument(
        "address",
        nargs="?",
        metavar="ADDRESS",
        help="declared in hooks files: tenancy/name[/TRIGGER]",
    )
    _group(parser, "which receiver", "--url", "--secret", "--file", "--env-file")
    send = _group(parser, "what to send", "--suite", "--log", "--trigger", "--replay", "--event")
    _add_format(send, "json", "junit")
    _add_rest(parser, "--timeout")


def check_fire(arguments: argparse.Namespace) -> None:
    """Check --url and --secret, and refuse --replay with flags that describe new events."""
    check_receiver(arguments)
    if arguments.replay is not None:
        flags = {"--suite": "is_suite", "--event": "event", "--trigger": "trigger"}
        _refuse(arguments, flags, "--replay", "send recorded events, or new ones")
    if not arguments.is_suite and (arguments.log or arguments.format != "text"):
        raise UsageError(Problem("--log and --format need --suite", "add --suite"))


def add_catch_up(parser: argparse.ArgumentParser) -> None:
    receiver = parser.add_argument_group("which receiver")
    receiver.add_argument(
        "address",
        metavar="ADDRESS",
        help="declared in hooks files: tenancy/name[/INDEXED]",
    )
    _group(parser, "which receiver", "--file", "--env-file")
    send = parser.add_argument_group("what to send")
    send.add_argument(
        "--since",
        dest="moment",
        required=True,
        metavar="TIME",
        help="send what was updated since, e.g. 2026-11-30T14:00Z",
    )
    _group(parser, "what to send", "--dry-run")
    _group(parser, SAFETY, "--yes")
    _add_rest(parser, "--timeout")


def add_listen(parser: argparse.ArgumentParser) -> None:
    _group(parser, "how to receive", "--port", "--forward", "--timeout")
    _group(parser, "which secrets", "--secret", "--file", "--env-file")
    _group(parser, SAFETY, "--policy", "--allow-commands")
    _group(parser, OUTPUT, "--record", "--body")
    _group(parser, MORE, "--verbose")


def add_verify(parser: argparse.ArgumentParser) -> None:
    event = parser.add_argument_group("which event")
    event.add_argument("path", metavar="FILE", help="the body, byte for byte; - for standard input")
    _group(parser, "which event", "--signature")
    _group(parser, "which secrets", "--secret", "--file", "--env-file")
    _group(parser, SAFETY, "--policy", "--allow-commands")


def add_state_place(parser: argparse.ArgumentParser) -> None:
    """Add the flags that all actions of `state` share."""
    _group(parser, "which state", "--state", "--file")


def add_state_push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument_group(READ).add_argument(
        "path", metavar="FILE", help="a state that was pulled or kept; - for standard input"
    )
    _group(parser, SAFETY, "--force", "--lock-timeout")
    add_state_place(parser)


def add_state_unlock(parser: argparse.ArgumentParser) -> None:
    _group(parser, SELECT, "id")
    _group(parser, SAFETY, "--yes")
    add_state_place(parser)


def add_state_move(parser: argparse.ArgumentParser) -> None:
    _group(parser, SELECT, "old", "new")
    _group(parser, SAFETY, "--lock-timeout")
    add_state_place(parser)


def add_state_forget(parser: argparse.ArgumentParser) -> None:
    _group(parser, SELECT, "globs", "--server", "--tenant")
    _group(parser, SAFETY, "--yes", "--lock-timeout")
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
    service = _group(parser, "service", "--fault", "--trait", "--list-lag")
    service.add_argument(
        "--tenant",
        **_REPEATABLE,
        metavar="NAME",
        help="a tenant of the account; repeatable (default: DEMO)",
    )
    _group(parser, "service", "--port")
    _group(parser, "receivers", "--receiver", "--receiver-port", "--write-hooks")


def add_completion(parser: argparse.ArgumentParser) -> None:
    _group(parser, OUTPUT, "shell")
