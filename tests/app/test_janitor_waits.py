"""The janitor and pruning go round, whatever the lock and the disk do to one of their steps."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streamer.app import janitor as module
from streamer.app import pruning as pruning_module
from streamer.app.janitor import Janitor
from streamer.app.pruning import Pruning
from streamer.core import alarms
from streamer.core.intervals import UPKEEP_ALARM_SECONDS
from streamer.store import facts, status
from tests.app.test_janitor import Household, household
from tests.store.writing import locked
from tests.support.manual_clock import ManualClock

__all__ = ["household"]  # a fixture

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def at_work(loop: Janitor | Pruning) -> AsyncIterator[Callable[[], bool]]:
    """Let it work; the function tells whether it still does.

    One at a time: both move the clock, however long the other waits for the database.
    """
    task = asyncio.create_task(loop.run())
    try:
        yield lambda: not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _rounds(clock: ManualClock, number: int) -> None:
    """Wait until it has slept so often; each sleep moves the clock by a second or so."""
    enough = len(clock.slept) + number
    async with asyncio.timeout(20):
        while len(clock.slept) < enough:  # noqa: ASYNC110 - a count, not an event
            await asyncio.sleep(0)


async def test_a_lock_of_another_program_stops_no_round_and_counts_nothing_twice(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "JANITOR_WRITE_SECONDS", 0.01)
    await household.writer.maintain(lambda db: db.execute("PRAGMA busy_timeout = 10"))
    household.front.tally.of("customerio").bad_signatures += 3
    household.board.note(alarms.BAD_SIGNATURE, "customerio", "was a key changed?")
    async with at_work(household.janitor) as works:
        with locked(household.path):
            await _rounds(household.clock, 70)
            assert household.rooms, "the disk is looked at"
            assert works()
            assert household.janitor.alive_until > household.clock.monotonic()
            household.front.tally.of("customerio").bad_signatures += 2
        await _rounds(household.clock, 5)
        await household.janitor.finish()
    found = household.look(lambda db: status.read(db, now=household.clock.now()))
    assert found.sources["customerio"].bad_signatures == 5
    assert found.alarms[0].times == 1


async def test_pruning_waits_for_a_lock_of_another_program_and_is_alive(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning_module, "JANITOR_WRITE_SECONDS", 0.01)
    await household.writer.maintain(lambda db: db.execute("PRAGMA busy_timeout = 10"))
    async with at_work(household.pruning) as works:
        with locked(household.path):
            await _rounds(household.clock, 70)
            assert works()
            assert household.pruning.alive_until > household.clock.monotonic()


async def test_the_last_counts_are_given_up_when_another_program_keeps_the_lock(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS_MIN", 0.05)
    household.front.tally.of("customerio").bad_signatures += 3
    with locked(household.path):
        async with asyncio.timeout(10):
            await household.janitor.finish()


def _fail(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied", "/somebody@example.com")


@pytest.mark.parametrize("step", ["disk", "old copies"])
async def test_a_step_that_the_system_refuses_ends_nothing_and_is_an_alarm_when_it_lasts(
    household: Household, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    loop = household.janitor if step == "disk" else household.pruning
    with monkeypatch.context() as broken:
        if step == "disk":
            broken.setattr(os, "statvfs", _fail)
        else:
            broken.setattr(Path, "glob", _fail)
        async with at_work(loop) as works:
            await _rounds(household.clock, 5)
            assert works()
            assert (alarms.UPKEEP_FAILING.code, step) not in household.board.standing
            await _rounds(household.clock, int(UPKEEP_ALARM_SECONDS) * 3)
            assert works()
        await household.janitor.finish()
    found = household.look(lambda db: status.read(db, now=household.clock.now()))
    [alarm] = [one for one in found.alarms if one.code == alarms.UPKEEP_FAILING.code]
    assert (alarm.subject, alarm.message) == (step, "Permission denied")
    async with at_work(loop):
        await _rounds(household.clock, 130)
    await household.janitor.finish()
    assert alarms.UPKEEP_FAILING.code not in household.standing()


async def test_the_last_figures_stand_while_the_log_cannot_be_seen(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    await household.writer.do(lambda db: facts.write(db, facts.PROBED_AT, 1))
    size = household.janitor.wal_bytes()
    assert size > 0
    monkeypatch.setattr(Path, "stat", _fail)
    assert household.janitor.wal_bytes() == size
