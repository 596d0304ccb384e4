"""No tenancy takes over the subscriptions of a different declared one, however narrow the run is."""

from __future__ import annotations

from pathlib import Path

import pytest

from hooksync.sandbox.tenancies import Account, SandboxOptions
from tests.conftest import Place

TENANTS = SandboxOptions((Account(tenants=("DEMO", "MUSEUM")),), frozenset({"no-challenge"}))
pytestmark = pytest.mark.parametrize("options", [TENANTS], indirect=True)

TENANCY = """\
version: 1
tenancies:
  {name}:
    server: ${{BOX}}
    probe: never
    subscriptions:
      catalogue: {{url: "https://hooks.example.net/{name}", trigger: INDEXED, secret: {{env: CATALOGUE_SECRET}}}}
"""
NARROW = {
    "everything": (),
    "a tenancy": ("--tenancy", "test"),
    "an address": ("--target", "test/*"),
}


@pytest.fixture
def folder(place: Place) -> Place:
    """A folder in which `prod` was applied. Its log-in leads to DEMO without a tenant, too."""
    (place.folder / "hooks").mkdir()
    place.environ |= {"HOOKSYNC_FILE": "hooks", "HOOKSYNC_STATE": "hooks.state.json"}
    declare(place, "prod", tenant="DEMO")
    assert place.run("apply", "--yes").code == 0
    return place


def declare(place: Place, name: str, file: str = "", **settings: str) -> Path:
    """Write the file of a tenancy."""
    lines = [f"    {field}: {value}\n" for field, value in settings.items()]
    text = TENANCY.format(name=name).replace("    probe:", f"{''.join(lines)}    probe:")
    return place.write(text, f"hooks/{file or name}.yaml")


def untouched(place: Place) -> bool:
    """Return whether only the subscription of `prod` is live in DEMO."""
    live = place.box.subscriptions("DEMO")
    return [subscription.url for subscription in live] == ["https://hooks.example.net/prod"]


@pytest.mark.parametrize("tenant", [None, "${TENANT}"], ids=["left out", "a variable"])
@pytest.mark.parametrize("flags", NARROW.values(), ids=NARROW)
def test_a_copy_of_a_file_takes_over_nothing_in_a_narrow_run(
    folder: Place, flags: tuple[str, ...], tenant: str | None
) -> None:
    folder.environ["TENANT"] = "DEMO"
    declare(folder, "test", **({"tenant": tenant} if tenant else {}))
    for command in (["plan", "--out", "plan.json"], ["apply", "--yes"]):
        refused = folder.run(*command, *flags)
        assert refused.code == 3
        assert "prod" in refused.err
        assert untouched(folder)


@pytest.mark.parametrize("flags", NARROW.values(), ids=NARROW)
def test_a_tenancy_whose_place_is_not_known_is_protected_by_the_state(
    folder: Place, flags: tuple[str, ...]
) -> None:
    declare(folder, "prod", server="${NOWHERE}")
    text = (folder.folder / "hooks/prod.yaml").read_text().replace("    server: ${BOX}\n", "")
    folder.write(text, "hooks/prod.yaml")
    declare(folder, "test", tenant="DEMO")
    refused = folder.run("apply", "--yes", *flags)
    assert untouched(folder)
    if flags:  # without them, the variable must be set
        assert refused.code == 3
        assert (
            "by the files, the log-in, the lists or the state, prod and test may be one tenancy"
            in refused.err
        )
        # other mistakes of a tenancy that is not selected do not stop a run
        declare(folder, "test", tenant="MUSEUM")
        assert folder.run("apply", "--yes", *flags).code == 0


def test_a_saved_plan_is_refused_if_a_file_has_claimed_the_tenancy_since(folder: Place) -> None:
    declare(folder, "test", tenant="MUSEUM")
    assert folder.run("plan", "--tenancy", "test", "--out", "plan.json").code == 0
    folder.environ["TENANT"] = "MUSEUM"
    declare(folder, "twin", tenant="${TENANT}")
    refused = folder.run("apply", "plan.json")
    assert (refused.code, folder.box.subscriptions("MUSEUM")) == (3, ())
    assert "test and twin may be one tenancy" in refused.err
