"""Packing closed segments beside the writing of new ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from streamer.core.outcome import Outcome, Verdict
from streamer.destinations.compression import Method
from tests.destinations.examples import Alarms, stored_events
from tests.destinations.file_cases import files, ids, ids_of, make, packed_beside
from tests.support.failing_os import failing_os

pytestmark = pytest.mark.anyio


SHORT = "STR-304"


@pytest.mark.parametrize("method", ["gzip", "zstd"])
async def test_only_segments_before_the_committed_one_are_packed(
    tmp_path: Path, method: Method
) -> None:
    destination = make(tmp_path, segment_bytes_max=1, compress=method)
    await destination.open(None)
    for position in (1, 2, 3):
        await destination.send(stored_events(position))
    await destination.tidy()
    suffix = {"gzip": ".gz", "zstd": ".zst"}[method]
    assert [file.suffix for file in files(tmp_path)] == [suffix, ".ndjson", ".ndjson"]
    await destination.send(stored_events(4))
    await destination.tidy()
    assert [file.suffix for file in files(tmp_path)] == [suffix, suffix, ".ndjson", ".ndjson"]


async def test_without_compression_nothing_is_packed(tmp_path: Path) -> None:
    destination = make(tmp_path, segment_bytes_max=1)
    await destination.open(None)
    for position in (1, 2, 3):
        await destination.send(stored_events(position))
    await destination.tidy()
    assert {file.suffix for file in files(tmp_path)} == {".ndjson"}


@pytest.mark.parametrize("method", ["none", "gzip", "zstd"])
async def test_what_a_crash_left_twice_is_there_once_whatever_is_packed_with_now(
    tmp_path: Path, method: Method | Literal["none"]
) -> None:
    """It is read to its end for that, so it is not done at the opening, which must be short."""
    alarms = Alarms()
    destination = make(tmp_path, segment_bytes_max=1, alarms=alarms)
    await destination.open(None)
    for position in (1, 2, 3):
        await destination.send(stored_events(position))
    mark = destination.mark()
    await destination.aclose()
    first, second, _ = files(tmp_path)
    packed_beside(first, first.read_bytes())
    packed_beside(second, b"something else\n")

    later = make(tmp_path, alarms=alarms, compress=method)
    await later.open(mark)
    assert first.exists()
    await later.tidy()
    assert not first.exists()
    assert second.exists(), "a packed file that differs proves nothing"
    assert alarms.codes == [SHORT]
    assert alarms.raised[0][1].endswith("away.")
    await later.tidy()
    assert alarms.codes == [SHORT]


async def test_the_open_segment_is_not_taken_for_one_that_is_packed(tmp_path: Path) -> None:
    destination = make(tmp_path)
    await destination.open(None)
    await destination.send(stored_events(1))
    await destination.send(stored_events(2))
    (segment,) = files(tmp_path)
    packed_beside(segment, segment.read_bytes())
    await destination.tidy()
    assert segment.exists()


async def test_a_segment_that_cannot_be_packed_keeps_no_other_from_it_and_is_told_of(
    tmp_path: Path,
) -> None:
    destination = make(tmp_path, segment_bytes_max=1, compress="gzip")
    await destination.open(None)
    for position in (1, 2, 3, 4):
        await destination.send(stored_events(position))
    first, second, third, _ = files(tmp_path)
    aside = first.with_name("aside")
    first.rename(aside)
    first.mkdir()
    with pytest.raises(IsADirectoryError):
        await destination.tidy()
    assert not second.exists()
    assert third.exists(), "not committed yet"
    first.rmdir()
    aside.rename(first)
    await destination.tidy()
    assert not first.exists(), "it is tried again"


async def test_packing_can_be_cancelled_and_is_done_at_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = make(tmp_path, segment_bytes_max=1, compress="gzip")
    await destination.open(None)
    for position in (1, 2, 3):
        await destination.send(stored_events(position))
    with anyio.CancelScope() as scope:
        rename: Callable[..., None] = os.rename

        def cancelling(*args: object) -> None:
            anyio.from_thread.run_sync(scope.cancel)
            rename(*args)

        monkeypatch.setattr(os, "rename", cancelling)
        await destination.tidy()
    assert scope.cancelled_caught
    monkeypatch.undo()
    await destination.tidy()
    assert ids(tmp_path) == ids_of(1, 2, 3)
    assert files(tmp_path)[0].suffix == ".gz"


async def test_a_disk_that_fails_while_packing_costs_nothing_and_packing_is_tried_again(
    tmp_path: Path,
) -> None:
    destination = make(tmp_path, segment_bytes_max=1, compress="gzip")
    await destination.open(None)
    for position in (1, 2, 3):
        await destination.send(stored_events(position))
    with failing_os(1, "error"), pytest.raises(OSError, match="No space left"):
        await destination.tidy()
    assert ids(tmp_path) == ids_of(1, 2, 3)
    await destination.tidy()
    assert files(tmp_path)[0].suffix == ".gz"


async def test_events_are_written_while_packing_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packing thread stands still until the event is written, so this would hang otherwise."""
    destination = make(tmp_path, segment_bytes_max=1, compress="gzip")
    await destination.open(None)
    for position in (1, 2, 3):
        await destination.send(stored_events(position))
    rename: Callable[..., None] = os.rename
    sent = anyio.Event()
    outcomes: list[Outcome] = []

    def waiting(*args: object) -> None:
        anyio.from_thread.run(sent.wait)
        rename(*args)

    monkeypatch.setattr(os, "rename", waiting)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(destination.tidy)
            outcomes += await destination.send(stored_events(4))
            sent.set()
    assert outcomes[0].verdict is Verdict.ACCEPTED
    assert ids(tmp_path) == ids_of(1, 2, 3, 4)
