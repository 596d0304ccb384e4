"""A list that lags behind the answers, and answers that prove less than they say: what is told, and
how it settles.

On a sandbox by real HTTP. Run and sandbox share a clock that jumps, so that half a minute passes in
no time.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from hooksync.commands import plan_apply
from hooksync.core.errors import HooksyncError
from hooksync.reconcile.context import World
from hooksync.sandbox.tenancies import SandboxOptions, Subscription
from hooksync.service.http import RetryPolicy
from tests.boxes import Sandbox
from tests.clocks import JumpingClock
from tests.command_line import LOG_IN
from tests.lanes import sampled
from tests.memory_terminal import MemoryTerminal
from tests.stretching import stretch_cheaply

if TYPE_CHECKING:
    from hooksync.service.http import CallRecord

SECRET = "s3cret-of-the-catalogue-0123456789"
PERSONS_SECRET = "a-secret-that-somebody-chose-by-hand"
URL = "https://hooks.example.org/catalogue"
TENANT = "DEMO"
LAGS = sampled((5.0, 1.0, 30.0), 3)  # seconds; shorter than an apply waits for the list, or as long
LONG_LAG = 600.0  # seconds; longer than it waits, and shorter than the state bridges
BRIDGED = 15 * 60.0  # seconds for which the state counts what no list has shown as live
HOOKS = """\
version: 1
tenancies:
  prod:
    server: ${BOX}
    tenant: DEMO
    probe: never
    limits: {unsubscribe: 100%}
    subscriptions:
      catalogue: {url: "https://hooks.example.org/catalogue", triggers: [INDEXED, MOVED], secret: {env: HOOK_SECRET}}
"""
ONE = HOOKS.replace("triggers: [INDEXED, MOVED]", "trigger: MOVED")
NONE = HOOKS[: HOOKS.index("    subscriptions:")] + "    subscriptions: {}\n"


@dataclass
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def steps(self) -> list[dict[str, Any]]:
        [tenancy] = json.loads(self.out)["tenancies"]
        return list(tenancy["steps"])

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def secrets(self) -> list[str]:
        return [step["secret"]["state"] for step in self.steps if step["secret"]]


@dataclass
class Desk:
    """A folder with a hooks file, and a tenancy on whose clock it is worked."""

    folder: Path
    box: Sandbox
    clock: JumpingClock
    secret: str = SECRET
    stop: Event = field(default_factory=Event)
    environ: dict[str, str] = field(default_factory=dict)  # besides what the file needs

    @property
    def state(self) -> Path:
        return self.folder / "hooks.state.json"

    @property
    def live(self) -> tuple[Subscription, ...]:
        return self.box.subscriptions(TENANT)

    @property
    def live_secrets(self) -> list[str]:
        return [one.secret for one in self.live]

    def posts(self) -> int:
        return sum(call.name == "subscribe" for call in self.box.calls)

    def write(self, text: str) -> None:
        (self.folder / "hooks.yaml").write_text(text, encoding="utf-8")

    def apply(
        self, after_call: Callable[[CallRecord], None] = lambda record: None, **flags: object
    ) -> Ran:
        return self._run(plan_apply.apply, after_call, is_confirmed=True, **flags)

    def plan(self) -> Ran:
        return self._run(plan_apply.plan, lambda record: None)

    def killed_apply(self) -> None:
        """Apply, and leave what a run does that is killed when its first subscription is made."""
        texts: list[str] = []

        def kill(record: CallRecord) -> None:
            if is_subscribe(record) and not texts:
                texts.append(self.state.read_text(encoding="utf-8"))
                self.stop.set()

        self.apply(kill)
        self.stop = Event()
        self.state.write_text(texts[0], encoding="utf-8")

    def _run(
        self,
        verb: Callable[[Any, World], int],
        after_call: Callable[[CallRecord], None],
        **flags: Any,
    ) -> Ran:
        kind = plan_apply.ApplyOptions if verb == plan_apply.apply else plan_apply.PlanOptions
        options = kind((str(self.folder / "hooks.yaml"),), format="json", parallelism=1, **flags)
        terminal = MemoryTerminal(after_call=after_call)
        environ = {**LOG_IN, "HOOK_SECRET": self.secret, "BOX": self.box.url, **self.environ}
        world = World(environ, io.BytesIO(), terminal, self.stop, RetryPolicy(), self.clock)
        try:
            code = int(verb(options, world))
        except HooksyncError as error:
            terminal.message(str(error))
            code = int(error.exit_code)
        return Ran(code, "".join(terminal.out), "\n".join(terminal.err))


def is_subscribe(record: CallRecord) -> bool:
    return record.request.startswith("POST") and record.request.endswith("subscriptions")


@contextmanager
def desk_on(
    folder: Path, *traits: str, additions: float = 0.0, removals: float = 0.0
) -> Iterator[Desk]:
    clock = JumpingClock()
    options = SandboxOptions(
        traits=frozenset({"no-challenge", *traits}),
        list_lag_additions=additions,
        list_lag_removals=removals,
        clock=clock.now,
        token_seconds=86_400,
    )
    with Sandbox(options) as box:
        desk = Desk(folder, box, clock)
        desk.write(HOOKS)
        yield desk


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(hashlib, "scrypt", stretch_cheaply)
    return partial(desk_on, tmp_path)


On = Callable[..., Any]


# What was made and is not listed yet


@pytest.mark.parametrize(
    ("seconds", "lag", "is_listed"), [("0", 5.0, False), ("900", LONG_LAG, True), ("", 5.0, True)]
)
def test_a_variable_sets_how_long_an_apply_waits_for_the_list(
    on: On, seconds: str, lag: float, *, is_listed: bool
) -> None:
    with on(additions=lag) as desk:
        desk.environ["HOOKSYNC_LIST_WAIT"] = seconds
        made = desk.apply()
        assert made.code == 0, made.text
        assert ("not listed yet" not in made.text) == is_listed


@pytest.mark.parametrize("lag", [*LAGS, LONG_LAG])
def test_what_is_made_is_done_whether_the_list_shows_it_yet_or_not(on: On, lag: float) -> None:
    with on(additions=lag) as desk:
        made = desk.apply()
        assert made.code == 0, made.text
        assert [step["outcome"] for step in made.steps] == ["done", "done"]
        assert ("not listed yet" in made.text) == (lag == LONG_LAG)
        again = desk.apply()
        assert again.code == 0, again.text
        assert [step["outcome"] for step in again.steps] == ["unchanged", "unchanged"]
        assert again.secrets == ["same", "same"]
        assert desk.posts() == len(desk.live) == 2


def test_what_is_not_listed_after_the_time_that_is_bridged_is_made_again(on: On) -> None:
    with on(additions=10 * BRIDGED) as desk:
        desk.apply()
        desk.clock.advance(BRIDGED + 60)
        assert [step["action"] for step in desk.plan().steps] == ["subscribe", "subscribe"]


@pytest.mark.parametrize("lag", LAGS)
def test_a_plan_never_waits(on: On, lag: float) -> None:
    with on(additions=lag) as desk:
        desk.apply()
        before = desk.clock.now()
        desk.plan()
        assert desk.clock.now() == before


@pytest.mark.parametrize("lag", LAGS)
def test_an_answer_without_an_id_in_a_list_that_lags_is_found_and_unknown_until_adopted(
    on: On, lag: float
) -> None:
    with on("answer-without-id", additions=lag) as desk:
        made = desk.apply()
        assert made.code == 0, made.text
        assert desk.posts() == len(desk.live) == 2
        assert desk.apply().secrets == ["unknown", "unknown"]
        adopted = desk.apply(adopts=True)
        assert adopted.code == 0, adopted.text
        assert desk.plan().secrets == ["same", "same"]
        assert len(desk.live) == 2


# What was removed and is still listed


@pytest.mark.parametrize("lag", [*LAGS, LONG_LAG])
def test_a_removal_that_lags_is_done_and_the_next_run_takes_it_for_gone(on: On, lag: float) -> None:
    with on(removals=lag) as desk:
        desk.apply()
        desk.write(NONE)
        removed = desk.apply()
        assert removed.code == 0, removed.text
        assert [step["outcome"] for step in removed.steps] == ["done", "done"]
        before = len(desk.box.calls)
        again = desk.apply()
        assert again.code == 0, again.text
        assert not [call for call in desk.box.calls[before:] if call.name == "unsubscribe"]
        assert desk.live == ()


# Somebody else's work


@pytest.mark.parametrize("fault", ["cut", "commit-cut"])
@pytest.mark.parametrize("lag", [0.0, 5.0])
def test_what_a_person_makes_while_an_answer_is_lost_is_never_called_the_same(
    on: On, fault: str, lag: float
) -> None:
    with on(additions=lag) as desk:
        desk.write(ONE)
        desk.box.faults.add(f"{fault}@subscribe")

        def by_hand(record: CallRecord) -> None:
            if is_subscribe(record) and PERSONS_SECRET not in desk.live_secrets:
                desk.box.rules.tenancies.add(TENANT, Subscription(URL, "MOVED", PERSONS_SECRET))

        desk.apply(by_hand)
        assert PERSONS_SECRET in desk.live_secrets
        for _ in range(3):
            states = desk.plan().secrets
            assert "same" not in states or PERSONS_SECRET not in desk.live_secrets
            desk.apply()
        assert len(desk.live) == 1


def test_what_a_person_repairs_after_a_run_was_killed_is_never_called_the_same(on: On) -> None:
    with on() as desk:
        desk.write(ONE)
        desk.box.faults.add("cut@subscribe")
        desk.killed_apply()
        desk.box.seed(TENANT, URL, "MOVED", PERSONS_SECRET)
        desk.apply()
        assert desk.live_secrets == [PERSONS_SECRET]
        assert desk.plan().secrets == ["unknown"]
