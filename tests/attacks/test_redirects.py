"""Redirects: no token, no password and no secret reaches the target of a redirect."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from tests.attacks.peers import DECLARED, NOT_DECLARED, RECEIVER, UNPROBED
from tests.attacks.scene import APPLY, CALLS, PLAN, Scene, leaks, play, removing, steers
from tests.lanes import covering
from tests.wire import Wire, answer, saying

STATUSES = (300, 301, 302, 303, 305, 306, 307, 308, 399)
PLACES = {  # headers that direct a client elsewhere
    "another server": "Location: http://127.0.0.1:{port}/take",
    "another name of this machine": "Location: http://localhost:{port}/take",
    "no scheme": "Location: //127.0.0.1:{port}/take",
    "backslashes": "Location: \\\\127.0.0.1:{port}\\take",
    "one slash": "Location: http:/127.0.0.1:{port}/take",
    "user information": "Location: http://a:b@127.0.0.1:{port}/take",
    "another path": "Location: /api/entity/take",
    "a climbing path": "Location: ../../../take",
    "nowhere": "Location: ",
    "a file": "Location: file:///etc/passwd",
    "a script": "Location: javascript:alert(1)",
    "two places": "Location: /api/take\r\nLocation: http://127.0.0.1:{port}/take",
    "a page that loads another": "Refresh: 0; url=http://127.0.0.1:{port}/take",
    "another service": 'Alt-Svc: http/1.1="127.0.0.1:{port}"; ma=600',
}
COMMANDS = {
    "log-in": PLAN,
    "list": PLAN,
    "subscribe": APPLY,
    "unsubscribe": removing(NOT_DECLARED["id"]),
    "receiver": APPLY,
    "check": ("check",),
}
API = ("/api/accesstoken/login", "/api/webhook/subscriptions")
ATTACKS = [(call, status, place) for call, status, place in product(COMMANDS, STATUSES, PLACES)]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Wire]:
    with Wire(saying(answer(b"{}"))) as wire:
        yield wire


@pytest.mark.parametrize(("call", "status", "place"), covering(ATTACKS))
def test_no_redirect_is_followed(call: str, status: int, place: str, elsewhere: Wire) -> None:
    said = saying(answer(b"", f"{status} Elsewhere", PLACES[place].format(port=elsewhere.port)))
    live = [DECLARED, NOT_DECLARED] if call == "unsubscribe" else []
    if call in CALLS:
        scene = Scene(live, call, said, hooks=UNPROBED, environ={"RECEIVER": RECEIVER})
        seen = play(COMMANDS[call], scene)
    else:
        seen = play(COMMANDS[call], Scene(live, receiver=said))
    assert elsewhere.connections == 0
    assert seen.run.code in (1, 3, 4)
    assert "redirect" in seen.run.out + seen.run.err
    paths = {request.split(b" ")[1].split(b"?")[0].decode() for request in seen.requests}
    # hooksync requests no other path of the service
    assert all(path == "/" or path.startswith(API) for path in paths)
    assert {request.split(b" ")[1].split(b"?")[0] for request in seen.challenges} <= {b"/"}
    assert leaks(seen.shown) == []
    assert steers(seen.shown) == []
