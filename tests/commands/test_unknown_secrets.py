"""Secrets that hooksync does not know: of subscriptions that were there before it, or whose state
is lost.
"""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest

from tests.boxes import Sandbox
from tests.conftest import SECRET, Place

NEW_SECRET = "n3w-secret-of-the-catalogue-0123456"
NAMES = ("search", "viewer", "website")  # the first two were there before hooksync
TRIGGERS = {"search": "FULL_TEXT_INDEXED", "viewer": "MOVED", "website": "INGEST_FAILED"}


def hooks(*names: str, settings: str = "") -> str:
    lines = [
        f"      {name}: {{url: '${{RECEIVER}}?for={name}', trigger: {TRIGGERS[name]}}}\n"
        for name in names
    ]
    head = (
        "version: 1\ndefaults: {secret: {env: CATALOGUE_SECRET}}\ntenancies:\n  prod:\n    server:"
        " ${BOX}\n"
    )
    return (
        f"{head}    tenant: DEMO\n{settings}   "
        f" subscriptions:{'' if names else ' {}'}\n{''.join(lines)}"
    )


def settle_in(place: Place, *, settings: str = "") -> None:
    """Two subscriptions that hooksync did not make, and one that it made; all three with one
    secret.
    """
    for name in NAMES[:2]:
        place.box.seed("DEMO", f"{place.environ['RECEIVER']}?for={name}", TRIGGERS[name], SECRET)
    place.write(hooks(*NAMES, settings=settings))
    place.run("apply", "--yes")


@pytest.fixture
def mixed(place: Place) -> Place:
    settle_in(place)
    return place


def rotate(place: Place) -> None:
    place.environ["CATALOGUE_SECRET"] = NEW_SECRET
    place.receiver.set_secret("catalogue", NEW_SECRET, SECRET)


def steps(place: Place, *flags: str) -> dict[str, Any]:
    plan = place.run("plan", "--format", "json", *flags)
    return {step["name"]: step for step in plan.json["tenancies"][0]["steps"]}


def live_secrets(place: Place) -> dict[str, str]:
    return {one.url.rpartition("=")[2]: one.secret for one in place.box.subscriptions("DEMO")}


# a shared secret is rotated


def test_a_rotation_takes_those_of_the_same_reference_with_it_whose_secrets_are_unknown(
    mixed: Place,
) -> None:
    rotate(mixed)
    found = steps(mixed)
    because = "secret changed for prod/website/INGEST_FAILED, which has the same reference"
    assert {name: step["reasons"] for name, step in found.items()} == {
        "search": [because],
        "viewer": [because],
        "website": ["secret changed"],
    }
    run = mixed.run("apply", "--yes")
    assert (run.code, run.out.splitlines()[-1]) == (0, "Verified: live matches declared.")
    assert live_secrets(mixed) == dict.fromkeys(NAMES, NEW_SECRET)
    assert mixed.run("plan").out == "No changes. 1 tenancy matches hooks.yaml.\n"


def test_one_of_another_reference_stays_when_a_secret_is_rotated(place: Place) -> None:
    settle_in(place)
    text = hooks(*NAMES).replace("?for=search'", "?for=search', secret: {env: OTHER_SECRET}")
    place.write(text)
    place.environ["OTHER_SECRET"] = SECRET
    rotate(place)
    assert {name: step["action"] for name, step in steps(place).items()} == {
        "search": "keep",
        "viewer": "resubscribe",
        "website": "resubscribe",
    }


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_rotation_that_fails_for_one_is_finished_by_the_next_run(
    mixed: Place, failing: int
) -> None:
    rotate(mixed)
    mixed.box.faults.add(f"status-422@subscribe:1:{failing}")
    assert mixed.run("apply", "--yes", "--parallelism", "1").code == 4
    assert sorted(live_secrets(mixed).values()) == sorted([SECRET, NEW_SECRET, NEW_SECRET])
    assert mixed.run("plan", "--detailed-exitcode").code == 2
    assert mixed.run("apply", "--yes").code == 0
    assert live_secrets(mixed) == dict.fromkeys(NAMES, NEW_SECRET)
    assert mixed.run("plan").out == "No changes. 1 tenancy matches hooks.yaml.\n"


def test_a_saved_plan_takes_the_others_of_the_reference_too(mixed: Place) -> None:
    rotate(mixed)
    assert mixed.run("plan", "--out", "plan.json").code == 0
    assert mixed.run("apply", "plan.json").code == 0
    assert live_secrets(mixed) == dict.fromkeys(NAMES, NEW_SECRET)


def test_one_tenancy_shows_that_a_secret_has_changed_for_all_tenancies_of_the_run(
    mixed: Place,
) -> None:
    with Sandbox() as other:
        mixed.environ["OTHER_BOX"] = other.url
        other.seed("DEMO", f"{mixed.environ['RECEIVER']}?for=search", TRIGGERS["search"], SECRET)
        mixed.write(hooks(*NAMES), "one.yaml")
        mixed.write(
            hooks("search").replace("prod:", "museum:").replace("${BOX}", "${OTHER_BOX}"),
            "two.yaml",
        )
        both = ("-f", "one.yaml", "-f", "two.yaml", "--state", "hooks.state.json")
        rotate(mixed)
        plan = mixed.run("plan", *both, "--format", "json").json
        [step] = plan["tenancies"][1]["steps"]
        assert (step["action"], step["address"]) == ("resubscribe", "museum/search/INDEXED")
        assert step["reasons"] == [
            "secret changed for prod/website/INGEST_FAILED, which has the same reference"
        ]
        assert mixed.run("apply", "--yes", *both).code == 0
        assert [one.secret for one in other.subscriptions("DEMO")] == [NEW_SECRET]
        assert mixed.run("plan", "--detailed-exitcode", *both).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("done", [1, 2])
def test_a_rotation_that_is_killed_between_the_others_is_finished_by_the_next_run(
    mixed: Place, done: int
) -> None:
    rotate(mixed)
    # it never comes to the call that is under way then
    mixed.box.faults.add(f"stall-3600@subscribe:1:{done}")
    with mixed.popen("apply", "--yes", "--parallelism", "1") as process:
        while [call.name for call in mixed.box.calls].count(
            "subscribe"
        ) < 2 + done:  # one of them made the first
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
    assert mixed.run("apply", "--yes").code == 0
    assert live_secrets(mixed) == dict.fromkeys(NAMES, NEW_SECRET)
    assert len(mixed.box.subscriptions("DEMO")) == 3
    found = f"3 unchanged ({done} with an unknown secret)"  # those whose ids no answer told
    assert mixed.run("plan").out == f"No changes. 1 tenancy matches hooks.yaml; {found}.\n"


# unknown_secret and owns


def test_unknown_secrets_are_refused_where_the_file_says_so(place: Place) -> None:
    settle_in(place, settings="    unknown_secret: refuse\n")
    before = place.box.subscriptions("DEMO")
    assert len(before) == 2
    plan = place.run("plan", "--out", "plan.json")
    assert (plan.code, (place.folder / "plan.json").exists()) == (3, False)
    run = place.run("apply", "--yes")
    assert run.code == 3
    said = (
        "the secrets of prod/search/INDEXED, prod/viewer/MOVED are unknown, and unknown_secret is"
        " refuse"
    )
    assert said in run.err
    assert "--adopt" in run.err
    assert "--replace" in run.err
    assert place.box.subscriptions("DEMO") == before
    assert place.run("apply", "--yes", "--replace", "*").code == 0
    assert place.run("plan", "--detailed-exitcode").code == 0


def test_unknown_secrets_are_replaced_where_the_file_says_so(place: Place) -> None:
    settle_in(place)
    place.write(hooks(*NAMES, settings="    unknown_secret: replace\n"))
    rotate(place)
    place.environ["CATALOGUE_SECRET"] = SECRET
    place.receiver.set_secret("catalogue", SECRET)
    found = steps(place)
    assert {name: (step["action"], step["reasons"]) for name, step in found.items()} == {
        "search": ("resubscribe", ["secret unknown"]),
        "viewer": ("resubscribe", ["secret unknown"]),
        "website": ("keep", []),
    }
    before = {one.id for one in place.box.subscriptions("DEMO")}
    assert place.run("apply", "--yes").code == 0
    assert len(before & {one.id for one in place.box.subscriptions("DEMO")}) == 1
    assert place.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("flags", [(), ("--out", "plan.json")])
@pytest.mark.parametrize(
    ("owns", "reason"), [("made", "not made by hooksync"), ("none", "kept by `owns: none`")]
)
def test_a_tenancy_can_keep_what_is_not_declared(
    place: Place, owns: str, reason: str, flags: tuple[str, ...]
) -> None:
    settle_in(place)
    place.write(hooks("website", settings=f"    owns: {owns}\n    limits: {{unsubscribe: 0}}\n"))
    found = place.run("plan", "--format", "json", *flags).json["tenancies"][0]["steps"]
    left = [(step["reasons"], step["origin"]) for step in found if step["action"] == "leave"]
    assert left == [([reason], "not made by hooksync")] * 2
    assert place.run("apply", *(flags[1:] or ("--yes",))).code == 0
    assert len(place.box.subscriptions("DEMO")) == 3


def test_a_reviewed_limit_of_a_hundred_per_cent_empties_a_tenancy(mixed: Place) -> None:
    mixed.write(hooks(settings="    owns: all\n    limits: {unsubscribe: 100%}\n"))
    assert mixed.run("apply", "--yes").code == 0
    assert mixed.box.subscriptions("DEMO") == ()


# what is unknown is said

SAID = (
    "the secrets of 2 kept subscriptions are unknown, so a rotation is not seen:"
    " prod/search/INDEXED, prod/viewer/MOVED"
)


def test_a_plan_says_how_many_secrets_are_unknown_and_which(mixed: Place) -> None:
    plan = mixed.run("plan", "--detailed-exitcode")
    assert (plan.code, plan.out) == (
        0,
        "No changes. 1 tenancy matches hooks.yaml; 3 unchanged (2 with an unknown secret).\n",
    )
    assert f"warning: {SAID}\n  fix: `hooksync apply --adopt` asks the receivers" in plan.err
    document = mixed.run("plan", "--format", "json").json
    assert (
        document["summary"]["secret_unknown"],
        document["tenancies"][0]["summary"]["secret_unknown"],
    ) == (2, 2)
    assert (document["state_missing"], [SAID in warning for warning in document["warnings"]]) == (
        False,
        [True],
    )
    comment = mixed.run("plan", "--format", "markdown").out
    assert "3 unchanged (2 with an unknown secret)." in comment
    assert "2 kept subscriptions are unknown" in comment


def test_an_apply_says_that_it_did_not_verify_unknown_secrets(mixed: Place) -> None:
    [changed] = [one for one in mixed.box.subscriptions("DEMO") if one.url.endswith("website")]
    mixed.box.remove("DEMO", changed.id)
    run = mixed.run("apply", "--yes", "--report", "report.json")
    assert run.code == 0
    assert run.out.splitlines()[-2:] == [
        "Applied: 1 done, 0 failed, 0 not tried; 2 unchanged (2 with an unknown secret).",
        "Verified: live matches declared, except the secrets of 2.",
    ]
    assert SAID in run.err
    report = json.loads((mixed.folder / "report.json").read_text())
    assert (
        report["summary"]["secret_unknown"],
        report["tenancies"][0]["summary"]["secret_unknown"],
    ) == (2, 2)


def test_a_lost_state_is_told_in_the_result(mixed: Place) -> None:
    (mixed.folder / "hooks.state.json").unlink()
    rotate(mixed)
    said = (
        "There is no state at hooks.state.json: rotated secrets and moved receivers go unnoticed."
    )
    assert mixed.run("plan").out.splitlines() == [
        "No changes. 1 tenancy matches hooks.yaml; 3 unchanged (3 with an unknown secret).",
        said,
    ]
    assert said.partition(":")[0] in mixed.run("plan", "--format", "markdown").out
    for command in (("plan",), ("apply", "--yes")):
        document = mixed.run(*command, "--format", "json").json
        assert (document["state_missing"], document["summary"]["secret_unknown"]) == (True, 3)


def test_a_first_run_on_an_empty_tenancy_misses_no_state(place: Place) -> None:
    assert "There is no state" not in place.run("plan").out
    assert "There is no state" not in place.run("apply", "--yes").out


def test_a_secret_that_is_not_set_counts_as_unknown(mixed: Place) -> None:
    mixed.run("apply", "--yes", "--replace", "*")
    del mixed.environ["CATALOGUE_SECRET"]
    run = mixed.run("apply", "--yes")
    assert (run.code, run.out) == (
        0,
        "No changes. 1 tenancy matches hooks.yaml; 3 unchanged (3 with an unknown secret).\n",
    )


# adoption asks the receivers


def test_adopt_asks_the_receivers_and_tells_how_many_were_adopted(mixed: Place) -> None:
    challenges = mixed.receiver.answers["catalogue", "challenge"]
    run = mixed.run("apply", "--adopt", "--report", "report.json")
    assert (run.code, run.err) == (
        0,
        (
            "adopted: 2 of 2 with an unknown secret, now recorded with the declared one in"
            " hooks.state.json\n"
        ),
    )
    assert mixed.receiver.answers["catalogue", "challenge"] == challenges + 2
    report = json.loads((mixed.folder / "report.json").read_text())
    assert report["adopted"] == {"asked": 2, "adopted": 2, "unchallenged": 0}
    assert report["summary"]["secret_unknown"] == 0
    assert mixed.run("plan").out == "No changes. 1 tenancy matches hooks.yaml.\n"
    assert "adopted: 0 of 0: no secret is unknown\n" in mixed.run("apply", "--adopt").err


def test_one_whose_receiver_has_another_secret_is_not_adopted_and_the_others_are(
    mixed: Place,
) -> None:
    mixed.write(hooks(*NAMES).replace("?for=viewer'", "?for=viewer', secret: {env: OTHER_SECRET}"))
    mixed.environ["OTHER_SECRET"] = NEW_SECRET
    run = mixed.run("apply", "--adopt", "--format", "json")
    assert run.code == 3
    why = "it signs challenges with a different secret"
    assert (
        "refused: hooks.yaml:9:7: not adopted: prod/viewer/MOVED: the receiver at"
        " ${RECEIVER}?for=viewer" in run.err
    )
    assert why in run.err
    assert "adopted: 1 of 2 with an unknown secret, now recorded" in run.err
    assert run.json["adopted"] == {"asked": 2, "adopted": 1, "unchallenged": 0}
    assert any(why in refusal for refusal in run.json["refusals"])
    assert {name: step["secret"]["state"] for name, step in steps(mixed).items()} == {
        "search": "same",
        "viewer": "unknown",
        "website": "same",
    }


def test_one_whose_receiver_is_not_ready_is_adopted_only_unasked(place: Place) -> None:
    settle_in(place)
    place.receiver.close()
    run = place.run("apply", "--adopt")
    assert run.code == 3
    assert "adopted: 0 of 2 with an unknown secret\n" in run.err
    assert run.err.count("refused: hooks.yaml:") == 2
    unasked = place.run("apply", "--adopt", "--no-probe")
    assert unasked.code == 0
    assert "in hooks.state.json, 2 of them without asking the receiver\n" in unasked.err


def test_under_probe_never_what_is_adopted_is_not_asked_and_that_is_said(place: Place) -> None:
    settle_in(place)
    place.write(hooks(*NAMES, settings="    probe: never\n"))
    challenges = place.receiver.answers["catalogue", "challenge"]
    run = place.run("apply", "--adopt", "--format", "markdown")
    assert run.code == 0
    assert "2 of them without asking the receiver" in run.out
    assert place.receiver.answers["catalogue", "challenge"] == challenges


def test_what_is_refused_for_unknown_secrets_is_adopted_instead(place: Place) -> None:
    settle_in(place, settings="    unknown_secret: refuse\n")
    run = place.run("apply", "--adopt", "--yes")
    assert run.code == 0
    assert len(place.box.subscriptions("DEMO")) == 3
    assert place.run("plan", "--detailed-exitcode").code == 0


def test_where_unknown_secrets_are_refused_one_that_cannot_be_adopted_stops_the_tenancy(
    place: Place,
) -> None:
    settle_in(place, settings="    unknown_secret: refuse\n")
    text = hooks(*NAMES, settings="    unknown_secret: refuse\n")
    place.write(text.replace("?for=viewer'", "?for=viewer', secret: {env: OTHER_SECRET}"))
    place.environ["OTHER_SECRET"] = NEW_SECRET
    before = place.box.subscriptions("DEMO")
    assert place.run("apply", "--adopt", "--yes").code == 3
    assert place.box.subscriptions("DEMO") == before


# the command check


def test_check_says_which_secrets_are_unknown(mixed: Place) -> None:
    run = mixed.run("check")
    assert run.code == 0
    which = "2 unknown: prod/search/INDEXED, prod/viewer/MOVED"
    assert (
        f"warning   live secrets        1 same, {which}\n            fix: `hooksync apply --adopt`"
        " asks" in run.out
    )
    document = mixed.run("check", "--format", "json").json
    [finding] = [
        each for each in document["tenancies"][0]["findings"] if each["subject"] == "live secrets"
    ]
    assert (finding["state"], finding["detail"]) == ("warning", f"1 same, {which}")
    assert "prod/viewer/MOVED" in mixed.run("check", "--format", "markdown").out
    stateless = mixed.run("check", "--no-state").out
    assert (
        "skipped   live secrets        without a state: 3 unknown: prod/search/INDEXED, "
        in stateless
    )
    (mixed.folder / "hooks.state.json").rename(mixed.folder / "other.json")
    assert "there is no state at hooks.state.json: 3 unknown: " in mixed.run("check").out
    assert f"1 same, {which}" in mixed.run("check", "--state", "other.json").out


def test_check_says_that_all_live_secrets_are_known_and_how_many_have_changed(mixed: Place) -> None:
    mixed.run("apply", "--adopt")
    assert "ok        live secrets        3 same\n" in mixed.run("check").out
    mixed.environ["OTHER_SECRET"] = NEW_SECRET
    mixed.write(hooks(*NAMES).replace("?for=viewer'", "?for=viewer', secret: {env: OTHER_SECRET}"))
    assert "ok        live secrets        2 same, 1 changed\n" in mixed.run("check").out


def test_a_state_that_cannot_be_read_fails_the_check(mixed: Place) -> None:
    (mixed.folder / "hooks.state.json").write_text("{")
    assert mixed.run("check").code == 1
    assert mixed.run("check", "--no-state").code == 0
