"""What is new is found behind a stored position, counted once, and bounded."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from streamer.core.event import Event
from streamer.core.limits import DRIFT_ROWS_MAX, SURVEY_BYTES_MAX, SURVEY_EVENTS_MAX
from streamer.store import backup, drift, facts, salvage, sqlite
from streamer.store.drift import MORE, Row
from streamer.store.sqlite import Connection
from tests.store.build import (
    NOW,
    append,
    append_at,
    body,
    event,
    fill_every_table,
    open_fresh,
    transact,
)


def odd(number: int, *, at: int = NOW, **data: object) -> Event:
    """Make an event with fields that nobody knows."""
    return event(number, received_at=at, body=body(f"event-{number}", **data))


def invented(
    number: int, letter: str, names: int, *, at: int = NOW, more: dict[str, object] | None = None
) -> Event:
    """Make an event with so many fields that nobody knows."""
    data = {f"{letter}{name}": 1 for name in range(names)} | (more or {})
    return event(number, received_at=at, body=body(f"event-{number}", **data))


def look(db: Connection) -> list[drift.Key]:
    """Look through a piece of the outbox and write down what was there, as the survey does."""
    surveyed = drift.survey(db, drift.surveyed_position(db))
    return transact(db, lambda at: drift.add(at, surveyed))


def rows(db: Connection) -> dict[str, Row]:
    return {row.path or row.kind: row for row in drift.list_drift(db, limit=10_000)}


def test_known_events_leave_nothing_but_the_position(db: Connection) -> None:
    append(db, *(event(number) for number in range(10)))
    assert look(db) == []
    assert drift.list_drift(db, limit=5) == []
    assert drift.surveyed_position(db) == 10


def test_a_row_tells_what_how_often_when_and_which_event_was_last(db: Connection) -> None:
    append(
        db,
        odd(1, at=NOW + 7_000, score=1),
        event(2),
        odd(3, at=NOW + 9_000, score=None),
        odd(4, at=NOW + 5_000, score="high"),
    )
    assert look(db) == [("field", "email.sent", "data.score")]
    assert drift.list_drift(db, limit=5) == [
        Row(
            kind="field",
            type="email.sent",
            path="data.score",
            found=("integer", "null", "string"),
            events=3,
            first_at=NOW + 5_000,
            last_at=NOW + 9_000,
            position=4,
            source="customerio",
            event_id="event-4",
        )
    ]


def test_what_was_seen_before_is_counted_on_and_not_new(db: Connection) -> None:
    append(db, odd(1, at=NOW, score=1))
    look(db)
    append(db, odd(2, at=NOW + 1, score="x"))
    assert look(db) == []
    append(db, odd(3, at=NOW - 1, score="x", rank=1))
    assert look(db) == [("field", "email.sent", "data.rank")]
    score = rows(db)["data.score"]
    assert (score.events, score.found, score.position) == (3, ("integer", "string"), 3)
    assert (score.first_at, score.last_at) == (NOW - 1, NOW + 1)


def test_an_event_counts_once_however_often_it_has_something(db: Connection) -> None:
    devices = [{"color": "red"}, {"color": 5}]
    document = {"event_id": "e", "object_type": "push", "metric": "sent",
                "data": {"recipients": devices}}  # fmt: skip
    made = event(1, object_type="push", body=json.dumps(document).encode())
    append(db, made)
    look(db)
    row = rows(db)["data.recipients[].color"]
    assert (row.events, row.found) == (1, ("integer", "string"))


def test_each_kind_of_news_can_be_stored(db: Connection) -> None:
    legacy = {"event_id": "e", "event_type": "email_sent"}
    append(
        db,
        event(1, object_type="line", body=b'{"event_id": "1", "object_type": "line"}'),
        event(2, metric="sung", body=b'{"event_id": "2", "object_type": "email", "metric": "s"}'),
        odd(3, score=1),
        odd(4, subject=1),
        event(5, object_type=None, metric=None, body=json.dumps(legacy).encode()),
        event(6, body=b"not what was stored"),
    )
    look(db)
    kinds = [row.kind for row in drift.list_drift(db, limit=10)]
    assert sorted(kinds) == ["field", "legacy", "metric", "object_type", "unreadable", "value"]


def test_names_of_any_length_and_sort_fit_the_table(db: Connection) -> None:
    long = "x" * 100_000
    data: dict[str, object] = {"inner": {long: 1}, "identifiers": {long: 1}}
    data |= dict.fromkeys((long, "a@example.com", "\ud800", "n\x00n"), 1)
    made = json.dumps({"event_id": "1", "object_type": "email", "metric": "sent", "data": data})
    append(
        db,
        event(1, body=made.encode()),
        event(2, body=json.dumps({"event_id": "2", "object_type": long, "metric": long}).encode()),
    )
    assert len(look(db)) == 5
    told = "".join(f"{row.type} {row.path}" for row in drift.list_drift(db, limit=10))
    assert "@" not in told
    assert len(told) < 500


def test_a_sender_that_invents_names_fills_the_table_and_no_more(db: Connection) -> None:
    half = DRIFT_ROWS_MAX // 2
    append(db, invented(1, "a", half))
    assert len(look(db)) == half
    append(db, invented(2, "b", half + 7, at=NOW + 3))
    assert len(look(db)) == half
    append(db, invented(3, "c", 5, at=NOW + 9, more={"a1": 1}))
    assert look(db) == []
    found = rows(db)
    assert len(found) == DRIFT_ROWS_MAX + 1
    more = found[MORE]
    assert (more.events, more.first_at, more.last_at, more.position) == (12, NOW + 3, NOW + 9, 3)
    assert (more.type, more.path, more.found) == ("", "", ())
    assert found["data.a1"].events == 2


def test_a_look_is_bounded_in_events_and_bytes(db: Connection) -> None:
    append(db, *(event(number) for number in range(SURVEY_EVENTS_MAX + 1)))
    surveyed = drift.survey(db, 0)
    assert (surveyed.through, surveyed.caught_up) == (SURVEY_EVENTS_MAX, False)
    surveyed = drift.survey(db, surveyed.through)
    assert (surveyed.through, surveyed.caught_up) == (SURVEY_EVENTS_MAX + 1, True)
    large = "x" * (SURVEY_BYTES_MAX // 2)
    append(db, *(odd(number, subject=large) for number in range(1_000, 1_003)))
    assert drift.survey(db, surveyed.through).through == SURVEY_EVENTS_MAX + 2


def test_counts_and_position_are_written_together_or_not_at_all(db: Connection) -> None:
    append(db, odd(1, score=1))
    surveyed = drift.survey(db, 0)
    with pytest.raises(ZeroDivisionError):
        transact(db, lambda at: drift.add(at, surveyed) and 1 / 0)
    assert drift.surveyed_position(db) == 0
    look(db)
    assert rows(db)["data.score"].events == 1


def test_gaps_and_pruned_events_are_passed(db: Connection) -> None:
    append_at(db, [5, 10**9], body=body("event-5", score=1))
    db.execute("DELETE FROM outbox WHERE position = 5")
    look(db)
    assert rows(db)["data.score"].events == 1
    assert drift.surveyed_position(db) == 10**9
    db.execute("DELETE FROM outbox")
    assert look(db) == []


def test_the_last_event_may_have_been_pruned(db: Connection) -> None:
    append(db, odd(1, score=1))
    look(db)
    db.execute("DELETE FROM outbox")
    row = rows(db)["data.score"]
    assert (row.position, row.source, row.event_id) == (1, None, None)


def test_the_list_begins_with_what_was_seen_last(db: Connection) -> None:
    append(db, odd(1, at=NOW + 2, b=1), odd(2, at=NOW + 1, a=1), odd(3, at=NOW + 3, c=1))
    look(db)
    assert [row.path for row in drift.list_drift(db, limit=2)] == ["data.c", "data.b"]


def test_what_is_forgotten_is_new_when_it_comes_again(db: Connection) -> None:
    append(db, odd(1, score=1))
    look(db)
    assert transact(db, lambda at: drift.forget(at, now=NOW)) == 1
    assert drift.list_drift(db, limit=5) == []
    assert drift.surveyed_position(db) == 1, "what was looked through stays so"
    append(db, odd(2, score=1))
    assert look(db) == [("field", "email.sent", "data.score")]
    acts = db.execute("SELECT act, detail FROM operator_acts").fetchall()
    assert [tuple(act) for act in acts] == [("forget-drift", "1 rows")]


def test_a_restored_database_goes_on_from_where_the_copy_was(path: Path, tmp_path: Path) -> None:
    with closing(open_fresh(path)) as db:
        append(db, odd(1, score=1))
        look(db)
        append(db, odd(2, score=1))
    backup.backup(path, tmp_path / "copy.db")
    backup.restore(tmp_path / "copy.db", path, now=NOW)
    with closing(sqlite.open_writer(path)) as db:
        look(db)
        assert rows(db)["data.score"].events == 2
        append(db, odd(3, score=1))
        look(db)
        assert rows(db)["data.score"].events == 3


def test_what_was_found_is_rescued_with_a_damaged_database(db: Connection, path: Path,
                                                           tmp_path: Path) -> None:  # fmt: skip
    fill_every_table(db)
    before = drift.list_drift(db, limit=10)
    salvage.salvage(path, tmp_path / "new.db", now=NOW)
    with closing(sqlite.open_reader(tmp_path / "new.db")) as new:
        assert drift.list_drift(new, limit=10) == before != []
        assert facts.read(new, drift.POSITION) == 22
