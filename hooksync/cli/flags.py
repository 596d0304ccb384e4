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

from hooksync.config.declarations import is_own
from hooksync.core.errors import Problem, UsageError
from hooksync.core.model import SecretRef
from hooksync.core.schema import SCHEMA_KINDS, is_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Group = argparse._ActionsContainer
    Settings = dict[str, Any]

SHELLS = ("bash", "zsh", "fish")

READ = "what to read"
SELECT = "what to select"
OUTPUT = "output"
SAFETY = "safety"
CONNECTION = "connection"
MORE = "more"

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

_REPEATABLE: Settings = {"action": "append", "default": []}
_SHORT = {"--file": "-f", "--yes": "-y", "--verbose": "-v", "--help": "-h"}

_SHARED: dict[str, Settings] = {
    "--file": {
        **_REPEATABLE,
        "dest": "files",
        "metavar": "PATH",
        "help": (
            "a hooks file, a directory of them, or - for standard input; repeatable (default:"
            " HOOKSYNC_FILE, or hooks.yaml)"
        ),
    },
    "--env-file": {
        **_REPEATABLE,
        "dest": "env_files",
        "metavar": "FILE",
        "help": "variables as lines of NAME=value, unless they are set already; repeatable",
    },
    "--server": {
        "metavar": "HOST",
        "help": (
            "read the tenancy on this server, not the hooks files (default without a hooks file:"
            " PRESERVICA_SERVER)"
        ),
    },
    "--tenant": {
        "metavar": "NAME",
        "help": "the user's tenant on that server (default: PRESERVICA_TENANT)",
    },
    "--state": {
        "metavar": "WHERE",
        "help": (
            "the state: a path, git:BRANCH, or s3://, az:// or gs://BUCKET/KEY (default:"
            " HOOKSYNC_STATE, or FILE.state.json beside the hooks file)"
        ),
    },
    "--no-state": {
        "dest": "uses_state",
        "action": "store_false",
        "help": "read no state, and compare no secrets",
    },
    "--credentials": {
        "metavar": "FILE",
        "help": (
            "log in with this credentials.properties of pyPreservica (default: the one in this"
            " folder, if no PRESERVICA_ variable is set)"
        ),
    },
    "--tenancy": {
        **_REPEATABLE,
        "dest": "tenancies",
        "metavar": "GLOB",
        "help": "only tenancies with a matching name; repeatable",
    },
    "--target": {
        **_REPEATABLE,
        "dest": "targets",
        "metavar": "GLOB",
        "help": "only subscriptions with this address, tenancy/name/TRIGGER; repeatable",
    },
    "--replace": {
        **_REPEATABLE,
        "metavar": "GLOB",
        "help": "resubscribe these addresses even if nothing differs; repeatable",
    },
    "--url": {
        "metavar": "URL",
        "help": (
            "a receiver that no hooks file needs to declare; write a key as ${NAME}, which hooksync"
            " fills in from the environment"
        ),
    },
    "--secret": {
        **_REPEATABLE,
        "dest": "secrets",
        "type": partial(reference, "--secret"),
        "metavar": "REF",
        "help": (
            "the place of a secret: env:NAME or file:PATH, never the secret itself; the first one"
            " signs; repeatable"
        ),
    },
    "--all": {
        "dest": "shows_kept",
        "action": "store_true",
        "help": "also show each subscription that is kept or left alone",
    },
    "--detailed-exitcode": {
        "dest": "has_detailed_exit_code",
        "action": "store_true",
        "help": "exit with 2 if live differs from the file, or was not compared",
    },
    "--color": {
        "choices": ("auto", "always", "never"),
        "default": "auto",
        "metavar": "WHEN",
        "help": (
            "colour the result: auto (on a terminal, or if FORCE_COLOR is set, but never if"
            " NO_COLOR is), always, never"
        ),
    },
    "--policy": {
        "metavar": "FILE",
        "help": "refuse what this policy does not allow (default: HOOKSYNC_POLICY)",
    },
    "--allow-commands": {
        "dest": "allows_commands",
        "action": "store_true",
        "help": "run the programs that hooks files name for secrets; a policy overrides this",
    },
    "--yes": {
        "dest": "is_confirmed",
        "action": "store_true",
        "help": "do not ask; needed if there is no terminal",
    },
    "--max-age": {
        "type": duration,
        "metavar": "DURATION",
        "help": "longest age of a saved plan: 30m, 24h, 7d (default: 24h if signed)",
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
        "help": (
            "longest wait for a different run on the same state (default: until it is known"
            " whether that run still lives)"
        ),
    },
    "--notify": {
        "type": partial(reference, "--notify"),
        "metavar": "REF",
        "help": (
            "notify a webhook of changes and failures; the place of its URL: env:NAME or file:PATH"
        ),
    },
    "--notify-as": {
        "choices": ("json", "slack", "teams"),
        "default": "json",
        "metavar": "KIND",
        "help": "format of the notice: json (default), slack, teams",
    },
    "--metrics": {
        "metavar": "FILE",
        "help": "write metrics to this file, for Prometheus's textfile collector",
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
    group: Group | None = next((one for one in parser._action_groups if one.title == title), None)
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
    _group(parser, SELECT, "--tenancy", "--target", "--replace")
    _group(parser, OUTPUT)
    safety = _group(parser, SAFETY, "--policy")
    either = safety.add_mutually_exclusive_group()
    either.add_argument(
        "--probe",
        dest="probes",
        action="store_true",
        default=None,
        help="challenge receivers first, even if the file has `probe: never`",
    )
    either.add_argument(
        "--no-probe",
        dest="probes",
        action="store_false",
        help="challenge no receivers, except those that remove-first needs",
    )
    _group(parser, CONNECTION, "--timeout", "--parallelism", "--credentials")
    shared = ("--allow-commands", "--notify", "--notify-as", "--metrics", *more)
    _group(parser, MORE, *shared, "--color", "--verbose")


def _add_rest(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add the last groups of a command that logs in. `names`: more flags for the last group."""
    _group(parser, SAFETY, "--policy", "--allow-commands")
    _group(parser, CONNECTION, "--timeout", "--parallelism", "--credentials")
    _group(parser, MORE, *names, "--verbose")


# One function for each command.


def add_validate(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "--file")
    _group(parser, SELECT, "--tenancy", "--target")
    _group(parser, SAFETY, "--policy", "--allow-commands")


def add_plan(parser: argparse.ArgumentParser) -> None:
    _add_planning(parser, "--no-state")
    output = _group(parser, OUTPUT)
    _add_format(output, "json", "markdown", "html")
    output.add_argument(
        "--out",
        metavar="PLAN",
        help=(
            "save the plan for `apply PLAN`, unless apply would refuse it; signed if"
            " HOOKSYNC_PLAN_KEY is set"
        ),
    )
    _add(output, "--detailed-exitcode", "--all")


def add_apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "saved_plan",
        nargs="?",
        metavar="PLAN",
        help=(
            "a file that `plan --out` saved: apply without a prompt, if the plan is still the same"
        ),
    )
    _add_planning(parser, "--lock-timeout")
    output = _group(parser, OUTPUT)
    _add_format(output, "json", "markdown")
    output.add_argument(
        "--report",
        metavar="FILE",
        help="also write the result as JSON to a file, even if steps fail",
    )
    _add(output, "--all")
    _group(parser, SAFETY, "--yes", "--max-age")


def check_apply(arguments: argparse.Namespace) -> None:
    """Refuse flags that choose what a saved plan has chosen already."""
    if arguments.saved_plan is not None:
        fix = "give such flags to `hooksync plan --out`; see `hooksync apply --help`"
        _refuse(arguments, _SELECTING, "a saved plan", fix)
    elif arguments.max_age is not None:
        raise UsageError(Problem("--max-age needs a saved plan", "see `hooksync apply --help`"))


def add_adopt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "globs",
        metavar="ADDRESS",
        nargs="*",
        help="tenancy/name/TRIGGER, or a glob (default: all whose secret is unknown)",
    )
    _group(parser, READ, "--file", "--state", "--env-file")
    _group(parser, SELECT, "--tenancy")
    _add_rest(parser, "--lock-timeout")


def add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PLAN", help="a file that `plan --out` saved")
    output = _group(parser, OUTPUT)
    _add_format(output, "json", "markdown", "html")
    _add(output, "--all", "--detailed-exitcode", "--color", "--max-age")


def add_list(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "--file", "--server", "--tenant", "--env-file")
    _group(parser, SELECT, "--tenancy", "--target")
    output = _group(parser, OUTPUT)
    _add_format(output, "json")
    output.add_argument(
        "--coverage",
        dest="shows_coverage",
        action="store_true",
        help="show the subscribers of each trigger, and the triggers without a subscriber",
    )
    _group(parser, "state", "--state", "--no-state")
    _add_rest(parser, "--color")


def add_export(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "--server", "--tenant", "--env-file")
    _add_rest(parser)


def add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path",
        nargs="?",
        default="hooks.yaml",
        metavar="PATH",
        help="the file to write (default: hooks.yaml)",
    )
    write = _group(parser, "what to write")
    write.add_argument(
        "--from-live",
        dest="is_from_live",
        action="store_true",
        help="write the live subscriptions, like `hooksync export`, with its flags",
    )
    write.add_argument(
        "--write-env",
        metavar="FILE",
        help="also write the variables that the file needs, for --env-file; mode 0600",
    )
    _group(parser, READ, "--server", "--tenant", "--env-file")
    _add_rest(parser)


def add_check(parser: argparse.ArgumentParser) -> None:
    _group(parser, READ, "--file", "--env-file")
    _group(parser, SELECT, "--tenancy", "--target", "--url", "--secret")
    _add_format(_group(parser, OUTPUT), "json")
    _add_rest(parser, "--color")


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


_SELECTING = {"--tenancy": "tenancies", "--target": "targets", "--replace": "replace"}


def _refuse(
    arguments: argparse.Namespace, flags: Mapping[str, str], with_what: str, fix: str
) -> None:
    """Raise UsageError for the flags that are given. `flags`: each with its `dest`."""
    given = [name for name, dest in flags.items() if getattr(arguments, dest, None)]
    if given:
        raise UsageError(Problem(f"{', '.join(given)} cannot be combined with {with_what}", fix))


def add_fire(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "address",
        nargs="?",
        metavar="ADDRESS",
        help="a subscription of the hooks files: tenancy/name or tenancy/name/TRIGGER",
    )
    _group(parser, READ, "--url", "--secret", "--file", "--env-file")
    send = parser.add_argument_group("what to send")
    several = send.add_mutually_exclusive_group()
    several.add_argument(
        "--suite",
        dest="is_suite",
        action="store_true",
        help="send everything that a receiver must handle, challenges too",
    )
    send.add_argument(
        "--trigger",
        metavar="NAME",
        help=(
            "the event's trigger, by its name in hooks files or on the wire (default: the"
            " subscription's, or INDEXED)"
        ),
    )
    several.add_argument(
        "--replay",
        metavar="FOLDER",
        help="send the events that `listen --record` wrote there, with their original signatures",
    )
    send.add_argument(
        "--event",
        metavar="FILE",
        help="send the body in this file with a new signature; with --suite: events like it",
    )
    _group(parser, SAFETY, "--policy", "--allow-commands")
    _group(parser, CONNECTION, "--timeout")
    _group(parser, MORE, "--color", "--verbose")


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
            "pass genuine events to this receiver, byte for byte with their headers; return its"
            " answer to the sender, and report the likely reason for a refusal"
        ),
    )
    _add(receive, "--timeout")
    _add_secret_sources(parser)
    output = parser.add_argument_group(OUTPUT)
    output.add_argument(
        "--record",
        metavar="FOLDER",
        help=(
            "write the body and the headers of each event to this folder, for verify and fire"
            " --replay; make the folder if necessary"
        ),
    )
    _group(parser, MORE, "--verbose")


def add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", metavar="FILE", help="the body of an event, byte for byte; - for standard input"
    )
    parser.add_argument(
        "--signature",
        metavar="HEX",
        help="the value of the header Preservica-Signature (default: the recorded one)",
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
        help=(
            "the hooks file, or the directory, to which the state belongs; hooksync does not read"
            " it (default: HOOKSYNC_FILE, or hooks.yaml)"
        ),
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
            "the document: hooks (the hooks file, by default), policy, state, plan (plan --format"
            " json), report (apply --format json), list (list --format json), notice (--notify)"
            " or error (--format json without a result)"
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
        help="make a call fail, see below; repeatable",
    )
    service.add_argument(
        "--trait",
        **_REPEATABLE,
        dest="traits",
        metavar="NAME",
        help="behave in a different way, see below; repeatable",
    )
    service.add_argument(
        "--list-lag",
        type=number_between(float, 0, 86_400),
        default=0.0,
        metavar="S",
        help="seconds by which the list lags, see below",
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
        help="require a second factor, with the base32 seed in this variable",
    )
    receivers = parser.add_argument_group("receivers")
    receivers.add_argument(
        "--receiver",
        **_REPEATABLE,
        metavar="NAME=ENV",
        help=(
            "a receiver, and the variable that contains its secret; without a variable, hooksync"
            " makes a secret; repeatable (default: catalogue)"
        ),
    )
    _add_port(receivers, "the port of the receivers (default: any free port)", "--receiver-port")
    receivers.add_argument(
        "--write-hooks",
        metavar="FILE",
        help=(
            "write the hooks file for a second terminal here, and the variables beside it "
            "(default: in a temporary folder)"
        ),
    )


def add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")
