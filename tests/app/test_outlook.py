"""Alarms about what is coming: a filling disk, forgotten cursors, a full quarantine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from streamer.app.outlook import Forecast, Outlook, Pins, read_pins
from streamer.app.room import Room
from streamer.core import alarms
from streamer.observe.board import Board
from streamer.store import dead_letters, replays
from streamer.store.destinations import Declared
from streamer.store.replays import Request
from streamer.store.sqlite import Connection
from tests.store.build import NOW, append, burial, declare, event, open_fresh, read_all
from tests.support.manual_clock import ManualClock

NOTHING = Pins()


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
    pins = Pins(events=9, slowest="lake", pending=7)
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
    orphaned = Pins(slowest="old", orphans=("old",))
    outlook.look(_room(0), orphaned, monotonic_seconds=0)
    assert "destination forget old" in _raised(board)[alarms.ORPHAN_CURSOR.code]
    outlook.look(_room(0), NOTHING, monotonic_seconds=60)
    assert [(change.code, change.times) for change in board.take()] == [
        (alarms.ORPHAN_CURSOR.code, 0)
    ]


def test_a_full_quarantine_is_an_alarm(board: Board) -> None:
    outlook = Outlook(board, quarantine_bytes_max=10)
    full = Pins(quarantine_bytes=10)
    outlook.look(_room(0), full, monotonic_seconds=0)
    assert alarms.QUARANTINE_FULL.code in _raised(board)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Connection]:
    """Ten events, a destination that has settled three of them and one that has settled all."""
    with closing(open_fresh(tmp_path / "streamer.db")) as opened:
        declare(opened, Declared("slow", "http"), Declared("archive", "file"))
        append(opened, *(event(number) for number in range(1, 11)))
        _stand(opened, slow=3, archive=10)
        yield opened


def _stand(db: Connection, **positions: int) -> None:
    for name, position in positions.items():
        db.execute("UPDATE cursors SET position = ? WHERE destination = ?", (position, name))


def test_the_destination_that_is_furthest_behind_is_named_with_what_waits_for_it(
    db: Connection,
) -> None:
    assert read_pins(db).tell() == "of 10 events 7 wait for slow"


def test_nobody_is_named_when_all_is_settled(db: Connection) -> None:
    _stand(db, slow=10)
    pins = read_pins(db)
    assert (pins.slowest, pins.lettered) == (None, None)
    assert pins.tell() == "of 10 events all are settled and kept for outbox.retention_days"


def test_a_replay_is_named_when_it_is_what_holds(db: Connection) -> None:
    _stand(db, slow=10)
    number = replays.start(db, Request("archive", 1, 10), events=10, now=NOW)
    assert read_pins(db).tell() == f"of 10 events 10 wait for replay {number} of archive"


def test_a_floor_holds_nothing(db: Connection) -> None:
    _stand(db, slow=10)
    db.execute("UPDATE cursors SET position = 2 WHERE destination = 'archive'")
    declare(db, Declared("slow", "http"), Declared("archive", "file", lanes=2))
    db.execute("UPDATE cursors SET position = 10 WHERE lanes = 2")
    assert read_pins(db).slowest is None


def test_dead_letters_are_named_with_the_destination_that_has_most(db: Connection) -> None:
    _stand(db, slow=10)
    stored = read_all(db)
    dead_letters.bury(db, "slow", [burial(one) for one in stored[:3]], now=NOW)
    dead_letters.bury(db, "archive", [burial(one) for one in stored[:2]], now=NOW)
    assert read_pins(db).tell() == "of 10 events 5 are dead letters, most of them of slow"


def test_a_destination_that_is_not_configured_is_an_orphan_while_it_holds_something(
    db: Connection,
) -> None:
    declare(db, Declared("archive", "file"))
    pins = read_pins(db)
    assert (pins.slowest, pins.orphans) == ("slow", ("slow",))
    _stand(db, slow=10)
    assert read_pins(db).orphans == ()


def test_an_alarm_of_an_earlier_process_ends_when_nothing_is_kept_any_more(board: Board) -> None:
    board.restore([(alarms.ORPHAN_CURSOR.code, "gone"), (alarms.HELD.code, "gone")])
    Outlook(board, quarantine_bytes_max=10).look(_room(10), NOTHING, monotonic_seconds=0)
    assert board.standing == {(alarms.HELD.code, "gone")}
