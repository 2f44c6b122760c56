"""Makes databases, events and everything around them for the tests of the store."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from streamer.core.drain import Burial
from streamer.core.event import Event, StoredEvent
from streamer.core.selection import Selection
from streamer.core.settlement import Progress
from streamer.store import (
    alarms,
    cursors,
    dead_letters,
    destinations,
    drift,
    facts,
    late_failures,
    migrate,
    outbox,
    quarantine,
    replays,
    settling,
    sources,
    sqlite,
)
from streamer.store.arrival import Arrival, Kept, UnreadableCall
from streamer.store.cursors import Cursor, CursorState
from streamer.store.destinations import Declared
from streamer.store.drift import Sightings, Surveyed
from streamer.store.settling import Settlement
from streamer.store.sqlite import Connection

T = TypeVar("T")

NOW = 1_790_000_000_000
ALL = Selection(include=(), exclude=())
ROOM = 2**30


def body(event_id: str, **data: object) -> bytes:
    """Write the body of an e-mail event."""
    document = {"event_id": event_id, "object_type": "email", "metric": "sent", "data": data}
    return json.dumps(document).encode()


def event(number: int | str, **changed: object) -> Event:
    """Make an event whose id tells its number."""
    event_id = f"event-{number}"
    fields: dict[str, Any] = {
        "source": "customerio",
        "event_id": event_id,
        "object_type": "email",
        "metric": "sent",
        "occurred_at": NOW // 1000,
        "received_at": NOW,
        "lane_key": zlib.crc32(event_id.encode()),
        "body": body(event_id, recipient=f"{number}@example.com", subject="Hello"),
    }
    return Event(**(fields | changed))


def unreadable(raw: bytes, **changed: object) -> UnreadableCall:
    """Make a call that is no event."""
    fields: dict[str, Any] = {
        "source": "customerio", "reason": "not_json", "detail": "odd", "received_at": NOW,
        "body": raw,
    }  # fmt: skip
    return UnreadableCall(**(fields | changed))


def open_fresh(path: Path) -> Connection:
    """Open a database at the present schema."""
    db = sqlite.open_writer(path)
    migrate.migrate(db, path, now=NOW)
    return db


def append(db: Connection, *arrivals: Arrival) -> list[Kept]:
    """Append with room enough in quarantine."""
    return outbox.append(db, arrivals, quarantine_bytes_max=ROOM)


def append_at(db: Connection, positions: Iterable[int], **changed: object) -> None:
    """Append events at chosen positions, as if others between them had been pruned."""
    for position in positions:
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'outbox'")
        db.execute("INSERT INTO sqlite_sequence VALUES ('outbox', ?)", (position - 1,))
        assert append(db, event(position, **changed)) == [Kept.STORED]


def fill_outbox(
    db: Connection, events: int, *, first: int = 1, body_bytes: int = 20, step_ms: int = 1000
) -> None:
    """Append many events at once, one each ``step_ms`` up to now; one in ten was opened."""
    db.execute(
        "WITH RECURSIVE numbers (n) AS"
        " (SELECT ?5 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1 + ?5 - 1)"
        " INSERT INTO outbox (lane_key, received_at, occurred_at, object_type, metric, source,"
        " event_id, body) SELECT n, ?2 - (?1 + ?5 - 1 - n) * ?3, NULL, 'email',"
        " CASE WHEN n % 10 THEN 'sent' ELSE 'opened' END, 'customerio', 'event-' || n,"
        " json_quote(printf('%.*c', ?4 - 2, 'x')) FROM numbers",
        (events, NOW, step_ms, body_bytes, first),
    )
    db.execute(
        "UPDATE totals SET outbox_events = outbox_events + ?1, outbox_bytes = outbox_bytes + ?2",
        (events, events * body_bytes),
    )


@contextmanager
def counted_steps(db: Connection) -> Iterator[list[int]]:
    """Count the steps of SQLite's machine, which say what a statement costs on any computer."""
    steps = [0]

    def step() -> int:
        steps[0] += 10
        return 0

    db.set_progress_handler(step, 10)
    try:
        yield steps
    finally:
        db.set_progress_handler(None, 0)


def read_all(db: Connection) -> list[StoredEvent]:
    """Read the whole outbox."""
    scan = outbox.read_after(db, 0, selection=ALL, events_max=10**6, bytes_max=2**40)
    return list(scan.events)


def declare(db: Connection, *declared: Declared, now: int = NOW) -> None:
    """Declare destinations in a transaction of their own."""
    transact(db, lambda at: destinations.declare(at, declared, now=now))


def transact(db: Connection, work: Callable[[Connection], T]) -> T:
    """Do something in one transaction, as a command does."""
    db.execute("BEGIN IMMEDIATE")
    try:
        result = work(db)
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    return result


def only_cursor(db: Connection, destination: str, *, replay_id: int = 0) -> Cursor:
    """Return the cursor of a destination with one lane, or of a replay."""
    (cursor,) = cursors.load(db, destination, replay_id=replay_id)
    return cursor


def accept(
    db: Connection, cursor: Cursor, events: Sequence[StoredEvent], **changed: object
) -> int | None:
    """Settle events as accepted, in one run, and move the cursor behind the last."""
    fields: dict[str, Any] = {
        "cursor": cursor,
        "progress": Progress(events[-1].position),
        "state": CursorState(),
        "now": NOW,
        "accepted_runs": (tuple(events),),
    }
    return settling.settle(db, Settlement(**(fields | changed)))


def burial(stored: StoredEvent, reason: str = "http_400") -> Burial:
    """Make a burial of one event."""
    return Burial(stored, reason, "the answer was no", 2)


def counted_totals(db: Connection) -> tuple[Any, ...]:
    """Count what the row of totals claims to know."""
    row = db.execute(
        "SELECT (SELECT count(*) FROM outbox),"
        " (SELECT coalesce(sum(length(CAST(body AS BLOB))), 0) FROM outbox),"
        " (SELECT count(*) FROM quarantine),"
        " (SELECT coalesce(sum(length(body)), 0) FROM quarantine)"
    ).fetchone()
    return tuple(row)


def said_totals(db: Connection) -> tuple[Any, ...]:
    """Read the row of totals."""
    row = db.execute(
        "SELECT outbox_events, outbox_bytes, quarantine_rows, quarantine_bytes FROM totals"
    ).fetchone()
    return tuple(row)


def fill_every_table(db: Connection) -> None:
    """Put something into each table: three destinations, all states, two sources."""
    declare(
        db,
        Declared("archive", "file"),
        Declared("hook", "http", lanes=4, include=("email.*",), exclude=("email.opened",)),
        Declared("lake", "aep"),
    )
    sources.ensure(db, ["customerio", "other"])
    append(db, *(event(number) for number in range(1, 21)))
    append(db, event("opened", metric="opened"), event("odd", object_type=None, metric=None))
    append(db, event(1), event(2, body=body("event-2", other=True)), unreadable(b"\xff\x00{"))
    stored = read_all(db)
    archive, lake = only_cursor(db, "archive"), only_cursor(db, "lake")
    settlement = Settlement(
        archive, Progress(8, frozenset({10})), CursorState(), NOW, (tuple(stored[:7]),),
        buried=(burial(stored[7]),), duration_ms=12,
        receipts={1: "receipt-1"}, mark='{"sequence":1}',
    )  # fmt: skip
    assert settling.settle(db, settlement)
    waiting = CursorState("waiting", 3, NOW - 60_000, NOW + 60_000, "http_503: try later")
    assert accept(db, lake, stored[:4], state=waiting) is not None
    prune_mark = "INSERT INTO settled_marks VALUES (1, ?)"
    db.execute(prune_mark, (NOW,))
    request = replays.Request("archive", from_position=2, to_position=5, since=NOW - 1)
    replays.start(db, request, events=4, now=NOW)
    letter = dead_letters.list_letters(db)[0]
    retry = replays.Request(
        "archive", letter.position, letter.position, positions=(letter.position,),
        letter_ids=(letter.id,),
    )  # fmt: skip
    replays.start(db, retry, events=1, now=NOW)
    lost_at = NOW + 60_000
    found = late_failures.Found(
        batch_id="batch-1", record_id="event-2", position=2, source="customerio",
        event_id="event-2", code="DCVS-1105-400", message="not a date-time", lost_at=lost_at,
    )  # fmt: skip
    unknown = late_failures.Found(
        batch_id="batch-1", record_id="not-ours", code="DCVS-1111-400", lost_at=lost_at
    )
    late_failures.add(db, "lake", [found, unknown], now=NOW + 90_000)
    late_failures.remember(db, "lake", until=NOW + 80_000, now=NOW + 90_000)
    alarms.note(db, "STR-301", "lake", "it refuses", times=2, now=NOW)
    facts.write(db, "wall_clock_seen_at", NOW)
    destinations.pause(db, "hook", now=NOW)
    seen = Sightings(NOW - 60_000, NOW, position=3, events=2, found={"null", "integer"})
    drift.add(db, Surveyed({("field", "email.sent", "data.score"): seen}, 22, caught_up=True))
    assert quarantine.held_bytes(db) > 0
