"""The sentences that sum up a plan or its result, for all formats that people read. Pure.

Each sentence is one template, filled with counts, names and places.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from hooksync.core.errors import Problem, pluralised, shortened
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import PAUSED, Plan, Step, TenancyPlan

CHANGES = {
    "subscribe": "to subscribe",
    "resubscribe": "to resubscribe",
    "unsubscribe": "to REMOVE",
    "adopt": "to adopt",
    "forget": "to forget",
}
RESULT_WORDS = {
    "done": "done",
    "half-done": "half done",
    "unsettled": "unsettled",
    "failed": "failed",
    "not-attempted": "not tried",
}
_REST = {"keep": "unchanged", "paused": "paused", "leave": "left alone"}
_USUAL_CHANGES = ("subscribe", "resubscribe", "unsubscribe")  # counted even if there are none


def counted(
    counts: Mapping[Any, int], words: Mapping[str, str], always: Collection[str] = ()
) -> str:
    """Write counts in the order of `words`. A 0 is left out, unless its name is in `always`."""
    named = [name for name in words if counts.get(name) or name in always]
    return ", ".join(f"{counts.get(name, 0)} {words[name]}" for name in named)


def headline(plan: Plan) -> str:
    """Name the command and the tenancies."""
    command = "hooksync apply" if plan.is_report else "hooksync plan"
    return f"{command}: {shortened([tenancy.name for tenancy in plan.tenancies]) or 'no tenancy'}"


def selection_sentences(plan: Plan) -> Iterator[str]:
    """Name what selects a part of what is declared, and the variables that select or request."""
    selection = plan.selection
    selected = shortened([*selection.tenancy, *selection.target])
    if selection.since:
        names = selected or "no tenancy"
        yield f"Only what differs from the merge base with {selection.since}: {names}"
    elif selected:
        yield f"Only {selected}"
    if selection.variables:
        yield f"From the environment: {', '.join(selection.variables)}"


def summaries(plan: Plan) -> list[str]:
    """Sum up a plan or its result, each fact in one sentence."""
    facts = []
    results = plan.results()
    if plan.has_changes and results:
        applied = f"Applied: {counted(results, RESULT_WORDS, ('done', 'failed'))}"
        nothing = f"Nothing applied: {counted(results, RESULT_WORDS)}"
        facts.append(nothing if results.keys() <= {"not-attempted", "unchanged"} else applied)
    elif plan.has_changes:
        facts.append(f"Plan: {counted(plan.counts(), CHANGES, _USUAL_CHANGES)}")
    if plan.undeclared:
        facts.append(f"No longer declared: {shortened([item.name for item in plan.undeclared])}")
    if left := plan.left_drift:
        facts.append(f"Not as declared: {pluralised(len(left), 'subscription')} left alone")
    if unknown := _unknown(plan):
        facts.append(f"{'Not' if facts else 'No changes to make; not'} compared: {unknown}")
    if not facts:
        facts.append(_no_changes(plan))
    facts[0] += f"; {_rest(plan)}"
    if plan.held:
        facts.append(f"Held: {shortened(plan.held)}")
    sentences = [f"{fact}." for fact in facts]
    return [*sentences, *adopted(plan), *state_sentences(plan), *_verified(plan)]


def adopted(plan: Plan) -> Iterator[str]:
    """Count the secrets that only a person vouches for."""
    number = sum(step.action == "adopt" or step.evidence == "adopted" for step in plan.steps)
    if number:
        yield f"As adopted: {pluralised(number, 'secret')}, which only an event can prove."


def _no_changes(plan: Plan) -> str:
    """Report that there is nothing to do."""
    if plan.selection.remove or not plan.tenancies:
        return "Nothing to do"
    return f"No changes. {_matching(len(plan.tenancies))} {plan.sources}"


def state_sentences(plan: Plan) -> Iterator[str]:
    """Report that there is no state, and whether it may be lost."""
    may_be_lost = plan.state_used or any(step.address and step.live for step in plan.steps)
    if not plan.state_missing or plan.is_report:
        return
    if may_be_lost:
        used = ", although a run has used this place" if plan.state_used else ""
        yield f"There is no state at {plan.state}{used}."
        if not plan.all_refusals:  # their fixes begin with this
            push = f"`hooksync state push FILE --state {quote(plan.state or '')}`"
            yield f"If it is elsewhere, {push} first."
    else:
        yield f"No state yet ({plan.state}): the first apply creates it."


def _rest(plan: Plan) -> str:
    """Count what needs no change. What other sentences count is left out."""
    counts = Counter[str]()
    for step in plan.steps:
        if not step.differs:
            counts["paused" if PAUSED in step.reasons else step.action] += 1
    return counted(counts, _REST, ("keep",))


def _unknown(plan: Plan) -> str:
    """Count what could not be compared: tenancies, secrets, and attempts of earlier runs."""
    counts = {
        "tenancy": plan.unread,
        "secret": plan.secret_unknown,
        "open attempt": sum(len(tenancy.open_attempts) for tenancy in plan.tenancies),
        "unfinished step": plan.in_progress,
    }
    return ", ".join(pluralised(number, noun) for noun, number in counts.items() if number)


def _matching(number: int) -> str:
    """Count tenancies, with the verb."""
    return f"{pluralised(number, 'tenancy')} {'matches' if number == 1 else 'match'}"


def quiet_sentence(quiet: Sequence[TenancyPlan]) -> str:
    """Count the tenancies that have no lines of their own, and what is left alone in them."""
    matching = _matching(sum(not tenancy.differs for tenancy in quiet))
    lefts = [tenancy.counts()["leave"] for tenancy in quiet]
    left = pluralised(sum(lefts), "subscription")
    places = pluralised(len(lefts) - lefts.count(0), "tenancy")
    return f"{matching}; {left} left alone in {places}." if any(lefts) else f"{matching}."


def new_words(steps: Iterable[Step]) -> str:
    """Count and name the foreign subscriptions that no apply has seen; "" if there are none."""
    urls = [step.url for step in steps if step.is_new]
    return f"{len(urls)} new: {shortened(urls)}" if urls else ""


def problems_of(plan: Plan) -> list[tuple[str, Problem]]:
    """Return the problems of a plan, each after its kind, the most urgent first."""
    kinds = {
        "error": (*plan.all_errors, *_failures(plan)),
        "refused": plan.all_refusals,
        "warning": plan.warnings,
    }
    return [(kind, problem) for kind, found in kinds.items() for problem in found]


def by_fix(
    plan: Plan, told: Collection[tuple[str, Problem]] = ()
) -> Iterable[tuple[str, list[str]]]:
    """Write the problems that are not in `told`, after their fixes: a fix is shown only once."""
    groups = defaultdict[str, list[str]](list)
    for kind, problem in problems_of(plan):
        if (kind, problem) not in told:
            groups[f"fix: {printable(problem.fix)}"].append(f"{kind}: {problem.headline}")
    return groups.items()


def _failures(plan: Plan) -> Iterator[Problem]:
    """Name each step that is not done, with the reason and the fix."""
    for step in plan.steps:
        outcome = step.outcome
        if outcome and outcome.problem:
            yield Problem(
                f"{RESULT_WORDS[outcome.result]}: {step.subject}: {outcome.problem.what}",
                outcome.problem.fix,
            )


def _verified(plan: Plan) -> Iterator[str]:
    """Report what is not as declared after an apply, what was not verified, and what was."""
    differing: list[str] = []
    verified = []
    for tenancy in plan.tenancies:
        differing += [step.subject for step in tenancy.differences]
        if tenancy.not_verified:
            yield f"Not verified: {tenancy.name}: {tenancy.not_verified}."
        elif tenancy.may_have_changed and tenancy.is_as_declared:
            # other sentences name what is wrong
            is_wrong = tenancy.differences or tenancy.left_drift or tenancy.open_attempts
            if not (is_wrong or tenancy.held):
                verified.append(tenancy.name)
    if differing:
        number = pluralised(len(differing), "subscription")
        yield f"Not as declared: {number}: {shortened(differing)}."
    names = f"{shortened(verified)}: " if len(verified) < len(plan.tenancies) else ""
    target = plan.selection.target
    scope = f" (only {shortened(target)})" if target else ""
    if verified and not plan.selection.remove:
        yield f"Verified: {names}live matches declared{scope}."
