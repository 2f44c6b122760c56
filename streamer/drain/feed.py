"""Where a track's events come from: the live outbox behind a cursor, or a replay's part of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from streamer.core.event import StoredEvent
from streamer.core.selection import Selection
from streamer.store import outbox
from streamer.store.cursors import Cursor
from streamer.store.outbox import Lane, Scan
from streamer.store.replays import Replay
from streamer.store.sqlite import Connection


class Feed(Protocol):
    """Reads on behind a position; runs on the reading connection's thread."""

    @property
    def ends(self) -> bool:
        """There will be nothing new once it has caught up: a replay is finite."""
        ...

    def concerns(self, lane_keys: Collection[int]) -> bool:
        """Tell whether any of these new events' lane keys may be one of its own."""
        ...

    def read(self, db: Connection, position: int, events_max: int, bytes_max: int) -> Scan:
        """Read the next events behind ``position``."""
        ...


class LiveFeed(msgspec.Struct, frozen=True):
    """One lane of the outbox, without what an earlier lane count has settled already."""

    selection: Selection
    lane: Lane
    floors: tuple[Cursor, ...] = ()
    ends: bool = False

    def concerns(self, lane_keys: Collection[int]) -> bool:
        """Tell whether any of them is the lane's."""
        return any(self.lane.has(key) for key in lane_keys)

    def read(self, db: Connection, position: int, events_max: int, bytes_max: int) -> Scan:
        """Read the next events of the lane."""
        scan = outbox.read_after(
            db,
            position,
            selection=self.selection,
            lane=self.lane,
            events_max=events_max,
            bytes_max=bytes_max,
        )
        return _keep(scan, self._is_open) if self.floors else scan

    def _is_open(self, event: StoredEvent) -> bool:
        return not any(floor.has_settled(event.position, event.lane_key) for floor in self.floors)


class ReplayFeed(msgspec.Struct, frozen=True):
    """The events that an operator wants to be sent again."""

    selection: Selection
    """The destination's own filter: a replay never sends what the destination must not get."""
    replay: Replay
    ends: bool = True

    def concerns(self, lane_keys: Collection[int]) -> bool:
        """Return False: what it sends was stored before it began."""
        return False

    def read(self, db: Connection, position: int, events_max: int, bytes_max: int) -> Scan:
        """Read the next events of the replay."""
        if self.replay.positions is not None:
            return self._read_picked(db, position, events_max, bytes_max)
        return outbox.read_after(
            db,
            position,
            selection=self.selection,
            part=self.replay.request.sql_condition(),
            until=self.replay.to_position,
            events_max=events_max,
            bytes_max=bytes_max,
        )

    def _read_picked(self, db: Connection, position: int, events_max: int, bytes_max: int) -> Scan:
        """Read the picked events one by one: a few large ones must not fill the memory."""
        picked = self.replay.positions or ()
        later = picked[bisect_right(picked, position) :]
        found: list[StoredEvent] = []
        total = 0
        for looked_at, at in enumerate(later):
            if len(found) == events_max or (found and total > bytes_max):
                return Scan(tuple(found), later[looked_at - 1], caught_up=False)
            for event in outbox.read_positions(db, (at,)):
                if self.selection.matches(event.object_type, event.metric):
                    found.append(event)
                    total += len(event.body)
        end = max([position, self.replay.to_position, *later[-1:]])
        return Scan(tuple(found), end, caught_up=True)


def _keep(scan: Scan, wanted: Callable[[StoredEvent], bool]) -> Scan:
    events: Sequence[StoredEvent] = [event for event in scan.events if wanted(event)]
    return msgspec.structs.replace(scan, events=tuple(events))
