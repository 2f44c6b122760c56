"""What the log says of an outage: at once, ever more rarely, when it is over, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
import structlog

from streamer.core.alarms import OUTAGE
from streamer.core.conclusion import Conclusion
from streamer.core.drain import Phase, Track
from streamer.core.event import StoredEvent
from streamer.core.intervals import DEFERRAL_LOG_SECONDS_MAX, DEFERRAL_LOG_SECONDS_MIN
from streamer.core.limits import OUTAGE_ALARM_SECONDS
from streamer.core.outcome import ACCEPTED, NOT_ATTEMPTED, Outcome, deferred, held
from streamer.drain import telling
from streamer.drain.shared import DrainPolicy
from streamer.drain.telling import Outage, Teller
from tests.drain.bench import EVERYTHING, NAME, Bench, VirtualClock, WatchedBoard

pytestmark = pytest.mark.anyio

EVENT = StoredEvent(2, "customerio", "event-2", "email", "sent", None, 0, 0, b"{}")

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Every line of the log about outages."""
    with structlog.testing.capture_logs() as captured:
        monkeypatch.setattr(telling, "_log", structlog.get_logger())
        yield captured


def says(outcome: Outcome) -> Callable[[Sequence[StoredEvent]], list[Outcome]]:
    return lambda batch: [outcome for _ in batch]


async def test_the_first_deferral_is_told_at_once_with_what_an_operator_needs(
    on_bench: Bench, lines: Lines
) -> None:
    on_bench.append(3)
    said = deferred("http_503", "somebody@example.com is busy", retry_after_seconds=40)
    on_bench.destination.answer = lambda batch: [said, *[NOT_ATTEMPTED] * (len(batch) - 1)]
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    assert lines == [
        {
            "event": "drain.deferred", "log_level": "warning", "destination": NAME, "kind": "http",
            "reason": "http_503", "http_status": 503, "attempt": 1, "next_try_seconds": 40.0,
            "out_seconds": 0,
        }
    ]  # fmt: skip


async def test_what_is_no_answer_has_a_reason_and_no_status(on_bench: Bench, lines: Lines) -> None:
    on_bench.append(1)
    on_bench.destination.answer = says(deferred("timeout", "https://hook.example/?key=s3cret"))
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.settle_down()
    [line] = lines
    assert (line["reason"], line["http_status"]) == ("timeout", None)
    assert "s3cret" not in str(line)


async def test_a_long_outage_is_told_ever_more_rarely_and_its_end_once(
    on_bench: Bench, lines: Lines
) -> None:
    on_bench.append(6)
    on_bench.destination.answer = says(deferred("timeout"))
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(6 * 3_600)
    assert [line["event"] for line in lines[:3]] == [
        "drain.deferred",
        *["drain.still_deferred"] * 2,
    ]
    for times, (early, late) in enumerate(pairwise(lines)):
        bound = min(DEFERRAL_LOG_SECONDS_MIN * 2**times, DEFERRAL_LOG_SECONDS_MAX)
        assert late["out_seconds"] - early["out_seconds"] >= bound
    assert 7 <= len(lines) <= 12, "six hours, hundreds of attempts"
    lines.clear()
    on_bench.destination.answer = says(ACCEPTED)
    await on_bench.advance(600)
    assert on_bench.cursor().progress.position == 6
    [line] = lines
    assert (line["event"], line["log_level"]) == ("drain.recovered", "info")
    assert 6 * 3_600 <= line["out_seconds"] <= 6 * 3_600 + 300
    assert line["waiting_events"] == 5, "one went first, alone"


async def test_a_destination_that_comes_and_goes_does_not_fill_the_log(
    on_bench: Bench, lines: Lines
) -> None:
    answers = [deferred("http_429", retry_after_seconds=1), ACCEPTED]

    def flap(batch: Sequence[StoredEvent]) -> list[Outcome]:
        answers.append(answers.pop(0))
        return [answers[-1]] * len(batch)

    on_bench.destination.answer = flap
    shared = on_bench.shared()
    on_bench.start(on_bench.track(shared).run())
    for _ in range(300):
        on_bench.append(1)
        shared.wake()
        await on_bench.advance(2)
    assert len(on_bench.destination.sent) == 600
    first = [line for line in lines if line["event"] == "drain.deferred"]
    assert len(first) == 4, "after 0, 60, 180 and 420 of 600 seconds"
    assert len(lines) == 8, "each with its end"


async def test_an_outage_is_over_when_no_lane_defers_any_more(
    on_bench: Bench, lines: Lines
) -> None:
    on_bench.declare(lanes=2)
    policy = DrainPolicy(selection=EVERYTHING, lanes=2)
    shared = on_bench.shared(policy)
    even, odd = on_bench.cursors()[-2:]
    bad = {1, 2}
    on_bench.destination.answer = lambda batch: [
        deferred("http_503") if at.position in bad else ACCEPTED for at in batch
    ]
    on_bench.append(2)
    for cursor in (even, odd):
        on_bench.start(on_bench.track(shared, cursor).run())
    await on_bench.advance(5)
    bad.discard(1)
    await on_bench.advance(50)
    assert [line["event"] for line in lines] == ["drain.deferred"]
    bad.clear()
    await on_bench.advance(300)
    assert [line["event"] for line in lines][-1] == "drain.recovered"
    assert [line["event"] for line in lines].count("drain.recovered") == 1


async def test_a_hold_is_left_to_its_alarm(on_bench: Bench, lines: Lines) -> None:
    on_bench.append(1)
    on_bench.destination.answer = says(held("http_401"))
    on_bench.start(on_bench.track(on_bench.shared()).run())
    await on_bench.advance(3_600)
    on_bench.destination.answer = says(ACCEPTED)
    await on_bench.advance(900)
    assert on_bench.cursor().progress.position == 1
    assert not lines


def test_after_a_calm_time_an_outage_is_told_as_often_as_the_first() -> None:
    clock = VirtualClock()
    outage = Outage(clock)
    for _ in range(1_000):
        outage.go_on()
        clock.seconds += 10
    assert outage.end() is not None
    clock.seconds += 3 * DEFERRAL_LOG_SECONDS_MAX
    assert outage.go_on() == "drain.deferred"
    clock.seconds += DEFERRAL_LOG_SECONDS_MIN
    assert outage.go_on() == "drain.still_deferred"


def test_an_outage_that_was_not_told_has_no_end_to_tell() -> None:
    clock = VirtualClock()
    outage = Outage(clock)
    assert outage.go_on() == "drain.deferred"
    assert outage.end() == 0.0
    assert outage.go_on() is None
    assert outage.end() is None


async def test_an_outage_alarm_stands_while_another_lane_accepts(on_bench: Bench) -> None:
    on_bench.declare(lanes=2)
    shared = on_bench.shared(DrainPolicy(selection=EVERYTHING, lanes=2))
    on_bench.destination.answer = lambda batch: [
        deferred("http_503") if at.position == 1 else ACCEPTED for at in batch
    ]
    on_bench.append(1)
    for cursor in on_bench.cursors()[-2:]:
        on_bench.start(on_bench.track(shared, cursor).run())
    await on_bench.advance(OUTAGE_ALARM_SECONDS + 300)
    assert OUTAGE.code in on_bench.board.codes
    on_bench.append(1)
    shared.wake()
    await on_bench.settle_down()
    assert on_bench.destination.sent[-1] == (2,)
    assert OUTAGE.code in on_bench.board.codes, "the lane of the first event defers as before"


def test_a_batch_accepted_in_part_neither_raises_nor_clears_the_outage_alarm() -> None:
    clock = VirtualClock()
    board = WatchedBoard(clock)
    teller = Teller(NAME, "http", clock=clock, board=board)
    long_ago = clock.now() - (OUTAGE_ALARM_SECONDS + 1) * 1000
    waiting = Track(phase=Phase.WAITING, attempt=9, first_deferred_at=long_ago)
    part = Conclusion(track=waiting, accepted=(EVENT,))
    teller.tell(1, part, [deferred("http_503"), ACCEPTED])
    assert not board.standing
    teller.tell(1, Conclusion(track=waiting), [deferred("http_503")])
    assert board.codes == {OUTAGE.code}
    teller.tell(1, part, [deferred("http_503"), ACCEPTED])
    assert board.codes == {OUTAGE.code}
    teller.tell(1, Conclusion(track=Track(), accepted=part.accepted), [ACCEPTED])
    assert not board.standing
