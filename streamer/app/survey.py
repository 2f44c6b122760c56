"""The survey: looks through what was stored for what the catalogue does not know.

It follows the outbox as a drain does, behind a stored position, in pieces that
take milliseconds, and nobody waits for it: not ingest, not the drains, not
pruning. Between two pieces it pauses for a fixed time, which is enough to keep
up with some thousand events a second for ever, and takes a tenth of a processor.
On a busy one a piece waits its turn behind the drains' reads, so the
survey gets slower by itself; it never makes up for that by waiting longer.
While more comes for long than it gets to see, it falls behind by the
difference, and catches up when less comes: an alarm is late then, and only what
was pruned unseen, after all of retention, is missing from the counts.

Whatever goes wrong in here is told and tried again; the service is never ended
by it, for all of this is about events that were taken and will be delivered.
"""

from __future__ import annotations

import math
from functools import partial

import structlog

from streamer.app.upkeep import Upkeep
from streamer.clock import Clock
from streamer.core import alarms
from streamer.core.intervals import (
    JANITOR_WRITE_SECONDS,
    SURVEY_PAUSE_SECONDS,
    SURVEY_SECONDS,
    SURVEY_TICK_SECONDS,
)
from streamer.core.limits import SURVEY_SAVE_POSITIONS
from streamer.observe.board import Board
from streamer.observe.log import where
from streamer.store import drift, sqlite
from streamer.store.connection import Database
from streamer.store.drift import Key, Surveyed
from streamer.store.writer import Writer

_log = structlog.get_logger("streamer.survey")

_WORDS = {
    "legacy": "an event of the form of before 2020",
    "object_type": "an object type that is new",
    "metric": "a metric that is new",
    "field": "a field that is new",
    "value": "a kind of value that is new",
    "unreadable": "an event that cannot be looked into",
}


class Survey:
    """Looks once a second, if anything has come, for as long as the service runs."""

    def __init__(self, *, writer: Writer, reader: Database, clock: Clock, board: Board) -> None:
        self.blocked = False
        """The disk is so full that nothing but calls and settlements may be written."""
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._board = board
        self._upkeep = Upkeep(clock, board)
        self._position: int | None = None
        """Up to where was looked; None: it has to be read."""
        self._saved = 0
        self._saved_at = -math.inf
        self._news = False
        self._next_look = 0.0

    def hear(self) -> None:
        """New events are in the outbox."""
        self._news = True

    async def run(self) -> None:
        """Look for as long as the service runs."""
        while True:
            if not self.blocked and (self._news or self._clock.monotonic() >= self._next_look):
                await self._look()
            await self._clock.sleep(SURVEY_SECONDS)

    async def _look(self) -> None:
        """Look through all that has come, unless something is in the way."""
        self._news = False
        self._next_look = self._clock.monotonic() + SURVEY_TICK_SECONDS
        try:
            with self._upkeep.step("survey"):
                while not await self._step() and not self.blocked:
                    await self._clock.sleep(SURVEY_PAUSE_SECONDS)
        except Exception as error:  # a bug of ours in here is no reason to answer no calls
            _log.error("survey.failed", raised=where(error))
            self._position = None

    async def _step(self) -> bool:
        """Look through a piece of the outbox; return whether it was the last."""
        try:
            surveyed = await self._reader.run(self._read)
        except sqlite.Error as error:
            raise sqlite.map_error(error) from error
        self._position = None  # what is stored counts if writing fails
        if surveyed.sightings:
            store = partial(drift.add, surveyed=surveyed)
            for key in await self._writer.do_within(store, JANITOR_WRITE_SECONDS):
                self._tell(key, surveyed.sightings[key].position)
            self._note_saved(surveyed.through)
        elif self._is_worth_saving(surveyed):
            save = partial(drift.save_position, position=surveyed.through)
            await self._writer.do_within(save, JANITOR_WRITE_SECONDS)
            self._note_saved(surveyed.through)
        self._position = surveyed.through
        return surveyed.caught_up

    def _is_worth_saving(self, surveyed: Surveyed) -> bool:
        """Say whether to write down how far it is, while there is nothing else to write.

        Whoever looks at the report soon after the start is told that all was looked through.
        """
        is_late = self._clock.monotonic() - self._saved_at >= SURVEY_TICK_SECONDS
        least = 1 if is_late and surveyed.caught_up else SURVEY_SAVE_POSITIONS
        return surveyed.through - self._saved >= least

    def _note_saved(self, through: int) -> None:
        self._saved, self._saved_at = through, self._clock.monotonic()

    def _read(self, db: sqlite.Connection) -> Surveyed:
        if self._position is None:
            self._position = self._saved = drift.surveyed_position(db)
        return drift.survey(db, self._position)

    def _tell(self, key: Key, position: int) -> None:
        """Raise an alarm for what was never seen before.

        Its name is left to the report: whoever signs can call a field by any text, and alarms go
        into the log.
        """
        kind, _, _ = key
        self._board.note(alarms.NEWS, "", f"{_WORDS[kind]}, in the event at position {position}")
