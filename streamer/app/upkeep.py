"""The steps of looking after the data directory: one that fails ends neither the others nor us.

What the operating system or the database refuses is logged once, and raised as
an alarm when it lasts; a lock of another program has an alarm of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from streamer.clock import Clock
from streamer.core import alarms
from streamer.core.errors import StoreBusy, StoreError
from streamer.core.intervals import UPKEEP_ALARM_SECONDS
from streamer.observe.board import Board

_log = structlog.get_logger("streamer.upkeep")


class Upkeep:
    """Knows which steps fail, and since when."""

    def __init__(self, clock: Clock, board: Board) -> None:
        self._clock = clock
        self._board = board
        self._failing_since: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Take one step, which may fail."""
        try:
            yield
        except (OSError, StoreError) as error:
            self._tell(name, error)
        else:
            if self._failing_since.pop(name, None) is not None:
                _log.info("upkeep.recovered", step=name)
            self._board.clear(alarms.UPKEEP_FAILING, name)

    def _tell(self, name: str, error: OSError | StoreError) -> None:
        # The text of a foreign error names files, and is kept out of the log; its number is enough.
        said = str(error) if isinstance(error, StoreError) else error.strerror or "no reason given"
        now = self._clock.monotonic()
        if name not in self._failing_since:
            _log.warning("upkeep.failed", step=name, error=said)
        since = self._failing_since.setdefault(name, now)
        if now - since >= UPKEEP_ALARM_SECONDS and not isinstance(error, StoreBusy):
            self._board.note(alarms.UPKEEP_FAILING, name, said)
