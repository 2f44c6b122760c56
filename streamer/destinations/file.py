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
import errno
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from streamer.clock import Clock
from streamer.core.alarms import SEGMENT_SHORT, Alarm
from streamer.core.cloudevents import encode_each
from streamer.core.errors import StreamerError
from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, Outcome, deferred
from streamer.core.privacy import Redactor
from streamer.destinations import compression
from streamer.destinations.base import Destination, Finding
from streamer.destinations.options import FileOptions, Secret
from streamer.destinations.segments import (
    DirectoryInUse,
    Place,
    SegmentChanged,
    SegmentDirectory,
    probe_directory,
)

_REASONS = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EROFS: "read_only",
    errno.EACCES: "permission_denied",
    errno.EPERM: "permission_denied",
}

# What `next` returns behind the last step of packing.
_PACKED: object = object()


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
        encoded = await anyio.to_thread.run_sync(
            encode_each, events, self._redactor, limiter=self._writing
        )
        lines = b"".join(line + b"\n" for line in encoded if isinstance(line, bytes))
        outcome = await self._append(lines) if lines else ACCEPTED
        return [outcome if isinstance(line, bytes) else line for line in encoded]

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

        What the disk does not allow now is tried again at the next call.
        """
        method, below = self._options.compress, self._committed_sequence
        if method == "none" or self._packed_below == below:
            return
        with contextlib.suppress(OSError):
            closed = await anyio.to_thread.run_sync(
                lambda: self._directory.unpacked(below=below), limiter=self._packing
            )
            for segment in closed:
                await self._pack(segment.path, method)
            self._packed_below = below

    async def probe(self) -> list[Finding]:
        """Look whether the directory can be written, and how much room there is."""
        return await anyio.to_thread.run_sync(probe_directory, self._directory.path)

    async def aclose(self) -> None:
        """Let go of the directory."""
        self._trusted = False
        self._directory.release()

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
        place, surprises = await anyio.to_thread.run_sync(
            self._recover_in_thread, self._place, limiter=self._writing
        )
        self._place, self._trusted = place, True
        self._committed_sequence = place.sequence
        for surprise in surprises:
            self._alarm(surprise)

    def _recover_in_thread(self, place: Place | None) -> tuple[Place, list[str]]:
        with self._one_thread:
            recovery = self._directory.recover(place)
            surprises = [recovery.surprise] if recovery.surprise else []
            for segment, packed in self._directory.packed_halfway():
                try:
                    for _ in compression.finish(segment, packed):
                        pass
                except StreamerError as error:
                    surprises.append(f"{error}: {error.hint}")
            return recovery.place, surprises

    async def _append(self, lines: bytes) -> Outcome:
        try:
            place = await self._append_where_trusted(lines)
        except DirectoryInUse as error:
            return deferred("directory_in_use", f"{error}: {error.hint}")
        except OSError as error:
            reason = _REASONS.get(error.errno or 0, "disk_error")
            return deferred(reason, f"{self._directory.path}: {error.strerror}")
        self._place, self._trusted = place, True
        return ACCEPTED

    async def _append_where_trusted(self, lines: bytes) -> Place:
        if self._trusted and self._place is not None:
            # Being asked for more means that what was sent before is settled.
            self._committed_sequence = self._place.open_sequence
        else:
            await self._recover()
        try:
            return await self._write(lines)
        except SegmentChanged:
            await self._recover()
            return await self._write(lines)

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

    async def _pack(self, segment: Path, method: compression.Method) -> None:
        steps = compression.pack(segment, method)
        step: object = None
        try:
            while step is not _PACKED:
                step = await anyio.to_thread.run_sync(next, steps, _PACKED, limiter=self._packing)
        except compression.PackedDiffers as error:
            self._alarm(f"{error}: {error.hint}")

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
