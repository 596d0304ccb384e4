"""A check as text: a plan whose receivers were challenged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hooksync.core.model import NO_VALUE
from hooksync.core.redaction import printable
from hooksync.reconcile.plan import NEEDS_DECLARED, Plan, Step
from hooksync.render.sentences import adopted, counted
from hooksync.render.text import SHOWN_ID, column_width, head_of, secret_state
from hooksync.service.challenges import doubt

_WORDS = {"ok": "ok", "failed": "failed", "warning": "with a warning", "skipped": "skipped"}

Finding = tuple[str, str, str]  # one of these words, the receiver, and what was found


def _finding(step: Step) -> Finding:
    """Judge a receiver by its answer to a challenge, and report what is known of its secret."""
    answer = step.receiver
    if answer and step.live and step.action not in NEEDS_DECLARED:
        state = "ok" if answer.state == "alive" else "warning"
        what = f"not declared, {step.live.url.shown}: {answer.detail}"
        return state, printable(step.live.id[:SHOWN_ID]), printable(what)
    declared = step.declared_side
    if step.secret in NO_VALUE:
        return "failed", declared.name, f"secret {declared.secret} {secret_state(step)}"
    if answer is None:
        return "skipped", declared.name, "not challenged: `probe: never`"
    if answer.state != "ready":
        return "failed", declared.name, f"{declared.url.shown}: {answer.detail}"
    what = f"ready in {answer.seconds:.3f} s"
    if step.live:
        what += f", secret {secret_state(step)}"
    concern, _ = doubt(answer.seconds)
    if concern:
        return "warning", declared.name, f"{what}, but {concern}"
    return "ok", declared.name, what


def check_lines(plan: Plan) -> Iterator[str]:
    """Write a check for people. The problems of the plan contain what is wrong with a log-in."""
    counts = Counter[str]()
    for tenancy in plan.tenancies:
        judged = [_finding(step) for step in tenancy.steps if step.secret or step.receiver]
        found = dict.fromkeys(judged)  # all triggers of a name have the same receiver
        if tenancy.name:
            yield from (head_of(tenancy), "")
        names = column_width(name for _, name, _ in found)
        for state, name, detail in found:
            counts[state] += 1
            yield f"{state:<10}{name:<{names}}{detail}"
        yield ""
    yield f"Receivers: {counted(counts, _WORDS, ('ok', 'failed'))}."
    yield from adopted(plan)
