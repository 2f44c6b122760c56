"""What became of one event at each destination: the answer to "where is event X?".

There is no status per event, so the story is put together. The cursors say
whether a destination has settled the event; its dead letter says that it was
refused; the ledger names the batches that it may have been accepted in. A
ledger row is a run described by its two ends, so an event between them need
not have been in it (`streamer.store.ledger` says which are not meant): what
cannot be told apart any more is marked as not certain, never guessed.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import msgspec

from streamer.core.event import StoredEvent
from streamer.core.limits import STORY_COUNT_EVENTS_MAX
from streamer.store import cursors, dead_letters, destinations, late_failures, ledger, replays
from streamer.store.cursors import Cursor
from streamer.store.dead_letters import DeadLetter
from streamer.store.destinations import Known
from streamer.store.late_failures import LateFailure, Reconciled
from streamer.store.ledger import Entry
from streamer.store.sqlite import Connection


class Fate(enum.Enum):
    """How a destination stands to an event now."""

    ACCEPTED = "accepted"
    LOST = "lost"
    """Accepted, and dropped later by the destination itself, as its own books say."""
    PENDING = "pending"
    """Behind the cursor: it is sent when its turn comes."""
    DEAD_LETTER = "dead_letter"
    RETRYING = "retrying"
    """A dead letter that a replay sends again."""
    DISCARDED = "discarded"
    """A dead letter that an operator gave up."""
    FILTERED = "filtered"
    """The destination's filter leaves it out."""
    PASSED = "passed"
    """Settled without a trace: before the destination began, or left out by an earlier filter."""


class Acceptance(msgspec.Struct, frozen=True):
    """One batch in which the destination accepted the event."""

    first_at: int
    """The event was accepted between this moment and ``last_at``, ms since 1970."""
    last_at: int
    attempt: int
    replay_id: int
    """0 for the live order."""
    receipt: str | None
    certain: bool
    """False when the filter of that time may have left the event out of the batch."""


class DestinationStory(msgspec.Struct, frozen=True):
    """What one destination made of one event."""

    destination: str
    kind: str
    fate: Fate
    state: str
    """Of the event's lane: ``ready``, ``waiting``, ``held`` or ``paused``."""
    cursor: int
    """Of the event's lane."""
    events_before: int = 0
    """Of a pending event: how many the lane has to settle first, counted up to a bound."""
    attempt: int = 0
    next_attempt_at: int | None = None
    last_error: str = ""
    letter: DeadLetter | None = None
    acceptances: tuple[Acceptance, ...] = ()
    losses: tuple[LateFailure, ...] = ()
    """What the destination's books say of it, the last loss last."""
    reconciled: Reconciled | None = None
    """How far those books were read; None: never, or it keeps none."""
    replays: tuple[int, ...] = ()
    """Running replays that are still to send it."""

    @property
    def lost_last(self) -> bool:
        """Tell whether the event was lost and not accepted again since."""
        return _is_lost_last(self.acceptances, self.losses)


_LOSABLE = {Fate.ACCEPTED, Fate.PASSED, Fate.FILTERED}
"""Fates that a loss overrules: it proves that the event was accepted, whatever is left of that."""


class _Against(msgspec.Struct, frozen=True):
    """What is held against one event at one destination."""

    letter: DeadLetter | None
    losses: tuple[LateFailure, ...]


def tell(db: Connection, event: StoredEvent) -> list[DestinationStory]:
    """Tell what every known destination made of an event; call inside a transaction."""
    letters = {letter.destination: letter for letter in dead_letters.of_event(db, event.position)}
    losses = late_failures.of_event(db, event.position)
    told = []
    for known in destinations.load_all(db):
        own = tuple(loss for loss in losses if loss.destination == known.name)
        told.append(_tell(db, event, known, _Against(letters.get(known.name), own)))
    return told


def _tell(db: Connection, event: StoredEvent, known: Known, against: _Against) -> DestinationStory:
    there = cursors.load(db, known.name)
    live = cursors.live(there, known.lanes)
    lane = next((at for at in live if at.lane.has(event.lane_key)), None)
    accepted = tuple(
        acceptance
        for entry in ledger.find(db, known.name, event.position, event.lane_key)
        if (acceptance := _acceptance(db, known, event, against, entry)) is not None
    )
    fate = _judge(event, known, there, against.letter, accepted)
    if fate in _LOSABLE and _is_lost_last(accepted, against.losses):
        fate = Fate.LOST
    state = cursors.CursorState() if lane is None else lane.state
    position = 0 if lane is None else lane.progress.position
    pending = fate is Fate.PENDING
    return DestinationStory(
        destination=known.name,
        kind=known.kind,
        fate=fate,
        state="paused" if known.paused_at is not None else state.state,
        cursor=position,
        events_before=_count_before(db, known, event, position) if pending else 0,
        attempt=state.attempt if pending else 0,
        next_attempt_at=state.next_attempt_at if pending else None,
        last_error=state.last_error if pending else "",
        letter=against.letter,
        acceptances=accepted,
        losses=against.losses,
        reconciled=late_failures.reconciled(db, known.name),
        replays=tuple(_replays_to_come(db, known, event)),
    )


def _judge(
    event: StoredEvent,
    known: Known,
    there: Sequence[Cursor],
    letter: DeadLetter | None,
    accepted: Sequence[Acceptance],
) -> Fate:
    wanted = known.selection.matches(event.object_type, event.metric)
    if not any(at.has_settled(event.position, event.lane_key) for at in there):
        return Fate.PENDING if wanted else Fate.FILTERED
    if letter is not None:
        return _judge_letter(letter, accepted)
    if accepted:
        return Fate.ACCEPTED
    return Fate.PASSED if wanted else Fate.FILTERED


def _judge_letter(letter: DeadLetter, accepted: Sequence[Acceptance]) -> Fate:
    if letter.state == "discarded":
        since = letter.closed_at or 0
        later = any(acceptance.first_at >= since for acceptance in accepted)
        return Fate.ACCEPTED if later else Fate.DISCARDED
    fates = {"accepted": Fate.ACCEPTED, "retrying": Fate.RETRYING}
    return fates.get(letter.state, Fate.DEAD_LETTER)


def _is_lost_last(accepted: Sequence[Acceptance], losses: Sequence[LateFailure]) -> bool:
    """Tell whether an event was certainly not accepted behind its last loss.

    The destination's clock tells of the one and ours of the other; a minute makes no difference,
    because whoever sends an event again has read of the loss first.
    """
    if not losses:
        return False
    lost_at = losses[-1].lost_at
    return not any(one.certain and one.first_at > lost_at for one in accepted)


def _acceptance(
    db: Connection, known: Known, event: StoredEvent, against: _Against, entry: Entry
) -> Acceptance | None:
    """Read one ledger row; None when the event was not in its batch, as far as can be known."""
    replay = replays.load(db, entry.replay_id) if entry.replay_id else None
    if replay is not None and not replay.wants(event):
        return None
    every, wanted = _count_in(db, known, entry)
    certain = entry.events >= every or _closes(entry, against.letter)
    if not certain:
        selected = known.selection.matches(event.object_type, event.metric)
        refused = against.letter is not None and not against.losses
        if refused or not selected:
            return None
        certain = replay is not None or entry.events >= wanted
    return Acceptance(
        first_at=entry.first_settled_at,
        last_at=entry.settled_at,
        attempt=entry.attempt,
        replay_id=entry.replay_id,
        receipt=entry.receipt,
        certain=certain,
    )


def _closes(entry: Entry, letter: DeadLetter | None) -> bool:
    """Tell whether the row is the batch that closed a letter as accepted: they share a moment."""
    if letter is None or letter.state != "accepted" or letter.closed_at is None:
        return False
    return entry.first_settled_at <= letter.closed_at <= entry.settled_at


def _count_in(db: Connection, known: Known, entry: Entry) -> tuple[int, int]:
    """Count a row's range: all events of its lane, and those that should have been accepted."""
    condition, parameters = known.selection.sql_condition()
    every, wanted = db.execute(
        f"SELECT count(*), coalesce(sum({condition} AND position NOT IN"
        " (SELECT position FROM dead_letters WHERE destination = ?"
        " EXCEPT SELECT position FROM late_failures WHERE destination = ?)), 0)"
        " FROM outbox WHERE position BETWEEN ? AND ? AND lane_key % ? = ?",
        (
            *parameters,
            known.name,
            known.name,
            entry.first_position,
            entry.last_position,
            entry.lane.lanes,
            entry.lane.lane,
        ),
    ).fetchone()
    pruned = db.execute("SELECT 1 FROM outbox WHERE position = ?", (entry.first_position,))
    if pruned.fetchone() is None:
        # The oldest go first, so nobody knows any more what the beginning of the range held.
        span = entry.last_position - entry.first_position + 1
        return span, span
    return int(every), int(wanted)


def _count_before(db: Connection, known: Known, event: StoredEvent, cursor: int) -> int:
    condition, parameters = known.selection.sql_condition()
    (count,) = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM outbox WHERE position > ? AND position < ?"
        f" AND lane_key % ? = ? AND {condition} LIMIT ?)",
        (
            cursor,
            event.position,
            known.lanes,
            event.lane_key % known.lanes,
            *parameters,
            STORY_COUNT_EVENTS_MAX,
        ),
    ).fetchone()
    return int(count)


def _replays_to_come(db: Connection, known: Known, event: StoredEvent) -> list[int]:
    selected = known.selection.matches(event.object_type, event.metric)
    return [
        replay.id
        for replay in replays.list_replays(db, running_only=True)
        if replay.destination == known.name
        and replay.wants(event)
        and (selected or replay.positions is not None)
        and not any(
            at.has_settled(event.position, event.lane_key)
            for at in cursors.load(db, known.name, replay_id=replay.id)
        )
    ]
