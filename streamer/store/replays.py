"""Replays: parts of the outbox that an operator sends to a destination again.

A replay has its own cursor (a row of ``cursors`` with its number), so it
survives a restart, has its own attempts, and runs beside the live order
without touching it.

Which events it asks for is said twice, as `Request.wants` for one event and as
`Request.sql_condition` for the outbox, and both say the same. The filter of
the destination comes on top of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from streamer.core.errors import UsageError
from streamer.core.event import StoredEvent, type_name
from streamer.core.limits import REPLAY_PICKED_EVENTS_MAX
from streamer.core.selection import Selection
from streamer.store import cursors, dead_letters, facts
from streamer.store.outbox import ONE_LANE
from streamer.store.sqlite import Connection

_ALWAYS = 2**62
"""No event was received later than that, ms since 1970."""


class Request(msgspec.Struct, frozen=True):
    """What an operator wants to be sent again."""

    destination: str
    from_position: int = 0
    to_position: int = 0
    since: int | None = None
    until: int | None = None
    include: tuple[str, ...] = ()
    positions: tuple[int, ...] | None = None
    letter_ids: tuple[int, ...] = ()

    @property
    def selection(self) -> Selection:
        """Which types of the range are replayed."""
        return Selection(include=self.include, exclude=())

    def wants(self, event: StoredEvent) -> bool:
        """Say whether an event is asked for."""
        if self.positions is not None:
            return event.position in self.positions
        return (
            self.from_position <= event.position <= self.to_position
            and (self.since is None or event.received_at >= self.since)
            and (self.until is None or event.received_at < self.until)
            and self.selection.matches(event.object_type, event.metric)
        )

    def sql_condition(self) -> tuple[str, list[object]]:
        """Return `wants` as SQL over the columns of ``outbox``, and its parameters in order."""
        if self.positions is not None:
            return "position IN (SELECT value FROM json_each(?))", [json.dumps(self.positions)]
        condition, parameters = self.selection.sql_condition()
        return (
            f"(position BETWEEN ? AND ? AND received_at >= ? AND received_at < ? AND {condition})",
            [
                self.from_position,
                self.to_position,
                self.since if self.since is not None else -_ALWAYS,
                self.until if self.until is not None else _ALWAYS,
                *parameters,
            ],
        )


class Replay(msgspec.Struct, frozen=True):
    """One row of ``replays``."""

    id: int
    destination: str
    kind: str
    """``range``, ``events`` (picked by id) or ``dead_letters``."""
    from_position: int
    to_position: int
    since: int | None
    until: int | None
    include: tuple[str, ...]
    positions: tuple[int, ...] | None
    """Of picked events, in order."""
    state: str
    created_at: int
    finished_at: int | None
    events: int
    accepted: int
    buried: int

    @property
    def request(self) -> Request:
        """What was asked for."""
        return Request(
            self.destination,
            self.from_position,
            self.to_position,
            self.since,
            self.until,
            self.include,
            self.positions,
        )

    def wants(self, event: StoredEvent) -> bool:
        """Say whether an event is asked for."""
        return self.request.wants(event)


_COLUMNS = ", ".join(Replay.__struct_fields__)


def count_by_type(db: Connection, request: Request, selection: Selection) -> dict[str, int]:
    """Count the events that a replay would send, by type, the most frequent first.

    Of picked events all are counted: whoever picks them looks at the filter.
    """
    condition, parameters = _wanted(request, selection)
    rows = db.execute(
        f"SELECT object_type, metric, count(*) FROM outbox WHERE {condition}"
        " GROUP BY object_type, metric ORDER BY count(*) DESC, object_type, metric",
        parameters,
    )
    counts: dict[str, int] = {}
    for object_type, metric, events in rows:
        name = type_name(object_type, metric)
        counts[name] = counts.get(name, 0) + events
    return counts


def _wanted(request: Request, selection: Selection) -> tuple[str, list[object]]:
    condition, parameters = request.sql_condition()
    if request.positions is not None:
        return condition, parameters
    filtered, patterns = selection.sql_condition()
    return f"{condition} AND {filtered}", [*parameters, *patterns]


def start(db: Connection, request: Request, *, events: int, now: int) -> int:
    """Write a replay and its cursor; the service begins it within half a second.

    Raises `UsageError` when more events are picked than one replay takes.
    """
    if len(request.positions or ()) > REPLAY_PICKED_EVENTS_MAX:
        raise UsageError(
            f"one replay takes at most {REPLAY_PICKED_EVENTS_MAX:,} picked events",
            hint="Replay a range of positions or of time, or pick fewer at once.",
        )
    kind = "range" if request.positions is None else "events"
    if request.letter_ids:
        kind = "dead_letters"
        dead_letters.mark_retrying(db, request.letter_ids)
    row = db.execute(
        "INSERT INTO replays (destination, kind, from_position, to_position, since, until, include,"
        " positions, created_at, events) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            request.destination,
            kind,
            request.from_position,
            request.to_position,
            request.since,
            request.until,
            json.dumps(request.include),
            None if request.positions is None else json.dumps(sorted(request.positions)),
            now,
            events,
        ),
    ).fetchone()
    replay_id = int(row[0])
    before = max(0, request.from_position - 1)
    cursors.add(db, request.destination, ONE_LANE, before, now=now, replay_id=replay_id)
    facts.record_act(
        db, "replay", f"{replay_id}: {events} events to {request.destination}", now=now
    )
    return replay_id


def load(db: Connection, replay_id: int) -> Replay | None:
    """Return one replay."""
    row = db.execute(f"SELECT {_COLUMNS} FROM replays WHERE id = ?", (replay_id,)).fetchone()
    return None if row is None else _replay(row)


def list_replays(db: Connection, *, running_only: bool = False) -> list[Replay]:
    """Return replays, oldest first."""
    where = " WHERE state = 'running'" if running_only else ""
    rows = db.execute(f"SELECT {_COLUMNS} FROM replays{where} ORDER BY id")
    return [_replay(row) for row in rows]


def running(db: Connection, destination: str) -> Replay | None:
    """Return the replay that a destination is to work on: the oldest that is not finished."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM replays WHERE destination = ? AND state = 'running'"
        " ORDER BY id LIMIT 1",
        (destination,),
    ).fetchone()
    return None if row is None else _replay(row)


def _replay(row: Sequence[object]) -> Replay:
    fields = dict(zip(Replay.__struct_fields__, row, strict=True))
    fields["include"] = json.loads(str(fields["include"]))
    if fields["positions"] is not None:
        fields["positions"] = json.loads(str(fields["positions"]))
    return msgspec.convert(fields, Replay)


def add_counts(db: Connection, replay_id: int, *, accepted: int, buried: int) -> None:
    """Add to a replay's progress."""
    db.execute(
        "UPDATE replays SET accepted = accepted + ?, buried = buried + ? WHERE id = ?",
        (accepted, buried, replay_id),
    )


def finish(db: Connection, replay: Replay, state: str, *, now: int) -> bool:
    """Close a replay as ``done`` or ``cancelled`` and drop its cursor; False when it was closed."""
    closed = db.execute(
        "UPDATE replays SET state = ?, finished_at = ? WHERE id = ? AND state = 'running'",
        (state, now, replay.id),
    )
    if not closed.rowcount:
        return False
    cursors.drop(db, replay.destination, replay_id=replay.id)
    if replay.kind == "dead_letters":
        dead_letters.reopen_retrying(db, replay.destination, replay.positions or ())
    return True


def cancel(db: Connection, replay: Replay, *, now: int) -> bool:
    """Call a replay off; False when it was over already.

    A batch under way may still be accepted, and is not recorded.
    """
    if not finish(db, replay, "cancelled", now=now):
        return False
    facts.record_act(db, "replay cancel", str(replay.id), now=now)
    return True
