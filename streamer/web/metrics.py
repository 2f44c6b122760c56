"""The metrics page, made from the same look at the state that ``status`` shows.

Counters live in database rows, so they survive a restart and mean the same as
what ``sqlite3`` shows. Each name is a contract, listed in ``tests/web/test_metrics.py``.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from streamer.store.status import Status

CONTENT_TYPE = CONTENT_TYPE_LATEST
_STATES = ("ready", "waiting", "held", "paused")


class ProcessFigures(msgspec.Struct, frozen=True):
    """What only the running process knows."""

    alarms: dict[tuple[str, str], int]
    transactions: int
    busy: int
    wal_bytes: int
    disk_free_bytes: int
    loop_lag_seconds: float
    """The longest, where there are several processes."""
    processes: int = 1
    settle_retries: dict[str, int] = {}
    """By destination."""
    version: str = ""
    sqlite: str = ""


def render(status: Status, figures: ProcessFigures) -> bytes:
    """Write the page in the Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(status, figures))
    return generate_latest(registry)


class _Page(Collector):
    def __init__(self, status: Status, figures: ProcessFigures) -> None:
        self._status = status
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        yield from _outbox(self._status)
        yield from _sources(self._status)
        yield from _destinations(self._status)
        yield from _alarms(self._status, self._figures)
        yield from _process(self._figures)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"streamer_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"streamer_{name}", text, value=value)


def _outbox(status: Status) -> Iterable[Metric]:
    yield _gauge("outbox_events", "Events in the outbox.", status.outbox.events)
    yield _gauge("outbox_bytes", "Bytes of event bodies in the outbox.", status.outbox.bytes)
    yield _gauge(
        "outbox_last_position", "Position of the newest event.", status.outbox.last_position
    )
    yield _gauge("quarantine_calls", "Calls in quarantine.", status.quarantine)


_SOURCE_COUNTERS = {
    "received": "Events stored.",
    "duplicates": "Repeats of stored events.",
    "quarantined": "Signed calls that went to quarantine.",
    "unknown_types": "Events of a type that the catalogue does not know.",
    "bad_signatures": "Calls with a wrong signature.",
    "refused": "Calls answered 503.",
}


def _sources(status: Status) -> Iterable[Metric]:
    for field, text in _SOURCE_COUNTERS.items():
        family = CounterMetricFamily(f"streamer_source_{field}", text, labels=["source"])
        for name, source in status.sources.items():
            family.add_metric([name], getattr(source, field))
        yield family


_DESTINATION_GAUGES = {
    "lag_events": "Events that are not settled yet; an estimate when there are many.",
    "lag_seconds": "Age of the oldest event that is not settled yet.",
    "attempt": "Deferred attempts of the event at the head.",
    "dead_letters": "Dead letters that wait for an operator.",
    "cursor": "Position of the lane that is furthest behind.",
}


def _destinations(status: Status) -> Iterable[Metric]:
    for field, text in _DESTINATION_GAUGES.items():
        family = GaugeMetricFamily(f"streamer_destination_{field}", text, labels=["destination"])
        for name, destination in status.destinations.items():
            family.add_metric([name], getattr(destination, field))
        yield family
    accepted = CounterMetricFamily(
        "streamer_destination_accepted", "Events accepted.", labels=["destination"]
    )
    state = GaugeMetricFamily(
        "streamer_destination_state", "1 for the present state.", labels=["destination", "state"]
    )
    for name, destination in status.destinations.items():
        accepted.add_metric([name], destination.accepted)
        for one in _STATES:
            state.add_metric([name, one], destination.state == one)
    yield accepted
    yield state


def _process(figures: ProcessFigures) -> Iterable[Metric]:
    yield _gauge("processes", "Processes that take calls.", figures.processes)
    yield _counter("writer_transactions", "Committed transactions.", figures.transactions)
    yield _counter("writer_busy", "Transactions put off by another program's lock.", figures.busy)
    yield _gauge("wal_bytes", "Size of the write-ahead log.", figures.wal_bytes)
    yield _gauge("disk_free_bytes", "Free space on the data disk.", figures.disk_free_bytes)
    yield _gauge("loop_lag_seconds", "Delay of the event loop.", figures.loop_lag_seconds)
    retries = CounterMetricFamily(
        "streamer_destination_settle_retries",
        "Settlements that the database could not take yet, since the drain began.",
        labels=["destination"],
    )
    for name, times in figures.settle_retries.items():
        retries.add_metric([name], times)
    yield retries
    build = GaugeMetricFamily(
        "streamer_build_info", "Always 1; which program runs.", labels=["version", "sqlite"]
    )
    build.add_metric([figures.version, figures.sqlite], 1)
    yield build


def _alarms(status: Status, figures: ProcessFigures) -> Iterable[Metric]:
    raised = CounterMetricFamily(
        "streamer_alarms", "Alarms raised since the start.", labels=["code", "subject"]
    )
    for (code, subject), times in figures.alarms.items():
        raised.add_metric([code, subject], times)
    yield raised
    standing = GaugeMetricFamily(
        "streamer_alarm_standing",
        "1 for each alarm that `streamer status` shows: what holds, and incidents of the last day.",
        labels=["code", "subject"],
    )
    for alarm in status.alarms:
        standing.add_metric([alarm.code, alarm.subject], 1)
    yield standing
