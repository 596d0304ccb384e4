"""The flags and arguments of each command, for argparse.

A flag's `dest` is the field of the command's options.

Functions that several commands share come first, then one function for each command. Each command's
help has its flags in named groups, the most used ones first. Nothing here reads a file or the
environment.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

from hooksync.config.declarations import is_own, read_shard
from hooksync.core.errors import Problem, UsageError
from hooksync.core.model import SecretRef
from hooksync.core.schema import SCHEMA_KINDS, is_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    Group = argparse._ActionsContainer

SHELLS = ("bash", "zsh", "fish")

READ = "what to read"
SELECT = "what to select"
OUTPUT = "output"
SAFETY = "safety"
CONNECTION = "connection"
MORE = "more"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MOST_DIGITS = 6  # of a duration


# How the text of a value is read.


def duration(text: str) -> timedelta:
    """Read a number with its unit: 30m, 24h, 7d."""
    digits = text[:-1]
    unit = _UNITS.get(text[-1:])
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
    if unit is None or not is_number or digits.startswith("0"):
        raise argparse.ArgumentTypeError(f'"{text}" is not a duration: a number with s, m, h or d')
    return timedelta(**{unit: int(digits)})


def number_between(kind: type[float], least: float, most: float) -> Callable[[str], float]:
    """Make a reader of numbers from `least` to `most`."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f'"{text}" is not a number from {least} to {most}')
        return number

    return read


def reference(flag: str, text: str) -> SecretRef:
    """Read where a secret is found.

    Raises UsageError, which does not quote what may be the secret itself.
    """
    kind, _, name = text.partition(":")
    if not is_reference({kind: name}):  # of the kinds that are written as one text
        fix = (
            "name its place, never the secret itself; only a hooks file can name a different kind"
            " of place"
        )
        raise UsageError(Problem(f"{flag} is neither env:NAME nor file:PATH", fix))
    if kind == "env" and is_own(name):
        fix = f"name a different variable with {flag}"
        raise UsageError(Problem(f"the variable {name} is for hooksync itself", fix))
    return SecretRef(kind, name)


# What several commands share.


def _add_file(group: Group) -> None:
    group.add_argument(
        "-f",
        "--file",
        dest="files",
        action="append",
        default=[],
        metavar="PATH",
        help=(
            "a hooks file, a directory of them, or - for standard input; may be repeated "
            "(default: HOOKSYNC_FILE, or hooks.yaml, or hooks.yml)"
        ),
    )


def _add_env_file(group: Group) -> None:
    group.add_argument(
        "--env-file",
        dest="env_files",
        action="append",
        default=[],
        metavar="FILE",
        help=(
            "set the variables in this file of NAME=value lines, unless they are set already; "
            "may be repeated, the last one counts"
        ),
    )


def _add_policy(group: Group) -> None:
    group.add_argument(
        "--policy",
        metavar="FILE",
        help=(
            "refuse hooks files that name what this policy does not allow (default:"
            " HOOKSYNC_POLICY)"
        ),
    )


def _add_allow_commands(group: Group) -> None:
    group.add_argument(
        "--allow-commands",
        dest="allows_commands",
        action="store_true",
        help="run the programs that hooks files name for secrets; overridden by a policy",
    )


def _add_credentials(group: Group) -> None:
    group.add_argument(
        "--credentials",
        metavar="FILE",
        help=(
            "log in with this credentials.properties of pyPreservica (default: the one in this "
            "folder, if no PRESERVICA_ variable is set)"
        ),
    )


def _add_tenancy(group: Group) -> None:
    group.add_argument(
        "--tenancy",
        dest="tenancies",
        action="append",
        default=[],
        metavar="GLOB",
        help="only tenancies with a matching name; may be repeated",
    )


def _add_target(group: Group) -> None:
    group.add_argument(
        "--target",
        dest="targets",
        action="append",
        default=[],
        metavar="GLOB",
        help="only subscriptions with a matching address (tenancy/name/TRIGGER); may be repeated",
    )


def _add_shard(group: Group) -> None:
    group.add_argument(
        "--shard",
        type=read_shard,
        metavar="I/N",
        help=(
            "only share I of N of the tenancies, counted from 1; a name is always in the same share"
        ),
    )


def _add_server_and_tenant(group: Group) -> None:
    group.add_argument(
        "--server",
        metavar="HOST",
        help=(
            "read the one tenancy on this server instead of those of a hooks file "
            "(default, if there is no file: PRESERVICA_SERVER)"
        ),
    )
    group.add_argument(
        "--tenant",
        metavar="NAME",
        help="the user's tenant on that server (default: PRESERVICA_TENANT)",
    )


def _add_format(group: Group, *choices: str) -> None:
    group.add_argument(
        "--format",
        choices=("text", *choices),
        default="text",
        help="output format (default: text)",
    )


def _add_json(group: Group, meaning: str = "the same as --format json") -> None:
    group.add_argument(
        "--json", dest="format", action="store_const", const="json", default="text", help=meaning
    )


def _add_all(group: Group) -> None:
    group.add_argument(
        "--all",
        dest="shows_kept",
        action="store_true",
        help="also show each subscription that is kept or left alone",
    )


def _add_detailed_exitcode(group: Group) -> None:
    group.add_argument(
        "--detailed-exitcode",
        dest="has_detailed_exit_code",
        action="store_true",
        help="exit with 2 if there are changes, 0 if there are none",
    )


def _add_state(group: Group) -> None:
    group.add_argument(
        "--state",
        metavar="WHERE",
        help=(
            "the state: a path, git:BRANCH, s3://BUCKET/KEY, az://CONTAINER/KEY or gs://BUCKET/KEY "
            "(default: HOOKSYNC_STATE, or NAME.state.json beside the first file)"
        ),
    )


def _add_no_state(group: Group) -> None:
    group.add_argument(
        "--no-state",
        dest="uses_state",
        action="store_false",
        help="read no state: secrets are not compared",
    )


def _add_lock_timeout(group: Group) -> None:
    group.add_argument(
        "--lock-timeout",
        type=number_between(float, 0, 86400),
        metavar="SECONDS",
        help=(
            "how long to wait for another run on the same state (default: 30 on a terminal,"
            " otherwise 0)"
        ),
    )


def _add_yes(group: Group, meaning: str) -> None:
    group.add_argument(
        "-y", "--yes", "--auto-approve", dest="is_confirmed", action="store_true", help=meaning
    )


def _add_max_age(group: Group, meaning: str) -> None:
    group.add_argument("--max-age", type=duration, metavar="DURATION", help=meaning)


def _add_timeout(group: Group) -> None:
    group.add_argument(
        "--timeout",
        type=number_between(float, 0.001, 3600),
        default=30.0,
        metavar="SECONDS",
        help="for each call (default: 30; 10 to connect)",
    )


def _add_parallelism(group: Group) -> None:
    group.add_argument(
        "--parallelism",
        type=number_between(int, 1, 64),
        default=8,
        metavar="N",
        help="calls at a time over the whole run (default: 8)",
    )


def _add_verbose(group: Group) -> None:
    group.add_argument(
        "-v", "--verbose", action="store_true", help="log each call on standard error"
    )


def _add_color(group: Group) -> None:
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help=(
            "colour the result (default: auto: on a terminal, unless NO_COLOR is set; FORCE_COLOR"
            " overrides both)"
        ),
    )
    either.add_argument(
        "--no-color",
        dest="color",
        action="store_const",
        const="never",
        help="the same as --color never",
    )


def _add_debug(group: Group) -> None:
    group.add_argument(
        "--debug",
        dest="is_debugging",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show where an unforeseen error came from",
    )


def _add_url_and_secret(group: Group) -> None:
    group.add_argument(
        "--url",
        metavar="URL",
        help=(
            "a receiver, instead of those of hooks files; hooksync fills in ${NAME} from the "
            "environment, so a key need not be written there"
        ),
    )
    _add_secret(group)


def _add_secret(group: Group) -> None:
    group.add_argument(
        "--secret",
        dest="secrets",
        action="append",
        default=[],
        type=partial(reference, "--secret"),
        metavar="REF",
        help=(
            "where a secret is found: env:NAME or file:PATH, never the secret itself; may be "
            "repeated, the first one signs"
        ),
    )


def _add_connection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(CONNECTION)
    _add_timeout(group)
    _add_parallelism(group)


def _add_planning(parser: argparse.ArgumentParser) -> None:
    """Add what `plan` and `apply` share, but for their output."""
    read = parser.add_argument_group(READ)
    _add_file(read)
    _add_env_file(read)
    _add_state(read)
    select = parser.add_argument_group(SELECT)
    _add_tenancy(select)
    _add_target(select)
    select.add_argument(
        "--replace",
        action="append",
        default=[],
        metavar="GLOB",
        help="resubscribe these addresses even if nothing differs; may be repeated",
    )


def _add_planning_safety(parser: argparse.ArgumentParser) -> Group:
    safety = parser.add_argument_group(SAFETY)
    _add_policy(safety)
    either = safety.add_mutually_exclusive_group()
    either.add_argument(
        "--probe",
        dest="probes",
        action="store_true",
        default=None,
        help="challenge receivers first (apply does, unless the file says never)",
    )
    either.add_argument(
        "--no-probe", dest="probes", action="store_false", help="do not challenge receivers"
    )
    return safety


def _add_planning_rest(parser: argparse.ArgumentParser) -> Group:
    _add_connection(parser)
    more = parser.add_argument_group(MORE)
    _add_credentials(more)
    _add_allow_commands(more)
    _add_shard(more)
    more.add_argument(
        "--notify",
        type=partial(reference, "--notify"),
        metavar="REF",
        help=(
            "call a webhook at the end of a run that changed or failed: env:NAME or file:PATH,"
            " where its URL is found"
        ),
    )
    more.add_argument(
        "--notify-as",
        choices=("json", "slack", "teams"),
        default="json",
        help="what the webhook takes (default: json)",
    )
    more.add_argument(
        "--metrics",
        metavar="FILE",
        help="write metrics to this file, for Prometheus's textfile collector",
    )
    _add_color(more)
    _add_verbose(more)
    _add_debug(more)
    return more


def _add_live(parser: argparse.ArgumentParser) -> None:
    """Add what the commands share that read one tenancy or those of hooks files."""
    read = parser.add_argument_group(READ)
    _add_file(read)
    _add_server_and_tenant(read)
    _add_env_file(read)


def _add_rest(parser: argparse.ArgumentParser, *, has_shards: bool) -> None:
    """Add the groups that come last in a command which logs in."""
    _add_policy(parser.add_argument_group(SAFETY))
    _add_connection(parser)
    more = parser.add_argument_group(MORE)
    _add_credentials(more)
    _add_allow_commands(more)
    if has_shards:
        _add_shard(more)
    _add_color(more)
    _add_verbose(more)
    _add_debug(more)


# One function for each command.


def add_validate(parser: argparse.ArgumentParser) -> None:
    _add_file(parser.add_argument_group(READ))
    select = parser.add_argument_group(SELECT)
    _add_tenancy(select)
    _add_target(select)
    _add_shard(select)
    _add_format(parser.add_argument_group(OUTPUT), "json")
    safety = parser.add_argument_group(SAFETY)
    _add_policy(safety)
    _add_allow_commands(safety)
    _add_debug(parser.add_argument_group(MORE))


def add_plan(parser: argparse.ArgumentParser) -> None:
    _add_planning(parser)
    output = parser.add_argument_group(OUTPUT)
    _add_format(output, "json", "markdown", "html")
    output.add_argument(
        "--out",
        metavar="PLAN",
        help=(
            "save the plan, unless apply would refuse it; `apply PLAN` does exactly this, or "
            "refuses it; signed if HOOKSYNC_PLAN_KEY is set"
        ),
    )
    _add_detailed_exitcode(output)
    _add_all(output)
    _add_planning_safety(parser)
    _add_no_state(_add_planning_rest(parser))


def add_apply(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "saved_plan",
        nargs="?",
        metavar="PLAN",
        help=(
            "a file that `plan --out` saved: apply without a prompt, if the plan is still the same"
        ),
    )
    _add_planning(parser)
    output = parser.add_argument_group(OUTPUT)
    _add_format(output, "json", "markdown")
    output.add_argument(
        "--report",
        metavar="FILE",
        help="also write the result as JSON to a file, even if steps fail",
    )
    _add_all(output)
    safety = _add_planning_safety(parser)
    _add_yes(safety, "do not ask; needed if there is no terminal")
    _add_max_age(
        safety,
        "refuse an older saved plan, e.g. 30m, 24h or 7d (default: 24h for a signed one)",
    )
    more = _add_planning_rest(parser)
    _add_lock_timeout(more)
    more.add_argument(
        "--adopt",
        dest="adopts",
        action="store_true",
        help=(
            "challenge the receivers, and record in the state that kept subscriptions have their"
            " declared secrets"
        ),
    )


def check_apply(arguments: argparse.Namespace) -> None:
    """Refuse flags that choose what a saved plan has chosen already."""
    if arguments.saved_plan is not None:
        fix = "give such flags to `hooksync plan --out`; see `hooksync apply --help`"
        _refuse_choosing(arguments, "a saved plan", fix, allowed="--file")
    elif arguments.max_age is not None:
        raise UsageError(Problem("--max-age needs a saved plan", "see `hooksync apply --help`"))


def add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PLAN", help="a file that `plan --out` saved")
    output = parser.add_argument_group(OUTPUT)
    _add_format(output, "json", "markdown", "html")
    _add_all(output)
    _add_detailed_exitcode(output)
    _add_color(output)
    _add_max_age(
        output, "the --max-age that apply will get: report whether it would refuse the plan"
    )
    more = parser.add_argument_group(MORE)
    _add_env_file(more)
    _add_debug(more)


def add_list(parser: argparse.ArgumentParser) -> None:
    _add_live(parser)
    select = parser.add_argument_group(SELECT)
    _add_tenancy(select)
    _add_target(select)
    output = parser.add_argument_group(OUTPUT)
    _add_format(output, "json", "markdown")
    output.add_argument(
        "--coverage",
        dest="shows_coverage",
        action="store_true",
        help="show which names subscribe to which trigger, and which trigger has none",
    )
    state = parser.add_argument_group("state")
    _add_state(state)
    _add_no_state(state)
    _add_rest(parser, has_shards=True)


def add_export(parser: argparse.ArgumentParser) -> None:
    _add_live(parser)
    _add_tenancy(parser.add_argument_group(SELECT))
    _add_rest(parser, has_shards=True)


def add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path",
        nargs="?",
        default="hooks.yaml",
        metavar="PATH",
        help="the file to write (default: hooks.yaml)",
    )
    write = parser.add_argument_group("what to write")
    write.add_argument(
        "--from-live",
        dest="is_from_live",
        action="store_true",
        help="write what `hooksync export` prints; takes its flags",
    )
    write.add_argument(
        "--write-env",
        metavar="FILE",
        help="also write the variables that it needs, for --env-file; mode 0600",
    )
    write.add_argument(
        "--with-values",
        action="store_true",
        help=(
            "with the values that live URLs show; secrets stay empty, because no service shows them"
        ),
    )
    _add_live(parser)
    _add_tenancy(parser.add_argument_group(SELECT))
    _add_rest(parser, has_shards=False)


def add_check(parser: argparse.ArgumentParser) -> None:
    read = parser.add_argument_group(READ)
    _add_file(read)
    _add_env_file(read)
    _add_state(read)
    _add_no_state(read)
    select = parser.add_argument_group(SELECT)
    _add_tenancy(select)
    _add_target(select)
    _add_url_and_secret(select)
    _add_format(parser.add_argument_group(OUTPUT), "json", "markdown")
    _add_rest(parser, has_shards=True)


def check_receiver(arguments: argparse.Namespace) -> None:
    """Refuse a receiver that is named twice, or without its secret."""
    if not arguments.url:
        if arguments.secrets:
            fix = "a hooks file names the secrets of its receivers itself"
            raise UsageError(Problem("--secret needs --url", fix))
        return
    _refuse_choosing(arguments, "--url", "name either one receiver, or hooks files")
    if not arguments.secrets:
        raise UsageError(
            Problem("--url needs --secret", "give --secret env:NAME or --secret file:PATH")
        )


def add_fire(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "address",
        nargs="?",
        metavar="ADDRESS",
        help="a subscription of the hooks files: tenancy/name or tenancy/name/TRIGGER",
    )
    read = parser.add_argument_group(READ)
    _add_url_and_secret(read)
    _add_file(read)
    _add_env_file(read)
    send = parser.add_argument_group("what to send")
    send.add_argument(
        "--suite",
        dest="is_suite",
        action="store_true",
        help="send all that a receiver must handle, challenges too",
    )
    send.add_argument(
        "--trigger",
        metavar="NAME",
        help=(
            "of the event, as in hooks files or on the wire (default: the subscription's, or"
            " INDEXED)"
        ),
    )
    send.add_argument("--event", metavar="FILE", help="send the body in this file, signed anew")
    send.add_argument(
        "--bad-signature",
        dest="is_badly_signed",
        action="store_true",
        help="sign with a different secret; a receiver that refuses it passes",
    )
    send.add_argument(
        "--repeat",
        type=number_between(int, 1, 1000),
        default=1,
        metavar="N",
        help="send the same event so many times (default: 1)",
    )
    send.add_argument(
        "--slow", dest="is_slow", action="store_true", help="send it in pieces, over four seconds"
    )
    output = parser.add_argument_group(OUTPUT)
    _add_format(output, "json")
    _add_json(output)
    safety = parser.add_argument_group(SAFETY)
    _add_policy(safety)
    _add_allow_commands(safety)
    _add_timeout(parser.add_argument_group(CONNECTION))
    more = parser.add_argument_group(MORE)
    _add_color(more)
    _add_verbose(more)
    _add_debug(more)


def _add_secret_sources(parser: argparse.ArgumentParser) -> None:
    """Add where `listen` and `verify` find secrets."""
    read = parser.add_argument_group("which secrets")
    _add_secret(read)
    _add_file(read)
    _add_env_file(read)
    _add_tenancy(read)
    _add_target(read)
    safety = parser.add_argument_group(SAFETY)
    _add_policy(safety)
    _add_allow_commands(safety)


def add_listen(parser: argparse.ArgumentParser) -> None:
    receive = parser.add_argument_group("how to receive")
    _add_port(receive, "on 127.0.0.1 (default: any free one)")
    receive.add_argument(
        "--forward",
        metavar="URL",
        help=(
            "pass genuine events on to this receiver, byte for byte with their headers; "
            "its status goes back to the sender"
        ),
    )
    receive.add_argument(
        "--exit-after",
        type=number_between(int, 1, 1000),
        metavar="N",
        help="end after so many genuine events",
    )
    _add_timeout(receive)
    _add_secret_sources(parser)
    output = parser.add_argument_group(OUTPUT)
    output.add_argument(
        "--record",
        metavar="FOLDER",
        help=(
            "write each event there: its body, and beside it its headers, as verify and fire"
            " --event take them"
        ),
    )
    _add_json(output, "write each as a line of JSON, with the whole event")
    more = parser.add_argument_group(MORE)
    _add_verbose(more)
    _add_debug(more)


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
    output = parser.add_argument_group(OUTPUT)
    _add_format(output, "json")
    _add_json(output)
    state = parser.add_argument_group("state")
    state.add_argument(
        "--record-state",
        dest="records_state",
        action="store_true",
        help="record in the state which secret that live subscription has",
    )
    _add_state(state)
    _add_lock_timeout(state)
    _add_debug(parser.add_argument_group(MORE))


def add_state_place(parser: argparse.ArgumentParser) -> None:
    """Add what all actions of `state` share."""
    where = parser.add_argument_group("which state")
    _add_state(where)
    where.add_argument(
        "-f",
        "--file",
        dest="files",
        action="append",
        default=[],
        metavar="PATH",
        help=(
            "the hooks file, or the directory of them, that the state belongs to; not read "
            "(default: HOOKSYNC_FILE, or hooks.yaml)"
        ),
    )
    _add_env_file(where)
    _add_debug(parser.add_argument_group(MORE))


def add_state_show(parser: argparse.ArgumentParser) -> None:
    _add_format(parser, "json")
    add_state_place(parser)


def add_state_push(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", metavar="FILE", help="a state that was pulled or kept; - for standard input"
    )
    parser.add_argument(
        "--force",
        dest="is_forced",
        action="store_true",
        help=(
            "push even a state that is older, or not a version of that one. What runs have recorded"
            " there since is lost: hooksync may miss rotations, or make subscriptions twice."
            " Without HOOKSYNC_PLAN_KEY, the signature is lost, too"
        ),
    )
    _add_lock_timeout(parser)
    add_state_place(parser)


def add_state_unlock(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="of the run, as `hooksync state show` shows it")
    _add_yes(parser, "do not ask; needed if there is no terminal")
    add_state_place(parser)


def add_state_move(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="an address (tenancy/name/TRIGGER) in the state")
    parser.add_argument(
        "new", metavar="NEW", help="its new address: a different name in the same tenancy"
    )
    _add_lock_timeout(parser)
    add_state_place(parser)


def add_state_forget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "globs", nargs="+", metavar="GLOB", help="addresses (tenancy/name/TRIGGER) in the state"
    )
    _add_yes(parser, "do not ask; needed if there is no terminal")
    _add_lock_timeout(parser)
    add_state_place(parser)


def add_schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--kind",
        choices=SCHEMA_KINDS,
        default=SCHEMA_KINDS[0],
        metavar="KIND",
        help=(
            "of what: hooks (the hooks file, by default), policy, state, plan (plan --format json),"
            " report (apply --format json), list (list --format json), receiver (verify, fire and"
            " listen --json) or notice (--notify)"
        ),
    )
    _add_debug(parser)


def add_version(parser: argparse.ArgumentParser) -> None:
    _add_format(parser, "json")
    _add_debug(parser)


def add_no_flags(parser: argparse.ArgumentParser) -> None:
    _add_debug(parser)


def _add_port(group: Group, meaning: str) -> None:
    group.add_argument(
        "--port", type=number_between(int, 0, 65535), default=0, metavar="N", help=meaning
    )


def add_sandbox(parser: argparse.ArgumentParser) -> None:
    service = parser.add_argument_group("service")
    _add_port(service, "the port of the service (default: any free port)")
    service.add_argument(
        "--data", metavar="PATH", help="keep the subscriptions in this file, secrets too"
    )
    service.add_argument(
        "--fault",
        dest="faults",
        action="append",
        default=[],
        metavar="SPEC",
        help="make a call fail, see below; may be repeated",
    )
    service.add_argument(
        "--trait",
        dest="traits",
        action="append",
        default=[],
        metavar="NAME",
        help="behave in a different way, see below; may be repeated",
    )
    service.add_argument(
        "--list-lag",
        type=number_between(float, 0, 86_400),
        default=0.0,
        metavar="S",
        help="let the list lag behind by so many seconds, see below",
    )
    service.add_argument(
        "--tenant",
        action="append",
        default=[],
        metavar="NAME",
        help="a tenant of the account; may be repeated (default: DEMO)",
    )
    service.add_argument(
        "--totp-env",
        metavar="ENV",
        help="the variable with a base32 seed: require a second factor",
    )
    receivers = parser.add_argument_group("receivers")
    receivers.add_argument(
        "--receiver",
        action="append",
        default=[],
        metavar="NAME=ENV,...",
        help=(
            "a receiver, and the variables that hold its secrets: the first answers challenges; "
            "without any, a secret is made; may be repeated (default: catalogue)"
        ),
    )
    receivers.add_argument(
        "--receiver-port",
        type=number_between(int, 0, 65535),
        default=0,
        metavar="N",
        help="the port of the receivers (default: any free port)",
    )
    receivers.add_argument(
        "--write-hooks",
        metavar="FILE",
        help=(
            "write the hooks file for a second terminal here, and the variables beside it "
            "(default: into a folder that is removed at the end)"
        ),
    )
    _add_debug(parser.add_argument_group(MORE))


def add_sandbox_fire(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server",
        metavar="URL",
        help="the sandbox's address, on this machine (default: PRESERVICA_SERVER)",
    )
    parser.add_argument(
        "--trigger",
        default="INDEXED",
        metavar="NAME",
        help="the event's trigger (default: INDEXED)",
    )
    _add_debug(parser)


def add_completion(parser: argparse.ArgumentParser) -> None:
    parser.usage = f"hooksync completion [-h] {{{','.join(SHELLS)}}}"  # --words is for the scripts
    parser.add_argument("shell", nargs="?", choices=SHELLS, help="the shell that the script is for")
    parser.add_argument("--words", choices=("tenancies", "addresses"), help=argparse.SUPPRESS)
    _add_debug(parser)


def check_completion(arguments: argparse.Namespace) -> None:
    """Refuse a command line that asks for nothing."""
    if not (arguments.shell or arguments.words):
        what = "the following arguments are required: shell"
        raise UsageError(Problem(what, "see `hooksync completion --help`"))


def _refuse_choosing(
    arguments: argparse.Namespace, with_what: str, fix: str, *, allowed: str = ""
) -> None:
    """Raise UsageError for flags that select from hooks files, next to what is selected already."""
    given: Mapping[str, object] = vars(arguments)
    choosing = {
        "an address": given.get("address"),
        "--file": given.get("files"),
        "--tenancy": given.get("tenancies"),
        "--shard": given.get("shard"),
        "--target": given.get("targets"),
        "--replace": given.get("replace"),
    }
    names = [name for name, value in choosing.items() if value and name != allowed]
    if names:
        raise UsageError(Problem(f"{', '.join(names)} cannot be combined with {with_what}", fix))
