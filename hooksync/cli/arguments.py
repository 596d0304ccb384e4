"""The command line: argv in, options out; and the command `completion`. Prints and ends nothing.

Its commands stand in commands.txt: what each does in a line, its flags and arguments, an example, and, where one line
does not say enough, a description. Names in capitals are groups of flags; `--one|--other`: only one of the two.

Its flags and arguments stand in flags.txt, by the option strings (what follows a colon tells one from another), with
what stands for the value (`...`: may be repeated; `one|other`: a choice, the first one by default), the field of
commands/options.py that takes it, where that has another name, and a help text. A flag without a value is a switch.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from hooksync.config.declarations import addresses, read_shard
from hooksync.config.files import DEFAULT_FILES, default_file
from hooksync.core.errors import ExitCode, HooksyncError, Problem, UsageError
from hooksync.core.model import SecretRef
from hooksync.core.schema import SCHEMA_KINDS

if TYPE_CHECKING:
    from hooksync.commands.options import Options
    from hooksync.reconcile.context import World

SHELLS = ("bash", "zsh", "fish")

_WIDTH = 79  # columns of a help text
_DURATION = re.compile("(?P<number>[1-9][0-9]{0,5})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_ALIKE = 0.7  # of 1, for difflib: what was perhaps meant
_FILES = ("PATH", "FILE", "PLAN", "WHERE", "FOLDER")  # metavars
_NAMES = ("GLOB", "ADDRESS", "OLD", "NEW")  # metavars of addresses, and of globs of these or of tenancies
_SAFE = re.compile("[A-Za-z0-9_./-]+")  # bash expands what it completes from
_PORTS = ("--port", "--port:of a sandbox", "--receiver-port")


def duration(text: str) -> timedelta:
    """Read a number with its unit. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError
    return timedelta(**{_UNITS[found["unit"]]: int(found["number"])})


def _number(kind: type[float], least: float, most: float) -> Callable[[str], float]:
    """Make what reads a number in a range."""

    def read(text: str) -> float:
        number = kind(text)
        if not least <= number <= most:
            raise ValueError
        return number

    read.__name__ = f"number from {least} to {most}"  # argparse says "invalid NAME value: ..."
    return read


duration.__name__ = "duration (a number with s, m, h or d)"
_repeat = _number(int, 1, 1000)


def _reference(flag: str, text: str) -> SecretRef:
    """Read where a secret is found. Raises UsageError, which does not quote what may be the secret itself."""
    kind, _, name = text.partition(":")
    if kind in ("command", "keyring"):
        fix = f"give {flag} env:NAME or {flag} file:PATH; a program or a keyring is named in a hooks file only"
        raise UsageError(Problem(f"{flag} takes no {kind}", fix))
    if kind not in ("env", "file") or not name:
        raise UsageError(
            Problem(f"{flag} is neither env:NAME nor file:PATH", "name its place, never the secret itself")
        )
    if kind == "env" and name.upper().startswith("HOOKSYNC_"):
        raise UsageError(Problem(f"the variable {name} is for hooksync itself", f"name another one with {flag}"))
    return SecretRef("env" if kind == "env" else "file", name)


_FLAGS: Mapping[str, dict[str, Any]] = {  # what flags.txt cannot say of one
    "--shard": {"type": read_shard},
    "--timeout": {"type": _number(float, 0.001, 3600), "default": 30.0},
    "--parallelism": {"type": _number(int, 1, 64), "default": 8},
    "--no-color": {"action": "store_const", "const": "never"},
    "--debug:of an action": {"default": argparse.SUPPRESS},  # before the action, it counts too
    "--lock-timeout": {"type": _number(float, 0, 86400)},
    "--probe": {"default": None},
    "saved_plan": {"nargs": "?"},
    **{each: {"type": duration} for each in ("--max-age", "--max-age:of apply")},
    "--notify": {"type": partial(_reference, "--notify")},
    "--secret": {"type": partial(_reference, "--secret")},
    "address": {"nargs": "?"},
    "--repeat": {"type": _repeat, "default": 1},
    "--exit-after": {"type": _repeat},
    **{each: {"action": "store_const", "const": "json", "default": "text"} for each in ("--json", "--json:lines")},
    **{port: {"type": _number(int, 0, 65535), "default": 0} for port in _PORTS},
    **{each: {"type": float, "default": 0.0} for each in ("--latency", "--events-every", "--list-lag")},
    "--token-seconds": {"type": float, "default": 900.0},
    "--shell": {"default": "powershell" if os.name == "nt" else "sh"},
    "path": {"nargs": "?", "default": "hooks.yaml"},
    "--kind": {"choices": SCHEMA_KINDS, "default": SCHEMA_KINDS[0]},
    "shell": {"nargs": "?", "choices": SHELLS},
    "--words": {"default": None, "help": argparse.SUPPRESS},
}


class Help(Exception):
    """A help text was asked for; carries it."""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as our error, with our exit code; flags are written out, never guessed."""

    def __init__(self, **settings: Any) -> None:
        layout = partial(argparse.RawDescriptionHelpFormatter, max_help_position=26, width=_WIDTH)
        super().__init__(**{"formatter_class": layout, "allow_abbrev": False, **settings})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse what is not known, with what was perhaps meant. Of `--flag=value` the value may be a secret."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            kind, known = ("flag", self._option_string_actions) if name.startswith("-") else ("argument", ())
            self._refuse(f"unknown {kind} {name}", name, known)
        for action in self._actions:  # last, for a mistyped flag may be why it is missing
            if action.nargs == argparse.PARSER and not getattr(found, action.dest) and self.prog != "hooksync sandbox":
                self._refuse(f"{action.metavar} is missing", "", action.choices or (), names_all=True)
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = action.option_strings[-1] if action.option_strings else (action.metavar or action.dest)
            self._refuse(f'unknown {str(name).lower()} "{value}"', value, action.choices, names_all=True)

    def _refuse(self, what: str, text: str, known: Iterable[str], *, names_all: bool = False) -> NoReturn:
        """Raise UsageError. `names_all`: all that is known, where nothing is alike."""
        from difflib import get_close_matches  # a large module, needed for mistakes alone

        guesses = get_close_matches(text.lower(), known, 1, _ALIKE)
        meant = f"did you mean {guesses[0]}? " if guesses else f"choose from {', '.join(known)}; " if names_all else ""
        raise UsageError(Problem(what, f"{meant}see `{self.prog} --help`"))

    def error(self, message: str) -> NoReturn:
        raise UsageError(Problem(message, f"see `{self.prog} --help`"))

    def print_help(self, file: object = None) -> None:
        raise Help(self.format_help())


def read_arguments(argv: Sequence[str], environ: Mapping[str, str]) -> argparse.Namespace:
    """Parse a command line. Raises UsageError when it is wrong, Help when help is asked for.

    Raises FileError where no hooks file is named and it is not clear which one is meant.
    """
    arguments = make_parser(argv[0] if argv else None).parse_args(argv)
    if getattr(arguments, "saved_plan", None) is not None:
        fix = "give such flags to `hooksync plan --out`; see `hooksync apply --help`"
        _refuse_choosing(arguments, "a saved plan", fix)
    elif getattr(arguments, "url", None):
        _refuse_choosing(arguments, "--url", "name either one receiver, or hooks files")
        if not arguments.secrets:
            raise UsageError(Problem("--url needs --secret", "give --secret env:NAME or --secret file:PATH"))
    elif "url" in arguments and arguments.secrets:
        raise UsageError(Problem("--secret needs --url", "a hooks file names the secrets of its receivers itself"))
    elif arguments.command == "apply" and arguments.max_age is not None:
        raise UsageError(Problem("--max-age needs a saved plan", "see `hooksync apply --help`"))
    elif arguments.command == "completion" and not (arguments.shell or arguments.words):
        raise UsageError(Problem("the following arguments are required: shell", "see `hooksync completion --help`"))
    arguments.names_files = bool(getattr(arguments, "files", None))
    arguments.files = arguments.files if arguments.names_files else [_file_by_default(arguments, environ)]
    if getattr(arguments, "uses_state", "state" in arguments) and arguments.state is None:
        arguments.state = environ.get("HOOKSYNC_STATE") or None
    arguments.policy = arguments.policy or environ.get("HOOKSYNC_POLICY") or None
    return arguments


def _file_by_default(arguments: argparse.Namespace, environ: Mapping[str, str]) -> str:
    """Choose the hooks file where none is named; only a command that reads it minds what is in the folder."""
    given = vars(arguments)
    if named := environ.get("HOOKSYNC_FILE"):
        return named
    reads_another = arguments.command == "state" or any(
        given.get(name) for name in ("saved_plan", "server", "tenant", "secrets")
    )
    reads_none = given.get("is_from_live") is False or not ("files" in given or given.get("words"))
    return DEFAULT_FILES[0] if reads_another or reads_none else default_file()


def _refuse_choosing(arguments: argparse.Namespace, with_what: str, fix: str) -> None:
    """Raise UsageError for flags that choose of hooks files, next to what is chosen already."""
    get = vars(arguments).get
    given = {
        "an address": get("address"),
        "--file": get("files"),
        "--tenancy": get("tenancies"),
        "--shard": get("shard"),
        "--target": get("targets"),
        "--replace": get("replace"),
        "--no-prune": not get("prunes", True),
    }
    if names := [name for name, is_given in given.items() if is_given]:
        raise UsageError(Problem(f"{', '.join(names)} cannot be combined with {with_what}", fix))


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of all commands. `only`: the command whose flags are needed; others cost time."""
    commands, flags = _read_commands(), _read_flags()
    line, _, example, exit_codes = commands.pop("hooksync")
    parser = _Parser(prog="hooksync", description=line, epilog=f"{exit_codes}\n{example}")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    # of commands without these flags
    parser.set_defaults(color="never", verbose=False, is_debugging=False, policy=None)
    groups = {"": parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)}
    only = only if only in commands else None
    for name, (line, names, example, description) in commands.items():
        group, _, last = name.rpartition(" ")
        if group and only not in (None, group):
            continue
        description = description or f"{line[0].upper()}{line[1:]}."
        command = groups[group].add_parser(last, help=line, description=description, epilog=example)
        if only not in (None, group or name):
            continue
        if any(each.startswith(f"{name} ") for each in commands):
            groups[name] = command.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
        if name == "sandbox":
            command.epilog = packaged("../sandbox/help.txt")
        if name == "completion":
            command.usage = f"hooksync completion [-h] {{{','.join(SHELLS)}}}"  # --words is for the scripts alone
        for several in (*names, "--debug:of an action" if group else "--debug"):
            place = command.add_mutually_exclusive_group() if "|" in several else command
            for flag in several.split("|"):
                place.add_argument(*flag.partition(":")[0].split(), **{**flags[flag], **_FLAGS.get(flag, {})})
    return parser


def _read_commands() -> dict[str, tuple[str, list[str], str, str]]:
    """Read commands.txt: by the command, a line, its flags, an example, and a description, which may be empty."""
    head, *sections = packaged("commands.txt").rstrip("\n").split("\n[")
    groups, commands = dict[str, list[str]](), {}

    def listed(text: str) -> list[str]:
        names = (" ".join(name.split()) for name in text.split(",") if name.strip())
        return [flag for name in names for flag in groups.get(name, [name])]

    for group, _, text in (each.partition(" = ") for each in re.split(r"\n(?! )", head.strip())):
        groups[group] = listed(text)
    for name, _, section in (each.partition("]\n") for each in sections):
        line, _, text = section.partition("\n")
        flags, example, text = text.removeprefix("flags:").partition("example:")
        shown, _, description = text.partition("\n\n")
        commands[name] = line, listed(flags), example + shown.rstrip("\n"), description and f"{description}\n"
    return commands


def _read_flags() -> dict[str, dict[str, Any]]:
    """Read flags.txt: by the flag, what argparse takes."""
    flags = {}
    for head, *lines in (section.split("\n") for section in re.split(r"\n(?! )", packaged("flags.txt").rstrip("\n"))):
        head, _, dest = head.partition(" as ")
        names, _, value = head.partition(" = ")
        value, several, _ = value.partition(" ...")
        settings: dict[str, Any] = {"help": " ".join(map(str.strip, lines)), **({"dest": dest} if dest else {})}
        if "|" in value:
            settings |= {"choices": value.split("|"), "default": value.split("|")[0]}
        elif value:
            settings |= {"metavar": value}
        if several:
            settings |= {"action": "append", "default": []} if names.startswith("-") else {"nargs": "+"}
        elif not value and names.startswith("-"):
            settings |= {"action": "store_false" if names.startswith("--no-") else "store_true"}
        flags[names] = settings
    return flags


def packaged(name: str) -> str:
    """Read a text of this package."""
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


def completion(options: Options, world: World) -> ExitCode:
    """Print a script, or names: the tenancies or addresses that the hooks file declares."""
    if options.shell:
        world.terminal.result(completion_script(make_parser(), options.shell))
        return ExitCode.DONE
    from hooksync.config.document import read_document  # here, as the next one: a script needs none of it
    from hooksync.config.files import read_sources

    [file] = options.files
    try:
        tenancies = read_document(read_sources([file], world.stdin)).tenancies if file != "-" else ()
    except HooksyncError:  # for `hooksync validate` to say; here it would appear in the middle of a typed line
        return ExitCode.ERROR
    found = [one.name for one in tenancies] if options.words == "tenancies" else addresses(tenancies)
    world.terminal.result("".join(f"{word}\n" for word in found if _SAFE.fullmatch(word)))
    return ExitCode.DONE


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Write the script that makes a shell complete this parser's commands, flags and values. Changes the parser."""
    import shtab  # of use to no other command

    for action in all_actions(parser):
        if shell == "zsh" and action.nargs != 0:  # its `--flag=` takes the value in the same word or in the next
            action.option_strings = [f"{name}=" if name.startswith("--") else name for name in action.option_strings]
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # how shtab is told
        elif action.metavar in _NAMES:
            kind = "tenancies" if action.dest == "tenancies" else "addresses"
            action.complete = _asking(kind)  # type: ignore[attr-defined]
    script = f"{shtab.complete(parser, shell)}\n"
    if shell == "bash":
        return f"{script}\n{packaged('completion.bash')}"
    return script.replace("[-1] == eval ", "[-1] == (eval|file) ")  # in zsh, for `source` as well as for `eval`


def all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Give the flags and arguments of all commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from all_actions(child)


def _asking(kind: str) -> dict[str, object]:
    """Tell shtab how each shell asks hooksync for names while one types."""
    ask = f"hooksync completion --words {kind} 2>/dev/null"
    name = f"_hooksync_{kind}"
    functions = {
        "bash": f'{name}() {{ compgen -W "$({ask})" -- "$1"; }}',
        "zsh": f'{name}() {{ compadd "$@" -- ${{(f)"$({ask})"}}; }}',
    }
    return {"bash": name, "zsh": name, "fish": f"({ask})", "preamble": functions}
