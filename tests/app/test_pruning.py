"""Pruning: what is forgotten and given back, in how many steps, and what goes on meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from streamer.core.intervals import JANITOR_SECONDS, PRUNE_PAUSE_SECONDS, VACUUM_PAUSE_SECONDS
from streamer.core.limits import DAY_SECONDS, PRUNE_EVENTS_MAX
from streamer.store import dead_letters, destinations, sqlite, status
from streamer.store.sqlite import Connection
from tests.app.test_janitor import Household, household
from tests.store.build import NOW, append, burial, declare, event, read_all
from tests.store.writing import until
from tests.support.manual_clock import ManualClock

__all__ = ["household"]  # a fixture

pytestmark = pytest.mark.anyio

DAY = DAY_SECONDS


class Held(ManualClock):
    """Whoever pauses for so long is held until the test lets go."""

    def __init__(self, seconds: float) -> None:
        super().__init__(NOW)
        self.held_seconds = seconds
        self.reached = asyncio.Event()
        self.let_go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds == self.held_seconds:
            self.reached.set()
            await self.let_go.wait()
        await super().sleep(seconds)


class Slow(ManualClock):
    """Each pause takes long."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.move(20)


def _fill(path: Path, count: int, *, settled: bool) -> None:
    db = sqlite.open_writer(path)
    db.execute("BEGIN")
    append(db, *(event(number) for number in range(count)))
    if settled:
        db.execute("UPDATE cursors SET position = ?", (count,))
    db.execute("COMMIT")
    db.close()


async def _days_pass(household: Household, days: int) -> None:
    """Let the janitor see each day, as it does in a service that runs."""
    for _ in range(days):
        household.clock.move(DAY)
        await household.pruning.prune()


async def test_settled_events_go_when_retention_has_passed(household: Household) -> None:
    _fill(household.path, PRUNE_EVENTS_MAX + 10, settled=True)
    await household.pruning.prune()
    await _days_pass(household, 14)
    assert household.events() == PRUNE_EVENTS_MAX + 10
    await _days_pass(household, 1)
    assert household.events() == 0


async def test_the_file_shrinks_after_pruning(household: Household) -> None:
    _fill(household.path, 5_000, settled=True)
    await household.pruning.prune()
    before = household.look(_pages)
    await _days_pass(household, 15)
    assert household.events() == 0
    assert household.look(_pages) < before / 4


async def test_unsettled_events_stay_however_old(household: Household) -> None:
    _fill(household.path, 10, settled=False)
    await household.pruning.prune()
    await _days_pass(household, 40)
    assert household.events() == 10


async def test_without_a_destination_events_go_once_retention_has_passed(
    household: Household,
) -> None:
    """Nobody is waited for, so the disk must not fill with them."""
    with closing(sqlite.open_writer(household.path)) as db:
        declare(db)
        destinations.forget(db, "archive", now=NOW)
    _fill(household.path, 10, settled=False)
    await household.pruning.prune()
    await _days_pass(household, 14)
    assert household.events() == 10
    await _days_pass(household, 1)
    assert household.events() == 0


async def test_nothing_is_pruned_after_the_clock_leapt(household: Household) -> None:
    _fill(household.path, 10, settled=True)
    await household.pruning.prune()
    household.clock.leap(400 * DAY)
    await household.pruning.prune()
    await household.janitor.finish()
    assert household.events() == 10
    assert "STR-208" in household.standing()


async def test_a_clock_that_comes_back_is_believed_again(household: Household) -> None:
    _fill(household.path, 10, settled=True)
    await household.pruning.prune()
    household.clock.leap(400 * DAY)
    await household.pruning.prune()
    household.clock.leap(-400 * DAY)
    await household.pruning.prune()
    await household.janitor.finish()
    assert "STR-208" not in household.standing()
    await _days_pass(household, 15)
    assert household.events() == 0


async def test_a_disk_that_was_too_full_for_pruning_leaves_no_doubt_in_the_clock(
    household: Household,
) -> None:
    await household.pruning.prune()
    household.clock.move(26 * 3_600)
    await household.pruning.prune()
    await household.janitor.finish()
    assert "STR-208" not in household.standing()


def _pages(db: Connection) -> int:
    return int(db.execute("PRAGMA page_count").fetchone()[0])


def _bury_all(path: Path) -> None:
    with closing(sqlite.open_writer(path)) as db:
        db.execute("BEGIN")
        dead_letters.bury(db, "archive", [burial(stored) for stored in read_all(db)], now=NOW)
        db.execute("COMMIT")


def _discard(path: Path, *letter_ids: int) -> None:
    with closing(sqlite.open_writer(path)) as db:
        assert dead_letters.discard(db, letter_ids, now=NOW) == len(letter_ids)


async def _steps(household: Household) -> int:
    """Count the steps of one pass, each of which ends with a pause."""
    before = household.clock.slept.count(PRUNE_PAUSE_SECONDS)
    await household.pruning.prune()
    return household.clock.slept.count(PRUNE_PAUSE_SECONDS) - before


async def test_events_that_dead_letters_hold_are_gone_through_once(household: Household) -> None:
    _fill(household.path, PRUNE_EVENTS_MAX * 3, settled=True)
    _bury_all(household.path)
    await household.pruning.prune()
    await _days_pass(household, 14)
    household.clock.move(DAY)
    assert await _steps(household) == 3
    assert await _steps(household) == 0
    assert household.events() == PRUNE_EVENTS_MAX * 3


async def test_an_event_goes_soon_after_its_dead_letter_was_closed(household: Household) -> None:
    _fill(household.path, PRUNE_EVENTS_MAX * 2, settled=True)
    _bury_all(household.path)
    await household.pruning.prune()
    await _days_pass(household, 15)
    _discard(household.path, 1, PRUNE_EVENTS_MAX * 2)
    assert await _steps(household) >= 2
    assert household.events() == PRUNE_EVENTS_MAX * 2 - 2
    await household.pruning.prune()
    assert await _steps(household) == 0


async def test_what_has_become_old_behind_held_events_goes(household: Household) -> None:
    _fill(household.path, PRUNE_EVENTS_MAX, settled=True)
    _bury_all(household.path)
    await household.pruning.prune()
    await _days_pass(household, 15)
    with closing(sqlite.open_writer(household.path)) as db:
        append(db, event("later", received_at=household.clock.now()))
        db.execute("UPDATE cursors SET position = ?", (PRUNE_EVENTS_MAX + 1,))
    await household.pruning.prune()
    await _days_pass(household, 14)
    assert household.events() == PRUNE_EVENTS_MAX + 1
    await _days_pass(household, 1)
    assert household.events() == PRUNE_EVENTS_MAX


async def test_pruning_is_alive_however_long_a_pass_takes(household: Household) -> None:
    clock = Slow(NOW)
    household = Household(household.path, household.writer, household.reader, clock)
    _fill(household.path, PRUNE_EVENTS_MAX * 10, settled=True)
    _bury_all(household.path)
    await household.pruning.prune()
    await _days_pass(household, 15)
    assert clock.slept.count(PRUNE_PAUSE_SECONDS) >= 10
    assert household.pruning.alive_until > clock.monotonic()


@pytest.mark.parametrize("pause_seconds", [PRUNE_PAUSE_SECONDS, VACUUM_PAUSE_SECONDS])
async def test_the_janitor_goes_round_while_pruning_takes_its_time(
    household: Household, pause_seconds: float
) -> None:
    _fill(household.path, 5_000, settled=True)
    await household.pruning.prune()
    await _days_pass(household, 14)
    clock = Held(pause_seconds)
    clock.move(15 * DAY)
    household = Household(household.path, household.writer, household.reader, clock)
    tasks = [asyncio.create_task(one.run()) for one in (household.janitor, household.pruning)]
    try:
        await asyncio.wait_for(clock.reached.wait(), 20)
        rounds = len(household.rooms)
        household.front.tally.of("customerio").bad_signatures += 3
        await until(lambda: len(household.rooms) > rounds + 3)
        found = household.look(lambda db: status.read(db, now=clock.now()))
        assert found.sources["customerio"].bad_signatures == 3
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_nothing_is_paused_for_while_the_disk_is_too_full_for_calls(
    household: Household,
) -> None:
    _fill(household.path, 5_000, settled=True)
    await household.pruning.prune()
    await _days_pass(household, 14)
    room = household.janitor.room
    room.last = replace(room.last, ingest_stops=True)
    household.clock.slept.clear()
    await _days_pass(household, 1)
    assert household.events() == 0
    assert household.clock.slept == []


async def test_room_is_seen_on_the_disk_while_it_is_given_back(household: Household) -> None:
    """The file gets shorter by a checkpoint alone, and the log must not grow meanwhile."""
    _fill(household.path, 20_000, settled=True)
    await household.pruning.prune()
    await _days_pass(household, 14)
    await household.writer.checkpoint()
    size = household.path.stat().st_size
    await _days_pass(household, 1)
    await until(lambda: household.path.stat().st_size < size * 0.8)


async def test_a_disk_that_is_too_full_even_for_pruning_is_left_alone(
    household: Household,
) -> None:
    _fill(household.path, 10, settled=True)
    await household.pruning.prune()
    await _days_pass(household, 14)
    household.clock.move(DAY)
    room = household.janitor.room
    room.last = replace(room.last, drain_stops=True)
    task = asyncio.create_task(household.pruning.run())
    try:
        await until(lambda: household.clock.slept.count(JANITOR_SECONDS) > 100)
        assert household.events() == 10
        assert household.pruning.alive_until > household.clock.monotonic()
        room.last = replace(room.last, drain_stops=False)
        await until(lambda: household.events() == 0)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
