"""The rules for repeating a call: pure arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooksync.service.http import RetryPolicy, read_retry_after


def policy(jitter: float) -> RetryPolicy:
    return RetryPolicy(jitter=lambda: jitter)


def test_a_call_is_repeated_four_times_at_most() -> None:
    assert [policy(1.0).wait(repeat, 0, None) is not None for repeat in range(6)] == [True] * 4 + [
        False
    ] * 2


def test_waits_double_and_vary_at_random() -> None:
    assert [policy(1.0).wait(repeat, 0, None) for repeat in range(4)] == [0.5, 1.0, 2.0, 4.0]
    assert [policy(0.0).wait(repeat, 0, None) for repeat in range(4)] == [0.25, 0.5, 1.0, 2.0]


def test_a_wait_is_as_long_as_the_service_requests() -> None:
    assert policy(0.5).wait(0, 0, 30.0) == 30.0


def test_a_wait_is_not_shortened_if_the_service_requests_none() -> None:
    assert policy(1.0).wait(3, 0, 0.0) == 4.0


def test_no_wait_is_longer_than_a_minute() -> None:
    assert policy(0.5).wait(0, 0, 21_600.0) == 60.0
    assert policy(0.5).wait(0, 0, float("inf")) == 60.0


def test_no_call_is_repeated_after_two_minutes() -> None:
    assert policy(0.5).wait(1, 60.0, 60.0) == 60.0
    assert policy(0.5).wait(1, 60.1, 60.0) is None


@given(
    st.integers(0, 10),
    st.floats(0, 1000),
    st.none() | st.floats(min_value=0, allow_nan=False),
    st.floats(0, 1),
)
def test_a_wait_is_never_negative_nor_beyond_the_bounds(
    repeat: int, elapsed: float, asked: float | None, jitter: float
) -> None:
    wait = policy(jitter).wait(repeat, elapsed, asked)
    if wait is not None:
        assert repeat < RetryPolicy().repeats
        assert 0 < wait <= RetryPolicy().longest_wait
        assert elapsed + wait <= RetryPolicy().window


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 120 ", 120.0),
        ("9" * 5000, None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("²", None),
        ("5, 5", None),
        ("Mon, 01 Mar 2021 11:00:00 GMT", 0.0),
        ("9" * 30, 21_600.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
    ],
)
def test_both_forms_of_retry_after_are_read_and_nothing_else(
    header: str | None, seconds: float | None
) -> None:
    assert read_retry_after(header) == seconds


@given(
    st.text()
    | st.from_regex(
        r"\A[A-Za-z]{0,4},? ?\d{1,5}[ -][A-Za-z]{1,5}[ -]\d{1,5} [\d:]{0,9} ?[-+\dA-Z]{0,24}\Z"
    )
)
def test_no_header_breaks_the_reader(header: str) -> None:
    found = read_retry_after(header)
    assert found is None or found >= 0


@given(st.integers(60, 20_000))
def test_a_date_in_retry_after_is_read_as_the_seconds_until_then(seconds: int) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    asked = read_retry_after(format_datetime(moment, usegmt=True))
    assert asked is not None
    assert seconds - 30 < asked <= seconds
