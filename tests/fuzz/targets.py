"""The functions that read bytes from outside, each with the conditions that it must fulfil.

A target takes bytes and returns outlines of the results, so the fuzzer recognises a new result. A
target raises Broken if a condition does not hold. It also passes on any exception that the function
should not have raised.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO

from hooksync.api.promise import differences
from hooksync.api.saved_plan import age_problem, read_saved_plan
from hooksync.config.declarations import TenancyDeclaration
from hooksync.config.document import read_document
from hooksync.config.files import read_sources
from hooksync.config.resolve import resolve
from hooksync.config.yaml_loader import has_fast_parser, read_yaml
from hooksync.core.errors import FileError, Refused
from hooksync.core.record import replace
from hooksync.core.signing import PlanKey
from hooksync.output.json_text import digest
from hooksync.output.plan_json import signature_of
from hooksync.output.text import plan_lines
from hooksync.output.view import RunView
from hooksync.receiver import sign_challenge
from hooksync.receivers.challenges import judge_answer
from hooksync.service import responses as answers
from hooksync.service.http import read_retry_after
from hooksync.state.format import Inspected, Integrity, read_state, state_text
from tests.fuzz.checks import LITERAL, check_problems, demand, outline, yaml_lines

Target = Callable[[bytes], frozenset[str]]

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = PlanKey(b"a-key-that-signs-plans-0123456789")
CODE = "challenge-0123456789"
SECRET = b"a-secret-that-no-message-repeats"
SIGNATURE = sign_challenge(SECRET, CODE.encode())
ENVIRON = {
    "FN_KEY": "k3y",
    "HOST": "fn.example.net",
    "LINES": "a\nb",
    "NUL": "\0",
    "HALF": "\udc80",
    "EMPTY": "",
    "PRESERVICA_SERVER": "eu.preservica.com",
}

_PURE_SHARE = 4  # one in so many inputs is also read with the slow pure Python parser
_LONGEST_FOR_PURE = 4096  # bytes
_STATUSES = (200, 204, 302, 401, 404, 429, 503)


def read_hooks_file(data: bytes) -> frozenset[str]:
    """Read a hooks file, from bytes to tenancies."""
    if has_fast_parser and len(data) <= _LONGEST_FOR_PURE and len(data) % _PURE_SHARE == 0:
        with suppress(FileError):
            read_yaml("<stdin>", data, fast=False)
    try:
        document = read_document(read_sources(["-"], BytesIO(data)))
    except FileError as error:
        return check_problems(error.problems, yaml_lines(data))
    said = check_problems(document.warnings, yaml_lines(data)) if document.warnings else frozenset()
    return frozenset({"valid", *said, *_resolved(document.tenancies, data)})


def _resolved(entries: tuple[TenancyDeclaration, ...], data: bytes) -> frozenset[str]:
    try:
        resolve(entries, ENVIRON)
    except FileError as error:
        return check_problems(error.problems, yaml_lines(data))
    return frozenset({"resolved"})


def read_answers(data: bytes) -> frozenset[str]:
    """Read an answer of the service as each kind of answer."""
    return frozenset(f"{read.__name__}: {_answer(read, data)}" for read in _READERS)


def read_subscriptions(data: bytes) -> object:
    return answers.read_subscriptions(data, {})


_READERS = (
    answers.read_log_in,
    answers.read_refusal,
    read_subscriptions,
    answers.read_created,
)


def _answer(read: Callable[[bytes], object], data: bytes) -> str:
    try:
        found = read(data)
    except answers.NotUnderstood as error:
        said = str(error)
        demand(
            said.isprintable() and len(said) < 150 and LITERAL not in said,
            "an error quotes the answer",
            said,
        )
        return said
    if isinstance(found, answers.LogIn):
        shown = repr(replace(found, tenant=None, message=None))
        demand(LITERAL not in shown, "a repr shows a token")
    for text in _texts(found):
        text.encode()  # fails for half a character, which can be neither sent nor shown
    return type(found).__name__


def _texts(found: object) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, tuple):
        for each in found:
            yield from (each.id, each.url.full, each.url.shown, each.key.url, each.trigger.short)
    elif isinstance(found, answers.LogIn):
        for text in (found.token, found.refresh_token, found.continuation, found.tenant):
            yield text or ""


def read_receiver(data: bytes) -> frozenset[str]:
    """Judge a receiver's answer to a challenge, with several status codes."""
    kinds = set()
    for status in _STATUSES:
        reading = judge_answer(status, data, CODE, SECRET)
        demand(
            reading.state in ("ready", "wrong-secret", "wrong-answer", "unreachable"),
            "a state that is none",
        )
        said = reading.detail + reading.fix
        demand(said.isprintable() and len(said) < 400, "a detail cannot be shown")
        demand(
            not any(text in said for text in (LITERAL, SECRET.decode(), SIGNATURE)),
            "a detail quotes the answer",
        )
        demand(
            bool(said) != (reading.state == "ready"), "a fault says nothing, or no fault something"
        )
        kinds.add(reading.state)
    return frozenset(kinds)


def read_state_file(data: bytes) -> frozenset[str]:
    """Read a state, and demand that it is the same after it is written and signed."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return frozenset({"not UTF-8"})  # the state store refuses these bytes before `read_state`
    try:
        state = read_state(text, "hooks.state.json")
    except FileError as error:
        return check_problems(error.problems, text.split("\n"))
    demand(
        read_state(state_text(state), "hooks.state.json") == state,
        "a state does not survive being written",
    )
    signed = Integrity(KEY).inspect(state_text(state, KEY), "hooks.state.json")
    demand(signed == Inspected(state), "a state does not survive being signed")
    return frozenset({"a state"})


def read_plan(data: bytes) -> frozenset[str]:
    """Read a saved plan unchanged, and again with a valid digest and signature."""
    said: frozenset[str] = frozenset()
    for text in (data, *_sealed(data)):
        said |= _plan(text, None, None) | _plan(text, KEY, timedelta(days=1))
    return said


def _sealed(data: bytes) -> Iterator[bytes]:
    with suppress(ValueError, RecursionError):
        document = json.loads(data)
        if isinstance(document, dict):
            document["signature"] = signature_of(document, KEY)
            document["digest"] = digest(
                {name: value for name, value in document.items() if name != "digest"}
            )
            yield json.dumps(document).encode()


def _plan(text: bytes, key: PlanKey | None, max_age: timedelta | None) -> frozenset[str]:
    try:
        saved = read_saved_plan(text, "plan.json", key)
        if problem := age_problem(saved, "plan.json", max_age, NOW):
            raise Refused(problem)
    except (FileError, Refused) as error:
        for problem in error.problems:
            demand(LITERAL not in str(problem), "a message repeats a secret", problem)
            demand(problem.what.isprintable(), "a message cannot be shown", problem)
        return frozenset(outline(problem.what) for problem in error.problems)
    demand(
        "".join(text for _, text in plan_lines(saved.view)).isprintable(), "a plan cannot be shown"
    )
    for problem in differences(saved.promise, RunView((), saved.view.created_at, "hooks.yaml")):
        demand(problem.what.isprintable(), "a message cannot be shown", problem)
    return frozenset({"a plan"})


def read_header(data: bytes) -> frozenset[str]:
    """Read a Retry-After header, decoded as the HTTP library decodes it."""
    seconds = read_retry_after(data.decode("latin-1"))
    if seconds is None:
        return frozenset({"none"})
    demand(type(seconds) is float and seconds >= 0, "a wait that is none", seconds)
    return frozenset({f"{len(str(int(min(seconds, 1e12))))} digits"})


TARGETS: dict[str, Target] = {
    "yaml": read_hooks_file,
    "answers": read_answers,
    "receiver": read_receiver,
    "state": read_state_file,
    "plan": read_plan,
    "header": read_header,
}
