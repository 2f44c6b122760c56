"""The files of a file destination, and what may be done to them.

A directory belongs to one destination, which claims and locks it. Events are
appended to one *segment* at a time; a segment is never written to again once a
later one exists. A `Place` says in which directory, and up to where in it, the
segments are good. The rules:

1. `append` returns only when the lines and the file's name are on the disk.
2. Between two places that were committed there is at most one `append`. So
   what lies beyond the committed place is the end of its segment, or else one
   further segment. `recover` cuts back or removes just that, and only where
   the claim shows that this is the directory of the place: in any other, the
   same names may stand for what somebody else delivered.
3. Whatever else is found (a segment shorter than recorded, more segments than
   one append can have left) was done by somebody else, or the recorded place
   is an old one. Nothing is touched then: writing goes on in a new segment
   after the highest, which may repeat lines but cannot lose any.
4. Another directory than the place's, because the setting was changed, is
   nothing odd: writing begins there, after what it holds.

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
from streamer.destinations.claim import read_claim, stake_claim
from streamer.destinations.disk_errors import explain
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
    directory: str = ""
    """The directory's path when it was opened, links resolved; empty in marks of old versions."""
    claim: str = ""
    """What the directory was claimed with; empty in marks of old versions."""

    @property
    def open_sequence(self) -> int:
        """Of the segment that will be written next; those below it are closed."""
        return self.sequence if self.segment is not None else self.sequence + 1

    def closed(self) -> Place:
        """Return the place at which the next event begins a segment."""
        return self.at(self.sequence)

    def at(self, sequence: int, segment: str | None = None, length: int = 0) -> Place:
        """Return a place in the same directory."""
        return Place(sequence, segment, length, self.directory, self.claim)


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
                hint="Use letters, digits, full stops, hyphens and underscores, 64 at most.",
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
        path = str(self.path.resolve())
        segments = self._segments()
        highest = max((segment.sequence for segment in segments), default=0)
        if place is None:
            return Recovery(self._claimed(Place(highest), path))
        known = bool(place.claim) and place.claim == read_claim(self.path, self._name)
        begun_anew = Place(max(highest, place.sequence))
        if not known and place.directory not in {"", path}:
            return Recovery(self._claimed(begun_anew, path))
        later = [segment for segment in segments if segment.sequence > place.sequence]
        if surprise := self._surprise(place, later, known=known):
            surprise = f"{self.path}: {surprise}; writing goes on in a new segment"
            return Recovery(self._claimed(begun_anew, path), surprise)
        if not known:
            return Recovery(self._claimed(place, path))
        for segment in later:
            segment.path.unlink()
            self.sync()
        self._cut_back(place)
        return Recovery(msgspec.structs.replace(place, directory=path))

    def require(self, place: Place) -> None:
        """Make sure that directory and segment are those that were left.

        Raises:
            SegmentChanged: they are not; `recover` first.
        """
        if not self._is_locked():
            raise SegmentChanged(f"{self.path} is not the directory that was opened")
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
        return place.at(sequence, segment)

    def append(self, place: Place, lines: bytes) -> Place:
        """Write at the end of the segment of ``place`` and sync; return the place after it."""
        assert place.segment is not None
        file = os.open(self.path / place.segment, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            _write_all(file, lines, place.length)
            os.fdatasync(file)
        finally:
            os.close(file)
        return place.at(place.sequence, place.segment, place.length + len(lines))

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

    def packed_halfway(self, *, below: int) -> list[tuple[Path, Path]]:
        """Return the segments below this one that are there twice, each with its packed file."""
        segments = self._segments()
        paths = {segment.path for segment in segments}
        return [
            (original, segment.path)
            for segment in segments
            if segment.sequence < below
            and segment.packed
            and (original := segment.path.with_suffix("")) in paths
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
                hint="Give every destination a directory of its own.",
            ) from None
        except OSError:
            os.close(directory)
            raise
        self._lock = directory

    def _is_locked(self) -> bool:
        """Tell whether the path still leads to the directory that we hold the lock of."""
        try:
            return self._lock is not None and os.path.samestat(
                os.fstat(self._lock), self.path.stat()
            )
        except FileNotFoundError:
            return False

    def _claimed(self, place: Place, path: str) -> Place:
        """Claim the directory, so that what is written after ``place`` is known for ours."""
        claim = stake_claim(self.path, self._name)
        return msgspec.structs.replace(place, directory=path, claim=claim)

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

    def _surprise(self, place: Place, later: list[Segment], *, known: bool) -> str:
        """Say what is there that one append after ``place`` cannot have left; nothing: empty.

        ``known``: this is the directory of the place, so that what one append left is no surprise.
        """
        size = self._size(place)
        if size is None:
            return f"{place.segment} is gone"
        if size < place.length:
            return f"{place.segment} has {size} bytes, {place.length} were committed"
        if not later and (known or size == place.length):
            return ""
        uncommitted = [(segment.sequence, segment.packed) for segment in later]
        one_append = uncommitted == [(place.sequence + 1, False)] and size == place.length
        if known and one_append:
            return ""
        if later:
            return f"nobody committed the segments after {place.segment or place.sequence}"
        return f"{place.segment} is longer than was committed, and maybe not by us"

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
        error.filename = None  # a name that was made up for the test
        trouble = explain(error, existing)
        return [Finding(False, "the directory cannot be written", trouble.what, trouble.hint)]
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
    free = f"{free_bytes / 2**30:.1f} GiB free"
    if free_bytes >= FREE_BYTES_LOW:
        return Finding(True, "there is room on the disk", free)
    return Finding(
        False, "the disk is nearly full", free, "Move closed segments away, or add room."
    )


def _write_all(file: int, data: bytes, start: int) -> None:
    """Write at ``start``; on a disk that is filling up the system takes less than it was given."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, start)
        view = view[written:]
        start += written
