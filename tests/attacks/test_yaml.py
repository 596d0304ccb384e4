"""Harmful hooks files: bombs, tags that run code, files with two meanings, and secrets in the wrong
place.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from tests.attacks.scene import Scene, leaks, play, steers
from tests.conftest import make_environ
from tests.lanes import covering, nightly, sampled
from tests.measured import HOOKSYNC, finish, start

_GOOD = "version: 1\ntenancies: {a: {server: a.example, subscriptions: {}}}\n"


def _laughs(item: str) -> str:
    lines = [f"x-0: &a0 {item}"]
    lines += [f"x-{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    return "version: 1\n" + "\n".join(lines) + "\ntenancies: *a29\n"


BOMBS = {
    "a billion laughs": _laughs("[lol]"),
    "a billion merges": (
        "version: 1\n"
        + "x-0: &m0 {a: 1}\n"
        + "".join(
            f"x-{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}, *m{n - 1}], k{n}: 1}}\n"
            for n in range(1, 30)
        )
        + "tenancies: *m29\n"
    ),
    "an alias of itself": "version: 1\ntenancies: &a {b: *a}\n",
    "a merge of itself": "version: 1\ntenancies: &a\n  <<: *a\n",
    "an alias of nothing": "version: 1\ntenancies: *nothing\n",
    "many aliases": "version: 1\nx-a: &a [1]\ntenancies: [" + "*a, " * 200_000 + "*a]\n",
    "deep lists": "version: 1\ntenancies: " + "[" * 50_000,
    "deep mappings": "version: 1\ntenancies: " + "{a: " * 50_000,
    "deep blocks": "version: 1\ntenancies:\n" + "".join(" " * n + "a:\n" for n in range(1, 2_000)),
    "many tag directives": (
        "".join(f"%TAG !{n}! tag:example,{n}:\n" for n in range(100_000)) + "---\n" + _GOOD
    ),
    "a version directive": "%YAML 1.1\n---\n" + _GOOD,
    "an unknown directive": "%EVIL x\n---\n" + _GOOD,
    "many documents": "---\n" * 100_000,
    "a long name": f"version: 1\ntenancies: {{{'x' * 1000}: 1}}\n",
    "many keys": "version: 1\ntenancies:\n" + "".join(f"  t{n}: 1\n" for n in range(100_000)),
    "a huge number": f"version: {'9' * 1_000_000}\n",
}
TAGS = {
    name: f"version: 1\ntenancies: {text}\n"
    for name, text in {
        "a call": '!!python/object/apply:os.system ["touch owned"]',
        "an include": "!include /etc/passwd",
        "a value of the environment": "!env CATALOGUE_SECRET",
        "binary": "!!binary aGVsbG8=",
    }.items()
}
TWO_MEANINGS = {
    "two keys alike": _GOOD + "tenancies: {}\n",
    "two keys alike in another spelling": (
        "version: 1\ntenancies: {a: {server: a.example, 'server': b.example}}\n"
    ),
    "two keys alike by an alias": (
        "version: 1\nx-k: &k server\ntenancies: {a: {server: a.example, *k : b.example}}\n"
    ),
    "two keys alike by an escape": (
        'version: 1\ntenancies: {a: {server: a.example, "\\x73erver": b.example}}\n'
    ),
    "a version that is true": "version: yes\ntenancies: {}\n",
    "a version that is a float": "version: 1.0\ntenancies: {}\n",
    "a version in octal": "version: 01\ntenancies: {}\n",
    "a server that is a number": "version: 1\ntenancies: {a: {server: 1234, subscriptions: {}}}\n",
    "a tenant that is false": (
        "version: 1\ntenancies: {a: {server: a.example, tenant: NO, subscriptions: {}}}\n"
    ),
    "a tenant in octal": (
        "version: 1\ntenancies: {a: {server: a.example, tenant: 0123, subscriptions: {}}}\n"
    ),
    "a tenant in base 60": (
        "version: 1\ntenancies: {a: {server: a.example, tenant: 12:30:45, subscriptions: {}}}\n"
    ),
    "a tenant that is a date": (
        "version: 1\ntenancies: {a: {server: a.example, tenant: 2001-12-14}}\n"
    ),
    "half a character": 'version: 1\ntenancies: {"\\ud800": 1}\n',
    "no desired state": "version: 1\n",
}
FILES = {**BOMBS, **TAGS, **TWO_MEANINGS}
COMMANDS = {
    "validate": ("validate",),
    "plan": ("plan", "--no-state"),
    "apply": ("apply", "--yes"),
    "check": ("check",),
    "list": ("list", "-f", "hooks.yaml"),
}
ATTACKS = [
    (file, command)
    for file, command in product(FILES, COMMANDS)
    if command == "validate" or file != "many keys"  # it takes seconds
]
PLACE = re.compile(r"^(?:error: )?hooks\.yaml(?::\d+:\d+)?: ", re.MULTILINE)


@pytest.mark.parametrize(
    ("file", "command"),
    covering(ATTACKS, every=2),
)
def test_a_harmful_hooks_file_is_refused_at_its_line_before_anything_is_sent(
    file: str, command: str
) -> None:
    seen = play(COMMANDS[command], Scene(hooks=FILES[file]))
    assert seen.run.code == 1
    assert PLACE.search(seen.run.err), seen.run.err[:500]
    assert "internal error" not in seen.run.err
    assert len(seen.shown) < 200_000  # hooksync shows a thousand problems, and counts the others
    assert seen.requests == seen.challenges == ()
    assert seen.files == {}  # no tag ran a program that writes a file
    assert leaks(seen.shown) == []
    assert steers(seen.shown) == []


_IN_A_PROCESS = ("a billion laughs", "deep blocks", "many keys")


@pytest.mark.parametrize(
    "file",
    [*sampled(_IN_A_PROCESS, 3), *nightly(each for each in BOMBS if each not in _IN_A_PROCESS)],
)
def test_a_bomb_of_a_hooks_file_takes_little_memory(file: str, tmp_path: Path) -> None:
    (tmp_path / "hooks.yaml").write_text(BOMBS[file], encoding="utf-8")
    measured = finish(start((*HOOKSYNC, "validate"), make_environ(), tmp_path), tmp_path)
    assert measured.code == 1
    assert measured.mib < 200


LITERAL = "hunter2/hunter2-0123456789"
SUBSCRIPTION = "subscriptions: {b: {url: 'https://h.example/', trigger: MOVED, SETTING}}"
OF_A_SUBSCRIPTION = (
    "secret: LITERAL",
    "secret: {value: LITERAL}",
    "secret: {LITERAL: x}",
    "secret: [LITERAL]",
    "secret: {env: LITERAL}",
    "secret: {env: S, literal: LITERAL}",
    "secret: {env: S, default: LITERAL}",
    "password: LITERAL",
    "secret: {env: S}, include_identifiers: LITERAL",
    "secret: {env: S}, triggers: {key: LITERAL}",
)
LITERALS = [
    *(SUBSCRIPTION.replace("SETTING", setting) for setting in OF_A_SUBSCRIPTION),
    "subscriptions: {}, credentials: {username: LITERAL}",
    "subscriptions: {}, credentials: {password: LITERAL}",
    "subscriptions: {}, credentials: {totp: LITERAL}",
    "subscriptions: {}, credentials: {shared_key: LITERAL}",
]


@pytest.mark.parametrize(
    ("settings", "command", "quote"), covering(product(LITERALS, COMMANDS, ("", "'", '"')))
)
def test_a_literal_secret_in_a_hooks_file_is_an_error_that_does_not_repeat_it(
    settings: str, command: str, quote: str
) -> None:
    written = settings.replace("LITERAL", f"{quote}{LITERAL}{quote}")
    hooks = f"version: 1\ntenancies:\n  a: {{server: a.example, {written}}}\n"
    seen = play(COMMANDS[command], Scene(hooks=hooks))
    assert seen.run.code == 1
    assert seen.requests == ()
    assert leaks(seen.shown, (LITERAL,)) == []
