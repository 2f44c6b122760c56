"""How long one sender waits for its answer, beside what cannot be avoided.

Customer.io seems to send one call at a time per webhook, so the time to
acknowledge decides how fast its backlog clears. What cannot be avoided is the
server's own answer, which the empty application shows, and one durable commit:
the same body as the only row of a transaction, by the same SQLite with the same
pragmas, in a loop that does nothing else. All three are measured in turn, and
the latencies of all rounds are looked at together.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.harness import report, server
from benchmarks.harness.beside import Beside, beside_empty
from benchmarks.harness.load import make_body, percentile
from benchmarks.harness.pairs import interleaved
from benchmarks.harness.report import Figure, Measured
from benchmarks.harness.server import Server
from streamer.store import sqlite

QUESTION = "How long does a sender of one call at a time wait for each answer?"
COMMITS_MAX = 2
"""So many commits may an answer take longer than that of the empty application."""

Latencies = dict[str, list[float]]


class Commits:
    """Commits bodies, one row each, and waits for every commit."""

    def __init__(self, db: sqlite.Connection) -> None:
        self._db = db
        db.execute("CREATE TABLE bodies (position INTEGER PRIMARY KEY, body BLOB NOT NULL)")

    def latencies_ms(self, count: int) -> list[float]:
        """Commit so many and return how long each took."""
        body = make_body(0, int(time.time()))
        found = []
        for _ in range(count):
            begun = time.perf_counter()
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT INTO bodies (body) VALUES (?)", (body,))
            self._db.execute("COMMIT")
            found.append((time.perf_counter() - begun) * 1000)
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        return found


@contextmanager
def commits(path: Path) -> Iterator[Commits]:
    """Open a database as the service opens its own."""
    with closing(sqlite.open_writer(path)) as db:
        yield Commits(db)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this script may be told."""
    parser.add_argument("--events", type=int, help="events of a round")
    parser.add_argument("--rounds", type=int, help="rounds of all three")


def measure(options: argparse.Namespace) -> Measured:
    """Send one event after the other to both servers, and commit as many rows."""
    events = options.events or (1_000 if options.full else 300)
    rounds = options.rounds or (20 if options.full else 6)
    with beside_empty(options) as both, commits(options.directory / "commits.db") as alone:
        found = latencies(both, alone, rounds=rounds, events=events)
    details: dict[str, object] = {
        name: {f"p{share:g}": round(percentile(every, share), 4) for share in (50, 90, 99, 99.9)}
        for name, every in found.items()
    }
    return Measured(figures(found), {"events": events * rounds, "latency_ms": details})


def latencies(both: Beside, alone: Commits, *, rounds: int, events: int) -> Latencies:
    """Return the latencies of each, in ms."""

    def answers(to: Server) -> list[float]:
        return both.send(to, both.requests(events), 1).must_be(200).latencies_ms

    def commit() -> list[float]:
        with server.on_core(both.server_core):
            return alone.latencies_ms(events)

    both.warm_up(1)
    empty, ours, committed = interleaved(
        rounds, lambda: answers(both.empty), lambda: answers(both.ours), commit
    )
    found = {"empty": empty, "streamer": ours, "commit": committed}
    return {name: list(itertools.chain.from_iterable(each)) for name, each in found.items()}


def figures(found: Latencies) -> list[Figure]:
    """Compare median and p99 of the three."""
    told = []
    for name, share in (("median", 50), ("p99", 99)):
        empty, ours, commit = (
            percentile(found[kind], share) for kind in ("empty", "streamer", "commit")
        )
        told += [
            Figure(
                name=f"{name}, streamer",
                value=ours,
                unit="ms",
                at_most=empty + COMMITS_MAX * commit,
                note=f"{(ours - empty) / commit:.2f} commits above the empty app",
            ),
            Figure(name=f"{name}, empty app", value=empty, unit="ms"),
            Figure(name=f"{name}, one-row commit", value=commit, unit="ms"),
        ]
    return told


if __name__ == "__main__":
    report.run("serial", QUESTION, measure, arguments=add_arguments)
