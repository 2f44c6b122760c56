"""Rescues what can still be read of a damaged database into a new one.

SQLite stops at the first damaged page it meets. Reading then goes on at the
next row number that can be read, and the numbers in between are tried one by
one. SQLite has no checksums: a page may be readable and wrong. So each event's
body is decoded again and must name the event that its row names; one that does
not goes to quarantine instead.

What cannot be known any more is decided in favour of sending again: a cursor
that is lost begins at the start, marks are forgotten, positions leap ahead
(`streamer.store.backup` says why).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from streamer.core import customerio
from streamer.core.errors import StoreError
from streamer.core.limits import SALVAGE_TRIED_ROWS_MAX
from streamer.disk import sync_file
from streamer.store import backup, cursors, facts, migrate, quarantine, sqlite
from streamer.store.arrival import UnreadableCall
from streamer.store.sqlite import Connection

_NUMBER_MAX = 2**62

_NUMBERED = {
    "replays": "id",
    "cursors": "id",
    "dead_letters": "id",
    "ledger": "id",
    "late_failures": "id",
    "operator_acts": "id",
}
_NAMED = ("destinations", "sources", "facts", "drift", "reconciliations")
"""Small tables without row numbers, read from both ends up to the damage."""

_BYTES = {("quarantine", "body"), ("quarantine", "body_sha256")}
"""Columns that hold bytes; everything else that is no number is text."""

Row = dict[str, object]


class Salvaged(msgspec.Struct):
    """What was rescued, and what is known to be lost."""

    rows: dict[str, int] = msgspec.field(default_factory=dict)
    """By table."""
    refused: int = 0
    """Rows that could be read but make no sense."""
    doubtful_events: int = 0
    """Events whose body does not fit their row: in quarantine, as ``salvaged``."""
    lost_letters: int = 0
    """Open dead letters whose event is lost: closed as discarded."""
    damaged: list[str] = msgspec.field(default_factory=list)
    """Where reading failed, such as ``outbox from 120 to 124``."""


def salvage(path: Path, target: Path, *, now: int) -> Salvaged:
    """Write a new database of what can be read; the damaged one is left as it is.

    Stop the service first; put the new one in place with `backup.restore`.
    Raises `StoreError` when the file cannot be opened as a database at all,
    or ``target`` exists.
    """
    if target.exists():
        raise StoreError(f"{target} exists already", hint="Name a file that does not exist.")
    old = sqlite.connect_read_only(path)
    try:
        new = sqlite.open_writer(target)
        try:
            rescue = _Rescue(old, new, now)
            rescue.run(path.name)
        except sqlite.Error as error:
            raise sqlite.map_error(error) from error
        finally:
            new.close()
        sync_file(target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        old.close()
    return rescue.done


class _Rescue:
    """One salvage: reads ``old``, whatever its state, and writes ``new`` in one transaction."""

    def __init__(self, old: Connection, new: Connection, now: int) -> None:
        self.done = Salvaged()
        self._old = old
        self._new = new
        self._now = now

    def run(self, name: str) -> None:
        migrate.apply_all(self._new)
        self._old.text_factory = bytes  # damaged text may not be text
        self._new.execute("BEGIN IMMEDIATE")
        for row in self._numbered("quarantine", "id"):
            self._keep("quarantine", row)
        for row in self._numbered("outbox", "position"):
            self._keep_event(row)
        for table in _NAMED:
            for row in self._named(table):
                self._keep(table, row)
        for table, number in _NUMBERED.items():
            for row in self._numbered(table, number):
                if table == "dead_letters":
                    self._keep_letter(row)
                else:
                    self._keep(table, row)
        _count(self._new)
        self._take_over_sequence()
        last_position = backup.leap(self._new)
        backup.start_over(self._new)
        _mend_delivery(self._new, self._now)
        kept = ", ".join(f"{count} {table}" for table, count in self.done.rows.items())
        act = f"from {name}: {kept}; positions go on after {last_position}"
        facts.record_act(self._new, "salvage", act, now=self._now)
        self._new.execute("COMMIT")

    def _keep_event(self, row: Row) -> None:
        body, source = row["body"], _text(row["source"])
        if not isinstance(body, bytes) or not isinstance(source, str):
            self.done.refused += 1
            return
        decoded = customerio.decode(body)
        if isinstance(decoded, customerio.Decoded) and decoded.event_id == _text(row["event_id"]):
            self._keep("outbox", row)
            return
        call = UnreadableCall(
            source=source,
            reason="salvaged",
            detail=f"the body at position {row['position']} is not the event that its row names",
            received_at=self._now,
            body=body,
        )
        quarantine.keep(self._new, call, bytes_max=_NUMBER_MAX)
        self.done.doubtful_events += 1

    def _keep_letter(self, row: Row) -> None:
        """Keep a dead letter; close it when it is open and its event could not be rescued."""
        waits = _text(row["state"]) in {"open", "retrying"}
        event = self._new.execute("SELECT 1 FROM outbox WHERE position = ?", (row["position"],))
        if waits and event.fetchone() is None:
            lost = b"its event was lost with a damaged database"
            row |= {"state": b"discarded", "closed_at": self._now, "detail": lost}
            self.done.lost_letters += 1
        self._keep("dead_letters", row)

    def _keep(self, table: str, row: Row) -> None:
        marks = ", ".join("?" * len(row))
        values = [value if (table, name) in _BYTES else _text(value) for name, value in row.items()]
        stored = 0
        try:
            stored = self._new.execute(
                f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({marks})", values
            ).rowcount
        except sqlite.Error as error:
            if sqlite.blames_store(error):
                raise
        if stored:
            self.done.rows[table] = self.done.rows.get(table, 0) + 1
        else:
            self.done.refused += 1

    def _columns(self, table: str) -> list[str]:
        """Name the columns that both databases have, without those that SQLite computes."""
        query = "SELECT CAST(name AS BLOB) FROM pragma_table_info(?)"
        old = {bytes(name) for (name,) in self._old.execute(query, (table,))}
        new = [bytes(name) for (name,) in self._new.execute(query, (table,))]
        return [name.decode() for name in new if name in old]

    def _numbered(self, table: str, number: str) -> Iterator[Row]:
        """Yield every row that can be read, in the order of their numbers."""
        columns = self._columns(table)
        if not columns:
            return
        select = f"SELECT {', '.join(columns)} FROM {table} NOT INDEXED WHERE {number}"
        first = 0
        while first < _NUMBER_MAX:
            try:
                for values in self._old.execute(f"{select} >= ? ORDER BY {number}", (first,)):
                    row = dict(zip(columns, values, strict=True))
                    first = max(first, int(row[number]) + 1)
                    yield row
            except sqlite.Error:
                after = self._readable_again(f"{select} >= ? ORDER BY {number} LIMIT 1", first)
                self.done.damaged.append(f"{table} from {first} to {after - 1}")
                singly = range(first, min(after, first + SALVAGE_TRIED_ROWS_MAX))
                yield from self._singly(f"{select} = ?", columns, singly)
                first = after
            else:
                return

    def _readable_again(self, query: str, damaged: int) -> int:
        """Find the next number behind a damaged one from which reading succeeds."""
        failed, works = damaged, damaged + 1
        while not self._can_read(query, works):
            failed, works = works, works + (works - damaged) * 2
            if works > _NUMBER_MAX:
                return _NUMBER_MAX
        while works - failed > 1:
            middle = (failed + works) // 2
            if self._can_read(query, middle):
                works = middle
            else:
                failed = middle
        return works

    def _can_read(self, query: str, number: int) -> bool:
        try:
            self._old.execute(query, (number,)).fetchall()
        except sqlite.Error:
            return False
        return True

    def _singly(self, query: str, columns: list[str], numbers: range) -> Iterator[Row]:
        for number in numbers:
            try:
                values = self._old.execute(query, (number,)).fetchone()
            except sqlite.Error:
                continue
            if values is not None:
                yield dict(zip(columns, values, strict=True))

    def _named(self, table: str) -> Iterator[Row]:
        columns = self._columns(table)
        for order in ("ASC", "DESC"):
            if not columns:
                return
            try:
                for values in self._old.execute(
                    f"SELECT {', '.join(columns)} FROM {table} ORDER BY {columns[0]} {order}"
                ):
                    yield dict(zip(columns, values, strict=True))
            except sqlite.Error:
                self.done.damaged.append(f"{table}, {order.lower()}ending")
            else:
                return

    def _take_over_sequence(self) -> None:
        """Begin at the last position that was given: its event may have been pruned."""
        try:
            (given,) = self._old.execute(
                "SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'"
            ).fetchone()
        except sqlite.Error:
            return
        if isinstance(given, int):
            self._new.execute("DELETE FROM sqlite_sequence WHERE name = 'outbox'")
            self._new.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)", (given,)
            )


def _text(value: object) -> object:
    """Read text that was fetched as bytes; what is no text stays, and no column will take it."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _count(new: Connection) -> None:
    new.execute(
        "UPDATE totals SET outbox_events = (SELECT count(*) FROM outbox),"
        " outbox_bytes = (SELECT coalesce(sum(length(CAST(body AS BLOB))), 0) FROM outbox),"
        " quarantine_rows = (SELECT count(*) FROM quarantine),"
        " quarantine_bytes = (SELECT coalesce(sum(length(body)), 0) FROM quarantine)"
    )


def _mend_delivery(new: Connection, now: int) -> None:
    """Make cursors, destinations and replays fit together again."""
    new.execute(
        "INSERT INTO destinations (name, kind, lanes)"
        " SELECT destination, 'lost', max(lanes) FROM cursors WHERE replay_id = 0"
        " AND destination NOT IN (SELECT name FROM destinations) GROUP BY destination"
    )
    for name, lanes in new.execute("SELECT name, lanes FROM destinations").fetchall():
        cursors.cover(new, name, lanes, behind=0, now=now)
    new.execute(
        "UPDATE replays SET state = 'cancelled', finished_at = ? WHERE state = 'running'"
        " AND id NOT IN (SELECT replay_id FROM cursors)",
        (now,),
    )
    new.execute(
        "DELETE FROM cursors WHERE replay_id > 0"
        " AND replay_id NOT IN (SELECT id FROM replays WHERE state = 'running')"
    )
    new.execute(
        "UPDATE dead_letters SET state = 'open' WHERE state = 'retrying' AND destination NOT IN"
        " (SELECT destination FROM replays WHERE state = 'running')"
    )
