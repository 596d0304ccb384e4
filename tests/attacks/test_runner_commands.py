"""Texts that are commands to a CI runner or a terminal, in every field that a stranger can fill."""

from __future__ import annotations

import json
from itertools import product

import pytest

from tests.attacks.scene import FIELDS, SHOWN, Scene, leaks, play, steers
from tests.lanes import covering

TEXTS = {
    "an error": "::error file=x,line=1::owned",
    "spaces before it": " \t ::warning::owned",
    "an output on a line of its own": "a\n::set-output name=x::owned",
    "after a carriage return": "a\r::add-mask::owned",
    "after both": "a\r\n::stop-commands::owned",
    "after a next-line": "a\x85::group::owned",
    "after a line separator": "a\u2028::debug::owned",
    "after a form feed": "a\f::endgroup::owned",
    "after a vertical tab": "a\v::save-state name=x::owned",
    "the old form": "a ##[set-env name=PATH]owned",
    "the old form alone": "##[error]owned",
    "Azure": "##vso[task.setvariable variable=PATH]owned",
    "Azure within a line": "a ##VSO[task.complete result=Failed]owned",
    "TeamCity": "##teamcity[message text='owned']",
    "GitLab": "\x1b[0Ksection_start:0:owned\r\x1b[0K",
    "a cleared screen": "\x1b[2Jowned",
    "a title": "\x1b]0;owned\x07",
    "a link": "\x1b]8;;https://evil.example\x1b\\owned\x1b]8;;\x1b\\",
    "the clipboard": "\x1b]52;c;owned\x07",
    "a device control": "\x1bPowned\x1b\\",
    "one character for two": "\x9b31mowned\x9d0;x\x9c",
    "backspaces": "harmful\b\b\b\b\b\b\bowned",
    "a line written over": "harmful\rowned",
    "right to left": "\u202eowned\u202c",
    "isolates": "\u2066owned\u2069\u200f",
    "nothing to be seen": "o\u200bw\u2060n\ufeffe\u00add owned",
    "tags": "owned\U000e0001\U000e0041",
    "null and delete": "\x00owned\x7f",
}
ATTACKS = [
    (field, text, shown)
    for field, (_, places) in FIELDS.items()
    for text, shown in product(TEXTS, places)
]


@pytest.mark.parametrize(("field", "text", "shown"), covering(ATTACKS, every=2))
def test_no_text_of_a_peer_becomes_a_command_to_a_terminal_or_a_ci_runner(
    field: str, text: str, shown: str
) -> None:
    scene = FIELDS[field][0](TEXTS[text])
    seen = play(SHOWN[shown], scene)
    assert steers(seen.shown) == []
    assert leaks(seen.shown) == []
    if "JSON" in shown:
        assert isinstance(seen.run.json, dict)


VISIBLE = {**FIELDS}
del VISIBLE["a URL that is none"]  # hooksync shows nothing of a URL without a host


@pytest.mark.parametrize(
    ("field", "shown"),
    covering([(field, shown) for field, (_, places) in VISIBLE.items() for shown in places]),
)
def test_a_harmless_text_of_a_peer_is_shown(field: str, shown: str) -> None:
    assert "harmless" in play(SHOWN[shown], FIELDS[field][0]("harmless")).shown


# hooks files, whose author may be a stranger; the text, quoted for YAML, replaces {}
HOOKS_PLANTS = {
    "a key": "version: 1\n{}: 1\n",
    "the version": "version: {}\n",
    "a tenancy's name": (
        "version: 1\ntenancies:\n  {}: {{server: a.example, subscriptions: {{}}}}\n"
    ),
    "a setting": "version: 1\ntenancies:\n  a: {{server: a.example, {}: 1, subscriptions: {{}}}}\n",
    "a server": "version: 1\ntenancies:\n  a: {{server: {}, subscriptions: {{}}}}\n",
    "a tenant": (
        "version: 1\ntenancies:\n  a: {{server: a.example, tenant: {}, subscriptions: {{}}}}\n"
    ),
    "a prefix": (
        "version: 1\ntenancies:\n  a: {{server: a.example, owns: [{}], subscriptions: {{}}}}\n"
    ),
    "a subscription's name": (
        "version: 1\ntenancies:\n  a:\n    server: a.example\n    subscriptions:\n      {}:"
        " {{url: 'https://h.example/', trigger: MOVED, secret: {{env: S}}}}\n"
    ),
}
for _name, _setting in {
    "a URL": "url: {}, trigger: MOVED, secret: {{env: S}}",
    "a trigger": "url: 'https://h.example/', trigger: {}, secret: {{env: S}}",
    "a literal secret": "url: 'https://h.example/', trigger: MOVED, secret: {}",
    "a variable": "url: 'https://h.example/', trigger: MOVED, secret: {{env: {}}}",
    "a secret's file": "url: 'https://h.example/', trigger: MOVED, secret: {{file: {}}}",
    "a kind of secret": "url: 'https://h.example/', trigger: MOVED, secret: {{{}: S}}",
    "a flag": (
        "url: 'https://h.example/', trigger: MOVED, secret: {{env: S}}, include_identifiers: {}"
    ),
}.items():
    HOOKS_PLANTS[_name] = (
        "version: 1\ntenancies:\n  a:\n    server: a.example\n    subscriptions:\n      b: {{"
        + _setting
        + "}}\n"
    )


@pytest.mark.parametrize(("field", "text"), covering(product(HOOKS_PLANTS, TEXTS)))
def test_no_text_of_a_hooks_file_becomes_a_command_when_a_pull_request_is_validated(
    field: str, text: str
) -> None:
    hooks = HOOKS_PLANTS[field].format(json.dumps(TEXTS[text]))
    seen = play(("validate",), Scene(hooks=hooks))
    assert seen.requests == ()
    assert steers(seen.shown) == []
    assert all(line.isprintable() for line in seen.shown.split("\n"))
