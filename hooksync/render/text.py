"""Make text for people from a plan: lines, each with what it reports. Pure: prints nothing.

The words of a plan are made here, for Markdown, HTML and notices too.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from hooksync.core.errors import Problem, ProblemsByFix, by_fix, pluralised, shortened
from hooksync.core.model import Notes
from hooksync.core.record import fields_of, replace
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import (
    PAUSED,
    URL_CHANGED,
    Action,
    Counts,
    Plan,
    Step,
    TenancyPlan,
    origin_words,
)

Line: TypeAlias = tuple[str, str]  # what it reports, by which it is coloured, and its text
Lines: TypeAlias = list[Line]

_SYMBOLS: dict[Action, str] = {
    "subscribe": "+",
    "resubscribe": "+/-",
    "unsubscribe": "-",
    "adopt": "a",
    "forget": "f",
    "keep": "=",
    "leave": ".",
}
_ORDERS = {
    "create-first": ("+/-", "new one first"),
    "remove-first": ("-/+", "old one removed first"),
}
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
_SHOWN_OTHERWISE = ("new", "flag-changed")  # reasons, by a symbol or by the field that differs
_CONFIRMED = ("unsubscribe", "adopt", "forget")  # actions that a prompt names
_REASON_FIRST = (*_CONFIRMED, "leave")  # actions whose first lines have the reason
_LABEL = 21  # columns that a field's name takes
_FEW_TENANCIES = 5  # with more tenancies, a table sums them up
_SHOWN_ID = 8  # characters of an id
_NARROWEST_NAME = 20  # columns
_MOVED_UNSEEN = (
    "For a first apply, this is right. If you have applied this file before, name its state with "
    "--state: without it, hooksync does not recognise a moved URL, and leaves the old one live."
)


def plain(lines: Iterable[Line]) -> str:
    """Join lines without colours."""
    return "".join(f"{printable(text)}\n" for _, text in lines)


def table_lines(rows: Sequence[Sequence[str]]) -> Lines:
    """Write a table. Its first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return [("heading", texts[0]), *unstyled(texts[1:])]


def counted(
    counts: Mapping[Any, int], words: Mapping[str, str], always: Collection[str] = ()
) -> str:
    """Write counts in the order of `words`. A 0 is left out, unless its name is in `always`."""
    parts = []
    for name, word in words.items():
        if counts.get(name) or name in always:
            parts.append(f"{counts.get(name, 0)} {word}")
    return ", ".join(parts)


def state_counts(records: Iterable[Any], words: Mapping[str, str]) -> Counts:
    """Count records by their state. A state of `words` that no record has counts 0."""
    return {**dict.fromkeys(words, 0), **Counter(record.state for record in records)}


def plan_lines(plan: Plan, *, shows_kept: bool = False) -> Lines:
    """Write a plan; after an apply that had something to do, its result."""
    lines: Lines = []
    if plan.is_report and plan.has_changes:
        for fix, alike in by_fix(failures(plan)).items():
            lines += unstyled([*(problem.what for problem in alike), f"  fix: {fix}"])
    else:
        for text in _selection_texts(plan):
            lines += unstyled([text, ""])
        lines += step_lines(plan, shows_kept=shows_kept)
    sums = unstyled([summary(plan), *state_texts(plan)])
    return [*lines, *tenancy_table(plan), *sums, *verification(plan)]


def unstyled(texts: Iterable[str]) -> Lines:
    """Return lines without a colour."""
    return [("", text) for text in texts]


def headline(plan: Plan) -> str:
    """Name the command and the tenancies."""
    command = "hooksync apply" if plan.is_report else "hooksync plan"
    return f"{command}: {shortened([tenancy.name for tenancy in plan.tenancies])}"


def _selection_texts(plan: Plan) -> list[str]:
    """Name the globs of --tenancy and --target, if there are any: the plan is only a part."""
    globs = (*plan.selection.tenancy, *plan.selection.target)
    return [f"Only {', '.join(globs)}"] if globs else []


def state_texts(plan: Plan) -> list[str]:
    """Report that there is no state yet, and what that means for a moved URL."""
    if plan.is_report or not plan.state_missing:
        return []
    text = f"No state yet ({plan.state}): the first apply creates it."
    counts = plan.counts()
    return [text, _MOVED_UNSEEN] if counts["subscribe"] and counts["leave"] else [text]


def sentences(plan: Plan) -> list[str]:
    """Sum up a plan: what it is a part of, its counts, and whether a state exists."""
    return [*_selection_texts(plan), summary(plan), *state_texts(plan)]


def step_lines(plan: Plan, *, shows_kept: bool) -> Iterator[Line]:
    """Write the steps of each tenancy, under its heading."""
    for tenancy in plan.tenancies:
        lines = [*_tenancy_lines(tenancy, shows_kept=shows_kept)]
        if lines or tenancy.live_count is None:
            head = f"{tenancy.name}   {tenancy.where}   {counts_of(tenancy)}"
            yield from [*unstyled([head, ""]), *lines]
            if lines:
                yield "", ""


def _tenancy_lines(tenancy: TenancyPlan, *, shows_kept: bool) -> Iterator[Line]:
    """Write the steps to show, then the numbers of those that are left alone.

    A kept subscription is not shown, unless apply refuses its unknown secret. `shows_kept`: show
    all steps.
    """
    shown = []
    left = defaultdict[str, list[Step]](list)
    for step in tenancy.steps:
        if shows_kept or step.is_drift or (step.reasons and step.has_unknown_secret):
            shown.append(step)
        elif step.action == "leave":
            left[step.reason].append(step)
    yield from _written_steps(shown, tenancy)
    for reason, steps in sorted(left.items()):
        news = new_words(steps)
        remark = f" ({news})" if news else ""
        yield "leave", f".   {len(steps)} {reason}{remark}, left alone"


def new_words(steps: Iterable[Step]) -> str:
    """Count and name the foreign subscriptions that no apply has seen; "" if there are none."""
    urls = [step.url for step in steps if step.is_new]
    return f"{len(urls)} new: {shortened(urls)}" if urls else ""


def counts_of(tenancy: TenancyPlan) -> str:
    """Count the live and the declared subscriptions."""
    live = "not read" if tenancy.live_count is None else f"{tenancy.live_count} live"
    return f"{live}, {tenancy.declared_count} declared"


def name_width(names: Iterable[str]) -> int:
    """Return the width of a column of names, and of the space after it."""
    return max([_NARROWEST_NAME, *(len(name) + 2 for name in names)])


def _written_steps(steps: Sequence[Step], tenancy: TenancyPlan) -> Iterator[Line]:
    """Write steps, each with its fields and its outcome. Only their first lines have a kind."""
    width = name_width(step.name or step.reason for step in steps)
    for step in steps:
        symbol, name, trigger, remark = step_columns(step, tenancy)
        yield step.action, f"{symbol:<4}{name:<{width}}{trigger:<14} {remark}".rstrip()
        for label, value in step_fields(step):
            # `!` marks a step that is not done: it differs from the lines of a plan
            mark = "!" if label == "outcome" and value != "done" else " "
            yield "", f"{mark}     {label:<{_LABEL}}{value}"


def step_columns(step: Step, tenancy: TenancyPlan) -> tuple[str, str, str, str]:
    """Return the parts of a step's first line: symbol, name, trigger and remark."""
    symbol = "?" if step.has_unknown_secret else _SYMBOLS[step.action]
    name = step.name or step.reason
    remark = printable(step.id[:_SHOWN_ID])
    if step.action == "resubscribe":
        symbol, order = _ORDERS[tenancy.replacement]
        remark = f"replaces {remark}, {order}"
    elif step.action == "adopt":
        meaning = "adopts it: hooksync owns it from now on; secret taken as"
        remark += f"   {meaning} {step.declared_side.secret}, which only an event can prove"
    elif step.action in ("unsubscribe", "forget", "leave"):
        remark = f"{remark}   {', '.join(_facts(step, name))}".rstrip()
    return symbol, name, printable(step.shown.trigger.shown), remark


def _facts(step: Step, name: str) -> Iterator[str]:
    """List why a live subscription is removed or left, and how the state has it.

    `name`: the name of the step, which may be some of its reasons.
    """
    for fact in (*(reason.text for reason in step.reasons), origin_words(step)):
        if fact not in ("", *name.split(", ")):
            yield fact
    if step.is_new:
        yield "new"
    if step.needs_review:
        yield "removed only after a review"


def step_fields(step: Step) -> Iterator[tuple[str, str]]:
    """Name the fields of a step that are shown, and their values."""
    yield "url", step.url
    if URL_CHANGED in step.reasons:
        yield "replaces_url", step.live_side.url.shown
    if step.action == "subscribe":
        for name, value in step.declared_side.content.items():
            yield name, _value_words(value)
    for change in step.changes:
        yield change.field, f"{_value_words(change.live)} -> {_value_words(change.declared)}"
    reasons = [reason.text for reason in step.reasons if reason.code not in _SHOWN_OTHERWISE]
    if reasons and step.action not in _REASON_FIRST:
        yield "reason", ", ".join(reasons)
    if step.secret:
        yield "secret", _secret_words(step)
    if step.declared:
        for name, note in fields_of(Notes, step.declared).items():
            if note:
                yield name, note
    if step.outcome and step.outcome.result != "unchanged":
        yield "outcome", RESULT_WORDS[step.outcome.result]


def _value_words(value: object) -> str:
    """Write the value of a compared field as in YAML; None is `not reported`."""
    return "not reported" if value is None else json.dumps(value)


def _secret_words(step: Step) -> str:
    """Write the reference of the secret, and what is known of the live one."""
    reference = str(step.declared_side.secret)
    if step.secret == "unknown" and step.action != "keep":
        return reference
    return f"{secret_state(step)} ({reference})"


def secret_state(step: Step) -> str:
    """Report what is known of a live secret, and what vouches for it if that is no response."""
    words = (step.secret or "").replace("-", " ")
    return f"{words}, as adopted" if step.evidence == "adopted" else words


def tenancy_table(plan: Plan) -> Lines:
    """Write a line for each tenancy that differs or failed, if there are many tenancies."""
    if len(plan.tenancies) <= _FEW_TENANCIES:
        return []
    rows = [("tenancy", "outcome", "")]
    for tenancy in plan.tenancies:
        if tenancy.outcome not in ("as-declared", "applied"):
            changes = counted(tenancy.counts(), CHANGES)
            rows.append((tenancy.name, tenancy.outcome or "", changes))
    return [*table_lines(rows), ("", "")] if len(rows) > 1 else []


def question(plan: Plan) -> str:
    """Ask whether to apply a plan: what is removed, and what changes where."""
    lines = []
    for tenancy in plan.ready_tenancies:
        named = [step for step in tenancy.steps if step.action in _CONFIRMED]
        if named:
            lines.append("To confirm:")
        lines += [text for _, text in _written_steps(named, tenancy)]
        lines.append(f"{tenancy.name} ({tenancy.where}): {counted(tenancy.counts(), CHANGES)}.")
    answer = expected_answer(plan)
    if answer != "yes":
        answer = f"{answer}, the number of removals,"
        lines[-1] += " That is above the limit."
    lines[-1] += f" Type {answer} to apply: "
    return "\n".join(map(printable, lines))


def expected_answer(plan: Plan) -> str:
    """Return the answer to the question that applies a plan.

    It is the number of removals if they exceed the limit of a tenancy.
    """
    ready = plan.ready_tenancies
    if not any(tenancy.over_limit for tenancy in ready):
        return "yes"
    return str(sum(tenancy.counts()["unsubscribe"] for tenancy in ready))


def summary(plan: Plan) -> str:
    """Sum up a plan, or its result if something was to be done."""
    since = plan.selection.since
    if not plan.tenancies and since:
        return f"Nothing to plan: no tenancy differs from the merge base with {since}."
    if not plan.tenancies:
        return "Nothing to apply: the saved plan has no steps."
    rest = _rest(plan)
    results = plan.results()
    if results and plan.has_changes:
        return f"Applied: {counted(results, RESULT_WORDS, ('done', 'failed'))}; {rest}."
    if plan.has_changes or plan.unread:
        always = ("subscribe", "resubscribe", "unsubscribe")
        return f"Plan: {counted(plan.counts(), CHANGES, always)}; {rest}."
    if _doubts(plan):
        return f"No changes to make; {rest}."
    if plan.selection.remove:
        return "Nothing is removed."
    subject = pluralised(len(plan.tenancies), "tenancy")
    verb = "matches" if len(plan.tenancies) == 1 else "match"
    if plan.selection.target:
        subject = f"The targeted subscriptions of {subject}"
        verb = "match"
    # "No changes" would be wrong if the state has tenancies that no file declares
    start = "" if plan.undeclared else "No changes. "
    return f"{start}{subject} {verb} {plan.sources}; {rest}."


def _rest(plan: Plan) -> str:
    """Count doubts, kept and left subscriptions, and tenancies that could not be planned."""
    counts = plan.counts()
    counts["paused"] = sum(step.action == "keep" and PAUSED in step.reasons for step in plan.steps)
    counts["keep"] -= plan.secret_unknown + counts["paused"]
    parts = [f"{kind}: {what}" for kind, what in _doubts(plan).items()]
    parts.append(counted(counts, _REST, ("keep",)))
    if plan.unread:
        parts.append(f"{pluralised(plan.unread, 'tenancy')} not planned")
    return "; ".join(parts)


def _doubts(plan: Plan) -> dict[str, str]:
    """Count unknown secrets, open attempts, and what is left although it is not as declared."""
    doubts = {}
    if plan.secret_unknown:
        doubts["not compared"] = pluralised(plan.secret_unknown, "secret")
    if plan.open_attempts:
        doubts["not known"] = f"{pluralised(len(plan.open_attempts), 'attempt')} of earlier runs"
    if plan.left_drift:
        doubts["not as declared"] = f"{len(plan.left_drift)} left alone"
    return doubts


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
                start = f"{RESULT_WORDS[outcome.result]}: {step.action} {subject}"
                yield Problem(f"{start}: {outcome.problem.what}", outcome.problem.fix)


def verification(plan: Plan) -> Iterator[Line]:
    """Report the result of the verification, for each tenancy that was changed."""
    verified = []
    others: Lines = []
    for tenancy in plan.tenancies:
        if tenancy.not_verified:
            others += unstyled([f"Not verified: {tenancy.name}: {tenancy.not_verified}"])
        elif tenancy.differences:
            number = pluralised(len(tenancy.differences), "subscription")
            others += unstyled([f"Not as declared: {tenancy.name}: {number}"])
            others += _written_steps(tenancy.differences, tenancy)
        elif tenancy.may_have_changed:
            verified.append(tenancy)
    if verified:
        yield "", f"Verified: {_verified_words(replace(plan, tenancies=tuple(verified)), plan)}."
    yield from others


def _verified_words(verified: Plan, plan: Plan) -> str:
    """Word what the verification has confirmed, with its exceptions."""
    results = verified.results()
    what = "live matches declared"
    if plan.selection.target:
        what = "the targeted subscriptions match declared"
    if plan.selection.remove:
        what = f"{results['done']} removed, and nothing else was compared"
    if len(verified.tenancies) < len(plan.tenancies):
        what = f"{shortened([tenancy.name for tenancy in verified.tenancies])}: {what}"
    parts = [what, *_doubts(verified).values()]
    if results["unsettled"]:
        parts.append(f"{results['unsettled']} unsettled")
    vouched = [step.action == "adopt" or step.evidence == "adopted" for step in verified.steps]
    if any(vouched):
        parts.append(f"{pluralised(sum(vouched), 'secret')} taken as adopted")
    return ", except ".join(parts)
