"""The server and tenant of a plan: every output names the real ones, and a saved plan is not
applied to different ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hooksync.api.receipt import tenancy_digest
from hooksync.core.model import KEY_VARIABLE, Server
from hooksync.core.signing import plan_key
from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.boxes import Sandbox
from tests.conftest import HOOKS, Place
from tests.documents.test_saved_plan import save
from tests.makers import declared, tenancy
from tests.reconcile.planning import planned


def test_check_names_the_tenant_that_the_log_in_returned(place: Place) -> None:
    place.write(HOOKS.replace("    tenant: DEMO\n", ""))
    assert place.run("check").out.startswith(f"prod   {place.box.url} / DEMO ")


def test_a_plan_names_the_server_and_the_tenant_even_if_the_log_in_fails(place: Place) -> None:
    place.environ["PRESERVICA_PASSWORD"] = "not-the-password-of-it"
    run = place.run("plan")
    assert run.out.startswith(f"prod   {place.box.url} / DEMO   not read, 2 declared\n")


@pytest.mark.parametrize(
    ("base_url", "shown"),
    [
        ("https://eu.preservica.com", "eu.preservica.com"),
        ("https://eu.preservica.com:8443", "eu.preservica.com:8443"),
        ("http://127.0.0.1:8700", "http://127.0.0.1:8700"),
        ("http://localhost", "http://localhost"),
        ("https://[::1]:8700", "[::1]:8700"),
    ],
)
def test_a_server_is_shown_with_an_unusual_scheme_or_port(base_url: str, shown: str) -> None:
    assert Server(base_url).shown == shown


# --- a saved plan is applied only to the server and the tenant that it was made for

KEY = "a-key-that-signs-plans-0123456789"
TWO_TENANTS = SandboxOptions(
    accounts=(
        Account(tenants=("DEMO", "OTHER")),
        Account(username="other@example.org", tenants=("OTHER",)),
    )
)


@pytest.fixture
def production() -> Iterator[Sandbox]:
    """Start a second server with a tenancy of the same name. The server of `place` is staging."""
    with Sandbox() as box:
        yield box


@pytest.fixture(params=["signed", "not signed"])
def key(request: pytest.FixtureRequest, place: Place) -> str | None:
    """Return the key that signs plans, or None if plans are not signed."""
    if request.param == "not signed":
        return None
    place.environ["HOOKSYNC_PLAN_KEY"] = KEY
    return KEY


def refusal(place: Place) -> str:
    """Assert that apply refuses the plan before any change; return standard error."""
    run = place.run("apply", "plan.json")
    assert run.code == 3, run.err
    assert "fix: create a new plan, review it, and apply that" in run.err
    assert not [call for call in place.box.calls if call.name in ("subscribe", "unsubscribe")]
    return run.err


STALE = "prod: the saved plan is stale: it was made for "


def test_a_plan_made_for_staging_is_refused_if_the_variable_points_at_production(
    place: Place, production: Sandbox, key: str | None
) -> None:
    save(place)
    place.environ["BOX"] = production.url
    staging = place.box.url
    assert f"{STALE}{staging} / DEMO, and would change {production.url} / DEMO" in refusal(place)
    assert production.subscriptions("DEMO") == ()
    place.environ["BOX"] = staging
    assert place.run("apply", "plan.json").code == 0
    assert len(place.box.subscriptions("DEMO")) == 2


@pytest.mark.parametrize("options", [TWO_TENANTS], indirect=True)
def test_a_plan_is_refused_if_the_log_in_leads_to_a_different_tenant(place: Place) -> None:
    place.write(HOOKS.replace("    tenant: DEMO\n", ""))
    save(place)
    place.environ["PRESERVICA_USERNAME"] = "other@example.org"
    assert f"{STALE}{place.box.url} / DEMO, and would change" in refusal(place)


def test_the_digest_of_a_tenancy_depends_on_plan_key_address_and_url() -> None:
    first, second = "0" * 32, "1" * 32
    one = declared("https://fn.example.net/?code=KEY")
    others = declared("https://fn.example.net/?code=KEZ"), declared(one.url.full, name="other")
    plans = [planned(tenancy(each), []) for each in (one, *others)]
    made = {
        tenancy_digest(plan, {}, plan_id, key)
        for plan in plans
        for plan_id in (first, second)
        for key in (None, plan_key({KEY_VARIABLE: KEY}), plan_key({KEY_VARIABLE: KEY[::-1]}))
    }
    assert len(made) == 18
    assert tenancy_digest(plans[0], {}, first, None) in made
