"""Which live subscriptions `adopt` takes: the answer of the receiver decides."""

from __future__ import annotations

import pytest

import hooksync
from hooksync.api.adopt import Adoption, adopt
from hooksync.core.errors import ExitCode, Problem, UsageError
from hooksync.core.model import ProbeResult, SecretRef
from hooksync.receivers.challenges import READY
from hooksync.reconcile.adopt import candidates, reason_against
from hooksync.reconcile.plan import REPLACED_OUTSIDE, SECRET_UNKNOWN, UNCONFIRMED, Reason, Step
from tests.conftest import SECRET, URL_KEY, Place
from tests.makers import INDEXED, declared, live, tenancy
from tests.reconcile.planning import made, planned, unconfirmed

ONE = declared()
ADDRESS = ONE.address
WRONG = ProbeResult("wrong-secret", "it has a different secret", "give it this one")
DOWN = ProbeResult("unreachable", "it refuses connections", "start it")


@pytest.mark.parametrize(
    ("answer", "reason", "is_set", "expected"),
    [
        (READY, SECRET_UNKNOWN, True, None),
        (READY, REPLACED_OUTSIDE, True, REPLACED_OUTSIDE.text),
        (READY, UNCONFIRMED, True, UNCONFIRMED.text),
        (DOWN, SECRET_UNKNOWN, True, "is not ready: it refuses connections"),
        (None, SECRET_UNKNOWN, True, "interrupted before the challenge"),
        (WRONG, SECRET_UNKNOWN, True, "it has a different secret"),
        (None, SECRET_UNKNOWN, False, "env:HOOK_SECRET is not set"),
    ],
)
def test_only_a_receiver_that_has_the_declared_secret_lets_a_subscription_be_adopted(
    answer: ProbeResult | None, reason: Reason, is_set: bool, expected: str | None
) -> None:
    step = Step("keep", ONE, live(), (reason,), secret="unknown")
    not_set: dict[SecretRef, Problem] = {}
    if not is_set:
        not_set[ONE.secret] = Problem("env:HOOK_SECRET is not set", "set it")
    why = reason_against(step, answer, not_set, "hooksync apply")
    if why is None:
        assert expected is None
        return
    assert expected
    assert why.what.startswith(f"{ADDRESS}: ")
    assert why.what.endswith(expected)
    assert "adopt {ADDRESS}" not in why.fix


def test_a_live_subscription_without_a_confirmed_entry_is_a_candidate() -> None:
    wanted = []
    there = []
    for name in ("known", "unconfirmed", "unknown", "flag"):
        one = declared(f"https://h.example/{name}", name=name)
        wanted.append(one)
        there.append(live(name, one.url.full, include_identifiers=name != "flag"))
    wanted.append(declared("https://h.example/new", INDEXED, name="new"))
    plan = planned(
        tenancy(*wanted), there, made("known", wanted[0]), unconfirmed("unconfirmed", wanted[1])
    )
    assert {step.id for step in candidates(plan, ())} == {"unconfirmed", "unknown", "flag"}
    assert [step.id for step in candidates(plan, ["*/unk*"])] == ["unknown"]
    [found] = candidates(plan, ["*/unconfirmed/*"])
    why = reason_against(found, READY, {}, "")
    assert why
    assert "no response confirmed it" in why.what


@pytest.mark.parametrize(
    ("adopted", "problems", "expected"),
    [(1, 0, ExitCode.DONE), (0, 0, ExitCode.DONE), (1, 1, ExitCode.PARTLY_APPLIED), (0, 1, ExitCode.REFUSED)],
)  # fmt: skip
def test_the_exit_code_of_adopt_differs_for_all_some_and_none(
    adopted: int, problems: int, expected: ExitCode
) -> None:
    found = Adoption((ADDRESS,) * adopted, (Problem("no", "x"),) * problems, (), (), None)
    assert found.exit_code == expected


def seeded(place: Place) -> Place:
    """Create both declared subscriptions outside hooksync."""
    for trigger in ("FULL_TEXT_INDEXED", "MOVED"):
        place.box.seed("DEMO", f"{place.environ['RECEIVER']}?code={URL_KEY}", trigger, SECRET)
    return place


def adopt_in(place: Place, *globs: str) -> Adoption:
    environ = place.environ
    return adopt(hooksync.load(place.folder / "hooks.yaml", environ=environ), globs)


def test_adopting_changes_nothing_in_preservica_and_the_next_plan_has_no_changes(
    place: Place,
) -> None:
    seeded(place)
    assert place.run("apply", "--yes").code == 3
    before = place.box.subscriptions("DEMO")
    found = adopt_in(place, "*/MOVED")
    assert (found.adopted, found.exit_code) == (("prod/catalogue/MOVED",), ExitCode.DONE)
    assert adopt_in(place).adopted == ("prod/catalogue/INDEXED",)
    assert adopt_in(place).adopted == ()
    assert place.box.subscriptions("DEMO") == before
    run = place.run("plan", "--detailed-exitcode")
    assert (run.code, "No changes." in run.out) == (0, True), run.out


def test_a_subscription_whose_receiver_has_a_different_secret_is_never_adopted(
    place: Place,
) -> None:
    seeded(place).receiver.set_secret("catalogue", "a-different-secret-0123456789")
    found = adopt_in(place, "prod/catalogue/MOVED")
    assert (found.adopted, found.exit_code) == ((), ExitCode.REFUSED)
    assert "signs challenges with a different secret" in found.problems[0].what
    assert not (place.folder / "hooks.state.json").exists()


def test_a_glob_that_matches_nothing_and_a_run_without_a_state_are_errors(place: Place) -> None:
    seeded(place)
    with pytest.raises(UsageError, match="other"):
        adopt_in(place, "other/*")
    declared_here = hooksync.load(
        place.folder / "hooks.yaml", environ=place.environ, uses_state=False
    )
    with pytest.raises(UsageError, match="the run has no state"):
        adopt(declared_here)
