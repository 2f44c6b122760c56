"""What the file destination writes, and what it does about a disk or a mark that is not right."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from streamer.core.outcome import Verdict
from streamer.destinations import segments
from streamer.destinations.common_options import Privacy
from streamer.destinations.file import FileDestination
from tests.destinations.examples import NOON_MS, Alarms, StandingClock, stored_event, stored_events
from tests.destinations.file_cases import files, ids, ids_of, make

pytestmark = pytest.mark.anyio

SHORT = "STR-304"


async def test_a_write_that_was_left_behind_by_a_cancelled_send_ends_before_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write left behind waits a little for the next one to overtake it, which it must not."""
    destination = make(tmp_path)
    await destination.open(None)
    await destination.send(stored_events(9))
    overtaken, written = threading.Event(), threading.Event()
    pwrite: Callable[..., int] = os.pwrite

    def left_behind(*args: object) -> int:
        monkeypatch.setattr(os, "pwrite", pwrite)
        anyio.from_thread.run_sync(sending.cancel)
        overtaken.wait(0.2)
        try:
            return pwrite(*args)
        finally:
            written.set()

    monkeypatch.setattr(os, "pwrite", left_behind)
    sending = asyncio.create_task(destination.send(stored_events(1, 2)))
    with pytest.raises(asyncio.CancelledError):
        await sending
    await destination.send(stored_events(1))
    overtaken.set()
    await anyio.to_thread.run_sync(written.wait)
    assert ids(tmp_path) == ids_of(9, 1)


# A disk that is not right


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "disk_full"),
        (errno.EDQUOT, "disk_full"),
        (errno.EROFS, "read_only"),
        (errno.EACCES, "permission_denied"),
        (errno.EIO, "disk_error"),
    ],
)
async def test_a_disk_that_fails_defers_the_batch_with_a_reason_and_takes_its_lines_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    destination = make(tmp_path)
    await destination.open(None)
    await destination.send(stored_events(1))
    mark = destination.mark()

    def failing(file: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", failing)
        outcomes = await destination.send(stored_events(2, 3))
    assert [(outcome.verdict, outcome.reason) for outcome in outcomes] == [
        (Verdict.DEFERRED, reason)
    ] * 2
    assert os.strerror(number) in outcomes[0].detail
    assert destination.mark() == mark
    await destination.send(stored_events(2, 3))
    assert ids(tmp_path) == ids_of(1, 2, 3)


async def test_a_directory_that_cannot_be_made_yet_defers_until_it_can(tmp_path: Path) -> None:
    obstacle = tmp_path / "mount"
    obstacle.write_bytes(b"")
    destination = make(obstacle / "archive")
    await destination.open(None)
    assert destination.mark() is None
    (outcome,) = await destination.send(stored_events(1))
    assert (outcome.verdict, outcome.reason) == (Verdict.DEFERRED, "not_a_directory")
    assert outcome.detail.startswith(f"{obstacle}: it is in the way")
    obstacle.unlink()
    assert await accepted_after_one_deferral(destination, 1)
    assert ids(obstacle / "archive") == ids_of(1)


async def accepted_after_one_deferral(destination: FileDestination, position: int) -> bool:
    """Send an event twice: writing begins anew only once that is committed with a deferral."""
    (first,) = await destination.send(stored_events(position))
    assert (first.verdict, first.reason) == (Verdict.DEFERRED, "begun_anew")
    assert destination.mark() is not None
    (second,) = await destination.send(stored_events(position))
    return second.verdict is Verdict.ACCEPTED


async def test_what_was_written_after_a_late_beginning_is_taken_back_after_a_crash(
    tmp_path: Path,
) -> None:
    """The directory is there only after the opening, so no mark was committed then."""
    obstacle = tmp_path / "mount"
    obstacle.write_bytes(b"")
    destination = make(obstacle / "archive")
    await destination.open(None)
    obstacle.unlink()
    await destination.send(stored_events(1))
    committed_with_the_deferral = destination.mark()
    await destination.send(stored_events(1))
    await destination.aclose()
    later = make(obstacle / "archive")
    await later.open(committed_with_the_deferral)
    assert ids(obstacle / "archive") == []


async def test_a_symbolic_link_in_the_place_of_a_segment_is_named_for_what_it_is(
    tmp_path: Path,
) -> None:
    destination = make(tmp_path / "archive")
    await destination.open(None)
    await destination.send(stored_events(1))
    (segment,) = files(tmp_path / "archive")
    segment.rename(tmp_path / "elsewhere")
    segment.symlink_to(tmp_path / "elsewhere")
    (outcome,) = await destination.send(stored_events(2))
    assert (outcome.verdict, outcome.reason) == (Verdict.DEFERRED, "symbolic_link")
    assert outcome.detail.startswith(f"{segment}: it is a symbolic link")
    segment.unlink()
    assert await accepted_after_one_deferral(destination, 2)


async def test_a_directory_that_another_destination_writes_to_defers_until_it_is_free(
    tmp_path: Path,
) -> None:
    first, second = make(tmp_path), make(tmp_path)
    await first.open(None)
    await second.open(None)
    (outcome,) = await second.send(stored_events(1))
    assert (outcome.verdict, outcome.reason) == (Verdict.DEFERRED, "directory_in_use")
    await first.aclose()
    assert await accepted_after_one_deferral(second, 1)


# Marks


async def test_a_settlement_that_was_refused_is_undone_by_opening_again(tmp_path: Path) -> None:
    destination = make(tmp_path, segment_bytes_max=1)
    await destination.open(None)
    await destination.send(stored_events(1))
    mark = destination.mark()
    await destination.send(stored_events(2))
    await destination.open(mark)
    assert ids(tmp_path) == ids_of(1)
    await destination.send(stored_events(9))
    assert ids(tmp_path) == ids_of(1, 9)


async def test_what_was_written_before_the_first_start_is_never_touched(tmp_path: Path) -> None:
    old = tmp_path / "archive-00000007-20200101T000000Z.ndjson"
    old.write_bytes(b'{"id":"old"}\n')
    destination = make(tmp_path)
    await destination.open(None)
    first_mark = destination.mark()
    await destination.send(stored_events(1))
    assert ids(tmp_path) == ["old", *ids_of(1)]
    await destination.open(first_mark)
    assert ids(tmp_path) == ["old"]


@pytest.mark.parametrize("mark", ["", "{", "[]", '{"segment":1}', '{"sequence":1,"other":2}'])
async def test_a_mark_that_cannot_be_read_touches_nothing_and_raises_an_alarm(
    tmp_path: Path, mark: str
) -> None:
    alarms = Alarms()
    destination = make(tmp_path)
    await destination.open(None)
    await destination.send(stored_events(1))
    await destination.aclose()
    later = make(tmp_path, alarms=alarms)
    await later.open(mark)
    await later.send(stored_events(2))
    assert alarms.codes == [SHORT]
    assert ids(tmp_path) == ids_of(1, 2)


@pytest.mark.parametrize("when", ["while it runs", "while it is stopped"])
@pytest.mark.parametrize("change", ["cut", "removed"])
async def test_a_segment_that_lost_lines_is_left_alone_and_an_alarm_raised(
    tmp_path: Path, when: str, change: str
) -> None:
    alarms = Alarms()
    destination = make(tmp_path, alarms=alarms)
    await destination.open(None)
    await destination.send(stored_events(1))
    (segment,) = files(tmp_path)
    if change == "cut":
        os.truncate(segment, 10)
    else:
        segment.unlink()
    if when == "while it is stopped":
        mark = destination.mark()
        await destination.aclose()
        destination = make(tmp_path, alarms=alarms)
        await destination.open(mark)
        (outcome,) = await destination.send(stored_events(2))
        assert outcome.verdict is Verdict.ACCEPTED
    else:
        assert await accepted_after_one_deferral(destination, 2)
    assert alarms.codes == [SHORT]
    assert segment.name in alarms.raised[0][1]
    *left, new = files(tmp_path)
    assert [file.stat().st_size for file in left] == ([10] if change == "cut" else [])
    assert json.loads(new.read_bytes())["id"] == "01E00002"


# Segments


async def test_a_segment_is_closed_when_it_is_large_enough(tmp_path: Path) -> None:
    destination = make(tmp_path, segment_bytes_max=1000)
    await destination.open(None)
    for position in range(1, 10):
        await destination.send(stored_events(position))
    *closed, _ = [file.stat().st_size for file in files(tmp_path)]
    assert len(closed) >= 2
    assert all(1000 <= size < 1500 for size in closed)
    assert ids(tmp_path) == ids_of(*range(1, 10))


async def test_a_segment_is_closed_when_it_is_old_enough_even_over_a_restart(
    tmp_path: Path,
) -> None:
    clock = StandingClock()
    destination = make(tmp_path, clock=clock, segment_seconds_max=3600)
    await destination.open(None)
    await destination.send(stored_events(1))
    clock.now_ms += 3_599_000
    await destination.send(stored_events(2))
    assert len(files(tmp_path)) == 1
    mark = destination.mark()
    await destination.aclose()
    clock.now_ms += 1000
    later = make(tmp_path, clock=clock, segment_seconds_max=3600)
    await later.open(mark)
    await later.send(stored_events(3))
    assert [file.name for file in files(tmp_path)] == [
        "archive-00000001-20261123T120000Z.ndjson",
        "archive-00000002-20261123T130000Z.ndjson",
    ]


async def test_a_wall_clock_that_is_set_back_closes_no_segment(tmp_path: Path) -> None:
    clock = StandingClock()
    destination = make(tmp_path, clock=clock, segment_seconds_max=60)
    await destination.open(None)
    await destination.send(stored_events(1))
    clock.now_ms -= 10 * 365 * 86_400_000
    await destination.send(stored_events(2))
    assert len(files(tmp_path)) == 1


async def test_an_event_that_cannot_be_redacted_is_rejected_and_the_others_are_written(
    tmp_path: Path,
) -> None:
    bad = stored_event(2, body=b"{broken")
    destination = make(tmp_path, privacy=Privacy(drop=["content"]))
    await destination.open(None)
    outcomes = await destination.send([stored_event(1), bad, stored_event(3)])
    assert [outcome.verdict for outcome in outcomes] == [
        Verdict.ACCEPTED,
        Verdict.REJECTED,
        Verdict.ACCEPTED,
    ]
    mark = destination.mark()
    assert [outcome.reason for outcome in await destination.send([bad])] == ["unredactable"]
    assert destination.mark() == mark
    assert ids(tmp_path) == ids_of(1, 3)


# The self-test


async def test_the_self_test_warns_of_a_disk_with_little_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = await make(tmp_path).probe()
    assert [finding.ok for finding in good] == [True, True]
    monkeypatch.setattr(segments, "FREE_BYTES_LOW", 2**70)
    *_, room = await make(tmp_path).probe()
    assert not room.ok
    assert room.hint


async def test_the_time_in_a_segments_name_is_that_of_its_first_line(tmp_path: Path) -> None:
    clock = StandingClock(NOON_MS + 61_000)
    destination = make(tmp_path, clock=clock)
    await destination.open(None)
    clock.now_ms += 60_000
    await destination.send(stored_events(1))
    assert [file.name for file in files(tmp_path)] == ["archive-00000001-20261123T120201Z.ndjson"]
