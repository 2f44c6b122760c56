"""Numbers, sizes and times are worded as people say them."""

from __future__ import annotations

import pytest

from streamer.cli.wording import count, duration, moment_text, size


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 events"), (1, "1 event"), (2500, "2,500 events")]
)
def test_a_number_agrees_with_its_noun(number: int, expected: str) -> None:
    assert count(number, "event") == expected


def test_a_plural_of_its_own_is_used() -> None:
    assert count(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1.0 MiB"),
        (3 * 1024**3, "3.0 GiB"),
        (5 * 1024**5, "5120.0 TiB"),
    ],
)
def test_a_size_has_the_unit_that_suits_it(size_bytes: int, expected: str) -> None:
    assert size(size_bytes) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3725, "1 h 2 min"),
        (3605, "1 h"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_length_of_time_has_its_two_largest_units(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_a_moment_that_never_was_is_said_so() -> None:
    assert moment_text(None) == "never"
    assert moment_text("2026-11-23T08:15:30.123Z") == "2026-11-23 08:15:30 UTC"
