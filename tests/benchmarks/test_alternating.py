"""Two services are compared round by round."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.alternating import Comparison, Service
from benchmarks.filling import Maker
from benchmarks.harness.load import Load, send
from benchmarks.harness.server import MODULE_PATH, Server, free_port, start
from tests.support.processes import eventually


class Steady:
    """Answers every request after the same time."""

    def __init__(self, *rounds_ms: float) -> None:
        self.rounds_ms = list(rounds_ms)

    def load(self, requests: list[bytes], connections: int) -> Load:
        latencies = [self.rounds_ms.pop(0)] * len(requests)
        return Load(seconds=1.0, latencies_ms=latencies, statuses={200: len(requests)})


def test_ratios_are_taken_within_a_round_and_what_warms_up_or_is_dropped_does_not_count() -> None:
    compared = Comparison(Maker("ulid"), count=3, connections=1)
    first, second = Steady(99, 1, 10, 2, 99), Steady(99, 2, 10, 6, 1)
    compared.warm_up(first, second)
    compared.add(first, second, 3)
    compared.add(first, second, 1)
    compared.drop_last()
    assert compared.ratio(50) == 2.0
    details = compared.details()["second"]
    assert isinstance(details, dict)
    assert details["p90"] == {"all": 10, "rounds": [2, 10, 6]}


@contextmanager
def receiver(directory: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.harness.receiver", "--port", str(port)]
    with start(command, cwd=directory, env=MODULE_PATH, wait_for_port=port) as server:
        yield server


def stops(server: Server) -> bool:
    """Tell whether the process is stopped, as soon as the kernel has done so."""
    stat = Path(f"/proc/{server.pid}/stat")
    return eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "a stop")


def test_a_service_runs_only_while_it_is_asked(tmp_path: Path) -> None:
    with receiver(tmp_path) as server:
        service = Service(server)
        try:
            assert stops(server)
            load = service.load(Maker("ulid").requests(4), 2)
            assert load.statuses == {200: 4}
            assert stops(server)
            assert service.awake_seconds >= load.seconds
        finally:
            service.release()
        assert send(server.port, Maker("ulid").requests(1), connections=1).statuses == {200: 1}
