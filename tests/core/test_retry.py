"""When the next attempt may start."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.limits import RETRY_AFTER_SECONDS_MAX
from streamer.core.retry import (
    RetryPolicy,
    is_exhausted,
    next_attempt_at,
    next_probe_at,
    remaining_seconds,
)

NOW = 1_800_000_000_000
POLICY = RetryPolicy(base_seconds=1.0, max_seconds=300.0)
JITTER = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("attempts", "bound_seconds"), [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (10_000, 300)]
)
def test_the_wait_is_drawn_from_the_whole_range_below_a_doubling_bound(
    attempts: int, bound_seconds: float
) -> None:
    assert next_attempt_at(POLICY, attempts, NOW, 0.0) == NOW
    half = next_attempt_at(POLICY, attempts, NOW, 0.5)
    assert half == NOW + bound_seconds * 500
    longest = next_attempt_at(POLICY, attempts, NOW, math.nextafter(1, 0))
    assert longest == NOW + bound_seconds * 1000


@given(
    attempts=st.integers(1, 10**6),
    jitter=JITTER,
    asked=st.none() | st.floats(allow_nan=True, allow_infinity=True),
    base=st.floats(0.001, 60),
    most=st.floats(1, 3_600),
)
def test_a_wait_is_never_negative_nor_longer_than_policy_and_destination_can_ask(
    attempts: int, jitter: float, asked: float | None, base: float, most: float
) -> None:
    policy = RetryPolicy(base_seconds=base, max_seconds=most)
    wait = next_attempt_at(policy, attempts, NOW, jitter, asked) - NOW
    longest = max(most, RETRY_AFTER_SECONDS_MAX if asked is not None else 0) * 1000
    assert 0 <= wait <= longest + 1, "but for rounding to whole milliseconds"
    own = next_attempt_at(policy, attempts, NOW, jitter) - NOW
    assert wait >= own
    assert own <= next_attempt_at(policy, attempts + 1, NOW, jitter) - NOW


@pytest.mark.parametrize(
    ("asked", "wait_ms"),
    [(120.0, 120_000), (0.0, 500), (-5.0, 500), (math.inf, 3_600_000), (1e9, 3_600_000),
     (math.nan, 500)],
)  # fmt: skip
def test_retry_after_is_honoured_up_to_an_hour_and_never_shortens_the_wait(
    asked: float, wait_ms: int
) -> None:
    assert next_attempt_at(POLICY, 1, NOW, 0.5, asked) == NOW + wait_ms


def test_there_is_no_wait_before_the_first_attempt() -> None:
    with pytest.raises(ValueError, match="first attempt"):
        next_attempt_at(POLICY, 0, NOW, 0.5)


@given(probes=st.integers(0, 10**6), jitter=JITTER)
def test_a_held_destination_is_probed_every_1_to_15_minutes(probes: int, jitter: float) -> None:
    assert 60_000 <= next_probe_at(probes, NOW, jitter) - NOW <= 900_000


def test_probes_become_rarer() -> None:
    waits = [(next_probe_at(probes, NOW, 0.0) - NOW) // 1000 for probes in range(6)]
    assert waits == [60, 120, 240, 480, 900, 900]


@pytest.mark.parametrize(
    ("stored_at", "seconds"),
    [
        (None, 0.0),
        (NOW - 1, 0.0),
        (NOW + 2_500, 2.5),
        (NOW + 86_400_000, 3_600.0),  # the wall clock was set back since
    ],
)
def test_a_stored_wait_is_no_longer_than_it_can_have_been(
    stored_at: int | None, seconds: float
) -> None:
    assert remaining_seconds(POLICY, stored_at, NOW) == seconds


@pytest.mark.parametrize(
    ("attempts", "first_at", "exhausted"),
    [
        (10, NOW - 3_600_000, True),
        (9, NOW - 3_600_000, False),
        (10, NOW - 3_599_999, False),
        (1_000, NOW, False),
        (10, None, False),
        (10, NOW + 5, False),
    ],
)
def test_an_event_is_suspected_after_ten_attempts_and_an_hour(
    attempts: int, first_at: int | None, *, exhausted: bool
) -> None:
    assert is_exhausted(POLICY, attempts, first_at, NOW) is exhausted
