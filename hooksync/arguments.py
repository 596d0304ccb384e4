"""The command line: its commands, flags and help texts; argv in, options out. Prints nothing and ends nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from hooksync.errors import Problem, UsageError

_WIDTH = 79  # columns of a help text
_MOST_PARALLEL = 64

DESCRIPTION = "Keep the webhook subscriptions of Preservica tenancies as a YAML file says."
EPILOG = """\
exit codes: 0 done, or nothing to do; 1 error; 2 changes pending (plan
--detailed-exitcode); 3 refused before anything was changed; 4 applied in
part; 64 wrong usage; 130 interrupted; 143 terminated

example: hooksync plan -f hooks.yaml
"""


class Help(Exception):
    """A help text was asked for; carries it."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as our error, with our exit code; flags are written out, never guessed."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise UsageError(Problem(message, f"see `{self.prog} --help`"))

    def print_help(self, file: object = None) -> None:
        raise Help(self.format_help())


def read_arguments(argv: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    """Parse a command line. Raises UsageError when it is wrong, Help when help is asked for."""
    arguments = make_parser().parse_args(argv)
    if getattr(arguments, "file", ()) is None:
        arguments.file = [environ.get("HOOKSYNC_FILE") or "hooks.yaml"]
    return arguments


def make_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    parser = _Parser("hooksync", description=DESCRIPTION, epilog=EPILOG, formatter_class=_formatter)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser, required=True)
    _add_validate(commands)
    _add_plan(commands)
    _add_apply(commands)
    _add_schema(commands)
    _add_sandbox(commands)
    _add_demo(commands)
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
    _add_files(parser)
    _add_format(parser)
    _add_selection(parser)


def _add_plan(commands: _Commands[_Parser]) -> None:
    parser = _add(commands, "plan", "show what apply would do", "hooksync plan --tenancy 'archive-*' --format json")
    _add_files(parser)
    _add_planning(parser)
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="exit with 2 when there are changes, 0 when there are none"
    )


def _add_apply(commands: _Commands[_Parser]) -> None:
    parser = _add(commands, "apply", "plan, ask, and do it", "hooksync apply --yes --parallelism 16")
    _add_files(parser)
    _add_planning(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask; needed where there is no terminal")


def _add_schema(commands: _Commands[_Parser]) -> None:
    parser = _add(commands, "schema", "print a JSON Schema", "hooksync schema > hooks.schema.json")
    parser.add_argument(
        "--kind", choices=("hooks", "plan", "report"), default="hooks",
        help="of the hooks file (default), of plan --format json, or of apply --format json",
    )  # fmt: skip


def _add_sandbox(commands: _Commands[_Parser]) -> None:
    from hooksync.sandbox.arguments import add_arguments

    example = "hooksync sandbox --port 8080 --receiver catalogue=HOOK_SECRET"
    add_arguments(_add(commands, "sandbox", "run a local tenancy to try things on", example))


def _add_demo(commands: _Commands[_Parser]) -> None:
    _add(commands, "demo", "show all of this on a sandbox, in less than a minute", "hooksync demo")


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-f", "--file", action="append", metavar="PATH",
        help="a hooks file, a directory of them, or - for standard input; may be repeated "
        "(default: HOOKSYNC_FILE, or hooks.yaml)",
    )  # fmt: skip


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text", help="form of the result (default: text)")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tenancy",
        action="append",
        default=[],
        metavar="GLOB",
        help="only tenancies with such a name; may be repeated",
    )
    parser.add_argument(
        "--target", action="append", default=[], metavar="GLOB",
        help="only subscriptions with such an address (tenancy/name/TRIGGER); may be repeated",
    )  # fmt: skip


def _add_planning(parser: argparse.ArgumentParser) -> None:
    _add_format(parser)
    _add_selection(parser)
    parser.add_argument(
        "--replace", action="append", default=[], metavar="GLOB",
        help="resubscribe such addresses even if nothing differs; may be repeated",
    )  # fmt: skip
    parser.add_argument("--no-prune", action="store_true", help="unsubscribe nothing but duplicates and replaced ones")
    parser.add_argument(
        "--allow-mass-unsubscribe", action="store_true", help="go beyond limits.unsubscribe of the file"
    )
    parser.add_argument("--all", action="store_true", help="show what is kept, too")
    parser.add_argument(
        "--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="for each call (default: 30; 10 to connect)"
    )
    parser.add_argument(
        "--parallelism",
        type=_parallelism,
        default=8,
        metavar="N",
        help="calls at a time over the whole run (default: 8)",
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour the result (default: on a terminal)",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="tell of each call on standard error")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise ValueError
    return seconds


def _parallelism(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST_PARALLEL:
        raise ValueError
    return number


_seconds.__name__ = "number of seconds (more than 0, at most 3600)"
_parallelism.__name__ = f"number from 1 to {_MOST_PARALLEL}"


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=_WIDTH)
