"""The command `check`: a plan whose receivers are all challenged. It changes nothing."""

from __future__ import annotations

from secrets import token_hex
from typing import Literal

from hooksync.api.inputs import prepare
from hooksync.api.options import FORMAT, RunOptions
from hooksync.api.run import finished, open_run
from hooksync.commands.problems import show_plan
from hooksync.commands.receiving import RECEIVER, SECRETS, URL, named_receiver, open_receiver
from hooksync.config.declarations import TenancyDeclaration
from hooksync.core.clock import rfc3339
from hooksync.core.context import Context
from hooksync.core.errors import ExitCode, Problem, UsageError
from hooksync.core.flags import flag
from hooksync.core.model import Environ, Secret, SecretRef
from hooksync.core.record import replace
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import NEW, Plan, Step, TenancyPlan
from hooksync.render.check import check_lines
from hooksync.service.challenges import challenge as challenge_one


class CheckOptions(RunOptions):
    """The flags of `check`."""

    url: str | None = URL
    secrets: tuple[SecretRef, ...] = SECRETS
    challenges_live: bool = flag(
        "--live",
        "also find dead receivers of what is not declared",
        RECEIVER,
        default=False,
    )
    format: Literal["text", "json"] = FORMAT


def check(options: CheckOptions, context: Context) -> ExitCode:
    """Check each tenancy and each receiver; with --url, only that receiver."""
    checked = finished(replace(_checked(options, context), format="hooksync.check/1"), context)
    show_plan(checked, check_lines(checked), options.format, context)
    return ExitCode(checked.exit_code)


def _checked(options: CheckOptions, context: Context) -> Plan:
    """Plan, and challenge all receivers."""
    has_other = not options.given.isdisjoint(("--file", "--tenancy", "--target", "--live"))
    if named := named_receiver(options.url, options.secrets, has_other=has_other):
        return _check_one(named, options, context)
    inputs = prepare(options, context)
    if options.challenges_live and inputs.policy:
        fix = "leave out --live, or --policy and HOOKSYNC_POLICY"
        raise UsageError("--live calls receivers that the policy has not judged", fix)
    for declared in inputs.tenancies:
        refs = declared.credentials
        log_in = f"log-in: username {refs.username}, password {refs.password}"
        context.terminal.message(f"{declared.name}: {log_in}")
    environ = context.environ
    if isinstance(environ, Environ) and environ.credential_names:
        names = ", ".join(environ.credential_names)
        context.terminal.message(f"{printable(environ.credentials)} sets {names}")
    with open_run(inputs) as run:
        guess = Secret(token_hex(32)) if options.challenges_live else None
        return run.challenge(run.make_plan(needs_secrets=True), is_check=True, guess=guess)


def _check_one(named: TenancyDeclaration, options: CheckOptions, context: Context) -> Plan:
    """Challenge the receiver of --url. It has no tenancy."""
    with open_receiver(named, options, context) as (sender, receiver, _):
        answer = challenge_one(sender.url, sender.secret, sender.caller)
    step = Step("subscribe", receiver, reasons=(NEW,), name=receiver.name, receiver=answer)
    tenancy = TenancyPlan("", "", None, receiver.location, "create-first", "auto", 1, steps=(step,))
    problem = Problem(f"the receiver is not ready: {answer.detail}", answer.fix)
    errors = () if answer.state == "ready" else (problem,)
    return Plan((tenancy,), rfc3339(context.clock.now()), token_hex(16), errors=errors)
