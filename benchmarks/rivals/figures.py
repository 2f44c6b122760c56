"""What has to be reached, from what was found: streamer over the best of its rivals.

Throughput and the 99th percentile are compared at each number of connections with whichever rival
is hardest there. On Hypercorn one call costs more than a whole request costs others, so that the
distance over one connection is told without a bound; uvicorn has to be ahead there too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from benchmarks.harness.report import Figure
from benchmarks.rivals.comparison import Found, Value, hardest, per_second, promptness
from benchmarks.rivals.rounds import CONNECTIONS

HYPERCORN = "streamer-hypercorn"
UVICORN = "streamer-uvicorn"
BOUNDED = {HYPERCORN: (16, 64), UVICORN: (1,)}
"""Over how many connections each has to be ahead of every listed rival."""
AHEAD = 1.0
THROUGHPUT = ("throughput", per_second)
P99 = ("p99", promptness)


def figures(found: Sequence[Found]) -> list[Figure]:
    """Hold streamer against the listed rivals, and without bounds against other durable ones."""
    ours = [one for one in found if one.contestant.name in BOUNDED]
    rivals = [one for one in found if one not in ours and one.durable and not one.not_measured]
    listed = [one for one in rivals if one.contestant.listed]
    others = [one for one in rivals if not one.contestant.listed]
    told: list[Figure] = []
    for one in ours:
        told += _over(
            one, listed, "the best rival", (THROUGHPUT, P99), BOUNDED[one.contestant.name]
        )
        told += _over(one, others, "the best of the other durable ones", (THROUGHPUT,), ())
        told.append(_lost(one))
    return sorted(told, key=lambda figure: figure.bound == "")  # the answer stands first


def _over(
    one: Found,
    rivals: Sequence[Found],
    whom: str,
    values: Sequence[tuple[str, Value]],
    bounded: Collection[int],
) -> Iterator[Figure]:
    for what, value in values:
        for connections in CONNECTIONS:
            times, note = None, one.not_measured or "no rival was measured"
            if rivals and not one.not_measured:
                times, rival = hardest(one, rivals, value, connections)
                note = rival.contestant.title
            yield Figure(
                name=f"{one.contestant.title}, {connections} conn.: {what} over {whom}",
                value=times,
                unit="x",
                at_least=AHEAD if connections in bounded else None,
                note=note,
            )


def _lost(one: Found) -> Figure:
    return Figure(
        name=f"{one.contestant.title}: answered and lost by kill -9",
        value=one.lost,
        unit="events",
        at_most=0,
        note=one.not_measured or f"of {one.answered:,} answered",
    )
