"""The transaction that makes an answer final.

Cursor, dead letters, ledger, counters and the destination's own mark move
together or not at all. The generation decides: when an operator has changed
the cursor since the batch was read, nothing is written and the drain starts
over from what the database says.

A commit that was reported as failed may have reached the disk all the same,
and its settlement is written again then. It finds the cursor where it would
put it, and adds nothing: no batch is counted or told of twice.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from streamer.core.drain import Burial
from streamer.core.event import StoredEvent
from streamer.core.settlement import Progress, join_receipts
from streamer.store import cursors, dead_letters, destinations, ledger, replays
from streamer.store.cursors import Cursor, CursorState
from streamer.store.sqlite import Connection


class Settlement(msgspec.Struct, frozen=True):
    """What a drain wants to be written after one attempt."""

    cursor: Cursor
    """As it was when the batch was read: its generation must still be the same."""
    progress: Progress
    state: CursorState
    now: int
    accepted_runs: tuple[tuple[StoredEvent, ...], ...] = ()
    """Accepted events, in runs that nothing unsettled interrupts."""
    buried: tuple[Burial, ...] = ()
    attempt: int = 1
    duration_ms: int = 0
    receipts: Mapping[int, str] = {}
    """What the destination gave in return for accepted events, by position."""
    mark: str | None = None
    fold_into: int = 0
    """The ledger row that ends where the first run begins, or 0."""


def settle(db: Connection, settlement: Settlement) -> int | None:
    """Write one settlement and return the ledger row of its last run, or 0.

    None, and nothing written, when the cursor is not ours any more.
    """
    cursor = settlement.cursor
    stands_at = cursors.stands_at(db, cursor.id, cursor.generation)
    if stands_at is None:
        return None
    if stands_at != cursor.progress:
        return 0 if stands_at == settlement.progress else None
    cursors.save(
        db,
        cursor.id,
        cursor.generation,
        progress=settlement.progress,
        state=settlement.state,
        now=settlement.now,
    )
    accepted = [event for run in settlement.accepted_runs for event in run]
    ledger_id = _write_ledger(db, settlement)
    if settlement.buried:
        dead_letters.bury(db, cursor.destination, settlement.buried, now=settlement.now)
    if accepted:
        # By a replay, a rewind, or a live delivery after a replay that ran ahead of it.
        positions = [event.position for event in accepted]
        dead_letters.close_accepted(db, cursor.destination, positions, now=settlement.now)
    if cursor.replay_id:
        replays.add_counts(
            db, cursor.replay_id, accepted=len(accepted), buried=len(settlement.buried)
        )
    if accepted or settlement.buried:
        destinations.add_counts(
            db, cursor.destination, accepted=len(accepted), buried=len(settlement.buried)
        )
    if settlement.mark is not None:
        destinations.save_mark(db, cursor.destination, settlement.mark)
    return ledger_id


def save_mark(db: Connection, name: str, mark: str, *, generations: Mapping[int, int]) -> bool:
    """Store a destination's own progress by itself; False when its drain is not the one it was.

    ``generations`` is what `cursors.generations` said when the mark was made.
    """
    if cursors.generations(db, name) != generations:
        return False
    destinations.save_mark(db, name, mark)
    return True


def _write_ledger(db: Connection, settlement: Settlement) -> int:
    cursor = settlement.cursor
    ledger_id = settlement.fold_into
    for run in settlement.accepted_runs:
        entry = ledger.Entry(
            destination=cursor.destination,
            replay_id=cursor.replay_id,
            lane=cursor.lane,
            first_position=run[0].position,
            last_position=run[-1].position,
            events=len(run),
            attempt=settlement.attempt,
            first_settled_at=settlement.now,
            settled_at=settlement.now,
            duration_ms=settlement.duration_ms,
            receipt=join_receipts(
                settlement.receipts[event.position]
                for event in run
                if event.position in settlement.receipts
            ),
        )
        first = run is settlement.accepted_runs[0]
        ledger_id = ledger.add(db, entry, fold_into=ledger_id if first else 0)
    return ledger_id
