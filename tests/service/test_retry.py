"""The rules for the pauses before a call is repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from threading import Event
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.core.clock import Backoff, Clock
from hooksync.service.http import read_retry_after
from tests.clocks import JumpingClock


def pauses_of(
    jitter: float = 1.0, seconds: float = 1000.0, asked: tuple[float, ...] = (0.0,) * 6
) -> list[float]:
    """Return the pauses before the repeats of a call. `asked`: what each answer asks for."""
    clock = JumpingClock(0.0, jitter)
    backoff = Backoff(seconds, cast(Clock, clock), Event())
    pauses = []
    for least in asked:
        before = clock.now()
        if not backoff.wait(least):
            break
        pauses.append(clock.now() - before)
    return pauses


def test_pauses_double_and_vary_at_random() -> None:
    assert pauses_of(1.0)[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses_of(0.0)[:4] == [0.25, 0.5, 1.0, 2.0]


def test_a_pause_is_as_long_as_the_service_requests_and_never_shorter_than_without() -> None:
    assert pauses_of(asked=(30.0, 0.0)) == [30.0, 1.0]


def test_no_pause_is_longer_than_a_minute() -> None:
    assert pauses_of(asked=(21_600.0, float("inf"))) == [60.0, 60.0]


def test_a_call_is_not_repeated_if_the_service_asks_for_more_time_than_is_left() -> None:
    assert pauses_of(seconds=90.0, asked=(60.0, 60.0)) == [60.0]


@given(st.floats(0, 1), st.floats(0, 1000), st.lists(st.floats(0), max_size=10))
def test_pauses_are_never_negative_nor_beyond_the_bounds(
    jitter: float, seconds: float, asked: list[float]
) -> None:
    pauses = pauses_of(jitter, seconds, tuple(asked))
    assert all(0 <= pause <= 60 + 1e-6 for pause in pauses)
    assert sum(pauses) <= seconds + 1e-6


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("9" * 5000, 0.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("٣", 0.0),
        ("²", 0.0),
        ("5, 5", 0.0),
        ("Mon, 01 Mar 2021 11:00:00 GMT", 0.0),
        ("9" * 30, 21_600.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
    ],
)
def test_both_forms_of_retry_after_are_read_and_nothing_else(
    header: str | None, seconds: float
) -> None:
    assert read_retry_after(header) == seconds


@given(
    st.text()
    | st.from_regex(
        r"\A[A-Za-z]{0,4},? ?\d{1,5}[ -][A-Za-z]{1,5}[ -]\d{1,5} [\d:]{0,9} ?[-+\dA-Z]{0,24}\Z"
    )
)
def test_no_header_breaks_the_reader(header: str) -> None:
    assert read_retry_after(header) >= 0


@given(st.integers(60, 20_000))
def test_a_date_in_retry_after_is_read_as_the_seconds_until_then(seconds: int) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    asked = read_retry_after(format_datetime(moment, usegmt=True))
    assert seconds - 30 < asked <= seconds
