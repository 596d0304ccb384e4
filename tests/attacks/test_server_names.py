"""Names of servers that look like a different server, or like this machine. hooksync refuses them
before it sends anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

import pytest

from tests.attacks.peers import HOOKS
from tests.attacks.scene import Scene, leaks, play, steers
from tests.lanes import covering

# http to these hosts would send the password over a network
NOT_THIS_MACHINE = (
    "evil.localhost",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "localhost.",
    "0.0.0.0",
    "[::]",
)
NO_NAME = (  # URLs that are invalid, or that readers resolve differently; {port} becomes 443
    "https://127.0.0.1:{port}@evil.example",
    "https://evil.example\\@127.0.0.1:{port}",
    "https://evil.example#@127.0.0.1:{port}",
    "https:/127.0.0.1:{port}",
    "http://127.1:{port}",  # operating systems read these as addresses
    "http://2130706433:{port}",
    "http://0x7f000001:{port}",
    "http://0177.0.0.1:{port}",
    "http://127.0.0.256:{port}",
    "https://",
    "https://:{port}",
    "https://evil.example:{port}:80",
    "https://evil.example:99999",
    "https://evil.example:\u0661\u0662",  # digits of a different script
    "https://[::1]evil.example",
    "https://evil\n.example",
    "https://evil\u200b.example",
    "https://evil^.example",
    "https://evil%2f.example",
    "ftp://evil.example",
    "javascript:alert(1)",
    "//evil.example",
)
LOOK_ALIKE = (
    "eu.preserv\u0456ca.com",  # a Cyrillic i
    "eu.pre\u017fervica.com",  # a long s, which becomes an s
    "eu.preservica\u3002com",  # an ideographic full stop
    "eu.preservica.com\u2044x.evil.example",  # a fraction slash
    "b\u00fccher.example",
    "e\u0301u.preservica.com",
)
COMMANDS = ("validate", "plan", "apply", "check", "list")
SOURCES = ("in the file", "in the environment", "as a default")


def _scene(server: str, source: str) -> Scene:
    bare = "".join(
        each if each.isprintable() and each not in '\\"' else f"\\U{ord(each):08x}"
        for each in server
    )
    written = {
        "in the file": f'"{bare}"',
        "in the environment": "${SERVER}",
        "as a default": "${SERVER}",
    }[source]
    hooks = HOOKS.replace("${BOX}", written)
    if source == "as a default":
        hooks = hooks.replace("    server: ${SERVER}\n", "")
    name = "PRESERVICA_SERVER" if source == "as a default" else "SERVER"
    return Scene(hooks=hooks, environ={} if source == "in the file" else {name: server})


def _arguments(command: str) -> tuple[str, ...]:
    return (
        command,
        *(("--yes",) if command == "apply" else ()),
        *(() if command == "validate" else ("--timeout", "1")),
    )


def _refused(command: str, server: str, source: str, code: int = 1) -> None:
    """Assert that a server is refused before anything is sent."""
    seen = play(_arguments(command), _scene(server, source))
    assert seen.requests == seen.challenges == ()
    assert leaks(seen.shown) == []
    assert steers(seen.shown) == []
    assert seen.run.code == code, seen.shown
    assert "server" in seen.run.err
    assert "resolve" not in seen.run.err  # the name was not even looked up


def _attacks(names: Iterable[str]) -> list[Any]:
    """Combine names with commands and sources.

    `validate` reads no environment, and a variable cannot hold a null character.
    """

    rows = [
        row
        for row in product(names, COMMANDS, SOURCES)
        if row[2] == SOURCES[0] or (row[1] != "validate" and "\0" not in row[0])
    ]

    return covering(rows)


@pytest.mark.parametrize(("name", "command", "source"), _attacks(NOT_THIS_MACHINE))
def test_plain_http_is_refused_for_a_name_that_only_looks_like_this_machine(
    name: str, command: str, source: str
) -> None:
    # the policy refuses a host that it does not list
    _refused(command, f"http://{name}:8080", source, 1 if command == "validate" else 3)


@pytest.mark.parametrize(("url", "command", "source"), _attacks(NO_NAME), ids=ascii)
def test_an_invalid_or_ambiguous_url_of_a_server_is_refused(
    url: str, command: str, source: str
) -> None:
    _refused(command, url.replace("{port}", "443"), source)


@pytest.mark.parametrize(("host", "command", "source"), _attacks(LOOK_ALIKE), ids=ascii)
def test_a_host_that_looks_like_a_different_host_is_refused(
    host: str, command: str, source: str
) -> None:
    _refused(command, f"https://{host}", source)
