"""Cursors move by settling or by an operator, never by both at once; lane changes lose nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.errors import UsageError
from streamer.core.settlement import Progress, Window, settle
from streamer.store import cursors, destinations, outbox, settling
from streamer.store.check import check
from streamer.store.cursors import Cursor, CursorState
from streamer.store.destinations import Declared
from streamer.store.settling import Settlement
from streamer.store.sqlite import Connection
from tests.store.build import (
    ALL,
    NOW,
    append,
    append_at,
    counted_steps,
    declare,
    event,
    fill_outbox,
    only_cursor,
    open_fresh,
    read_all,
)


def save(db: Connection, cursor: Cursor, position: int, **state: object) -> bool:
    return cursors.save(
        db, cursor.id, cursor.generation, progress=Progress(position, frozenset({position + 2})),
        state=CursorState(**state), now=NOW + 1,  # type: ignore[arg-type]  # fields by name
    )  # fmt: skip


def test_what_is_saved_is_what_is_loaded(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    waiting = {"state": "waiting", "attempt": 3, "first_deferred_at": 5, "next_attempt_at": 9}
    assert save(db, only_cursor(db, "hook"), 7, **waiting, last_error="http_503")
    loaded = only_cursor(db, "hook")
    assert loaded.progress == Progress(7, frozenset({9}))
    assert loaded.state == CursorState("waiting", 3, 5, 9, "http_503")
    assert loaded.moved_at == NOW + 1
    assert cursors.load_all(db) == [loaded]


def test_the_last_error_keeps_its_time_when_things_go_well_again(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    save(db, only_cursor(db, "hook"), 1, last_error="http_503")
    save(db, only_cursor(db, "hook"), 2)
    row = db.execute("SELECT last_error, last_error_at FROM cursors").fetchone()
    assert tuple(row) == (None, NOW + 1)


def test_a_batch_in_flight_cannot_overwrite_an_operators_move(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    append(db, event(1), event(2))
    before = only_cursor(db, "hook")
    cursors.move(db, "hook", 0, now=NOW)
    assert not save(db, before, 2)
    after = only_cursor(db, "hook")
    assert (after.progress, after.generation) == (Progress(0), 2)


def test_a_move_wakes_a_held_destination_and_drops_its_floors(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    save(db, only_cursor(db, "hook"), 5, state="held", next_attempt_at=9)
    declare(db, Declared("hook", "http", lanes=2))
    assert len(cursors.load(db, "hook")) == 3
    cursors.move(db, "hook", 3, now=NOW)
    assert [(at.lane.lanes, at.progress) for at in cursors.load(db, "hook")] == [
        (2, Progress(3)), (2, Progress(3)),
    ]  # fmt: skip
    assert {at.state for at in cursors.load(db, "hook")} == {CursorState()}


@pytest.mark.parametrize(
    ("start", "position"),
    [("earliest", 9), ("now", 12), (NOW + 11, 10), (NOW + 99, 12), (0, 9)],
)
def test_a_new_destination_begins_where_it_is_told(
    db: Connection, start: str | int, position: int
) -> None:
    for number in (10, 11, 12):
        append_at(db, [number], received_at=NOW + number)
    declare(db, Declared("hook", "http", start=start))
    assert only_cursor(db, "hook").progress.position == position
    declare(db, Declared("hook", "http", start="earliest"))
    assert only_cursor(db, "hook").progress.position == position


def test_a_new_destination_begins_without_reading_the_outbox(db: Connection) -> None:
    """Calls wait for this transaction."""
    fill_outbox(db, 20_000)
    declare(db, Declared("known", "http"))
    for start in ("earliest", "now", NOW - 5_000_000, NOW + 1):
        with counted_steps(db) as steps:
            declare(db, Declared("known", "http"), Declared(f"new-{start}", "http", start=start))
        assert steps[0] < 3_000
    assert only_cursor(db, f"new-{NOW - 5_000_000}").progress.position == 14_999


def test_a_new_destination_of_an_emptied_outbox_begins_at_its_end(db: Connection) -> None:
    append_at(db, [41])
    db.execute("DELETE FROM outbox")
    declare(db, Declared("hook", "http"))
    assert only_cursor(db, "hook").progress.position == 41


def test_a_known_destination_that_lost_its_cursors_starts_over(db: Connection) -> None:
    append_at(db, [7, 8])
    declare(db, Declared("hook", "http", start="now"))
    cursors.drop(db, "hook")
    declare(db, Declared("hook", "http", start="now"))
    assert only_cursor(db, "hook").progress.position == 6


def test_a_destination_no_longer_configured_keeps_its_cursors_until_forgotten(
    db: Connection,
) -> None:
    append(db, event(1))
    declare(db, Declared("hook", "http"), Declared("lake", "aep"))
    with pytest.raises(UsageError, match="still in the configuration"):
        destinations.forget(db, "hook", now=NOW)
    declare(db, Declared("lake", "aep"))
    assert not destinations.load(db, "hook").configured
    assert cursors.settled_everywhere(db) == 0
    destinations.forget(db, "hook", now=NOW)
    assert [known.name for known in destinations.load_all(db)] == ["lake"]
    assert cursors.load(db, "hook") == []
    with pytest.raises(UsageError, match="no destination 'hook'"):
        destinations.load(db, "hook")


def test_pausing_and_resuming_survive_and_are_recorded(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    destinations.pause(db, "hook", now=NOW)
    destinations.pause(db, "hook", now=NOW + 1)
    assert destinations.load(db, "hook").paused_at == NOW
    destinations.resume(db, "hook", now=NOW)
    known = destinations.load(db, "hook")
    assert (known.paused_at, known.poked) == (None, 1)
    acts = [act for (act,) in db.execute("SELECT act FROM operator_acts ORDER BY id")]
    assert acts == ["pause", "pause", "resume"]


def test_another_kind_of_destination_does_not_inherit_the_mark(db: Connection) -> None:
    declare(db, Declared("out", "file"))
    destinations.save_mark(db, "out", "length 5")
    declare(db, Declared("out", "file"))
    assert destinations.load(db, "out").mark == "length 5"
    declare(db, Declared("out", "http"))
    assert destinations.load(db, "out").mark is None


def test_going_back_to_a_lane_count_restores_the_lanes_whose_floors_were_dropped(
    db: Connection,
) -> None:
    declare(db, Declared("hook", "http", lanes=4))
    append(db, *(event(number, lane_key=number % 4) for number in range(1, 10)))
    for cursor, position in zip(cursors.load(db, "hook"), (1, 1, 1, 8), strict=True):
        settling.settle(db, Settlement(cursor, Progress(position), CursorState(), NOW))
    declare(db, Declared("hook", "http", lanes=2))
    for cursor in cursors.load(db, "hook"):
        if cursor.lane.lanes == 2:
            settling.settle(db, Settlement(cursor, Progress(5), CursorState(), NOW))
    assert cursors.drop_passed_floors(db, "hook", 2) == 3
    declare(db, Declared("hook", "http", lanes=4))
    live = [at for at in cursors.load(db, "hook") if at.lane.lanes == 4]
    assert [at.progress.position for at in live] == [5, 5, 5, 8]


UNREADABLE = [
    *("", "[3", "[3, 4", "\ufeff[]", "null", '{"3": 4}', "[3, true]", '["3"]', "[3.5]", "[[3]]"),
    *("[NaN]", f"[{'9' * 30}]", "[" * 100_000, "[2]", "[3, 6]", "[-1]"),
]


def damage(db: Connection, destination: str, ahead: str | bytes) -> None:
    """Write what no program of ours writes."""
    db.execute("PRAGMA ignore_check_constraints = ON")
    db.execute(
        "UPDATE cursors SET ahead = CAST(? AS TEXT) WHERE destination = ?", (ahead, destination)
    )
    db.execute("PRAGMA ignore_check_constraints = OFF")


@pytest.mark.parametrize("ahead", [*UNREADABLE, b"[3, \xff]", b"\x00"])
def test_what_cannot_be_true_of_settled_ahead_is_forgotten_and_sent_again(
    db: Connection, path: Path, ahead: str | bytes
) -> None:
    declare(db, Declared("hook", "http"), Declared("lake", "aep"))
    append(db, *(event(number) for number in range(1, 6)))
    for name in ("hook", "lake"):
        cursor = only_cursor(db, name)
        progress = Progress(2, frozenset({4}))
        settling.settle(db, Settlement(cursor, progress, CursorState(), NOW))
    damage(db, "hook", ahead)
    cursors.load_all(db)
    assert [finding.what for finding in check(path) if "ahead" in finding.what] == [
        "what a cursor of hook has settled ahead cannot be read"
    ]
    assert cursors.mend(db) == ["hook"]
    hook = only_cursor(db, "hook")
    assert (hook.progress, hook.generation) == (Progress(2), 2)
    assert only_cursor(db, "lake").progress == Progress(2, frozenset({4}))
    assert cursors.mend(db) == []
    assert check(path) == []


class Drained:
    """Drains a destination as its loop does, and remembers what was sent."""

    def __init__(self, db: Connection) -> None:
        self.db = db
        self.sent: list[int] = []

    def step(self, lane: int, batch: int, skip: Sequence[int]) -> None:
        """Let one lane read and settle; ``skip`` picks events of the batch that are deferred."""
        lanes = destinations.load(self.db, "hook").lanes
        every = cursors.load(self.db, "hook")
        live = [at for at in every if at.lane.lanes == lanes]
        assert len(live) == lanes
        cursor = live[lane % lanes]
        floors = [at for at in every if at.lane.lanes != lanes]
        scan = outbox.read_after(
            self.db, cursor.progress.position, selection=ALL, lane=cursor.lane,
            events_max=batch, bytes_max=2**30,
        )  # fmt: skip
        events = tuple(
            one
            for one in scan.events
            if one.position not in cursor.progress.ahead
            and not any(at.has_settled(one.position, one.lane_key) for at in floors)
        )
        sent = [one.position for number, one in enumerate(events) if number not in skip]
        self.sent += sent
        window, progress = settle(Window(events, scan.through), cursor.progress, frozenset(sent))
        assert len(window.events) + len(sent) == len(events)
        settlement = Settlement(cursor, progress, CursorState(), NOW)
        assert settling.settle(self.db, settlement) is not None
        cursors.drop_passed_floors(self.db, "hook", lanes)


STEP = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 5), st.integers(1, 3)),
    st.tuples(st.just("drain"), st.integers(0, 15), st.integers(1, 4), st.lists(st.integers(0, 3))),
    st.tuples(st.just("lanes"), st.sampled_from([1, 2, 4, 16])),
)


@settings(max_examples=150)
@given(steps=st.lists(STEP, max_size=30))
def test_whatever_the_lanes_become_each_event_is_sent_once(
    steps: list[tuple[object, ...]],
) -> None:
    with TemporaryDirectory() as directory, closing(open_fresh(Path(directory) / "a.db")) as db:
        declare(db, Declared("hook", "http"))
        drained, number = Drained(db), 0
        for step in [*steps, ("lanes", 4), ("lanes", 1)]:
            match step:
                case ("append", int(count), int(spread)):
                    number += count
                    first = number - count + 1
                    append(
                        db,
                        *(event(at, lane_key=at * spread) for at in range(first, number + 1)),
                    )
                case ("drain", int(lane), int(batch), list(skip)):
                    drained.step(lane, batch, skip)
                case ("lanes", int(lanes)):
                    declare(db, Declared("hook", "http", lanes=lanes))
        for _ in range(number + 1):
            drained.step(0, 4, ())
        assert sorted(drained.sent) == [one.position for one in read_all(db)]
        assert cursors.settled_everywhere(db) == number
        assert len(cursors.load(db, "hook")) == 1, "all floors are passed"
