"""Tests of internal errors: no memory, no file handles, no threads, or a bug.

None of them may show a traceback, or end with exit code 1 after a change. The limits are real ones
of a child process. A bug is a network or a terminal that raises an exception.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pytest

from hooksync.api.run import open_run
from hooksync.commands import plan_apply
from hooksync.commands.plan_apply import ApplyOptions
from hooksync.core.context import Context
from hooksync.core.errors import internal_error_text
from hooksync.service.http import Request, Response, Transport
from tests.command_line import run_python
from tests.conftest import HIDDEN, HOOKS, SECRET, Place, unprobed
from tests.lanes import sampled
from tests.memory_terminal import MemoryTerminal, make_context
from tests.state_makers import written

SIX = "".join(
    f"      n{n}: {{url: '${{RECEIVER}}?n={n}', trigger: MOVED, secret: {{env:"
    " CATALOGUE_SECRET}}\n"
    for n in range(6)
)
MANY = unprobed(HOOKS).partition("      catalogue:")[0] + SIX


@dataclass
class Bug:
    """An error before or after one call."""

    call: str
    number: int
    when: str
    error: Exception


class Broken(Transport):
    """A network with a bug."""

    bug: Bug

    def send(self, request: Request) -> Response:
        is_it = f"{request.method} {request.url.rpartition('/')[2]}" == self.bug.call
        if is_it:
            self.bug.number -= 1
        is_now = is_it and self.bug.number == 0
        if is_now and self.bug.when == "before":
            raise self.bug.error
        answer = super().send(request)
        if is_now:
            raise self.bug.error
        return answer


@dataclass(frozen=True)
class Ended:
    code: int
    said: str
    outcomes: list[str]
    context: Context


def apply(place: Place, bug: Bug) -> Ended:
    """Apply in this process, one call after the other, on a network that may have a bug."""

    def network(
        timeout: float, connections: int, environ: Mapping[str, str], **settings: bool
    ) -> Broken:
        transport = Broken(timeout, connections, environ, **settings)
        transport.bug = bug
        return transport

    screen = MemoryTerminal()
    files = (str(place.folder / "hooks.yaml"),)
    options = ApplyOptions(files=files, format="json", is_confirmed=True, parallelism=1)
    context = make_context(place.environ, terminal=screen)
    opening = partial(open_run, make_transport=network)
    code = int(plan_apply.apply(options, context, opening))
    said = "\n".join(screen.err)
    assert not [hidden for hidden in ("Traceback", *HIDDEN) if hidden in said + "".join(screen.out)]
    [tenancy] = json.loads("".join(screen.out))["tenancies"]
    return Ended(code, said, [step["outcome"]["result"] for step in tenancy["steps"]], context)


BUGS = [
    MemoryError(),
    RuntimeError(f"a bug that quotes {SECRET}"),
    RecursionError(),
    OSError(24, "Too many open files"),
]


@pytest.mark.parametrize("error", sampled(BUGS, 4), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_internal_error_ends_an_apply_as_an_interrupt_does(
    place: Place, when: str, error: Exception
) -> None:
    place.write(MANY)
    ended = apply(place, Bug("POST subscriptions", 3, when, error))
    assert ended.code == 4
    assert f"error: internal error: {type(error).__name__}" in ended.said
    assert "a bug that quotes" not in ended.said
    assert "report this as a bug" in ended.said
    assert len(place.box.subscriptions("DEMO")) == (3 if when == "after" else 2)
    # the first two are unsettled as well, because no list has shown them
    assert sorted(ended.outcomes) == ["not-attempted"] * 3 + ["unsettled"] * 3
    assert ended.context.stop.is_set()
    again = place.run("apply", "--yes")
    assert again.code == 0, again.out + again.err
    assert len(place.box.subscriptions("DEMO")) == 6


def test_an_error_after_the_last_change_leads_to_exit_code_4_and_a_written_state(
    place: Place,
) -> None:
    """The second list is the verification after the last change."""
    ended = apply(place, Bug("GET subscriptions", 2, "after", MemoryError()))
    assert ended.code == 4
    assert set(ended.outcomes) == {"unsettled"}
    state = place.state
    # a response gave their ids, and no list has shown them
    assert [bool(each["id"]) for each in written(state, "attempts")] == [True, True]
    assert place.run("apply", "--yes").code == 0


def test_an_error_is_reported_with_its_places_and_without_its_text() -> None:
    def deep() -> None:
        raise ValueError(SECRET)

    with pytest.raises(ValueError, match=SECRET) as caught:
        deep()
    said = internal_error_text(caught.value)
    assert SECRET not in said
    assert said.startswith("error: internal error: ValueError at tests.system.test_last_resort:")
    assert "  fix: report this as a bug" in said
    assert said.endswith(" deep")


# limits, and how main.py reports an error

LIMITED = """
import sys, threading
from hooksync.cli.main import main
threading.stack_size(2**46)  # of a thread, which therefore cannot start
sys.exit(main(sys.argv[1:]))
"""


def test_an_internal_error_before_any_change_is_reported_with_its_place_and_exit_code_1(
    place: Place,
) -> None:
    with place.popen(program=("-c", LIMITED, "plan")) as process:
        out, err = process.communicate()
    assert process.returncode == 1
    assert re.match(
        r"error: internal error: RuntimeError at threading:\d+ start\n  fix: report this as a bug",
        err,
    ), err
    assert not [hidden for hidden in ("Traceback", *HIDDEN) if hidden in out + err]


STARTING = """
import os, signal, sys

class Interrupted:
    def find_spec(self, name, *_):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

from hooksync.cli.main import main
sys.meta_path.insert(0, Interrupted())
sys.exit(main(["plan"]))
"""


def test_an_interrupt_while_modules_are_loaded_shows_no_traceback(place: Place) -> None:
    ended = run_python(["-c", STARTING, "hooksync.core.errors"], place.environ, place.folder)
    assert (ended.code, ended.out, ended.err) == (130, "", "")
