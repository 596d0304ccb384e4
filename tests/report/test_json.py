"""The JSON of a plan is the record itself, and contains a URL or a secret only as it may be shown."""

from __future__ import annotations

import pytest

from hooksync.core.errors import Problem
from hooksync.core.model import HookUrl, Secret, SecretRef
from hooksync.core.record import replace
from hooksync.reconcile.plan import Plan
from hooksync.render.json_text import canonical, to_text
from hooksync.render.renderers import RENDERERS
from tests.makers import HERE, declared, live, tenancy
from tests.reconcile.planning import VALUE, made, planned, run_of

KEY = "c4nary-of-a-url-0123456789"
FOLDER = "/c4nary/of/a/folder"
URL = HookUrl("https://h.example/?code=${KEY}", f"https://h.example/?code={KEY}")


def a_plan() -> Plan:
    """Return a plan with a step of each action but leave, in which URLs and references hide values."""
    ref = SecretRef("file", "secret", HERE, FOLDER)
    new, kept, changed = (
        replace(declared(name=name), url=HookUrl(f"{URL.shown}{name}", f"{URL.full}{name}"))
        for name in ("new", "kept", "changed")
    )
    there = [
        live("kept", kept.url.full),
        live("changed", changed.url.full, include_identifiers=False),
        live("gone", f"https://old.example/?key={KEY}"),
    ]
    owner = tenancy(replace(new, secret=ref), kept, changed)
    records = [made("kept", kept), made("changed", changed)]
    plan = planned(owner, there, *records)
    return run_of(replace(plan, refusals=(Problem("no", "x", HERE),)))


def test_no_form_of_a_plan_contains_a_whole_url_or_a_secret() -> None:
    plan = a_plan()
    assert {step.action for step in plan.steps} == {
        "subscribe", "resubscribe", "unsubscribe", "keep",
    }  # fmt: skip
    forms = [render(plan, shows_kept=True) for render in RENDERERS.values()]
    forms += [repr(plan), to_text([plan]), canonical({"of": plan.steps}).decode()]
    for text in forms:
        assert not [canary for canary in (KEY, FOLDER, VALUE) if canary in text]
    assert "https://h.example/?code=${KEY}new" in forms[1]


@pytest.mark.parametrize("value", [Secret(KEY), object(), {KEY: object()}])
def test_a_value_without_a_form_that_may_be_shown_is_never_written(value: object) -> None:
    with pytest.raises(NotImplementedError) as raised:
        canonical({"of": value})
    assert KEY not in str(raised.value)
