"""Times as people and other programs read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.times import parse_time, rfc3339, rfc3339_seconds


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_795_421_730_123, "2026-11-23T08:15:30.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_a_moment_is_written_in_utc_with_milliseconds(milliseconds: int, text: str) -> None:
    assert rfc3339(milliseconds) == text


def test_no_moment_stays_none() -> None:
    assert rfc3339(None) is None


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-02", 86_400_000),
        ("1970-01-01T00:00:01", 1_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.5Z", 500),
    ],
)
def test_a_moment_is_read_and_is_utc_when_it_does_not_say(text: str, milliseconds: int) -> None:
    assert parse_time(text) == milliseconds


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "1700000000000000", "10:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)


@given(st.integers(0, 253_402_300_799_999))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    assert parse_time(rfc3339(milliseconds)) == milliseconds


def test_a_moment_in_whole_seconds_is_written_without_a_fraction() -> None:
    assert rfc3339_seconds(0) == "1970-01-01T00:00:00Z"
    assert rfc3339_seconds(1_795_421_730) == "2026-11-23T08:15:30Z"
