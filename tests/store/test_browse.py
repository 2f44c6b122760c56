"""Events are found by what people know of them, the newest unless a page is asked for."""

from __future__ import annotations

import pytest

from streamer.core import customerio
from streamer.core.event import Event
from streamer.core.settlement import Progress
from streamer.store import destinations
from streamer.store.browse import Wanted, list_events
from streamer.store.destinations import Declared
from streamer.store.sqlite import Connection
from tests.store.build import NOW, accept, append, body, event, only_cursor, read_all


def about(number: int, person: str, lane_key_of: str | None = None) -> Event:
    """Make an event about a person, in the lane of that person or of another one."""
    event_id = f"event-{number}"
    lane_key = customerio.lane_key(lane_key_of or person, event_id)
    raw = body(event_id, identifiers={"id": person})
    return event(number, lane_key=lane_key, body=raw)


@pytest.fixture
def filled(db: Connection) -> Connection:
    """Six events of two sources and two types, received a millisecond apart."""
    for number in range(1, 7):
        source = "other" if number == 6 else "customerio"
        metric = "opened" if number % 2 else "sent"
        append(db, event(number, source=source, metric=metric, received_at=NOW + number))
    return db


@pytest.mark.parametrize(
    ("wanted", "limit", "expected"),
    [
        (Wanted(), 3, [4, 5, 6]),
        (Wanted(after=0), 3, [1, 2, 3]),
        (Wanted(after=3), 50, [4, 5, 6]),
        (Wanted(after=6), 50, []),
        (Wanted(source="other"), 50, [6]),
        (Wanted(types=("email.opened",)), 2, [3, 5]),
        (Wanted(types=("*.sent", "sms.*")), 50, [2, 4, 6]),
        (Wanted(since=NOW + 2, until=NOW + 4), 50, [2, 3]),
    ],
)
def test_events_are_listed_in_order_and_the_newest_first_in_line(
    filled: Connection, wanted: Wanted, limit: int, expected: list[int]
) -> None:
    assert [listed.position for listed in list_events(filled, wanted, limit=limit)] == expected


def test_a_person_is_found_by_the_key_and_not_by_the_lane_alone(db: Connection) -> None:
    append(db, about(1, "ann"), about(2, "bob"), about(3, "cy", lane_key_of="ann"))
    assert [at.position for at in list_events(db, Wanted(person="ann"), limit=9)] == [1]


def test_a_page_of_one_person_is_as_long_as_was_asked(db: Connection) -> None:
    """The lane key is no index: those of other persons between them do not count."""
    for number in range(1, 9):
        append(db, about(number, "ann" if number % 2 else "bob", lane_key_of="ann"))
    wanted = Wanted(person="ann", after=0)
    assert [at.position for at in list_events(db, wanted, limit=3)] == [1, 3, 5]


def test_a_listed_event_tells_its_size_in_bytes_and_its_type(db: Connection) -> None:
    raw = body("event-1", subject="Grüße")
    append(db, event(1, body=raw, object_type=None))
    (listed,) = list_events(db, Wanted(), limit=1)
    assert (listed.body_bytes, listed.type) == (len(raw), "unknown.sent")


def undelivered(db: Connection, name: str, limit: int = 50) -> list[int]:
    found = list_events(db, Wanted(undelivered=name), limit=limit)
    return [listed.position for listed in found]


def test_undelivered_is_what_is_neither_passed_nor_ahead_nor_filtered_out(
    filled: Connection,
) -> None:
    declared = [Declared("all", "stdout"), Declared("sent", "stdout", exclude=("*.opened",))]
    destinations.declare(filled, declared, now=NOW)
    assert undelivered(filled, "all") == [1, 2, 3, 4, 5, 6]
    assert undelivered(filled, "all", limit=2) == [1, 2], "the oldest come first"
    assert undelivered(filled, "sent") == [2, 4, 6]
    ahead = Progress(2, frozenset({4, 5}))
    accept(filled, only_cursor(filled, "all"), read_all(filled)[:2], progress=ahead)
    assert undelivered(filled, "all") == [3, 6]
    assert undelivered(filled, "sent") == [2, 4, 6]


def test_undelivered_follows_each_lane_and_what_an_earlier_lane_count_has_passed(
    db: Connection,
) -> None:
    append(db, *(event(number, lane_key=number) for number in range(1, 7)))
    destinations.declare(db, [Declared("hook", "stdout")], now=NOW)
    db.execute("UPDATE cursors SET position = 2")
    destinations.declare(db, [Declared("hook", "stdout", lanes=2)], now=NOW)
    db.execute("UPDATE cursors SET position = 5 WHERE lanes = 2 AND lane = 1")
    db.execute("UPDATE cursors SET position = 0 WHERE lanes = 2 AND lane = 0")
    assert undelivered(db, "hook") == [4, 6]
