"""Every alarm that the program can raise, under a code that never changes.

A code names one condition that an operator should know of. It shows in
``status``, ``doctor``, the log and the metrics, and has a section of the same
name in ``docs/operating.md``. An *incident* happened at a moment and is shown
for a day; a *condition* holds until it is cleared.
"""

from __future__ import annotations

import enum

import msgspec


class Severity(enum.Enum):
    """How soon somebody should look."""

    WARNING = "warning"
    CRITICAL = "critical"


class Alarm(msgspec.Struct, frozen=True):
    """One condition with a stable code."""

    code: str
    title: str
    severity: Severity
    lasting: bool
    """True for a condition that is cleared, False for an incident that is forgotten after a day."""


def _incident(code: str, title: str, severity: Severity = Severity.WARNING) -> Alarm:
    return Alarm(code, title, severity, lasting=False)


def _condition(code: str, title: str, severity: Severity = Severity.CRITICAL) -> Alarm:
    return Alarm(code, title, severity, lasting=True)


BAD_SIGNATURE = _incident("STR-101", "A webhook call carried a wrong signature", Severity.CRITICAL)
QUARANTINED = _incident("STR-102", "A signed call could not be read and is in quarantine")
ID_CONFLICT = _incident("STR-103", "An event id came again with another body")
QUARANTINE_FULL = _condition("STR-104", "The quarantine is full: bodies are cut", Severity.WARNING)
OLD_CALL = _incident("STR-105", "Webhook calls arrive long after they were signed")
LATE_ANSWER = _incident("STR-106", "A call could not be committed in time and was answered 503")
OVERLOADED = _incident("STR-107", "The ingest queue is full and calls are answered 503")
CONNECTIONS_FULL = _incident("STR-108", "All connections are taken: new ones have to wait")
NEWS = _incident("STR-110", "Customer.io sends something that the catalogue does not know")
NOT_SWITCHED_ON = _condition("STR-120", "A webhook waits to be switched on, and cannot be")

DISK_FLOOR_INGEST = _condition("STR-201", "The disk is nearly full: new events are answered 503")
DISK_FLOOR_DRAIN = _condition("STR-202", "The disk is full: draining and pruning have stopped")
DISK_FILLING = _condition("STR-203", "The disk is filling up", Severity.WARNING)
WAL_LARGE = _condition("STR-204", "A reader keeps the write-ahead log from shrinking")
DATABASE_LOCKED = _incident("STR-205", "Another program held the database's write lock")
DATABASE_FAILING = _condition("STR-206", "Commits are failing on the disk")
UNSAFE_SQLITE = _condition("STR-207", "SQLite has the WAL-reset bug and the check is overridden")
CLOCK_JUMPED = _condition("STR-208", "The wall clock jumped: pruning waits for a confirmation")
UPKEEP_FAILING = _condition(
    "STR-209", "The data directory cannot be looked after", Severity.WARNING
)

HELD = _condition("STR-301", "A destination refuses everything and is held")
OUTAGE = _condition("STR-302", "A destination has been deferring for a long time", Severity.WARNING)
DEAD_LETTER = _incident("STR-303", "An event was refused for good and is a dead letter")
SEGMENT_SHORT = _incident(
    "STR-304", "A file segment is shorter than was committed", Severity.CRITICAL
)
ORPHAN_CURSOR = _condition(
    "STR-305",
    "A destination that is not configured keeps events from being pruned",
    Severity.WARNING,
)
ODD_ANSWER = _incident(
    "STR-306", "A destination accepted a batch with an answer that makes no sense"
)
LATE_TIMESTAMP = _incident("STR-307", "An event's own time was in the future or unusable")
CURSOR_MENDED = _incident("STR-308", "What was settled ahead of a cursor could not be read")
UNSETTLED = _condition(
    "STR-309", "The database refuses what a destination answered: the destination is held"
)
AEP_SHED = _incident("STR-320", "An event was sent to Adobe without what made it too large")
AEP_UNANSWERED = _incident(
    "STR-321", "Adobe did not say what became of some events: they are sent again"
)

ALARMS: dict[str, Alarm] = {
    alarm.code: alarm for alarm in list(globals().values()) if isinstance(alarm, Alarm)
}
