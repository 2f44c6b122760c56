"""Readiness makes a real write, at most once a second; liveness does not care about the disk."""

from __future__ import annotations

import time
import urllib.request
from contextlib import closing
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from streamer.core.errors import StoreError
from streamer.core.intervals import READY_PROBE_SECONDS
from streamer.store import sqlite
from streamer.web.health import Health
from streamer.web.public import make_public
from tests.ingest.conftest import StartIngest
from tests.ingest.harness import Ingest, hold
from tests.support.raw_http import Answer, connect, head, signature
from tests.support.service import running_service

pytestmark = pytest.mark.anyio


class Handwound:
    """A clock that stands still until it is wound."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> int:
        return int(self.seconds * 1_000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()

    def boottime(self) -> float:
        return self.seconds

    def jitter(self) -> float:
        return 0.5


class Probe:
    """Counts how often it was asked to write, and fails when told to."""

    def __init__(self) -> None:
        self.times = 0
        self.error: Exception | None = None

    async def __call__(self) -> None:
        self.times += 1
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error


def make_health(probe: Probe, clock: Handwound, refuses: list[str | None]) -> Health:
    """Join a health with parts that a test can turn."""
    return Health(clock, is_alive=lambda: True, refuses=lambda: refuses[0], write_probe=probe)


async def test_many_questions_in_one_second_cost_one_write() -> None:
    probe, clock = Probe(), Handwound()
    health = make_health(probe, clock, [None])
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(health.unready_reason)
    assert probe.times == 1
    clock.seconds += 0.9
    assert await health.unready_reason() is None
    assert probe.times == 1
    clock.seconds += 0.2
    assert await health.unready_reason() is None
    assert probe.times == 2


async def test_the_answer_holds_for_a_second_from_the_end_of_the_write() -> None:
    """On a slow disk the next question would otherwise write again at once."""
    clock = Handwound()
    writes: list[float] = []

    async def write_slowly() -> None:
        writes.append(clock.seconds)
        clock.seconds += 1.5
        await anyio.lowlevel.checkpoint()

    health = Health(clock, is_alive=lambda: True, refuses=lambda: None, write_probe=write_slowly)
    for _ in range(3):
        assert await health.unready_reason() is None
    assert len(writes) == 1


async def test_a_failed_write_is_believed_for_a_second_only() -> None:
    probe, clock = Probe(), Handwound()
    health = make_health(probe, clock, [None])
    probe.error = StoreError("somebody@example.com could not be stored")
    assert await health.unready_reason() == "a write failed (StoreError)"
    probe.error = None
    assert await health.unready_reason() == "a write failed (StoreError)"
    clock.seconds += 1.1
    assert await health.unready_reason() is None


async def test_a_known_refusal_is_told_at_once_and_costs_no_write() -> None:
    probe, clock = Probe(), Handwound()
    refuses: list[str | None] = ["the disk is full"]
    health = make_health(probe, clock, refuses)
    assert await health.unready_reason() == "the disk is full"
    assert probe.times == 0
    refuses[0] = None
    assert await health.unready_reason() is None


async def get(ingest: Ingest, path: str, method: str = "GET") -> Answer:
    """Ask for a page of the ingest listener."""
    return await ingest.raw(head([("Connection", "close")], method, path))


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_both_pages_answer_get_and_head(ingest: Ingest, path: str) -> None:
    answer = await get(ingest, path)
    assert (answer.status, answer.body) == (
        200,
        {"/livez": b"alive\n", "/readyz": b"ready\n"}[path],
    )
    async with connect(ingest.address) as sender:
        await sender.send(head([("Connection", "close")], "HEAD", path))
        again = await sender.answer(to_head=True)
        assert again is not None
        assert again.status == 200
        assert await sender.rest() == b""


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_both_pages_say_which_installation_answers(
    start_ingest: StartIngest, path: str
) -> None:
    health = make_health(Probe(), Handwound(), [None])
    health.instance = "4711"
    async with start_ingest(wrap=lambda _: make_public(health)) as ingest:
        assert (await get(ingest, path)).one("streamer-instance") == "4711"
        health.is_alive = lambda: False
        assert (await get(ingest, "/livez")).one("streamer-instance") == "4711"


def test_the_real_program_writes_before_it_says_that_it_is_ready(tmp_path: Path) -> None:
    """The parts are joined by the service: its probe must be a write, on both listeners."""
    with running_service(tmp_path) as service:
        for url in (service.url, service.admin_url):
            database = service.data_dir / "streamer.db"
            with closing(sqlite.open_writer(database)) as db:
                db.execute("DELETE FROM facts WHERE name = 'probed_at'")
            assert _asked_until_written(url, database)


def _asked_until_written(url: str, database: Path) -> bool:
    """Ask more often than one write's answer is remembered for; tell whether any of it wrote."""
    until = time.monotonic() + 10 * READY_PROBE_SECONDS
    while time.monotonic() < until:
        with urllib.request.urlopen(f"{url}/readyz") as answer:  # noqa: S310 - loopback
            assert answer.status == 200
        with closing(sqlite.open_reader(database)) as db:
            if db.execute("SELECT count(*) FROM facts WHERE name = 'probed_at'").fetchone() == (1,):
                return True
    return False


async def test_readiness_writes_to_the_database(ingest: Ingest) -> None:
    assert (await get(ingest, "/readyz")).status == 200
    [(count,)] = ingest.rows("SELECT count(*) FROM facts WHERE name = 'probed_at'")
    assert count == 1


async def test_a_lock_makes_it_unready_and_leaves_it_alive(ingest: Ingest) -> None:
    with ingest.locked() as db:
        answer = await get(ingest, "/readyz")
        assert (answer.status, answer.body) == (503, b"a write takes too long\n")
        assert (await get(ingest, "/livez")).status == 200
        hold(db)


@pytest.mark.parametrize(
    ("gate", "reason"), [("leaving", b"stopping\n"), ("disk_full", b"the disk is full\n")]
)
async def test_a_closed_gate_makes_it_unready(ingest: Ingest, gate: str, reason: bytes) -> None:
    setattr(ingest.front.gate, gate, True)
    answer = await get(ingest, "/readyz")
    assert (answer.status, answer.body) == (503, reason)
    assert (await get(ingest, "/livez")).status == 200


async def test_wrong_signatures_never_make_it_unready(ingest: Ingest) -> None:
    for _ in range(20):
        answer = await ingest.post(b"{}", headers=signature(b"{}", key="another"))
        assert answer.status == 503
    assert (await get(ingest, "/readyz")).status == 200


async def test_a_stopped_loop_is_told_by_liveness(start_ingest: StartIngest) -> None:
    health = make_health(Probe(), Handwound(), [None])
    health.is_alive = lambda: False
    async with start_ingest(wrap=lambda _: make_public(health)) as ingest:
        answer = await get(ingest, "/livez")
        assert (answer.status, answer.body) == (503, b"a loop has stopped\n")


async def test_a_bug_in_a_page_is_503(start_ingest: StartIngest) -> None:
    health = make_health(Probe(), Handwound(), [None])
    health.is_alive = lambda: bool(1 / 0)
    async with start_ingest(wrap=lambda _: make_public(health)) as ingest:
        assert (await get(ingest, "/livez")).status == 503
