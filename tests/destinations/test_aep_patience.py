"""How many failures over one event are waited out."""

from __future__ import annotations

from streamer.core.limits import FAILED_EVENTS_MAX, FAILURES_MAX
from streamer.destinations.aep_patience import Patience


def failures_until_over(patience: Patience, position: int) -> int:
    return next(count for count in range(1, 100) if patience.fail(position))


def test_some_failures_are_waited_out_and_all_further_ones_are_too_many() -> None:
    patience = Patience()
    assert failures_until_over(patience, 1) == FAILURES_MAX + 1
    assert patience.fail(1)


def test_each_event_has_its_own_count_and_begins_anew_once_it_was_taken() -> None:
    patience = Patience()
    failures_until_over(patience, 1)
    assert not patience.fail(2)
    patience.forget(1)
    assert failures_until_over(patience, 1) == FAILURES_MAX + 1


def test_what_is_under_suspicion_already_is_waited_for_no_more() -> None:
    patience = Patience()
    patience.lose(1)
    assert patience.fail(1)


def test_no_more_events_are_counted_than_fit_and_the_oldest_are_forgotten() -> None:
    patience = Patience()
    patience.lose(0)
    patience.lose(1)
    assert patience.fail(0), "and it is the newest now"
    for position in range(2, FAILED_EVENTS_MAX + 1):
        patience.lose(position)
    assert not patience.fail(1)
