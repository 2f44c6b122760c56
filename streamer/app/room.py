"""Free space on the data directory's disk, against two floors.

Ingest stops at the higher one, so that drains and pruning, which make room,
still have some to work with; they stop at the lower one.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Room(msgspec.Struct, frozen=True):
    """How much space there is, and what that stops."""

    free_bytes: int
    total_bytes: int
    """What is used and what could be."""
    ingest_stops: bool
    drain_stops: bool

    @property
    def used_share(self) -> float:
        """The used part of the disk, from 0 to 1."""
        return 1.0 - self.free_bytes / self.total_bytes if self.total_bytes else 0.0


class RoomWatch:
    """Looks at the disk; a floor that was hit is left only well above it, so it cannot flap."""

    RECOVERY = 1.1

    def __init__(self, directory: Path, *, ingest_floor_bytes: int, drain_floor_bytes: int) -> None:
        self._directory = directory
        self.ingest_floor_bytes = ingest_floor_bytes
        self.drain_floor_bytes = drain_floor_bytes
        self.last = Room(0, 0, ingest_stops=False, drain_stops=False)

    def look(self) -> Room:
        """Look now."""
        figures = os.statvfs(self._directory)
        free = figures.f_bavail * figures.f_frsize
        # As df counts: what is set aside for root is neither used nor to be had.
        used = (figures.f_blocks - figures.f_bfree) * figures.f_frsize
        self.last = Room(
            free,
            used + free,
            ingest_stops=self._stops(free, self.ingest_floor_bytes, self.last.ingest_stops),
            drain_stops=self._stops(free, self.drain_floor_bytes, self.last.drain_stops),
        )
        return self.last

    def _stops(self, free: int, floor: int, stopped: bool) -> bool:
        return free < (floor * self.RECOVERY if stopped else floor)
