"""The commands: what each is for, its flags, and the function that runs it; and command lines.

A command's `load` imports its module, so that no run loads what it does not use: requests alone
takes as long to load as `validate` needs for its whole run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from hooksync.cli.parser import Command, Given, Load, NoCommand, Run, build_parser
from hooksync.config.files import DEFAULT_FILE
from hooksync.core.errors import ExitCode
from hooksync.core.model import Variables
from hooksync.core.record import Record, convert

if TYPE_CHECKING:
    from hooksync.core.context import Context

_BASH = r"""
# bash splits `--format=json` into three words; shtab expects two.
_hooksync() {
    local -a words=()
    local word
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        [[ $word == "=" ]] || words+=("$word")
    done
    [[ ${COMP_WORDS[COMP_CWORD]} != "=" ]] || words+=("")
    local -a COMP_WORDS=("${words[@]}")
    local COMP_CWORD=$((${#words[@]} - 1))
    _shtab_hooksync
}
complete -F _hooksync hooksync
"""
FILES = ("PATH", "FILE", "PLAN", "WHERE", "FOLDER")  # metavars of paths

Options = TypeVar("Options", bound=Record)

_SANDBOX = """\
faults: KIND@CALL[:TIMES[:SKIP]], TIMES times (default: 1; *: always) after SKIP
calls. CALL is login, details (of the user), version (of Preservica), updated
(the list for catch-up), list, subscribe, unsubscribe or any. KIND:
  status-N, retry-after-S  do nothing, respond with N, or with 429
  slow-S                   do it, respond S seconds later
  cut, commit-cut          do nothing, or do it; then cut the connection
traits, for what is not known of the real service:
  refuse-duplicates        respond with 409 to a second subscription
  answer-without-id        leave the id out of the response to a new one
  no-challenge             do not challenge receivers, so they need not run

example: hooksync sandbox --fault status-503@list:2"""


# flags that several commands have
_CALLS = ("--timeout", "--parallelism", "--credentials")
_REPORTS = ("--notify", "--notify-as", "--metrics")
_SAFETY = {"safety": ("--policy", "--allow-commands")}
_WHICH_STATE = {"which state": ("--state", "--file")}


def _with(kind: type[Options], run: Callable[[Options, Context], ExitCode]) -> Run:
    """Return a function that runs a command. Options that no flag gives have their defaults."""

    def run_with(given: Given, context: Context) -> ExitCode:
        chosen = {name: value for name, value in given.items() if value is not None}
        return run(convert(chosen, kind), context)

    return run_with


def _demo() -> Run:
    from hooksync.cli.local import demo

    return demo


def _sandbox() -> Run:
    from hooksync.cli.local import SandboxFlags, sandbox

    return _with(SandboxFlags, sandbox)


def _init() -> Run:
    from hooksync.commands.init import InitOptions, init

    return _with(InitOptions, init)


def _validate() -> Run:
    from hooksync.api.options import FileOptions
    from hooksync.commands.validate import validate

    return _with(FileOptions, validate)


def _check() -> Run:
    from hooksync.commands.check import CheckOptions, check

    return _with(CheckOptions, check)


def _plan() -> Run:
    from hooksync.commands.plan_apply import PlanOptions, plan

    return _with(PlanOptions, plan)


def _apply() -> Run:
    from hooksync.commands.plan_apply import ApplyOptions, apply

    return _with(ApplyOptions, apply)


def _list() -> Run:
    from hooksync.commands.list_live import ListOptions, list_live

    return _with(ListOptions, list_live)


def _fire() -> Run:
    from hooksync.commands.fire import FireOptions, fire

    return _with(FireOptions, fire)


def _listen() -> Run:
    from hooksync.cli.local import ListenOptions, listen

    return _with(ListenOptions, listen)


def _catch_up() -> Run:
    from hooksync.commands.catch_up import CatchUpOptions, catch_up

    return _with(CatchUpOptions, catch_up)


def _verify() -> Run:
    from hooksync.commands.verify import VerifyOptions, verify

    return _with(VerifyOptions, verify)


def _generate() -> Run:
    from hooksync.commands.printing import generate

    return generate


def _state() -> Run:
    from hooksync.commands.state import StateOptions, run_action

    return _with(StateOptions, run_action)


def _show() -> Run:
    from hooksync.commands.show import ShowOptions, show

    return _with(ShowOptions, show)


def _schema() -> Run:
    from hooksync.commands.printing import SchemaOptions, schema

    return _with(SchemaOptions, schema)


def _version() -> Run:
    from hooksync.commands.printing import VersionOptions, version

    return _with(VersionOptions, version)


GROUPS = {
    "start": (
        Command(
            "demo",
            "show what hooksync does, in less than a minute",
            "example: hooksync demo",
            {},
            _demo,
        ),
        Command(
            "sandbox",
            "run a local Preservica with receivers, to try things",
            _SANDBOX,
            {
                "service": ("--fault", "--trait", "--list-lag", "sandbox --tenant", "--port"),
                "receivers": ("--receiver", "--receiver-port", "--write-hooks"),
            },
            _sandbox,
            """\
Run a local Preservica with receivers, on 127.0.0.1, until interrupted. The
password is "sandbox-password".""",
        ),
        Command(
            "init",
            "write a first hooks file",
            "example: hooksync init --from-live https://a.example/x https://b.example",
            {
                "what to write": ("init --file", "--from-live"),
                "what to read": ("--env-file", "--credentials"),
                "safety": ("--policy",),
                "more": ("--timeout", "--verbose"),
            },
            _init,
            """\
Write a first hooks file: a commented one to fill in, or with --from-live the
live subscriptions of the tenancy that PRESERVICA_SERVER and PRESERVICA_TENANT
name. Never overwrites a file. Variables replace secrets, query values of URLs,
and parts of their paths that may be keys; standard error lists these variables.
`apply` adopts what the file declares. With URL prefixes, the file declares only
what is at or under one of them: whole parts of a path. A warning
names what cannot be declared.""",
        ),
    ),
    "every day": (
        Command(
            "validate",
            "check the hooks files, without a network",
            "example: hooksync validate -f hooks.yaml",
            {
                "what to read": ("--file",),
                **_SAFETY,
            },
            _validate,
        ),
        Command(
            "check",
            "check the log-ins, secrets and receivers; changes nothing",
            """\
example: hooksync check --format json
         hooksync check --url http://127.0.0.1:8701/ --secret env:HOOK_SECRET""",
            {
                "what to read": ("--file", "--env-file"),
                "what to select": ("--tenancy", "--target", "--url", "--secret"),
                "output": ("list --format",),
                **_SAFETY,
                "more": (*_CALLS, "--verbose"),
            },
            _check,
            """\
Check everything that a run needs; changes nothing. For each tenancy: the
log-in, and the list, which needs a role. For each subscription: its secret, and
its receiver's answer to a challenge, with the time that it took. With --url and
--secret, check one receiver alone, without a hooks file or a tenancy.

Exits with 0 if nothing failed, with 3 if a policy refuses the files, and
with 1 otherwise. A warning, such as a weak secret, is not a failure.""",
        ),
        Command(
            "plan",
            "show what apply would do",
            "example: hooksync plan --tenancy 'archive-*' --out plan.json",
            {
                "what to read": ("--file", "--env-file", "--state", "--no-state"),
                "what to select": ("--tenancy", "--target", "--since", "--replace", "--adopt"),
                "output": ("--format", "--out", "--detailed-exitcode", "--all", "--quiet"),
                "safety": ("--probe", "--policy", "--allow-commands"),
                "more": (*_CALLS, *_REPORTS, "--verbose"),
            },
            _plan,
            """\
Show what `hooksync apply` would do, and save it with --out. Changes nothing.""",
        ),
        Command(
            "apply",
            "plan, prompt, and apply; or apply a saved plan",
            "example: hooksync apply plan.json --max-age 24h",
            {
                "what to read": ("saved_plan", "--file", "--env-file", "--state"),
                "what to select": ("--tenancy", "--target", "--replace", "--adopt"),
                "output": ("apply --format", "--report", "--all"),
                "safety": ("--yes", "--max-age", "--policy", "--allow-commands"),
                "more": (*_CALLS, *_REPORTS, "--lock-timeout", "--verbose"),
            },
            _apply,
            """\
Plan, prompt, and apply the plan. --yes applies it without a prompt.""",
        ),
        Command(
            "remove",
            "remove single live subscriptions by their ids, after a prompt",
            "example: hooksync remove 9495ddbf7d4a0b9f030a3411c87f967d",
            {
                "what to select": ("remove", "--tenancy"),
                "what to read": ("--file", "--env-file", "--state"),
                "output": ("apply --format", "--report"),
                "safety": ("--yes", "--policy", "--allow-commands"),
                "more": (*_CALLS, "--lock-timeout", "--verbose"),
            },
            _apply,
            """\
Remove live subscriptions by their ids, whoever made them; `hooksync list` shows
the ids. The prompt shows URL, trigger and origin. Refuses what the hooks file
declares, and what a plan would replace: edit the file instead. Accepts a
duplicate of a declared subscription. `protect` and a policy apply.""",
        ),
        Command(
            "list",
            "list what is live",
            "example: hooksync list --format json",
            {
                "what to read": ("--file", "--env-file", "--state", "--no-state"),
                "what to select": ("--tenancy", "--target"),
                "output": ("list --format",),
                **_SAFETY,
                "more": (*_CALLS, "--verbose"),
            },
            _list,
            """\
List the live subscriptions of the tenancies in the hooks files: their full ids,
their declared names, and whether their secrets are the same. Changes nothing.
Exits with 1 if a tenancy cannot be read.""",
        ),
    ),
    "receivers": (
        Command(
            "fire",
            "send a signed event to a receiver, as Preservica does",
            """\
example: hooksync fire archive/catalogue --trigger MOVED
         hooksync fire --url http://127.0.0.1:8701/hook --secret env:X --suite""",
            {
                "which receiver": ("fire address", "--url", "--secret", "--file", "--env-file"),
                "what to send": (
                    "--suite",
                    "--log",
                    "--trigger",
                    "--replay",
                    "--event",
                    "fire --format",
                ),
                **_SAFETY,
                "more": ("--timeout", "--verbose"),
            },
            _fire,
            """\
Send a signed event to a receiver, as Preservica does, and report its answer.
The event is made up: its entity does not exist, but the receiver cannot tell it
from a real one. If the receiver refuses a genuine event, hooksync sends the
event again with the signatures of usual mistakes, to name the bug. Exits with 0
if all passed, and with 1 otherwise.""",
        ),
        Command(
            "catch-up",
            "after an outage, send an event for each entity updated since",
            "example: hooksync catch-up archive/hook --since 2026-11-30T14:00Z --dry-run",
            {
                "which receiver": ("catch-up address", "--file", "--env-file"),
                "what to send": ("catch-up --since", "--dry-run"),
                "safety": ("--yes", "--policy", "--allow-commands"),
                "more": ("--timeout", "--verbose"),
            },
            _catch_up,
            """\
List through the Entity API what was updated since a time. After a prompt with
their number, send an event for each entity to the receiver of a declared
subscription, signed with its secret and marked by the header Hooksync-Catch-Up.
This works only for INDEXED. It cannot recover failed ingests, deletions, or
which trigger fired, and work may be done twice. Exits with 1 if the receiver
refused an event.""",
        ),
        Command(
            "listen",
            "receive webhooks on this machine, and show them",
            "example: hooksync listen --port 8701 --secret env:X --forward http://[::1]:80/",
            {
                "how to receive": ("--port", "--forward", "--timeout"),
                "which secrets": ("--secret", "--file", "--env-file"),
                **_SAFETY,
                "output": ("--record", "--body"),
                "more": ("--verbose",),
            },
            _listen,
            """\
Receive webhooks on this machine, at any path, until interrupted. Answer
challenges with the first secret, unless the code could be the body of an event:
its answer would sign that event. Verify each event, and show its time, its
content and the secret that signed it. Answer 401 to a wrong signature, and show
the likely reason. The secrets come from --secret and from the hooks files that
--file names; without both, from the default hooks file.""",
        ),
        Command(
            "verify",
            "find the secret that signed a captured event",
            "example: hooksync verify event.json --signature 6fa0...",
            {
                "which event": ("verify path", "--signature"),
                "which secrets": ("--secret", "--file", "--env-file"),
                **_SAFETY,
            },
            _verify,
            """\
Find the secret that signed a captured event, among the secrets that the hooks
files declare or --secret names. An event shows which secret Preservica has; a
receiver's answer to a challenge does not. Exits with 0, or with 1 if no secret
fits, and then reports the likely reason: a different form of signing, or a body
that was changed.""",
        ),
        Command(
            "secret",
            "make a secret that Preservica and a receiver share",
            "example: hooksync secret generate > secret.txt",
            {},
            None,
            actions=(
                Command(
                    "generate",
                    "print a new secret and nothing else: 32 random bytes as 43 characters",
                    "example: hooksync secret generate > secret.txt",
                    {},
                    _generate,
                ),
            ),
        ),
    ),
    "state and files": (
        Command(
            "state",
            "show and change the state, wherever it is kept",
            "example: hooksync state show",
            {},
            None,
            """\
Show and change the state: hooksync's record of the subscriptions that it made
or adopted. The state is beside the hooks file, unless --state or HOOKSYNC_STATE
names a different place, such as a branch. Does not read the hooks file. Each
action has its own help.""",
            actions=(
                Command(
                    "show",
                    "list the entries of the state, and the holder of its run lock",
                    "example: hooksync state show --state git:hooksync-state",
                    _WHICH_STATE,
                    _state,
                ),
                Command(
                    "pull",
                    "print the state as it is stored",
                    "example: hooksync state pull > state.json",
                    _WHICH_STATE,
                    _state,
                ),
                Command(
                    "push",
                    "replace the state with a file",
                    "example: hooksync state push state.json --state git:hooksync-state",
                    {
                        "what to read": ("push path",),
                        "safety": ("--force", "--lock-timeout"),
                        **_WHICH_STATE,
                    },
                    _state,
                    """\
Replace the state with a file, after `hooksync state pull`, or from a different
backend. Refuses a state that is older than the present state, or unrelated to
it (exit 3).""",
                ),
                Command(
                    "unlock",
                    "release the run lock of a run that no longer exists",
                    "example: hooksync state unlock 0123456789abcdef",
                    {
                        "what to select": ("id",),
                        "safety": ("--yes",),
                        **_WHICH_STATE,
                    },
                    _state,
                ),
                Command(
                    "move",
                    "rename a subscription in the state",
                    "example: hooksync state move archive/old/INDEXED archive/new/INDEXED",
                    {
                        "what to select": ("old", "new"),
                        "safety": ("--lock-timeout",),
                        **_WHICH_STATE,
                    },
                    _state,
                ),
                Command(
                    "forget",
                    "remove entries from the state; change nothing in Preservica",
                    "example: hooksync state forget 'archive/old/*'",
                    {
                        "what to select": ("globs", "--server", "--tenant"),
                        "safety": ("--yes", "--lock-timeout"),
                        **_WHICH_STATE,
                    },
                    _state,
                    """\
Remove entries from the state; Preservica is unchanged. A live subscription
without an entry counts as not in the state, and its secret as unknown.""",
                ),
            ),
        ),
        Command(
            "show",
            "show a saved plan, as `plan` showed it",
            "example: hooksync show plan.json --format markdown",
            {
                "what to read": ("show path",),
                "output": ("--format", "--all", "--max-age"),
            },
            _show,
            """\
Show a saved plan, as `hooksync plan` showed it when it was made, and whether
`hooksync apply` would still accept it by its age. Needs no network, no hooks
file and no environment. If HOOKSYNC_PLAN_KEY is set, refuses a plan that is not
signed with that key, or was altered (exit 3). Also exits with 3 if apply would
refuse the steps of the plan.""",
        ),
        Command(
            "schema",
            "print a JSON Schema",
            "example: hooksync schema > hooks.schema.json",
            {"output": ("--kind",)},
            _schema,
        ),
        Command(
            "completion",
            "print a shell's completion script",
            "example: hooksync completion bash > hooksync.bash && source hooksync.bash",
            {"output": ("shell",)},
            lambda: completion,
        ),
        Command(
            "version",
            "print the version (--version); as JSON, details for a bug report",
            "example: hooksync version --format json",
            {"output": ("list --format",)},
            _version,
        ),
    ),
}


def read_arguments(argv: Sequence[str], environ: Variables) -> tuple[Load, Given]:
    """Parse a command line. Returns what loads its command, and the flags; None: not given.

    Raises UsageError if the command line is wrong, NoCommand if it names no command, and Help if
    it asks for help.
    """
    given = vars(make_parser(argv[0] if argv else None).parse_args(argv))
    command: Command | None = given["entry"]
    if command is None or command.load is None:
        raise NoCommand(given["parser"].format_help())
    given["names_files"] = bool(given.get("files"))
    given["files"] = given.get("files") or [environ.get("HOOKSYNC_FILE") or DEFAULT_FILE]
    given["state"] = given.get("state") or environ.get("HOOKSYNC_STATE") or None
    given["policy"] = given.get("policy") or environ.get("HOOKSYNC_POLICY")
    if "env_files" in given and environ.get("HOOKSYNC_ENV_FILE"):
        given["env_files"] = given["env_files"] or [environ["HOOKSYNC_ENV_FILE"]]
    return command.load, given


def make_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Build the parser of all commands, or of `only` one, because all take time."""
    return build_parser(GROUPS, only)


def completion(given: Given, context: Context) -> ExitCode:
    """Print the script that completes commands, flags and values in a shell."""
    import shtab  # 30 ms, and no other command uses it

    parser = make_parser()
    for action in all_actions(parser):
        if action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab reads it there
    shell = given["shell"]
    script = f"{shtab.complete(parser, shell)}\n"
    context.terminal.result(script + _BASH if shell == "bash" else script)
    return ExitCode.DONE


def all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the flags and arguments of all commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from all_actions(child)
