"""A replay is counted, started, followed and closed; its cursor ends with it."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.errors import UsageError
from streamer.core.limits import REPLAY_PICKED_EVENTS_MAX
from streamer.core.selection import Selection
from streamer.drain.feed import ReplayFeed
from streamer.store import cursors, destinations, outbox, replays, sqlite
from streamer.store.destinations import Declared
from streamer.store.replays import Request
from streamer.store.sqlite import Connection
from tests.store.build import (
    ALL,
    NOW,
    accept,
    append,
    declare,
    event,
    fill_outbox,
    only_cursor,
    read_all,
)


@pytest.fixture
def hook(db: Connection) -> Connection:
    """One destination and six events, of which every other one was opened."""
    declare(db, Declared("hook", "http", start="earliest"))
    for number in range(1, 7):
        metric = "opened" if number % 2 else "sent"
        append(db, event(number, metric=metric, received_at=NOW + number))
    return db


@pytest.mark.parametrize(
    ("request_", "selection", "expected"),
    [
        (Request("hook", 2, 5), ALL, 4),
        (Request("hook", 2, 5, include=("email.opened",)), ALL, 2),
        (Request("hook", 1, 6, since=NOW + 2, until=NOW + 5), ALL, 3),
        (Request("hook", 1, 6), Selection(include=(), exclude=("*.sent",)), 3),
        (Request("hook", 1, 6, positions=(1, 4)), ALL, 2),
        (Request("hook", 7, 9), ALL, 0),
    ],
)
def test_what_a_replay_would_send_is_counted_first(
    hook: Connection, request_: Request, selection: Selection, expected: int
) -> None:
    assert sum(replays.count_by_type(hook, request_, selection).values()) == expected


BOUNDS = st.none() | st.integers(-1, 8).map(lambda number: NOW + number)


@given(
    wanted=st.builds(
        Request,
        st.just("hook"),
        st.integers(0, 8),
        st.integers(0, 8),
        BOUNDS,
        BOUNDS,
        st.sampled_from([(), ("email.opened",), ("*.sent", "sms.*"), ("nothing",)]),
        st.none() | st.sets(st.integers(0, 8), max_size=4).map(sorted).map(tuple),
    )
)
def test_for_one_event_and_in_sql_the_same_is_asked_for(wanted: Request) -> None:
    with closing(sqlite.open_in_memory()) as db:
        db.execute(
            "CREATE TABLE outbox (position, source, event_id, object_type, metric, occurred_at,"
            " received_at, lane_key, body)"
        )
        for number in range(1, 8):
            metric = "opened" if number % 3 else "sent"
            db.execute(
                "INSERT INTO outbox VALUES (?, 'a', ?, 'email', ?, NULL, ?, 0, '{}')",
                (number, str(number), metric, NOW + number // 2),
            )
        stored = outbox.read_positions(db, range(1, 8))
        condition, parameters = wanted.sql_condition()
        found = db.execute(
            f"SELECT position FROM outbox WHERE {condition} ORDER BY position",  # noqa: S608 - the condition is under test
            parameters,
        ).fetchall()
        assert [at for (at,) in found] == [one.position for one in stored if wanted.wants(one)]


def test_a_replay_of_a_rare_type_reads_no_other_bodies(db: Connection) -> None:
    """Bodies of the others are not even text, so that reading one would fail."""
    declare(db, Declared("hook", "http"))
    fill_outbox(db, 2_000)
    db.execute("UPDATE outbox SET metric = 'bounced' WHERE position IN (5, 1999)")
    db.execute("UPDATE outbox SET body = CAST(x'ff' AS TEXT) WHERE metric <> 'bounced'")
    replay = replays.load(
        db,
        replays.start(db, Request("hook", 1, 2_000, include=("*.bounced",)), events=2, now=NOW),
    )
    assert replay is not None
    scan = ReplayFeed(ALL, replay).read(db, 0, 100, 2**20)
    assert [one.position for one in scan.events] == [5, 1999]
    assert (scan.through, scan.caught_up) == (2_000, True)


def test_more_picked_events_than_one_replay_takes_are_refused(hook: Connection) -> None:
    picked = tuple(range(REPLAY_PICKED_EVENTS_MAX, -1, -1))
    with pytest.raises(UsageError, match="10,000 picked events"):
        replays.start(hook, Request("hook", positions=picked), events=1, now=NOW)
    assert replays.list_replays(hook) == []
    number = replays.start(hook, Request("hook", positions=picked[1:]), events=1, now=NOW)
    replay = replays.load(hook, number)
    assert replay is not None
    assert replay.positions == tuple(range(REPLAY_PICKED_EVENTS_MAX)), "in order"


def test_a_replay_is_stored_as_it_was_asked_for(hook: Connection) -> None:
    request = Request("hook", 2, 5, since=NOW, until=NOW + 9, include=("email.*",))
    replay_id = replays.start(hook, request, events=4, now=NOW)
    replay = replays.load(hook, replay_id)
    assert replay is not None
    assert (replay.kind, replay.state, replay.events) == ("range", "running", 4)
    assert (replay.from_position, replay.to_position) == (2, 5)
    assert (replay.since, replay.until, replay.include) == (NOW, NOW + 9, ("email.*",))
    assert replay.request.selection.matches("email", "sent")
    assert only_cursor(hook, "hook", replay_id=replay_id).progress.position == 1
    assert replays.load(hook, 99) is None


def test_the_oldest_running_replay_of_a_destination_comes_first(hook: Connection) -> None:
    first = replays.start(hook, Request("hook", 1, 2), events=2, now=NOW)
    second = replays.start(hook, Request("hook", positions=(3,)), events=1, now=NOW)
    running = replays.running(hook, "hook")
    assert running is not None
    assert running.id == first
    assert replays.finish(hook, running, "done", now=NOW + 1)
    assert [replay.id for replay in replays.list_replays(hook, running_only=True)] == [second]
    assert [replay.state for replay in replays.list_replays(hook)] == ["done", "running"]
    assert cursors.load(hook, "hook", replay_id=first) == []
    assert replays.running(hook, "lake") is None


def test_a_replay_leaves_the_live_cursor_alone_and_counts_for_itself(hook: Connection) -> None:
    replay_id = replays.start(hook, Request("hook", 1, 3), events=3, now=NOW)
    accept(hook, only_cursor(hook, "hook", replay_id=replay_id), read_all(hook)[:2])
    replay = replays.load(hook, replay_id)
    assert replay is not None
    assert replay.accepted == 2
    assert only_cursor(hook, "hook").progress.position == 0
    assert destinations.load(hook, "hook").accepted == 2


def test_a_replay_that_is_over_cannot_be_called_off(hook: Connection) -> None:
    replay = replays.load(hook, replays.start(hook, Request("hook", 1, 2), events=2, now=NOW))
    assert replay is not None
    assert replays.cancel(hook, replay, now=NOW + 1)
    assert not replays.cancel(hook, replay, now=NOW + 2)
    assert not replays.finish(hook, replay, "done", now=NOW + 2)
    closed = replays.load(hook, replay.id)
    assert closed is not None
    assert (closed.state, closed.finished_at) == ("cancelled", NOW + 1)
    acts = [act for (act,) in hook.execute("SELECT act FROM operator_acts ORDER BY id")]
    assert acts == ["replay", "replay cancel"]


def test_a_running_replay_keeps_its_events_from_being_pruned(hook: Connection) -> None:
    accept(hook, only_cursor(hook, "hook"), read_all(hook))
    assert cursors.settled_everywhere(hook) == 6
    replays.start(hook, Request("hook", 3, 5), events=3, now=NOW)
    assert cursors.settled_everywhere(hook) == 2
