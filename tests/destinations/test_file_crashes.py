"""No line torn, missing or doubled, wherever the process or the disk fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from streamer.core.outcome import Verdict
from streamer.destinations.file import FileDestination
from streamer.destinations.segments import Place
from tests.destinations.examples import StandingClock, stored_events
from tests.destinations.file_cases import files, ids, make
from tests.support.failing_os import FailingOs, failing_os
from tests.support.unsynced import watch_syncs

pytestmark = pytest.mark.anyio


class Service:
    """A drain and its database in miniature: the cursor and the mark move together."""

    EVENTS = stored_events(*range(1, 15))
    BATCH = 2

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cursor = 0
        self.mark: str | None = None
        self.clock = StandingClock()

    async def run(self, failing: FailingOs) -> None:
        """Deliver what is pending, with a settlement after each batch that a crash may prevent."""
        destination = make(
            self.path,
            clock=self.clock,
            segment_bytes_max=1500,
            segment_seconds_max=3,
            compress="gzip",
        )
        try:
            await destination.open(self.mark)
            await self.settle(self.cursor, destination, failing)
            while self.cursor < len(self.EVENTS):
                batch = self.EVENTS[self.cursor : self.cursor + self.BATCH]
                outcomes = await destination.send(batch)
                accepted = outcomes[0].verdict is Verdict.ACCEPTED
                settled = self.cursor + len(batch) * accepted
                await self.settle(settled, destination, failing)
                self.clock.now_ms += 1000
                await self.look_after(destination, failing)
            self.clock.now_ms += 3000
            for _ in range(2):  # what fails once is tried again
                await self.look_after(destination, failing)
        finally:
            await destination.aclose()

    async def settle(self, cursor: int, destination: FileDestination, failing: FailingOs) -> None:
        """Commit the cursor and the mark, or have the destination undo what it did."""
        try:
            failing.step("commit", lambda: self.commit(cursor, destination.mark()))
        except OSError:
            await destination.open(self.mark)

    async def look_after(self, destination: FileDestination, failing: FailingOs) -> None:
        """Rotate, and pack once that is committed."""
        await destination.rotate()
        with contextlib.suppress(OSError):
            failing.step("commit", lambda: self.commit(self.cursor, destination.mark()))
            await destination.tidy()

    def commit(self, cursor: int, mark: str | None) -> None:
        self.cursor, self.mark = cursor, mark

    def assert_every_event_is_there_once(self) -> None:
        assert ids(self.path) == [event.event_id for event in self.EVENTS]
        assert not list(self.path.glob("*.tmp"))


def closed(mark: str | None) -> str:
    """Return the mark after which the next event begins a segment."""
    place = msgspec.json.decode(mark or "", type=Place).closed()
    return msgspec.json.encode(place).decode()


def never() -> FailingOs:
    return FailingOs(0, "before")


def steps(path: Path, mode: str) -> Iterator[tuple[int, Service]]:
    """Count the steps of an undisturbed run, and give a fresh service for each of them."""
    for at in range(1, 1000):
        yield at, Service(path / f"{mode}{at}")
    pytest.fail("the run never came to an end")


async def test_an_undisturbed_run_rotates_by_size_and_by_time_and_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    service = Service(tmp_path)
    await service.run(never())
    service.assert_every_event_is_there_once()
    assert len(files(tmp_path)) > 2
    assert {file.suffix for file in files(tmp_path)} == {".gz"}


@pytest.mark.parametrize("mode", ["before", "half", "after"])
async def test_a_crash_at_any_step_tears_loses_and_doubles_no_line(
    tmp_path: Path, mode: str
) -> None:
    for at, service in steps(tmp_path, mode):
        with failing_os(at, mode) as failing:
            await service.run(failing)
        if not failing.reached:
            assert at > 50, "the run is too short to show anything"
            break
        await service.run(never())
        service.assert_every_event_is_there_once()


async def test_a_crash_at_any_step_of_making_good_a_crash_does_no_harm_either(
    tmp_path: Path,
) -> None:
    crashes = 0
    for at, service in steps(tmp_path, "half"):
        with failing_os(at, "half") as failing:
            await service.run(failing)
        if not failing.reached:
            break
        for again in range(1, 9):
            with failing_os(again, "after") as failing:
                await service.run(failing)
            crashes += failing.dead
        await service.run(never())
        service.assert_every_event_is_there_once()
    assert crashes > 100


async def test_an_error_at_any_step_defers_and_tears_loses_and_doubles_no_line(
    tmp_path: Path,
) -> None:
    for at, service in steps(tmp_path, "error"):
        with failing_os(at, "error") as failing:
            await service.run(failing)
        service.assert_every_event_is_there_once()
        if not failing.reached:
            break


async def test_what_is_accepted_is_on_the_disk_and_so_are_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsynced = watch_syncs(monkeypatch)
    path = tmp_path / "above" / "archive"
    destination = make(path, segment_bytes_max=1, compress="gzip")
    await destination.open(None)
    assert unsynced == set()
    for position in range(1, 5):
        await destination.send(stored_events(position))
        assert unsynced == set()
    await destination.tidy()
    assert unsynced == set()
    mark = destination.mark()
    await destination.aclose()
    for committed in (mark, closed(mark)):
        later = make(path)
        await later.open(committed)
        await later.send(stored_events(5))
        await later.open(committed)
        assert unsynced == set()
        await later.aclose()
    assert len(files(path)) == 4
