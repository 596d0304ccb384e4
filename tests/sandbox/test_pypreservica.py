"""The acceptance test: an unchanged pyPreservica accepts the sandbox as Preservica, and the sandbox
accepts pyPreservica's receiver.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from pyPreservica import TriggerType, WebHooksAPI

from tests.boxes import Receiver, Sandbox
from tests.pypreservica import no_credentials, web_hooks_api
from tests.sandbox_faults import Account
from tests.shipped_receiver import shipped_receiver

SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
__all__ = ["no_credentials"]  # a fixture
pytestmark = pytest.mark.usefixtures("no_credentials")

SECRET = "a-shared-secret-of-tests"


@pytest.fixture
def hooks(stack: ExitStack) -> Callable[..., WebHooksAPI]:
    """Return a function that makes a WebHooksAPI for a sandbox."""

    def hooks(box: Sandbox, **options: Any) -> WebHooksAPI:
        return stack.enter_context(web_hooks_api(box, **options))

    return hooks


Hooks = Callable[..., WebHooksAPI]
Start = Callable[..., Sandbox]


def test_pypreservica_logs_in_and_lists_subscriptions(start: Start, hooks: Hooks) -> None:
    box = start()
    seeded = box.seed("DEMO", "https://hooks.example.org/x", "MOVED", SECRET)
    api = hooks(box)
    assert [each["id"] for each in api.subscriptions()] == [seeded]
    assert api.version == "7.5.0"
    assert api.roles == ["ROLE_SDB_MANAGER_USER"]


def test_pypreservica_logs_in_with_a_second_factor(start: Start, hooks: Hooks) -> None:
    box = start(accounts=(Account(totp_seed=SEED),))
    assert hooks(box, two_fa_secret_key=SEED).subscriptions() == []
    assert [call.name for call in box.calls][:2] == ["login", "complete-2fa"]


def test_pypreservica_logs_in_again_after_its_token_expires(start: Start, hooks: Hooks) -> None:
    box = start(faults=("expired-token@list",))
    assert hooks(box).subscriptions() == []
    assert [call.name for call in box.calls].count("login") == 2


def test_pypreservica_subscribes_and_unsubscribes(start: Start, hooks: Hooks) -> None:
    box = start(traits=frozenset())
    api = hooks(box)
    with Receiver({"catalogue": [SECRET]}) as receiver:
        api.subscribe(receiver.url("catalogue"), TriggerType.INDEXED, SECRET)
    (subscription,) = box.subscriptions("DEMO")
    assert (subscription.trigger, subscription.include_identifiers) == ("FULL_TEXT_INDEXED", True)
    assert api.unsubscribe(subscription.id) == ""
    assert box.subscriptions("DEMO") == ()


def test_the_receiver_of_pypreservica_passes_the_challenge_and_gets_an_event(
    start: Start, hooks: Hooks
) -> None:
    box = start(traits=frozenset())
    with shipped_receiver(SECRET) as url:
        hooks(box).subscribe(f"{url}?code=KEY", TriggerType.MOVED, SECRET)
        assert box.fire("MOVED") == [200]
