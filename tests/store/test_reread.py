"""A quarantined call is read again, and leaves only when the outbox has its event."""

from __future__ import annotations

import pytest

from streamer.core.limits import KIB, MIB
from streamer.store import outbox, quarantine
from streamer.store.quarantine import Entry
from streamer.store.reread import Became, Reread, reread
from streamer.store.sqlite import Connection
from tests.store.build import (
    NOW,
    append,
    body,
    counted_totals,
    event,
    read_all,
    said_totals,
    unreadable,
)


def only_entry(db: Connection) -> Entry:
    """Return the one entry that there is."""
    (entry,) = quarantine.list_entries(db)
    return entry


def again(db: Connection) -> Reread:
    """Read the only entry again."""
    return reread(db, only_entry(db), body_bytes_max=MIB)


def test_what_is_readable_now_becomes_an_event_with_its_time_of_receipt(db: Connection) -> None:
    append(db, event(1), unreadable(body("event-2"), received_at=NOW - 7))
    result = again(db)
    assert (result.became, result.position) == (Became.EVENT, 2)
    (_, stored) = read_all(db)
    assert (stored.event_id, stored.received_at, stored.body) == (
        "event-2",
        NOW - 7,
        body("event-2"),
    )
    assert (stored.object_type, stored.metric, stored.source) == ("email", "sent", "customerio")
    assert quarantine.list_entries(db) == []
    assert said_totals(db) == counted_totals(db)


def test_what_repeats_an_event_leaves_without_another_one(db: Connection) -> None:
    append(db, event(1), unreadable(event(1).body))
    result = again(db)
    assert (result.became, result.position) == (Became.DUPLICATE, 1)
    assert len(read_all(db)) == 1
    assert quarantine.list_entries(db) == []


def test_an_id_with_another_body_stays_as_it_was(db: Connection) -> None:
    append(db, event(1), event(1, body=body("event-1", other=True)))
    before = only_entry(db)
    totals = said_totals(db)
    result = again(db)
    assert (result.became, result.position) == (Became.CONFLICT, 1)
    assert "first one counts" in result.detail
    assert only_entry(db) == before
    assert said_totals(db) == totals


def test_what_is_still_unreadable_stays_and_says_why(db: Connection) -> None:
    append(db, unreadable(b"{"))
    result = again(db)
    assert result.became is Became.UNREADABLE
    assert result.detail.startswith("not_json")
    assert only_entry(db).times == 1


def test_a_body_whose_end_is_missing_is_never_read(db: Connection) -> None:
    """Its beginning may well be JSON, of another event than the one that was sent."""
    append(db, unreadable(body("event-1"), body_bytes=5 * MIB, body_sha256=bytes(32)))
    result = again(db)
    assert result.became is Became.CUT
    assert outbox.last_position(db) == 0
    assert len(quarantine.list_entries(db)) == 1


def test_a_body_beyond_the_limit_stays_until_the_limit_is_raised(db: Connection) -> None:
    append(db, unreadable(body("event-1", content="x" * KIB), reason="too_large"))
    assert reread(db, only_entry(db), body_bytes_max=KIB).became is Became.TOO_LARGE
    assert reread(db, only_entry(db), body_bytes_max=2 * KIB).became is Became.EVENT


def test_a_row_that_the_database_refuses_takes_nothing_with_it(db: Connection) -> None:
    db.execute("BEGIN")
    append(db, unreadable(body("event-1")))
    db.execute(
        "CREATE TEMP TRIGGER refuse BEFORE INSERT ON outbox BEGIN SELECT raise(ABORT, 'no'); END"
    )
    append(db, unreadable(b"{"))
    entries = quarantine.list_entries(db)
    result = reread(db, entries[0], body_bytes_max=MIB)
    assert result.became is Became.REFUSED
    db.execute("COMMIT")
    assert quarantine.list_entries(db) == entries
    assert said_totals(db) == counted_totals(db)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"limit": 2}, [2, 3]),
        ({"source": "other"}, [3]),
        ({"reason": "odd"}, [2]),
        ({"event_id": "event-9"}, [2]),
    ],
)
def test_entries_are_listed_newest_last_and_by_what_is_known_of_them(
    db: Connection, filters: dict[str, object], expected: list[int]
) -> None:
    append(
        db,
        unreadable(b"1"),
        unreadable(b"2", reason="odd", event_id="event-9"),
        unreadable(b"3", source="other"),
    )
    found = quarantine.list_entries(db, **filters)  # type: ignore[arg-type]  # one table for all
    assert [entry.id for entry in found] == expected
