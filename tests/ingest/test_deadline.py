"""A deadline ends the block that it is about, in the order of beginning, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from streamer.ingest.deadline import Deadline, Deadlines

pytestmark = pytest.mark.anyio

SOON = 0.01
NEVER = 3600.0


async def _wait_within(deadlines: Deadlines, until: asyncio.Event) -> str:
    with Deadline(deadlines):
        await until.wait()
    return "in time"


async def test_a_block_that_waits_too_long_is_told_so() -> None:
    with pytest.raises(TimeoutError):
        await _wait_within(Deadlines(SOON), asyncio.Event())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0, "the task could not be cancelled any more"


async def test_a_block_that_is_over_is_left_alone_and_so_is_what_comes_after_it() -> None:
    deadlines = Deadlines(SOON)
    done = asyncio.Event()
    done.set()
    assert await _wait_within(deadlines, done) == "in time"
    with pytest.raises(TimeoutError):  # the timer of the first has fired when this one ends
        await _wait_within(deadlines, asyncio.Event())


async def test_each_of_many_blocks_has_its_own_time() -> None:
    deadlines = Deadlines(10 * SOON)
    forever, released = asyncio.Event(), asyncio.Event()
    early = asyncio.create_task(_wait_within(deadlines, forever))
    with pytest.raises(TimeoutError):
        await _wait_within(Deadlines(SOON), forever)
    late = asyncio.create_task(_wait_within(deadlines, released))
    later = asyncio.create_task(_wait_within(deadlines, forever))
    with pytest.raises(TimeoutError):
        await early
    assert not late.done(), "its time is not over"
    released.set()
    assert await late == "in time"
    with pytest.raises(TimeoutError):
        await later


async def test_being_cancelled_is_no_late_answer() -> None:
    task = asyncio.create_task(_wait_within(Deadlines(NEVER), asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_being_cancelled_counts_even_when_the_time_is_over_as_well() -> None:
    deadlines = Deadlines(NEVER)
    held: list[Deadline] = []

    async def wait() -> None:
        deadline = Deadline(deadlines)
        held.append(deadline)
        with deadline:
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    held[0].expire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_a_block_raises_by_itself_is_not_replaced() -> None:
    with pytest.raises(ZeroDivisionError), Deadline(Deadlines(NEVER)):
        raise ZeroDivisionError
