"""Packing never removes a segment that cannot be read back."""

from __future__ import annotations

import gzip
import importlib
import os
import stat
from pathlib import Path

import pytest
import zstandard

from streamer.core.errors import ConfigurationError
from streamer.destinations.compression import SUFFIXES, Method, PackedDiffers, finish, pack, require

METHODS: list[Method] = ["gzip", "zstd"]
CONTENT = b'{"id":"01E000"}\n' * (3 * 2**18)
"""Just three steps long, so that a byte more is not seen by reading those."""


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    path = tmp_path / "archive-00000001-20261123T120000Z.ndjson"
    path.write_bytes(CONTENT)
    return path


def packed_by(method: Method, segment: Path) -> Path:
    return segment.with_name(segment.name + SUFFIXES[method])


def unpacked(path: Path) -> bytes:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    with zstandard.open(path, "rb") as file:
        content = file.read()
        assert isinstance(content, bytes)
        return content


def compressed(method: Method, content: bytes) -> bytes:
    if method == "gzip":
        return gzip.compress(content)
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


@pytest.mark.parametrize("method", METHODS)
def test_the_packed_file_takes_the_segments_place(segment: Path, method: Method) -> None:
    steps = sum(1 for _ in pack(segment, method))
    packed = packed_by(method, segment)
    assert steps > 3
    assert list(segment.parent.iterdir()) == [packed]
    assert unpacked(packed) == CONTENT
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600
    assert packed.stat().st_size < len(CONTENT) / 10


@pytest.mark.parametrize("method", METHODS)
def test_stopped_after_any_step_packing_is_made_good_by_packing_again(
    segment: Path, method: Method
) -> None:
    packed = packed_by(method, segment)
    for stop in range(100):
        segment.write_bytes(CONTENT)
        packed.unlink(missing_ok=True)
        steps = pack(segment, method)
        finished = [next(steps, "done") for _ in range(stop)][-1:] == ["done"]
        steps.close()
        assert finished or segment.read_bytes() == CONTENT
        if finished:
            break
        list(pack(segment, method))
        assert not segment.exists()
        assert unpacked(packed) == CONTENT
    else:
        pytest.fail("packing never came to an end")


@pytest.mark.parametrize("method", METHODS)
def test_the_segment_goes_only_when_all_that_takes_its_place_is_on_the_disk(
    segment: Path, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def noted(name: str) -> None:
        original = getattr(os, name)

        def call(target: int | Path, *args: object, **kwargs: object) -> object:
            path = Path(f"/proc/self/fd/{target}").readlink() if isinstance(target, int) else target
            done.append(f"{name} {path.name}")
            return original(target, *args, **kwargs)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "rename", "unlink"):
        noted(name)
    list(pack(segment, method))
    partial = f"{packed_by(method, segment).name}.tmp"
    assert done == [
        f"fsync {partial}",
        f"rename {partial}",
        f"fsync {segment.parent.name}",
        f"unlink {segment.name}",
        f"fsync {segment.parent.name}",
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_complete_packed_file_beside_its_segment_is_taken(segment: Path, method: Method) -> None:
    packed = packed_by(method, segment)
    packed.write_bytes(compressed(method, CONTENT))
    list(finish(segment, packed))
    assert list(segment.parent.iterdir()) == [packed]


def damaged(method: Method) -> dict[str, bytes]:
    whole = compressed(method, CONTENT)
    return {
        "cut off": whole[:-40],
        "empty": b"",
        "of a shorter segment": compressed(method, CONTENT[:-1]),
        "of a longer segment": compressed(method, CONTENT + b"\n"),
        "of another segment": compressed(method, CONTENT[::-1]),
        "flipped": whole[:500] + bytes([whole[500] ^ 1]) + whole[501:],
        "not packed": CONTENT,
    }


@pytest.mark.parametrize("damage", damaged("gzip"))
@pytest.mark.parametrize("method", METHODS)
def test_a_packed_file_that_does_not_hold_the_segment_costs_neither(
    segment: Path, method: Method, damage: str
) -> None:
    packed = packed_by(method, segment)
    content = damaged(method)[damage]
    packed.write_bytes(content)
    with pytest.raises(PackedDiffers):
        list(pack(segment, method))
    assert segment.read_bytes() == CONTENT
    assert packed.read_bytes() == content


def test_an_empty_segment_is_packed_too(segment: Path) -> None:
    segment.write_bytes(b"")
    for method in METHODS:
        list(pack(segment, method))
        assert unpacked(packed_by(method, segment)) == b""
        segment.write_bytes(b"")


def test_a_missing_library_is_said_when_the_configuration_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    require("gzip")
    with pytest.raises(ConfigurationError, match="zstandard") as refusal:
        require("zstd")
    assert "zstd" in refusal.value.hint
