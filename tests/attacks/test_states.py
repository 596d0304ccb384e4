"""States that an attacker has written or changed. The attacker can neither hide a rotation, nor set
the cost of scrypt, nor, under a policy, remove subscriptions of others.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from hooksync.core.signing import PlanKey
from hooksync.state.format import read_state, signature_of
from tests.clocks import JumpingClock
from tests.conftest import HOOKS, SECRET, Place, owning
from tests.documents.test_saved_plan import signature_of as signature_of_plan
from tests.lanes import sampled

KEY = "a-key-that-signs-plans-and-states"
FOUR = HOOKS.replace("[INDEXED, MOVED]", "[INDEXED, MOVED, INGEST_FAILED, SECURITY_CHANGED]")

Change = Callable[[dict[str, Any]], object]


def forge(place: Place, *changes: Change) -> None:
    """Change the state as an attacker without the key does."""
    document = place.state
    for change in changes:
        change(document)
    place.write(json.dumps(document), "hooks.state.json")


def apply_hooks(place: Place, hooks: str) -> Place:
    place.write(hooks)
    run = place.run("apply", "--yes")
    assert run.code == 0, run.err
    return place


def with_key(place: Place) -> Place:
    place.environ |= {"HOOKSYNC_PLAN_KEY": KEY, "XDG_CACHE_HOME": str(place.folder / "cache")}
    return place


def each_entry(**fields: Any) -> Change:
    return lambda document: [entry.update(fields) for entry in entries_of(document)]


def entries_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of the only tenancy."""
    [tenancy] = document["tenancies"]
    entries: list[dict[str, Any]] = tenancy["entries"]
    return entries


ALL_CHANGED = each_entry(fingerprint="0" * 64)

# --- subscriptions that a forged state claims to own


def test_under_a_policy_a_forged_state_removes_no_subscription_of_others(place: Place) -> None:
    apply_hooks(place, FOUR)
    vendor = place.box.seed("DEMO", "https://vendor.example/x", "MOVED", SECRET)
    forge(place, lambda it: entries_of(it).append(entries_of(it)[0] | {"id": vendor}))
    assert "made by hooksync" in place.run("plan").out
    (place.folder / "policy.yaml").write_text(place.policy_text())
    place.environ["HOOKSYNC_POLICY"] = "policy.yaml"
    assert place.run("apply", "--yes").code == 0
    place.write(owning(FOUR))
    run = place.run("apply", "--yes")
    assert (run.code, "made by hooksync" in run.out) == (3, False)
    assert "nobody has reviewed this removal" in run.err
    assert vendor in {one.id for one in place.box.subscriptions("DEMO")}


def test_attempts_of_an_unsigned_state_make_no_run_wait_under_a_policy(place: Place) -> None:
    apply_hooks(place, HOOKS)
    forge(place, open_attempts, lambda it: entries_of(it).clear())
    for live in place.box.subscriptions("DEMO"):
        place.box.remove("DEMO", live.id)
    place.environ |= {"HOOKSYNC_POLICY": place.policy(), "HOOKSYNC_LIST_WAIT": "30"}
    place.clock = JumpingClock()
    before = len(place.box.calls)
    assert place.run("apply", "--yes").code == 3  # two attempts are open
    assert [call.name for call in place.box.calls[before:]] == ["login", "list"]


# --- rotations that a forged state tries to hide


ATTEMPTED = {"proven": True, "seen": []}


def forged_attempts(document: dict[str, Any]) -> None:
    """Replace the entries by attempts, as if a killed run had made the subscriptions."""
    [tenancy] = document["tenancies"]
    for entry in tenancy["entries"]:
        fields = {name: each for name, each in entry.items() if name != "adopted"}
        tenancy["attempts"].append(fields | ATTEMPTED | {"id": "", "proven": False})
    tenancy["entries"] = []


def swapped(document: dict[str, Any]) -> None:
    one, two = entries_of(document)
    one["fingerprint"], two["fingerprint"] = two["fingerprint"], one["fingerprint"]


def open_attempts(document: dict[str, Any]) -> None:
    """Add attempts of many runs."""
    document["serial"] = 99
    for run in range(1, 99):
        for entry in entries_of(document):
            fields = {name: each for name, each in entry.items() if name != "adopted"}
            document["tenancies"][0]["attempts"].append(
                fields | ATTEMPTED | {"id": f"{run}", "run_number": run}
            )


def another_salt(document: dict[str, Any]) -> None:
    [salt] = document["salts"]
    salt |= {"id": f"{salt['id']}0", "salt": "00" * 16}
    each_entry(salt=salt["id"])(document)


def an_id_more(document: dict[str, Any]) -> None:
    """Add a made-up entry for each entry."""
    more = {"run_number": 9}
    entries = entries_of(document)
    entries += [{**entry, **more, "id": f"f{entry['id']}"} for entry in entries]
    document["serial"] = 9


FORGERIES: dict[str, Change] = {
    "entries are dropped": lambda it: [entries_of(it).clear(), it.update(salts=[])],
    "one entry is dropped": lambda it: entries_of(it).pop(),
    "fingerprints are zeros": ALL_CHANGED,
    "fingerprints are swapped": swapped,
    "all are adopted": each_entry(adopted=True),
    "attempts in their place": forged_attempts,
    "attempts of many runs": open_attempts,
    "another salt": another_salt,
    "another server": lambda it: it["tenancies"][0].update(server="other.example"),
    "another tenant": lambda it: it["tenancies"][0].update(tenant="other"),
    "another address": each_entry(address="prod/other/MOVED"),
    "another URL": each_entry(identity="0" * 64),
    "newer ones": lambda it: [each_entry(run_number=9)(it), it.update(serial=9)],
    "an id more": an_id_more,
    "another salt of URLs": lambda it: it.update(url_salt="00" * 16),
    "a later version": lambda it: it.update(serial=2**52),
}


def assert_the_rotation_is_reported(place: Place) -> None:
    """Assert that a plan calls no secret the same, and counts each kept subscription as unknown."""
    run = place.run("plan", "--format", "json", "--all")
    assert run.code in (0, 3), run.err  # refused if two attempts are open
    steps = [step for step in run.json["tenancies"][0]["steps"] if step["address"]]
    assert {step["name"] for step in steps} == {"catalogue"}
    assert {step["secret"] for step in steps if step["secret"]} <= {"changed", "unknown"}
    kept = [step["address"] for step in steps if step["action"] == "keep"]
    assert run.json["summary"]["secret_unknown"] == len(kept)
    refusals = [run.json["tenancies"][0]["refusals"], *(step["refusals"] for step in steps)]
    said = str([run.json["warnings"], refusals])
    assert not kept or "secret unknown: " in said or "no list shows" in said


@pytest.mark.parametrize("how", sampled(FORGERIES, 4))
def test_no_forged_state_makes_a_plan_call_a_rotated_secret_the_same(
    place: Place, how: str
) -> None:
    apply_hooks(place, HOOKS)
    place.rotate()
    forge(place, FORGERIES[how])
    assert_the_rotation_is_reported(place)


# --- the cost of scrypt


@pytest.mark.parametrize(
    ("name", "cost"),
    sampled([("n", 2**17), ("n", 2**10), ("r", 2), ("r", 2**20), ("p", 4), ("p", 10**9)], 2),
)
def test_no_state_chooses_the_cost_of_scrypt(place: Place, name: str, cost: int) -> None:
    apply_hooks(place, HOOKS)
    forge(place, lambda it: [salt.update({name: cost}) for salt in it["salts"]])
    before = len(place.box.calls)
    run = place.run("plan")
    assert (run.code, len(place.box.calls)) == (1, before)
    assert "a field is not valid" in run.err


# --- forged signatures

FORGED: dict[str, Callable[[str, str], Any]] = {
    "no signature": lambda right, text: None,
    "a plain digest by its name": lambda right, text: (
        "hmac-sha256:" + hashlib.sha256(text.encode()).hexdigest()
    ),
    "cut": lambda right, text: right[:-2],
    "over the text with the signature": (
        lambda right, text: PlanKey(KEY.encode()).sign(
            b"hooksync.state/1 signature\n", text.encode()
        )
    ),
    "as a plan's": lambda right, text: signature_of_plan(json.loads(text), PlanKey(KEY.encode())),
    "under an empty key": lambda right, text: signature_of(read_state(text, ""), PlanKey(b"")),
}


@pytest.mark.parametrize("how", sampled(FORGED, 4))
def test_a_forged_signature_of_a_state_is_refused_before_any_call(place: Place, how: str) -> None:
    apply_hooks(with_key(place), HOOKS)
    text = (place.folder / "hooks.state.json").read_text()
    forge(place, ALL_CHANGED, lambda it: it.update(signature=FORGED[how](it["signature"], text)))
    if how == "no signature":
        forge(place, lambda it: it.pop("signature"))
    before = len(place.box.calls)
    for command in (("plan",), ("apply", "--yes")):
        run = place.run(*command)
        assert (run.code, len(place.box.calls)) == (1, before)
        assert "sign" in run.err or "a field is not valid" in run.err
