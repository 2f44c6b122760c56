"""Pruning forgets what is settled and old, and nothing else."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.settlement import Progress
from streamer.store import (
    alarms,
    cursors,
    dead_letters,
    destinations,
    ledger,
    prune,
    replays,
    settling,
)
from streamer.store.cursors import CursorState
from streamer.store.destinations import Declared
from streamer.store.prune import Pruned
from streamer.store.replays import Request
from streamer.store.settling import Settlement
from streamer.store.sqlite import Connection
from tests.store.build import (
    NOW,
    accept,
    append,
    burial,
    counted_totals,
    declare,
    event,
    only_cursor,
    open_fresh,
    read_all,
    said_totals,
    unreadable,
)

MINUTE = 60_000
DAY = 86_400_000


def settle_through(db: Connection, name: str, position: int, now: int) -> None:
    cursor = only_cursor(db, name)
    settlement = Settlement(cursor, Progress(position), CursorState(), now)
    assert settling.settle(db, settlement) is not None


def prune_all(db: Connection, older_than: int) -> list[int]:
    behind: int | None = 0
    while behind is not None:
        step = prune.prune_step(db, older_than=older_than, events_max=2, behind=behind)
        assert step.events <= 2
        behind = step.through
    assert said_totals(db) == counted_totals(db)
    return [stored.position for stored in read_all(db)]


def test_retention_counts_from_receipt_when_that_is_later(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, event(1, received_at=NOW), event(2, received_at=NOW + DAY))
    settle_through(db, "hook", 2, NOW)
    prune.mark_settled(db, now=NOW)
    assert prune_all(db, NOW) == [1, 2]
    assert prune_all(db, NOW + 1) == [2]
    assert prune_all(db, NOW + DAY + 1) == []


def test_retention_counts_from_settling_when_that_is_later(db: Connection) -> None:
    declare(db, Declared("hook", "http"), Declared("lake", "aep"))
    append(db, event(1), event(2))
    settle_through(db, "hook", 2, NOW)
    prune.mark_settled(db, now=NOW)
    assert prune_all(db, NOW + 9 * DAY) == [1, 2], "the lake has settled nothing"
    settle_through(db, "lake", 1, NOW + 9 * DAY)
    prune.mark_settled(db, now=NOW + 9 * DAY)
    assert prune_all(db, NOW + 9 * DAY) == [1, 2], "it has only just settled"
    assert prune_all(db, NOW + 9 * DAY + 1) == [2]


def test_a_destination_that_is_not_configured_any_more_pins_its_events(db: Connection) -> None:
    declare(db, Declared("hook", "http"), Declared("lake", "aep"))
    append(db, event(1), event(2))
    declare(db, Declared("lake", "aep"))
    settle_through(db, "lake", 2, NOW)
    prune.mark_settled(db, now=NOW)
    assert prune_all(db, NOW + DAY) == [1, 2]
    destinations.forget(db, "hook", now=NOW)
    prune.mark_settled(db, now=NOW + DAY)
    assert prune_all(db, NOW + 2 * DAY) == []


def test_without_any_destination_retention_counts_from_receipt(db: Connection) -> None:
    append(db, event(1), event(2, received_at=NOW + DAY))
    prune.mark_settled(db, now=NOW)
    assert prune_all(db, NOW) == [1, 2]
    assert prune_all(db, NOW + 1) == [2]
    assert prune_all(db, NOW + DAY + 1) == []


def test_when_the_last_destination_is_forgotten_its_events_count_as_settled_by_then(
    db: Connection,
) -> None:
    declare(db, Declared("hook", "http"))
    append(db, event(1))
    declare(db)
    destinations.forget(db, "hook", now=NOW)
    prune.mark_settled(db, now=NOW + DAY)
    assert prune_all(db, NOW + DAY) == [1]
    assert prune_all(db, NOW + DAY + 1) == []


def test_a_destination_that_has_lost_its_cursors_keeps_everything(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, event(1))
    cursors.drop(db, "hook")
    prune.mark_settled(db, now=NOW)
    assert prune_all(db, NOW + DAY) == [1]


@pytest.mark.parametrize(
    ("start", "left"), [("earliest", [1, 2]), (NOW + MINUTE, [2]), ("now", [])]
)
def test_retention_starts_anew_for_what_a_new_destination_is_sent(
    db: Connection, start: str | int, left: list[int]
) -> None:
    for number in (1, 2):
        now = NOW + (number - 1) * MINUTE
        append(db, event(number, received_at=now))
        prune.mark_settled(db, now=now)
    declare(db, Declared("hook", "http", start=start))
    settle_through(db, "hook", 2, NOW + DAY)
    prune.mark_settled(db, now=NOW + DAY)
    assert prune_all(db, NOW + DAY) == left
    assert prune_all(db, NOW + DAY + 1) == []


def test_a_new_destination_gets_its_retention_though_others_settled_long_ago(
    db: Connection,
) -> None:
    declare(db, Declared("old", "http"))
    append(db, event(1), event(2))
    settle_through(db, "old", 2, NOW)
    prune.mark_settled(db, now=NOW)
    later = NOW + 13 * DAY
    declare(db, Declared("old", "http"), Declared("new", "http"))
    settle_through(db, "new", 2, later)
    prune.mark_settled(db, now=later)
    assert prune_all(db, later) == [1, 2], "it was settled for the new one this minute"
    assert prune_all(db, later + 1) == []


def test_a_destination_that_starts_over_gets_its_retention_anew(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, event(1))
    settle_through(db, "hook", 1, NOW)
    prune.mark_settled(db, now=NOW)
    cursors.drop(db, "hook")
    declare(db, Declared("hook", "http"))
    settle_through(db, "hook", 1, NOW + DAY)
    prune.mark_settled(db, now=NOW + DAY)
    assert prune_all(db, NOW + DAY) == [1]
    assert prune_all(db, NOW + DAY + 1) == []


def test_added_lanes_take_no_mark_back(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, event(1), event(2))
    settle_through(db, "hook", 2, NOW)
    prune.mark_settled(db, now=NOW)
    declare(db, Declared("hook", "http", lanes=4))
    assert {at.progress.position for at in cursors.load(db, "hook")} == {2}
    assert prune_all(db, NOW + 1) == []


def test_marks_of_a_clock_that_was_ahead_become_marks_of_now(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 4)))
    for position, now in ((1, NOW), (2, NOW + 400 * DAY)):
        settle_through(db, "hook", position, now)
        prune.mark_settled(db, now=now)
    prune.mark_settled(db, now=NOW + DAY)
    rows = db.execute("SELECT position, at FROM settled_marks ORDER BY position").fetchall()
    assert [tuple(row) for row in rows] == [(1, NOW), (2, NOW + DAY)]


def test_what_an_operator_rewound_is_not_settled_any_more(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 4)))
    settle_through(db, "hook", 3, NOW)
    prune.mark_settled(db, now=NOW)
    cursors.move(db, "hook", 1, now=NOW)
    prune.unmark_beyond(db, 1)
    settle_through(db, "hook", 3, NOW + DAY)
    assert prune_all(db, NOW + DAY) == [1, 2, 3], "the mark would have let them go"


def test_a_replay_keeps_what_a_mark_would_let_go(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 4)))
    settle_through(db, "hook", 3, NOW)
    prune.mark_settled(db, now=NOW)
    replays.start(db, Request("hook", 2, 3), events=2, now=NOW)
    assert prune_all(db, NOW + DAY) == [2, 3]


def test_marks_are_a_minute_apart_and_only_grow(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 5)))
    for position, now in ((1, 0), (2, 59_999), (3, 60_000), (3, 999_999)):
        settle_through(db, "hook", position, NOW)
        prune.mark_settled(db, now=NOW + now)
    rows = db.execute("SELECT position, at FROM settled_marks ORDER BY position").fetchall()
    assert [tuple(row) for row in rows] == [(1, NOW), (3, NOW + 60_000)]


def test_a_step_is_as_small_as_it_is_told(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 6)))
    settle_through(db, "hook", 5, NOW)
    prune.mark_settled(db, now=NOW)
    assert prune.prune_step(db, older_than=NOW + 1, events_max=2) == Pruned(2, 0, 2)
    assert [stored.position for stored in read_all(db)] == [3, 4, 5]


def test_a_step_looks_at_no_more_events_than_it_may_delete(db: Connection) -> None:
    """A hundred thousand open letters must not be looked through at once, for calls wait."""
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 8)))
    dead_letters.bury(db, "hook", [burial(one) for one in read_all(db)[:5]], now=NOW)
    settle_through(db, "hook", 7, NOW)
    prune.mark_settled(db, now=NOW)
    steps, behind = [], 0
    while (step := prune.prune_step(db, older_than=NOW + 1, events_max=2, behind=behind)).through:
        steps.append(step)
        behind = step.through
    assert steps == [Pruned(0, 2, 2), Pruned(0, 2, 4), Pruned(1, 1, 6), Pruned(1, 0, 7)]
    assert step == Pruned(0, 0, None)
    assert [stored.position for stored in read_all(db)] == [1, 2, 3, 4, 5]


def test_an_event_is_held_once_however_many_letters_it_has(db: Connection) -> None:
    declare(db, Declared("hook", "http"), Declared("lake", "aep"))
    append(db, *(event(number) for number in range(1, 5)))
    for name in ("hook", "lake"):
        dead_letters.bury(db, name, [burial(one) for one in read_all(db)[:3]], now=NOW)
    assert [prune.count_held(db, through=position) for position in range(5)] == [0, 1, 2, 3, 3]
    dead_letters.discard(db, [1, 2], now=NOW)
    assert prune.count_held(db, through=4) == 3, "the lake has them as well"
    dead_letters.discard(db, [4], now=NOW)
    assert prune.count_held(db, through=4) == 2


def test_stories_end_with_their_events_even_beside_an_old_open_letter(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, *(event(number) for number in range(1, 7)))
    stored = read_all(db)
    accept(
        db, only_cursor(db, "hook"), stored[2:4],
        buried=(burial(stored[0]), burial(stored[1])),
    )  # fmt: skip
    dead_letters.discard(db, [2], now=NOW)
    accept(db, only_cursor(db, "hook"), stored[4:], now=NOW + DAY, attempt=2)
    replay = replays.load(db, replays.start(db, Request("hook", 1, 2), events=2, now=NOW))
    assert replay is not None
    replays.finish(db, replay, "done", now=NOW)
    alarms.note(db, "STR-301", "hook", "held", times=1, now=NOW)
    alarms.note(db, "STR-302", "hook", "waits", times=1, now=NOW)
    alarms.clear(db, "STR-302", "hook", now=NOW)
    prune.mark_settled(db, now=NOW)
    old = NOW + 1
    assert prune.prune_stories(db, older_than=old, rows_max=9) == 2, "the replay and one alarm"
    assert prune_all(db, old) == [1]
    while prune.prune_stories(db, older_than=old, rows_max=1):
        pass
    assert ledger.find(db, "hook", 3, 0) == []
    assert len(ledger.find(db, "hook", 5, 0)) == 1, "it is not old yet"
    assert [letter.id for letter in dead_letters.list_letters(db, state=None)] == [1]
    assert replays.list_replays(db) == []
    assert [row[0] for row in db.execute("SELECT code FROM alarms")] == ["STR-301"]


def test_the_mark_that_pruning_goes_by_is_kept(db: Connection) -> None:
    db.executemany("INSERT INTO settled_marks VALUES (?, ?)", [(1, 10), (2, 20), (3, 30)])
    prune.prune_stories(db, older_than=25, rows_max=9)
    rows = db.execute("SELECT position FROM settled_marks ORDER BY 1").fetchall()
    assert [position for (position,) in rows] == [2, 3]


def test_quarantine_is_forgotten_by_the_last_time_it_was_seen(db: Connection) -> None:
    append(db, unreadable(b"a"), unreadable(b"bb"), unreadable(b"ccc", received_at=NOW + 5))
    append(db, unreadable(b"a", received_at=NOW + 9))
    assert prune.prune_quarantine(db, older_than=NOW + 6, rows_max=1) == 1
    assert prune.prune_quarantine(db, older_than=NOW + 6, rows_max=9) == 1
    assert [row[0] for row in db.execute("SELECT body FROM quarantine")] == [b"a"]
    assert said_totals(db) == counted_totals(db)


def test_pruned_pages_are_given_back_to_the_file_system(db: Connection, path: Path) -> None:
    declare(db, Declared("hook", "http"))
    append(db, *(event(number, body=b"x" * 9000) for number in range(100)))
    settle_through(db, "hook", 100, NOW)
    prune.mark_settled(db, now=NOW)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.stat().st_size
    assert prune_all(db, NOW + 1) == []
    free = free_pages(db)
    prune.vacuum_step(db, 10)
    assert free_pages(db) == free - 10
    spare = prune.spare_pages(db)
    while left := prune.vacuum_step(db, 100):
        assert left < spare
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < before / 4


def test_what_goes_and_what_comes_share_a_place_in_the_file(db: Connection) -> None:
    """Were it given back for a minute's events, those of the next would take it again."""
    append(db, *(event(number, body=b"x" * 9000) for number in range(200)))
    prune.mark_settled(db, now=NOW)
    assert prune.prune_step(db, older_than=NOW + 1, events_max=1).events == 1
    free = free_pages(db)
    assert free > 0
    assert prune.vacuum_step(db, 100) == prune.spare_pages(db) == 0
    assert free_pages(db) == free
    append(db, event(1_000, body=b"x" * 9000))
    assert free_pages(db) == 0


def free_pages(db: Connection) -> int:
    return int(db.execute("PRAGMA freelist_count").fetchone()[0])


@settings(max_examples=100)
@given(
    received=st.lists(st.integers(0, 9), min_size=1, max_size=10),
    cursors_at=st.tuples(st.integers(0, 10), st.integers(0, 10)),
    replay_from=st.none() | st.integers(1, 10),
    letters=st.sets(st.integers(1, 10), max_size=3),
    settled_at=st.integers(0, 9),
    older_than=st.integers(0, 12),
)
def test_pruning_passes_no_cursor_no_open_letter_and_no_young_event(
    *,
    received: list[int],
    cursors_at: tuple[int, int],
    replay_from: int | None,
    letters: set[int],
    settled_at: int,
    older_than: int,
) -> None:
    with TemporaryDirectory() as directory, closing(open_fresh(Path(directory) / "a.db")) as db:
        append(db, *(event(number, received_at=NOW + at) for number, at in enumerate(received)))
        stored = read_all(db)
        declare(db, Declared("hook", "http"), Declared("lake", "aep"))
        pinned = [one for one in stored if one.position in letters]
        dead_letters.bury(db, "hook", [burial(one) for one in pinned], now=NOW)
        ends = [min(at, len(stored)) for at in cursors_at]
        for name, at in zip(("hook", "lake"), ends, strict=True):
            settle_through(db, name, at, NOW)
        if replay_from is not None:
            replays.start(db, Request("hook", replay_from, 10), events=1, now=NOW)
            ends.append(replay_from - 1)
        prune.mark_settled(db, now=NOW + settled_at)
        left = prune_all(db, NOW + older_than)
        gone = {
            one.position
            for one in stored
            if one.position <= min(ends)
            and one.received_at < NOW + older_than
            and settled_at < older_than
            and one.position not in letters
        }
        assert left == [one.position for one in stored if one.position not in gone]
