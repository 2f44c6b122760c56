"""Who is compared: streamer, what a user would pick instead, and what is faster for a price.

The bounds hold against those that are ``listed``: durable, in Python or driven from it, and what
people do pick. The others are there so that the table is honest: durable ones that are written
otherwise, and ones that answer before the event is safe. What each gives up is said in words
here; where it wins is read from the measurement.
"""

from __future__ import annotations

import hmac

import msgspec

from benchmarks.harness.load import HEAD_END, KEY
from benchmarks.harness.load import PATH as OURS
from benchmarks.rivals import rounds, running
from benchmarks.rivals import stored as storage
from benchmarks.rivals.receiver import PATH

EVENT_IDS = "SELECT event_id FROM events"
IN_FILE = storage.in_file(running.DATABASE, EVENT_IDS)
HOOKSPOOL_PATH = "/hooks/customerio"

NO_DELIVERY = (
    "a receiver only: deliveries, retries, dead letters and alarms are still to be written"
)


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """One server of the comparison."""

    name: str
    """What ``--only`` takes."""
    title: str
    about: str
    """What it is made of."""
    start: running.Start
    stored: storage.Stored
    gives_up: str = ""
    durable: bool = True
    """Whether a sync is behind each answer: what it says of itself, which the syncs test."""
    listed: bool = False
    """Whether streamer is to be ahead of it."""
    send: rounds.Send = rounds.keep_alive
    spool: bool = False
    """Whether requests are written for hookspool."""

    def adapt(self, request: bytes) -> bytes:
        """Write a request as this server wants it."""
        return for_hookspool(request) if self.spool else request


def for_hookspool(request: bytes) -> bytes:
    """Add the signature that hookspool can check, which is over the body alone, and its path."""
    head, _, body = request.partition(HEAD_END)
    signature = hmac.new(KEY, body, "sha256").hexdigest()
    head = head.replace(OURS.encode(), HOOKSPOOL_PATH.encode(), 1)
    return b"%b\r\n%b: %b%b%b" % (
        head, running.BODY_SIGNATURE.encode(), signature.encode(), HEAD_END, body,
    )  # fmt: skip


assert PATH == OURS, "the rivals listen on another path than the load is sent to"

STREAMER = storage.in_file("data/streamer.db", "SELECT event_id FROM outbox")
SPOOL = storage.in_file("spool.db", "SELECT dedup_id FROM events")

CONTESTANTS = (
    Contestant(
        name="streamer-hypercorn",
        title="streamer on Hypercorn",
        about="`streamer serve` as installed, without a destination",
        start=running.streamer("hypercorn"),
        stored=STREAMER,
    ),
    Contestant(
        name="streamer-uvicorn",
        title="streamer on uvicorn",
        about='the same with `[server] engine = "uvicorn"`',
        start=running.streamer("uvicorn"),
        stored=STREAMER,
    ),
    Contestant(
        name="fastapi-sqlite",
        title="FastAPI + aiosqlite",
        about="on uvicorn; one SQLite transaction, synced, for each request",
        start=running.receiver("fastapi_sqlite"),
        stored=IN_FILE,
        listed=True,
        gives_up=NO_DELIVERY,
    ),
    Contestant(
        name="quart-sqlite",
        title="Quart + aiosqlite",
        about="on Hypercorn; one SQLite transaction, synced, for each request",
        start=running.receiver("quart_sqlite"),
        stored=IN_FILE,
        listed=True,
        gives_up=NO_DELIVERY,
    ),
    Contestant(
        name="jetstream-always",
        title="FastAPI + JetStream, sync always",
        about="on uvicorn; a NATS server with sync_interval: always beside it",
        start=running.jetstream("sync_interval: always"),
        stored=storage.in_jetstream,
        listed=True,
        gives_up="a second server to run; repetitions are recognised for two minutes only;"
        " a consumer that delivers is still to be written",
    ),
    Contestant(
        name="hookspool",
        title="hookspool",
        about="Python with a spool of its own, its dispatcher off; connections are kept alive",
        start=running.hookspool,
        stored=SPOOL,
        listed=True,
        spool=True,
        send=rounds.patiently,
        gives_up="speed: a thread and a transaction for each request, and 16 threads, each held"
        " by a connection for as long as it stays open; no Customer.io signature as shipped",
    ),
    Contestant(
        name="hookspool-new",
        title="hookspool, new connections",
        about="the same with a connection for each request, as behind many proxies",
        start=running.hookspool,
        stored=SPOOL,
        listed=True,
        spool=True,
        send=rounds.new_connections,
        gives_up="speed, for the same reasons",
    ),
    Contestant(
        name="procrastinate",
        title="FastAPI + procrastinate",
        about="on uvicorn; a job in a PostgreSQL as shipped for each event",
        start=running.procrastinate,
        stored=storage.in_postgres,
        listed=True,
        gives_up="a database server to run; no order among the events of a person unless each job"
        " names its lock; the task that delivers is still to be written",
    ),
    Contestant(
        name="fastapi-shared",
        title="FastAPI + aiosqlite, shared commits",
        about="the first with INSERT and then commit() on the connection that all requests share",
        start=running.receiver("fastapi_sqlite", "--shared"),
        stored=IN_FILE,
        gives_up="whose transaction it is: whoever commits first commits for all, and one"
        f" request's rollback undoes what others inserted; {NO_DELIVERY}",
    ),
    Contestant(
        name="node-sqlite",
        title="Node.js + node:sqlite",
        about="JavaScript on Node's own http and sqlite; one synced transaction for each request",
        start=running.node,
        stored=IN_FILE,
        gives_up="answers to anybody while the disk syncs: one slow sync stops health checks and"
        f" every other call; {NO_DELIVERY}",
    ),
    Contestant(
        name="fastapi-normal",
        title="FastAPI + aiosqlite, NORMAL",
        about="the first with synchronous=NORMAL",
        start=running.receiver("fastapi_sqlite", "--synchronous", "NORMAL"),
        stored=IN_FILE,
        durable=False,
        gives_up="in a power failure, everything answered since the last checkpoint of the log",
    ),
    Contestant(
        name="jetstream-default",
        title="FastAPI + JetStream as shipped",
        about="the third with a sync_interval of two minutes",
        start=running.jetstream(""),
        stored=storage.in_jetstream,
        durable=False,
        gives_up="in a power failure, up to two minutes of answered events (its sync_interval)",
    ),
    Contestant(
        name="fastapi-memory",
        title="FastAPI, stored after the answer",
        about="on uvicorn; gathered in memory and written every half second",
        start=running.receiver("fastapi_memory"),
        stored=IN_FILE,
        durable=False,
        gives_up="in any kill, crash or full disk, what was answered and not written yet",
    ),
)

ELSEWHERE = """\
Not measured in this run: Fluent Bit 5.1.1 (C), HTTP input with filesystem storage and
storage.sync full, built by hand on a machine of the same kind: 5,814 / 16,023 / 20,051 answers a
second over 1 / 16 / 64 connections, 20 to 40 MB. It syncs when a chunk is closed and not before
the answer (2 msyncs for 3,000 answers). Killed, it kept all of 3,000 answered events without
checksums; with storage.checksum on it lost 219, 711 and 2,760 of 3,000 in three runs, because an
open chunk fails its checksum and is thrown away. It does not verify Customer.io's signature."""
"""Quoted from a study made in 2026 for this project, which no script here repeats."""
