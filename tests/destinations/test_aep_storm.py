"""Ten thousand events to an Adobe that refuses, fails, forgets and lets tokens expire."""

from __future__ import annotations

import json
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import pytest

from streamer.core import samples
from streamer.core.catalogue import variants
from streamer.core.event import Event
from streamer.destinations.aep import AepDestination
from streamer.drain.feed import LiveFeed
from streamer.drain.shared import DrainPolicy, Shared
from streamer.drain.track import TrackLoop
from streamer.observe.board import Board
from streamer.store import cursors, destinations, outbox
from streamer.store.destinations import Declared
from tests.destinations.aep_cases import ids, inlet_requests, new_destination, options_for
from tests.destinations.examples import Alarms
from tests.drain.bench import EVERYTHING, Bench, bench
from tests.stand_ins.aep import Adobe, aep_stand_in
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

EVENTS = 10_000
BATCH = 100
POISONED = 4_321
BROKEN = range(1_000, EVENTS, 1_777)
"""Positions of events whose body cannot be read."""


def mixed_events(clock: ManualClock) -> list[Event]:
    """Make events of every known type, some with a mail's whole content."""
    names = [
        (name, variant)
        for name in samples.sample_names()
        for variant in variants(*name.split(".", 1))
    ]
    return [
        _event(number, name, variant, clock)
        for number, (name, variant) in enumerate(islice(cycle(names), EVENTS), start=1)
    ]


def _event(number: int, name: str, variant: str, clock: ManualClock) -> Event:
    object_type, _, metric = name.partition(".")
    seconds = clock.now() // 1000 - 60
    body = samples.sample_body(
        name, number=number, at_seconds=seconds, variant=variant, with_content=number % 10 == 0
    )
    return Event(
        source="customerio",
        event_id=str(json.loads(body)["event_id"]),
        object_type=object_type,
        metric=metric,
        occurred_at=seconds,
        received_at=clock.now(),
        lane_key=number,
        body=b"{broken" if number in BROKEN else body,
    )


def store(on_bench: Bench, events: list[Event], clock: ManualClock) -> None:
    lake = [Declared("lake", "aep", 1, start="earliest")]
    on_bench.transact(lambda db: destinations.declare(db, lake, now=clock.now()))
    for begin in range(0, EVENTS, 1_000):
        some = events[begin : begin + 1_000]
        on_bench.transact(partial(outbox.append, arrivals=some, quarantine_bytes_max=10**6))


async def drain(on_bench: Bench, destination: AepDestination, clock: ManualClock) -> None:
    """Drain until everything is settled, as the service does, on a clock that jumps its waits."""
    shared = Shared(
        destination,
        DrainPolicy(selection=EVERYTHING, batch_events_max=BATCH),
        writer=on_bench.writer,
        reader=on_bench.reader,
        clock=clock,
        board=Board(clock),
    )
    (cursor,) = cursors.load(on_bench.db, "lake")
    track = TrackLoop(shared, cursor, LiveFeed(EVERYTHING, cursor.lane))

    def stop_at_the_end() -> None:
        shared.stopping = track.cursor.progress.position >= EVENTS

    shared.on_settled = stop_at_the_end
    await track.run()


def check_order(arrived: list[int]) -> None:
    """Only inside one batch may a later event be accepted first; repeats do not count."""
    first_at: dict[int, int] = {}
    for number, position in enumerate(arrived):
        first_at.setdefault(position, number)
    newest = 0
    for position in sorted(first_at, key=first_at.__getitem__):
        assert position > newest - BATCH, "an event was sent before one of an earlier batch"
        newest = max(newest, position)


def requests_with(adobe: Adobe, status: int) -> int:
    return sum(one == status for one, _ in inlet_requests(adobe))


async def test_every_event_is_taken_or_a_dead_letter_for_its_reason_whatever_adobe_does(
    tmp_path: Path,
) -> None:
    clock, alarms = ManualClock(), Alarms()
    events = mixed_events(clock)
    position_of = {event.event_id: at for at, event in enumerate(events, start=1)}
    async with (
        aep_stand_in(
            clock=clock, seed=3, messages_per_second=10**9, requests_per_second=10**9
        ) as adobe,
        bench(tmp_path / "streamer.db") as on_bench,
    ):
        faults = adobe.faults
        faults.refuse_share, faults.failure_shape = 0.03, "mixed"
        faults.unavailable_share, faults.throttled_share = 0.05, 0.02
        faults.short_answer_share, faults.lost_answer_share = 0.01, 0.01
        faults.expire_tokens_every = 25
        faults.poison = lambda entity: entity["_id"] == events[POISONED - 1].event_id
        store(on_bench, events, clock)
        inlet = adobe.new_inlet()
        options = options_for(adobe, inlet, batch_events_max=BATCH, request_bytes_max=80_000)
        destination = new_destination(
            options, secret=adobe.client_secret, clock=clock, alarms=alarms
        )
        await drain(on_bench, destination, clock)
        await destination.aclose()
        buried = on_bench.buried()

    # Everything went wrong that was to go wrong.
    assert min(requests_with(adobe, status) for status in (503, 429, 401, 500, 0)) >= 1
    assert "STR-321" in alarms.codes

    # Every event is in Adobe's hands, or a dead letter that says why.
    arrived = [position_of[each] for each in ids(adobe)]
    missing = set(range(1, EVENTS + 1)) - set(arrived)
    assert missing <= buried.keys()
    assert {at for at, reason in buried.items() if reason == "unmappable"} == set(BROKEN)
    assert {at for at, reason in buried.items() if reason == "http_500"} == {POISONED}
    refused = {at for at, reason in buried.items() if reason == "http_400"}
    assert len(buried) == len(refused) + len(BROKEN) + 1
    assert 0.02 * EVENTS < len(refused) < 0.04 * EVENTS
    assert not adobe.failed(inlet.dataset_id), "what Adobe takes it also finds valid"

    check_order(arrived)
    assert max(size for _, size in inlet_requests(adobe)) <= options.request_bytes_max
    assert requests_with(adobe, 413) == 0
    assert adobe.token_requests <= 1 + requests_with(adobe, 401)
