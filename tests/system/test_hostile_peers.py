"""Whole processes against peers that misbehave: each ends in time, in little memory, in words that give nothing away.

What a peer does is data in `tests/hostile.py`; `python -m tests.hostile` shows what each case took and what was said.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from tests.conftest import URL_KEY, make_environ
from tests.hostile import (
    AT_REST,
    CASES,
    HOOKS,
    NEVER_SHOWN,
    RECEIVER,
    SIDE_BY_SIDE,
    Case,
    Measured,
    answer_well,
    call_in,
    complaints,
    finish,
    is_inert,
    play,
    service,
    start,
)
from tests.lanes import sampled
from tests.wire import Wire, answer, saying

pytestmark = pytest.mark.skipif(not hasattr(os, "wait4"), reason="a child's memory cannot be measured here")

Play = Callable[[Case], Measured]


@pytest.fixture(scope="module", autouse=True)
def played(request: pytest.FixtureRequest) -> Iterator[Play]:
    """Play the cases of all chosen tests side by side, and beside the tests that have none."""
    specs = (getattr(item, "callspec", None) for item in request.session.items)
    cases = {spec.params["case"] for spec in specs if spec is not None and isinstance(spec.params.get("case"), Case)}
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    try:
        found = {case: pool.submit(play, case) for case in sorted(cases, key=lambda case: -case.seconds)}
        found |= {case: pool.submit(play, case) for case in AT_REST.values()}
        yield lambda case: found[case].result()
    finally:
        pool.shutdown(cancel_futures=True)


# --- a peer that asks for patience


@pytest.mark.parametrize("call", sampled(["log-in", "list", "unsubscribe"], 3))
@pytest.mark.slow
def test_an_interrupt_ends_a_wait_that_the_service_asked_for(call: str, tmp_path: Path) -> None:
    busy = saying(answer(b"later", "429 Too Many Requests", "Retry-After: 99999999999999999999"))
    there = [{"id": "1", "url": f"{RECEIVER}?code={URL_KEY}", "triggerType": "MOVED"}]
    there += [{"id": "2", "url": RECEIVER, "triggerType": "MOVED"}]
    with Wire(service(call, busy, there)) as wire:
        (tmp_path / "hooks.yaml").write_text(HOOKS)
        environ = make_environ(BOX=wire.url, RECEIVER=RECEIVER)
        process = start(("apply", "--yes", "--no-probe", "--no-state", "--format", "json", "-v"), environ, tmp_path)
        assert process.stderr is not None
        while b"-> 429" not in process.stderr.readline():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        measured = finish(process, tmp_path)
        assert [call_in(request) for request in wire.requests].count(call) == 1
    assert measured.code == 130
    assert measured.seconds < 30  # and not the minute that it would wait at most
    json.loads(measured.out)


# --- lists that hold what they should not


_TEXTS = (
    "\x1b[2J\x1b]0;owned\x07",
    "a\r\n::error file=x::owned",
    "\n::set-output name=x::y",
    "##[error]owned",
    "##[set-env name=PATH]/tmp",
    "\u202e\u2066\u200b\ufeff\u2028\u2029",
    "\x00\x08\x7f\x9b31m",
    "``` </details> <script>alert(1)</script> <!-- | @everyone [a](https://evil.example) ![](https://evil.example)",
    "\U0001f480\u00e9\ufffd",
)
_IDS = ("a/b", "../../user/details", "..%2F", "%2e%2e", "a?b=c#d", "a b+c", "\u00e9\U0001f480", "a;b=c\\d", "..", ".")


def hostile_list() -> list[dict[str, object]]:
    """Make a list whose ids, URLs and triggers hold all of it, next to the one that is declared."""
    live: list[dict[str, object]] = [{"id": "1", "url": f"{RECEIVER}?code={URL_KEY}", "triggerType": "MOVED"}]
    live += [{"id": text, "url": f"https://h.example/{text}?k={text}", "triggerType": text} for text in _TEXTS]
    live += [{"id": text * 2000, "url": text * 2000, "triggerType": text * 2000} for text in _TEXTS[:2]]
    live += [
        {"id": identifier, "url": f"https://h.example/{n}", "triggerType": "MOVED"} for n, identifier in enumerate(_IDS)
    ]
    return live


def run_on(live: list[dict[str, object]], folder: Path, *arguments: str) -> tuple[Measured, list[str]]:
    """Run a command on a service that holds this; gives what came of it, and the request lines of the service."""
    with Wire(service("", answer_well, live)) as wire:
        (folder / "hooks.yaml").write_text(HOOKS)
        environ = make_environ(BOX=wire.url, RECEIVER=RECEIVER, GITHUB_ACTIONS="true")
        measured = finish(start(arguments, environ, folder), folder)
        lines = wire.request_lines
    assert "Traceback" not in measured.err
    assert not [hidden for hidden in NEVER_SHOWN if hidden in measured.said]
    return measured, lines


_APPLY = ("apply", "--yes", "--no-probe", "--no-state", "--allow-mass-unsubscribe")


@pytest.mark.parametrize(
    ("arguments", "code"),
    sampled(
        [
            (("plan", "--no-state", "--all"), 3),  # apply would refuse to remove so many
            (("plan", "--no-state", "--all", "--format", "markdown"), 3),
            (_APPLY, 4),  # two ids are no names in a path
            ((*_APPLY, "--format", "markdown"), 4),
            (("export",), 0),
            (("check",), 1),  # nobody answers at the receiver's address
        ],
        3,
    ),
)
@pytest.mark.slow
def test_nothing_in_a_list_steers_a_terminal_or_a_ci_runner(
    arguments: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    measured, _ = run_on(hostile_list(), tmp_path, *arguments)
    assert measured.code == code, measured.said
    assert is_inert(measured.out)
    assert is_inert(measured.err)
    assert "owned" in measured.out or arguments[0] == "check"  # the texts are shown, and do nothing
    if "markdown" in arguments:
        beside_code = re.sub(r"(?ms)^(`{3,})\w*\n.*?^\1$|<code>[^<]*</code>", "", measured.out)
        assert not re.search(r"<(?!/?details|/?summary|!-- hooksync:)|@everyone|\]\(", beside_code)
    if arguments == ("export",):
        assert set(yaml.safe_load(measured.out)) >= {"version", "tenancies"}


def test_nothing_in_a_list_gives_a_command_to_azure_pipelines(tmp_path: Path) -> None:
    command = "##vso[task.setvariable variable=PATH]/tmp"
    measured, _ = run_on([{"id": command, "url": command, "triggerType": command}], tmp_path, "plan", "--no-state")
    assert "task.setvariable" in measured.out
    assert "##vso[" not in measured.said


def test_an_id_goes_out_as_one_segment_of_the_path_whatever_it_holds(tmp_path: Path) -> None:
    live = hostile_list()
    measured, lines = run_on(live, tmp_path, *_APPLY, "--format", "json")
    removed = [line for line in lines if line.startswith("DELETE ")]
    pattern = re.compile(r"DELETE /api/webhook/subscriptions/([\w.~%-]+) HTTP/1\.1", re.ASCII)
    segments = [match[1] for line in removed if (match := pattern.fullmatch(line))]
    assert len(segments) == len(removed), removed
    assert not {"", ".", ".."} & {unquote(segment) for segment in segments}
    wanted = {str(one["id"]) for one in live} - {"1", ".", ".."}
    assert {unquote(segment) for segment in segments} == wanted
    assert len(lines) == 2 + len(wanted) + 1  # nothing else was asked for: no request was smuggled in
    report = json.loads(measured.out)
    failed = [step["id"] for step in report["tenancies"][0]["steps"] if step["outcome"] == "failed"]
    assert sorted(failed) == [".", ".."]
    assert measured.code == 4


# --- a peer that does anything else


@pytest.mark.timeout(240)  # the first of them waits for many
@pytest.mark.parametrize("case", sampled(CASES, 15), ids=str)
def test_whatever_a_peer_does_a_run_ends_in_time_in_little_room_and_gives_nothing_away(
    case: Case, played: Play
) -> None:
    measured = played(case)
    found = complaints(case, measured, played(AT_REST[case.call]).mib)
    assert not found, f"{found}\n{measured.err}\n{measured.out}"
