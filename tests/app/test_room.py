"""Two floors of free space, and what each of them stops."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.app.room import RoomWatch


def _disk(monkeypatch: pytest.MonkeyPatch, *, free_blocks: int) -> None:
    """Pretend a disk of 1,000 blocks of 4 KiB, 50 of them set aside for root."""
    figures = os.statvfs_result((4096, 4096, 1000, free_blocks + 50, free_blocks, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: figures)


@pytest.mark.parametrize(
    ("free_blocks", "ingest_stops", "drain_stops"),
    [
        (500, False, False),
        (100, False, False),
        (99, True, False),
        (20, True, False),
        (19, True, True),
    ],
)
def test_ingest_stops_at_the_higher_floor_and_drains_at_the_lower(
    monkeypatch: pytest.MonkeyPatch, free_blocks: int, ingest_stops: bool, drain_stops: bool
) -> None:
    watch = RoomWatch(Path(), ingest_floor_bytes=100 * 4096, drain_floor_bytes=20 * 4096)
    _disk(monkeypatch, free_blocks=free_blocks)
    room = watch.look()
    assert (room.ingest_stops, room.drain_stops) == (ingest_stops, drain_stops)


def test_a_floor_is_left_only_well_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = RoomWatch(Path(), ingest_floor_bytes=100 * 4096, drain_floor_bytes=0)
    stops = []
    for free_blocks in (99, 101, 109, 111, 101):
        _disk(monkeypatch, free_blocks=free_blocks)
        stops.append(watch.look().ingest_stops)
    assert stops == [True, True, True, False, False]


def test_the_used_share_is_what_df_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks for root are neither used nor to be had: 450 used, 500 free, 50 set aside."""
    watch = RoomWatch(Path(), ingest_floor_bytes=0, drain_floor_bytes=0)
    _disk(monkeypatch, free_blocks=500)
    assert watch.look().used_share == pytest.approx(450 / 950)


def test_a_real_directory_has_room() -> None:
    room = RoomWatch(Path(), ingest_floor_bytes=0, drain_floor_bytes=0).look()
    assert 0 < room.free_bytes <= room.total_bytes
