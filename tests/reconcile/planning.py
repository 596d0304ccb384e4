"""Helpers that make a plan as a run does: from a tenancy, its live subscriptions and a state.

A cheap key replaces scrypt.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence

from hooksync.config.secret_sources import SecretSources
from hooksync.core.errors import Problem
from hooksync.core.model import DeclaredSubscription, LiveSubscription, Secret, Tenancy
from hooksync.core.record import replace
from hooksync.reconcile.diff import Comparison
from hooksync.reconcile.plan import Plan, Selection, Step, TenancyPlan, completed, exit_code_of
from hooksync.reconcile.run import FetchedTenancy, Planner
from hooksync.state.fingerprints import Key, KeyRing, SecretWithSalt, identity_digest
from hooksync.state.model import Attempt, State, StateEntry, SubscriptionRecord, TenancyRecords
from tests.memory_terminal import make_context
from tests.state_makers import AT, PROD, SALT, URL_SALT, state

VALUE = "the-secret-of-the-receiver-0123456789"
ENVIRON = {"HOOK_SECRET": VALUE}
PLAIN = Selection()
PLACE = "hooks.state.json"


def derive(wanted: SecretWithSalt) -> Key:
    """Return a key made by one HMAC, which is fast."""
    secret, salt = wanted
    return Key(hmac.digest(salt.salt.encode(), secret.reveal().encode(), "sha256"))


def made(
    identifier: str,
    one: DeclaredSubscription,
    *,
    run: int = 1,
    value: str = VALUE,
    **fields: object,
) -> StateEntry:
    """Return the state entry of a live subscription that hooksync made with the secret `value`."""
    digest = identity_digest(URL_SALT, one.key)
    entry = StateEntry(one.address, run, AT, digest, one.content, identifier)
    return replace(entry.made_with(derive((Secret(value), SALT)), SALT, PROD), **fields)


def tried(one: DeclaredSubscription, *, run: int = 1, **fields: object) -> Attempt:
    """Return an attempt to make a subscription, of which neither a response nor a list said more."""
    digest = identity_digest(URL_SALT, one.key)
    attempt = Attempt(one.address, run, AT, digest, one.content)
    sent = attempt.made_with(derive((Secret(VALUE), SALT)), SALT, PROD)
    return replace(sent, **fields)


def compared(
    wanted: Tenancy,
    live: Sequence[LiveSubscription],
    options: Selection = PLAIN,
    records: Iterable[SubscriptionRecord] = (),
    **settings: object,
) -> Comparison:
    """Return the comparison of a tenancy in a run that knows no secret."""
    return Comparison(planner(state(*records), options, **settings), wanted, tuple(live), {}, {})


def make_plan(
    wanted: Tenancy,
    live: Sequence[LiveSubscription],
    options: Selection = PLAIN,
    records: Iterable[SubscriptionRecord] = (),
    **settings: object,
) -> TenancyPlan:
    """Return the plan of a tenancy without refusals and warnings."""
    return compared(wanted, live, options, records, **settings).plan()


def planner(
    known: State | None,
    options: Selection = PLAIN,
    environ: Mapping[str, str] = ENVIRON,
    **settings: object,
) -> Planner:
    """Return the planner of a run with the state `known`."""
    given: dict[str, object] = {"place": PLACE, **settings}
    secrets = SecretSources(make_context(environ))
    return Planner(options, known, KeyRing(1, derive), secrets=secrets, **given)  # type: ignore[arg-type]


def planned(
    wanted: Tenancy,
    live: Sequence[LiveSubscription],
    *records: SubscriptionRecord | TenancyRecords,
    options: Selection = PLAIN,
    environ: Mapping[str, str] = ENVIRON,
    **settings: object,
) -> TenancyPlan:
    """Return the plan of a tenancy whose state has these records."""
    known = state(*records, serial=9)
    [one] = planner(known, options, environ, **settings).plan([FetchedTenancy(wanted, tuple(live))])
    return one


def run_of(*tenancies: TenancyPlan, **fields: object) -> Plan:
    """Return the plan of a whole run."""
    given: dict[str, object] = {"sources": "hooks.yaml", **fields}
    made = Plan(tenancies, "2026-01-02T03:04:05Z", "0" * 32, **given)  # type: ignore[arg-type]
    return completed(made, exit_code_of(made))


def refused(plan: TenancyPlan) -> tuple[Problem, ...]:
    """Return why hooksync refuses a tenancy, or some of its addresses."""
    return run_of(plan).all_refusals


def told(plan: TenancyPlan) -> list[str]:
    """Return a line for each step: the action, the live id, and the codes of its reasons."""
    return list(map(line_of, plan.steps))


def line_of(step: Step) -> str:
    """Return the line for a step."""
    words = [step.action, step.id, *(reason.code for reason in step.reasons)]
    return " ".join(filter(None, words))
