"""A list that lags behind the responses leaves steps unsettled, and a later apply settles them."""

from __future__ import annotations

import pytest

from hooksync.sandbox.tenancies import SandboxOptions
from tests.clocks import JumpingClock
from tests.conftest import Place, Run

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
