"""Events are found by what people know of them, the newest unless a page is asked for."""

from __future__ import annotations

import pytest

from streamer.core.event import Event
from streamer.core.settlement import Progress
from streamer.store import browse, destinations
from streamer.store.browse import Wanted, list_events
from streamer.store.destinations import Declared
from streamer.store.sqlite import Connection
from tests.store.build import (
    NOW,
    accept,
    append,
    append_at,
    body,
    event,
    only_cursor,
    read_all,
)


def about(number: int, **data: object) -> Event:
    """Make an event about a person."""
    return event(number, body=body(f"event-{number}", **data))


def positions(
    db: Connection, person: str, limit: int = 9, *, after: int | None = None
) -> list[int]:
    found = list_events(db, Wanted(person=person, after=after), limit=limit)
    return [listed.position for listed in found]


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


EVERYTHING = {
    "identifiers": {"cio_id": "0a1b", "id": 42, "email": "Ann@Example.com"},
    "customer_id": "c-7",
    "recipient": "+15551234567",
    "email_address": "ann@other.example",
}


@pytest.mark.parametrize(
    ("person", "found"),
    [
        ("0a1b", True), ("42", True), ("c-7", True), ("+15551234567", True),
        ("ann@example.com", True), ("ANN@example.COM", True), (" ann@other.example ", True),
        ("0A1B", False), ("C-7", False), ("ann", False), ("example.com", False), ("4", False),
        ("", False), (" ", False), ("None", False),
    ],
)  # fmt: skip
def test_a_person_is_found_by_any_identifier_whole(
    db: Connection, person: str, *, found: bool
) -> None:
    append(db, event(1), about(2, **EVERYTHING), about(3, identifiers={"id": "bob"}))
    assert positions(db, person) == ([2] if found else [])


def test_odd_data_names_nobody_and_stops_no_search(db: Connection) -> None:
    bodies = [
        b'{"event_id": "1"}', b'{"event_id": "2", "data": ["ann"]}',
        b'{"event_id": "3", "data": {"identifiers": ["ann"], "recipient": {"id": "ann"}}}',
        b'{"event_id": "4", "data": {"recipient": true, "customer_id": null}}',
        b'{"event_id": "5", "x": ' + b"9" * 5_000 + b', "data": {"recipient": "ann"}}',
        b'{"event_id": "6", "x": 1e999, "data": {"recipient": "ann"}}',
    ]  # fmt: skip
    append(db, *(event(number, body=raw) for number, raw in enumerate(bodies, 1)))
    assert positions(db, "ann") == [5, 6]


def test_what_cannot_be_read_any_more_is_listed_if_the_text_is_in_it(db: Connection) -> None:
    deep = b'{"x": "Ann@example.com", "y": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    append(db, event(1, body=deep))
    assert positions(db, "ann@example.com") == [1]
    assert positions(db, "bob@example.com") == []


def test_a_page_of_one_person_is_as_long_as_was_asked(db: Connection) -> None:
    append(db, *(about(n, identifiers={"id": "ann" if n % 2 else "bob"}) for n in range(1, 9)))
    assert positions(db, "ann", 3, after=0) == [1, 3, 5]
    assert positions(db, "ann", 3) == [3, 5, 7]


def test_a_search_lets_go_of_the_database_between_its_windows_and_misses_nothing(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log grows below a statement that stands in it, however many events are looked at."""
    monkeypatch.setattr(browse, "SCAN_EVENTS_MAX", 3)
    append_at(db, [1, 2, 3, 4, 10**9, 10**9 + 1, 2 * 10**9])
    said: list[str] = []
    db.set_trace_callback(said.append)
    everything = positions(db, "nobody@example.com")
    db.set_trace_callback(None)
    assert everything == []
    assert sum("body" in statement for statement in said) == 3
    wanted = [1, 2, 3, 4, 10**9, 10**9 + 1, 2 * 10**9]
    for limit in range(1, 8):
        assert [at.position for at in list_events(db, Wanted(), limit=limit)] == wanted[-limit:]
        forth = list_events(db, Wanted(after=0), limit=limit)
        assert [at.position for at in forth] == wanted[:limit]


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
