"""The entry point: argv in, exit code out. The package `cli` is the only one that prints and handles signals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from hooksync import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from threading import Event

    from hooksync.commands.options import Options
    from hooksync.core.errors import ExitCode
    from hooksync.core.output import Output
    from hooksync.reconcile.context import World

    Command = Callable[[Options, World], ExitCode]


def main(argv: Sequence[str] | None = None) -> int:
    """Run hooksync and return its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    _open_missing_streams()
    if arguments in (["--version"], ["-V"], ["version"]):  # answered before anything is imported
        return _print_version()
    try:
        return _run_to_end(arguments)
    except KeyboardInterrupt:  # before signals are handled
        return 130
    except Exception as error:  # not even what ends such errors could be loaded
        sys.stderr.write(f"error: unforeseen: {type(error).__name__}\n")
        return 1


def _run_to_end(arguments: Sequence[str]) -> int:
    """Run a command, whatever comes; returns its exit code."""
    import gc
    from contextlib import suppress
    from threading import Event

    gc.disable()  # a short-lived process: collecting while a large file is read costs more than the reading
    from hooksync.core.errors import ExitCode, HooksyncError, unforeseen_text
    from hooksync.core.output import Output

    output = Output()
    begun = Event()  # set before the first change

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # whatever the terminal's encoding, nothing is lost
            if sys.platform == "win32" and not stream.isatty():  # what is read again is as on any other system
                stream.reconfigure(encoding="utf-8", newline="\n")
    try:
        code = _run(arguments, begun, output)
    except HooksyncError as error:
        from hooksync.cli.terminal import show_problem

        for problem in error.problems:
            show_problem(problem, "error", output)
        code = error.exit_code
    except KeyboardInterrupt:  # before signals are handled, or after
        code = ExitCode.INTERRUPTED
    except Exception as error:  # a bug, or this machine has no more memory, threads or handles
        with suppress(Exception):  # its kind, not its text; where there is no memory for that, nothing
            output.message(unforeseen_text(error, is_debugging="--debug" in arguments))
        code = ExitCode.PARTLY_APPLIED if begun.is_set() else ExitCode.ERROR
    gc.freeze()  # or else all of it is searched at exit for what could be freed
    return int(code)


def _open_missing_streams() -> None:
    """Open closed standard streams on the null device, so that no connection gets the number of one."""
    import os

    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))  # it gets the lowest number: the closed
    if sys.platform != "win32":  # a parent may leave it non-blocking: a read would end in the middle
        os.set_blocking(0, True)


def _print_version() -> int:
    try:
        print(f"hooksync {__version__}", flush=True)
    except OSError as error:
        sys.stdout = None  # or else Python tries again at exit
        print(f"error: standard output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _run(argv: Sequence[str], begun: Event, output: Output) -> ExitCode:
    """Run one command, with its terminal, and with signals handled."""
    import os
    from threading import Event

    from hooksync.cli.arguments import Help, read_arguments
    from hooksync.cli.terminal import ConsoleTerminal, Interrupts, catch_signals
    from hooksync.core.errors import ExitCode

    try:
        arguments = read_arguments(argv, os.environ)
    except Help as text:
        output.result(str(text))
        return ExitCode.DONE
    from hooksync.reconcile.context import World

    stop = Event()
    interrupts = Interrupts(stop)
    terminal = ConsoleTerminal(output, interrupts, arguments.color, is_verbose=arguments.verbose)
    is_debugging = arguments.is_debugging
    world = World(os.environ, sys.stdin.buffer, terminal, stop, begun=begun, is_debugging=is_debugging, output=output)
    with catch_signals(interrupts.handle):
        try:
            code = _COMMANDS.get(arguments.command, _run_command)(arguments, world)
        except KeyboardInterrupt:
            code = ExitCode.INTERRUPTED
    return interrupts.exit_code if code == ExitCode.INTERRUPTED else code


def _run_command(arguments: argparse.Namespace, world: World) -> ExitCode:
    """Run a command of a module of its own. Each loads its own modules alone, for start-up is measured."""
    from importlib import import_module

    name = arguments.command
    if name in ("plan", "apply", "list"):
        # The largest module first, at the top of the stack: CPython keeps frames in chunks of 16 KiB, and sixty frames
        # of imports further down, calls that `re` makes by the thousand cross from one into the next, which is asked of
        # the system and given back each time: 10 to 20 of the 160 ms that a small plan took.
        import hooksync.service.http  # noqa: F401
    from hooksync.commands.options import read_options

    options = read_options(arguments)
    if options.env_files or "credentials" in arguments:
        world = _with_files(arguments, options, world)
    place, _, function = _PLACES.get(name, f"commands.{name}").partition(":")
    module = import_module(f"hooksync.{place}")
    command: Command = module.ACTIONS[arguments.action] if name == "state" else getattr(module, function or name)
    return command(options, world)


def _with_files(arguments: argparse.Namespace, options: Options, world: World) -> World:
    """Add what files set to the environment, that of pyPreservica too where the command logs in."""
    from hooksync.config.secret_sources import gather
    from hooksync.core.record import replace

    logs_in = "credentials" in arguments and getattr(arguments, "is_from_live", True)
    credentials = (options.credentials or "") if logs_in else None
    environ, origins, warnings = gather(options.env_files, credentials, world.environ)
    for warning in warnings:
        world.terminal.warn(warning)
    for path in dict.fromkeys(origins.values()) if arguments.verbose else ():
        names = ", ".join(name for name in origins if origins[name] == path)
        world.terminal.message(f"{path} sets {names}")
    world.output.redactor.learn(
        environ[one] for one in origins if one in ("PRESERVICA_PASSWORD", "PRESERVICA_2FA_TOKEN")
    )
    return replace(world, environ=environ, origins=origins)


def _version(arguments: argparse.Namespace, world: World) -> ExitCode:
    import json
    import platform
    import re
    from importlib.metadata import distributions

    from hooksync.core.errors import ExitCode

    if arguments.format == "text":
        return ExitCode(_print_version())
    installed = {str(each.name).lower(): each for each in distributions()}
    needed = installed["hooksync"].requires if "hooksync" in installed else None
    libraries: dict[str, str] = {}
    for requirement in needed or ():
        # not those of the extras that only developers use
        own = re.fullmatch(r"([\w.-]+)[^;]*(; extra == .(cloud|keyring|totp).)?", requirement)
        if own and own[1] in installed:
            libraries[own[1]] = installed[own[1]].version
    document = {
        "hooksync": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": libraries,
    }
    world.terminal.result(json.dumps(document, indent=2, sort_keys=True) + "\n", "json")
    return ExitCode.DONE


def _secret(arguments: argparse.Namespace, world: World) -> ExitCode:
    from hooksync.config.secret_sources import generate_secret
    from hooksync.core.errors import ExitCode

    world.terminal.result(f"{generate_secret()}\n")  # the one place where a secret is shown, by request
    return ExitCode.DONE


def _sandbox(arguments: argparse.Namespace, world: World) -> ExitCode:
    import gc
    from functools import partial

    from hooksync.cli.terminal import catch_signals
    from hooksync.config.files import read_event
    from hooksync.core.errors import ExitCode
    from hooksync.core.urls import masked_url
    from hooksync.sandbox.command import fire, log_line, run

    def say(text: str) -> None:
        world.terminal.result(f"{text}\n")

    def log(entry: dict[str, object]) -> None:
        shown = {name: masked_url(str(value)) if name == "url" else value for name, value in entry.items()}
        world.output.message(log_line(shown, as_json=is_json), form="json" if is_json else "text")

    gc.enable()  # it runs for long
    is_json = arguments.json_log
    if arguments.action:
        body = read_event(arguments.event, world.stdin)[0] if arguments.event else b"{}"
        return ExitCode(fire(arguments, body, say, log))
    write = partial(world.output.create_file, mode=0o600)
    return ExitCode(run(arguments, say, log, write, catch_signals))


def _demo(arguments: argparse.Namespace, world: World) -> ExitCode:
    from hooksync.cli.terminal import catch_signals, wants_colour
    from hooksync.core.errors import ExitCode
    from hooksync.sandbox.demo import run_demo

    def announce(line: str) -> None:
        world.terminal.result(f"{line}\n", "coloured")  # as the commands that it shows

    return ExitCode(run_demo(announce, catch_signals, is_coloured=wants_colour()))


_PLACES = {  # modules, with the function where it has another name; of commands that have no module of their name
    **dict.fromkeys(("plan", "apply", "show"), "commands.plan_apply"),
    **dict.fromkeys(("init", "schema"), "commands.validate"),
    "list": "commands.export:list_live",
    **dict.fromkeys(("verify", "fire"), "commands.receiving"),
    "listen": "cli.listen",
    "completion": "cli.arguments",
}
_COMMANDS = {"secret": _secret, "sandbox": _sandbox, "demo": _demo, "version": _version}  # which take no Options
