"""One server's week, from its first start to the account of it."""

from __future__ import annotations

import importlib.util
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from benchmarks.hours_lost import account, week
from benchmarks.hours_lost.faults import DISK_KINDS, Fault, schedule
from benchmarks.hours_lost.faulty_disk import FaultyDisk, Felt
from benchmarks.hours_lost.manager import Manager
from benchmarks.hours_lost.reality import Reality, Valve
from benchmarks.hours_lost.sending import End, Fate, Sender
from benchmarks.hours_lost.servers import FastapiSqlite, Forwarding, QuartSqlite, Server, Streamer
from benchmarks.hours_lost.week import Event
from tests.support.recording_destination import RecordingDestination

EVENTS = 2_000
EVENTS_FULL = 20_000

Make = Callable[[Path, RecordingDestination], Server]

SERVERS: dict[str, Make] = {
    "streamer": Streamer,
    "FastAPI + SQLite": FastapiSqlite,
    "Quart + SQLite": QuartSqlite,
    "FastAPI + SQLite, forwarding": Forwarding,
}
NEEDS = {"FastAPI + SQLite": "fastapi", "FastAPI + SQLite, forwarding": "fastapi"}
"""What is not installed for development, by the server that needs it."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What all servers go through."""

    full: bool
    seed: int
    rescue_hours: float


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The account of one server's week; hours are virtual."""

    server: str
    events: int
    held_hours: float
    hour_waits: int
    hour_waits_by_kill: int
    hour_waits_chosen: int
    losses: list[account.Loss]
    backlog_most: int
    backlog_curve: list[int]
    """The most events held in each quarter of an hour."""
    longest_wait_hours: float
    """Of an event, from when it arose until it was through."""
    ended_hours: float
    """When the last event was through."""
    given_up: int
    rescued: int
    """Poison that a person had to let pass."""
    lost: int
    """Acknowledged and not kept."""
    delivered: int
    """Different events that the destination accepted; none, of a server that only stores."""
    process_ends: dict[str, int]
    disk_felt: Felt | None
    """How often the disk's faults were met; None where there is no disk that can fail."""
    real_seconds: float


def missing(server: str) -> str | None:
    """Name the package without which a server cannot be tried; None if nothing is missing."""
    package = NEEDS.get(server)
    return package if package and importlib.util.find_spec(package) is None else None


def faults_of(plan: Plan, *, with_disk: bool) -> list[Fault]:
    """Return the week's faults; those of the disk only where there is one that can fail."""
    faults = schedule(full=plan.full, seed=plan.seed)
    return [fault for fault in faults if with_disk or fault.kind not in DISK_KINDS]


def run(server: str, plan: Plan, directory: Path) -> Result:
    """Send a server through its week in an empty directory."""
    directory.mkdir(parents=True)
    disk = FaultyDisk.build(directory)
    try:
        return _run(server, plan, directory, disk)
    finally:
        if disk is not None:
            disk.close()


def _run(name: str, plan: Plan, directory: Path, disk: FaultyDisk | None) -> Result:
    began = time.monotonic()
    events = week.plan(EVENTS_FULL if plan.full else EVENTS, seed=plan.seed)
    faults = faults_of(plan, with_disk=disk is not None)
    valve = Valve()
    with (
        RecordingDestination(valve.answer) as destination,
        SERVERS[name](directory, destination) as server,
    ):
        manager = Manager(
            lambda: _launch(server, disk), port=server.port, restart_seconds=server.restart_seconds
        )
        with manager:
            reality = Reality(server, manager, valve, disk)
            sender = Sender(reality, faults, rescue_seconds=plan.rescue_hours * week.HOUR_SECONDS)
            fates = sender.send(events)
            reality.close()
            server.settle()
        stored = server.stored()
        delivered = _delivered(destination)
    blame = account.losses(faults, sender.failures)
    held = account.backlog(events, fates)
    ends = Counter(fate.end for fate in fates)
    return Result(
        server=name,
        events=len(events),
        held_hours=account.held_hours(sender.failures),
        hour_waits=sum(loss.hour_waits for loss in blame),
        hour_waits_by_kill=sum(loss.hour_waits_by_kill for loss in blame),
        hour_waits_chosen=sum(loss.hour_waits_chosen for loss in blame),
        losses=blame,
        backlog_most=held.most,
        backlog_curve=held.curve,
        longest_wait_hours=account.longest_wait_hours(events, fates),
        ended_hours=round(fates[-1].at_seconds / week.HOUR_SECONDS, 2),
        given_up=ends[End.GIVEN_UP],
        rescued=ends[End.RESCUED],
        lost=_lost(events, fates, stored),
        delivered=delivered,
        disk_felt=None if disk is None else disk.felt,
        process_ends={str(code): count for code, count in sorted(manager.ends.items())},
        real_seconds=round(time.monotonic() - began, 1),
    )


def _launch(server: Server, disk: FaultyDisk | None) -> subprocess.Popen[bytes]:
    if disk is None:
        return server.launch({})
    disk.forget_under_way()
    return server.launch(disk.environment(server.files))


def _lost(events: Sequence[Event], fates: Sequence[Fate], stored: set[bytes]) -> int:
    return sum(
        fate.end is End.ACKNOWLEDGED and event.body not in stored
        for event, fate in zip(events, fates, strict=True)
    )


def _delivered(destination: RecordingDestination) -> int:
    return len(
        {
            event.get("id", event.get("event_id"))
            for delivery in destination.deliveries
            if delivery.status < 300
            for event in delivery.events
        }
    )
