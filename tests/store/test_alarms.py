"""Conditions are shown while they hold, incidents for a day or until they are dealt with."""

from __future__ import annotations

import pytest

from streamer.core.limits import ALARM_MEMORY_SECONDS
from streamer.store import alarms, dead_letters, quarantine
from streamer.store.sqlite import Connection
from tests.store.build import NOW, append, body, burial, declare, event, read_all, unreadable

DAY = ALARM_MEMORY_SECONDS * 1000


def shown(db: Connection, now: int = NOW) -> list[str]:
    return [alarm.code for alarm in alarms.current(db, now=now)]


def test_an_incident_is_shown_for_a_day_and_a_condition_until_it_is_over(db: Connection) -> None:
    alarms.note(db, "STR-101", "customerio", "look", times=1, now=NOW)
    alarms.note(db, "STR-301", "hook", "look", times=1, now=NOW)
    assert shown(db, NOW + DAY) == ["STR-101", "STR-301"]
    assert shown(db, NOW + DAY + 1) == ["STR-301"]
    alarms.clear(db, "STR-301", "hook", now=NOW)
    assert shown(db) == ["STR-101"]


def test_an_incident_of_the_quarantine_is_over_when_it_left_nothing_there(db: Connection) -> None:
    append(db, event(1), unreadable(b"{"), event(1, body=body("event-1", other="body")))
    for source in ("customerio", "other"):
        alarms.note(db, "STR-102", source, "look", times=1, now=NOW)
        alarms.note(db, "STR-103", source, "look", times=1, now=NOW)
    assert shown(db) == ["STR-102", "STR-103"], "the other source has nothing there"
    unread, conflict = quarantine.list_entries(db)
    assert quarantine.discard(db, conflict.id)
    assert shown(db) == ["STR-102"]
    assert quarantine.discard(db, unread.id)
    assert shown(db) == []


@pytest.mark.parametrize("state", ["accepted", "discarded"])
def test_an_incident_of_a_dead_letter_is_over_when_none_is_open(db: Connection, state: str) -> None:
    append(db, event(1), event(2))
    declare(db)
    dead_letters.bury(db, "archive", [burial(each) for each in read_all(db)], now=NOW)
    alarms.note(db, "STR-303", "archive", "http_422", times=2, now=NOW)
    assert shown(db) == ["STR-303"]
    db.execute("UPDATE dead_letters SET state = ?, closed_at = 1 WHERE id = 1", (state,))
    db.execute("UPDATE dead_letters SET state = 'retrying' WHERE id = 2")
    assert shown(db) == ["STR-303"], "it may be refused again"
    db.execute("UPDATE dead_letters SET state = ?, closed_at = 1 WHERE id = 2", (state,))
    assert shown(db) == []
