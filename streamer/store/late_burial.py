"""Makes dead letters of events that their destination lost after it had accepted them.

Each loss leads to a letter once. From then on the letter says what is to be
done: an operator who has discarded it does not meet it again because the same
batch was read again. When the event is sent again and lost again, that is
another loss, and opens the letter again. An event that was accepted once more
behind its last loss needs no letter.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.core.drain import Burial
from streamer.core.event import StoredEvent
from streamer.store import dead_letters, late_failures, ledger, outbox, story
from streamer.store.late_failures import LateFailure
from streamer.store.sqlite import Connection

_TO_BURY = """
SELECT DISTINCT position FROM late_failures AS late
WHERE destination = ? AND buried = 0 AND position IS NOT NULL
  AND EXISTS (SELECT 1 FROM outbox WHERE outbox.position = late.position)
ORDER BY position
"""


def positions_to_bury(db: Connection, destination: str) -> list[int]:
    """Return the events of losses that no letter was made of yet, as far as they are kept."""
    return [position for (position,) in db.execute(_TO_BURY, (destination,))]


def bury(db: Connection, destination: str, positions: Sequence[int], *, now: int) -> int:
    """Make dead letters of lost events; return how many. Nothing is buried twice."""
    burials = []
    for event in outbox.read_positions(db, positions):
        losses = [
            loss
            for loss in late_failures.of_event(db, event.position)
            if loss.destination == destination
        ]
        if any(not loss.buried for loss in losses) and _is_lost(db, event, losses[-1]):
            burials.append(Burial(event, losses[-1].code, losses[-1].detail, attempts=1))
    dead_letters.bury(db, destination, burials, now=now)
    db.executemany(
        "UPDATE late_failures SET buried = 1 WHERE destination = ? AND position = ?",
        [(destination, position) for position in positions],
    )
    return len(burials)


def _is_lost(db: Connection, event: StoredEvent, last: LateFailure) -> bool:
    """Tell whether the last that is known of an event is its loss."""
    entries = ledger.find(db, last.destination, event.position, event.lane_key)
    if not any(entry.settled_at > last.lost_at for entry in entries):
        return True  # nothing at all was accepted behind it: no need for the whole story
    told = {one.destination: one for one in story.tell(db, event)}
    return told[last.destination].lost_last
