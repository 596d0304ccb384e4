"""Jobs that each select a part of the tenancies with --tenancy together do the work of one job."""

from __future__ import annotations

import pytest

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.conftest import Place
from tests.state_makers import written

TWO = """\
version: 1
tenancies:
  prod: &one
    server: ${BOX}
    tenant: DEMO
    subscriptions:
      catalogue: {url: "${RECEIVER}?code=${FN_KEY}", triggers: [INDEXED, MOVED], secret: {env: CATALOGUE_SECRET}}
  museum: {<<: *one, tenant: MUSEUM}
"""
BOTH_TENANTS = SandboxOptions(accounts=(Account(tenants=("DEMO", "MUSEUM")),))


@pytest.fixture
def two(place: Place) -> Place:
    place.write(TWO)
    return place


@pytest.mark.parametrize("options", [BOTH_TENANTS], indirect=True)
def test_a_run_forgets_vanished_subscriptions_only_in_its_selected_tenancies(two: Place) -> None:
    assert two.run("apply", "--yes").code == 0
    before = {entry["id"]: entry["address"] for entry in written(two.state, "entries")}
    for tenant in ("DEMO", "MUSEUM"):
        two.box.remove(tenant, two.box.subscriptions(tenant)[0].id)
    assert two.run("apply", "--yes", "--tenancy", "m*").code == 0
    lost = before.keys() - {entry["id"] for entry in written(two.state, "entries")}
    assert [before[each].partition("/")[0] for each in lost] == ["museum"]
