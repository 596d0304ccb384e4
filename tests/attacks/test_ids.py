"""Ids that the service chooses. Each id must stay one segment of the path of a call."""

from __future__ import annotations

import re
from itertools import product
from urllib.parse import unquote

import pytest

from tests.attacks.peers import DECLARED, NOT_DECLARED, RECEIVER
from tests.attacks.scene import FORMATS, Scene, leaks, play, removing, steers
from tests.lanes import covering

IDS = (
    "a/b",
    "../../user/details",
    "..",
    ".",
    "..%2F",
    "%2e%2e",
    "a?b=c",
    "#",
    "%",
    "\0",
    "a\r\nX-Smuggled: yes",
    "a HTTP/1.1\r\nHost: evil.example\r\n\r\nDELETE /api/webhook/subscriptions/9",
    "\u2028",
    "é\U0001f480",
    "http://evil.example/",
    "{id}",
    "${FN_KEY}",
    "-1",
    "A" * 1000,
)
NAMES_NOTHING = (".", "..")  # no path can hold these as a segment
SEGMENT = re.compile(r"DELETE /api/webhook/subscriptions/([\w.~%-]+) HTTP/1\.1", re.ASCII)


@pytest.mark.parametrize(
    ("identifier", "shown_as"),
    covering(product(IDS, FORMATS)),
    ids=ascii,
)
def test_an_id_with_any_characters_stays_one_segment_of_a_path(
    identifier: str, shown_as: str
) -> None:
    live = [DECLARED, {**NOT_DECLARED, "id": identifier}]
    scene = Scene(live, environ={"RECEIVER": RECEIVER})
    seen = play(removing(identifier, "-v", *FORMATS[shown_as]), scene)
    lines = [request.split(b"\r\n")[0].decode("latin-1") for request in seen.requests]
    removed = [
        line
        for line in lines
        if not line.startswith(("POST /api/accesstoken/login ", "GET /api/webhook/"))
    ]
    if identifier in NAMES_NOTHING:
        assert (removed, seen.run.code) == ([], 1)
    else:
        assert [unquote(match[1]) for line in removed if (match := SEGMENT.fullmatch(line))] == [
            identifier
        ]
        assert (len(removed), seen.run.code) == (1, 0)
    # log in, list, list again before the removal, verify: there is no other call
    assert len(lines) == 4 + len(removed)
    assert leaks(seen.shown) == []
    assert steers(seen.shown) == []
