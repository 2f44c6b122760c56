"""Times are given as moments or as how long ago, and read as meant."""

from __future__ import annotations

import pytest

from streamer.cli.spans import read_span
from streamer.cli.wording import moment_text
from streamer.core.errors import UsageError
from streamer.core.times import parse_time, rfc3339
from tests.store.build import NOW

MINUTE = 60_000


@pytest.mark.parametrize(
    ("text", "before_now"),
    [
        ("90s", 90_000),
        ("30m", 30 * MINUTE),
        ("30min", 30 * MINUTE),
        ("1h", 60 * MINUTE),
        ("2d", 48 * 60 * MINUTE),
        ("1w", 7 * 24 * 60 * MINUTE),
        ("0s", 0),
    ],
)
def test_how_long_ago_is_counted_back_from_now(text: str, before_now: int) -> None:
    assert read_span(text, None, now=NOW).since == NOW - before_now
    assert read_span(None, text, now=NOW).until == NOW - before_now


def test_before_1970_there_was_nothing() -> None:
    assert read_span("999999999w", None, now=NOW).since == 0


@pytest.mark.parametrize("text", [rfc3339(NOW), moment_text(rfc3339(NOW)), "2026-11-23"])
def test_what_a_command_shows_can_be_given_back_to_it(text: str) -> None:
    expected = parse_time(text.removesuffix(" UTC"))
    assert read_span(text, None, now=NOW).since == expected


@pytest.mark.parametrize(
    "text",
    ["", "h", "-1h", "1.5h", "1y", "1 h", "1h2m", "1H", "\u0661h", "yesterday", "1e9s", "10"],
)
def test_what_could_mean_anything_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no time") as refused:
        read_span(None, text, now=NOW)
    assert "30m, 12h, 7d" in refused.value.hint


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [("1h", "2h", "--since lies behind --until"), ("1h", "1h", "--since is --until")],
)
def test_a_span_without_anything_in_it_is_refused(since: str, until: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_span(since, until, now=NOW)
    assert read_span("2h", "1h", now=NOW) == (NOW - 120 * MINUTE, NOW - 60 * MINUTE)
