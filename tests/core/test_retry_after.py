"""Somebody else's header becomes a wait that can be calculated with."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.retry_after import SECONDS_MAX, parse_retry_after

# 1994-11-06T08:49:37Z, the example of RFC 9110.
EXAMPLE_MS = 784_111_777_000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("120", 120.0), (" 7 ", 7.0), ("007", 7.0), ("1.5", 1.5)],
)
def test_seconds_are_taken_as_they_are(value: str, seconds: float) -> None:
    assert parse_retry_after(value, EXAMPLE_MS) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_each_form_of_a_date_is_counted_from_now(value: str) -> None:
    assert parse_retry_after(value, EXAMPLE_MS - 90_500) == 90.5


def test_a_date_that_has_passed_asks_for_no_wait() -> None:
    assert parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE_MS + 1) == 0.0


@pytest.mark.parametrize("value", ["9" * 400, "99999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_nobody_is_made_to_wait_longer_than_a_year(value: str) -> None:
    assert parse_retry_after(value, EXAMPLE_MS) == SECONDS_MAX


@pytest.mark.parametrize(
    "value",
    ["", "-5", "+5", "1e3", "0x10", "NaN", "inf", "soon", "²", "٣", "5 seconds", "1,5", "6 Nov"],
)
def test_nonsense_asks_for_nothing(value: str) -> None:
    assert parse_retry_after(value, EXAMPLE_MS) is None


DATELIKE = st.from_regex(
    r"[A-Z][a-z]{2}, \d{1,12} (Jan|Feb|Nov) \d{1,12} \d{1,3}:\d{1,3}:\d{1,3} [+-]?(GMT|\d{1,9})",
    fullmatch=True,
)


@given(st.text(max_size=60) | DATELIKE)
def test_whatever_is_sent_the_wait_is_finite_and_not_negative(value: str) -> None:
    seconds = parse_retry_after(value, EXAMPLE_MS)
    assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= SECONDS_MAX)
