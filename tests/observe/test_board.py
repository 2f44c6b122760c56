"""The board of alarms: what is raised, what is over, what is written down and logged."""

from __future__ import annotations

import logging

import pytest
import structlog

from streamer.core import alarms
from streamer.observe.board import Board, Change
from tests.support.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def board(clock: ManualClock) -> Board:
    return Board(clock)


def test_an_alarm_is_taken_once_with_how_often_it_was_raised(board: Board) -> None:
    board.note(alarms.HELD, "lake", "401")
    board.note(alarms.HELD, "lake", "403")
    board.note(alarms.HELD, "hook", "404")
    assert sorted(board.take(), key=lambda change: change.subject) == [
        Change("STR-301", "hook", "404", 1),
        Change("STR-301", "lake", "403", 2),
    ]
    assert board.take() == []


def test_the_metrics_count_every_raising_since_the_start(board: Board) -> None:
    board.note(alarms.HELD, "lake", "401")
    board.take()
    board.note(alarms.HELD, "lake", "401")
    assert board.counts == {("STR-301", "lake"): 2}


def test_clearing_what_does_not_hold_changes_nothing(board: Board) -> None:
    board.clear(alarms.HELD, "lake")
    assert board.take() == []


def test_a_condition_that_is_over_is_taken_as_cleared(board: Board) -> None:
    board.note(alarms.HELD, "lake", "401")
    board.take()
    board.clear(alarms.HELD, "lake")
    assert board.take() == [Change("STR-301", "lake", "", 0)]


def test_a_condition_of_an_earlier_process_can_be_cleared(board: Board) -> None:
    board.restore([("STR-301", "lake")])
    board.clear(alarms.HELD, "lake")
    assert board.take() == [Change("STR-301", "lake", "", 0)]


def test_what_was_raised_before_the_board_counts_too(board: Board) -> None:
    board.restore([("STR-301", "lake"), ("STR-308", "lake")], raised=[("STR-308", "lake")])
    assert board.counts == {("STR-308", "lake"): 1}
    assert board.standing == {("STR-301", "lake"), ("STR-308", "lake")}
    board.clear(alarms.HELD, "lake")
    assert board.standing == {("STR-308", "lake")}


def test_what_could_not_be_stored_is_taken_again_unless_it_is_outdated(board: Board) -> None:
    board.note(alarms.HELD, "lake", "401")
    board.note(alarms.HELD, "hook", "404")
    changes = board.take()
    board.clear(alarms.HELD, "hook")
    board.put_back(changes)
    assert sorted(board.take(), key=lambda change: change.subject) == [
        Change("STR-301", "hook", "", 0),
        Change("STR-301", "lake", "401", 1),
    ]


def test_each_alarm_logs_one_line_a_minute(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with structlog.testing.capture_logs() as lines:
        board = Board(clock)
        monkeypatch.setattr("streamer.observe.board._log", structlog.get_logger())
        for _ in range(5):
            board.note(alarms.BAD_SIGNATURE, "customerio", "was a key changed?")
        board.note(alarms.BAD_SIGNATURE, "other", "was a key changed?")
        clock.move(60)
        board.note(alarms.BAD_SIGNATURE, "customerio", "was a key changed?")
    assert [line["subject"] for line in lines] == ["customerio", "other", "customerio"]
    assert logging.getLevelName(logging.ERROR).lower() == lines[0]["log_level"]


def test_what_another_process_tells_counts_as_often_as_it_was_raised_there(
    board: Board, clock: ManualClock
) -> None:
    other = Board(clock, logs=False)
    for _ in range(3):
        other.note(alarms.BAD_SIGNATURE, "customerio", "the third")
    board.note(alarms.BAD_SIGNATURE, "customerio", "the first")
    for change in other.take():
        board.merge(alarms.BAD_SIGNATURE, change)
    assert board.take() == [Change("STR-101", "customerio", "the third", 4)]
    assert board.counts == {("STR-101", "customerio"): 4}


def test_a_board_whose_alarms_another_one_tells_logs_none(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with structlog.testing.capture_logs() as lines:
        monkeypatch.setattr("streamer.observe.board._log", structlog.get_logger())
        Board(clock, logs=False).note(alarms.BAD_SIGNATURE, "customerio", "was a key changed?")
    assert lines == []
