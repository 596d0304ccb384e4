"""Each refusal changes nothing and prints a fix, which leads to exit code 0.

The law: each command that a run prints, run as printed in the same folder, succeeds, or the problem
that it belongs to is gone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.command_line import Run
from tests.conftest import HOOKS, SECRET, URL_KEY, Place
from tests.lanes import sampled

OTHER_SECRET = "the-secret-of-a-colleague-0123456789"


def nothing(place: Place) -> None:
    """Change nothing."""


def write(text: str, place: Place) -> None:
    place.write(text)


def applied(place: Place) -> None:
    assert place.run("apply", "--yes").code == 0


def lose_state(place: Place) -> None:
    for path in place.folder.rglob("*state.json"):
        path.unlink()


def without_state(place: Place) -> None:
    applied(place)
    lose_state(place)


def replaced_outside(place: Place, *triggers: str) -> None:
    applied(place)
    for one in place.box.subscriptions("DEMO"):
        if one.trigger in (triggers or ("MOVED",)):
            place.box.remove("DEMO", one.id)
            place.box.seed("DEMO", one.url, one.trigger, SECRET)


def two_replaced_outside(place: Place) -> None:
    replaced_outside(place, "MOVED", "FULL_TEXT_INDEXED")


def replaced_and_unknown(place: Place) -> None:
    """Replace a subscription outside the state, and declare one that a colleague has made."""
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[MOVED]"))
    replaced_outside(place)
    place.write(HOOKS)
    [one] = place.box.subscriptions("DEMO")
    place.box.seed("DEMO", one.url, "FULL_TEXT_INDEXED", SECRET)


def two_tried_twice(place: Place) -> None:
    for _ in range(2):
        place.box.faults.add("cut@subscribe:*")
        assert place.run("apply", "--yes").code == 4
        place.box.faults.end()


def tried_twice(place: Place) -> None:
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[MOVED]"))
    two_tried_twice(place)


def over_the_limit(place: Place) -> None:
    place.write(HOOKS.replace("MOVED]", "MOVED, INGEST_FAILED, SECURITY_CHANGED]"))
    applied(place)
    place.write(HOOKS.replace("[INDEXED, MOVED]", "[MOVED]"))


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
    fix: str  # a part of the printed fix
    then: Callable[[Place], object] = nothing  # what a person does if the fix has no command
    command: str = "apply --yes"


REFUSALS = {
    "state lost": Refusal(without_state, "prod: secret unknown: ", "`hooksync apply --adopt "),
    "replaced outside": Refusal(
        replaced_outside,
        "prod: replaced outside this state, secret unknown",
        "--replace prod/catalogue/MOVED",
    ),
    "two replaced outside": Refusal(
        two_replaced_outside,
        "hooksync with a different state): prod/catalogue/INDEXED, prod/catalogue/MOVED",
        "--replace prod/catalogue/INDEXED --replace prod/catalogue/MOVED",
    ),
    "replaced outside and unknown": Refusal(
        replaced_and_unknown,
        "hooksync with a different state): prod/catalogue/MOVED",
        "--replace prod/catalogue/MOVED",  # the other address has a fix of its own
    ),
    "tried twice": Refusal(
        tried_twice,
        "two attempts are open, so it is not created again: prod/catalogue/MOVED",
        "--replace prod/catalogue/MOVED",
    ),
    "two tried twice": Refusal(
        two_tried_twice,
        "not created again: prod/catalogue/INDEXED, prod/catalogue/MOVED",
        "--replace prod/catalogue/INDEXED --replace prod/catalogue/MOVED",
    ),
    "limit": Refusal(
        over_the_limit,
        "prod: would unsubscribe 3 of the 4 it owns: limits.unsubscribe is 50%",
        "set `limits: {unsubscribe: 3}` under `prod` for one apply",
        partial(
            write,
            HOOKS.replace("[INDEXED, MOVED]", "[MOVED]").replace(
                "    subscriptions:", "    limits: {unsubscribe: 3}\n    subscriptions:"
            ),
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
        "no connection to the server: Connection refused",
        "check that the server runs",
        start_the_receiver,
    ),
    "stale plan": Refusal(
        stale_plan,
        "the saved plan is stale",
        "create a new plan",
        plan_anew,
        command="apply plan.json",
    ),
    "not confirmed": Refusal(nothing, "not confirmed", "read the plan", command="apply"),
}
# the flags of a run
FLAGS = {
    "no flags": "",
    "a path with a space": "-f 'my hooks/hooks.yaml' --env-file 'my hooks/my.env'",
    "a state elsewhere": "-f hooks.yaml --state 'my hooks/state.json' --timeout 20",
}


class Flagged(Place):
    """A place in which each run has flags."""

    flags = ""

    def write(self, text: str, name: str = "hooks.yaml") -> Path:
        is_inside = f"my hooks/{name}" in self.flags
        return super().write(text, f"my hooks/{name}" if is_inside else name)

    def run(self, *arguments: str, given: str = "") -> Run:
        return super().run(*arguments, *shlex.split(self.flags), given=given)

    def run_as_printed(self, command: str) -> Run:
        program, *arguments = shlex.split(command)
        assert program == "hooksync"
        if arguments[0] in ("apply", "remove") and not arguments[1].endswith("plan.json"):
            arguments.append("--yes")  # no fix contains it
        return super().run(*arguments)

    def restart(self, environ: dict[str, str]) -> None:
        """Go back to the beginning: nothing is live, and there is no state."""
        self.environ = dict(environ)
        for one in self.box.subscriptions("DEMO"):
            self.box.remove("DEMO", one.id)
        lose_state(self)
        self.receiver.set_secret("catalogue", SECRET)
        self.write(HOOKS)
        if "my.env" in self.flags:
            self.write(f"FN_KEY={self.environ.pop('FN_KEY')}\n", "my.env")


@pytest.fixture(params=FLAGS.values(), ids=FLAGS)
def flagged(place: Place, request: pytest.FixtureRequest) -> Flagged:
    (place.folder / "hooks.yaml").unlink()
    (place.folder / "my hooks").mkdir()
    made = Flagged(place.folder, place.box, place.receiver)
    made.flags = request.param
    made.restart(place.environ)
    return made


def printed_commands(text: str) -> list[tuple[str, str]]:
    """Pair each command in the fixes of a run with the problem that it belongs to."""
    found = []
    for problem, fix in re.findall(r"^\w[\w ]*: (.*)\n  fix: (.*)$", text, re.MULTILINE):
        found += [(problem, command) for command in re.findall("`(hooksync [^`]*)`", fix)]
    return found


def refused(place: Place, refusal: Refusal) -> Run:
    """Bring about a refusal, and check that it changes nothing."""
    refusal.before(place)
    before = place.box.subscriptions("DEMO")
    run = place.run(*refusal.command.split())
    assert run.code == 3, run.out + run.err
    assert place.box.subscriptions("DEMO") == before
    assert refusal.what in run.err
    assert refusal.fix in run.err
    return run


@pytest.mark.parametrize("refusal", sampled(REFUSALS.values(), 4), ids=REFUSALS)
def test_each_printed_fix_works_as_printed(flagged: Flagged, refusal: Refusal) -> None:
    environ = flagged.environ | {"FN_KEY": URL_KEY}
    commands = printed_commands(refused(flagged, refusal).err)
    if not commands:
        refusal.then(flagged)
        again = flagged.run(*refusal.command.split())
        assert again.code == 0, again.out + again.err
    for problem, command in commands:
        if command.startswith("hooksync state push FILE"):
            continue  # only a person knows where the state is
        if command.startswith("hooksync plan --out"):
            continue  # the next command applies what it saves
        flagged.restart(environ)
        refused(flagged, refusal)
        for _, other in commands:
            if other.startswith("hooksync plan --out"):
                flagged.run_as_printed(other)
        fixed = flagged.run_as_printed(command)
        assert fixed.code == 0 or problem not in fixed.err, fixed.out + fixed.err
        if command.startswith("hooksync list"):
            continue  # it shows what to look at
        again = flagged.run(*refusal.command.split())
        assert problem not in again.err
        is_whole = not any(other in again.err for other, _ in commands)  # of several addresses
        if command.startswith("hooksync apply") and is_whole:
            assert (fixed.code, again.code) == (0, 0), fixed.err + again.err
            assert flagged.run("plan", "--detailed-exitcode").code == 0


def test_the_command_that_applies_a_saved_plan_works_as_printed(flagged: Flagged) -> None:
    run = flagged.run("plan", "--out", "my hooks/the plan.json", "--target", "*/MOVED")
    [command] = re.findall("^saved: `(.*)` carries out exactly this$", run.err, re.MULTILINE)
    assert "--target" not in command
    done = flagged.run_as_printed(command)
    assert done.code == 0, done.out + done.err
    assert [one.trigger for one in flagged.box.subscriptions("DEMO")] == ["MOVED"]


# --- what a refusal holds

TWO = f"""{HOOKS}\
      second:
        url: ${{SECOND}}
        trigger: MOVED
        secret: {{env: SECOND_SECRET}}
"""


@pytest.fixture
def half_ready(place: Place) -> Place:
    """A place with two names. The receiver of the second one has a different secret."""
    place.write(TWO)
    place.receiver.set_secret("second", "a-different-secret-0123456789")
    place.environ |= {"SECOND": place.receiver.url("second"), "SECOND_SECRET": OTHER_SECRET}
    return place


def live_triggers(place: Place) -> list[str]:
    return sorted(one.trigger for one in place.box.subscriptions("DEMO"))


def test_a_wrong_receiver_holds_its_own_address_and_what_is_undeclared(half_ready: Place) -> None:
    place = half_ready
    plan = place.run("plan", "--probe", "--format", "json")
    assert (plan.code, plan.json["tenancies"][0]["conclusion"]) == (0, "changes")
    [held] = [step for step in plan.json["tenancies"][0]["steps"] if step["refusals"]]
    assert held["address"] == "prod/second/MOVED"
    assert (plan.json["summary"]["subscribe"], plan.json["summary"]["held"]) == (2, 1)
    assert place.run("plan", "--probe", "--detailed-exitcode").code == 2
    run = place.run("apply", "--yes")
    assert (run.code, live_triggers(place)) == (4, ["FULL_TEXT_INDEXED", "MOVED"])
    assert "refused: hooks.yaml:11:7: prod/second: the receiver is not ready" in run.err
    assert "Held: prod/second/MOVED.\n" in run.out
    assert "Verified" not in run.out
    place.write(TWO.replace("[INDEXED, MOVED]", "[INDEXED]"))
    run = place.run("apply", "--yes")  # what is undeclared waits
    assert (run.code, len(live_triggers(place))) == (3, 2)
    assert "it stays until these certainly exist: prod/second/MOVED" in run.err
    place.receiver.set_secret("second", OTHER_SECRET)
    assert place.run("apply", "--yes").code == 0
    assert live_triggers(place) == ["FULL_TEXT_INDEXED", "MOVED"]
    assert place.run("plan", "--detailed-exitcode").code == 0


def test_only_a_held_address_left_to_do_is_refused_with_3(half_ready: Place) -> None:
    assert half_ready.run("apply", "--yes").code == 4
    half_ready.write(
        TWO
        + TWO[TWO.index("      second:") :].replace("second", "third").replace("MOVED", "INDEXED")
    )
    refused = half_ready.run("plan", "--probe")
    assert (refused.code, refused.err.count("prod/third, second: the receiver is")) == (3, 1)
    half_ready.write(TWO)
    run = half_ready.run("apply", "--yes", "--format", "json")
    assert (run.code, run.json["tenancies"][0]["conclusion"]) == (3, "refused")


def test_a_saved_plan_leaves_out_what_it_holds(half_ready: Place) -> None:
    place = half_ready
    saved = place.run("plan", "--probe", "--out", "plan.json")
    assert "carries out exactly this, without what is refused or not planned" in saved.err
    place.receiver.set_secret("second", OTHER_SECRET)
    run = place.run("apply", "plan.json")
    assert (run.code, len(live_triggers(place))) == (4, 2)
    assert "prod/second/MOVED: the saved plan holds it" in run.err


def test_two_open_attempts_do_not_hold_the_rotation_of_a_different_receiver(place: Place) -> None:
    two_tried_twice(place)
    moved = "prod/catalogue/MOVED"
    assert place.run("apply", "--yes", "--replace", moved).code == 4
    place.rotate()
    run = place.run("apply", "--yes", "--format", "json")
    assert run.code == 4
    done = [step["address"] for step in run.steps if step["outcome"]["result"] == "done"]
    assert done == [moved]
    assert [step["address"] for step in run.steps if step["refusals"]] == ["prod/catalogue/INDEXED"]


def test_a_secret_that_is_not_set_holds_the_tenancy(half_ready: Place) -> None:
    del half_ready.environ["SECOND_SECRET"]
    run = half_ready.run("apply", "--yes")
    assert (run.code, half_ready.changing_calls) == (1, [])
