"""The destination of kind ``file``: one CloudEvent per line, in segments.

The lines of a batch are on the disk before the batch is accepted, and the
`Place` behind them is the mark that is committed with the cursor. Whatever
went wrong (a full disk, a cancelled send, a crash, a settlement refused) is
made good in one way: `SegmentDirectory.recover` from the last place that is
known to be good, before anything else is written.

Files are only touched in worker threads. While one works on the segments no
second one does, which is why `exclusive` is set; packing runs beside it, and
only on segments that lie before the committed one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from streamer.clock import Clock
from streamer.core.alarms import SEGMENT_SHORT, Alarm
from streamer.core.cloudevents import CloudEvent, encode_lines, envelope_each
from streamer.core.errors import StreamerError
from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, Outcome, deferred
from streamer.core.privacy import Redactor
from streamer.destinations import compression
from streamer.destinations.base import Destination, Finding
from streamer.destinations.common_options import Secret
from streamer.destinations.disk_errors import explain
from streamer.destinations.options import FileOptions
from streamer.destinations.segments import (
    DirectoryInUse,
    Place,
    Recovery,
    SegmentChanged,
    SegmentDirectory,
    probe_directory,
)

# What `next` returns behind the last step of packing.
_PACKED: object = object()


class _Unrecorded(Exception):
    """Nothing may be written before the place that was found is committed."""


class FileDestination(Destination):
    """NDJSON segments in a directory of their own.

    What the disk holds beyond `_place` is cut back before anything is written, unless `_trusted`
    says that there is nothing.
    """

    kind = "file"
    exclusive = True
    send_seconds_max = 300.0
    """A disk that has not synced a batch by then hangs."""

    def __init__(
        self,
        name: str,
        options: FileOptions,
        *,
        clock: Clock,
        raise_alarm: Callable[[Alarm, str], None],
    ) -> None:
        """Check what can be checked without touching the disk.

        Raises:
            ConfigurationError: the name cannot begin a file name, or zstandard is not installed.
        """
        if options.compress != "none":
            compression.require(options.compress)
        self.name = name
        self._options = options
        self._clock = clock
        self._raise_alarm = raise_alarm
        self._redactor = Redactor(drop=options.privacy.drop, hash=options.privacy.hash)
        self._directory = SegmentDirectory(Path(options.directory), name)
        self._writing = anyio.CapacityLimiter(1)
        self._packing = anyio.CapacityLimiter(1)
        # asyncio's own way of cancelling leaves the thread behind at work, and its limiter free.
        self._one_thread = threading.Lock()
        self._place: Place | None = None
        self._trusted = False
        """False while the disk may hold more than `_place` says."""
        self._committed_sequence = 0
        """Segments below this one are never written or cut back again, once the mark is committed;
        `tidy` is not called before."""
        self._packed_below = 0

    async def open(self, mark: str | None) -> None:
        """Cut the segments back to ``mark``; a disk that is not ready makes `send` defer."""
        self._trusted = False
        self._place = self._decode(mark)
        # What the disk refuses now, `send` asks for again, and it has outcomes to say so with.
        with contextlib.suppress(OSError, DirectoryInUse):
            await self._recover()

    async def send(self, events: Sequence[StoredEvent]) -> list[Outcome]:
        """Append the events' lines and sync them: all that can be written are, or none is."""
        made, lines = await anyio.to_thread.run_sync(self._encode, events, limiter=self._writing)
        outcome = await self._append(lines) if lines else ACCEPTED
        return [outcome if isinstance(each, CloudEvent) else each for each in made]

    def mark(self) -> str | None:
        """Return the place behind the last accepted batch, or where writing will begin."""
        return None if self._place is None else msgspec.json.encode(self._place).decode()

    async def rotate(self) -> None:
        """Close the segment if it is due, although no event comes that would begin the next.

        Nothing on the disk changes: the mark just says that the next event begins a segment. So a
        crash before it is committed leaves the segment open, and one after it leaves it closed.
        """
        if not self._trusted or self._place is None:
            return
        with contextlib.suppress(OSError):
            self._place = await anyio.to_thread.run_sync(
                self._rotate_in_thread, self._place, limiter=self._writing
            )
            self._committed_sequence = self._place.open_sequence

    async def tidy(self) -> None:
        """Pack the segments that are closed; may be cancelled, and may run beside `send`.

        A segment that the disk does not let be packed holds up no other. It is tried again at the
        next call.

        Raises:
            OSError: the first of what the disk did not allow.
        """
        below = self._committed_sequence
        if self._packed_below == below:
            return
        failures: list[OSError] = []
        for steps in await anyio.to_thread.run_sync(self._packings, below, limiter=self._packing):
            try:
                await self._take(steps)
            except OSError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        self._packed_below = below

    async def probe(self) -> list[Finding]:
        """Look whether the directory can be written, and how much room there is."""
        return await anyio.to_thread.run_sync(probe_directory, self._directory.path)

    async def aclose(self) -> None:
        """Let go of the directory."""
        self._trusted = False
        self._directory.release()

    def _encode(self, events: Sequence[StoredEvent]) -> tuple[list[CloudEvent | Outcome], bytes]:
        made = envelope_each(events, self._redactor)
        return made, encode_lines([each for each in made if isinstance(each, CloudEvent)])

    def _decode(self, mark: str | None) -> Place | None:
        if mark is None:
            return None
        try:
            return msgspec.json.decode(mark, type=Place)
        except msgspec.DecodeError:
            self._alarm("the recorded place cannot be read; writing goes on in a new segment")
            return None

    async def _recover(self) -> None:
        """Bring the directory back to `_place`, which moves on to a new segment if it must."""
        recovery = await anyio.to_thread.run_sync(
            self._recover_in_thread, self._place, limiter=self._writing
        )
        self._place, self._trusted = recovery.place, True
        self._committed_sequence = recovery.place.sequence
        if recovery.surprise:
            self._alarm(recovery.surprise)

    def _recover_in_thread(self, place: Place | None) -> Recovery:
        with self._one_thread:
            return self._directory.recover(place)

    async def _append(self, lines: bytes) -> Outcome:
        try:
            place = await self._append_where_trusted(lines)
        except _Unrecorded:
            return deferred("begun_anew", "writing begins at another place, recorded first")
        except DirectoryInUse as error:
            return deferred("directory_in_use", f"{error}. {error.hint}")
        except OSError as error:
            trouble = explain(error, self._directory.path)
            return deferred(trouble.reason, f"{trouble.what}. {trouble.hint}")
        self._place, self._trusted = place, True
        return ACCEPTED

    async def _append_where_trusted(self, lines: bytes) -> Place:
        if self._trusted and self._place is not None:
            # Being asked for more means that what was sent before is settled.
            self._committed_sequence = self._place.open_sequence
        else:
            await self._go_on()
        try:
            return await self._write(lines)
        except SegmentChanged:
            await self._go_on()
            return await self._write(lines)

    async def _go_on(self) -> None:
        """Recover to where the last batch ended.

        Raises:
            _Unrecorded: writing has to begin elsewhere. That is committed with the deferral first:
                after a crash, lines behind a place that nobody recorded could not be taken back.
        """
        known = self._place
        await self._recover()
        if self._place != known:
            raise _Unrecorded

    async def _write(self, lines: bytes) -> Place:
        place = self._place
        assert place is not None
        # And so it stays unless the outcome is learnt: after a write that failed or was cancelled,
        # the next send takes the lines back first.
        self._trusted = False
        return await anyio.to_thread.run_sync(
            self._write_in_thread, place, lines, limiter=self._writing
        )

    def _write_in_thread(self, place: Place, lines: bytes) -> Place:
        with self._one_thread:
            self._directory.require(place)
            now = self._clock.now()
            if place.segment is None or self._is_due(place, now):
                place = self._directory.begin(place, now)
            return self._directory.append(place, lines)

    def _is_due(self, place: Place, now_ms: int) -> bool:
        """Say whether the segment is large or old enough to be closed."""
        age_seconds = self._directory.age_seconds(place, now_ms)
        return (
            place.length >= self._options.segment_bytes_max
            or age_seconds >= self._options.segment_seconds_max
        )

    def _rotate_in_thread(self, place: Place) -> Place:
        with self._one_thread:
            if place.segment is None or not self._is_due(place, self._clock.now()):
                return place
            with contextlib.suppress(SegmentChanged):
                self._directory.require(place)
                return place.closed()
            return place  # the next batch finds out, and tells

    def _packings(self, below: int) -> list[Generator[None]]:
        """Return what is to be packed, each in its steps; first what a crash left half done."""
        halfway = self._directory.packed_halfway(below=below)
        steps = [compression.finish(segment, packed) for segment, packed in halfway]
        method = self._options.compress
        if method == "none":
            return steps
        done = {segment for segment, _ in halfway}
        return steps + [
            compression.pack(segment.path, method)
            for segment in self._directory.unpacked(below=below)
            if segment.path not in done
        ]

    async def _take(self, steps: Generator[None]) -> None:
        """Take the steps of one packing, each in a thread."""
        step: object = None
        try:
            while step is not _PACKED:
                step = await anyio.to_thread.run_sync(next, steps, _PACKED, limiter=self._packing)
        except StreamerError as error:
            self._alarm(f"{error}. {error.hint}")
        finally:
            steps.close()

    def _alarm(self, text: str) -> None:
        self._raise_alarm(SEGMENT_SHORT, f"{self.name}: {text}")


def build(
    name: str,
    options: FileOptions,
    *,
    clock: Clock,
    secret: Callable[[Secret], str],
    raise_alarm: Callable[[Alarm, str], None],
) -> FileDestination:
    """Make one from its settings; see `streamer.destinations.registry`."""
    return FileDestination(name, options, clock=clock, raise_alarm=raise_alarm)
