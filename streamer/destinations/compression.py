"""Packing a segment that is closed, without ever being a crash away from losing it.

The packed file is written under a name that nobody reads, synced, renamed, and
read back; only when it gives the segment's every byte is the segment removed.
After a crash in between both are there, and `finish` takes it from the reading
back. A packed file that differs was made by somebody else or by a failing
disk: then both stay.

Packing takes seconds, so it is a generator of short steps: whoever runs it may
stop between any two. It blocks, and knows nothing of events or cursors.
"""

from __future__ import annotations

import gzip
import importlib
import os
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any, Literal, Protocol, cast

from streamer.core.errors import ConfigurationError, StreamerError
from streamer.destinations.segments import PARTIAL
from streamer.disk import sync_directory

Method = Literal["gzip", "zstd"]
SUFFIXES: dict[Method, str] = {"gzip": ".gz", "zstd": ".zst"}

# Some 50 ms of work: the longest that stopping the service has to wait for.
_STEP_BYTES = 4 * 2**20

# The value of `wbits` that makes zlib write gzip's header and checksum.
_GZIP_FORMAT = 31


class PackedDiffers(StreamerError):
    """The packed file does not hold what the segment beside it holds."""


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def require(method: Method) -> None:
    """Make sure that the library for a method is there.

    Raises:
        ConfigurationError: it is not installed.
    """
    if method == "zstd":
        _zstandard()


def pack(segment: Path, method: Method) -> Generator[None]:
    """Put ``segment.gz`` or ``segment.zst`` in the place of the segment, in steps.

    Raises:
        OSError: the disk does not allow it; the segment is untouched.
        PackedDiffers: what was written does not read back; the segment is untouched.
    """
    packed = segment.with_name(segment.name + SUFFIXES[method])
    partial = packed.with_name(packed.name + PARTIAL)
    if not packed.exists():
        yield from _write_packed(segment, partial, _compressor(method))
        partial.rename(packed)
        sync_directory(packed.parent)
    yield from finish(segment, packed)


def finish(segment: Path, packed: Path) -> Generator[None]:
    """Remove the segment if the packed file beside it is complete, in steps.

    Raises:
        OSError: the disk does not allow it; call again.
        PackedDiffers: it is not; both files are left alone.
    """
    if not (yield from _reads_back(segment, packed)):
        raise PackedDiffers(
            f"{packed.name} does not hold what {segment.name} holds",
            hint="Keep the one that is whole and move the other away.",
        )
    segment.unlink()
    sync_directory(segment.parent)


def _write_packed(segment: Path, partial: Path, compressor: _Compressor) -> Iterator[None]:
    file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "wb") as target, segment.open("rb") as source:
        while chunk := source.read(_STEP_BYTES):
            target.write(compressor.compress(chunk))
            yield
        target.write(compressor.flush())
        target.flush()
        os.fsync(target.fileno())


def _reads_back(segment: Path, packed: Path) -> Generator[None, None, bool]:
    opener, damage = _reader(packed)
    try:
        with segment.open("rb") as source, opener(packed, "rb") as unpacked:
            while chunk := source.read(_STEP_BYTES):
                if unpacked.read(_STEP_BYTES) != chunk:
                    return False
                yield
            return not unpacked.read(1)
    except damage:
        return False


def _compressor(method: Method) -> _Compressor:
    if method == "gzip":
        return zlib.compressobj(wbits=_GZIP_FORMAT)
    compressor = _zstandard().ZstdCompressor(write_checksum=True).compressobj()
    return cast(_Compressor, compressor)


def _reader(packed: Path) -> tuple[Callable[..., IO[bytes]], tuple[type[Exception], ...]]:
    """Return what opens a packed file, and the errors by which damage shows itself."""
    if packed.suffix == SUFFIXES["gzip"]:
        return cast(Callable[..., IO[bytes]], gzip.open), (EOFError, zlib.error, gzip.BadGzipFile)
    zstandard = _zstandard()
    return zstandard.open, (zstandard.ZstdError,)


def _zstandard() -> Any:  # noqa: ANN401 - an optional library is a module that the type checker may not see
    try:
        return importlib.import_module("zstandard")
    except ModuleNotFoundError:
        raise ConfigurationError(
            'compress = "zstd" needs the Python package zstandard, which is not installed',
            hint='Install streamer with its extra `zstd`, or use compress = "gzip".',
        ) from None
