"""How a cursor moves: never back, and never past an event that is not settled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.limits import RECEIPTS_CHARACTERS_MAX
from streamer.core.settlement import Progress, Window, join_receipts, runs, settle
from tests.core.simulation import event


def window(*positions: int, through: int | None = None) -> Window:
    end = max(positions, default=0) if through is None else through
    return Window(tuple(event(at) for at in positions), end)


@pytest.mark.parametrize(
    ("events", "through", "settled", "position", "ahead"),
    [
        ((3, 4, 5), 5, {3, 4, 5}, 5, set()),
        ((3, 4, 5), 5, {3}, 3, set()),
        ((3, 4, 5), 5, {4, 5}, 2, {4, 5}),
        ((3, 7, 9), 9, {3}, 6, set()),  # what lies between is another lane's or left out
        ((3, 7, 9), 20, {3, 7, 9}, 20, set()),
        ((3, 7, 9), 20, {7}, 2, {7}),
        ((), 20, set(), 20, set()),
    ],
)
def test_the_cursor_stands_before_the_first_unsettled_event(
    events: tuple[int, ...], through: int, settled: set[int], position: int, ahead: set[int]
) -> None:
    left, progress = settle(window(*events, through=through), Progress(2), settled)
    assert progress == Progress(position, frozenset(ahead))
    assert [at.position for at in left.events] == [at for at in events if at not in settled]
    assert left.through == through


def test_what_is_ahead_is_dropped_once_the_cursor_has_passed_it() -> None:
    left, progress = settle(window(3, 4, 5, 6), Progress(2), {4, 6})
    assert progress == Progress(2, frozenset({4, 6}))
    left, progress = settle(left, progress, {3})
    assert progress == Progress(4, frozenset({6}))
    _, progress = settle(left, progress, {5})
    assert progress == Progress(6)


def test_a_cursor_never_moves_back() -> None:
    _, progress = settle(window(3), Progress(9), set())
    assert progress.position == 9


@given(data=st.data(), gaps=st.lists(st.integers(1, 4), min_size=1, max_size=12))
def test_any_order_of_settling_ends_at_the_end_and_passes_nothing(
    data: st.DataObject, gaps: list[int]
) -> None:
    positions = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    left, progress = window(*positions, through=positions[-1] + 3), Progress(0)
    waiting = set(positions)
    while waiting:
        batch = data.draw(st.sets(st.sampled_from(sorted(waiting)), min_size=1))
        before = progress.position
        left, progress = settle(left, progress, batch)
        waiting -= batch
        assert progress.position >= before
        assert not any(at <= progress.position for at in waiting), "an event was passed"
        assert progress.ahead == {
            at for at in positions if at not in waiting and at > progress.position
        }
        assert {at.position for at in left.events} == waiting
    assert progress == Progress(positions[-1] + 3)


@pytest.mark.parametrize(
    ("settled", "events", "ahead", "expected"),
    [
        ([1, 2, 3], [1, 2, 3], set(), [[1, 2, 3]]),
        ([1, 3], [1, 2, 3], set(), [[1], [3]]),
        ([2, 3], [1, 2, 3, 4], set(), [[2, 3]]),
        ([1, 9], [1, 9], set(), [[1, 9]]),  # neighbours in their lane
        ([1, 9], [1, 9], {5}, [[1], [9]]),
        ([], [1, 2], set(), []),
    ],
)
def test_a_run_spans_nothing_that_was_not_settled_with_it(
    settled: list[int], events: list[int], ahead: set[int], expected: list[list[int]]
) -> None:
    assert runs(settled, window(*events), ahead) == expected


@given(
    events=st.sets(st.integers(1, 30)),
    ahead=st.sets(st.integers(1, 30)),
    settled=st.sets(st.integers(1, 30)),
)
def test_runs_hold_each_settled_event_once_and_no_other(
    events: set[int], ahead: set[int], settled: set[int]
) -> None:
    ahead -= events
    settled &= events
    found = runs(settled, window(*sorted(events)), ahead)
    assert [at for run in found for at in run] == sorted(settled)
    for run in found:
        inside = {at for at in events | ahead if run[0] <= at <= run[-1]}
        assert inside == set(run)


@pytest.mark.parametrize(
    ("receipts", "text"), [([], None), (["b"], "b"), (["b", "a", "b"], "b a")], ids=str
)
def test_the_receipts_of_a_run_are_written_once_each_in_order(
    receipts: list[str], text: str | None
) -> None:
    assert join_receipts(receipts) == text


def test_of_many_receipts_the_first_are_written_and_the_rest_counted() -> None:
    text = join_receipts(f"1565379005402:8391:{number:04}" for number in range(400))
    assert text is not None
    *first, rest = text.split(" … ") if " … " in text else text.split(" …", 1)
    assert len(text) <= RECEIPTS_CHARACTERS_MAX + 20
    assert first[0].split() == [f"1565379005402:8391:{number:04}" for number in range(83)]
    assert rest.strip() == "and 317 more"


def test_a_receipt_that_is_too_long_by_itself_is_cut() -> None:
    text = join_receipts(["x" * 100_000, "y"])
    assert text is not None
    assert len(text) <= RECEIPTS_CHARACTERS_MAX + 20
    assert text.startswith("xxx")
    assert text.endswith("… and 1 more")
