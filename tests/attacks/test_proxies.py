"""Proxies: a hostile proxy, the credentials of a proxy, and the calls that must not use one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest

from tests.attacks import scene
from tests.attacks.peers import HOOKS, NEVER_SHOWN
from tests.attacks.scene import PLAN, Scene, leaks, play, steers
from tests.lanes import covering
from tests.wire import Wire, answer, cutting, saying

USER, PASSWORD = "pr0xy-user-0123456789", "pr0xy-passw0rd-0123456789"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
ARCHIVE = HOOKS.replace("${BOX}", "https://archive.example")
# all but drafts, which read no hooks file
COMMANDS = {name: command for name, command in scene.COMMANDS.items() if "init" not in command}
_OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"
ANSWERS = {  # to CONNECT
    "a redirect": answer(b"", "302 Found", "Location: http://127.0.0.1:1/take"),
    "a redirect that keeps the method": answer(
        b"", "307 Elsewhere", "Location: https://evil.example/"
    ),
    "a question for credentials": answer(
        b"", "407 Who", f'Proxy-Authenticate: Basic realm="{BASIC}"'
    ),
    "a question for the server's": answer(b"", "401 Who", 'WWW-Authenticate: Basic realm="x"'),
    "a question by another scheme": answer(b"", "407 Who", "Proxy-Authenticate: NTLM"),
    "an echo in the status": (
        f"HTTP/1.1 403 {USER}:{PASSWORD} {BASIC}\r\nContent-Length: 0\r\n\r\n".encode()
    ),
    "an echo in a header": answer(b"", "502 Bad Gateway", f"X-Said: {USER}:{PASSWORD} {BASIC}"),
    "an echo in the body": answer(f"{USER}:{PASSWORD} {BASIC}".encode(), "502 Bad Gateway"),
    "a runner's command in the status": b"HTTP/1.1 403 ::error::owned\r\nContent-Length: 0\r\n\r\n",
    "a terminal's command in the status": (
        b"HTTP/1.1 403 \x1b[2J##vso[x]owned\r\nContent-Length: 0\r\n\r\n"
    ),
    "a cookie": answer(b"", "500 No", "Set-Cookie: a=b"),
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
}
DIRECT = {  # none of these leads calls to loopback through a proxy
    "HTTP_PROXY": {},
    "http_proxy": {},
    "HTTPS_PROXY": {},
    "ALL_PROXY": {},
    "all_proxy": {},
    "HTTP_PROXY and a NO_PROXY": {"NO_PROXY": "example.org"},
    "HTTP_PROXY and an empty NO_PROXY": {"NO_PROXY": ""},
}


def _through(proxy: Wire, *names: str) -> Mapping[str, str]:
    return dict.fromkeys(names, proxy.url.replace("//", f"//{USER}:{PASSWORD}@"))


def _attack(said: bytes, command: str) -> None:
    with Wire(cutting(said)) as proxy:
        environ = {
            **_through(proxy, "HTTPS_PROXY", "HTTP_PROXY"),
            "RECEIVER": "https://hooks.example.org",
        }
        seen = play((*COMMANDS[command], "--timeout", "2"), Scene(hooks=ARCHIVE, environ=environ))
        sent = b"".join(proxy.requests).decode("latin-1")
        assert {line.split(" ")[0] for line in proxy.request_lines} == {"CONNECT"}
    assert seen.run.code == 1
    assert seen.requests == ()
    assert not [value for value in NEVER_SHOWN if value in sent]
    assert leaks(seen.shown, (*NEVER_SHOWN, USER, PASSWORD, BASIC)) == []
    assert steers(seen.shown) == []


@pytest.mark.parametrize(("said", "command"), covering(product(ANSWERS, COMMANDS)))
def test_a_hostile_proxy_gets_no_secret_and_no_command_shows_one(said: str, command: str) -> None:
    _attack(ANSWERS[said], command)


@pytest.mark.parametrize(
    ("variables", "command", "host"),
    covering(product(DIRECT, COMMANDS, ("127.0.0.1", "localhost"))),
)
def test_no_proxy_is_used_for_calls_to_this_machine(
    variables: str, command: str, host: str
) -> None:
    with Wire(saying(answer(b"{}"))) as proxy:
        environ = {**_through(proxy, variables.partition(" ")[0]), **DIRECT[variables]}
        seen = play(COMMANDS[command], Scene(environ=environ, host=host))
        assert proxy.connections == 0
    assert seen.requests
    assert b"proxy-authorization" not in b"".join((*seen.requests, *seen.challenges)).lower()
    assert leaks(seen.shown, (*NEVER_SHOWN, USER, PASSWORD, BASIC)) == []


def test_an_env_file_leads_no_password_through_a_proxy(tmp_path: Path) -> None:
    variables = tmp_path / "variables.env"
    with Wire(saying(_OPEN)) as proxy:
        lines = (f"{name}={proxy.url}\n" for name in ("HTTPS_PROXY", "http_proxy", "ALL_PROXY"))
        variables.write_text("".join(lines))
        archive = Scene(hooks=ARCHIVE, environ={"RECEIVER": "https://hooks.example.org"})
        play((*PLAN, "--timeout", "2", "--env-file", str(variables)), archive)
        assert proxy.connections == 0
