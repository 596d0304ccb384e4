"""The flags and arguments of the commands, as argparse takes them.

A flag's `dest` is the field of the command's options, which has the default. commands.py names the
flags of each command. Nothing here reads a file or the environment.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, get_args

from hooksync.core.model import SecretRef, is_own
from hooksync.core.output import Format
from hooksync.core.schema import SCHEMA_KINDS, is_reference

Keywords = dict[str, Any]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Read a number with its unit: 30m, 24h, 7d."""
    found = re.fullmatch("([1-9][0-9]{0,5})([smhd])", text)
    if found is None:
        raise ArgumentTypeError(f'"{text}" is not a duration: a number with s, m, h or d')
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def number_between(kind: type[float], least: float, most: float) -> Callable[[str], float]:
    """Return a function that reads a number from `least` to `most`."""

    def read(text: str) -> float:
        with suppress(ValueError):
            number = kind(text)
            if least <= number <= most:
                return number
        raise ArgumentTypeError(f'"{text}" is not a number from {least} to {most}')

    return read


def reference(text: str) -> SecretRef:
    """Read the place of a secret. No error quotes `text`, because it may be the secret itself."""
    kind, _, name = text.partition(":")
    if not is_reference({kind: name}):  # only some kinds are written as one text
        fix = "name the place of the secret, never the secret itself"
        raise ArgumentTypeError(f"the value is neither env:NAME nor file:PATH: {fix}")
    if kind == "env" and is_own(name):
        raise ArgumentTypeError(f"the variable {name} is for hooksync itself")
    return SecretRef.from_json({kind: name})


def _format(*choices: str) -> Keywords:
    return {
        "choices": choices,
        "metavar": "FORMAT",
        "help": f"{choices[0]} (default), {', '.join(choices[1:])}",
    }


_PORT: Keywords = {"type": number_between(int, 0, 65535), "metavar": "N"}

SHORT = {"--file": "-f", "--yes": "-y", "--verbose": "-v", "--help": "-h"}

# Each flag and argument, by its name. If commands have different ones of the same name, the name of
# a command precedes it.
FLAGS: dict[str, Keywords] = {
    # what to read
    "--file": {
        "action": "append",
        "dest": "files",
        "metavar": "PATH",
        "help": "hooks file, folder or - (HOOKSYNC_FILE or hooks.yaml)",
    },
    "--env-file": {
        "action": "append",
        "dest": "env_files",
        "metavar": "FILE",
        "help": "variables (HOOKSYNC_ENV_FILE); exports override them",
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
    "show path": {"metavar": "PLAN", "help": "a file of `plan --out`"},
    # what to select
    "--tenancy": {
        "action": "append",
        "dest": "tenancies",
        "metavar": "GLOB",
        "help": "only tenancies of this name (*: any text); repeatable",
    },
    "--since": {
        "metavar": "BRANCH",
        "help": "only tenancies changed since this branch left BRANCH",
    },
    "--target": {
        "action": "append",
        "dest": "targets",
        "metavar": "GLOB",
        "help": "only addresses tenancy/name/TRIGGER; repeatable",
    },
    "--replace": {
        "action": "append",
        "metavar": "GLOB",
        "help": "resubscribe these addresses in any case; repeatable",
    },
    "--adopt": {
        "action": "append",
        "metavar": "GLOB",
        "help": "adopt what is live at these addresses; repeatable",
    },
    "remove": {
        "nargs": "+",
        "metavar": "ID",
        "help": "of a live subscription, in full, as `hooksync list` shows it",
    },
    "--url": {
        "metavar": "URL",
        "help": "a receiver; in its URL, ${NAME} is a variable",
    },
    "--secret": {
        "action": "append",
        "dest": "secrets",
        "type": reference,
        "metavar": "REF",
        "help": "place of its secret: env:NAME, file:PATH; repeatable",
    },
    # output
    "--format": _format(*get_args(Format)),
    "apply --format": _format("text", "json", "markdown"),
    "list --format": _format("text", "json"),
    "fire --format": _format("text", "json", "junit"),
    "--all": {
        "action": "store_true",
        "dest": "shows_kept",
        "help": "also show what is kept or left alone",
    },
    "--detailed-exitcode": {
        "action": "store_true",
        "dest": "has_detailed_exit_code",
        "help": "exit with 2 if live differs, or was not compared",
    },
    "--out": {
        "metavar": "PLAN",
        "help": "save the plan for `apply PLAN`, if apply may do it",
    },
    "--quiet": {
        "action": "store_true",
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
        "action": "store_true",
        "dest": "probes",
        "help": "challenge the receivers of new subscriptions",
    },
    "--allow-commands": {
        "action": "store_true",
        "dest": "allows_commands",
        "help": "run the programs that hooks files name for secrets",
    },
    "--yes": {
        "action": "store_true",
        "dest": "is_confirmed",
        "help": "do not prompt; needed without a terminal",
    },
    "--max-age": {
        "type": duration,
        "metavar": "DURATION",
        "help": "longest age of the plan: 30m, 24h, 7d",
    },
    # more
    "--timeout": {
        "type": number_between(float, 0.001, 3600),
        "metavar": "SECONDS",
        "help": "longest time for a call (default: 30; 10 to connect)",
    },
    "--parallelism": {
        "type": number_between(int, 1, 64),
        "metavar": "N",
        "help": "calls at a time over the whole run (default: 8)",
    },
    "--lock-timeout": {
        "type": number_between(float, 0, 86400),
        "metavar": "SECONDS",
        "help": "wait for a run lock (default: 60; state in a file: 0)",
    },
    "--notify": {
        "type": reference,
        "metavar": "REF",
        "help": "webhook to notify: env:NAME or file:PATH of its URL",
    },
    "--notify-as": {
        "choices": ("json", "slack", "teams"),
        "metavar": "KIND",
        "help": "json (default), slack, teams",
    },
    "--metrics": {
        "metavar": "FILE",
        "help": "write metrics for Prometheus's textfile collector",
    },
    "--verbose": {"action": "store_true", "help": "log each call on standard error"},
    "--help": {"action": "help", "help": "show this text"},
    # init
    "init --file": {
        "dest": "path",
        "metavar": "PATH",
        "help": "the file to write (default: hooks.yaml); - prints it",
    },
    "--from-live": {
        "action": "extend",
        "nargs": "*",
        "metavar": "[URL-PREFIX ...]",
        "help": "write what is live; what is under no prefix, as comments",
    },
    # fire, catch-up, listen and verify
    "fire address": {
        "nargs": "?",
        "metavar": "ADDRESS",
        "help": "declared in hooks files: tenancy/name[/TRIGGER]",
    },
    "catch-up address": {
        "metavar": "ADDRESS",
        "help": "declared in hooks files: tenancy/name[/INDEXED]",
    },
    "--suite": {
        "action": "store_true",
        "dest": "is_suite",
        "help": (
            "send everything that a receiver must handle: different bytes and signatures, chunks,"
            " repeated events, two at once, challenges"
        ),
    },
    "--log": {
        "metavar": "FILE",
        "help": "for --suite: the receiver's log; it shows which work was done",
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
        "help": "send this document, newly signed; --suite varies it",
    },
    "catch-up --since": {
        "dest": "moment",
        "required": True,
        "metavar": "TIME",
        "help": "send what was updated since, e.g. 2026-11-30T14:00Z",
    },
    "--dry-run": {
        "action": "store_true",
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
    "--body": {
        "action": "store_true",
        "dest": "shows_body",
        "help": "show each event's document",
    },
    "verify path": {"metavar": "FILE", "help": "the body, byte for byte; - for standard input"},
    "--signature": {
        "metavar": "HEX",
        "help": "of the header Preservica-Signature (default: recorded)",
    },
    # state
    "push path": {
        "metavar": "FILE",
        "help": "a state that was pulled or kept; - for standard input",
    },
    "--force": {
        "action": "store_true",
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
    # sandbox, schema and completion
    "--fault": {
        "action": "append",
        "dest": "faults",
        "metavar": "SPEC",
        "help": "make a call fail; repeatable",
    },
    "--trait": {
        "action": "append",
        "dest": "traits",
        "choices": ("refuse-duplicates", "answer-without-id", "no-challenge"),
        "metavar": "NAME",
        "help": "behave in a different way; repeatable",
    },
    "--list-lag": {
        "type": number_between(float, 0, 86_400),
        "metavar": "S",
        "help": "the list shows each change S seconds late",
    },
    "sandbox --tenant": {
        "action": "append",
        "dest": "tenants",
        "metavar": "NAME",
        "help": "a tenant of the account; repeatable (default: DEMO)",
    },
    "--receiver": {
        "action": "append",
        "dest": "receivers",
        "metavar": "NAME=ENV",
        "help": (
            "a receiver, and the variable with its secret (or NAME: a new secret); repeatable"
            " (default: catalogue)"
        ),
    },
    "--receiver-port": {**_PORT, "help": "the port of the receivers (default: any free port)"},
    "--write-hooks": {
        "metavar": "FILE",
        "help": "write its hooks file (NAME.yaml), and NAME.env beside it",
    },
    "--kind": {
        "choices": SCHEMA_KINDS,
        "metavar": "KIND",
        "help": (
            "the document: hooks (the hooks file, by default), policy, state, plan (--format json"
            " of plan, apply and list), notice (what --notify sends) or error (what --format json"
            " prints without a result)"
        ),
    },
    "shell": {
        "choices": ("bash", "zsh", "fish"),
        "metavar": "SHELL",
        "help": "bash, zsh or fish",
    },
}
