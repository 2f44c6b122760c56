"""What is measured of one contestant: speed in a round, and what its answers were worth.

A round is a fresh start on an empty store, a warm-up, and a closed loop of signed calls over 1,
16 and 64 connections, each for the same time. Apart from that, with nothing timed, the syncs
behind an answer are counted, and everything is killed in the middle of a load: what was answered
has to be there afterwards.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, islice
from pathlib import Path

import msgspec
import uvloop

from benchmarks.harness.load import HEAD_END, Answer, Load, send, send_async
from benchmarks.rivals.running import NotMeasured, Running
from streamer.core.limits import SENDER_TIMEOUT_SECONDS

CONNECTIONS = (1, 16, 64)
WARM_UP = 200
WARM_UP_COMMITS = 600
"""SQLite's log grows until it is first moved into the database, and is written over from then on,
which syncs faster. After so many commits of one event that is so with everybody's settings."""
WARM_UP_SECONDS_MAX = 1.5
STRACE_STARTS_SECONDS_MAX = 5.0
SYNC_CALLS = ("fsync", "fdatasync", "msync", "sync_file_range")
ANSWER_SECONDS_MAX = 30.0

Send = Callable[[int, list[bytes], int], Load]
"""Sends requests to a port over so many connections."""


class Shared(list[bytes]):
    """Requests that several take from, each for itself."""

    def __init__(self, requests: Iterator[bytes]) -> None:
        super().__init__()
        self._requests = requests

    def __iter__(self) -> Iterator[bytes]:
        return self._requests


def until(requests: Iterator[bytes], seconds: float) -> Iterator[bytes]:
    """Take requests until some seconds after the first; the others are for the next load."""
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline and (request := next(requests, None)) is not None:
        yield request


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """One load on one contestant."""

    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_microseconds: float
    """Of all its processes, for each event that was answered with 200."""
    not_answered: int
    """Calls that got no answer, or another than 200."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One start of one contestant, and its loads."""

    speeds: list[Speed]
    resident_mib: float

    def at(self, connections: int) -> Speed:
        """Return the load over so many connections."""
        return next(speed for speed in self.speeds if speed.connections == connections)


def keep_alive(port: int, requests: list[bytes], connections: int) -> Load:
    """Send over connections that stay open, as Customer.io's or a proxy's pool does."""
    return send(port, requests, connections=connections)


def patiently(port: int, requests: list[bytes], connections: int) -> Load:
    """Do the same with connections that do not wait for each other to be opened.

    A server that serves only so many at a time lets the others wait until one of them is closed.
    """
    return uvloop.run(_separately(port, requests, connections, one_each=False))


def new_connections(port: int, requests: list[bytes], connections: int) -> Load:
    """Send each request over a connection of its own, which is opened within its time."""
    return uvloop.run(_separately(port, requests, connections, one_each=True))


async def _separately(
    port: int, requests: list[bytes], connections: int, *, one_each: bool
) -> Load:
    """Send over connections that are opened with a request in hand, which waits meanwhile.

    The load ends when the requests run out. Who has no answer then hangs up as Customer.io would.
    """
    waiting = iter(requests)
    latencies_ms: list[float] = []
    statuses: Counter[int] = Counter()

    async def one() -> None:
        for request in waiting:
            opened = time.perf_counter()
            some = [request] if one_each else Shared(chain([request], waiting))
            load = await send_async(port, some, connections=1)
            statuses.update(load.statuses)
            if load.latencies_ms:
                spent_ms = (time.perf_counter() - opened) * 1000
                first_ms = spent_ms - sum(load.latencies_ms[1:])
                latencies_ms.extend([first_ms, *load.latencies_ms[1:]])

    begun = time.perf_counter()
    tasks = [asyncio.create_task(one()) for _ in range(connections)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    seconds = time.perf_counter() - begun
    done, without_answer = await asyncio.wait(tasks, timeout=SENDER_TIMEOUT_SECONDS)
    for task in without_answer:
        task.cancel()
        statuses[0] += 1
        latencies_ms.append((time.perf_counter() - begun) * 1000)
    await asyncio.gather(*done)
    return Load(seconds=seconds, latencies_ms=latencies_ms, statuses=dict(statuses))


def measure(running: Running, requests: Iterator[bytes], seconds: float, send: Send) -> Round:
    """Warm up, and measure a load over each number of connections."""
    send(running.port, list(islice(requests, WARM_UP)), CONNECTIONS[1])
    commits = until(islice(requests, WARM_UP_COMMITS), WARM_UP_SECONDS_MAX)
    send(running.port, Shared(commits), CONNECTIONS[0])
    speeds = [
        _speed(running, Shared(until(requests, seconds)), count, send) for count in CONNECTIONS
    ]
    return Round(speeds=speeds, resident_mib=running.resident_bytes() / 2**20)


def _speed(running: Running, requests: list[bytes], connections: int, send: Send) -> Speed:
    before = running.cpu_seconds()
    load = send(running.port, requests, connections)
    spent = running.cpu_seconds() - before
    answered = load.statuses.get(200, 0)
    if not answered:
        raise NotMeasured(f"over {connections} connections it answered {load.statuses}")
    return Speed(
        connections=connections,
        per_second=load.per_second,
        p50_ms=load.percentile(50),
        p99_ms=load.percentile(99),
        cpu_microseconds=spent / answered * 1e6,
        not_answered=sum(load.statuses.values()) - answered,
    )


def count_syncs(
    running: Running, requests: Iterator[bytes], connections: int, count: int, send: Send
) -> float | None:
    """Count the system calls that sync, for each answer with 200; None where nothing can count."""
    with _strace(running) as report:
        if report is None:
            return None
        load = send(running.port, list(islice(requests, count)), connections)
    answered = load.statuses.get(200, 0)
    return syncs_in(report.read_text()) / answered if answered else None


@contextmanager
def _strace(running: Running) -> Iterator[Path | None]:
    """Count calls of all the processes and of those that they start meanwhile."""
    strace = shutil.which("strace")
    if strace is None:
        yield None
        return
    report = running.directory / "syncs.txt"
    command = [strace, "-f", "-c", "-e", f"trace={','.join(SYNC_CALLS)}", "-o", str(report)]
    for pid in running.pids():
        command += ["-p", str(pid)]
    with ExitStack() as stack:
        tracing = stack.enter_context(
            subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - strace
        )
        stack.callback(tracing.kill)
        if not _attached(tracing, running.pids()):
            yield None
            return
        yield report
        tracing.send_signal(signal.SIGINT)
        tracing.wait(STRACE_STARTS_SECONDS_MAX)


def _attached(tracing: subprocess.Popen[bytes], pids: Iterable[int]) -> bool:
    """Wait until every thread is traced; say whether that came to be."""
    deadline = time.monotonic() + STRACE_STARTS_SECONDS_MAX
    while time.monotonic() < deadline and tracing.poll() is None:
        if all(tracer == tracing.pid for pid in pids for tracer in _tracers(pid)):
            return True
        time.sleep(0.01)
    return False


def _tracers(pid: int) -> Iterator[int]:
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with suppress(OSError):
            found = re.search(r"^TracerPid:\s+(\d+)", status.read_text(), re.MULTILINE)
            yield int(found.group(1)) if found else 0


def syncs_in(report: str) -> int:
    """Add up the calls in strace's summary: their number is the fourth column."""
    rows = [line.split() for line in report.splitlines()]
    return sum(int(row[3]) for row in rows if row and row[-1] in SYNC_CALLS)


def kill_in_mid_load(running: Running, requests: Iterator[bytes], answers: int) -> set[str]:
    """Kill everything once so many calls were answered; return the ids of those with a 200."""
    return uvloop.run(_answered_until_killed(running, requests, answers))


async def _answered_until_killed(
    running: Running, requests: Iterator[bytes], answers: int
) -> set[str]:
    answered: set[str] = set()

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        try:
            for request in requests:
                writer.write(request)
                if await _status(reader) == 200:
                    answered.add(event_id(request))
                if len(answered) == answers:
                    running.kill()
        finally:
            writer.close()

    async with asyncio.timeout(ANSWER_SECONDS_MAX):
        ended = await asyncio.gather(
            *(one() for _ in range(CONNECTIONS[1])), return_exceptions=True
        )
    for error in ended:
        if isinstance(error, BaseException) and not isinstance(error, OSError | EOFError):
            raise error
    return answered


async def _status(reader: asyncio.StreamReader) -> int:
    answer = Answer()
    while data := await reader.read(65536):
        if answer.take(data):
            return answer.status
    raise EOFError


def event_id(request: bytes) -> str:
    """Return the id of the event in a request."""
    found: str = json.loads(request.partition(HEAD_END)[2])["event_id"]
    return found
