"""How a drain lets its destination rotate and pack, and how it asks it to hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import structlog

from streamer.core.event import StoredEvent
from streamer.core.intervals import SEND_MARGIN_SECONDS, TIDY_SECONDS
from streamer.core.outcome import ACCEPTED, NOT_ATTEMPTED
from streamer.drain import supervisor
from streamer.drain.supervisor import DestinationDrain
from streamer.store import destinations
from tests.drain.bench import NAME, Bench

pytestmark = pytest.mark.anyio


def exclusive_drain(bench: Bench) -> DestinationDrain:
    bench.destination.exclusive = True
    return DestinationDrain(NAME, bench.shared())


async def test_a_stop_settles_what_a_send_that_hurries_has_accepted(on_bench: Bench) -> None:
    """It takes events one by one; without hurrying, the stop would give all of them up."""
    on_bench.append(4)

    async def one_by_one(_: Sequence[StoredEvent]) -> None:
        await on_bench.destination.hurried.wait()

    on_bench.destination.before_answer = one_by_one
    on_bench.destination.answer = lambda batch: [ACCEPTED, ACCEPTED, NOT_ATTEMPTED, NOT_ATTEMPTED]
    drain = DestinationDrain(NAME, on_bench.shared())
    running = on_bench.start(drain.run())
    await on_bench.settle_down()
    assert not on_bench.destination.hurried.is_set()
    on_bench.start(drain.stop(20))
    await on_bench.settle_down()
    assert running.done()
    assert on_bench.clock.monotonic() == 0
    assert on_bench.cursor().progress.position == 2
    assert on_bench.cursor().state.state == "ready"


async def test_what_was_not_attempted_for_want_of_time_goes_next_without_a_wait(
    on_bench: Bench,
) -> None:
    on_bench.append(4)
    on_bench.destination.answer = lambda batch: [ACCEPTED, *[NOT_ATTEMPTED] * (len(batch) - 1)]
    on_bench.start(DestinationDrain(NAME, on_bench.shared()).run())
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1, 2, 3, 4), (2, 3, 4), (3, 4), (4,)]
    assert on_bench.clock.monotonic() == 0


async def test_the_mark_of_a_rotation_is_committed_before_anything_is_tidied(
    on_bench: Bench,
) -> None:
    seen: list[str | None] = []

    async def rotate() -> None:
        on_bench.destination.marked = f"closed {on_bench.destination.rotated}"

    async def tidy() -> None:
        seen.append(destinations.load(on_bench.db, NAME).mark)

    on_bench.destination.before_rotate = rotate
    on_bench.destination.before_tidy = tidy
    on_bench.start(exclusive_drain(on_bench).run())
    await on_bench.advance(TIDY_SECONDS + 1)
    assert seen == ["closed 1", "closed 2"]


async def test_nothing_is_sent_while_it_rotates_and_the_reverse(on_bench: Bench) -> None:
    """The destination itself complains when it is asked to rotate while a batch is under way."""
    rotated, answered = asyncio.Event(), asyncio.Event()

    async def rotate() -> None:
        await rotated.wait()

    async def answer(_: Sequence[StoredEvent]) -> None:
        await answered.wait()

    on_bench.destination.before_rotate = rotate
    on_bench.destination.before_answer = answer
    on_bench.start(exclusive_drain(on_bench).run())
    await on_bench.settle_down()
    on_bench.append(1)
    await on_bench.advance(6)
    assert not on_bench.destination.sent
    rotated.set()
    await on_bench.advance(TIDY_SECONDS * 2)
    assert on_bench.destination.sent == [(1,)]
    assert on_bench.destination.rotated == 1
    answered.set()
    await on_bench.settle_down()
    assert on_bench.destination.rotated == 2


async def test_a_rotation_that_cannot_be_committed_tidies_nothing_until_it_is(
    on_bench: Bench,
) -> None:
    async def rotate() -> None:
        on_bench.destination.marked = "x" * 100_000

    running = on_bench.start(exclusive_drain(on_bench).run())
    await on_bench.settle_down()
    assert on_bench.destination.tidied == 1
    (pages,) = on_bench.db.execute("PRAGMA page_count").fetchone()
    await on_bench.writer.maintain(lambda db: db.execute(f"PRAGMA max_page_count = {pages}"))
    on_bench.destination.before_rotate = rotate
    await on_bench.advance(TIDY_SECONDS * 3)
    assert on_bench.destination.tidied == 1
    await on_bench.writer.maintain(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
    await on_bench.advance(TIDY_SECONDS * 2)
    assert on_bench.destination.tidied > 1
    assert not running.done()


async def test_a_rotation_that_hangs_is_seen_although_all_tracks_wait_for_it(
    on_bench: Bench,
) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    on_bench.append(1)
    on_bench.destination.before_rotate = hang
    drain = exclusive_drain(on_bench)
    on_bench.start(drain.run())
    await on_bench.advance(on_bench.destination.send_seconds_max + SEND_MARGIN_SECONDS - 1)
    assert not on_bench.destination.sent
    assert drain.alive_until > on_bench.clock.monotonic()
    await on_bench.advance(2)
    assert drain.alive_until < on_bench.clock.monotonic()


@pytest.mark.parametrize("exclusive", [True, False])
async def test_only_what_has_a_turn_and_room_for_its_mark_is_rotated(
    on_bench: Bench, *, exclusive: bool
) -> None:
    on_bench.destination.exclusive = exclusive
    drain = DestinationDrain(NAME, on_bench.shared())
    drain.shared.blocked = exclusive
    on_bench.start(drain.run())
    await on_bench.advance(TIDY_SECONDS + 1)
    assert on_bench.destination.rotated == 0
    assert on_bench.destination.tidied == 2


async def test_tidying_that_fails_for_long_is_told_ever_more_rarely(
    on_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise PermissionError(13, "Permission denied")

    on_bench.destination.before_tidy = fail
    with structlog.testing.capture_logs() as lines:
        monkeypatch.setattr(supervisor, "_log", structlog.get_logger())
        on_bench.start(DestinationDrain(NAME, on_bench.shared()).run())
        await on_bench.advance(TIDY_SECONDS * 99)
    told = [line["reason"] for line in lines if line["event"] == "drain.tidy"]
    assert on_bench.destination.tidied == 100
    assert told == ["PermissionError"] * 7, "1, 2, 4 … 64"
