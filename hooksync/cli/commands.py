"""The commands: what each is for, its flags, and the function that runs it.

A command's `load` imports its module, so that no run loads what it does not use: requests alone
takes as long to load as `validate` needs for its whole run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from hooksync.cli import flags
from hooksync.cli.parser import Command, Given, Run, build_parser
from hooksync.core.record import Record, convert

if TYPE_CHECKING:
    from hooksync.core.context import Context
    from hooksync.core.errors import ExitCode

Options = TypeVar("Options", bound=Record)

SANDBOX = """\
faults: KIND@CALL[:TIMES[:SKIP]], TIMES times (default: 1; *: always) after SKIP
calls. CALL is login, details, version, updated, list, subscribe, unsubscribe
or any. KIND:
  status-N, retry-after-S  do nothing, respond with N, or with 429
  slow-S                   do it, respond S seconds later
  cut, commit-cut          do nothing, or do it; then cut the connection
traits, for what is not known of the real service:
  refuse-duplicates        respond with 409 to a second subscription
  answer-without-id        leave the id out of the response to a new one
  no-challenge             do not challenge receivers, so they need not run

example: hooksync sandbox --fault status-503@list:2"""


def _with(kind: type[Options], run: Callable[[Options, Context], ExitCode]) -> Run:
    """Return a function that runs a command with the options that flags give."""

    def run_with(given: Given, context: Context) -> ExitCode:
        return run(convert(given, kind), context)

    return run_with


def _demo() -> Run:
    from hooksync.cli.local import demo

    return lambda _, context: demo(context)


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
    from hooksync.cli.listen import ListenOptions, listen

    return _with(ListenOptions, listen)


def _catch_up() -> Run:
    from hooksync.commands.catch_up import CatchUpOptions, catch_up

    return _with(CatchUpOptions, catch_up)


def _verify() -> Run:
    from hooksync.commands.verify import VerifyOptions, verify

    return _with(VerifyOptions, verify)


def _generate() -> Run:
    from hooksync.commands.printing import generate

    return lambda _, context: generate(context)


def _state_show() -> Run:
    from hooksync.commands.state import StateOptions, show

    return _with(StateOptions, show)


def _state_pull() -> Run:
    from hooksync.commands.state import StateOptions, pull

    return _with(StateOptions, pull)


def _state_push() -> Run:
    from hooksync.commands.state import PushOptions, push

    return _with(PushOptions, push)


def _state_unlock() -> Run:
    from hooksync.commands.state import UnlockOptions, unlock

    return _with(UnlockOptions, unlock)


def _state_move() -> Run:
    from hooksync.commands.state import MoveOptions, move

    return _with(MoveOptions, move)


def _state_forget() -> Run:
    from hooksync.commands.state import ForgetOptions, forget

    return _with(ForgetOptions, forget)


def _show() -> Run:
    from hooksync.commands.show import ShowOptions, show

    return _with(ShowOptions, show)


def _schema() -> Run:
    from hooksync.commands.printing import SchemaOptions, schema

    return _with(SchemaOptions, schema)


def _completion() -> Run:
    from hooksync.cli.completion import CompletionOptions, completion

    return _with(CompletionOptions, partial(completion, build_parser(GROUPS)))


def _version() -> Run:
    from hooksync.commands.printing import VersionOptions, version

    return _with(VersionOptions, version)


START = (
    Command(
        "demo",
        "show what hooksync does, in less than a minute",
        "example: hooksync demo",
        flags.add_no_flags,
        _demo,
    ),
    Command(
        "sandbox",
        "run a local Preservica with receivers, to try things",
        SANDBOX,
        flags.add_sandbox,
        _sandbox,
        """\
Run a local Preservica with receivers, on 127.0.0.1, until interrupted. The
password is "sandbox-password", or the value of $SANDBOX_PASSWORD.""",
    ),
    Command(
        "init",
        "write a first hooks file",
        "example: hooksync init --from-live https://fn.example.net/api",
        flags.add_init,
        _init,
        """\
Write a first hooks file: a commented one to fill in, or with --from-live the
live subscriptions of the tenancy that PRESERVICA_SERVER and _TENANT name.
Never overwrites a file. Variables replace secrets, query values of URLs, and
parts of their paths that may be keys; standard error lists these variables. The
file adopts what it declares. With URL prefixes, it declares only what is under
one of them. A warning names what cannot be declared.""",
    ),
)

EVERY_DAY = (
    Command(
        "validate",
        "check the hooks files, without a network",
        "example: hooksync validate -f hooks.yaml",
        flags.add_validate,
        _validate,
    ),
    Command(
        "check",
        "check the log-ins, secrets and receivers; changes nothing",
        """\
example: hooksync check --format json
         hooksync check --url http://127.0.0.1:8701/ --secret env:HOOK_SECRET""",
        flags.add_check,
        _check,
        """\
Check everything that a run needs; changes nothing. For each tenancy: the
log-in, and the list, which needs a role. For each subscription: its secret, and
its receiver's answer to a challenge, with the time that it took. With --url and
--secret, check one receiver alone, without a hooks file or a tenancy.

Exits with 0 if nothing failed, with 3 if a policy refuses the files, and
with 1 otherwise. A warning, such as a weak secret, is not a failure.""",
        flags.check_receiver,
    ),
    Command(
        "plan",
        "show what apply would do",
        "example: hooksync plan --tenancy 'archive-*' --out plan.json",
        flags.add_plan,
        _plan,
        """\
Show what `hooksync apply` would do, and save it with --out. Changes nothing.""",
        flags.check_plan,
    ),
    Command(
        "apply",
        "plan, prompt, and apply; or apply a saved plan",
        "example: hooksync apply plan.json --max-age 24h",
        flags.add_apply,
        _apply,
        """\
Plan, prompt, and apply the plan. --yes applies it without a prompt.""",
        flags.check_apply,
    ),
    Command(
        "remove",
        "remove single live subscriptions by their ids, after a prompt",
        "example: hooksync remove 9495ddbf0c1e4f7e",
        flags.add_remove,
        _apply,
        """\
Remove live subscriptions by their ids, whoever made them; `hooksync list` shows
the ids. The prompt shows URL, trigger and origin. Refuses what an address keeps
or replaces: remove that from the hooks file. Removes its duplicates. `protect`
and a policy apply.""",
    ),
    Command(
        "list",
        "list what is live",
        "example: hooksync list --format json",
        flags.add_list,
        _list,
        """\
List the live subscriptions of the tenancies in the hooks files: their full ids,
their declared names, and whether their secrets are the same. Changes nothing.
Exits with 1 if a tenancy cannot be read.""",
    ),
)

RECEIVERS = (
    Command(
        "fire",
        "send a signed event to a receiver, as Preservica does",
        """\
example: hooksync fire archive/catalogue --trigger MOVED
         hooksync fire --url http://127.0.0.1:8701/hook --secret env:X --suite""",
        flags.add_fire,
        _fire,
        """\
Send a signed event to a receiver, as Preservica does, and report its answer.
The event is made up: its entity does not exist, but the receiver cannot tell it
from a real one. If the receiver refuses a genuine event, hooksync sends the
event again with the signatures of usual mistakes, to name the bug. Exits with 0
if all passed, and with 1 otherwise.""",
        flags.check_fire,
    ),
    Command(
        "catch-up",
        "after an outage, send an event for each entity updated since",
        "example: hooksync catch-up archive/hook --since 2026-11-30T14:00Z --dry-run",
        flags.add_catch_up,
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
        flags.add_listen,
        _listen,
        """\
Receive webhooks on this machine, at any path, until interrupted. Answer
challenges with the first secret, but refuse a code whose answer could forge an
event. Verify each event, and show its time, its content and the secret that
signed it. Answer 401 to a wrong signature, and show the likely reason. The
secrets come from --secret, or otherwise from the hooks files. With both, the
secrets of the hooks files only help to find the reason.""",
    ),
    Command(
        "verify",
        "find the secret that signed a captured event",
        "example: hooksync verify event.json --signature 6fa0...",
        flags.add_verify,
        _verify,
        """\
Find the secret that signed a captured event, among the secrets that the hooks
files declare or --secret names. Only an event shows directly which secret
Preservica has. Exits with 0, or with 1 if no secret fits, and then reports the
likely reason: a different form of signing, or a body that was changed.""",
    ),
    Command(
        "secret",
        "make a secret that Preservica and a receiver share",
        "example: hooksync secret generate > secret.txt",
        flags.add_no_flags,
        None,
        actions=(
            Command(
                "generate",
                "print a new secret and nothing else: 32 random bytes as 43 characters",
                "example: hooksync secret generate > secret.txt",
                flags.add_no_flags,
                _generate,
            ),
        ),
    ),
)

STATE_AND_FILES = (
    Command(
        "state",
        "show and change the state, on any backend",
        "example: hooksync state show",
        flags.add_no_flags,
        None,
        """\
Show and change the state: hooksync's record of the subscriptions that it made
or adopted. Works on every backend. Does not read the hooks file: the state is
beside it, unless --state or HOOKSYNC_STATE names a different place. Each action
has its own help.""",
        actions=(
            Command(
                "show",
                "list the entries of the state, and the holder of its run lock",
                "example: hooksync state show --state git:hooksync-state",
                flags.add_state_place,
                _state_show,
            ),
            Command(
                "pull",
                "print the state as it is stored",
                "example: hooksync state pull > state.json",
                flags.add_state_place,
                _state_pull,
            ),
            Command(
                "push",
                "replace the state with a file",
                "example: hooksync state push state.json --state git:hooksync-state",
                flags.add_state_push,
                _state_push,
                """\
Replace the state with a file, after `hooksync state pull`, or from a different
backend. Refuses a state that is older than the present state, or unrelated to
it (exit 3).""",
            ),
            Command(
                "unlock",
                "release the run lock of a run that no longer exists",
                "example: hooksync state unlock 0123456789abcdef",
                flags.add_state_unlock,
                _state_unlock,
            ),
            Command(
                "move",
                "rename a subscription in the state",
                "example: hooksync state move archive/old/INDEXED archive/new/INDEXED",
                flags.add_state_move,
                _state_move,
            ),
            Command(
                "forget",
                "remove entries from the state; change nothing in Preservica",
                "example: hooksync state forget 'archive/old/*'",
                flags.add_state_forget,
                _state_forget,
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
        flags.add_show,
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
        flags.add_schema,
        _schema,
    ),
    Command(
        "completion",
        "print a shell's completion script",
        "example: hooksync completion bash > hooksync.bash && source hooksync.bash",
        flags.add_completion,
        _completion,
    ),
    Command(
        "version",
        "print the version (--version); as JSON, details for a bug report",
        "example: hooksync version --format json",
        flags.add_version,
        _version,
    ),
)

GROUPS = {
    "start": START,
    "every day": EVERY_DAY,
    "receivers": RECEIVERS,
    "state and files": STATE_AND_FILES,
}
