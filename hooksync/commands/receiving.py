"""What the commands of the receiver's side begin with: which receiver is meant, and which secrets sign.

The command line names them, or hooks files do; of these neither server nor log-in is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hooksync.commands.options import Options
from hooksync.commands.setup import hold_to_policy
from hooksync.config.declarations import (
    Settings,
    SubscriptionDeclaration,
    TenancyDeclaration,
    Written,
    reference_problems,
    url_problem,
)
from hooksync.config.resolve import resolve_subscriptions, url_environment_values
from hooksync.core.errors import FileError, Problem, UsageError
from hooksync.core.model import DeclaredSubscription, Location, SecretRef, Trigger
from hooksync.core.record import Record, replace
from hooksync.core.template import parse_template
from hooksync.core.urls import masked_url, outline, split_netloc
from hooksync.reconcile.context import World
from hooksync.reconcile.session import Run, open_run
from hooksync.service.retry import PrivateReceivers

_HERE = Location("<command line>", 1, 1)
_NO_SERVER = Written(parse_template(""), _HERE)  # which no policy judges


class Target(Record, frozen=True):
    """One receiver to call."""

    declared: DeclaredSubscription
    secrets: tuple[SecretRef, ...]  # the first signs, the others may sign events of a rotation
    private: PrivateReceivers


@contextmanager
def open_receiver(options: Options, world: World) -> Iterator[tuple[Run, Target]]:
    """Open the connections to the one receiver that is named. Raises UsageError, FileError or Refused."""
    target = _target(options, world)
    with open_run((), world, timeout=options.timeout, parallelism=1, private=target.private) as run:
        yield run, target


def _target(options: Options, world: World) -> Target:
    tenancy = _named_by_flags(options)
    if problems := list(reference_problems(tenancy)):
        raise FileError(*problems)
    private = hold_to_policy(options.policy, [tenancy], world)
    if not options.policy:  # who runs this chose the address, and no file that somebody else wrote
        private = "quoted"
    world.output.redactor.learn(url_environment_values([tenancy], world.environ))
    [declared] = resolve_subscriptions(tenancy, world.environ)
    shown = masked_url(declared.url.shown)  # a shell has filled in what it was given
    declared = replace(declared, url=replace(declared.url, shown=shown))
    return Target(declared, options.secrets, private)


def _named_by_flags(options: Options) -> TenancyDeclaration:
    """Declare what --url and --secret name, so that all that holds for files holds for it."""
    try:
        template = parse_template(options.url or "")
    except ValueError as error:
        fix = "write ${NAME}, between single quotation marks, and $$ for a dollar"
        raise UsageError(Problem(f"--url holds {error}", fix)) from None
    if problem := url_problem(outline(template), "--url", None):
        raise UsageError(problem)
    name, _ = split_netloc(masked_url(template.text).partition("://")[2])
    entry = SubscriptionDeclaration(name, Written(template, _HERE), (Trigger(""),), options.secrets[0], _HERE)
    others = (replace(entry, secret=ref, triggers=()) for ref in options.secrets[1:])
    return TenancyDeclaration("", Settings(server=_NO_SERVER), (entry, *others), _HERE)
