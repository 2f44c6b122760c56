"""What a durably acknowledged event costs in CPU, beside a call that does nothing.

The server is a process of its own, bound to one core; the load comes from this
one, bound to another. Both runs use the same server code, the same loop and
the same requests; the empty application reads the body and answers 200. The
ratio of the two is the price of verifying, decoding and committing.

Run: ``python benchmarks/ingest_cpu.py --events 5000 --connections 16 [--json] [--profile]``
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import uvloop

from streamer.clock import SystemClock
from streamer.core import limits
from streamer.core.samples import sample_event
from streamer.core.signature import Verifier, sign
from streamer.ingest.front import Front
from streamer.ingest.source import Source
from streamer.observe.board import Board
from streamer.store import migrate, sources, sqlite
from streamer.store.writer import Writer
from streamer.web.health import Health
from streamer.web.public import make_public
from streamer.web.server import run_server

KEY = b"a-signing-key-of-the-benchmark"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
ANSWER_END = b"\r\n\r\n"


async def empty(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI is untyped
    """Read the body, answer 200."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def serve_empty(listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve the empty application."""
    await run_server(empty, listener, stop=stop.wait, graceful_seconds=1)


async def serve_full(listener: socket.socket, stop: asyncio.Event, path: Path) -> None:
    """Serve the ingest side: front, writer and database, without drains."""
    clock = SystemClock()
    with closing(sqlite.open_writer(path)) as db:
        migrate.migrate(db, path, now=0)
        sources.ensure(db, ["customerio"])
    writer = Writer(
        path,
        clock,
        quarantine_bytes_max=limits.QUARANTINE_BYTES_MAX,
        queue_bytes_max=limits.INGEST_QUEUE_BYTES_MAX,
        queue_events_max=limits.INGEST_QUEUE_EVENTS_MAX,
    )
    await writer.open()
    writing = asyncio.create_task(writer.run())
    await run_server(make_front(writer, clock), listener, stop=stop.wait, graceful_seconds=1)
    writer.stop()
    await writing
    await writer.aclose()


def make_front(writer: Writer, clock: SystemClock) -> Front:
    """Join the parts as the service does."""

    async def no_probe() -> None:
        return None

    health = Health(clock, is_alive=lambda: True, refuses=lambda: None, write_probe=no_probe)
    return Front(
        make_public(health),
        sources={
            "customerio": Source(
                name="customerio",
                verifier=Verifier([KEY]),
                body_bytes_max=limits.BODY_BYTES_MAX,
                age_warn_seconds=1e9,
            )
        },
        writer=writer,
        clock=clock,
        board=Board(clock),
        deadline_seconds=limits.ANSWER_DEADLINE_SECONDS,
        body_memory_bytes_max=limits.INGEST_QUEUE_BYTES_MAX,
    )


def run_child(kind: str, descriptor: int, directory: Path, *, profile: bool) -> None:
    """Be the server process until SIGTERM."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        if kind == "empty":
            await serve_empty(listener, stop)
        else:
            await serve_full(listener, stop, directory / "streamer.db")

    profiler = cProfile.Profile()
    if profile:
        profiler.enable()
    uvloop.run(main())
    if profile:
        profiler.disable()
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(30)


def requests(events: int, first: int) -> list[bytes]:
    """Make signed calls with ids of their own."""
    at = str(int(time.time()))
    found = []
    for number in range(first, first + events):
        body = json.dumps(
            sample_event("email.delivered", number=number, at_seconds=int(at))
        ).encode()
        lines = [
            b"POST /webhooks/customerio HTTP/1.1", b"Host: localhost", b"Accept-Encoding: gzip",
            b"User-Agent: Customer.io Web Hooks 1.0", b"Content-Type: application/json",
            b"X-CIO-Timestamp: " + at.encode(), b"X-CIO-Signature: " + sign(KEY, at, body).encode(),
            b"Content-Length: %d" % len(body),
        ]  # fmt: skip
        found.append(b"\r\n".join(lines) + ANSWER_END + body)
    return found


async def send_all(port: int, connections: int, waiting: list[bytes]) -> None:
    """Send every request on some connections, each after the last was answered."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while waiting:
            writer.write(waiting.pop())
            answer = await reader.readuntil(ANSWER_END)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answer.decode())
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))


def cpu_seconds(process: int) -> float:
    """Return the processor time that a process has used, in all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def measure(kind: str, options: argparse.Namespace) -> dict[str, float]:
    """Start a server, warm it up, send the events, and read what they cost."""
    with tempfile.TemporaryDirectory(dir=options.directory) as name, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        command = [sys.executable, __file__, "--child", kind, "--directory", name,
                   "--listener", str(listener.fileno())]  # fmt: skip
        command += ["--profile"] if options.profile else []
        server = subprocess.Popen(command, pass_fds=[listener.fileno()])  # noqa: S603 - ourselves
        try:
            os.sched_setaffinity(server.pid, {options.core})
            port = listener.getsockname()[1]
            warm_up = requests(min(500, options.events), 10_000_000)
            asyncio.run(send_all(port, options.connections, warm_up))
            waiting = requests(options.events, 0)
            cpu, begun = cpu_seconds(server.pid), time.perf_counter()
            asyncio.run(send_all(port, options.connections, waiting))
            wall = time.perf_counter() - begun
            cpu = cpu_seconds(server.pid) - cpu
        finally:
            server.terminate()
            server.wait(20)
    return {
        "cpu_microseconds_per_event": round(cpu / options.events * 1e6, 1),
        "events_per_second": round(options.events / wall),
    }


def parse() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--core", type=int, default=0, help="the server's processor core")
    parser.add_argument("--directory", default=".", help="where the database goes: a real disk")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--profile", action="store_true", help="print where the server's time went")
    parser.add_argument("--child", choices=["empty", "full"], help=argparse.SUPPRESS)
    parser.add_argument("--listener", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def best(kind: str, options: argparse.Namespace) -> dict[str, float]:
    """Return the round that took the least CPU: whatever else ran only adds to it."""
    rounds = [measure(kind, options) for _ in range(options.rounds)]
    return min(rounds, key=lambda found: found["cpu_microseconds_per_event"])


def main() -> None:
    """Measure both and print them."""
    options = parse()
    if options.child:
        run_child(options.child, options.listener, Path(options.directory), profile=options.profile)
        return
    cores = sorted(os.sched_getaffinity(0) - {options.core}) or [options.core]
    os.sched_setaffinity(0, set(cores))
    found: dict[str, Any] = {kind: best(kind, options) for kind in ("empty", "full")}
    costs = [found[kind]["cpu_microseconds_per_event"] for kind in ("full", "empty")]
    found["ratio"] = round(costs[0] / costs[1], 2)
    found["events"], found["connections"] = options.events, options.connections
    if options.json:
        lines = [json.dumps(found)]
    else:
        lines = [
            f"{kind:5} {found[kind]['cpu_microseconds_per_event']:7.1f} µs CPU per event,"
            f" {found[kind]['events_per_second']:6} events/s"
            for kind in ("empty", "full")
        ] + [f"ratio {found['ratio']:7.2f}"]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
