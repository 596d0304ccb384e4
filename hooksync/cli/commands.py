"""The commands: what each is for, and the function that runs it.

A command's module is imported when the command runs, so that no run loads what it does not use:
requests alone takes as long to load as `validate` needs for its whole run. The flags of a command
are fields of its options, the type of the function's first parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """One command, or one action of a command, such as `show` of `state`."""

    name: str
    help: str  # a phrase; the description by default
    example: str  # below the flags
    function: str = ""  # the function that runs it, MODULE:NAME; "": it has only actions
    description: str = ""
    groups: Mapping[str, Sequence[Command]] = {}  # of actions, by title

    @property
    def actions(self) -> dict[str, Command]:
        """The actions by their names."""
        return {action.name: action for group in self.groups.values() for action in group}


_SANDBOX = """\
faults: KIND@CALL[:TIMES[:SKIP]], TIMES times (default: 1; *: always) after SKIP
calls. CALL is login, complete-2fa, details (of the user), version (of
Preservica), updated (the list for catch-up), list, subscribe, unsubscribe or
any. KIND:
  status-N, retry-after-S  do nothing, respond with N, or with 429
  slow-S                   do it, respond S seconds later
  cut, commit-cut          do nothing, or do it; then cut the connection
traits, for what is not known of the real service:
  refuse-duplicates        respond with 409 to a second subscription
  answer-without-id        leave the id out of the response to a new one
  no-challenge             do not challenge receivers, so they need not run

example: hooksync sandbox --fault status-503@list:2"""

GROUPS = {
    "most used": (
        Command(
            "init",
            "write a first hooks file",
            "example: hooksync init --from-live https://a.example/x https://b.example",
            "commands.init:init",
            """\
Write a first hooks file: a commented one to fill in, or with --from-live the
live subscriptions of the tenancy that PRESERVICA_SERVER and PRESERVICA_TENANT
name. Never overwrites a file. Variables replace secrets, query values of URLs,
and parts of their paths that may be keys; standard error lists these variables.
`apply` adopts what the file declares. With URL prefixes, the file declares only
what is at or under one of them: whole parts of a path. A warning
names what cannot be declared.""",
        ),
        Command(
            "check",
            "check the log-ins, secrets and receivers; changes nothing",
            """\
example: hooksync check --format json
         hooksync check --url http://127.0.0.1:8701/ --secret env:HOOK_SECRET""",
            "commands.check:check",
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
            "commands.plan_apply:plan",
            """\
Show what `hooksync apply` would do, and save it with --out. Changes nothing.""",
        ),
        Command(
            "apply",
            "plan, prompt, and apply; or apply a saved plan",
            "example: hooksync apply plan.json --max-age 24h",
            "commands.plan_apply:apply",
            """\
Plan, prompt, and apply the plan. --yes applies it without a prompt.""",
        ),
        Command(
            "list",
            "list what is live",
            "example: hooksync list --format json",
            "commands.list_live:list_live",
            """\
List the live subscriptions of the tenancies in the hooks files: their full ids,
their declared names, and whether their secrets are the same. Changes nothing.
Exits with 1 if a tenancy cannot be read.""",
        ),
        Command(
            "remove",
            "remove single live subscriptions by their ids, after a prompt",
            "example: hooksync remove 9495ddbf7d4a0b9f030a3411c87f967d",
            "commands.plan_apply:remove",
            """\
Remove live subscriptions by their ids, whoever made them; `hooksync list` shows
the ids. The prompt shows URL, trigger and origin. Refuses what the hooks file
declares, and what a plan would replace: edit the file instead. Accepts a
duplicate of a declared subscription. `protect` and a policy apply.""",
        ),
    ),
    "files and state": (
        Command(
            "validate",
            "check the hooks files, without a network",
            "example: hooksync validate -f hooks.yaml",
            "commands.validate:validate",
        ),
        Command(
            "show",
            "show a saved plan, as `plan` showed it",
            "example: hooksync show plan.json --format markdown",
            "commands.show:show",
            """\
Show a saved plan, as `hooksync plan` showed it, when it was made, and whether
it is too old for `hooksync apply`. Needs no network, no hooks
file and no environment. If HOOKSYNC_PLAN_KEY is set, refuses a plan that is not
signed with that key, or was altered (exit 3). Otherwise, exits with the code of
the plan.""",
        ),
        Command(
            "state",
            "show and change the state, wherever it is kept",
            "example: hooksync state show",
            description="""\
Show and change the state: hooksync's record of the subscriptions that it made
or adopted. The state is beside the hooks file, unless --state or HOOKSYNC_STATE
names a different place, such as a branch. Does not read the hooks file. Each
action has its own help.""",
            groups={
                "actions": (
                    Command(
                        "show",
                        "list the entries of the state, and the holder of its run lock",
                        "example: hooksync state show --state git:hooksync-state",
                        "commands.state:show",
                    ),
                    Command(
                        "pull",
                        "print the state as it is stored",
                        "example: hooksync state pull > state.json",
                        "commands.state:pull",
                    ),
                    Command(
                        "push",
                        "replace the state with a file",
                        "example: hooksync state push state.json --state git:hooksync-state",
                        "commands.state:push",
                        """\
Replace the state with a file, after `hooksync state pull`, or from a different
backend. Refuses a state that is older than the present state, or unrelated to
it (exit 3).""",
                    ),
                    Command(
                        "unlock",
                        "release the run lock of a run that no longer exists",
                        "example: hooksync state unlock 0123456789abcdef",
                        "commands.state:unlock",
                    ),
                    Command(
                        "move",
                        "rename a subscription in the state",
                        "example: hooksync state move archive/old/INDEXED archive/new/INDEXED",
                        "commands.state:move",
                    ),
                    Command(
                        "forget",
                        "remove entries from the state; change nothing in Preservica",
                        "example: hooksync state forget 'archive/old/*'",
                        "commands.state:forget",
                        """\
Remove entries from the state; Preservica is unchanged. A live subscription
without an entry counts as not in the state, and its secret as unknown.""",
                    ),
                )
            },
        ),
    ),
    "receivers": (
        Command(
            "secret",
            "make a secret that Preservica and a receiver share",
            "example: hooksync secret generate > secret.txt",
            groups={
                "actions": (
                    Command(
                        "generate",
                        "print a new secret: 32 random bytes, as 43 characters",
                        "example: hooksync secret generate > secret.txt",
                        "commands.printing:generate",
                    ),
                )
            },
        ),
        Command(
            "fire",
            "send a signed event to a receiver, as Preservica does",
            """\
example: hooksync fire archive/catalogue --trigger MOVED
         hooksync fire --url http://127.0.0.1:8701/hook --secret env:X --suite""",
            "commands.fire:fire",
            """\
Send a signed event to a receiver, as Preservica does, and report its answer.
The event is made up: its entity does not exist, but the receiver cannot tell it
from a real one. If the receiver refuses a genuine event, hooksync sends the
event again with the signatures of usual mistakes, to name the bug. Exits with 0
if all passed, and with 1 otherwise.""",
        ),
        Command(
            "listen",
            "receive webhooks on this machine, and show them",
            "example: hooksync listen --port 8701 --secret env:X --forward http://[::1]:80/",
            "cli.local:listen",
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
            "commands.verify:verify",
            """\
Find the secret that signed a captured event, among the secrets that the hooks
files declare or --secret names. An event shows which secret Preservica has; a
receiver's answer to a challenge does not. Exits with 0, or with 1 if no secret
fits, and then reports the likely reason: a different form of signing, or a body
that was changed.""",
        ),
        Command(
            "catch-up",
            "after an outage, send an event for each entity updated since",
            "example: hooksync catch-up archive/hook --since 2026-11-30T14:00Z --dry-run",
            "commands.catch_up:catch_up",
            """\
List through the Entity API what was updated since a time. After a prompt with
their number, send an event for each entity to the receiver of a declared
subscription, signed with its secret and marked by the header Hooksync-Catch-Up.
This works only for INDEXED. It cannot recover failed ingests, deletions, or
which trigger fired, and work may be done twice. Exits with 1 if the receiver
refused an event.""",
        ),
    ),
    "to try hooksync": (
        Command(
            "demo",
            "show what hooksync does, in less than a minute",
            "example: hooksync demo",
            "cli.local:demo",
        ),
        Command(
            "sandbox",
            "run a local Preservica with receivers, to try things",
            _SANDBOX,
            "cli.local:sandbox",
            """\
Run a local Preservica with receivers, on 127.0.0.1, until interrupted. The
password is "sandbox-password".""",
        ),
    ),
    "more": (
        Command(
            "schema",
            "print a JSON Schema",
            "example: hooksync schema > hooks.schema.json",
            "commands.printing:schema",
        ),
        Command(
            "completion",
            "print a shell's completion script",
            "example: hooksync completion bash > hooksync.bash && source hooksync.bash",
            "cli.completion:completion",
        ),
        Command(
            "version",
            "print the version (--version); as JSON, details for a bug report",
            "example: hooksync version --format json",
            "commands.printing:version",
        ),
    ),
}
ALL = Command(
    "",
    "",
    """\
exit codes: 0 done, or nothing to do; 1 error; 2 live differs from the file
(plan --detailed-exitcode); 3 refused, nothing changed (plan: apply would
refuse); 4 applied in part; 64 wrong usage; 130 interrupted; 143 terminated

`hooksync COMMAND --help` shows the flags of a command.

example: hooksync plan -f hooks.yaml""",
    description="Make the webhook subscriptions of Preservica tenancies match a YAML file.",
    groups=GROUPS,
)
