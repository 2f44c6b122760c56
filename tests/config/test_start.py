"""Where a destination begins that is added later."""

from __future__ import annotations

import pytest

from streamer.config.start import parse_start


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("earliest", "earliest"),
        ("now", "now"),
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01T02:00:00.250+02:00", 250),
        ("1969-01-01T00:00:00Z", 0),
        ("0001-01-01T00:00:00+14:00", 0),
    ],
)
def test_a_start_is_a_word_or_a_time_in_milliseconds(text: str, start: str | int) -> None:
    assert parse_start(text) == start


@pytest.mark.parametrize("text", ["", "Now", "yesterday", "2026-11-01", "2026-11-01T00:00:00", "1"])
def test_a_start_that_could_mean_several_things_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|needs its offset"):
        parse_start(text)
