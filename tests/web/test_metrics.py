"""The metrics page: every name on it is a contract with somebody's alert rules."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamer.store.status import AlarmStatus, DestinationStatus, OutboxStatus, SourceStatus, Status
from streamer.web.metrics import ProcessFigures, render

NAMES = {
    "streamer_outbox_events": "gauge",
    "streamer_outbox_bytes": "gauge",
    "streamer_outbox_last_position": "gauge",
    "streamer_quarantine_calls": "gauge",
    "streamer_source_received": "counter",
    "streamer_source_duplicates": "counter",
    "streamer_source_quarantined": "counter",
    "streamer_source_unknown_types": "counter",
    "streamer_source_bad_signatures": "counter",
    "streamer_source_refused": "counter",
    "streamer_destination_lag_events": "gauge",
    "streamer_destination_lag_seconds": "gauge",
    "streamer_destination_attempt": "gauge",
    "streamer_destination_dead_letters": "gauge",
    "streamer_destination_cursor": "gauge",
    "streamer_destination_accepted": "counter",
    "streamer_destination_state": "gauge",
    "streamer_writer_transactions": "counter",
    "streamer_writer_busy": "counter",
    "streamer_wal_bytes": "gauge",
    "streamer_disk_free_bytes": "gauge",
    "streamer_loop_lag_seconds": "gauge",
    "streamer_processes": "gauge",
    "streamer_destination_settle_retries": "counter",
    "streamer_alarms": "counter",
    "streamer_alarm_standing": "gauge",
    "streamer_build_info": "gauge",
}
"""Counters are written with ``_total`` behind the name."""

STATUS = Status(
    outbox=OutboxStatus(first_position=3, last_position=12, events=10, bytes=1_000),
    destinations={
        "lake": DestinationStatus(
            kind="file", state="held", configured=True, cursor=5, lag_events=7, lag_seconds=1.5,
            approximate=False, attempt=2, next_attempt_at=None, last_error="p@example.com refused",
            dead_letters=4, accepted=99, replays=0,
        )
    },
    sources={
        "customerio": SourceStatus(
            last_received_at=None, last_test_at=None, received=20, duplicates=6, quarantined=5,
            unknown_types=4, bad_signatures=3, refused=2, oldest_call_seconds=1,
        )
    },
    quarantine=8,
    alarms=[
        AlarmStatus(
            code="STR-301", subject="lake", title="It is held", message="p@example.com refused",
            severity="critical", first_at="2026-11-23T12:00:00Z", last_at="2026-11-23T12:00:01Z",
            times=3,
        )
    ],
)  # fmt: skip
FIGURES = ProcessFigures(
    alarms={("STR-101", ""): 1, ('odd"\\\n', "x"): 2}, transactions=30, busy=31, wal_bytes=32,
    disk_free_bytes=33, loop_lag_seconds=0.25,
    processes=4, settle_retries={"lake": 34}, version="1.2",
    sqlite="3.53",
)  # fmt: skip


def page() -> str:
    """Render the example."""
    return render(STATUS, FIGURES).decode()


def samples() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Parse the page into values by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page())
        for sample in family.samples
    }


def test_the_names_and_kinds_are_those_that_were_promised() -> None:
    families = list(text_string_to_metric_families(page()))
    assert {family.name: family.type for family in families} == NAMES
    assert all(family.documentation.endswith(".") for family in families)


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("streamer_outbox_events", {}, 10),
        ("streamer_outbox_bytes", {}, 1_000),
        ("streamer_outbox_last_position", {}, 12),
        ("streamer_quarantine_calls", {}, 8),
        ("streamer_source_received_total", {"source": "customerio"}, 20),
        ("streamer_source_bad_signatures_total", {"source": "customerio"}, 3),
        ("streamer_source_refused_total", {"source": "customerio"}, 2),
        ("streamer_destination_lag_events", {"destination": "lake"}, 7),
        ("streamer_destination_lag_seconds", {"destination": "lake"}, 1.5),
        ("streamer_destination_dead_letters", {"destination": "lake"}, 4),
        ("streamer_destination_accepted_total", {"destination": "lake"}, 99),
        ("streamer_destination_state", {"destination": "lake", "state": "held"}, 1),
        ("streamer_destination_state", {"destination": "lake", "state": "ready"}, 0),
        ("streamer_writer_transactions_total", {}, 30),
        ("streamer_loop_lag_seconds", {}, 0.25),
        ("streamer_processes", {}, 4),
        ("streamer_destination_settle_retries_total", {"destination": "lake"}, 34),
        ("streamer_alarms_total", {"code": 'odd"\\\n', "subject": "x"}, 2),
        ("streamer_alarm_standing", {"code": "STR-301", "subject": "lake"}, 1),
        ("streamer_build_info", {"version": "1.2", "sqlite": "3.53"}, 1),
    ],
)
def test_each_figure_stands_under_its_name(name: str, labels: dict[str, str], value: float) -> None:
    assert samples()[name, tuple(sorted(labels.items()))] == value


def test_nobodys_address_is_on_the_page() -> None:
    assert "example.com" not in page()
