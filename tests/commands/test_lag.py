"""A list that lags behind the responses leaves steps unsettled, and a later apply settles them."""

from __future__ import annotations

import pytest

from hooksync.sandbox.tenancies import SandboxOptions
from tests.clocks import JumpingClock
from tests.conftest import HOOKS, Place, Run

LONG = 600.0  # seconds; an apply does not wait so long


@pytest.fixture
def clock() -> JumpingClock:
    """The clock of the service."""
    return JumpingClock()


@pytest.fixture
def options(request: pytest.FixtureRequest, clock: JumpingClock) -> SandboxOptions:
    settings = {"clock": clock.now, **request.param}
    return SandboxOptions(**settings)


def apply(place: Place) -> Run:
    return place.run("apply", "--yes", "--format", "json")


def outcomes(run: Run) -> list[str]:
    [tenancy] = run.json["tenancies"]
    return [step["outcome"]["result"] for step in tenancy["steps"]]


def posts(place: Place) -> int:
    return sum(call.name == "subscribe" for call in place.box.calls)


@pytest.mark.parametrize("options", [{"list_lag_additions": LONG}], indirect=True)
def test_an_unlisted_subscription_is_an_open_attempt_until_a_list_shows_it(
    place: Place, clock: JumpingClock
) -> None:
    made = apply(place)
    assert (made.code, outcomes(made)) == (4, ["unsettled", "unsettled"])
    assert (
        "no list has shown it yet"
        in made.json["tenancies"][0]["steps"][0]["outcome"]["problem"]["what"]
    )
    plan = place.run("plan", "--detailed-exitcode")
    assert plan.code == 2
    assert "Plan: 2 to subscribe" in plan.out
    said = "warning: an earlier run may have made what no list shows: prod/catalogue/INDEXED, "
    assert said in plan.err
    document = place.run("plan", "--format", "json").json["tenancies"][0]
    assert document["open_attempts"] == ["prod/catalogue/INDEXED", "prod/catalogue/MOVED"]
    clock.advance(LONG)
    assert outcomes(apply(place)) == ["unchanged", "unchanged"]
    assert place.run("plan", "--detailed-exitcode").code == 0
    assert posts(place) == 2


@pytest.mark.parametrize("options", [{"list_lag_removals": LONG}], indirect=True)
def test_what_hooksync_removed_is_not_kept_while_a_list_still_shows_it(
    place: Place, clock: JumpingClock
) -> None:
    assert apply(place).code == 0
    place.write(HOOKS.replace("secret:", "enabled: false\n        secret:"))
    assert outcomes(apply(place)) == ["unsettled", "unsettled"]
    place.write(HOOKS)  # resumed at once
    resumed = place.run("plan", "--format", "json")
    assert {reason["text"] for step in resumed.steps for reason in step["reasons"]} == {
        "a run was going to remove it"
    }
    assert apply(place).code == 4  # the list still shows the removed ones
    assert len(place.box.subscriptions("DEMO")) == 2
    place.write(HOOKS.replace("?code=", "/moved?code="))
    apply(place)
    place.write(HOOKS)  # the move is taken back
    apply(place)
    clock.advance(LONG)
    assert apply(place).code == 0
    assert len(place.box.subscriptions("DEMO")) == 2
    assert place.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("options", [{"traits": frozenset({"answer-without-id"})}], indirect=True)
def test_a_response_without_an_id_proves_the_secret_beside_a_cut_connection(place: Place) -> None:
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[MOVED]"))
    place.box.faults.add("cut@subscribe")
    lost = place.run("apply", "--yes")
    assert (lost.code, "Verified" in lost.out) == (4, False)
    assert "Not as declared: 1 subscription: subscribe prod/catalogue/MOVED.\n" in lost.out
    assert place.run("apply", "--yes").code == 0
    assert place.run("plan", "--detailed-exitcode").code == 0
