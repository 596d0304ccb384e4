"""The limits of a plan, its refusals, the order of its steps, and types that hide secrets."""

from __future__ import annotations

import copy
import pickle

import pytest

from hooksync.core.errors import Problem, StateError, shortened
from hooksync.core.model import HookUrl, Secret, UnsubscribeLimit
from hooksync.core.record import replace
from hooksync.core.urls import normal_url
from hooksync.reconcile.plan import Selection, not_begun
from hooksync.reconcile.run import FEW_SALTS, MOST_SALTS, FetchedTenancy
from hooksync.state.fingerprints import Key, KeyRing, Salt, SecretWithSalt
from tests.makers import HERE, declared, live, tenancy
from tests.reconcile.planning import (
    compared,
    derive,
    made,
    planned,
    planner,
    refused,
    told,
)
from tests.state_makers import SALT, records, state

ONE = declared()


def reasons(limit: str | int, removed: int, kept: int) -> list[str]:
    wanted = []
    there = []
    records = []
    for number in range(kept):
        url = f"https://hooks.example.org/kept{number}"
        wanted.append(declared(url, name=f"kept{number}"))
        there.append(live(f"k{number}", url))
        records.append(made(f"k{number}", wanted[-1]))
    for number in range(removed):
        there.append(live(f"r{number}", f"https://hooks.example.org/removed{number}"))
    owner = tenancy(*wanted, limit=UnsubscribeLimit(limit))
    return [problem.what for problem in planned(owner, there, *records).refusals]


@pytest.mark.parametrize(
    ("limit", "removed", "kept", "is_refused"),
    [
        ("50%", 1, 1, False),
        ("50%", 2, 3, False),
        ("50%", 2, 2, True),  # a plan that reaches the share is refused
        ("50%", 3, 2, True),
        ("10%", 1, 1, False),  # one removal is within every share above 0%
        ("10%", 2, 8, True),
        ("100%", 9, 1, False),
        ("100%", 2, 0, False),
        ("0%", 1, 9, True),
        (0, 1, 9, True),
        (2, 2, 1, False),
        (2, 3, 9, True),
    ],
)
def test_a_plan_that_reaches_the_share_or_exceeds_the_number_is_refused(
    limit: str | int, removed: int, kept: int, is_refused: bool
) -> None:
    assert bool(reasons(limit, removed, kept)) == is_refused


def test_unknown_secrets_are_refused_and_the_fix_names_adopt_and_replace() -> None:
    other = declared("https://h.example/b", name="b")
    plan = planned(tenancy(ONE, other), [live("1")], made("gone", other))
    what = "prod: secret unknown: prod/catalogue/MOVED"
    fix = (
        "`hooksync apply --adopt prod/catalogue/MOVED` if the receivers accept events with these"
        " secrets; otherwise `hooksync apply --replace prod/catalogue/MOVED` makes new subscriptions"
        " with the declared secrets"
    )
    assert refused(plan) == (Problem(what, fix, HERE),)
    assert (plan.is_ready, plan.held) == (True, [ONE.address])  # a different address does not wait
    [problem] = planned(tenancy(ONE, other), [live("1")]).refusals
    assert problem.what == what  # perhaps it is a wrong state
    assert "state push" in problem.fix


def test_a_list_of_many_addresses_ends_with_the_number_of_the_others() -> None:
    assert shortened(["a", "b", "c", "d", "e"]) == "a, b, c, d, e"
    assert shortened(["a", "b", "c", "d", "e", "f", "g"]) == "a, b, c, d, e and 2 more"


def test_each_refusal_has_a_place_and_a_fix_that_names_owns_before_the_limit() -> None:
    there = [live("1"), live("2", "https://hooks.example.org/b")]
    [problem] = planned(tenancy(), there).refusals
    assert problem.where == HERE
    assert problem.fix.index("`owns`") < problem.fix.index("`limits: {unsubscribe: 100%}`")
    assert problem.fix.endswith("under `prod` for one apply")


@pytest.mark.parametrize("removed", [1, 2])
def test_a_plan_that_removes_all_while_none_is_declared_is_refused(removed: int) -> None:
    said = f"prod: would unsubscribe {removed} of the {removed} it owns: none is declared"
    assert reasons(5, removed, 0) == [said]


def test_one_command_names_the_tenancies_with_the_same_problem_and_no_other() -> None:
    fetched = []
    for number in range(40):
        name = f"t{number:02}"
        one = replace(ONE, tenancy=name)
        owner = tenancy(one, name=name, tenant=name)
        fetched.append(FetchedTenancy(owner, (live(f"live-{name}"),)))
    lost = records(made("gone", replace(ONE, tenancy="t07")), tenant="t07")
    plans = planner(replace(state(), tenancies=(lost,), salts=(SALT,)))
    fixes = [problem.fix for plan in plans.plan(fetched) for problem in refused(plan)]
    assert len(fixes) == 40
    [replacing] = [fix for fix in set(fixes) if "--adopt" not in fix]
    assert replacing.startswith("`hooksync apply --replace t07/catalogue/MOVED`")
    [adopting] = set(fixes) - {replacing}
    assert "`hooksync apply --adopt '*/*'` if" in adopting  # adopts no secret that is not unknown
    assert adopting.count("--replace t") == 39
    assert "t07" not in adopting


def test_one_glob_names_many_addresses_if_they_are_all_of_a_tenancy() -> None:
    wanted = [declared(f"https://h.example/{name}", name=name) for name in "abcdef"]
    there = [live(one.name, one.url.full) for one in wanted]
    [problem] = planned(tenancy(*wanted), there).refusals
    assert "`hooksync apply --adopt '*/*'` if" in problem.fix
    assert "`hooksync apply --replace '*/*'`" in problem.fix
    [problem] = planned(tenancy(*wanted), there[1:]).refusals
    assert problem.fix.count("--replace prod/") == 5


def test_duplicates_replacements_and_unselected_subscriptions_do_not_count_as_removals() -> None:
    there = [live(str(number)) for number in range(9)]
    owner = tenancy(ONE, limit=UnsubscribeLimit(0))
    assert planned(owner, there, options=Selection(replace=("*",))).refusals == ()
    gone = declared("https://hooks.example.org/gone", name="gone")
    there = [live("1"), live("2", gone.url.full)]
    emptied = replace(tenancy(), not_selected=(ONE,))
    options = Selection(target=(gone.address,))
    plan = planned(emptied, there, made("2", gone), options=options)
    assert told(plan) == ["unsubscribe 2 undeclared", "leave 1 undeclared"]
    assert plan.refusals == ()


def test_subscriptions_that_are_not_owned_do_not_change_the_share() -> None:
    there = [live(f"{number}", f"https://vendor.example/{number}") for number in range(90)]
    there += [live("a", "https://hooks.example.org/x"), live("b", "https://hooks.example.org/y")]
    owner = tenancy(
        declared("https://hooks.example.org/z"), owns=frozenset(["https://hooks.example.org"])
    )
    plan = planned(owner, there)
    assert sum(map(compared(owner, there).is_owned, there)) == 2
    assert len(plan.refusals) == 1


def test_steps_are_in_the_order_of_their_actions_and_a_plan_not_begun_has_done_nothing() -> None:
    wanted = [
        declared("https://h.example/new", name="new"),
        declared("https://h.example/b", name="b", include_identifiers=False),
        declared("https://h.example/kept", name="kept"),
    ]
    there = [
        live("1", "https://h.example/b"),
        live("2", "https://h.example/kept"),
        live("3", "https://h.example/x"),
        live("4", "https://other.example/x"),
    ]
    owner = tenancy(*wanted, owns=frozenset(["https://h.example"]))
    known = [made("1", wanted[1])]
    plan = planned(owner, there, *known)
    ended = not_begun(plan)
    assert [(step.action, step.outcome and step.outcome.result) for step in ended.steps] == [
        ("subscribe", "not-attempted"),
        ("resubscribe", "not-attempted"),
        ("unsubscribe", "not-attempted"),
        ("keep", "unchanged"),
        ("leave", "unchanged"),
    ]
    assert not ended.is_as_declared
    assert not ended.may_have_changed


def test_no_text_of_a_secret_shows_its_value() -> None:
    secret = Secret("hunter2-hunter2")
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        repr([secret]),
        repr({"a": secret}),
    ]
    assert not any("hunter2" in text for text in shown)
    assert secret.reveal() == "hunter2-hunter2"
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_neither_pickled_nor_copied(take: object) -> None:
    with pytest.raises(TypeError, match="neither pickled nor copied"):
        take(Secret("hunter2-hunter2"))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTPS://Ex.ORG:443", "https://ex.org/"),
        ("https://ex.org?x=1", "https://ex.org/?x=1"),
        ("http://ex.org:80/A?B=C#d", "http://ex.org/A?B=C#d"),
        ("http://ex.org:443/", "http://ex.org:443/"),
        ("https://[::1]:443", "https://[::1]/"),
        ("https://[::1]", "https://[::1]/"),
        ("https://ex.org:/a", "https://ex.org/a"),
        ("https://ex.org/a?", "https://ex.org/a?"),
        ("https://ex.org/a%2Fb/../c", "https://ex.org/a%2Fb/../c"),
        ("https://User:Pw@EX.org/", "https://User:Pw@ex.org/"),
        ("https://ex.org/a\nb", "https://ex.org/a\nb"),
        ("ftp://EX.org", "ftp://EX.org"),
        ("not a url", "not a url"),
        ("", ""),
    ],
)
def test_the_normal_form_of_a_url_changes_only_scheme_host_and_port(url: str, normal: str) -> None:
    assert normal_url(url) == normal
    assert normal_url(normal) == normal


def test_the_full_url_is_in_no_repr() -> None:
    assert "KEY" not in repr(HookUrl("https://ex.org/?code=${NAME}", "https://ex.org/?code=KEY"))


@pytest.mark.parametrize("extra", [0, 1])
def test_a_state_with_too_many_salts_is_refused_before_scrypt_runs(extra: int) -> None:
    most = MOST_SALTS + FEW_SALTS  # the most for one reference
    wanted = []
    there = []
    entries = []
    salts = []
    for number in range(most + extra):
        salt = Salt(f"env:HOOK_SECRET#{number}", f"{number:032x}")
        one = declared(f"https://h.example/{number}", name=f"n{number}")
        salts.append(salt)
        wanted.append(one)
        there.append(live(f"{number}", one.url.full))
        entries.append(made(f"{number}", one, salt=salt.id))
    derived: list[SecretWithSalt] = []

    def counting(each: SecretWithSalt) -> Key:
        derived.append(each)
        return derive(each)

    run = replace(planner(state(*entries, salts=tuple(salts))), ring=KeyRing(1, counting))
    fetched = [FetchedTenancy(tenancy(*wanted), tuple(there))]
    if not extra:
        run.plan(fetched)
        assert len(derived) == most
        return
    with pytest.raises(StateError, match=f"requires {most + 1} fingerprints"):
        run.plan(fetched)
    assert derived == []
