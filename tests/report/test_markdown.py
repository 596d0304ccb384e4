"""Markdown for pull requests: its exact text, GitHub's limit, and hostile texts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hooksync.core.errors import Problem
from hooksync.core.model import LiveSubscription, Trigger
from hooksync.core.record import replace
from hooksync.reconcile.diff import empty_plan
from hooksync.reconcile.plan import Outcome, Plan, Selection, TenancyPlan
from hooksync.render.markdown import LIMIT, markdown
from hooksync.render.text import plain, tenancy_lines
from tests.lanes import sampled
from tests.makers import MOVED, declared, live, tenancy
from tests.reconcile.planning import made, make_plan, planned, run_of

HOSTILE = (
    "```\n~~~\n</details><!-- x --> @octocat [a](https://evil.example) www.evil.example ::error::x"
    " \x1b[2J\u202e|`"
)
# a run of backticks ends at the next run of the same length, as CommonMark defines
_CODE_SPAN = re.compile("(?<!`)(`+)(?!`).+?(?<!`)\\1(?!`)")
PLAN = """\
<!-- hooksync:plan -->
### hooksync plan: prod

Plan: 1 to subscribe, 1 to resubscribe, 1 to REMOVE; 0 unchanged, 1 left alone.

- refused: prod: would unsubscribe too much
  fix: check the file
- ``warning: hooks.yaml:1:1: `x` is doubtful``
  fix: fix it

```diff
prod   eu.preservica.com / BRAMA   3 live, 2 declared

+   alert               MOVED
      url                  https://ours.example/alert
      include_identifiers  true
      secret               env:HOOK_SECRET
!   catalogue           MOVED          replaces 11111111, new one first
      url                  https://ours.example/a
      include_identifiers  false -> true
      secret               same (env:HOOK_SECRET)
-   (no name)           MOVED          22222222
        not declared, not in the state, removed only after a review
      url                  https://ours.example/old?key=***
.   1 outside the prefixes of `owns`, left alone
```
"""
FAILED = """\
<!-- hooksync:apply -->
### hooksync apply: prod

Applied: 0 done, 1 failed; 0 unchanged.

`Not as declared: 1 subscription: subscribe prod/alert/MOVED.`

- `error: failed: subscribe prod/alert/MOVED: it broke`
  fix: fix it
"""


def the_plan() -> TenancyPlan:
    there = (
        live("1" * 32, "https://ours.example/a", include_identifiers=False),
        live("2" * 32, "https://ours.example/old?key=KEY"),
        live("3" * 32, "https://vendor.example/x"),
    )
    wanted = (
        declared("https://ours.example/alert", name="alert"),
        declared("https://ours.example/a"),
    )
    owner = tenancy(*wanted, owns=frozenset(["https://ours.example"]))
    return planned(owner, there, made("1" * 32, wanted[1]))


def large(number: int, name: str = "prod") -> TenancyPlan:
    wanted = [declared(f"https://ours.example/hook/{n}", name=f"hook-{n}") for n in range(number)]
    there = [live(f"{n:032x}", f"https://old.example/hook/{n}") for n in range(number // 10)]
    return make_plan(replace(tenancy(*wanted), name=name), tuple(there), Selection())


def assert_well_formed(text: str) -> list[str]:
    """Assert that fences and code spans close, the marker is first and the limit is kept.

    Return the lines outside fences, without the code spans in them.
    """
    assert len(text.encode()) < LIMIT
    assert re.match("<!-- hooksync:(plan|apply|check) -->\n### (`+ ?)?hooksync ", text)
    assert text.endswith("\n")
    outside, fence = [], ""
    for line in text.split("\n"):
        assert line.isprintable()
        if not fence and (found := re.match("(`{3,})diff$", line)):
            fence = found[1]
        elif fence and re.match(f" {{0,3}}{fence}`* *$", line):
            fence = ""
        elif not fence:
            outside.append(_CODE_SPAN.sub("code", line))
    assert not fence
    bare = re.sub("^<!-- hooksync:[a-z]+ -->", "", "\n".join(outside))
    assert not set("`<>&@[]\\_|") & set(bare)
    assert "www." not in bare
    assert "://" not in bare
    return outside


def test_a_plan_has_the_expected_markdown() -> None:
    refusal = Problem("prod: would unsubscribe too much", "check the file")
    doubt = Problem("`x` is doubtful", "fix it", tenancy().location)
    assert markdown(run_of(replace(the_plan(), refusals=(refusal,)), warnings=(doubt,))) == PLAN
    assert_well_formed(PLAN)


def test_a_failed_apply_has_the_expected_markdown() -> None:
    plan = make_plan(tenancy(declared("https://ours.example/alert", name="alert")), (), Selection())
    [step] = plan.steps
    failed = replace(step, outcome=Outcome("failed", Problem("it broke", "fix it")))
    applied = replace(plan, steps=(failed,), differences=plan.steps)
    assert markdown(run_of(applied, format="hooksync.report/1")) == FAILED
    assert_well_formed(FAILED)


def test_a_tenancy_that_could_not_be_read_is_an_error_and_no_empty_block() -> None:
    problems = (Problem("GET -> 500: oops", "look"),)
    text = markdown(run_of(empty_plan(tenancy(declared()), problems)))
    assert "\n- `error: prod: GET -> 500: oops`\n  fix: look\n" in text
    assert "not read, 1 declared" in text
    assert "\nNo changes to make; not compared: 1 tenancy; 0 unchanged.\n" in text


def test_refusals_and_errors_stay_if_steps_are_left_out() -> None:
    refusals = [Problem(f"refusal number {n}", "fix it") for n in range(50)]
    one = replace(large(1_000), refusals=tuple(refusals), errors=(Problem("the error", "fix it"),))
    text = markdown(
        run_of(one, warnings=tuple(Problem(f"warning {n} " * 50, "x") for n in range(2_000)))
    )
    assert_well_formed(text)
    assert all(f"refusal number {n}\n" in text for n in range(50))
    assert "the error" in text
    assert re.search(r"^[0-9]+ more lines left out here\.$", text, re.MULTILINE)


def hostile_plan(text: str, *, many: int = 1, is_report: bool = False) -> Plan:
    there = tuple(
        LiveSubscription(f"{text}{n}", live(url=text).url, Trigger(text or "X"), True)
        for n in range(many)
    )
    owner = tenancy(
        replace(declared(text, MOVED, name=text), description=text),
        name=text or "x",
        tenant=text,
        server=replace(tenancy().server, base_url=text),
    )
    plan = make_plan(owner, there, Selection())
    bad = (Problem(text, text, replace(owner.location, file=text)),)
    failed = Outcome("failed", Problem(text, text))
    applied = replace(
        plan,
        steps=tuple(replace(step, outcome=failed) for step in plan.steps),
        differences=plan.steps,
        not_verified=text,
        refusals=bad,
        errors=bad,
    )
    form = "hooksync.report/1" if is_report else "hooksync.plan/1"
    return run_of(applied, warnings=bad, sources=text, format=form)


@settings(deadline=None)
@given(
    st.text() | st.text(alphabet="`~\n<>@[]()!-+#&;:/w.a\r\u2028\u202e\ud800 ") | st.just(HOSTILE)
)
def test_no_text_breaks_the_markdown(text: str) -> None:
    assert_well_formed(markdown(hostile_plan(text)))
    assert_well_formed(markdown(hostile_plan(text, is_report=True)))
    same = run_of(make_plan(tenancy(), (), Selection()), sources=text)
    assert_well_formed(markdown(same))


@pytest.mark.parametrize(
    "text", sampled([HOSTILE * 1_000, "`" * 100_000, "\U0001f480" * 70_000, "-" * 200_000], 1, 2)
)
@pytest.mark.slow
def test_one_very_long_text_leaves_room_for_the_others(text: str) -> None:
    for is_report in (False, True):
        written = markdown(hostile_plan(text, many=8, is_report=is_report))
        assert_well_formed(written)
        assert "…" in written
        assert is_report or "\n```" in written


@settings(deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=12))
@pytest.mark.slow
def test_every_line_is_shown_or_counted_as_left_out(sizes: list[int]) -> None:
    plan = run_of(*(large(size, f"tenancy-{n}") for n, size in enumerate(sizes)))
    text = markdown(plan)
    assert_well_formed(text)
    block = text.partition("```diff\n")[2].removesuffix("\n```\n").splitlines()
    if len(sizes) >= 5:
        block = block[block.index("") + 1 :]
    # without the empty line at the end
    lines = [*tenancy_lines(plan, shows_kept=False)][:-1]
    if block[-1].endswith(" more lines left out here."):
        left = int(block[-1].split()[0])
        block = block[:-2]
        lines = lines[:-left]
    assert block == plain(lines).splitlines()


def test_a_plan_too_long_for_a_comment_begins_with_a_line_for_each_tenancy() -> None:
    names = [f"t{number:02}" for number in range(40)]
    text = markdown(run_of(*(large(100, name) for name in names)))
    assert_well_formed(text)
    assert "more lines left out here." in text
    steps = text.partition("```diff\n")[2]
    assert re.findall(r"(?m)^(t\d\d): .* to subscribe", steps) == names
