"""The command line: its commands, flags and help texts; argv in, options out. Prints nothing and ends nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from hooksync.cli.flags import (
    APPLY_EXAMPLE,
    add_calling,
    add_export,
    add_files,
    add_format,
    add_init,
    add_saved_plan,
    add_selection,
    refuse_choosing,
)
from hooksync.core.errors import Problem, UsageError
from hooksync.core.schema_files import SCHEMA_KINDS

_WIDTH = 79  # columns of a help text

DESCRIPTION = "Keep the webhook subscriptions of Preservica tenancies as a YAML file says."
EPILOG = """\
exit codes: 0 done, or nothing to do; 1 error; 2 changes pending (plan
--detailed-exitcode); 3 refused before anything was changed; 4 applied in
part; 64 wrong usage; 130 interrupted; 143 terminated

example: hooksync plan -f hooks.yaml
"""

_CHECK = """\
See whether all of this can work; changes nothing. For each tenancy: its name,
the connection, TLS, the log-in, the user's role, the list. For each
subscription: its secret, and its receiver's answer to a challenge.

Exits with 0 when nothing failed, and with 1 otherwise. Warnings alone, such as
a weak secret, or a receiver that signs challenge codes which begin as a signed
event does, leave it at 0.
"""


class Help(Exception):
    """A help text was asked for; carries it."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as our error, with our exit code; flags are written out, never guessed."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("allow_abbrev", False)
        super().__init__(**settings)

    def error(self, message: str) -> NoReturn:
        raise UsageError(Problem(message, f"see `{self.prog} --help`"))

    def print_help(self, file: object = None) -> None:
        raise Help(self.format_help())


def read_arguments(argv: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    """Parse a command line. Raises UsageError when it is wrong, Help when help is asked for."""
    arguments = make_parser().parse_args(argv)
    if getattr(arguments, "plan", None) is not None:
        refuse_choosing(arguments)
    elif getattr(arguments, "max_age", None) is not None:
        raise UsageError(Problem("--max-age is of a saved plan, and none is named", "see `hooksync apply --help`"))
    arguments.names_files = getattr(arguments, "file", None) is not None
    if getattr(arguments, "file", ()) is None:
        arguments.file = [environ.get("HOOKSYNC_FILE") or "hooks.yaml"]
    if getattr(arguments, "state", "") is None and not arguments.no_state:
        arguments.state = environ.get("HOOKSYNC_STATE") or None
    return arguments


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = _Parser(prog="hooksync", description=DESCRIPTION, epilog=EPILOG, formatter_class=_formatter)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser, required=True)
    _add_validate(commands)
    _add_plan(commands)
    _add_apply(commands)
    add_export(
        _add(commands, "export", "print what is live as a hooks file", "hooksync export --server eu.preservica.com")
    )
    add_init(_add(commands, "init", "write a first hooks file", "hooksync init --from-live --server eu.preservica.com"))
    _add_check(commands)
    _add_secret(commands)
    _add_schema(commands)
    _add_sandbox(commands)
    _add_demo(commands)
    _add_completion(commands)
    return parser


_Commands = argparse._SubParsersAction


def _add(commands: _Commands[_Parser], name: str, text: str, example: str) -> _Parser:
    return commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=f"example: {example}",
        formatter_class=_formatter,
    )


def _add_validate(commands: _Commands[_Parser]) -> None:
    parser = _add(commands, "validate", "check the files; needs no network", "hooksync validate -f hooks.yaml")
    add_files(parser)
    add_format(parser)
    add_selection(parser)


def _add_plan(commands: _Commands[_Parser]) -> None:
    parser = _add(commands, "plan", "show what apply would do", "hooksync plan --tenancy 'archive-*' --out plan.json")
    add_files(parser)
    _add_planning(parser)
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="exit with 2 when there are changes, 0 when there are none"
    )
    parser.add_argument(
        "--out", metavar="PLAN",
        help="save the plan as JSON for `apply PLAN`, which does exactly this; signed where HOOKSYNC_PLAN_KEY is set",
    )  # fmt: skip


def _add_apply(commands: _Commands[_Parser]) -> None:
    parser = _add(commands, "apply", "plan, ask, and do it; or do what a saved plan says", APPLY_EXAMPLE)
    add_saved_plan(parser)
    add_files(parser)
    _add_planning(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask; needed where there is no terminal")
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="record the declared secrets of kept subscriptions in the state as the live ones",
    )
    parser.add_argument(
        "--report", metavar="FILE", help="write the result as JSON to a file, too, whatever comes of the run"
    )


def _add_check(commands: _Commands[_Parser]) -> None:
    parser = _add(
        commands, "check", "see whether all of this can work; changes nothing", "hooksync check --format json"
    )
    parser.description = _CHECK
    add_files(parser)
    add_format(parser, "markdown")
    add_selection(parser)
    add_calling(parser)


def _add_secret(commands: _Commands[_Parser]) -> None:
    example = "hooksync secret generate > secret.txt"
    parser = _add(commands, "secret", "make a secret for Preservica and a receiver to share", example)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser, required=True)
    text = "print a new secret and nothing else: 32 random bytes as 43 characters"
    _add(actions, "generate", text, example)


def _add_schema(commands: _Commands[_Parser]) -> None:
    parser = _add(commands, "schema", "print a JSON Schema", "hooksync schema > hooks.schema.json")
    parser.add_argument(
        "--kind", choices=SCHEMA_KINDS, default="hooks",
        help="of the hooks file (default), of plan --format json, of apply --format json, or of the state",
    )  # fmt: skip


def _add_sandbox(commands: _Commands[_Parser]) -> None:
    from hooksync.sandbox.arguments import add_arguments

    add_arguments(_add(commands, "sandbox", "run a local tenancy to try things on", example="see below"))


def _add_demo(commands: _Commands[_Parser]) -> None:
    _add(commands, "demo", "show all of this on a sandbox, in less than a minute", "hooksync demo")


def _add_completion(commands: _Commands[_Parser]) -> None:
    example = "hooksync completion bash > hooksync.bash && source hooksync.bash"
    parser = _add(commands, "completion", "print a script that completes commands and flags in a shell", example)
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell it is for")


def _add_planning(parser: argparse.ArgumentParser) -> None:
    add_format(parser, "markdown")
    add_selection(parser)
    parser.add_argument(
        "--replace", action="append", default=[], metavar="GLOB",
        help="resubscribe such addresses even if nothing differs; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-prune", action="store_true", help="unsubscribe nothing but duplicates and replaced ones")
    parser.add_argument(
        "--allow-mass-unsubscribe", action="store_true", help="go beyond limits.unsubscribe of the file"
    )
    parser.add_argument("--all", action="store_true", help="show what is kept, too")
    states = parser.add_mutually_exclusive_group()
    states.add_argument(
        "--state",
        metavar="PATH",
        help="the state (default: HOOKSYNC_STATE, or beside the first file, as NAME.state.json)",
    )
    states.add_argument("--no-state", action="store_true", help="neither read nor write a state")
    probes = parser.add_mutually_exclusive_group()
    probes.add_argument(
        "--probe",
        action="store_true",
        default=None,
        help="challenge receivers first (apply does, unless the file says never)",
    )
    probes.add_argument("--no-probe", action="store_false", dest="probe", help="do not challenge receivers")
    add_calling(parser)


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=_WIDTH)
