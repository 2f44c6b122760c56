"""The watch on the wall clock: passing time is believed, a leap is not, nor is a restart."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from streamer.app.clock_watch import ClockWatch
from streamer.clock import SystemClock
from streamer.core.errors import StoreError
from streamer.core.limits import CLOCK_JUMP_SECONDS_MAX, DAY_SECONDS
from streamer.store import facts, sqlite
from streamer.store.sqlite import Connection
from streamer.store.writer import Writer
from tests.store.build import NOW, transact
from tests.store.writing import running
from tests.support.manual_clock import ManualClock

T = TypeVar("T")

pytestmark = pytest.mark.anyio

DAY = DAY_SECONDS
RETENTION_DAYS = 14


class Machine:
    """A clock, a database, and the watch of one process after the other."""

    def __init__(self, path: Path, writer: Writer) -> None:
        self.path = path
        self.writer = writer
        self.clock = ManualClock(NOW)
        self.watch = ClockWatch(self.clock)

    def restart(self, boot: int = 0) -> None:
        self.watch = ClockWatch(self.clock, boot=boot)

    async def believes(self) -> bool:
        return await self.watch.compare(self.writer.do, retention_days=RETENTION_DAYS)

    def ask(self, work: Callable[[Connection], T]) -> T:
        with closing(sqlite.open_writer(self.path)) as db:
            return transact(db, work)

    def confirm(self) -> bool:
        """What ``db confirm-clock`` does."""
        return self.ask(lambda db: facts.confirm_clock(db, now=self.clock.now()))

    def fact(self, name: str) -> int | None:
        return self.ask(lambda db: facts.read(db, name))


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    path = tmp_path / "streamer.db"
    async with running(path) as writer:
        yield Machine(path, writer)


async def test_time_that_passes_is_believed_however_long_nobody_looked(machine: Machine) -> None:
    """So it is when the disk was too full for pruning, or the machine suspended."""
    assert await machine.believes()
    machine.clock.move(40 * DAY)
    assert await machine.believes()
    assert machine.fact(facts.CLOCK_SEEN) == machine.clock.now()


async def test_while_nothing_can_be_stored_the_clock_is_followed_in_memory(
    machine: Machine,
) -> None:
    assert await machine.believes()
    await machine.writer.do(lambda db: db.execute("ALTER TABLE facts RENAME TO elsewhere"))
    for _ in range(20):  # a clock that is corrected a little each day
        machine.clock.move(DAY)
        machine.clock.leap(CLOCK_JUMP_SECONDS_MAX / 2)
        machine.watch.look()
        with pytest.raises(StoreError):
            await machine.believes()
    await machine.writer.do(lambda db: db.execute("ALTER TABLE elsewhere RENAME TO facts"))
    assert await machine.believes()


@pytest.mark.parametrize("leap_seconds", [DAY + 1, -DAY - 1, 400 * DAY])
async def test_a_leap_is_doubted_until_an_operator_confirms_it(
    machine: Machine, leap_seconds: float
) -> None:
    assert await machine.believes()
    machine.clock.leap(leap_seconds)
    for _ in range(3):
        machine.clock.move(DAY)
        machine.watch.look()
        assert not await machine.believes()
    assert machine.confirm()
    assert await machine.believes()
    machine.clock.move(DAY)
    assert await machine.believes()


@pytest.mark.parametrize("leap_seconds", [5 * DAY, -5 * DAY, 400 * DAY])
async def test_a_restart_alone_ends_no_doubt(machine: Machine, leap_seconds: float) -> None:
    assert await machine.believes()
    machine.clock.leap(leap_seconds)
    assert not await machine.believes()
    for _ in range(2):
        machine.restart()
        assert not await machine.believes()
    machine.confirm()
    machine.restart()
    assert await machine.believes()
    assert machine.fact(facts.CLOCK_DOUBTED) is None


async def test_a_clock_that_is_mended_is_believed_days_later_and_after_a_restart(
    machine: Machine,
) -> None:
    assert await machine.believes()
    machine.clock.leap(5 * DAY)
    for _ in range(3):
        machine.clock.move(DAY)
        assert not await machine.believes()
    assert machine.fact(facts.CLOCK_SEEN) == NOW + 3 * DAY * 1000, "what it ought to say"
    machine.clock.leap(-5 * DAY)
    machine.restart()
    assert await machine.believes()
    assert machine.fact(facts.CLOCK_DOUBTED) is None


@pytest.mark.parametrize(
    ("off_days", "believed"), [(13, True), (RETENTION_DAYS, True), (15, False), (-2, False)]
)
async def test_a_service_that_was_off_believes_any_time_within_retention(
    machine: Machine, off_days: int, *, believed: bool
) -> None:
    assert await machine.believes()
    machine.clock.move(off_days * DAY)
    machine.restart()
    assert await machine.believes() is believed


async def test_a_second_leap_after_a_confirmation_is_doubted_again(machine: Machine) -> None:
    assert await machine.believes()
    machine.clock.leap(5 * DAY)
    assert not await machine.believes()
    machine.confirm()
    machine.clock.leap(5 * DAY)
    assert not await machine.believes()


def test_the_clock_that_nobody_sets_goes_on_with_the_monotonic_one() -> None:
    clock = SystemClock()
    first, before = clock.boottime(), time.monotonic()
    second, after = clock.boottime(), time.monotonic()
    assert second - first >= 0
    assert second - after == pytest.approx(first - before, abs=1.0)


@pytest.mark.parametrize("leap_seconds", [5 * DAY, -5 * DAY])
async def test_within_one_boot_a_restart_hides_no_leap(
    machine: Machine, leap_seconds: float
) -> None:
    """The other clock went on meanwhile, so it is known how long the service was off."""
    machine.restart(boot=7)
    assert await machine.believes()
    machine.clock.move(20 * DAY)
    machine.restart(boot=7)
    assert await machine.believes(), "longer than retention, and exactly as long as it was"
    machine.clock.leap(leap_seconds)
    machine.restart(boot=7)
    assert not await machine.believes()
    machine.confirm()
    machine.restart(boot=7)
    assert await machine.believes()


async def test_after_another_boot_the_other_clock_says_nothing(machine: Machine) -> None:
    machine.restart(boot=7)
    assert await machine.believes()
    machine.clock.leap(5 * DAY)
    machine.restart(boot=8)
    assert await machine.believes()
