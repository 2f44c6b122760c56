"""A quick check for each promise, against whichever copy of the program is imported.

Each joins the real parts in one process (`tests.system.rig`). `tests.system.test_mutations` runs
them against copies that are broken on purpose. By hand: ``python -m tests.system.promises`` with
names, or without for all, says which of them are broken, and exits with 1 if any is.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import structlog
from msgspec.structs import replace

from streamer.core import cloudevents
from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, Outcome, deferred, rejected
from streamer.core.privacy import Redactor
from streamer.observe.log import where
from streamer.store import cursors, prune, replays, sqlite
from streamer.store.replays import Request
from tests.system.rig import SOURCE, WAIT_SECONDS, Rig, accept, event


async def p1_answered_means_committed(rig: Rig) -> None:
    """While a commit cannot happen there is no 2xx; after a 2xx the row is there for others."""
    blocker = sqlite.open_writer(rig.path)
    blocker.execute("BEGIN IMMEDIATE")
    assert await rig.post(event(1)) == 503
    blocker.execute("ROLLBACK")
    blocker.close()
    assert await rig.post(event(2)) == 200
    assert ("event-2",) in rig.rows("SELECT event_id FROM outbox")


async def p1_commits_are_synced(rig: Rig) -> None:
    """The writer's connection waits for the disk at every commit."""
    db = sqlite.open_writer(rig.path)
    assert db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    db.close()


async def p1_nothing_unsettled_is_pruned(rig: Rig) -> None:
    """However old, an event stays until it is settled; then it goes."""
    await rig.fill(3)
    later = rig.clock.now() + 10**9

    def forget(now: int) -> int:
        db = sqlite.open_writer(rig.path)
        try:
            prune.mark_settled(db, now=now)
            return prune.prune_step(db, older_than=later, events_max=10).events
        finally:
            db.close()

    assert forget(rig.clock.now()) == 0
    rig.drain()
    await rig.settled(3)
    assert forget(rig.clock.now() + 10**6) == 3


async def p2_order_holds_through_deferrals(rig: Rig) -> None:
    """Nothing is offered before all that lies in front of it is settled, but within one batch."""

    def answers(attempt: int, events: Sequence[StoredEvent]) -> list[Outcome]:
        if attempt % 3 == 1:
            return [deferred("later")] * len(events)
        if attempt % 3 == 2:
            return [deferred("later") if at is events[1] else ACCEPTED for at in events]
        return accept(attempt, events)

    rig.destination.answers = answers
    await rig.fill(23)
    rig.drain()
    await rig.settled(23)
    done: set[int] = set()
    for batch, taken in rig.destination.batches:
        assert batch == sorted(batch), batch
        assert not done & set(batch), "an accepted event is sent again"
        first_open = next(at for at in range(1, 25) if at not in done)
        assert batch[0] == first_open, (batch, first_open)
        done |= set(taken)
    assert done == set(range(1, 24))


async def p3_the_cursor_waits_for_the_answer(rig: Rig) -> None:
    """Before the answer nothing is settled; after a crash the batch is offered again."""
    rig.destination.hangs = True
    await rig.fill(7)
    drain, _ = rig.drain()
    await rig.destination.arrived.wait()
    await rig.fill(9)  # two more commits: whatever was to be written is written by now
    assert rig.rows("SELECT position FROM cursors") == [(0,)]
    await drain.stop(0)
    rig.destination.hangs = False
    rig.drain()
    await rig.settled(9)
    assert rig.destination.accepted == list(range(1, 10))


async def p3_the_cursor_stops_at_what_is_deferred(rig: Rig) -> None:
    """What was accepted beyond it is remembered beside the cursor and not sent again."""

    def answers(attempt: int, events: Sequence[StoredEvent]) -> list[Outcome]:
        rig.destination.hangs = True
        return [deferred("later") if at.position == 2 else ACCEPTED for at in events]

    rig.destination.answers = answers
    await rig.fill(5)
    drain, _ = rig.drain()
    await rig.until("SELECT count(*) FROM ledger", 2)
    assert rig.rows("SELECT position, ahead FROM cursors") == [(1, "[3, 4, 5]")]
    await drain.stop(0)
    rig.destination.hangs, rig.destination.answers = False, accept
    rig.drain()
    await rig.settled(5)
    assert rig.destination.accepted == [1, 3, 4, 5, 2]


async def p3_an_error_of_a_destination_settles_nothing(rig: Rig) -> None:
    """A destination that fails in a way of its own has accepted nothing."""

    def answers(attempt: int, events: Sequence[StoredEvent]) -> list[Outcome]:
        if attempt < 3:
            raise RuntimeError("a bug")
        return accept(attempt, events) if attempt > 3 else []

    rig.destination.answers = answers
    await rig.fill(4)
    rig.drain()
    await rig.settled(4)
    assert rig.destination.accepted == [1, 2, 3, 4]


async def p3_an_operator_is_not_overwritten(rig: Rig) -> None:
    """A rewind under a batch in flight stays, and everything behind it is sent again."""
    await rig.fill(5)
    drain, control = rig.drain()
    await rig.settled(5)
    rig.destination.hangs = True
    rig.destination.arrived.clear()
    assert await rig.post(event(6)) == 200
    drain.wake()
    await rig.destination.arrived.wait()
    now = rig.clock.now()
    await rig.writer.do(lambda db: cursors.move(db, "hook", 2, now=now))
    await control.look()
    await drain.stop(0)
    rig.destination.hangs = False
    assert rig.rows("SELECT position FROM cursors") == [(2,)]
    stale = rig.rows("SELECT id FROM cursors")[0][0]
    held = await rig.reader.run(lambda db: cursors.load(db, "hook")[0])
    kept = await rig.writer.do(
        lambda db: cursors.save(
            db, stale, held.generation - 1, progress=held.progress, state=held.state, now=now
        )
    )
    assert kept is False
    rig.drain()
    await rig.settled(6)
    assert rig.destination.accepted == [1, 2, 3, 4, 5, 3, 4, 5, 6]


async def p4_a_repeat_is_stored_once(rig: Rig) -> None:
    """A repeat is a quiet 200; another body under the same id is kept, and told."""
    for _ in range(3):
        assert await rig.post(event(1)) == 200
    assert rig.rows("SELECT count(*) FROM outbox") == [(1,)]
    assert rig.rows("SELECT count(*) FROM quarantine") == [(0,)]
    assert await rig.post(event(1, "changed")) == 200
    assert rig.rows("SELECT count(*) FROM outbox") == [(1,)]
    assert rig.rows("SELECT reason FROM quarantine") == [("id_conflict",)]


async def p5_signed_garbage_is_kept(rig: Rig) -> None:
    """What was signed is answered 200 and kept, byte for byte; the feed goes on."""
    garbage = [b"{", b"[1]", b'"\xff"', b'{"metric":"sent"}', b"[" * 5000, b"x" * 2**17]
    for body in garbage:
        assert await rig.post(body) == 200, body[:10]
    kept = {bytes(row[0]) for row in rig.rows("SELECT body FROM quarantine")}
    assert kept == set(garbage)
    assert await rig.post(event(1)) == 200
    rig.drain()
    await rig.settled(1)


async def p6_no_answer_costs_a_genuine_sender_an_hour(rig: Rig) -> None:
    """Whatever goes wrong on our side is a 503."""
    assert await rig.post(event(1), key=b"wrong") == 503
    assert rig.rows("SELECT count(*) FROM outbox") == [(0,)]
    rig.front.gate.disk_full = True
    assert await rig.post(event(1)) == 503
    rig.front.gate.disk_full = False
    blocker = sqlite.open_writer(rig.path)
    blocker.execute("BEGIN IMMEDIATE")
    assert await rig.post(event(1)) == 503
    blocker.close()
    # A bug in our own code, so to speak.
    rig.front.sources = {"customerio": replace(SOURCE, age_warn_seconds="soon")}
    assert await rig.post(event(1)) == 503


async def p7_what_is_refused_for_good_is_buried(rig: Rig) -> None:
    """One poisonous event becomes a dead letter with its reason; the others are delivered."""

    def answers(attempt: int, events: Sequence[StoredEvent]) -> list[Outcome]:
        return [rejected("http_422", "no") if at.position == 3 else ACCEPTED for at in events]

    rig.destination.answers = answers
    await rig.fill(8)
    rig.drain()
    await rig.settled(8)
    letters = rig.rows("SELECT position, event_id, reason, state FROM dead_letters")
    assert letters == [(3, "event-3", "http_422", "open")]
    assert rig.destination.accepted == [1, 2, 4, 5, 6, 7, 8]


async def p7_a_refusal_of_everything_is_held(rig: Rig) -> None:
    """A destination that refuses all is held with nothing buried, and goes on when it is mended."""

    def refuse(attempt: int, events: Sequence[StoredEvent]) -> list[Outcome]:
        return [rejected("http_400", whole=len(events) > 1)] * len(events)

    rig.destination.answers = refuse
    await rig.fill(12)
    drain, _ = rig.drain()
    await rig.until("SELECT state FROM cursors", "held")
    assert rig.rows("SELECT count(*) FROM dead_letters") == [(0,)]
    assert rig.rows("SELECT position FROM cursors") == [(0,)]
    rig.destination.answers = accept
    drain.poke()
    await rig.settled(12)
    assert rig.rows("SELECT count(*) FROM dead_letters") == [(0,)]
    assert sorted(rig.destination.accepted) == list(range(1, 13))


async def p8_a_delivery_carries_the_event_id(rig: Rig) -> None:
    """The far side can drop repeats by what it was sent."""
    stored = StoredEvent(7, "customerio", "the-id", "email", "sent", None, 0, 0, b"{}")
    line = cloudevents.encode(stored, Redactor(drop=(), hash=()))
    assert b'"id":"the-id"' in line


async def a_replay_leaves_the_live_cursor_alone(rig: Rig) -> None:
    """A replay sends its range again beside the live order, and is over."""
    await rig.fill(6)
    _, control = rig.drain()
    await rig.settled(6)
    request = Request(destination="hook", from_position=2, to_position=4)
    now = rig.clock.now()
    await rig.writer.do(lambda db: replays.start(db, request, events=3, now=now))
    await control.look()
    await rig.until("SELECT state FROM replays", "done")
    assert rig.destination.accepted == [1, 2, 3, 4, 5, 6, 2, 3, 4]
    assert rig.rows("SELECT replay_id, position FROM cursors") == [(0, 6)]


CHECKS: dict[str, Callable[[Rig], Awaitable[None]]] = {
    check.__name__: check
    for check in (
        p1_answered_means_committed,
        p1_commits_are_synced,
        p1_nothing_unsettled_is_pruned,
        p2_order_holds_through_deferrals,
        p3_the_cursor_waits_for_the_answer,
        p3_the_cursor_stops_at_what_is_deferred,
        p3_an_error_of_a_destination_settles_nothing,
        p3_an_operator_is_not_overwritten,
        p4_a_repeat_is_stored_once,
        p5_signed_garbage_is_kept,
        p6_no_answer_costs_a_genuine_sender_an_hour,
        p7_what_is_refused_for_good_is_buried,
        p7_a_refusal_of_everything_is_held,
        p8_a_delivery_carries_the_event_id,
        a_replay_leaves_the_live_cursor_alone,
    )
}


async def check(name: str) -> None:
    """Run one check in a directory of its own; raises what it finds."""
    with tempfile.TemporaryDirectory() as directory:
        async with asyncio.timeout(4 * WAIT_SECONDS), Rig(Path(directory)) as rig:
            await CHECKS[name](rig)


def main() -> None:
    """Run the named checks, or all."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    broken = []
    for name in sys.argv[1:] or CHECKS:
        try:
            anyio.run(check, name)
        except BaseException as error:
            broken.append(f"{name}: {error!r} {where(error)}")
    sys.stdout.write("".join(f"broken {line}\n" for line in broken))
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
