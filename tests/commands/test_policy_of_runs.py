"""What a policy limits over all tenancies of a run, and what it protects."""

from __future__ import annotations

from hooksync import Options
from hooksync.api.run import load
from tests.conftest import HOOKS, Place

KEY = {"HOOKSYNC_PLAN_KEY": "a-key-that-signs-plans-and-states"}


def with_less(text: str) -> str:
    """Return a file that declares one subscription less."""
    return text.replace("[INDEXED, MOVED]", "[MOVED]")


def test_a_policy_counts_moved_and_paused_subscriptions_of_a_run(place: Place) -> None:
    place.environ |= KEY
    assert place.run("apply", "--yes").code == 0
    policy = place.policy(max_unsubscribe_run=1)
    for edit in (("${RECEIVER}", "${RECEIVER}/moved"), ("        secret", "        enabled: false\n        secret")):  # fmt: skip
        place.write(HOOKS.replace(*edit))
        run = place.run("plan", "--policy", policy)
        assert run.code == 3
        assert "the run would remove or move 2: the policy has max_unsubscribe_run: 1" in run.err


def test_an_unsigned_state_owns_nothing_under_a_policy_and_every_command_warns(
    place: Place,
) -> None:
    assert place.run("apply", "--yes").code == 0
    place.write(with_less(HOOKS))
    for command, code in (("validate", 0), ("plan", 0), ("apply --yes", 0)):
        run = place.run(*command.split(), "--policy", place.policy())
        assert run.code == code
        assert "warning: HOOKSYNC_PLAN_KEY is not set, and under a policy" in run.err
    assert len(place.box.subscriptions("DEMO")) == 2
    place.environ |= KEY
    assert "warning" not in place.run("validate", "--policy", place.policy()).err


def test_a_policy_protects_urls_beside_those_that_the_tenancy_protects(place: Place) -> None:
    own = "    protect: [https://own.example]\n    subscriptions:"
    path = place.write(HOOKS.replace("    subscriptions:", own))
    policy = place.policy(protect=["https://vendor.example"])
    [tenancy] = load(path, Options(policy=policy), environ=place.environ).tenancies
    assert tenancy.protect == {"https://own.example", "https://vendor.example"}
