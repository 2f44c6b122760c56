"""The rate at which a destination is offered events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.core.pace import Pace


def test_no_rate_is_no_wait() -> None:
    pace = Pace(0)
    assert [pace.wait_seconds(10**6, 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_a_batch_goes_at_once_and_the_next_pays_for_it() -> None:
    pace = Pace(10)
    assert pace.wait_seconds(25, 100.0) == 0.0
    assert pace.wait_seconds(5, 100.0) == 2.5
    assert pace.wait_seconds(5, 103.0) == 0.0


def test_idle_time_is_not_saved_up() -> None:
    pace = Pace(10)
    pace.wait_seconds(10, 0.0)
    assert pace.wait_seconds(10, 1_000.0) == 0.0
    assert pace.wait_seconds(1, 1_000.0) == 1.0


def test_what_was_not_sent_after_all_is_not_paid_for() -> None:
    pace = Pace(10)
    pace.wait_seconds(50, 100.0)
    pace.give_back(40)
    assert pace.wait_seconds(1, 100.0) == 1.0
    unlimited = Pace(0)
    unlimited.give_back(1)
    assert unlimited.wait_seconds(1, 0.0) == 0.0


@given(
    rate=st.floats(0.1, 1_000),
    batches=st.lists(st.tuples(st.integers(1, 500), st.floats(0, 20)), min_size=1, max_size=40),
)
def test_over_any_stretch_of_time_the_rate_is_exceeded_by_one_batch_at_most(
    rate: float, batches: list[tuple[int, float]]
) -> None:
    pace, now = Pace(rate), 0.0
    sent: list[tuple[float, int]] = []
    for events, pause in batches:
        now += pause
        wait = pace.wait_seconds(events, now)
        assert wait >= 0
        now += wait
        sent.append((now, events))
    for start in range(len(sent)):
        for end in range(start, len(sent)):
            stretch = sent[end][0] - sent[start][0]
            total = sum(events for _, events in sent[start:end])
            assert total <= rate * stretch * (1 + 1e-9) + 1e-6
