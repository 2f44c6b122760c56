"""Everything that drains to one destination: its lanes, its replays, and what operators want.

Each lane has a `TrackLoop`, and at most one replay runs beside them. A track
that finds its cursor changed by an operator ends and is begun again from what
the database says. A track that fails ends the whole drain, and with it the
process: a lane that is silently dead would be worse than a restart.
"""

from __future__ import annotations

from collections.abc import Mapping

import anyio
import structlog

from streamer.core import alarms
from streamer.core.errors import StreamerError
from streamer.core.limits import (
    FLOOR_CHECK_SECONDS,
    OPEN_RETRY_SECONDS,
    SETTLE_RETRY_SECONDS,
    TIDY_SECONDS,
)
from streamer.drain.feed import LiveFeed, ReplayFeed
from streamer.drain.shared import Shared
from streamer.drain.track import TrackLoop
from streamer.store import cursors, destinations, replays
from streamer.store.cursors import Cursor
from streamer.store.destinations import Known
from streamer.store.outbox import Lane
from streamer.store.replays import Replay

_log = structlog.get_logger("streamer.drain")


class DestinationDrain:
    """The drain of one destination. `run` it in a task group; `stop` ends it."""

    def __init__(self, name: str, shared: Shared) -> None:
        self.name = name
        self.shared = shared
        self._tracks: dict[int, TrackLoop] = {}
        self._poked: int | None = None
        self._replay: Replay | None = None
        self._look = anyio.Event()
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()

    @property
    def alive_until(self) -> float:
        """Monotonic time by which every track will have ticked again, if all are alive."""
        return min((track.alive_until for track in self._tracks.values()), default=float("inf"))

    async def run(self) -> None:
        """Drain until `stop`; raises what a track fails with."""
        try:
            with self._scope:
                await self._open()
                async with anyio.create_task_group() as tasks:
                    for lane in range(self.shared.policy.lanes):
                        tasks.start_soon(self._drain_lane, Lane(self.shared.policy.lanes, lane))
                    tasks.start_soon(self._drain_replays)
                    tasks.start_soon(self._drop_floors)
                    tasks.start_soon(self._tidy)
        finally:
            with anyio.CancelScope(shield=True):
                await self.shared.destination.aclose()
            self._ended.set()

    async def stop(self, seconds: float) -> None:
        """Let the batches under way finish; after ``seconds`` give them up, to be sent again."""
        self.shared.stopping = True
        self.wake()
        self._look.set()
        with anyio.move_on_after(seconds):
            await self._ended.wait()
        self._scope.cancel()

    def apply(self, known: Known, replay: Replay | None, generations: Mapping[int, int]) -> None:
        """Take over what operators wrote into the database."""
        self.shared.paused = known.paused_at is not None
        if self._poked is not None and known.poked != self._poked:
            self.poke()
        self._poked = known.poked
        if replay != self._replay:
            self._replay = replay
            self._look.set()
        for cursor_id, track in self._tracks.items():
            if generations.get(cursor_id) != track.cursor.generation:
                track.stale = True
        self.wake()

    def wake(self) -> None:
        """There may be something to do: an append, or an operator's change."""
        self.shared.wake()

    def poke(self) -> None:
        """Try again at once, whatever a track waits for."""
        for track in self._tracks.values():
            track.poked = True
        self.wake()

    async def _open(self) -> None:
        """Open the destination; one that cannot be opened holds nothing else up."""
        waker = self.shared.join()
        while True:
            try:
                known = await self.shared.reader.run(lambda db: destinations.load(db, self.name))
                await self.shared.destination.open(known.mark)
            except (StreamerError, OSError) as error:
                self.shared.board.note(alarms.HELD, self.name, f"it cannot be opened: {error}")
                waker.clear()
                await self.shared.wait(waker, OPEN_RETRY_SECONDS)
                continue
            self.shared.leave(waker)
            await self._save_mark(known.mark)
            return

    async def _save_mark(self, stored: str | None) -> None:
        """Write down where the destination begins, before its first batch is sent.

        Otherwise a crash in that batch would leave lines behind that no mark covers.
        """
        mark = self.shared.destination.mark()
        if mark is None or mark == stored:
            return
        while True:
            try:
                await self.shared.writer.do(lambda db: destinations.save_mark(db, self.name, mark))
            except StreamerError as error:
                _log.warning("drain.mark", destination=self.name, error=str(error))
                await self.shared.clock.sleep(SETTLE_RETRY_SECONDS)
            else:
                return

    async def _reopen(self) -> None:
        """Let the destination undo what it did and the database does not know of."""
        if self.shared.destination.exclusive:
            async with self.shared.turn():
                await self._open()

    async def _drain_lane(self, lane: Lane) -> None:
        """Drain one lane, again from the beginning whenever an operator has moved its cursor."""
        while not self.shared.stopping:
            every = await self.shared.reader.run(lambda db: cursors.load(db, self.name))
            mine = next((cursor for cursor in every if cursor.lane == lane), None)
            if mine is None:
                return  # the destination was forgotten
            floors = tuple(cursor for cursor in every if cursor.lane.lanes != lane.lanes)
            feed = LiveFeed(self.shared.policy.selection, lane, floors)
            await self._run_track(TrackLoop(self.shared, mine, feed))

    async def _run_track(self, track: TrackLoop) -> bool:
        """Run one track to its end; True when it is through."""
        self._tracks[track.cursor.id] = track
        try:
            through = await track.run()
        finally:
            del self._tracks[track.cursor.id]
        if not through and not self.shared.stopping:
            _log.info("drain.cursor_changed", destination=self.name, cursor=track.cursor.id)
            await self._reopen()
        return through

    async def _drain_replays(self) -> None:
        """Work on one replay after the other, beside the live order."""
        while not self.shared.stopping:
            replay = self._replay
            cursor = None if replay is None else await self._cursor_of(replay)
            if replay is None or cursor is None:
                await self._look.wait()
                self._look = anyio.Event()
                continue
            feed = ReplayFeed(self.shared.policy.selection, replay)
            track = TrackLoop(self.shared, cursor, feed, bury_at_once=replay.positions is not None)
            if await self._run_track(track):
                await self._finish(replay)

    async def _cursor_of(self, replay: Replay) -> Cursor | None:
        found = await self.shared.reader.run(
            lambda db: cursors.load(db, self.name, replay_id=replay.id)
        )
        return found[0] if found else None

    async def _finish(self, replay: Replay) -> None:
        now = self.shared.clock.now()
        await self.shared.writer.do(lambda db: replays.finish(db, replay, "done", now=now))
        self._replay = await self.shared.reader.run(lambda db: replays.running(db, self.name))
        _log.info("replay.done", destination=self.name, replay=replay.id)

    async def _tidy(self) -> None:
        """Let the destination rotate and compress; beside the sending, since it may take long."""
        waker = self.shared.join()
        try:
            while not self.shared.stopping:
                try:
                    await self.shared.destination.tidy()
                except (StreamerError, OSError) as error:
                    _log.warning("drain.tidy", destination=self.name, error=type(error).__name__)
                waker.clear()
                await self.shared.wait(waker, TIDY_SECONDS)
        finally:
            self.shared.leave(waker)

    async def _drop_floors(self) -> None:
        """Forget the cursors of an earlier lane count once the present ones have passed them."""
        lanes = self.shared.policy.lanes
        waker = self.shared.join()
        try:
            while not self.shared.stopping:
                every = await self.shared.reader.run(lambda db: cursors.load(db, self.name))
                if all(cursor.lane.lanes == lanes for cursor in every):
                    return
                try:
                    await self.shared.writer.do(
                        lambda db: cursors.drop_passed_floors(db, self.name, lanes)
                    )
                except StreamerError as error:
                    _log.warning("drain.floors", destination=self.name, error=str(error))
                waker.clear()
                await self.shared.wait(waker, FLOOR_CHECK_SECONDS)
        finally:
            self.shared.leave(waker)
