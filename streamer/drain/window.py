"""Reading ahead: what a track has read behind its cursor and not settled yet.

The window grows by whole pieces of the outbox, only when it is asked to, and
shrinks as events are settled. The next piece is fetched while a batch is under
way, beside the waiting for the destination and for the disk: that only adds to
the window's end, and only once the track asks for it.

It must not know what becomes of a batch; it is told what was settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from streamer.core import drain
from streamer.core.drain import Track
from streamer.core.event import StoredEvent
from streamer.core.limits import TRIED_EVENTS_MAX, WINDOW_BATCHES, WINDOW_BYTES_MAX
from streamer.core.settlement import Progress, Window, settle
from streamer.drain.feed import Feed
from streamer.drain.shared import Shared
from streamer.store.outbox import Scan


class Reading:
    """One track's window on its feed, and how far everything before it is settled."""

    def __init__(self, shared: Shared, feed: Feed, progress: Progress) -> None:
        self.window = Window((), progress.position)
        self.progress = progress
        self._shared = shared
        self._feed = feed
        self._caught_up = False
        self._coming: asyncio.Future[Scan] | None = None

    @property
    def is_through(self) -> bool:
        """Nothing is left, and nothing will come: a replay has been sent."""
        return self._feed.ends and self._caught_up and not self.window.events

    def concerns(self, lane_keys: Collection[int]) -> bool:
        """Tell whether any of these new events' lane keys may be one of its own."""
        return self._feed.concerns(lane_keys)

    def choose(self, track: Track) -> tuple[StoredEvent, ...]:
        """Choose the next batch from what was read; empty when there is none."""
        policy = self._shared.policy
        return drain.choose(
            track,
            self.window,
            events_max=policy.batch_events_max,
            bytes_max=policy.batch_bytes_max,
        )

    async def fill(self, track: Track) -> bool:
        """Read on when there is nothing to send; False when nothing was found yet, but may be.

        A filter that lets little through must not keep the track from looking up in between.
        """
        if drain.has_candidates(track, self.window):
            return True
        return await self.read_on() or self._caught_up

    async def read_on(self) -> bool:
        """Read a piece of the feed; True when there was something for this track in it."""
        coming, self._coming = self._coming, None
        scan = None if coming is None else await coming
        if scan is None or scan.caught_up:  # more may have come since that was read
            scan = await self._scan()
        ahead = self.progress.ahead
        fresh = (
            tuple(at for at in scan.events if at.position not in ahead) if ahead else scan.events
        )
        self.window = Window(self.window.events + fresh, scan.through)
        self._caught_up = scan.caught_up
        return bool(fresh)

    def look_ahead(self, batch: Sequence[StoredEvent]) -> None:
        """Begin to read on while a batch is under way, when no more than another is left.

        What was read is looked at by `read_on` alone: nothing is sent any earlier for it.
        """
        few = len(self.window.events) <= 2 * len(batch)
        if few and not self._caught_up and self._coming is None:
            self._coming = asyncio.ensure_future(self._scan())

    def close(self) -> None:
        """Give up what is being read."""
        coming = self._coming
        if coming is None or coming.cancel() or coming.cancelled():
            return
        coming.exception()  # or the loop tells of one that nobody has asked for

    async def _scan(self) -> Scan:
        policy, through = self._shared.policy, self.window.through
        events_max = max(policy.batch_events_max * WINDOW_BATCHES, TRIED_EVENTS_MAX)
        bytes_max = min(WINDOW_BYTES_MAX, policy.batch_bytes_max * WINDOW_BATCHES)
        return await self._shared.read(
            lambda db: self._feed.read(db, through, events_max, bytes_max)
        )

    async def read_beyond(
        self, track: Track, batch: Sequence[StoredEvent], tick: Callable[[], None]
    ) -> None:
        """Find an event behind a batch that met trouble: it may tell whose fault that is.

        ``tick`` is called before each further piece.
        """
        if len(drain.candidates(track, self.window)) > len(batch):
            return
        while not await self.read_on() and not self._caught_up:
            tick()

    def after(self, settled: frozenset[int]) -> tuple[Window, Progress]:
        """Return what it will be when these positions are settled; `move` to it once they are."""
        return settle(self.window, self.progress, settled)

    def move(self, window: Window, progress: Progress) -> None:
        """Take over what `after` returned."""
        self.window, self.progress = window, progress

    def pass_filtered(self) -> Progress:
        """Move behind what the filter kept back, when nothing else is in the window."""
        self.move(*self.after(frozenset()))
        return self.progress
