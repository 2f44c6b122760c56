"""Alarms about what is coming: a filling disk, forgotten cursors, a full quarantine."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from streamer.app.outlook import Forecast, Outlook, Pins, read_pins
from streamer.app.room import Room
from streamer.core import alarms
from streamer.observe.board import Board
from streamer.store import replays, sqlite
from streamer.store.destinations import Declared
from tests.store.build import append, declare, event, open_fresh
from tests.support.manual_clock import ManualClock

NOTHING = Pins(slowest=None, orphans=(), quarantine_bytes=0)


@pytest.fixture
def board() -> Board:
    return Board(ManualClock())


def _room(used_percent: int) -> Room:
    return Room(100 - used_percent, 100, ingest_stops=False, drain_stops=False)


def _raised(board: Board) -> dict[str, str]:
    return {change.code: change.message for change in board.take() if change.times}


@pytest.mark.parametrize(
    ("used", "said"), [(49, None), (50, "50%"), (74, "50%"), (75, "75%"), (90, "90%"), (99, "90%")]
)
def test_the_disk_alarm_says_which_share_is_passed(
    board: Board, used: int, said: str | None
) -> None:
    outlook = Outlook(board, quarantine_bytes_max=10)
    outlook.look(_room(used), NOTHING, monotonic_seconds=0)
    message = _raised(board).get(alarms.DISK_FILLING.code)
    assert (message is None) if said is None else (message is not None and said in message)


def test_the_disk_alarm_names_who_keeps_the_events_and_when_it_will_be_full(board: Board) -> None:
    outlook = Outlook(board, quarantine_bytes_max=10)
    pins = Pins(slowest="lake", orphans=(), quarantine_bytes=0)
    outlook.look(_room(80), pins, monotonic_seconds=0)
    outlook.look(_room(90), pins, monotonic_seconds=3600)
    message = _raised(board)[alarms.DISK_FILLING.code]
    assert "lake" in message
    assert "1.0 hours" in message


def test_the_disk_alarm_is_cleared_when_there_is_room_again(board: Board) -> None:
    outlook = Outlook(board, quarantine_bytes_max=10)
    outlook.look(_room(80), NOTHING, monotonic_seconds=0)
    board.take()
    outlook.look(_room(40), NOTHING, monotonic_seconds=60)
    assert [(change.code, change.times) for change in board.take()] == [
        (alarms.DISK_FILLING.code, 0)
    ]


def test_a_forecast_needs_two_looks_and_a_loss() -> None:
    forecast = Forecast()
    assert forecast.hours_left() is None
    forecast.add(0, 1000)
    assert forecast.hours_left() is None
    forecast.add(3600, 1000)
    assert forecast.hours_left() is None
    forecast.add(7200, 500)
    assert forecast.hours_left() == pytest.approx(2.0)


def test_an_orphan_is_named_until_it_is_forgotten(board: Board) -> None:
    outlook = Outlook(board, quarantine_bytes_max=10)
    orphaned = Pins(slowest="old", orphans=("old",), quarantine_bytes=0)
    outlook.look(_room(0), orphaned, monotonic_seconds=0)
    assert "destination forget old" in _raised(board)[alarms.ORPHAN_CURSOR.code]
    outlook.look(_room(0), NOTHING, monotonic_seconds=60)
    assert [(change.code, change.times) for change in board.take()] == [
        (alarms.ORPHAN_CURSOR.code, 0)
    ]


def test_a_full_quarantine_is_an_alarm(board: Board) -> None:
    outlook = Outlook(board, quarantine_bytes_max=10)
    full = Pins(slowest=None, orphans=(), quarantine_bytes=10)
    outlook.look(_room(0), full, monotonic_seconds=0)
    assert alarms.QUARANTINE_FULL.code in _raised(board)


def test_pins_are_read_from_the_database(tmp_path: Path) -> None:
    db = open_fresh(tmp_path / "streamer.db")
    declare(db, Declared("old", "file"))
    append(db, event(1), event(2))
    declare(db, Declared("new", "file", start="now"))
    pins = read_pins(db)
    assert (pins.slowest, pins.orphans) == ("old", ("old",))
    db.close()


def _pins(path: Path) -> Pins:
    with closing(sqlite.open_reader(path)) as db:
        return read_pins(db)


def test_who_has_settled_everything_keeps_nothing_configured_or_not(tmp_path: Path) -> None:
    path = tmp_path / "streamer.db"
    with closing(open_fresh(path)) as db:
        declare(db, Declared("lake", "file"), Declared("gone", "file"))
        declare(db, Declared("lake", "file"))
        append(db, *(event(number) for number in range(3)))
        db.execute("UPDATE cursors SET position = 3")
        assert (_pins(path).slowest, _pins(path).orphans) == (None, ())
        db.execute("UPDATE cursors SET position = 2 WHERE destination = 'gone'")
        assert (_pins(path).slowest, _pins(path).orphans) == ("gone", ("gone",))


def test_a_replay_keeps_events_too(tmp_path: Path) -> None:
    path = tmp_path / "streamer.db"
    with closing(open_fresh(path)) as db:
        declare(db, Declared("slow", "http"), Declared("archive", "file"))
        append(db, *(event(number) for number in range(3)))
        db.execute("UPDATE cursors SET position = 3")
        replays.start(db, replays.Request("archive", 1, 3), events=3, now=1)
    assert _pins(path).slowest == "archive"


def test_a_cursor_of_an_earlier_lane_count_keeps_nothing(tmp_path: Path) -> None:
    path = tmp_path / "streamer.db"
    with closing(open_fresh(path)) as db:
        declare(db, Declared("lake", "file"))
        append(db, event(1))
        declare(db, Declared("lake", "file", lanes=2))
        db.execute("UPDATE cursors SET position = 1 WHERE lanes = 2")
    assert _pins(path).slowest is None


def test_an_alarm_of_an_earlier_process_ends_when_nothing_is_kept_any_more(board: Board) -> None:
    board.restore([(alarms.ORPHAN_CURSOR.code, "gone"), (alarms.HELD.code, "gone")])
    Outlook(board, quarantine_bytes_max=10).look(_room(10), NOTHING, monotonic_seconds=0)
    assert board.standing == {(alarms.HELD.code, "gone")}
