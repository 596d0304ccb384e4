"""The commands: what each is for, its flags, and what runs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from hooksync.cli import flags

if TYPE_CHECKING:
    import argparse

ABOUT = "Make the webhook subscriptions of Preservica tenancies match a YAML file."

EXIT_CODES = """\
exit codes: 0 done, or nothing to do; 1 error; 2 live differs from the file
(plan --detailed-exitcode); 3 refused, nothing changed (plan: apply would
refuse); 4 applied in part; 64 wrong usage; 130 interrupted; 143 terminated

example: hooksync plan -f hooks.yaml"""

SANDBOX = """\
It listens on 127.0.0.1 only. The password is the value of $SANDBOX_PASSWORD, or
"sandbox-password" if that is not set. Ctrl-C or SIGTERM stops the sandbox.

A fault is KIND@CALL[:TIMES[:SKIP]]. TIMES: how often it happens (default: 1;
* is always). SKIP: how many such calls succeed first.
  CALL  login, complete-2fa, details, version, list, subscribe, unsubscribe,
        any
  KIND  status-N        do nothing, respond with the status N
        retry-after-S   do nothing, respond with 429 and Retry-After: S
        slow-S          do it, respond S seconds later
        cut             do nothing, cut the connection
        commit-cut      do it, cut the connection without a response

With a list lag, the list shows each change S seconds later. Only the list
lags: 404 and 409 follow each change at once.

traits, for behaviour of the real service that is not known:
  refuse-duplicates   respond with 409 to a second subscription with the same
                      URL and trigger
  answer-without-id   leave the id out of the response to a new subscription
  answer-empty        respond to a new subscription with an empty body
  codes-once          accept each one-time code only once
  no-challenge        do not challenge receivers, so they need not run"""


def _accept(arguments: argparse.Namespace) -> None:
    """Check nothing beyond what argparse checks."""


class Command(NamedTuple):
    """One command, or one action of a command, such as "state show"."""

    name: str
    help: str  # a phrase; the description by default
    example: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    run: str = ""  # "module:function", loaded only to run it; "": only its actions can be run
    options: str = ""  # the name of the options type in that module
    description: str = ""
    # raises UsageError for flags that conflict
    check: Callable[[argparse.Namespace], None] = _accept
    epilog: str = ""  # below the flags


COMMANDS = (
    Command(
        "init",
        "write a first hooks file",
        "hooksync init --from-live --server eu.preservica.com",
        flags.add_init,
        "hooksync.commands.init:init",
        "InitOptions",
        """\
Write a first hooks file: a commented one to fill in, or with --from-live what
`hooksync export` prints. Never overwrites a file.""",
    ),
    Command(
        "validate",
        "check the hooks files, without a network",
        "hooksync validate -f hooks.yaml",
        flags.add_validate,
        "hooksync.commands.validate:validate",
        "FileOptions",
    ),
    Command(
        "check",
        "check the log-ins, secrets and receivers; changes nothing",
        """\
hooksync check --format json
hooksync check --url http://127.0.0.1:8701/ --secret env:HOOK_SECRET""",
        flags.add_check,
        "hooksync.commands.check:check",
        "CheckOptions",
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
        "hooksync plan --tenancy 'archive-*' --out plan.json",
        flags.add_plan,
        "hooksync.commands.plan_apply:plan",
        "PlanOptions",
    ),
    Command(
        "apply",
        "plan, prompt, and apply; or apply a saved plan",
        """\
hooksync apply --yes --parallelism 16
hooksync apply plan.json --max-age 24h""",
        flags.add_apply,
        "hooksync.commands.plan_apply:apply",
        "ApplyOptions",
        """\
Plan, prompt, and apply the plan; or apply a saved plan without a prompt. This
needs the hooks files and the variables of the saved plan, which contains the
flags that select (--tenancy, --target, --replace). hooksync plans again, and
refuses the whole plan (exit 3) if the steps are no longer the same, or if the
file was altered. With HOOKSYNC_PLAN_KEY set (16 bytes or more), the plan must
be signed with that key, and be no older than 24 hours or --max-age.""",
        flags.check_apply,
    ),
    Command(
        "adopt",
        "record the declared secrets of live subscriptions in the state",
        """\
hooksync adopt
hooksync adopt 'archive/*' archive/catalogue/INDEXED""",
        flags.add_adopt,
        "hooksync.commands.adopt:adopt",
        "AdoptOptions",
        """\
Record the declared secrets and flags for live subscriptions whose secret is
unknown. Changes nothing in Preservica. Challenges each receiver first, and does
not adopt a subscription if its receiver has a different secret. If a receiver
is not ready, or a subscription was replaced outside hooksync, give the full
address. A challenge proves what the receiver has, not what Preservica has:
during a rotation, use `hooksync apply --replace ADDRESS`. Exits with 0 if all
were adopted, with 4 if some were, and with 3 if none was.""",
    ),
    Command(
        "show",
        "show a saved plan, as `plan` showed it",
        "hooksync show plan.json --format markdown",
        flags.add_show,
        "hooksync.commands.show:show",
        "ShowOptions",
        """\
Show a saved plan, as `hooksync plan` showed it when it was made, and whether
`hooksync apply` would still accept it by its age. Needs no network, no hooks
file and no environment. Refuses a plan that was altered (exit 3). If
HOOKSYNC_PLAN_KEY is set, also refuses a plan that is not signed with that key.
Also exits with 3 if apply would refuse the steps of the plan.""",
    ),
    Command(
        "list",
        "list what is live, or who subscribes to each trigger",
        """\
hooksync list --format json
hooksync list --coverage""",
        flags.add_list,
        "hooksync.commands.export:list_live",
        "ListOptions",
        """\
List the live subscriptions of the tenancies in the hooks files, or of the
tenancy that --server, --tenant and PRESERVICA_* name: their full ids, their
declared names, and whether their secrets are the same. With --coverage, show a
table of tenancies and triggers instead. Changes nothing. Exits with 1 if a
tenancy cannot be read.""",
    ),
    Command(
        "export",
        "print the live subscriptions as a hooks file",
        "hooksync export --server eu.preservica.com",
        flags.add_export,
        "hooksync.commands.export:export",
        "LiveOptions",
        """\
Print the live subscriptions of the tenancy that --server, --tenant and
PRESERVICA_* name, as a hooks file. Changes nothing. Variables replace secrets,
query values of URLs, and parts of their paths that may be keys; standard error
lists these variables. A warning names what cannot be declared.""",
    ),
    Command(
        "fire",
        "send a signed event to a receiver, as Preservica does",
        """\
hooksync fire archive/catalogue --trigger MOVED
hooksync fire --url http://127.0.0.1:8701/hook --secret env:X --suite
hooksync fire archive/catalogue --replay events""",
        flags.add_fire,
        "hooksync.commands.fire:fire",
        "FireOptions",
        """\
Send a signed event to a receiver, as Preservica does, and report its answer.
The event is made up: its entity does not exist, but the receiver cannot tell it
from a real one. With --suite, send everything that a receiver must handle:
events that differ in their bytes (compact, spaced, with letters that are not
ASCII, large, with unknown fields); events in chunks, repeated, and two at once;
events with the signature of each --secret, with a wrong one, and with none; a
challenge, and a challenge whose code could forge an event. If the receiver
refuses a genuine event, send the event again with the signatures of usual
mistakes, to name the bug. Exits with 0 if all passed, and with 1 otherwise.""",
        flags.check_fire,
    ),
    Command(
        "listen",
        "receive webhooks on this machine, and show them",
        "hooksync listen --port 8701 --secret env:X --forward http://[::1]:80/",
        flags.add_listen,
        "hooksync.cli.listen:listen",
        "ListenOptions",
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
        "hooksync verify event.json --signature 6fa0...",
        flags.add_verify,
        "hooksync.commands.verify:verify",
        "VerifyOptions",
        """\
Find the secret that signed a captured event, among the secrets that the hooks
files declare or --secret names. Only an event shows directly which secret
Preservica has. Exits with 0, or with 1 if no secret fits, and then reports the
likely reason: a different form of signing, or a body that was changed.""",
    ),
    Command(
        "state",
        "show and change the state, on any backend",
        "hooksync state show",
        flags.add_no_flags,
        description="""\
Show and change the state: hooksync's record of the subscriptions that it made
or adopted. Works on every backend. Does not read the hooks file: the state is
beside it, unless --state or HOOKSYNC_STATE names a different place. Each action
has its own help.""",
    ),
    Command(
        "state show",
        "list the entries of the state, and the holder of its run lock",
        "hooksync state show --state git:hooksync-state",
        flags.add_state_place,
        "hooksync.commands.state:show",
        "StateOptions",
    ),
    Command(
        "state pull",
        "print the state as it is stored",
        "hooksync state pull > state.json",
        flags.add_state_place,
        "hooksync.commands.state:pull",
        "StateOptions",
    ),
    Command(
        "state push",
        "replace the state with a file",
        "hooksync state push state.json --state git:hooksync-state",
        flags.add_state_push,
        "hooksync.commands.state:push",
        "PushOptions",
        """\
Replace the state with a file, after `hooksync state pull`, or from a different
backend. Refuses a state that is older than the present state, or unrelated to
it (exit 3).""",
    ),
    Command(
        "state unlock",
        "release the run lock of a run that no longer exists",
        "hooksync state unlock 0123456789abcdef",
        flags.add_state_unlock,
        "hooksync.commands.state:unlock",
        "UnlockOptions",
    ),
    Command(
        "state move",
        "rename a subscription in the state",
        "hooksync state move archive/old/INDEXED archive/new/INDEXED",
        flags.add_state_move,
        "hooksync.commands.state:move",
        "MoveOptions",
    ),
    Command(
        "state forget",
        "remove entries from the state; change nothing in Preservica",
        "hooksync state forget 'archive/old/*'",
        flags.add_state_forget,
        "hooksync.commands.state:forget",
        "ForgetOptions",
        """\
Remove entries from the state; Preservica is unchanged. A live subscription
without an entry counts as not in the state, and its secret as unknown.""",
    ),
    Command(
        "secret",
        "make a secret that Preservica and a receiver share",
        "hooksync secret generate > secret.txt",
        flags.add_no_flags,
    ),
    Command(
        "secret generate",
        "print a new secret and nothing else: 32 random bytes as 43 characters",
        "hooksync secret generate > secret.txt",
        flags.add_no_flags,
        "hooksync.commands.printing:generate",
        "NoOptions",
    ),
    Command(
        "schema",
        "print a JSON Schema",
        "hooksync schema > hooks.schema.json",
        flags.add_schema,
        "hooksync.commands.printing:schema",
        "SchemaOptions",
    ),
    Command(
        "version",
        "print the version; as JSON, also the details for a bug report",
        "hooksync version --format json",
        flags.add_version,
        "hooksync.commands.printing:version",
        "VersionOptions",
    ),
    Command(
        "sandbox",
        "run a local Preservica with receivers, to try things",
        "hooksync sandbox --fault status-503@list:2",
        flags.add_sandbox,
        "hooksync.cli.local:sandbox",
        "SandboxFlags",
        epilog=SANDBOX,
    ),
    Command(
        "demo",
        "show what hooksync does, in less than a minute",
        "hooksync demo",
        flags.add_no_flags,
        "hooksync.cli.local:demo",
        "NoOptions",
    ),
    Command(
        "completion",
        "print a shell's completion script",
        "hooksync completion bash > hooksync.bash && source hooksync.bash",
        flags.add_completion,
        "hooksync.cli.completion:completion",
        "CompletionOptions",
    ),
)
