"""Looks for what operators did: the database is the control plane.

Commands write to the database beside the running service. SQLite counts the
commits of other connections in ``PRAGMA data_version``, which costs three
microseconds to read; only when it has moved are the control rows read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

import msgspec
import structlog

from streamer.clock import Clock
from streamer.core.errors import StoreError
from streamer.core.intervals import CONTROL_ROUND_SECONDS, DATA_VERSION_POLL_SECONDS
from streamer.drain.supervisor import DestinationDrain
from streamer.observe.log import where
from streamer.store import cursors, destinations, replays, sqlite
from streamer.store.connection import Database
from streamer.store.destinations import Known
from streamer.store.replays import Replay
from streamer.store.sqlite import Connection

_log = structlog.get_logger("streamer.control")


class ControlRows(msgspec.Struct, frozen=True):
    """Everything an operator can change."""

    known: dict[str, Known]
    running: dict[str, Replay]
    generations: dict[str, dict[int, int]]
    """By destination: the generation of each of its cursors."""


def read_rows(db: Connection) -> ControlRows:
    """Read the control rows."""
    known = {one.name: one for one in destinations.load_all(db)}
    running = {name: replay for name in known if (replay := replays.running(db, name)) is not None}
    generations: dict[str, dict[int, int]] = {name: {} for name in known}
    for cursor in cursors.load_all(db):
        generations.setdefault(cursor.destination, {})[cursor.id] = cursor.generation
    return ControlRows(known, running, generations)


class Control:
    """Hands what operators changed to the drains."""

    def __init__(
        self,
        reader: Database,
        clock: Clock,
        drains: Mapping[str, DestinationDrain],
        on_known: Callable[[], None] = lambda: None,
    ) -> None:
        """Look after ``drains``, a mapping that may change while the service runs.

        ``on_known`` is called when a destination has become known or was forgotten.
        """
        self.alive_until = 0.0
        self._reader = reader
        self._clock = clock
        self._drains = drains
        self._on_known = on_known
        self._version = -1
        self._names: Set[str] = frozenset()
        self._failures = 0

    async def run(self) -> None:
        """Look twice a second for as long as the service runs."""
        while True:
            self.alive_until = self._clock.monotonic() + CONTROL_ROUND_SECONDS
            try:
                await self.look()
            except (StoreError, sqlite.Error) as error:
                self._tell(error)
            else:
                self._failures = 0
            await self._clock.sleep(DATA_VERSION_POLL_SECONDS)

    def _tell(self, error: Exception) -> None:
        """Log the first failure in a row and then ever fewer: there are two in a second."""
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:
            _log.warning("control.unreadable", times=self._failures, raised=where(error))

    async def look(self) -> None:
        """Look once, and tell the drains if anything was committed since the last time."""
        # Before the look: a drain that is made meanwhile may be of a destination not yet seen.
        drains = list(self._drains.items())
        version = await self._reader.run(_data_version)
        if version == self._version:
            return
        rows = await self._reader.run(read_rows)
        self._version = version
        if rows.known.keys() != self._names:
            self._names = rows.known.keys()
            self._on_known()
        for name, drain in drains:
            known = rows.known.get(name)
            if known is None:
                drain.forgotten()
            else:
                drain.apply(known, rows.running.get(name), rows.generations[name])


def _data_version(db: Connection) -> int:
    return int(db.execute("PRAGMA data_version").fetchone()[0])
