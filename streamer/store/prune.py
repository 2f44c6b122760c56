"""Forgetting: what is settled everywhere and old enough, in steps that nobody notices.

Retention counts from the later of two moments: when an event was received,
and when the last destination settled it. The second is kept as marks
("everything up to position P was settled by time T"), a row a minute instead
of a column per event. Without any destination all is settled at once, and
retention counts from receipt alone.
"""

from __future__ import annotations

import msgspec

from streamer.core.limits import FREE_PAGES_DIVISOR, SETTLED_MARK_SECONDS
from streamer.store import cursors, outbox, quarantine
from streamer.store.sqlite import Connection


def mark_settled(db: Connection, *, now: int) -> None:
    """Note up to which position everything is settled now, unless that was noted a moment ago."""
    settled = cursors.settled_everywhere(db)
    last = db.execute("SELECT position, at FROM settled_marks ORDER BY position DESC").fetchone()
    if last and last[1] > now:  # the clock was ahead then: what it marked is settled by now as well
        db.execute("UPDATE settled_marks SET at = ?1 WHERE at > ?1", (now,))
    if settled is None or (
        last and (settled <= last[0] or now - last[1] < SETTLED_MARK_SECONDS * 1000)
    ):
        return
    db.execute("INSERT INTO settled_marks (position, at) VALUES (?, ?)", (settled, now))


def unmark_beyond(db: Connection, position: int) -> None:
    """Take back marks that a rewind or a new destination has made untrue."""
    db.execute("DELETE FROM settled_marks WHERE position > ?", (position,))


class Pruned(msgspec.Struct, frozen=True):
    """What became of a step through the oldest events."""

    events: int
    """How many went."""
    kept: int
    """How many were looked at and stay."""
    through: int | None
    """The last position that was looked at: the next step goes on behind it; None: it was over."""


def prune_step(db: Connection, *, older_than: int, events_max: int, behind: int = 0) -> Pruned:
    """Look at some of the oldest events behind a position, and delete those that may go.

    An event may go when it was received and settled everywhere before
    ``older_than`` (ms since 1970), and no open dead letter holds on to it. Those
    that stay are passed, so that a step is short however many there are.
    """
    horizon = _horizon(db, older_than)
    through, looked_at = db.execute(
        "SELECT max(position), count(*) FROM (SELECT position FROM outbox"
        " WHERE position > ? AND position <= ? ORDER BY position LIMIT ?)",
        (behind, horizon, events_max),
    ).fetchone()
    if through is None:
        return Pruned(0, 0, None)
    gone = db.execute(
        "DELETE FROM outbox WHERE position > ? AND position <= ? AND received_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE pinned = outbox.position)"
        " RETURNING length(CAST(body AS BLOB))",
        (behind, through, older_than),
    ).fetchall()
    if gone:
        outbox.add_totals(db, events=-len(gone), size=-sum(size for (size,) in gone))
    return Pruned(len(gone), looked_at - len(gone), int(through))


def count_held(db: Connection, *, through: int) -> int:
    """Count the events up to a position that open dead letters hold on to.

    It reads each letter's place in an index, 15 ms for 100,000: nothing for a writer.
    """
    (held,) = db.execute(
        "SELECT count(DISTINCT pinned) FROM dead_letters WHERE pinned <= ?", (through,)
    ).fetchone()
    return int(held)


def _horizon(db: Connection, older_than: int) -> int:
    """Find the last position that was settled before ``older_than`` and that nobody needs now."""
    row = db.execute(f"SELECT {_LAST_OLD_MARK}", {"old": older_than}).fetchone()
    settled = cursors.settled_everywhere(db)
    if row[0] is None or settled is None:
        return 0
    return min(int(row[0]), settled)


_LAST_OLD_MARK = """
(SELECT max(position) FROM settled_marks
 WHERE position < coalesce((SELECT position FROM settled_marks WHERE at >= :old
                            ORDER BY position LIMIT 1), 1e19))
"""
"""The mark that pruning goes by, as SQL. Marks grow in both columns, so it looks at their old end
alone: there is one for each minute of retention."""


_PRUNE_LEDGER = """
DELETE FROM ledger WHERE id IN (
    SELECT id FROM ledger AS batch
    WHERE id < coalesce((SELECT id FROM ledger WHERE settled_at >= :old ORDER BY id LIMIT 1), 1e19)
      AND NOT EXISTS (SELECT 1 FROM outbox
                      WHERE position BETWEEN batch.first_position AND batch.last_position)
    ORDER BY id LIMIT :most)
"""
"""Rows of which no event is left. Numbers grow with time, so only the old end is looked at."""


_PRUNE_LATE_FAILURES = """
DELETE FROM late_failures WHERE id IN (
    SELECT id FROM late_failures AS late
    WHERE id < coalesce((SELECT id FROM late_failures WHERE found_at >= :old ORDER BY id LIMIT 1),
                        1e19)
      AND (position IS NULL
           OR NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.position = late.position))
    ORDER BY id LIMIT :most)
"""
"""Those of no event that is left; an event that never was here is told of for as long."""


def prune_stories(db: Connection, *, older_than: int, rows_max: int) -> int:
    """Delete what only told of events that are gone: ledger, letters, losses, replays, marks."""
    gone = 0
    for statement in (
        _PRUNE_LEDGER,
        "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters AS letter"
        " WHERE pinned IS NULL AND closed_at < :old AND NOT EXISTS"
        " (SELECT 1 FROM outbox WHERE outbox.position = letter.position) LIMIT :most)",
        _PRUNE_LATE_FAILURES,
        "DELETE FROM replays WHERE id IN (SELECT id FROM replays"
        " WHERE finished_at < :old LIMIT :most)",
        "DELETE FROM settled_marks WHERE position IN (SELECT position FROM settled_marks"
        f" WHERE position < {_LAST_OLD_MARK} ORDER BY position LIMIT :most)",
        "DELETE FROM alarms WHERE (code, subject) IN (SELECT code, subject FROM alarms"
        " WHERE last_at < :old AND cleared_at IS NOT NULL LIMIT :most)",
    ):
        gone += db.execute(statement, {"old": older_than, "most": rows_max}).rowcount
    return gone


def prune_quarantine(db: Connection, *, older_than: int, rows_max: int) -> int:
    """Delete quarantined calls that were last seen before ``older_than``."""
    sizes = db.execute(
        "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine"
        " WHERE last_received_at < ? ORDER BY id LIMIT ?) RETURNING length(body)",
        (older_than, rows_max),
    ).fetchall()
    if sizes:
        quarantine.add_totals(db, entries=-len(sizes), size=-sum(size for (size,) in sizes))
    return len(sizes)


def spare_pages(db: Connection) -> int:
    """Return how many of the file's pages that hold nothing are more than it needs.

    Some are left for the events to come: day by day as much comes in as goes,
    and a page that is given back is moved first and written anew soon after.
    """
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    return max(0, int(free) - int(pages) // FREE_PAGES_DIVISOR)


def vacuum_step(db: Connection, pages_max: int) -> int:
    """Give spare pages back to the file system; call outside a transaction. Return what is left."""
    pages = min(pages_max, spare_pages(db))
    if pages:
        db.execute(f"PRAGMA incremental_vacuum({int(pages)})").fetchall()
    return spare_pages(db)
