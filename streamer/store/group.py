"""What one transaction commits together: arrivals and works, none of which may hurt another.

Runs on the connection's thread. An error that is the database's or the disk's
fault fails the whole transaction, to be told to everybody in it. Any other is
one arrival's or one work's own, and stays with it under a savepoint: an event
that makes SQLite or our own code stumble goes to quarantine, and if not even
its bytes can be kept, it alone is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from streamer.core.errors import StoreError
from streamer.store import outbox, sqlite
from streamer.store.arrival import Arrival, Kept, UnreadableCall
from streamer.store.sqlite import Connection


class Group:
    """Arrivals and works that share a transaction."""

    def __init__(
        self,
        arrivals: Sequence[Arrival],
        works: Sequence[Callable[[Connection], object]],
        quarantine_bytes_max: int,
    ) -> None:
        self._arrivals = arrivals
        self._works = works
        self._quarantine_bytes_max = quarantine_bytes_max

    def commit(self, db: Connection) -> tuple[list[Kept | Exception], list[object]]:
        """Store the arrivals, do the works, and return what became of each once it is durable.

        An exception in a result is that arrival's or work's own; raises what
        fails them all, with nothing of the group stored.
        """
        db.execute("BEGIN IMMEDIATE")
        try:
            kept = self._append(db)
            done = [_do_alone(db, work) for work in self._works]
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return kept, done

    def _append(self, db: Connection) -> list[Kept | Exception]:
        most = self._quarantine_bytes_max
        try:
            return list(outbox.append(db, self._arrivals, quarantine_bytes_max=most))
        except Exception as error:
            if sqlite.blames_store(error):
                raise
        db.execute("ROLLBACK")
        db.execute("BEGIN IMMEDIATE")
        return [_append_alone(db, arrival, most) for arrival in self._arrivals]


def _append_alone(db: Connection, arrival: Arrival, quarantine_bytes_max: int) -> Kept | Exception:
    """Store one arrival; what cannot be stored as it is goes to quarantine as bare bytes."""
    kept = _try_append(db, arrival, quarantine_bytes_max)
    if isinstance(kept, Kept):
        return kept
    kept = _try_append(db, _bare(arrival, kept), quarantine_bytes_max)
    if isinstance(kept, Kept):
        return kept
    refusal = StoreError(f"the database refused a call ({type(kept).__name__})")
    refusal.__cause__ = kept
    return refusal


def _try_append(db: Connection, arrival: Arrival, quarantine_bytes_max: int) -> Kept | Exception:
    db.execute("SAVEPOINT arrival")
    result: Kept | Exception
    try:
        result = outbox.append(db, [arrival], quarantine_bytes_max=quarantine_bytes_max)[0]
    except Exception as error:
        if sqlite.blames_store(error):
            raise
        result = error
        db.execute("ROLLBACK TO arrival")
    db.execute("RELEASE arrival")
    return result


def _bare(arrival: Arrival, failure: Exception) -> UnreadableCall:
    """Keep of an arrival what can be stored in any case."""
    detail = f"the database refused the row ({type(failure).__name__})"
    if isinstance(arrival, UnreadableCall):
        return replace(
            arrival, reason="unstorable", detail=detail, event_id=None, content_encoding=None
        )
    return UnreadableCall(
        source=arrival.source,
        reason="unstorable",
        detail=detail,
        received_at=arrival.received_at,
        body=arrival.body,
    )


def _do_alone(db: Connection, work: Callable[[Connection], object]) -> object:
    """Do one work under a savepoint; return what it raised, so that the others are not hurt."""
    db.execute("SAVEPOINT work")
    result: object
    try:
        result = work(db)
    except Exception as error:
        if sqlite.blames_store(error):
            raise
        result = sqlite.map_error(error) if isinstance(error, sqlite.Error) else error
        db.execute("ROLLBACK TO work")
    db.execute("RELEASE work")
    return result
