"""A settlement that the database refuses: held, told, probed, and nobody else is hurt."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from msgspec.structs import replace

from streamer.core.alarms import HELD, UNSETTLED
from streamer.core.drain import Phase
from streamer.core.intervals import REFUSED_RETRY_SECONDS, SETTLE_RETRY_SECONDS_MAX
from streamer.core.limits import HELD_PROBE_SECONDS_MIN
from streamer.core.outcome import deferred
from streamer.core.selection import Selection
from streamer.drain import shared as shared_module
from streamer.drain import supervisor
from streamer.drain.shared import DrainPolicy
from streamer.drain.supervisor import DestinationDrain
from streamer.store import destinations, replays, sqlite, status
from streamer.store.replays import Request
from tests.drain.bench import EVERYTHING, NAME, Bench
from tests.drain.whole import cancel, look, new_drain, replay_of

pytestmark = pytest.mark.anyio

POLICY = DrainPolicy(selection=EVERYTHING, batch_events_max=4)
BODY = "somebody@example.com"

REFUSE_LEDGER = """
CREATE TRIGGER refuse BEFORE INSERT ON ledger BEGIN SELECT raise(ABORT, 'it does not fit'); END
"""
REFUSE_CURSORS = """
CREATE TRIGGER refuse BEFORE UPDATE ON cursors BEGIN SELECT raise(ABORT, 'it does not fit'); END
"""
ALLOW = "DROP TRIGGER refuse"

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Every line of the log about writing."""
    with structlog.testing.capture_logs() as captured:
        monkeypatch.setattr(shared_module, "_log", structlog.get_logger())
        monkeypatch.setattr(supervisor, "_log", structlog.get_logger())
        yield captured


def do(bench: Bench, statement: str) -> None:
    bench.transact(lambda db: db.execute(statement))


async def test_a_refused_settlement_holds_the_destination_and_probes_with_one_event(
    on_bench: Bench, lines: Lines
) -> None:
    on_bench.append(8)
    do(on_bench, REFUSE_LEDGER)
    track = on_bench.track(on_bench.shared())
    running = on_bench.start(track.run())
    await on_bench.settle_down()
    assert on_bench.destination.sent == [(1, 2, 3, 4)]
    assert track.track.phase is Phase.HELD
    assert on_bench.board.codes == {UNSETTLED.code}, "it is not the destination that refuses"
    shown = status.read(on_bench.db, now=on_bench.clock.now()).destinations[NAME]
    assert (shown.state, shown.cursor) == ("held", 0)
    assert "it does not fit" in shown.last_error
    assert shown.next_attempt_at is not None
    assert [line["event"] for line in lines] == ["drain.write_refused"]
    await on_bench.advance(3_600)
    assert set(on_bench.destination.sent[1:]) == {(1,)}
    assert 4 <= len(on_bench.destination.sent) <= 10, "every 1 to 15 minutes"
    assert track.alive_until > on_bench.clock.monotonic()
    assert not running.done()
    do(on_bench, ALLOW)
    await on_bench.advance(900)
    assert on_bench.cursor().progress.position == 8
    assert on_bench.cursor().state.state == "ready"
    assert not on_bench.board.codes


async def test_a_poke_tries_at_once_whether_it_can_be_written_now(on_bench: Bench) -> None:
    on_bench.append(2)
    do(on_bench, REFUSE_LEDGER)
    shared = on_bench.shared()
    track = on_bench.track(shared)
    on_bench.start(track.run())
    await on_bench.settle_down()
    do(on_bench, ALLOW)
    track.poked = True
    shared.wake()
    await on_bench.settle_down()
    assert on_bench.clock.monotonic() == 0
    assert on_bench.cursor().progress.position == 2


async def test_not_even_the_hold_can_be_written_and_it_does_not_spin(
    on_bench: Bench, lines: Lines
) -> None:
    on_bench.append(4)
    do(on_bench, REFUSE_CURSORS)
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(HELD_PROBE_SECONDS_MIN - 1)
    assert on_bench.destination.sent == [(1, 2, 3, 4)]
    assert UNSETTLED.code in on_bench.board.codes
    assert len(lines) == 2
    do(on_bench, ALLOW)
    await on_bench.advance(2)
    assert on_bench.cursor().progress.position == 4
    assert not on_bench.board.codes


async def test_an_exclusive_destination_undoes_what_cannot_be_written_down(
    on_bench: Bench,
) -> None:
    on_bench.append(6)
    on_bench.destination.exclusive = True
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    do(
        on_bench,
        "CREATE TRIGGER refuse BEFORE UPDATE OF accepted ON destinations"
        " BEGIN SELECT raise(ABORT, 'it does not fit'); END",
    )
    on_bench.append(2)
    await on_bench.advance(6)
    assert on_bench.destination.lines == [1, 2, 3, 4, 5, 6]
    do(on_bench, ALLOW)
    await on_bench.advance(61)
    assert on_bench.destination.lines == [1, 2, 3, 4, 5, 6, 7, 8], "none twice"


@pytest.mark.parametrize(
    "error", [TypeError(BODY), OverflowError(BODY), UnicodeEncodeError("utf-8", BODY, 0, 1, "no")]
)
async def test_a_bug_of_ours_is_no_reason_to_start_anew_for_ever(
    on_bench: Bench, monkeypatch: pytest.MonkeyPatch, lines: Lines, error: Exception
) -> None:
    on_bench.append(1)

    def fail(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr("streamer.store.settling.ledger.add", fail)
    running = on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    assert not running.done()
    assert on_bench.cursor().state.state == "held"
    said = f"{lines} {on_bench.board.noted} {on_bench.cursor().state.last_error}"
    assert type(error).__name__ in said
    assert BODY not in said


async def test_a_damaged_page_stops_this_destination_and_not_the_writer(
    on_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_bench.append(1)

    def fail(*_: object, **__: object) -> int:
        error = sqlite.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = 11
        raise error

    monkeypatch.setattr("streamer.store.settling.ledger.add", fail)
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(30)
    assert on_bench.writer.stats.disk_errors_in_row == 0
    assert on_bench.cursor().state.state == "held"
    assert "malformed" in on_bench.cursor().state.last_error


async def test_a_later_deferral_does_not_pass_for_a_settlement_that_worked(
    on_bench: Bench,
) -> None:
    on_bench.append(2)
    do(on_bench, REFUSE_LEDGER)
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    on_bench.destination.answer = lambda batch: [deferred("http_503") for _ in batch]
    await on_bench.advance(61)
    assert on_bench.cursor().state.state == "waiting"
    assert UNSETTLED.code in on_bench.board.codes


async def test_the_alarm_stands_until_each_lane_is_through(on_bench: Bench) -> None:
    on_bench.declare(lanes=2)
    shared = on_bench.shared(replace(POLICY, lanes=2))
    cursors = [one for one in on_bench.cursors() if one.lane.lanes == 2]
    on_bench.append(2)
    do(on_bench, REFUSE_LEDGER)
    tracks = [on_bench.track(shared, cursor) for cursor in cursors]
    for track in tracks:
        on_bench.start(track.run())
    await on_bench.settle_down()
    do(on_bench, ALLOW)
    tracks[0].poked = True
    shared.wake()
    await on_bench.settle_down()
    assert UNSETTLED.code in on_bench.board.codes
    tracks[1].poked = True
    shared.wake()
    await on_bench.settle_down()
    assert not on_bench.board.codes


async def test_what_a_filter_passed_and_cannot_be_noted_is_tried_again_later(
    on_bench: Bench, lines: Lines
) -> None:
    wanted = Selection(include=("email.opened",), exclude=())
    on_bench.append(5)
    do(on_bench, REFUSE_CURSORS)
    running = on_bench.start(
        on_bench.track(on_bench.shared(replace(POLICY, selection=wanted))).run()
    )
    await on_bench.advance(300)
    assert not running.done()
    assert UNSETTLED.code in on_bench.board.codes
    assert len(lines) <= 10, "twice a minute"
    do(on_bench, ALLOW)
    await on_bench.advance(60)
    assert on_bench.cursor().progress.position == 5
    assert not on_bench.board.codes


async def test_a_replay_whose_end_cannot_be_noted_neither_spins_nor_ends_the_drain(
    on_bench: Bench, lines: Lines
) -> None:
    on_bench.append(2)
    drain = DestinationDrain(NAME, on_bench.shared())
    running = on_bench.start(drain.run())
    await on_bench.settle_down()
    do(
        on_bench,
        "CREATE TRIGGER refuse BEFORE UPDATE OF state ON replays"
        " BEGIN SELECT raise(ABORT, 'it does not fit'); END",
    )
    request = Request(NAME, positions=(1,))
    started = on_bench.transact(lambda db: replays.start(db, request, events=1, now=1))
    drain.apply(destinations.load(on_bench.db, NAME), replays.running(on_bench.db, NAME), {})
    await on_bench.advance(REFUSED_RETRY_SECONDS * 3 - 1)
    assert not running.done()
    assert UNSETTLED.code in on_bench.board.codes
    refused = [line for line in lines if line["event"] == "drain.write_refused"]
    assert len(refused) == 3
    do(on_bench, ALLOW)
    await on_bench.advance(REFUSED_RETRY_SECONDS)
    found = replays.load(on_bench.db, started)
    assert found is not None
    assert found.state == "done"
    assert not on_bench.board.codes
    assert drain.alive_until > on_bench.clock.monotonic()


async def test_a_replay_whose_end_cannot_be_noted_can_be_cancelled_and_its_alarm_ends(
    on_bench: Bench,
) -> None:
    on_bench.append(1)
    drain = new_drain(on_bench)
    replay_id = replay_of(on_bench, 1)
    do(
        on_bench,
        "CREATE TRIGGER refuse BEFORE UPDATE OF state ON replays"
        " BEGIN SELECT raise(ABORT, 'it does not fit'); END",
    )
    on_bench.start(drain.run())
    await on_bench.advance(REFUSED_RETRY_SECONDS * 3 + 1)
    cleared = [change for change in on_bench.board.take() if not change.times]
    assert UNSETTLED.code in on_bench.board.codes
    assert not cleared, "it stands from one try to the next"
    do(on_bench, ALLOW)
    cancel(on_bench, replay_id)
    look(on_bench, drain)
    await on_bench.settle_down()
    assert not on_bench.board.standing


async def test_a_mark_that_cannot_be_stored_keeps_the_destination_closed(on_bench: Bench) -> None:
    on_bench.destination.exclusive = True
    on_bench.append(1)
    do(
        on_bench,
        "CREATE TRIGGER refuse BEFORE UPDATE OF mark ON destinations"
        " BEGIN SELECT raise(ABORT, 'it does not fit'); END",
    )
    running = on_bench.start(DestinationDrain(NAME, on_bench.shared()).run())
    await on_bench.advance(60)
    assert not running.done()
    assert not on_bench.destination.sent
    assert HELD.code in on_bench.board.codes
    do(on_bench, ALLOW)
    await on_bench.advance(31)
    assert on_bench.destination.sent == [(1,)]


async def test_a_full_disk_is_waited_out_with_backoff_and_counted(
    on_bench: Bench, lines: Lines
) -> None:
    on_bench.append(4)
    (pages,) = on_bench.db.execute("PRAGMA page_count").fetchone()
    await on_bench.writer.maintain(lambda db: db.execute(f"PRAGMA max_page_count = {pages}"))
    on_bench.destination.marked = "x" * 100_000
    shared = on_bench.shared()
    on_bench.start(on_bench.track(shared).run())
    await on_bench.advance(600)
    assert 55 <= shared.retries <= 65, "soon every ten seconds"
    assert [line["tries"] for line in lines] == [1, 2, 4, 8, 16, 32]
    assert not on_bench.board.codes
    await on_bench.writer.maintain(lambda db: db.execute("PRAGMA max_page_count = 1000000"))
    await on_bench.advance(SETTLE_RETRY_SECONDS_MAX)
    assert on_bench.cursor().progress.position == 4
    assert on_bench.destination.sent == [(1, 2, 3, 4)]
    assert lines[-1]["event"] == "drain.written"
