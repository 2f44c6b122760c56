"""The files of a file destination, and what may be done to them.

A directory belongs to one destination, which locks it. Events are appended to
one *segment* at a time; a segment is never written to again once a later one
exists. A `Place` says up to where the segments are good. The rules:

1. `append` returns only when the lines and the file's name are on the disk.
2. Between two places that were committed there is at most one `append`. So
   what lies beyond the committed place is the end of its segment, or else one
   further segment. `recover` cuts back or removes just that.
3. Whatever else is found (a segment shorter than recorded, more segments than
   one append can have left) was done by somebody else, or the recorded place
   is an old one. Nothing is touched then: writing goes on in a new segment
   after the highest, which may repeat lines but cannot lose any.

All of this blocks, and knows neither events nor the event loop.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from streamer.core.errors import ConfigurationError, StreamerError
from streamer.core.limits import FREE_BYTES_LOW
from streamer.destinations.base import Finding
from streamer.disk import make_directory

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_TIME_FORMAT = "%Y%m%dT%H%M%SZ"

PARTIAL = ".tmp"
"""Ends the name of a packed file that is not complete."""


class DirectoryInUse(StreamerError):
    """Another destination or process writes to the directory."""


class SegmentChanged(StreamerError):
    """Somebody else wrote to the segment, or took it away, while the service ran."""


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to where the segments are good: what is committed together with the cursor."""

    sequence: int
    """Of ``segment``; without one, the highest that had been used when writing began."""
    segment: str | None = None
    """The file's name; None as long as nothing has been written after ``sequence``."""
    length: int = 0
    """Bytes of the segment that are good."""

    @property
    def open_sequence(self) -> int:
        """Of the segment that will be written next; those below it are closed."""
        return self.sequence if self.segment is not None else self.sequence + 1

    def closed(self) -> Place:
        """Return the place at which the next event begins a segment."""
        return Place(self.sequence)


class Recovery(msgspec.Struct, frozen=True):
    """Where to go on, and what was found that should not be."""

    place: Place
    surprise: str = ""


class Segment(msgspec.Struct, frozen=True):
    """One of the destination's files."""

    sequence: int
    path: Path
    packed: bool


class SegmentDirectory:
    """One destination's directory of segments."""

    def __init__(self, path: Path, name: str) -> None:
        """Take a directory, which need not exist, and the name that the segments begin with."""
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"the destination's name {name!r} cannot begin a file name",
                hint="use letters, digits, full stops, hyphens and underscores, 64 at most",
            )
        self.path = path
        self._name = name
        self._pattern = re.compile(
            rf"{re.escape(name)}-(\d{{8,18}})-(\d{{8}}T\d{{6}}Z)\.ndjson(\.gz|\.zst)?(\.tmp)?",
            re.ASCII,
        )
        self._lock: int | None = None

    def recover(self, place: Place | None) -> Recovery:
        """Lock the directory and undo what lies beyond ``place``; None: nothing is known of it.

        Raises:
            OSError: the disk does not allow it; nothing was lost, call again.
            DirectoryInUse: somebody else writes to the directory.
        """
        self._take()
        self._drop_partial()
        segments = self._segments()
        highest = max((segment.sequence for segment in segments), default=0)
        if place is None:
            return Recovery(Place(highest))
        later = [segment for segment in segments if segment.sequence > place.sequence]
        surprise = self._surprise(place, later)
        if surprise:
            surprise = f"{self.path}: {surprise}; writing goes on in a new segment"
            return Recovery(Place(max(highest, place.sequence)), surprise)
        for segment in later:
            segment.path.unlink()
            self.sync()
        self._cut_back(place)
        return Recovery(place)

    def require(self, place: Place) -> None:
        """Make sure that the segment is as long as it was left.

        Raises:
            SegmentChanged: it is not; `recover` first.
        """
        if self._size(place) != place.length:
            raise SegmentChanged(f"{place.segment} is not as it was left")

    def begin(self, place: Place, now_ms: int) -> Place:
        """Make the segment after ``place``, empty, and name it after the time."""
        sequence = place.sequence + 1
        started = datetime.fromtimestamp(now_ms // 1000, UTC).strftime(_TIME_FORMAT)
        segment = f"{self._name}-{sequence:08d}-{started}.ndjson"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        os.close(os.open(self.path / segment, flags, 0o600))
        self.sync()
        return Place(sequence, segment, 0)

    def append(self, place: Place, lines: bytes) -> Place:
        """Write at the end of the segment of ``place`` and sync; return the place after it."""
        assert place.segment is not None
        file = os.open(self.path / place.segment, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            _write_all(file, lines, place.length)
            os.fdatasync(file)
        finally:
            os.close(file)
        return Place(place.sequence, place.segment, place.length + len(lines))

    def age_seconds(self, place: Place, now_ms: int) -> float:
        """Return how old the segment of ``place`` is, by the time in its name."""
        match = self._pattern.fullmatch(place.segment or "")
        if not match:
            return 0.0
        started = datetime.strptime(match[2], _TIME_FORMAT).replace(tzinfo=UTC)
        return now_ms / 1000 - started.timestamp()

    def unpacked(self, *, below: int) -> list[Segment]:
        """Return the segments with a sequence below this one that are not packed."""
        return [
            segment
            for segment in self._segments()
            if segment.sequence < below and not segment.packed
        ]

    def packed_halfway(self) -> list[tuple[Path, Path]]:
        """Return the segments that are there twice, each with its packed file."""
        segments = self._segments()
        paths = {segment.path for segment in segments}
        return [
            (original, segment.path)
            for segment in segments
            if segment.packed and (original := segment.path.with_suffix("")) in paths
        ]

    def sync(self) -> None:
        """Put the directory's entries on the disk."""
        assert self._lock is not None
        os.fsync(self._lock)

    def release(self) -> None:
        """Let somebody else write to the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self) -> None:
        """Make the directory if need be and lock it, anew in case it was exchanged for another."""
        self.release()
        make_directory(self.path)
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(directory)
            raise DirectoryInUse(
                f"another destination writes to {self.path}",
                hint="give every destination a directory of its own",
            ) from None
        except OSError:
            os.close(directory)
            raise
        self._lock = directory

    def _drop_partial(self) -> None:
        """Remove what a crash left of packing; the segment itself is still there."""
        for path in self.path.iterdir():
            match = self._pattern.fullmatch(path.name)
            if match and match[4]:
                path.unlink()

    def _segments(self) -> list[Segment]:
        """Return all segments, packed or not, in order; other files are none of our business."""
        found = []
        for path in self.path.iterdir():
            match = self._pattern.fullmatch(path.name)
            if match and not match[4]:
                found.append(Segment(int(match[1]), path, packed=bool(match[3])))
        return sorted(found, key=lambda segment: (segment.sequence, segment.path.name))

    def _surprise(self, place: Place, later: list[Segment]) -> str:
        """Say what is there that one append after ``place`` cannot have left; nothing: empty."""
        size = self._size(place)
        if size is None:
            return f"{place.segment} is gone"
        if size < place.length:
            return f"{place.segment} has {size} bytes, {place.length} were committed"
        uncommitted = [(segment.sequence, segment.packed) for segment in later]
        one_append = uncommitted == [(place.sequence + 1, False)] and size == place.length
        if not uncommitted or one_append:
            return ""
        return f"there are segments after {place.segment or place.sequence} that nobody committed"

    def _cut_back(self, place: Place) -> None:
        if place.segment is None or self._size(place) == place.length:
            return
        file = os.open(self.path / place.segment, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            os.ftruncate(file, place.length)
            os.fsync(file)
        finally:
            os.close(file)

    def _size(self, place: Place) -> int | None:
        """Return the segment's bytes, none for no segment yet, None when it is missing."""
        if place.segment is None:
            return 0
        try:
            return (self.path / place.segment).stat().st_size
        except FileNotFoundError:
            return None


def probe_directory(path: Path) -> list[Finding]:
    """Test the directory, or the nearest one above it that exists, and leave nothing behind."""
    existing = next(above for above in (path, *path.parents) if _is_there(above))
    try:
        # A file without a name: nobody ever sees it.
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        hint = f"let the service's user write to {existing}, or choose another directory"
        return [Finding(False, "the directory is writable", f"{existing}: {error.strerror}", hint)]
    detail = str(path) if existing == path else f"{path} will be made in {existing}"
    return [Finding(True, "the directory is writable", detail), _room(existing)]


def _is_there(path: Path) -> bool:
    """Tell whether this user can see it; what lies in a closed directory is as good as missing."""
    try:
        return path.exists()
    except PermissionError:
        return False


def _room(path: Path) -> Finding:
    free_bytes = shutil.disk_usage(path).free
    return Finding(
        free_bytes >= FREE_BYTES_LOW,
        "there is room on the disk",
        f"{free_bytes / 2**30:.1f} GiB free",
        hint="" if free_bytes >= FREE_BYTES_LOW else "move closed segments away, or add room",
    )


def _write_all(file: int, data: bytes, start: int) -> None:
    """Write at ``start``; on a disk that is filling up the system takes less than it was given."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, start)
        view = view[written:]
        start += written
