"""The state of everything, read in one look: what ``status``, metrics and alarms are made of."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streamer.core.times import rfc3339
from streamer.store import alarms, cursors, dead_letters, destinations, lag, replays, sqlite
from streamer.store.alarms import RaisedAlarm
from streamer.store.cursors import Cursor
from streamer.store.destinations import Known
from streamer.store.sqlite import Connection

_WORST_LAST = ("ready", "waiting", "held")


class OutboxStatus(msgspec.Struct, frozen=True):
    """What the outbox holds."""

    first_position: int | None
    last_position: int
    events: int
    bytes: int


class DestinationStatus(msgspec.Struct, frozen=True):
    """How one destination is doing; its lanes are summed up by the one that is worst off."""

    kind: str
    state: str
    """``ready``, ``waiting``, ``held`` or ``paused``."""
    configured: bool
    cursor: int
    """The position of the lane that is furthest behind."""
    lag_events: int
    lag_seconds: float
    approximate: bool
    attempt: int
    next_attempt_at: str | None
    last_error: str
    dead_letters: int
    accepted: int
    replays: int


class SourceStatus(msgspec.Struct, frozen=True):
    """What one source has sent."""

    last_received_at: str | None
    last_test_at: str | None
    received: int
    duplicates: int
    quarantined: int
    unknown_types: int
    bad_signatures: int
    refused: int
    oldest_call_seconds: int


class AlarmStatus(msgspec.Struct, frozen=True):
    """One alarm that stands, or an incident of the last day."""

    code: str
    subject: str
    """The source or destination that it is about; empty when it is about all."""
    title: str
    message: str
    severity: str
    first_at: str
    last_at: str
    times: int


class Status(msgspec.Struct, frozen=True):
    """Everything in one object: what ``streamer status --json`` prints."""

    outbox: OutboxStatus
    destinations: dict[str, DestinationStatus]
    sources: dict[str, SourceStatus]
    quarantine: int
    alarms: list[AlarmStatus]


def read(db: Connection, *, now: int) -> Status:
    """Read the state of everything; costs the same at ten events and at ten million."""
    with sqlite.one_moment(db):
        return _read(db, now)


def _read(db: Connection, now: int) -> Status:
    whole = lag.extent(db)
    letters = dead_letters.count_open(db)
    every_cursor = cursors.load_all(db)
    running = replays.list_replays(db, running_only=True)
    found = {}
    for known in destinations.load_all(db):
        own = [at for at in every_cursor if at.destination == known.name and not at.replay_id]
        found[known.name] = _destination(
            known,
            cursors.live(own, known.lanes),
            lag.measure(db, known, own, whole),
            letters=letters.get(known.name, 0),
            running=sum(replay.destination == known.name for replay in running),
            now=now,
        )
    (quarantined,) = db.execute("SELECT quarantine_rows FROM totals").fetchone()
    return Status(
        outbox=OutboxStatus(whole.first_position, whole.last_position, whole.events, whole.bytes),
        destinations=found,
        sources=_sources(db),
        quarantine=quarantined,
        alarms=[_alarm(raised) for raised in alarms.current(db, now=now)],
    )


def _destination(
    known: Known, live: Sequence[Cursor], behind: lag.Lag, *, letters: int, running: int, now: int
) -> DestinationStatus:
    worst = max(live, key=lambda at: _WORST_LAST.index(at.state.state), default=None)
    state = worst.state if worst is not None else cursors.CursorState()
    oldest = behind.oldest_received_at
    return DestinationStatus(
        kind=known.kind,
        state="paused" if known.paused_at is not None else state.state,
        configured=known.configured,
        cursor=min((at.progress.position for at in live), default=0),
        lag_events=behind.events,
        lag_seconds=0.0 if oldest is None else max(0.0, (now - oldest) / 1000),
        approximate=behind.approximate,
        attempt=state.attempt,
        next_attempt_at=rfc3339(state.next_attempt_at),
        last_error=state.last_error,
        dead_letters=letters,
        accepted=known.accepted,
        replays=running,
    )


def _alarm(raised: RaisedAlarm) -> AlarmStatus:
    return AlarmStatus(
        code=raised.code,
        subject=raised.subject,
        title=raised.title,
        message=raised.message,
        severity=raised.severity,
        first_at=rfc3339(raised.first_at),
        last_at=rfc3339(raised.last_at),
        times=raised.times,
    )


def _sources(db: Connection) -> dict[str, SourceStatus]:
    columns = ", ".join(SourceStatus.__struct_fields__)
    rows = db.execute(f"SELECT name, {columns} FROM sources ORDER BY name")
    return {
        name: SourceStatus(rfc3339(received_at), rfc3339(test_at), *counts)
        for name, received_at, test_at, *counts in rows
    }
