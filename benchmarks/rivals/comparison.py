"""All contestants through the same rounds, and what one is to another.

Every round measures each of them once, so that a machine's mood hits all alike; ratios are taken
within a round. A contestant that fails once is out of the comparison, with its reason.

Nobody is bound to a processor core here: some contestants are several processes, and would lose
to a single one on a single core for no reason that their users know. What all of it costs is told
by the processor time for each event.
"""

from __future__ import annotations

import itertools
import math
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec

from benchmarks.harness.load import signed_requests
from benchmarks.harness.pairs import interleaved, median_ratio
from benchmarks.rivals import rounds
from benchmarks.rivals.contestants import Contestant
from benchmarks.rivals.rounds import CONNECTIONS, Round, Speed
from benchmarks.rivals.running import NotMeasured, reason, started

PER_SECOND_MAX = 15_000
"""A load that is faster runs out of requests before its time, which does no harm."""
POOL_SECONDS_MAX = 120
"""Streamer tells of calls that were signed five minutes ago, which takes time of its own."""
SYNCED_CALLS = {1: 100, 16: 480}
"""How many calls the syncs are counted over, for each number of connections."""
SYNCED_CONNECTIONS = tuple(SYNCED_CALLS)
DURABLE_SYNCS_MIN = 0.99
"""For each answer on one connection. Just under one: a sync may fall out of the count."""


class Size(msgspec.Struct, frozen=True):
    """How much is measured."""

    rounds: int
    load_seconds: float
    kills: int
    answers_before_kill: int


class Found(msgspec.Struct):
    """What is known of one contestant so far."""

    contestant: Contestant
    rounds: list[Round] = []
    syncs: dict[int, float | None] = {}
    answered: int | None = None
    """Calls answered with 200 before the kills, all together."""
    lost: int | None = None
    """Those of them whose events were not stored afterwards."""
    not_measured: str = ""
    """The reason, if there is one."""

    @property
    def durable(self) -> bool:
        """Say whether a sync is behind each answer, by its own word and by the count."""
        counted = self.syncs.get(SYNCED_CONNECTIONS[0])
        return self.contestant.durable and (counted is None or counted >= DURABLE_SYNCS_MIN)

    def at(self, connections: int) -> list[Speed]:
        """Return its loads over so many connections, in the order of the rounds."""
        return [one.at(connections) for one in self.rounds]


class Pool:
    """The requests that every contestant gets, signed anew before they look old to anybody."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._made_at = -math.inf
        self._requests: list[bytes] = []

    def written_for(self, contestant: Contestant) -> Iterator[bytes]:
        """Give all of them, as the contestant wants them."""
        if time.monotonic() - self._made_at > POOL_SECONDS_MAX:
            self._requests = signed_requests(self._count)
            self._made_at = time.monotonic()
        return map(contestant.adapt, self._requests)


Value = Callable[[Speed], float]


def compare(contestants: Sequence[Contestant], directory: Path, size: Size) -> list[Found]:
    """Measure all of them, below an empty directory."""
    loads = len(CONNECTIONS) * size.load_seconds * PER_SECOND_MAX
    warm_up = rounds.WARM_UP + rounds.WARM_UP_COMMITS
    pool = Pool(int(loads) + warm_up + sum(SYNCED_CALLS.values()) + 2 * size.answers_before_kill)
    found = [Found(contestant) for contestant in contestants]
    places = (directory / str(number) for number in itertools.count())
    interleaved(size.rounds, *(partial(_round, one, pool, places, size) for one in found))
    for one in found:
        _safety(one, pool, places, size)
    return found


def _round(found: Found, pool: Pool, places: Iterator[Path], size: Size) -> None:
    def measure(directory: Path) -> None:
        contestant = found.contestant
        with started(contestant.start, directory) as running:
            requests = pool.written_for(contestant)
            found.rounds.append(
                rounds.measure(running, requests, size.load_seconds, contestant.send)
            )

    _attempt(found, measure, next(places))


def _safety(found: Found, pool: Pool, places: Iterator[Path], size: Size) -> None:
    for _ in range(size.kills):
        _attempt(found, partial(_sync_and_kill, found, pool, size), next(places))


def _sync_and_kill(found: Found, pool: Pool, size: Size, directory: Path) -> None:
    """Count syncs once, then kill in mid-load and look what was kept."""
    contestant = found.contestant
    requests = pool.written_for(contestant)
    with started(contestant.start, directory) as running:
        if not found.syncs:
            for connections, count in SYNCED_CALLS.items():
                found.syncs[connections] = rounds.count_syncs(
                    running, requests, connections, count, contestant.send
                )
        answered = rounds.kill_in_mid_load(running, requests, size.answers_before_kill)
    lost = answered - contestant.stored(directory)
    found.answered = (found.answered or 0) + len(answered)
    found.lost = (found.lost or 0) + len(lost)


def _attempt(found: Found, measure: Callable[[Path], None], directory: Path) -> None:
    """Measure something of a contestant that has not failed yet, and note if it fails now."""
    if found.not_measured:
        return
    try:
        measure(directory)
    except NotMeasured as error:
        found.not_measured = str(error)
    except Exception as error:  # whatever a rival comes up with must not end the comparison
        found.not_measured = f"{type(error).__name__}: {reason(str(error))}"
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # all of them together are gigabytes


def per_second(speed: Speed) -> float:
    """More is better."""
    return speed.per_second


def promptness(speed: Speed) -> float:
    """Return the inverse of the 99th percentile, in 1/ms: more is better here too."""
    return 1 / speed.p99_ms


def thrift(speed: Speed) -> float:
    """Return events per microsecond of processor time."""
    return 1 / speed.cpu_microseconds if speed.cpu_microseconds else float("inf")


def ahead(one: Found, other: Found, value: Value, connections: int) -> float:
    """Return how many times as good one is as the other: the median of the rounds' ratios."""
    return median_ratio(
        [value(speed) for speed in one.at(connections)],
        [value(speed) for speed in other.at(connections)],
    )


def hardest(
    one: Found, others: Sequence[Found], value: Value, connections: int
) -> tuple[float, Found]:
    """Return the smallest such number, and whom it is over."""
    return min(
        ((ahead(one, other, value, connections), other) for other in others),
        key=lambda pair: pair[0],
    )


def wins(one: Found, over: Found) -> list[str]:
    """Say in what and by how much one is better than another, in any way that was measured."""
    told = [
        (f"{what} over {connections} conn.", ahead(one, over, value, connections))
        for what, value in (("throughput", per_second), ("p99", promptness))
        for connections in CONNECTIONS
    ]
    told.append(("CPU per event", ahead(one, over, thrift, CONNECTIONS[1])))
    told.append(("memory", _resident(over) / _resident(one)))
    return [f"{what} {times:.1f} x" for what, times in told if times >= WIN_MIN]


WIN_MIN = 1.05
"""What is closer is a draw."""


def _resident(found: Found) -> float:
    return statistics.median(one.resident_mib for one in found.rounds)


def details(found: Sequence[Found], base: Found | None, elsewhere: str) -> dict[str, object]:
    """Return everything that was found as JSON can hold it; wins are over ``base``."""
    return {
        "wins_over": base.contestant.title if base else None,
        "contestants": [_detail(one, base) for one in found],
        "elsewhere": elsewhere,
    }


def _detail(one: Found, base: Found | None) -> dict[str, object]:
    measured = not one.not_measured
    others = base is not None and one is not base and not base.not_measured and measured
    return {
        "name": one.contestant.name,
        "title": one.contestant.title,
        "about": one.contestant.about,
        "listed": one.contestant.listed,
        "durable": one.durable,
        "not_measured": one.not_measured,
        "gives_up": one.contestant.gives_up,
        "wins": wins(one, base) if others and base else [],
        "speeds": {str(count): _median(one.at(count)) for count in CONNECTIONS} if measured else {},
        "resident_mib": _resident(one) if measured else None,
        "syncs": {str(count): value for count, value in one.syncs.items()},
        "answered": one.answered,
        "lost": one.lost,
        "rounds": [msgspec.structs.asdict(speed) for r in one.rounds for speed in r.speeds],
    }


def _median(speeds: Sequence[Speed]) -> dict[str, float]:
    """Return the median of each number over the rounds."""
    return {
        field: statistics.median(getattr(speed, field) for speed in speeds)
        for field in Speed.__struct_fields__
    }
