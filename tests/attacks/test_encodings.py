"""Values that this run must hide, echoed by a peer in one level of each encoding."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from tests.attacks.peers import REFRESH, TOKEN
from tests.attacks.scene import ENCODINGS, FIELDS, SHOWN, leaks, play, steers
from tests.command_line import PASSWORD
from tests.conftest import SECRET, URL_KEY
from tests.lanes import covering

VALUES = {
    "a shared secret": SECRET,
    "a key in a URL": URL_KEY,
    "the password": PASSWORD,
    "the token": TOKEN,
    "the refresh token": REFRESH,
}
# values that the service sends in its answer to the log-in
OF_THE_SERVICE = (
    "the token",
    "the refresh token",
)
SINGLE = [
    (value, encoding, field, places[number % len(places)])
    for number, (value, encoding, (field, (_, places))) in enumerate(
        product(VALUES, ENCODINGS, FIELDS.items())
    )
    if not (value in OF_THE_SERVICE and field == "a refused log-in")
    # both read no hooks file, so the run holds none of its values
    if places[number % len(places)] not in ("draft", "init")
]


@pytest.mark.parametrize(("value", "encoding", "field", "shown"), covering(SINGLE))
def test_no_command_shows_an_encoded_value_of_the_run(
    value: str, encoding: str, field: str, shown: str
) -> None:
    _attack(ENCODINGS[encoding](VALUES[value]), field, shown)


UNSENT = {  # values that no call has sent, but that a peer may have from elsewhere
    "HOOKSYNC_PLAN_KEY": ("pl4n-key-0123456789-abcdef",),
    "PRESERVICA_2FA_TOKEN": ("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",),
    "HTTPS_PROXY": ("pr0xy-user-0123456789", "pr0xy-passw0rd-0123456789"),
}


@pytest.mark.parametrize(
    ("variable", "encoding", "field"),
    covering(
        product(UNSENT, ENCODINGS, ("a refused log-in", "a refused list", "a URL")),
        key=lambda row: (row[0], row[2]),
    ),
)
def test_a_value_that_was_not_sent_is_hidden_too(variable: str, encoding: str, field: str) -> None:
    values = UNSENT[variable]
    scene = FIELDS[field][0]("-".join(map(ENCODINGS[encoding], values)))
    value = f"http://{':'.join(values)}@127.0.0.1:1" if len(values) > 1 else values[0]
    seen = play(SHOWN["plan, text"], replace(scene, environ={**scene.environ, variable: value}))
    assert leaks(seen.shown, values) == []


def _attack(planted: str, field: str, shown: str) -> None:
    seen = play(SHOWN[shown], FIELDS[field][0](f"cannot use {planted} here"))
    assert leaks(seen.shown) == []
    assert steers(seen.shown) == []


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_the_judge_of_leaks_finds_a_value_in_each_encoding(value: str) -> None:
    for encode in ENCODINGS.values():
        assert value in leaks(f"cannot use {encode(value)} here")
