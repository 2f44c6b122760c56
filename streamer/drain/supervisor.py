"""Everything that drains to one destination: its lanes, its replays, and what operators want.

Each lane has a `TrackLoop`, and at most one replay runs beside them. A track
whose cursor an operator has changed ends, and is begun again from what the
database says. A track that fails ends the whole drain, and with it the
process: a lane that is silently dead would be worse than a restart.

It must not know what a batch or an outcome is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

import anyio
import structlog

from streamer.core.errors import StoreError, StreamerError
from streamer.core.intervals import (
    FLOOR_CHECK_SECONDS,
    OPEN_RETRY_SECONDS,
    REFUSED_RETRY_SECONDS,
    TIDY_SECONDS,
    TRACK_ROUND_SECONDS,
    TRACK_TICK_SECONDS,
)
from streamer.drain.feed import LiveFeed, ReplayFeed
from streamer.drain.remembering import restore
from streamer.drain.shared import Shared, WriteRefused
from streamer.drain.track import TrackLoop
from streamer.store import cursors, destinations, replays, settling
from streamer.store.cursors import Cursor
from streamer.store.destinations import Known
from streamer.store.outbox import Lane
from streamer.store.replays import Replay
from streamer.store.sqlite import Connection

_log = structlog.get_logger("streamer.drain")


class DestinationDrain:
    """The drain of one destination. `run` it in a task group; `stop` ends it."""

    def __init__(self, name: str, shared: Shared) -> None:
        self.name = name
        self.shared = shared
        self._tracks: set[TrackLoop] = set()
        self._poked: int | None = None
        self._pokes = 0
        self._replay: Replay | None = None
        self._waker = shared.join()
        self._busy_until = float("inf")
        self._turn_until = float("inf")
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()

    @property
    def alive_until(self) -> float:
        """Monotonic time by which every track will have ticked again, if all are alive."""
        tracks = min((track.alive_until for track in self._tracks), default=self._busy_until)
        return min(tracks, self._turn_until)

    async def run(self) -> None:
        """Drain until `stop`, or until the destination is forgotten; raises what a track raises."""
        try:
            with self._scope:
                if await self._open():
                    async with anyio.create_task_group() as beside:
                        beside.start_soon(self._drop_floors)
                        beside.start_soon(self._tidy)
                        await self._drain_tracks()
                        beside.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self.shared.destination.aclose()
            self._busy_until = float("inf")
            self._ended.set()

    async def stop(self, seconds: float) -> None:
        """Let the batches under way finish; after ``seconds`` give them up, to be sent again.

        Returns when `run` is through.
        """
        self.shared.stopping = True
        self.shared.destination.hurry()
        self.wake()
        async with anyio.create_task_group() as race:
            race.start_soon(self._give_up_after, seconds)
            await self._ended.wait()
            race.cancel_scope.cancel()

    async def _give_up_after(self, seconds: float) -> None:
        await self.shared.clock.sleep(seconds)
        under_way = sum(track.is_sending for track in self._tracks)
        _log.warning(
            "drain.given_up",
            destination=self.name,
            tracks=under_way,
            seconds=round(seconds, 1),
            hint="Whatever is not settled counts as not delivered, and is sent again.",
        )
        self._scope.cancel()

    def apply(self, known: Known, replay: Replay | None, generations: Mapping[int, int]) -> None:
        """Take over what operators wrote into the database.

        ``generations`` has the destination's cursors by number, those of
        replays too. Called after every change of the database, our own
        included, so a track is only woken when something changed for it.
        """
        paused = known.paused_at is not None
        if paused != self.shared.paused:
            self.shared.paused = paused
            self.wake()
        if self._poked is not None and known.poked > self._poked:
            self.poke()
        self._poked = known.poked
        if (replay and replay.id) != (self._replay and self._replay.id):
            self._waker.set()
        self._replay = replay
        for track in self._tracks:
            if generations.get(track.cursor.id) != track.cursor.generation and not track.stale:
                track.stale = True
                self.wake()

    def hear_of(self, lane_keys: Collection[int]) -> None:
        """New events with these lane keys were stored: wake the lanes that they belong to."""
        for track in self._tracks:
            track.hear_of(lane_keys)

    def forgotten(self) -> None:
        """End: an operator has dropped the destination."""
        self.shared.forgotten()

    def wake(self) -> None:
        """There may be something to do: an operator's change, or the disk's."""
        self.shared.wake()

    def poke(self) -> None:
        """Try again at once, whatever a track waits for, or will wait for once it has begun."""
        self._pokes += 1
        for track in self._tracks:
            track.poked = True
        self.wake()

    async def _open(self) -> bool:
        """Open the destination; one that cannot be opened holds nothing else up."""
        while not self.shared.stopping:
            self._stay_alive(self.shared.send_seconds_max)
            try:
                generations = await self.shared.write(
                    lambda db: cursors.take_over(db, self.name), tick=self._stay_alive
                )
                async with self.shared.turn():
                    known = await self.shared.open()
                if known is None:
                    return False
                if self._poked is None:
                    self._poked = known.poked
                await self._save_mark(known.mark, generations, tick=self._stay_alive)
                held = await self._load_held()
            except (StreamerError, OSError) as error:
                self.shared.teller.tell_unopened(str(error))
            else:
                self.shared.teller.tell_opened(held)
                return True
            self._stay_alive(OPEN_RETRY_SECONDS + TRACK_TICK_SECONDS)
            await self.shared.wait(self._waker, OPEN_RETRY_SECONDS)
        return False

    async def _load_held(self) -> list[int]:
        """Find the tracks to be begun that an earlier drain has left held."""
        every = cursors.live(await self._load_cursors(), self.shared.policy.lanes)
        replay = await self._running_replay()
        if replay is not None:
            every += await self._load_cursors(replay.id)
        return [cursor.id for cursor in every if restore(cursor).holding]

    async def _save_mark(
        self, stored: str | None, generations: Mapping[int, int], tick: Callable[[float], None]
    ) -> bool:
        """Write down where the destination goes on, before its next batch is sent.

        Otherwise a crash in that batch would leave something that no mark
        covers. False when it was not written: the drain is about to start over.
        """
        mark = self.shared.destination.mark()
        if mark is None or mark == stored:
            return True
        return await self.shared.write(
            lambda db: settling.save_mark(db, self.name, mark, generations=generations), tick=tick
        )

    async def _drain_tracks(self) -> None:
        lanes = self.shared.policy.lanes
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._drain_replays)
            for lane in range(lanes):
                tasks.start_soon(self._drain_lane, Lane(lanes, lane))

    async def _drain_lane(self, lane: Lane) -> None:
        """Drain one lane, again from the beginning whenever an operator has moved its cursor."""
        heeded = 0
        while not self.shared.stopping:
            every = await self._load_cursors()
            mine = next((cursor for cursor in every if cursor.lane == lane), None)
            if mine is None:
                await self._end_without(lane)
                return
            floors = tuple(cursor for cursor in every if cursor.is_floor(lane.lanes))
            feed = LiveFeed(self.shared.policy.selection, lane, floors)
            track = TrackLoop(self.shared, mine, feed)
            track.poked = self._pokes > heeded
            await self._run_track(track)
            heeded = self._pokes
            self._leave(track.cursor)

    async def _end_without(self, lane: Lane) -> None:
        """End, since an operator has forgotten the destination; nothing else may drop a cursor."""
        if await self.shared.read(lambda db: destinations.find(db, self.name)) is not None:
            raise StoreError(
                f"{self.name} has lost its cursor of lane {lane.lane} of {lane.lanes}",
                hint="The next start gives it one that begins where all is known to be settled.",
            )
        self.shared.forgotten()

    async def _run_track(self, track: TrackLoop) -> bool:
        """Run one track to its end; True when it is through."""
        self._tracks.add(track)
        try:
            through = await track.run()
        finally:
            self._tracks.discard(track)
        if not through and not self.shared.stopping:
            _log.info("drain.cursor_changed", destination=self.name, cursor=track.cursor.id)
        return through

    def _leave(self, cursor: Cursor) -> None:
        """End what is told of a track, except at a stop: it goes on where it stands, later."""
        if not self.shared.stopping:
            self.shared.teller.leave(cursor.id)

    async def _drain_replays(self) -> None:
        """Work on one replay after the other, beside the live order."""
        self._replay = await self._running_replay()
        while not self.shared.stopping:
            replay = self._replay
            cursor = None if replay is None else await self._cursor_of(replay)
            if replay is None or cursor is None:
                await self.shared.wait(self._waker, TRACK_TICK_SECONDS)
                continue
            feed = ReplayFeed(self.shared.policy.selection, replay)
            again = replay.kind == "dead_letters"
            if await self._run_track(TrackLoop(self.shared, cursor, feed, bury_at_once=again)):
                await self._finish(replay, cursor)
            self._replay = await self._running_replay()
            if self._replay is None or self._replay.id != replay.id:
                self._leave(cursor)

    async def _finish(self, replay: Replay, cursor: Cursor) -> None:
        now = self.shared.clock.now()
        try:
            await self.shared.write(
                lambda db: replays.finish(db, replay, "done", now=now), tick=self._stay_alive
            )
        except WriteRefused as refusal:
            self.shared.teller.tell_refusal(cursor.id, str(refusal))
            await self.shared.wait(self._waker, REFUSED_RETRY_SECONDS)
            return
        self.shared.teller.tell_progress(cursor.id)
        _log.info("replay.done", destination=self.name, replay=replay.id)

    async def _running_replay(self) -> Replay | None:
        return await self.shared.read(lambda db: replays.running(db, self.name))

    async def _cursor_of(self, replay: Replay) -> Cursor | None:
        found = await self._load_cursors(replay.id)
        return found[0] if found else None

    async def _load_cursors(self, replay_id: int = 0) -> list[Cursor]:
        self._stay_alive(TRACK_ROUND_SECONDS)
        return await self.shared.read(lambda db: cursors.load(db, self.name, replay_id=replay_id))

    async def _drop_floors(self) -> None:
        """Forget the cursors of an earlier lane count once the present ones have passed them."""
        lanes = self.shared.policy.lanes
        while any(cursor.is_floor(lanes) for cursor in await self._load_cursors()):
            with suppress(WriteRefused):  # logged; floors that stay on cost some reading
                await self.shared.write(
                    lambda db: cursors.drop_passed_floors(db, self.name, lanes),
                    tick=self._stay_alive,
                )
            await self.shared.clock.sleep(FLOOR_CHECK_SECONDS)

    async def _tidy(self) -> None:
        """Let the destination rotate, and pack beside the sending, since that may take long."""
        failures = 0
        while True:
            try:
                if await self._rotate():
                    await self.shared.destination.tidy()
            except (StreamerError, OSError) as error:
                failures += 1
                if failures & (failures - 1) == 0:  # 1, 2, 4, 8 …: it may go on for days
                    reason = type(error).__name__
                    _log.warning("drain.tidy", destination=self.name, reason=reason)
            else:
                failures = 0
            await self.shared.clock.sleep(TIDY_SECONDS)

    async def _rotate(self) -> bool:
        """Close what is due by time while nothing is under way, and commit the mark of it.

        False when that could not be written: what is not committed must not be packed.
        """
        shared = self.shared
        if not shared.destination.exclusive or shared.blocked:
            return True

        def look(db: Connection) -> tuple[Known | None, dict[int, int]]:
            return destinations.find(db, self.name), cursors.generations(db, self.name)

        try:
            async with shared.turn():
                self._stay_alive_in_turn(self.shared.send_seconds_max)
                await shared.destination.rotate()
                known, generations = await shared.read(look)
                return known is not None and await self._save_mark(
                    known.mark, generations, tick=self._stay_alive_in_turn
                )
        finally:
            self._turn_until = float("inf")

    def _stay_alive_in_turn(self, seconds: float) -> None:
        """Answer for the tracks that wait for the turn."""
        self._turn_until = self.shared.clock.monotonic() + seconds

    def _stay_alive(self, seconds: float) -> None:
        """Tell the watchdog by when a track will be running, while there is none."""
        self._busy_until = self.shared.clock.monotonic() + seconds
