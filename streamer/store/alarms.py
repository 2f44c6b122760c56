"""Alarms as rows, so that a command beside the service can show them."""

from __future__ import annotations

import msgspec

from streamer.core.alarms import ALARMS, DEAD_LETTER, ID_CONFLICT, QUARANTINED
from streamer.core.limits import ALARM_MEMORY_SECONDS
from streamer.store.sqlite import Connection


class RaisedAlarm(msgspec.Struct, frozen=True):
    """One alarm that an operator should see."""

    code: str
    subject: str
    title: str
    message: str
    severity: str
    first_at: int
    last_at: int
    times: int


_RAISE = """
INSERT INTO alarms (code, subject, message, first_at, last_at, times) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (code, subject) DO UPDATE SET
    message = excluded.message,
    first_at = CASE WHEN cleared_at IS NULL THEN first_at ELSE excluded.first_at END,
    last_at = excluded.last_at,
    times = CASE WHEN cleared_at IS NULL THEN times ELSE 0 END + excluded.times,
    cleared_at = NULL
"""


def note(db: Connection, code: str, subject: str, message: str, *, times: int, now: int) -> None:
    """Raise an alarm, or raise it again."""
    db.execute(_RAISE, (code, subject, message, now, now, times))


def clear(db: Connection, code: str, subject: str, *, now: int) -> None:
    """Note that a condition is over."""
    db.execute(
        "UPDATE alarms SET cleared_at = ? WHERE code = ? AND subject = ? AND cleared_at IS NULL",
        (now, code, subject),
    )


_DEALT_WITH = {
    QUARANTINED.code: "SELECT NOT EXISTS (SELECT 1 FROM quarantine"
    " WHERE source = ? AND reason <> 'id_conflict')",
    ID_CONFLICT.code: "SELECT NOT EXISTS (SELECT 1 FROM quarantine"
    " WHERE source = ? AND reason = 'id_conflict')",
    DEAD_LETTER.code: "SELECT NOT EXISTS (SELECT 1 FROM dead_letters"
    " WHERE destination = ? AND pinned IS NOT NULL)",
}
"""Incidents that are over before their day is, because an operator has dealt with what they left:
whether that is so, by the subject."""


def current(db: Connection, *, now: int) -> list[RaisedAlarm]:
    """Return conditions that hold, and incidents of the last day that nobody has dealt with."""
    rows = db.execute(
        "SELECT code, subject, message, first_at, last_at, times FROM alarms"
        " WHERE cleared_at IS NULL ORDER BY code, subject"
    )
    recent = now - ALARM_MEMORY_SECONDS * 1000
    return [
        RaisedAlarm(
            code=code,
            subject=subject,
            title=ALARMS[code].title,
            message=message,
            severity=ALARMS[code].severity.value,
            first_at=first_at,
            last_at=last_at,
            times=times,
        )
        for code, subject, message, first_at, last_at, times in rows
        if code in ALARMS
        and (ALARMS[code].lasting or last_at >= recent)
        and not _is_dealt_with(db, code, subject)
    ]


def _is_dealt_with(db: Connection, code: str, subject: str) -> bool:
    query = _DEALT_WITH.get(code)
    return query is not None and bool(db.execute(query, (subject,)).fetchone()[0])
