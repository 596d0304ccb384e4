"""The sentences that sum up a plan or its result, for all formats that people read. Pure.

Each sentence is one template, filled with counts, names and places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from hooksync.core.errors import Problem, ProblemsByFix, by_fix, pluralised, shortened
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
_MOVED_UNSEEN = (
    "For a first apply, this is right. If you have applied this file before, name its state with "
    "--state: without it, hooksync does not recognise a moved URL, and leaves the old one live."
)


def counted(
    counts: Mapping[Any, int], words: Mapping[str, str], always: Collection[str] = ()
) -> str:
    """Write counts in the order of `words`. A 0 is left out, unless its name is in `always`."""
    parts = []
    for name, word in words.items():
        if counts.get(name) or name in always:
            parts.append(f"{counts.get(name, 0)} {word}")
    return ", ".join(parts)


def headline(plan: Plan) -> str:
    """Name the command and the tenancies."""
    command = "hooksync apply" if plan.is_report else "hooksync plan"
    return f"{command}: {shortened([tenancy.name for tenancy in plan.tenancies]) or 'no tenancy'}"


def selection_sentences(plan: Plan) -> list[str]:
    """Name what selects a part of what is declared, and the variables that select or request."""
    selection = plan.selection
    selected = shortened([*selection.tenancy, *selection.target])
    sentences = [f"Only {selected}"] if selected else []
    if selection.since:
        names = selected or "no tenancy"
        sentences = [f"Only what differs from the merge base with {selection.since}: {names}"]
    if selection.variables:
        sentences.append(f"From the environment: {', '.join(selection.variables)}")
    return sentences


def state_sentences(plan: Plan) -> list[str]:
    """Report that there is no state, and whether it may be lost."""
    if plan.is_report or not plan.state_missing:
        return []
    live = sum(step.address is not None and step.live is not None for step in plan.steps)
    if live:
        found = pluralised(live, "declared subscription")
        return [f"There is no state at {plan.state}; already live: {found}."]
    if plan.state_used:
        push = f"`hooksync state push FILE --state {quote(plan.state or '')}`"
        missing = f"There is no state at {plan.state}, although a run has used this place"
        return [f"{missing}: if somebody deleted it, {push} first."]
    text = f"No state yet ({plan.state}): the first apply creates it."
    counts = plan.counts()
    return [text, _MOVED_UNSEEN] if counts["subscribe"] and counts["leave"] else [text]


def summaries(plan: Plan) -> list[str]:
    """Sum up a plan: its counts, then what is not as declared, not known, or not proven."""
    sentences = [summary(plan)]
    has_result = plan.has_changes
    if has_result and plan.left_drift:
        sentences.append(f"Not as declared: {_left(plan)} left alone.")
    if (has_result or plan.left_drift) and _unknown(plan):
        sentences.append(f"Not compared: {_unknown(plan)}.")
    if plan.held:
        sentences.append(f"Held: {shortened(plan.held)}.")
    adopted = sum(step.action == "adopt" or step.evidence == "adopted" for step in plan.steps)
    if adopted:
        secrets = pluralised(adopted, "secret")
        sentences.append(f"As adopted: {secrets}, which only an event can prove.")
    return [*sentences, *state_sentences(plan)]


def summary(plan: Plan) -> str:
    """Sum up a plan, or its result if something was to be done."""
    if not plan.tenancies:
        since = plan.selection.since
        if since:
            gone = f"; {len(plan.undeclared)} no longer declared" if plan.undeclared else ""
            return f"Nothing to plan: no tenancy differs from the merge base with {since}{gone}."
        return "Nothing to apply: the saved plan has no steps."
    rest = _rest(plan)
    results = plan.results()
    if plan.has_changes and results:
        if results.keys() <= {"not-attempted", "unchanged"}:
            return f"Nothing applied: {counted(results, RESULT_WORDS)}; {rest}."
        return f"Applied: {counted(results, RESULT_WORDS, ('done', 'failed'))}; {rest}."
    if plan.has_changes:
        return f"Plan: {counted(plan.counts(), CHANGES, _USUAL_CHANGES)}; {rest}."
    if plan.left_drift:
        return f"Not as declared: {_left(plan)} left alone; {rest}."
    if unknown := _unknown(plan):
        return f"No changes to make; not compared: {unknown}; {rest}."
    if plan.selection.remove:
        return "Nothing is removed."
    matching = _matching(len(plan.tenancies))
    if plan.selection.target:
        tenancies = pluralised(len(plan.tenancies), "tenancy")
        matching = f"The targeted subscriptions of {tenancies} match"
    start = "" if plan.undeclared else "No changes. "
    return f"{start}{matching} {plan.sources}; {rest}."


def _rest(plan: Plan) -> str:
    """Count what needs no change. What other sentences count is left out."""
    counts = Counter[str]()
    for step in plan.steps:
        if not step.differs:
            counts["paused" if PAUSED in step.reasons else step.action] += 1
    return counted(counts, _REST, ("keep",))


def _left(plan: Plan) -> str:
    """Count what is not as declared, and left alone."""
    return pluralised(len(plan.left_drift), "subscription")


def _unknown(plan: Plan) -> str:
    """Count what could not be compared: tenancies, secrets, and attempts of earlier runs."""
    counts = {
        "tenancy": plan.unread,
        "secret": plan.secret_unknown,
        "open attempt": len(plan.open_attempts),
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


def expected_answer(plan: Plan) -> str:
    """Return the answer to the question that applies a plan.

    It is the number of removals if they exceed the limit of a tenancy.
    """
    ready = plan.ready_tenancies
    if not any(tenancy.over_limit for tenancy in ready):
        return "yes"
    return str(sum(tenancy.counts()["unsubscribe"] for tenancy in ready))


def problem_groups(plan: Plan) -> dict[str, ProblemsByFix]:
    """Return the problems by their titles, most urgent first, and then by their fixes."""
    problems = {
        "errors": [*plan.all_errors, *failures(plan)],
        "refused" if plan.is_report else "apply would refuse": plan.all_refusals,
        "warnings": plan.warnings,
    }
    return {title: by_fix(found) for title, found in problems.items() if found}


def failures(plan: Plan) -> Iterator[Problem]:
    """Name each step that is not done, with the reason and the fix."""
    for tenancy in plan.tenancies:
        for step in tenancy.steps:
            outcome = step.outcome
            if outcome and outcome.problem:
                subject = step.address or f"{tenancy.name}: {printable(step.id)}"
                result = RESULT_WORDS[outcome.result]
                what = f"{result}: {step.action} {subject}: {outcome.problem.what}"
                yield Problem(what, outcome.problem.fix)


def verified_sentences(plan: Plan) -> Iterator[str]:
    """Name the tenancies that were not verified, and those that were and are as declared."""
    verified = []
    for tenancy in plan.tenancies:
        if tenancy.not_verified:
            yield f"Not verified: {tenancy.name}: {tenancy.not_verified}"
        elif tenancy.may_have_changed:
            # a different sentence names these
            is_open = tenancy.results()["unsettled"] or tenancy.open_attempts or tenancy.held
            is_wrong = tenancy.differences or tenancy.left_drift or tenancy.secret_unknown
            if not (is_open or is_wrong):
                verified.append(tenancy.name)
    what = "live matches declared"
    if plan.selection.target:
        what = "the targeted subscriptions match declared"
    if plan.selection.remove:
        what = f"{plan.results()['done']} removed, and nothing else was compared"
    if 0 < len(verified) < len(plan.tenancies):
        what = f"{shortened(verified)}: {what}"
    if verified:
        yield f"Verified: {what}."
