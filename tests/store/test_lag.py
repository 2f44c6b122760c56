"""Lag and status say what counting everything would say, or that they estimate."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.limits import POSITION_LEAP
from streamer.core.settlement import Progress
from streamer.store import (
    alarms,
    cursors,
    destinations,
    lag,
    outbox,
    settling,
    sources,
    sqlite,
    status,
)
from streamer.store.cursors import CursorState
from streamer.store.destinations import Declared
from streamer.store.lag import Lag
from streamer.store.settling import Settlement
from streamer.store.sqlite import Connection
from tests.store.build import (
    NOW,
    append,
    append_at,
    counted_steps,
    declare,
    event,
    fill_every_table,
    fill_outbox,
    open_fresh,
    read_all,
)


def settle_lane(db: Connection, number: int, position: int, ahead: frozenset[int]) -> None:
    lanes = destinations.load(db, "hook").lanes
    live = [at for at in cursors.load(db, "hook") if at.lane.lanes == lanes]
    cursor = live[number % lanes]
    position = max(position, cursor.progress.position)
    mine = frozenset(
        one.position
        for one in read_all(db)
        if one.position in ahead
        and one.position > position + 1
        and one.lane_key % lanes == cursor.lane.lane
    )
    settlement = Settlement(cursor, Progress(position, mine), CursorState(), NOW)
    assert settling.settle(db, settlement) is not None


def measured(db: Connection) -> Lag:
    known = destinations.load(db, "hook")
    return lag.measure(db, known, cursors.load(db, "hook"), lag.extent(db))


def counted(db: Connection) -> Lag:
    """Look at each event and each cursor."""
    known = destinations.load(db, "hook")
    every = cursors.load(db, "hook")
    behind = [
        one
        for one in read_all(db)
        if known.selection.matches(one.object_type, one.metric)
        and not any(at.has_settled(one.position, one.lane_key) for at in every)
    ]
    return Lag(len(behind), behind[0].received_at if behind else None)


def said_by_view(db: Connection) -> Lag:
    row = db.execute(
        "SELECT v.events, (SELECT received_at FROM outbox WHERE position = v.first_position)"
        " FROM v_lag AS v WHERE destination = 'hook'"
    ).fetchone()
    return Lag(*row)


@settings(max_examples=150)
@given(
    gaps=st.lists(st.tuples(st.integers(1, 2), st.sampled_from(["sent", "opened"])), max_size=10),
    include=st.sampled_from([(), ("*.sent",), ("email.?pened", "email.[a-z]*"), ("push.*",)]),
    exclude=st.sampled_from([(), ("email.opened",)]),
    lanes=st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=3),
    moves=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.frozensets(
        st.integers(1, 14), max_size=5)), max_size=4),
)  # fmt: skip
def test_lag_is_what_looking_at_each_event_finds(
    gaps: list[tuple[int, str]],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    lanes: list[int],
    moves: list[tuple[int, int, frozenset[int]]],
) -> None:
    with TemporaryDirectory() as directory, closing(open_fresh(Path(directory) / "a.db")) as db:
        declare(db, Declared("hook", "http", lanes[0], include, exclude))
        position = 0
        for gap, metric in gaps:
            position += gap
            append_at(db, [position], metric=metric, received_at=NOW + position)
        for count in lanes:
            declare(db, Declared("hook", "http", count, include, exclude))
            for number, at, ahead in moves:
                settle_lane(db, number, min(at, position), ahead)
        assert measured(db) == counted(db)
        assert said_by_view(db) == counted(db)


@pytest.mark.parametrize("gap", [0, 10**9])
def test_beyond_a_bound_lag_is_estimated_and_says_so(
    db: Connection, monkeypatch: pytest.MonkeyPatch, gap: int
) -> None:
    monkeypatch.setattr(lag, "LAG_COUNT_EVENTS_MAX", 10)
    monkeypatch.setattr(lag, "LAG_SAMPLE_EVENTS", 2)
    declare(db, Declared("hook", "http", include=("*.sent",)))
    for number in range(1, 41):
        position = number if number <= 20 else number + gap
        append_at(db, [position], metric="sent" if number % 2 else "opened")
    assert measured(db) == Lag(20, NOW, approximate=True)


def test_what_ends_at_the_bound_is_counted_exactly(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "LAG_COUNT_EVENTS_MAX", 10)
    declare(db, Declared("hook", "http", include=("*.sent",)))
    append(db, *(event(number) for number in range(1, 11)))
    assert measured(db) == Lag(10, NOW)


@pytest.mark.parametrize(("include", "events"), [("*.opened", 1_200), ("*.bounced", 3_000)])
def test_an_estimate_sees_what_came_late(db: Connection, include: str, events: int) -> None:
    """The oldest events may be of other types than the rest."""
    fill_outbox(db, 20_000)
    db.execute("UPDATE outbox SET metric = 'sent' WHERE position <= 5000")
    db.execute("UPDATE outbox SET metric = 'bounced' WHERE position > 17000")
    declare(db, Declared("hook", "http", include=(include,)))
    said = measured(db)
    assert said.approximate
    assert events * 0.5 <= said.events <= events * 1.5
    assert said.oldest_received_at is not None
    assert said.oldest_received_at >= NOW - 15_000_000, "and not the oldest event of all"


def test_the_leap_of_a_restored_copy_does_not_count_as_pending(db: Connection) -> None:
    """Retention keeps twice as much as is pending, on this side of the leap and beyond it."""
    destinations.declare(db, [Declared("hook", "http", include=("email.*",))], now=NOW)
    fill_outbox(db, 50_000)
    db.execute("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'outbox'", (POSITION_LEAP,))
    fill_outbox(db, 10_000, first=50_001)
    for settled, pending in ((40_000, 20_000), (POSITION_LEAP + 51_000, 9_000)):
        db.execute("UPDATE cursors SET position = ?", (settled,))
        said = measured(db)
        assert said.approximate
        assert said.events == pytest.approx(pending, rel=0.01)


def test_status_costs_the_same_however_long_the_backlog_is(db: Connection) -> None:
    steady = (
        Declared("plain", "file"),
        Declared("filtered", "http", include=("*.opened",)),
        Declared("lanes", "http", lanes=4),
    )
    for lanes in (2, 3):
        declare(db, *steady, Declared("floors", "http", lanes))
    fill_outbox(db, 15_000)
    with counted_steps(db) as at_first:
        status.read(db, now=NOW)
    fill_outbox(db, 45_000, first=15_001)
    with counted_steps(db) as later:
        said = status.read(db, now=NOW)
    assert later[0] < at_first[0] * 1.05
    assert {name: one.lag_events for name, one in said.destinations.items()} == {
        "plain": 60_000, "filtered": 6_000, "lanes": 60_000, "floors": 60_000
    }  # fmt: skip


def test_a_destination_without_an_event_or_a_cursor_is_not_behind(db: Connection) -> None:
    declare(db, Declared("hook", "http"))
    assert measured(db) == Lag()
    append(db, event(1))
    known = destinations.load(db, "hook")
    assert lag.measure(db, known, [], lag.extent(db)) == Lag()


def test_status_tells_everything_in_one_look(db: Connection, path: Path) -> None:
    fill_every_table(db)
    with closing(sqlite.open_reader(path)) as reader:
        said = status.read(reader, now=NOW + 1500)
        assert not reader.in_transaction
    assert (said.outbox.events, said.outbox.first_position, said.outbox.last_position) == (
        22,
        1,
        22,
    )
    assert said.outbox.bytes == sum(len(one.body) for one in read_all(db))
    archive, hook, lake = (said.destinations[name] for name in ("archive", "hook", "lake"))
    assert (archive.state, archive.cursor, archive.lag_events) == ("ready", 8, 13)
    assert (archive.lag_seconds, archive.dead_letters, archive.replays) == (1.5, 1, 2)
    assert (hook.state, hook.cursor, hook.lag_events, hook.approximate) == ("paused", 0, 20, False)
    assert (lake.state, lake.attempt, lake.last_error) == ("waiting", 3, "http_503: try later")
    assert lake.next_attempt_at == "2026-09-21T14:14:20.000Z"
    assert said.sources["customerio"].received == 22
    assert said.sources["other"].last_received_at is None
    assert said.quarantine == 2
    assert [alarm.code for alarm in said.alarms] == ["STR-301"]


def test_the_lane_that_is_worst_off_speaks_for_its_destination(db: Connection) -> None:
    declare(db, Declared("hook", "http", lanes=3))
    append(db, event(1))
    for number, name in ((0, "waiting"), (1, "held")):
        cursor = cursors.load(db, "hook")[number]
        state = CursorState(name, 1, None, NOW, name)
        settling.settle(db, Settlement(cursor, Progress(number), state, NOW))
    said = status.read(db, now=NOW).destinations["hook"]
    assert (said.state, said.last_error, said.cursor) == ("held", "held", 0)


def test_an_incident_is_forgotten_after_a_day_and_a_condition_is_not(db: Connection) -> None:
    alarms.note(db, "STR-101", "customerio", "wrong", times=3, now=NOW)
    alarms.note(db, "STR-301", "hook", "held", times=1, now=NOW)
    alarms.note(db, "STR-999", "", "of a later version", times=1, now=NOW)
    day = 86_400_000
    assert [a.code for a in alarms.current(db, now=NOW + day)] == ["STR-101", "STR-301"]
    assert [a.code for a in alarms.current(db, now=NOW + day + 1)] == ["STR-301"]


def test_an_alarm_raised_again_counts_on_and_one_raised_anew_starts_over(db: Connection) -> None:
    for now, times in ((NOW, 1), (NOW + 5, 2)):
        alarms.note(db, "STR-301", "hook", "held", times=times, now=now)
    (alarm,) = alarms.current(db, now=NOW)
    assert (alarm.first_at, alarm.last_at, alarm.times) == (NOW, NOW + 5, 3)
    alarms.clear(db, "STR-301", "hook", now=NOW + 6)
    assert alarms.current(db, now=NOW + 6) == []
    alarms.note(db, "STR-301", "hook", "again", times=1, now=NOW + 7)
    (alarm,) = alarms.current(db, now=NOW + 7)
    assert (alarm.first_at, alarm.times, alarm.message) == (NOW + 7, 1, "again")


def test_a_source_that_only_sent_wrong_signatures_has_no_last_receipt(db: Connection) -> None:
    for _ in range(2):
        tally = sources.Tally()
        tally.of("customerio").bad_signatures += 1
        sources.add(db, tally)
    said = status.read(db, now=NOW).sources["customerio"]
    assert (said.last_received_at, said.bad_signatures) == (None, 2)


def test_tallies_that_could_not_be_written_are_merged_into_the_next(db: Connection) -> None:
    first, second = sources.Tally(), sources.Tally()
    first.of("customerio").refused = 2
    second.of("customerio").refused = 3
    second.of("customerio").oldest_call_seconds = 70
    second.of("other").bad_signatures = 1
    first.merge(second)
    sources.add(db, first)
    said = status.read(db, now=NOW).sources
    assert (said["customerio"].refused, said["customerio"].oldest_call_seconds) == (5, 70)
    assert said["other"].bad_signatures == 1


def test_a_type_that_the_catalogue_does_not_know_is_counted(db: Connection) -> None:
    append(db, event(1), event(2, metric="teleported"), event(2, metric="teleported"))
    said = status.read(db, now=NOW).sources["customerio"]
    assert (said.received, said.duplicates, said.unknown_types) == (2, 1, 1)
    assert outbox.first_position(db) == 1
