"""The command line: its commands, with their flags and help texts; argv in, options out. Prints and ends nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

from hooksync.cli.flags import SHELLS, add_flags
from hooksync.config.files import DEFAULT_FILES, default_file
from hooksync.core.errors import Problem, UsageError

_WIDTH = 79  # columns of a help text

DESCRIPTION = "Keep the webhook subscriptions of Preservica tenancies as a YAML file says."
EPILOG = """\
exit codes: 0 done, or nothing to do; 1 error; 2 changes pending (plan
--detailed-exitcode); 3 refused, nothing was changed (plan: apply would refuse);
4 applied in part; 64 wrong usage; 130 interrupted; 143 terminated

example: hooksync plan -f hooks.yaml
"""
_APPLY = """\
Plan, ask, and carry the plan out; or carry out a saved plan: without asking, on
any machine, without the hooks file. A saved plan is refused (exit 3) when it
was altered, when the live subscriptions have changed since, or when a server,
a tenant or a URL is not what it was when the plan was made. With
HOOKSYNC_PLAN_KEY set (16 bytes or more) it must be signed with that key, and be
no older than 24 hours or --max-age.
"""
_GENERATE_EXAMPLE = "hooksync secret generate > secret.txt"
_APPLY_EXAMPLE = "hooksync apply --yes --parallelism 16\n         hooksync apply plan.json --max-age 24h"
_CHECK = """\
Check whether all of this can work; changes nothing. For each tenancy: its name,
the connection, TLS, the log-in, the user's role, the list. For each
subscription: its secret, and its receiver's answer to a challenge.

Exits with 0 when nothing failed, and with 1 otherwise. Warnings alone, such as
a weak secret, or a receiver that signs challenge codes which begin as a signed
event does, leave it at 0.
"""
_EXPORT = """\
Print the live subscriptions as a hooks file: of the tenancies in the hooks
files, or of the one that --server, --tenant and PRESERVICA_* name. Changes
nothing. Secrets and the query values of URLs become names of variables, listed
on standard error; with these set, `hooksync plan` says "no changes". What
cannot be declared is left out, with a comment and a warning. Exits with 1 if a
tenancy could not be read.
"""
_INIT = """\
Write a first hooks file: a commented one to fill in, or with --from-live what
`hooksync export` prints. Never overwrites a file.
"""
_STATE = """\
Look after the state: what hooksync remembers of the subscriptions that it made.
Works on every backend, and never reads the hooks file: that only says where the
state is, if nothing else does. Each action has a help text of its own.
"""
_PUSH = """\
Put a file in the place of the state, after `hooksync state pull`, or from
another backend. One that is older than the state there, or does not stem from
it, is refused (exit 3).
"""
_FORGET = """\
Forget entries of the state; nothing in Preservica changes. What is live counts
as not made by hooksync from then on, and its secret as unknown.
"""


class Help(Exception):
    """A help text was asked for; carries it."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as our error, with our exit code; flags are written out, never guessed."""

    def __init__(self, **settings: Any) -> None:
        layout = partial(argparse.RawDescriptionHelpFormatter, max_help_position=26, width=_WIDTH)
        super().__init__(**{"formatter_class": layout, "allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        raise UsageError(Problem(message, f"see `{self.prog} --help`"))

    def print_help(self, file: object = None) -> None:
        raise Help(self.format_help())


def read_arguments(argv: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    """Parse a command line. Raises UsageError when it is wrong, Help when help is asked for.

    Raises FileError where no hooks file is named and it is not clear which one is meant.
    """
    arguments = make_parser(argv[0] if argv and argv[0] in _COMMANDS else None).parse_args(argv)
    if getattr(arguments, "saved_plan", None) is not None:
        _refuse_choosing(arguments)
    elif getattr(arguments, "max_age", None) is not None:
        raise UsageError(Problem("--max-age needs a saved plan", "see `hooksync apply --help`"))
    elif arguments.command == "completion" and not (arguments.shell or arguments.words):
        raise UsageError(Problem("the following arguments are required: shell", "see `hooksync completion --help`"))
    arguments.names_files = getattr(arguments, "files", None) is not None
    arguments.files = getattr(arguments, "files", None) or [_file_by_default(arguments, environ)]
    if getattr(arguments, "uses_state", "state" in arguments) and arguments.state is None:
        arguments.state = environ.get("HOOKSYNC_STATE") or None
    return arguments


def _file_by_default(arguments: argparse.Namespace, environ: Mapping[str, str]) -> str:
    """Choose the hooks file where none is named; only a command that reads it minds what is in the folder."""
    given = vars(arguments)
    if named := environ.get("HOOKSYNC_FILE"):
        return named
    reads_another = arguments.command == "state" or any(given.get(name) for name in ("saved_plan", "server", "tenant"))
    reads_none = given.get("is_from_live") is False or not ("files" in given or given.get("words"))
    return DEFAULT_FILES[0] if reads_another or reads_none else default_file()


def _refuse_choosing(arguments: argparse.Namespace) -> None:
    """Raise UsageError for flags that choose what to plan, next to a plan that is made already."""
    given = {
        "--file": arguments.files is not None,
        "--tenancy": arguments.tenancies,
        "--shard": arguments.shard,
        "--target": arguments.targets,
        "--replace": arguments.replace,
        "--no-prune": not arguments.prunes,
    }
    if names := [name for name, is_given in given.items() if is_given]:
        what = f"{', '.join(names)} cannot be combined with a saved plan"
        raise UsageError(Problem(what, "give such flags to `hooksync plan --out`; see `hooksync apply --help`"))


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of all commands. `only`: the command whose flags are needed; others cost time."""
    parser = _Parser(prog="hooksync", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser, required=True)
    for name, (text, example, complete) in _COMMANDS.items():
        command = _add(commands, name, text, example)
        if only in (None, name):
            complete(command)
            add_flags(command, "--debug")
    return parser


def _add(commands: argparse._SubParsersAction[_Parser], name: str, text: str, example: str) -> _Parser:
    description = f"{text[0].upper()}{text[1:]}."
    return commands.add_parser(name, help=text, description=description, epilog=f"example: {example}")


def _with(*flags: str, description: str = "") -> Callable[[_Parser], None]:
    """Make what completes a command: with its flags and, where one line does not say enough, a description."""

    def complete(parser: _Parser) -> None:
        parser.description = description or parser.description
        add_flags(parser, *flags)

    return complete


def _add_secret(parser: _Parser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser, required=True)
    text = "print a new secret and nothing else: 32 random bytes as 43 characters"
    _add(actions, "generate", text, _GENERATE_EXAMPLE)


def _add_state(parser: _Parser) -> None:
    parser.description = _STATE
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser, required=True)
    for name, (text, example, complete) in _STATE_ACTIONS.items():
        action = _add(actions, name, text, f"hooksync state {name}{example}")
        complete(action)
        add_flags(action, "-f --file:of the state", "--state", "--debug:of an action")


def _add_sandbox(parser: _Parser) -> None:
    from hooksync.sandbox.arguments import add_arguments

    add_arguments(parser)


def _add_completion(parser: _Parser) -> None:
    parser.usage = f"hooksync completion [-h] {{{','.join(SHELLS)}}}"  # --words is for the scripts alone
    add_flags(parser, "shell", "--words")


_SELECTION = ("--tenancy", "--shard", "--target")
_CALLING = ("--timeout", "--parallelism", "--color", "-v --verbose")
_LIVE = ("-f --file", "--tenancy", "--server", "--tenant", *_CALLING)  # of files, or the one named by flags
_PLANNING = (
    *(
        "-f --file",
        "--format:markdown too",
        *_SELECTION,
        "--replace",
        "--no-prune",
        "--allow-mass-unsubscribe",
        "--all",
    ),
    *("--state|--no-state", "--probe|--no-probe", *_CALLING),
)
_COMMANDS: dict[str, tuple[str, str, Callable[[_Parser], None]]] = {  # what each does, an example, its flags
    "validate": (
        "check the files; needs no network",
        "hooksync validate -f hooks.yaml",
        _with("-f --file", "--format", *_SELECTION),
    ),
    "plan": (
        "show what apply would do",
        "hooksync plan --tenancy 'archive-*' --out plan.json",
        _with(*_PLANNING, "--detailed-exitcode", "--out"),
    ),
    "apply": (
        "plan, ask, and carry it out; or a saved plan",
        _APPLY_EXAMPLE,
        _with(
            *("saved_plan", "--max-age", *_PLANNING, "--yes", "--adopt", "--lock-timeout", "--report"),
            description=_APPLY,
        ),
    ),
    "export": (
        "print the live subscriptions as a hooks file",
        "hooksync export --server eu.preservica.com",
        _with(*_LIVE, "--shard", description=_EXPORT),
    ),
    "init": (
        "write a first hooks file",
        "hooksync init --from-live --server eu.preservica.com",
        _with("path", "--from-live", *_LIVE, description=_INIT),
    ),
    "check": (
        "check whether all of this can work; changes nothing",
        "hooksync check --format json",
        _with(
            *("-f --file", "--format:markdown too", *_SELECTION, "--state|--no-state", *_CALLING), description=_CHECK
        ),
    ),
    "state": ("look after what hooksync remembers, wherever that lives", "hooksync state show", _add_state),
    "secret": ("make a secret for Preservica and a receiver to share", _GENERATE_EXAMPLE, _add_secret),
    "schema": ("print a JSON Schema", "hooksync schema > hooks.schema.json", _with("--kind")),
    "sandbox": ("run a local tenancy to try things on", "see below", _add_sandbox),
    "demo": ("show all of this on a sandbox, in less than a minute", "hooksync demo", _with()),
    "completion": (
        "print a script that completes commands, flags and names in a shell",
        "hooksync completion bash > hooksync.bash && source hooksync.bash",
        _add_completion,
    ),
}
_STATE_ACTIONS: dict[str, tuple[str, str, Callable[[_Parser], None]]] = {  # the same of each action
    "show": ("list what the state holds, and who holds its run lock", " --format json", _with("--format")),
    "pull": ("print the state as it is stored", " > state.json", _with()),
    "push": (
        "put a file in its place",
        " state.json --state git:hooksync-state",
        _with("path:of a state", "--force", "--lock-timeout", description=_PUSH),
    ),
    "unlock": ("take the run lock away from a run that has ended", " 0123456789abcdef", _with("id", "--yes")),
    "move": (
        "let it know a subscription by a new name",
        " archive/old/INDEXED archive/new/INDEXED",
        _with("old", "new", "--lock-timeout"),
    ),
    "forget": (
        "remove entries; nothing in Preservica changes",
        " 'archive/old/*'",
        _with("globs", "--yes", "--lock-timeout", description=_FORGET),
    ),
}
