"""Taking over a tenancy that also has subscriptions of others."""

from __future__ import annotations

import yaml

from tests.conftest import SECRET, Place

VENDORS = ("https://vendor.example/events", "https://vendor.example/moves")


def test_taking_over_a_shared_tenancy_removes_nothing_of_the_vendor(place: Place) -> None:
    (place.folder / "hooks.yaml").unlink()
    place.environ |= {"PRESERVICA_SERVER": place.box.url, "PRESERVICA_TENANT": "DEMO"}
    for trigger in ("MOVED", "FULL_TEXT_INDEXED"):
        place.box.seed("DEMO", place.environ["RECEIVER"], trigger, SECRET)
    for url in VENDORS:
        place.box.seed("DEMO", url, "MOVED", "a-secret-of-the-vendor-0123456789")
    before = place.box.subscriptions("DEMO")
    ours = place.environ["RECEIVER"]
    assert place.run("init", "--from-live", ours).code == 0
    path = place.folder / "hooks.yaml"
    assert "    owns: made" in path.read_text()
    [tenancy] = yaml.safe_load(path.read_text())["tenancies"].values()
    [declared] = tenancy["subscriptions"].values()
    place.environ[declared["secret"]["env"]] = SECRET
    plan = place.run("plan")
    assert (plan.code, "2 to adopt" in plan.out) == (0, True), plan.err
    run = place.run("apply", "--yes")
    assert run.code == 0, run.err
    plan = place.run("plan", "--detailed-exitcode")
    assert plan.code == 0
    assert ".   2 not in the state, left alone\n" in plan.out
    assert place.box.subscriptions("DEMO") == before


def test_a_duplicate_of_somebody_else_is_drift_until_it_is_replaced(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0
    url = f"{place.environ['RECEIVER']}?code={place.environ['FN_KEY']}"
    theirs = place.box.seed("DEMO", url, "MOVED", "a-secret-of-a-colleague-0123456789")
    plan = place.run("plan", "--detailed-exitcode", "--out", "plan.json")
    assert (plan.code, place.run("show", "plan.json", "--detailed-exitcode").code) == (2, 2)
    assert "duplicate, not in the state" in plan.out
    assert place.run("apply", "--yes").code == 0
    assert theirs in {one.id for one in place.box.subscriptions("DEMO")}
    assert place.run("apply", "--yes", "--replace", "prod/catalogue/MOVED").code == 0
    assert [one.secret for one in place.box.subscriptions("DEMO")] == [SECRET, SECRET]
    assert place.run("plan", "--detailed-exitcode").code == 0
