"""Weak secrets raise a doubt, and generated secrets are strong."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.config.secret_sources import doubt_about
from hooksync.core.model import Location, Secret, SecretRef
from tests.conftest import SECRET, Place
from tests.makers import HERE

REF = SecretRef("env", "HOOK_SECRET", HERE)
SHORT = "secret env:HOOK_SECRET is shorter than 16 bytes"
WORDS = "secret env:HOOK_SECRET consists of words that people try first"
FEW = "secret env:HOOK_SECRET has fewer than 8 different characters"


def doubts(value: str, ref: SecretRef = REF) -> list[str]:
    doubt = doubt_about(Secret(value), ref)
    return [doubt.what] if doubt else []


@pytest.mark.parametrize(
    ("doubt", "values"),
    [
        (FEW, ["a" * 32, "changeme" * 3, "12341234123412341234"]),
        (SHORT, ["changeme", "Xk3!q", "P@ssword1", "Xk3!qPz91mVb$%w", "ééééééé1"]),
        (
            None,
            [
                SECRET,
                "Xk3!qPz91mVb$%wR",
                "correct horse battery staple",
                "31415926535897932384",
                "mysecretgarden-77-x",
            ],
        ),
    ],
)
def test_a_secret_is_doubted_only_if_it_is_easy_to_guess(
    doubt: str | None, values: list[str]
) -> None:
    for value in values:
        assert doubts(value) == [doubt] * (doubt is not None)


def test_a_doubt_has_the_place_of_its_reference() -> None:
    where = Location("hooks.yaml", 12, 15)
    problem = doubt_about(Secret("secret"), SecretRef("file", "/run/secrets/hook", where))
    assert str(problem).startswith("hooks.yaml:12:15: secret file:/run/secrets/hook ")


@given(st.text(min_size=1))
def test_a_doubt_never_shows_the_value_or_its_length(value: str) -> None:
    assert set(doubts(value)) <= {FEW, SHORT, WORDS}


def test_secret_generate_prints_a_new_strong_secret_and_nothing_else(place: Place) -> None:
    runs = [place.run("secret", "generate") for _ in range(20)]
    assert {(run.code, run.err) for run in runs} == {(0, "")}
    assert len({run.out for run in runs}) == 20
    for run in runs:
        assert re.fullmatch(r"[\w-]{43}\n", run.out, re.ASCII)
        assert not doubts(run.out.strip())
