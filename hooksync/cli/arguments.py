"""The command line: its commands, with their flags; argv in, options out. Prints and ends nothing.

What the help says of each command stands in commands.txt: what it does in a line, an example, and, where one line does
not say enough, a description; what it says of each flag and of each other argument, and what stands for its value, in
flags.txt, by the option strings (what follows a colon tells one from another). A flag's `dest` is the name of the field
in commands/options.py that takes its value.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NoReturn

from hooksync.config.declarations import read_shard
from hooksync.config.files import DEFAULT_FILES, default_file
from hooksync.core.errors import Problem, UsageError
from hooksync.core.model import SecretRef
from hooksync.core.schema import SCHEMA_KINDS

SHELLS = ("bash", "zsh", "fish")

_WIDTH = 79  # columns of a help text
_DURATION = re.compile("(?P<number>[1-9][0-9]{0,5})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

_ALIKE = 0.7  # of 1, for difflib: what was perhaps meant

_SELECTION = ("--tenancy", "--shard", "--target")
_CALLING = ("--timeout", "--parallelism", "--color|--no-color", "-v --verbose", "--env-file")
_FILES = ("-f --file", "--policy", "--allow-commands")
_LOGGING_IN = (*_FILES, "--credentials")
_YES = "-y --yes --auto-approve"
_LIVE = (*_LOGGING_IN, "--tenancy", "--server", "--tenant", *_CALLING)  # of files, or the one named by flags
_PLANNING = (
    *(*_LOGGING_IN, *_SELECTION, "--replace", "--no-prune", "--allow-mass-unsubscribe"),
    *("--all", "--state|--no-state", "--probe|--no-probe", "--notify", "--notify-as", "--metrics", *_CALLING),
)
_RECEIVER = ("--url", "--secret")
_PORTS = ("--port", "--port:of a sandbox", "--receiver-port")
_SECRETS = ("--secret", *_FILES, "--tenancy", "--target")
_STATE = ("-f --file:of the state", "--state", "--env-file")
_COMMANDS: dict[str, tuple[str, ...]] = {  # with their flags, besides --debug; an action follows its command
    "validate": (*_FILES, "--format", *_SELECTION),
    "plan": ("--format:of a plan", *_PLANNING, "--detailed-exitcode", "--out"),
    "apply": (
        *("saved_plan", "--max-age", "--format:markdown too", *_PLANNING, _YES, "--adopt", "--lock-timeout"),
        "--report",
    ),
    "show": (
        *("path:of a plan", "--max-age:of apply", "--format:of a plan", "--all"),
        *("--detailed-exitcode", "--color|--no-color", "--env-file"),
    ),
    "list": (*_LIVE, "--shard", "--target", "--format:markdown too", "--coverage", "--state|--no-state"),
    "export": (*_LIVE, "--shard"),
    "init": ("path", "--from-live", "--write-env", "--with-values", *_LIVE),
    "check": (*_LOGGING_IN, *_RECEIVER, "--format:markdown too", *_SELECTION, "--state|--no-state", *_CALLING),
    "fire": (
        *("address", *_RECEIVER, *_FILES, "--trigger:to send", "--event:to send", "--bad-signature", "--repeat"),
        *("--slow", "--suite", "--format", "--json", *_CALLING),
    ),
    "listen": (
        *("--port", *_SECRETS, "--forward", "--exit-after", "--record", "--json:lines"),
        *("--timeout", "-v --verbose", "--env-file"),
    ),
    "verify": (
        *("path:of an event", "--signature", *_SECRETS, "--record-state", "--state", "--lock-timeout"),
        *("--format", "--json", "--env-file"),
    ),
    "state": (),
    "state show": ("--format", *_STATE),
    "state pull": _STATE,
    "state push": ("path:of a state", "--force", "--lock-timeout", *_STATE),
    "state unlock": ("id", _YES, *_STATE),
    "state move": ("old", "new", "--lock-timeout", *_STATE),
    "state forget": ("globs", _YES, "--lock-timeout", *_STATE),
    "secret": (),
    "secret generate": (),
    "schema": ("--kind",),
    "version": ("--format",),
    "sandbox": (
        *("--port:of a sandbox", "--data", "--latency", "--fault", "--trait", "--events-every", "--list-lag"),
        *("--extra-trigger", "--json-log", "--tenant:of a sandbox", "--username-env", "--password-env", "--totp-env"),
        *("--role", "--token-seconds", "--receiver", "--receiver-port", "--write-hooks", "--shell"),
    ),
    "sandbox fire": ("--server:of a sandbox", "--trigger:of a sandbox", "--event:of a sandbox"),
    "demo": (),
    "completion": ("shell", "--words"),
}


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
            Problem(f"{flag} is neither env:NAME nor file:PATH", "name where the secret is found, never it")
        )
    if kind == "env" and name.upper().startswith("HOOKSYNC_"):
        raise UsageError(Problem(f"the variable {name} is for hooksync itself", f"name another one with {flag}"))
    return SecretRef("env" if kind == "env" else "file", name)


def _switch(dest: str) -> dict[str, Any]:
    return {"action": "store_true", "dest": dest}


def _several(dest: str) -> dict[str, Any]:
    return {"action": "append", "default": [], "dest": dest}


def _choice(*choices: str) -> dict[str, Any]:
    return {"choices": choices, "default": choices[0]}


_FLAGS: Mapping[str, dict[str, Any]] = {  # those that take more, or something else, than one text
    # which files, and what of them
    "-f --file": {"action": "append", "dest": "files"},
    "-f --file:of the state": {"action": "append", "dest": "files"},
    "--env-file": _several("env_files"),
    "--allow-commands": _switch("allows_commands"),
    "--tenancy": _several("tenancies"),
    "--shard": {"type": read_shard},
    "--target": _several("targets"),
    # how the result is shown, and how calls are made
    "--format": _choice("text", "json"),
    "--format:markdown too": _choice("text", "json", "markdown"),
    "--format:of a plan": _choice("text", "json", "markdown", "html"),
    "--timeout": {"type": _number(float, 0.001, 3600), "default": 30.0},
    "--parallelism": {"type": _number(int, 1, 64), "default": 8},
    "--color": _choice("auto", "always", "never"),
    "--no-color": {"action": "store_const", "const": "never", "dest": "color"},
    "-v --verbose": _switch("verbose"),
    "--debug": _switch("is_debugging"),
    # before the action, it counts too
    "--debug:of an action": {**_switch("is_debugging"), "default": argparse.SUPPRESS},
    # the state
    "--no-state": {"action": "store_false", "dest": "uses_state"},
    "--lock-timeout": {"type": _number(float, 0, 86400)},
    "--force": _switch("is_forced"),
    "globs": {"nargs": "+"},
    # plan and apply
    "--replace": _several("replace"),
    "--no-prune": {"action": "store_false", "dest": "prunes"},
    "--allow-mass-unsubscribe": _switch("allows_mass_unsubscribe"),
    "--all": _switch("shows_kept"),
    "--probe": {"action": "store_true", "default": None, "dest": "probes"},
    "--no-probe": {"action": "store_false", "dest": "probes"},
    "--detailed-exitcode": _switch("has_detailed_exit_code"),
    "saved_plan": {"nargs": "?"},
    "--max-age": {"type": duration},
    "--notify": {"type": partial(_reference, "--notify")},
    "--notify-as": _choice("json", "slack", "teams"),
    "--max-age:of apply": {"type": duration},
    _YES: _switch("is_confirmed"),
    "--adopt": _switch("adopts"),
    # the receiver's side
    "address": {"nargs": "?"},
    "--bad-signature": _switch("is_badly_signed"),
    "--repeat": {"type": _repeat, "default": 1},
    "--slow": _switch("is_slow"),
    "--suite": _switch("is_suite"),
    **{port: {"type": _number(int, 0, 65535), "default": 0} for port in _PORTS},
    "--exit-after": {"type": _repeat},
    "--json:lines": {"action": "store_const", "const": "json", "dest": "format", "default": "text"},
    "--record-state": _switch("records_state"),
    "--json": {"action": "store_const", "const": "json", "dest": "format"},
    "--secret": {**_several("secrets"), "type": partial(_reference, "--secret")},
    # the sandbox
    **{each: {"type": float, "default": 0.0} for each in ("--latency", "--events-every", "--list-lag")},
    "--fault": _several("faults"),
    "--trait": _several("traits"),
    "--extra-trigger": _several("extra_triggers"),
    "--json-log": _switch("json_log"),
    "--tenant:of a sandbox": _several("tenant"),
    "--role": _several("role"),
    "--token-seconds": {"type": float, "default": 900.0},
    "--receiver": _several("receiver"),
    "--shell": {"choices": ("sh", "powershell"), "default": "powershell" if os.name == "nt" else "sh"},
    # the others
    "path": {"nargs": "?", "default": "hooks.yaml"},
    "--coverage": _switch("shows_coverage"),
    "--from-live": _switch("is_from_live"),
    "--with-values": _switch("with_values"),
    "--kind": _choice(*SCHEMA_KINDS),
    "shell": {"nargs": "?", "choices": SHELLS},
    "--words": {"choices": ("tenancies", "addresses"), "help": argparse.SUPPRESS},
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
    arguments = make_parser(argv[0] if argv and argv[0] in _COMMANDS else None).parse_args(argv)
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
    arguments.names_files = getattr(arguments, "files", None) is not None
    arguments.files = getattr(arguments, "files", None) or [_file_by_default(arguments, environ)]
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
    texts, words = _help_texts(), _words()
    line, example, exit_codes = texts["hooksync"]
    parser = _Parser(prog="hooksync", description=line, epilog=f"{exit_codes}\n{example}")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.set_defaults(
        color="never", verbose=False, is_debugging=False, policy=None
    )  # of commands without these flags
    groups = {"": parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)}
    for name, flags in _COMMANDS.items():
        group, _, last = name.rpartition(" ")
        if group and only not in (None, group):
            continue
        line, example, description = texts[name]
        description = description or f"{line[0].upper()}{line[1:]}."
        command = groups[group].add_parser(last, help=line, description=description, epilog=example)
        if only not in (None, group or name):
            continue
        if any(each.startswith(f"{name} ") for each in _COMMANDS):
            groups[name] = command.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
        if name == "sandbox":
            command.epilog = packaged("../sandbox/help.txt")
        if name == "completion":
            command.usage = f"hooksync completion [-h] {{{','.join(SHELLS)}}}"  # --words is for the scripts alone
        for several in (*flags, "--debug:of an action" if group else "--debug"):  # "--one|--other": only one of the two
            place = command.add_mutually_exclusive_group() if "|" in several else command
            for flag in several.split("|"):
                place.add_argument(*flag.partition(":")[0].split(), **{**words[flag], **_FLAGS.get(flag, {})})
    return parser


def _help_texts() -> dict[str, tuple[str, str, str]]:
    """Read what the help says: by the command, a line, an example, and a description, which may be empty."""
    texts = {}
    for section in packaged("commands.txt").removeprefix("[").split("\n["):
        name, _, text = section.partition("]\n")
        line, _, text = text.partition("\n")
        example, _, description = text.rstrip("\n").partition("\n\n")
        texts[name] = line, example, description and f"{description}\n"
    return texts


def packaged(name: str) -> str:
    """Read a text of this package."""
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()


def _words() -> dict[str, dict[str, str]]:
    """Read what the help says of each flag, with what stands for its value."""
    words = {}
    for section in re.split(r"\n(?! )", packaged("flags.txt").rstrip("\n")):
        head, *lines = section.split("\n")
        flag, _, metavar = head.partition(" = ")
        words[flag] = {"help": " ".join(map(str.strip, lines)), **({"metavar": metavar} if metavar else {})}
    return words
