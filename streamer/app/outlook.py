"""What will go wrong unless somebody acts: a filling disk, forgotten cursors, a full quarantine.

The disk's alarm says three things an operator needs at three in the morning:
how full it is, who keeps how much of the outbox from being pruned, and when it
will be full if it goes on like this.
"""

from __future__ import annotations

from collections import deque

import msgspec

from streamer.app.room import Room
from streamer.core import alarms
from streamer.core.limits import DISK_ALARM_SHARES, OUTLOOK_SAMPLES_MAX
from streamer.observe.board import Board
from streamer.store import cursors, dead_letters, destinations, lag, quarantine
from streamer.store.cursors import Cursor
from streamer.store.sqlite import Connection


class Pins(msgspec.Struct, frozen=True):
    """What keeps events in the outbox, and what nobody looks after any more."""

    events: int = 0
    """Of the outbox, pending or settled."""
    slowest: str | None = None
    """The destination, or the replay, that has the most left to be sent; None: all is sent."""
    pending: int = 0
    """Events behind the slowest, those of its filter or not."""
    letters: int = 0
    """Events that open dead letters hold on to …"""
    lettered: str | None = None
    """… and the destination that has the most of them."""
    orphans: tuple[str, ...] = ()
    """Destinations that are not configured and keep events that they have not settled."""
    quarantine_bytes: int = 0

    def tell(self) -> str:
        """Say who keeps how much: what is settled and no dead letter goes after retention."""
        parts = []
        if self.slowest is not None:
            parts.append(f"{self.pending:,} wait for {self.slowest}")
        if self.lettered is not None:
            parts.append(f"{self.letters:,} are dead letters, most of them of {self.lettered}")
        said = ", ".join(parts) or "all are settled and kept for outbox.retention_days"
        return f"of {self.events:,} events {said}" if self.events else "the outbox is empty"


def read_pins(db: Connection) -> Pins:
    """Read who holds what."""
    known = {one.name: one for one in destinations.load_all(db)}
    whole = lag.extent(db)
    holding = [
        cursor
        for cursor in cursors.load_all(db)
        if (one := known.get(cursor.destination)) is not None
        # A floor holds nothing: the present cursors are behind it.
        and not cursor.is_floor(one.lanes)
        and cursor.progress.position < whole.last_position
    ]
    slowest = min(holding, key=lambda cursor: cursor.progress.position, default=None)
    pending = 0
    if slowest is not None:
        pending = min(whole.events, whole.last_position - slowest.progress.position)
    letters = dead_letters.count_open(db)
    names = {cursor.destination for cursor in holding}
    return Pins(
        events=whole.events,
        slowest=None if slowest is None else _name(slowest),
        pending=pending,
        letters=sum(letters.values()),
        lettered=max(letters, key=letters.__getitem__, default=None),
        orphans=tuple(sorted(name for name in names if not known[name].configured)),
        quarantine_bytes=quarantine.held_bytes(db),
    )


def _name(cursor: Cursor) -> str:
    replay = cursor.replay_id
    return f"replay {replay} of {cursor.destination}" if replay else cursor.destination


class Forecast:
    """Says when the disk will be full, from how its free space has changed lately."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=OUTLOOK_SAMPLES_MAX)

    def add(self, monotonic_seconds: float, free_bytes: int) -> None:
        """Take note of the free space at a moment."""
        self._samples.append((monotonic_seconds, free_bytes))

    def hours_left(self) -> float | None:
        """Return the hours until nothing is free, or None when it is not getting less."""
        if len(self._samples) < 2:
            return None
        (began, most), (now, free) = self._samples[0], self._samples[-1]
        if now <= began or free >= most:
            return None
        return free / ((most - free) / (now - began)) / 3600


class Outlook:
    """Raises and clears the alarms about what is coming."""

    def __init__(self, board: Board, *, quarantine_bytes_max: int) -> None:
        self.quarantine_bytes_max = quarantine_bytes_max
        self._board = board
        self._forecast = Forecast()

    def look(self, room: Room, pins: Pins, *, monotonic_seconds: float) -> None:
        """Compare what is with what should not be."""
        self._forecast.add(monotonic_seconds, room.free_bytes)
        self._look_at_disk(room, pins)
        self._look_at_orphans(pins)
        if pins.quarantine_bytes >= self.quarantine_bytes_max:
            self._board.note(
                alarms.QUARANTINE_FULL, "", f"it holds {pins.quarantine_bytes // 2**20} MiB"
            )
        else:
            self._board.clear(alarms.QUARANTINE_FULL, "")

    def _look_at_disk(self, room: Room, pins: Pins) -> None:
        reached = [share for share in DISK_ALARM_SHARES if room.used_share >= share]
        if not reached:
            self._board.clear(alarms.DISK_FILLING, "")
            return
        hours = self._forecast.hours_left()
        when = "not growing now" if hours is None else f"full in about {hours:.1f} hours"
        self._board.note(
            alarms.DISK_FILLING, "", f"more than {reached[-1]:.0%} is used, {when}; {pins.tell()}"
        )

    def _look_at_orphans(self, pins: Pins) -> None:
        for name in pins.orphans:
            self._board.note(
                alarms.ORPHAN_CURSOR, name, f"run `streamer destination forget {name}`"
            )
        for code, name in self._board.standing:
            if code == alarms.ORPHAN_CURSOR.code and name not in pins.orphans:
                self._board.clear(alarms.ORPHAN_CURSOR, name)
