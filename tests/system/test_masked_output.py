"""Tests that no output and no file shows a secret, even if its format escapes characters."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote

import pytest

from tests.command_line import Run
from tests.conftest import HOOKS, Place
from tests.lanes import sampled
from tests.wire import Wire, answer, saying

VALUES = [f"ab{each}cd{each}ef{each}gh" for each in "_*&<>`\"'\\%$"]
VALUES += [
    "_*&<>`\"'\\%$_*",
    "ab##[error]cd_ef",
    "ab%41cd%5Fef_gh",
    "ab&amp;cd&#95;ef",
    r"ab\u0041cd\_ef",
]
ENVIRON = {f"VALUE_{number}": value for number, value in enumerate(VALUES)}
ALL = " ".join(VALUES)


def declaring_all(hooks: str) -> str:
    """Return a hooks file with a subscription for each secret, and one that causes a warning."""
    lines = [hooks.rstrip("\n")]
    for name in ENVIRON:
        host = name.lower().replace("_", "-")
        lines.append(
            f"      {name}: {{url: 'https://{host}.example/', trigger: MOVED, secret: {{env:"
            f" {name}}}}}"
        )
    lines.append(
        "      doubtful: {url: 'http://h.example/', trigger: MOVED, secret: {env: VALUE_0}}"
    )
    return "\n".join(lines) + "\n"


def readings(text: str) -> Iterator[str]:
    """Yield a text as browsers, decoders of URLs, and programs that read JSON or metrics see it."""
    yield text
    yield html.unescape(text)
    yield html.unescape(re.sub("<[^>]*>", "", text))
    yield unquote(text)
    yield re.sub(r"\\(.)", r"\1", text)
    for document in (text, *text.splitlines()):
        with suppress(ValueError):
            for each in strings(json.loads(document)):
                yield each
                yield html.unescape(each)
                yield unquote(each)


def strings(document: object) -> Iterator[str]:
    match document:
        case str():
            yield document
        case dict():
            for name, each in document.items():
                yield name
                yield from strings(each)
        case list():
            for each in document:
                yield from strings(each)


def shown_in(*texts: str) -> list[str]:
    """Return the secrets that a reader finds in texts."""
    found = {
        value
        for text in texts
        for reading in readings(text)
        for value in VALUES
        if value in reading
    }
    return sorted(found)


WITH_A_NAME = {  # {}: a file name that contains all secrets
    "plan, text": "plan --all -v",
    "plan, JSON": "plan --format json",
    "plan, Markdown": "plan --format markdown",
    "plan, HTML": "plan --format html",
    "plan, metrics": "plan --metrics {}.prom",
    "a saved plan": "plan --out {}.json",
    "apply, text": "apply --yes --no-probe -v",
    "apply, JSON": "apply --yes --no-probe --format json",
    "apply, Markdown": "apply --yes --no-probe --format markdown --report {}.report",
    "notice, JSON": "plan --notify env:WATCHER",
    "notice, Slack": "plan --notify env:WATCHER --notify-as slack",
    "notice, Teams": "plan --notify env:WATCHER --notify-as teams",
    "list, text": "list",
    "list, JSON": "list --format json",
    "check, text": "check",
    "check, JSON": "check --format json",
}


@pytest.mark.parametrize("what", sampled(WITH_A_NAME, 20, 2))
def test_no_format_shows_a_secret_that_a_file_name_contains(what: str, place: Place) -> None:
    (place.folder / ALL).mkdir()
    place.write(declaring_all(HOOKS), f"{ALL}/hooks.yaml")
    given = {*place.folder.rglob("*")}
    place.environ |= ENVIRON
    with Wire(saying(answer(b"ok"))) as wire:
        place.environ["WATCHER"] = f"{wire.url}/notice"
        arguments = [part.format(ALL) for part in WITH_A_NAME[what].split()]
        run = place.run(*arguments, "-f", f"{ALL}/hooks.yaml")
        told = [json.dumps(document) for document in wire.documents]
    files = [
        path.read_text("utf-8")
        for path in place.folder.rglob("*")
        if path.is_file() and path not in given
    ]
    assert shown_in(run.out, run.err, *files, *told) == []
    assert_complete(run, arguments)


def assert_complete(run: Run, arguments: list[str]) -> None:
    """Assert that a run has output, and that masked JSON is still JSON."""
    assert run.out + run.err
    if "json" in arguments and run.out:
        json.loads(run.out)
