"""Values that this run must hide, echoed by a peer in encodings it may meet them in, one within another too."""

from __future__ import annotations

from itertools import product

import pytest

from tests.attacks.conftest import Withstands
from tests.attacks.peers import REFRESH, TOKEN, Case, cases_of
from tests.attacks.scene import ENCODINGS, FIELDS, SHOWN, leaks, play, steers, twice
from tests.command_line import PASSWORD
from tests.conftest import SECRET, URL_KEY
from tests.lanes import sampled

VALUES = {
    "a shared secret": SECRET,
    "a key in a URL": URL_KEY,
    "the password": PASSWORD,
    "the token": TOKEN,
    "the refresh token": REFRESH,
}
OF_THE_SERVICE = ("the token", "the refresh token")  # which tells them with its answer to the log-in
SINGLE = [
    (value, encoding, field, places[number % len(places)])
    for number, (value, encoding, (field, (_, places))) in enumerate(product(VALUES, ENCODINGS, FIELDS.items()))
    if not (value in OF_THE_SERVICE and field == "a refused log-in")
]
NESTED = [
    (value, inner, outer, field)
    for value, inner, outer, field in product(
        ("a shared secret", "the password"),
        ("percent, every byte", "HTML, decimal", "JSON escapes", "base64", "hex", "hex with spaces"),
        ("percent, every byte", "HTML, hex", "JSON escapes", "base64", "base64 for URLs, unpadded", "hex", "UTF-16"),
        ("a refused list", "a refused subscribe", "a URL", "a receiver"),
    )
]


@pytest.mark.parametrize(("value", "encoding", "field", "shown"), sampled(SINGLE, 25))
def test_no_value_of_this_run_comes_back_in_an_encoding(value: str, encoding: str, field: str, shown: str) -> None:
    _attack(ENCODINGS[encoding](VALUES[value]), field, shown)


@pytest.mark.parametrize(("value", "inner", "outer", "field"), sampled(NESTED, 25))
def test_no_value_of_this_run_comes_back_in_an_encoding_within_another(
    value: str, inner: str, outer: str, field: str
) -> None:
    _attack(twice(inner, outer)(VALUES[value]), field, FIELDS[field][1][0])


def _attack(planted: str, field: str, shown: str) -> None:
    seen = play(SHOWN[shown], FIELDS[field][0](f"cannot use {planted} here"))
    assert leaks(seen.shown) == []
    assert steers(seen.shown) == []


@pytest.mark.timeout(240)  # the first of them waits for many
@pytest.mark.parametrize("case", sampled(cases_of("encodings"), 15), ids=str)
def test_an_echo_gives_nothing_away_in_a_whole_process(case: Case, withstands: Withstands) -> None:
    withstands(case)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_judge_sees_a_value_in_each_encoding(value: str, encoding: str) -> None:
    assert VALUES[value] in leaks(f"cannot use {ENCODINGS[encoding](VALUES[value])} here")
