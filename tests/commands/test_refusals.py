"""Each refusal changes nothing and prints a fix, which leads to exit code 0."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from tests.conftest import HOOKS, SECRET, Place, owning
from tests.lanes import sampled

OTHER_SECRET = "the-secret-of-a-colleague-0123456789"
FOREIGN = "https://old.example.org/hook"


def nothing(place: Place) -> None:
    """Change nothing."""


def write(text: str, place: Place) -> None:
    place.write(text)


def applied(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0


def without_state(place: Place) -> None:
    applied(place)
    (place.folder / "hooks.state.json").unlink()


def replaced_outside(place: Place) -> None:
    applied(place)
    [one] = [one for one in place.box.subscriptions("DEMO") if one.trigger == "MOVED"]
    place.box.remove("DEMO", one.id)
    place.box.seed("DEMO", one.url, "MOVED", SECRET)


def unsettled_twice(place: Place) -> None:
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[MOVED]"))
    for _ in range(2):
        place.box.faults.add("cut@subscribe:*")
        assert place.run("apply", "--yes").code == 4
        place.box.faults.end()


def over_the_limit(place: Place) -> None:
    place.write(owning(HOOKS))
    for index in range(3):
        place.box.seed("DEMO", f"{FOREIGN}/{index}", "MOVED", OTHER_SECRET)


def rotated_too_early(place: Place) -> None:
    applied(place)
    place.environ["CATALOGUE_SECRET"] = OTHER_SECRET


def give_the_receiver_both(place: Place) -> None:
    place.receiver.set_secret("catalogue", OTHER_SECRET, SECRET)


def receiver_is_down(place: Place) -> None:
    place.environ["RECEIVER"] = "http://127.0.0.1:1/catalogue"
    place.write(HOOKS.replace("tenant: DEMO", "tenant: DEMO\n    probe: require"))


def start_the_receiver(place: Place) -> None:
    place.environ["RECEIVER"] = place.receiver.url("catalogue")


def stale_plan(place: Place) -> None:
    assert place.run("plan", "--out", "plan.json").code == 0
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[INDEXED]"))


def plan_anew(place: Place) -> None:
    assert place.run("plan", "--out", "plan.json").code == 0


@dataclass(frozen=True)
class Refusal:
    """A run that is refused, and the fix after which the same run succeeds."""

    before: Callable[[Place], object]
    what: str  # a part of the message
    fix: str  # a part of the printed fix; the test runs a hooksync command in it
    then: Callable[[Place], object] = nothing  # the other actions of the fix
    command: str = "apply --yes"
    again: str = ""  # the command after the fix; "" means the same command


REFUSALS = {
    "state lost, adopt": Refusal(without_state, "prod: secret unknown: ", "`hooksync adopt`"),
    "state lost, replace": Refusal(
        without_state, "prod: secret unknown: ", "`hooksync apply --replace ADDRESS`"
    ),
    "replaced outside, adopt": Refusal(
        replaced_outside,
        "prod/catalogue/MOVED: replaced outside this state, secret unknown",
        "`hooksync adopt prod/catalogue/MOVED`",
    ),
    "replaced outside, replace": Refusal(
        replaced_outside,
        "prod/catalogue/MOVED: replaced outside this state, secret unknown",
        "`hooksync apply --replace prod/catalogue/MOVED`",
    ),
    "unsettled twice": Refusal(
        unsettled_twice,
        "prod/catalogue/MOVED: two applies left it unsettled",
        "`hooksync apply --replace prod/catalogue/MOVED`",
    ),
    "limit": Refusal(
        over_the_limit,
        "prod: would unsubscribe 3 of the 3 it owns: limits.unsubscribe is 50%",
        "write `limits: {unsubscribe: 100%}`",
        partial(
            write,
            owning(HOOKS, "all").replace("owns: all", "owns: all\n    limits: {unsubscribe: 100%}"),
        ),
    ),
    "receiver has a different secret": Refusal(
        rotated_too_early,
        "it signs challenges with a different secret",
        "give the receiver the declared secret",
        give_the_receiver_both,
    ),
    "receiver does not answer": Refusal(
        receiver_is_down,
        "the server refuses connections",
        "check that the server runs",
        start_the_receiver,
    ),
    "stale plan": Refusal(
        stale_plan,
        "the plan does not show what would be done now",
        "create a new plan",
        plan_anew,
        command="apply plan.json",
    ),
    "not confirmed": Refusal(
        nothing,
        "not confirmed: there is no terminal to ask on",
        "give --yes",
        command="apply",
        again="apply --yes",
    ),
}


@pytest.mark.parametrize("refusal", sampled(REFUSALS.values(), 3), ids=REFUSALS)
def test_the_printed_fix_leads_to_exit_code_0(place: Place, refusal: Refusal) -> None:
    refusal.before(place)
    before = place.box.subscriptions("DEMO")
    run = place.run(*refusal.command.split())
    assert run.code == 3, run.out + run.err
    assert place.box.subscriptions("DEMO") == before
    assert refusal.what in run.err
    fixes = [line for line in run.err.splitlines() if line.startswith("  fix: ")]
    assert any(refusal.fix in fix for fix in fixes), run.err
    refusal.then(place)
    for command in re.findall(r"^`hooksync (.*)`$", refusal.fix):
        words = command.replace("ADDRESS", "prod/catalogue/*").split()
        fixed = place.run(*words, *(["--yes"] if words[0] == "apply" else []))
        assert fixed.code == 0, fixed.out + fixed.err
    again = place.run(*(refusal.again or refusal.command).split())
    assert again.code == 0, again.out + again.err
    assert place.run("plan", "--detailed-exitcode").code == 0
