"""What Adobe dropped later is noted once, told by code, and can be sent again."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from streamer.cli import reconciling
from streamer.core.times import rfc3339
from streamer.provision.aep_batches import KEPT_SECONDS
from streamer.store import dead_letters
from tests.cli.desk import Desk
from tests.store.build import accept, append, event, fill_outbox, only_cursor, read_all
from tests.support.failed_batches import DATASET, FailedBatches, failed_batches
from tests.support.service import clean_environment

NOW = 1_800_000_000_000
LAKE = """
[destinations.lake]
kind = "aep"
inlet_url = "{url}/collection/0"
flow_id = "flow"
ims_org_id = "org@AdobeOrg"
tenant = "acme"
dataset_id = "{dataset}"
schema_id = "https://ns.adobe.com/acme/schemas/1"
client_id = "client"
client_secret = {{ env = "AEP_SECRET" }}
ims_url = "{url}"
platform_url = "{url}"
"""


@pytest.fixture
def books() -> Iterator[FailedBatches]:
    with failed_batches() as books:
        yield books


@pytest.fixture
def lake(desk: Desk, books: FailedBatches, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Six events, all accepted by a destination whose books can be read."""
    monkeypatch.setenv("AEP_SECRET", "secret")
    monkeypatch.setattr("streamer.cli.common.now", lambda: NOW)
    with desk.config_file.open("a", encoding="utf-8") as file:
        file.write(LAKE.format(url=books.url, dataset=DATASET))
    desk.make_database()
    with desk.database() as db:
        append(db, *(event(number) for number in range(1, 7)))
        accept(db, only_cursor(db, "lake"), read_all(db), receipts={1: "xaction-1"})
    return desk


def dropped(
    event_id: str, code: str = "DCVS-1105-400", message: str = "not a date-time"
) -> dict[str, Any]:
    error = {"code": code, "message": message, "pointerToViolation": "#/timestamp"}
    return {
        "body": {"xdmEntity": {"_id": event_id}},
        "_errors": {"_streamingValidation": [error]},
    }


def known(lake: Desk) -> list[tuple[Any, ...]]:
    return lake.query(
        "SELECT batch_id, record_id, position, code FROM late_failures ORDER BY batch_id, id"
    )


def until(lake: Desk) -> int | None:
    rows = lake.query("SELECT until FROM reconciliations WHERE destination = 'lake'")
    return rows[0][0] if rows else None


def test_what_was_dropped_is_noted_and_told_by_code(lake: Desk, books: FailedBatches) -> None:
    extraneous = "extraneous key [shoeSize] is not permitted"
    books.add("b1", dropped("event-1"), dropped("event-3"), created=NOW - 5000)
    books.add("b2", dropped("event-4", "DCVS-1106-400", extraneous), created=NOW - 4000)
    books.add("b3", dropped("not-ours"), b"garbage", created=NOW - 3000)
    books.add("fine", created=NOW - 2000, status="success")
    answer = lake.run("aep", "reconcile")
    assert (answer.code, answer.err) == (0, "")
    words = " ".join(answer.out.split())
    assert "4 batches of dataset" in words
    assert "3 with failures 4 new losses 1 record of which no event can be told" in words
    assert "DCVS-1105-400 3 1 event-1 not a date-time at #/timestamp" in words
    assert "DCVS-1106-400: The schema does not have a field that is sent" in words
    assert "3 lost events can be sent again" in words
    assert "`streamer aep reconcile --destination lake --dead-letters`" in words
    assert known(lake) == [
        ("b1", "event-1", 1, "DCVS-1105-400"),
        ("b1", "event-3", 3, "DCVS-1105-400"),
        ("b2", "event-4", 4, "DCVS-1106-400"),
        ("b3", "not-ours", None, "DCVS-1105-400"),
    ]
    assert until(lake) == NOW


def test_the_answer_for_programs_says_the_same(lake: Desk, books: FailedBatches) -> None:
    books.add("b1", dropped("event-1"), dropped("not-ours"), created=NOW - 5000)
    assert lake.ask("aep", "reconcile") == {
        "destination": "lake",
        "dataset_id": DATASET,
        "since": rfc3339(NOW - KEPT_SECONDS * 1000),
        "batches": 1,
        "failed_batches": 1,
        "known_batches": 0,
        "records": 2,
        "new": 2,
        "unreadable": 0,
        "by_code": [
            {
                "code": "DCVS-1105-400",
                "events": 2,
                "unknown": 1,
                "example": "not a date-time at #/timestamp",
                "example_event": "event-1",
            }
        ],
        "dead_letters": 0,
        "to_bury": 1,
        "silent": [],
        "unread": [],
        "complete": True,
        "dry_run": False,
    }


def test_a_second_run_begins_a_day_before_the_first_and_notes_nothing_twice(
    lake: Desk, books: FailedBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.add("old", dropped("event-1"), created=NOW - 2 * 86_400_000)
    books.add("new", dropped("event-2"), created=NOW - 3_600_000)
    lake.ask("aep", "reconcile")
    before = known(lake)
    monkeypatch.setattr("streamer.cli.common.now", lambda: NOW + 60_000)
    books.add("late", dropped("event-3"), created=NOW - 7_200_000)
    again = lake.ask("aep", "reconcile")
    assert again["since"] == rfc3339(NOW - reconciling.OVERLAP_SECONDS * 1000)
    assert (again["batches"], again["known_batches"], again["new"]) == (2, 1, 1)
    assert sorted(known(lake)) == sorted([*before, ("late", "event-3", 3, "DCVS-1105-400")])
    assert books.read_of("old") == books.read_of("new") == 1, "it was known whole"
    assert until(lake) == NOW + 60_000


def test_a_batch_that_has_grown_is_read_again(lake: Desk, books: FailedBatches) -> None:
    books.add("b1", dropped("event-1"), created=NOW - 5000)
    lake.ask("aep", "reconcile")
    del books.files["b1", "failed"]
    books.add("b1", dropped("event-1"), dropped("event-2"), created=NOW - 5000)
    assert lake.ask("aep", "reconcile")["new"] == 1
    assert [row[1] for row in known(lake)] == ["event-1", "event-2"]


def test_a_failed_batch_that_is_not_counted_is_always_read(
    lake: Desk, books: FailedBatches
) -> None:
    books.add("b1", dropped("event-1"), created=NOW - 5000, metrics={})
    lake.ask("aep", "reconcile")
    again = lake.ask("aep", "reconcile")
    assert (again["known_batches"], again["records"], again["new"]) == (0, 1, 0)


def test_a_dry_run_counts_what_would_be_new_and_writes_nothing(
    lake: Desk, books: FailedBatches
) -> None:
    books.add("b1", dropped("event-1"), dropped("event-2"), created=NOW - 5000)
    lake.ask("aep", "reconcile")
    before = lake.query("SELECT * FROM late_failures")
    books.add("b2", dropped("event-3"), created=NOW - 4000)
    books.batches["b1"]["metrics"]["failedRecordCount"] = 3
    report = lake.ask("aep", "reconcile", "--dry-run", "--dead-letters")
    assert (report["records"], report["new"], report["dry_run"]) == (3, 1, True)
    assert [one["events"] for one in report["by_code"]] == [1]
    assert lake.query("SELECT * FROM late_failures") == before
    assert lake.query("SELECT * FROM dead_letters") == []
    assert "not written down" in lake.run("aep", "reconcile", "--dry-run").out


def test_dead_letters_are_made_once_and_their_retry_is_the_next_step(
    lake: Desk, books: FailedBatches
) -> None:
    books.add("b1", dropped("event-1"), dropped("event-2"), dropped("x"), created=NOW - 5000)
    lake.run("aep", "reconcile")
    answer = lake.run("aep", "reconcile", "--dead-letters")
    words = " ".join(answer.out.split())
    assert "made 2 dead letters" in words
    assert "streamer dead-letters retry --all --destination lake" in words
    assert lake.acts() == [("aep reconcile", "2 dead letters of lake")]
    assert lake.ask("aep", "reconcile", "--dead-letters")["dead_letters"] == 0
    shown = lake.ask("dead-letters", "list", "--reason", "DCVS-1105-400")
    assert [one["event_id"] for one in shown] == ["event-1", "event-2"]
    (started,) = lake.ask("dead-letters", "retry", "--all", "--destination", "lake")
    assert started["events"] == 2


def test_the_event_shows_where_it_was_found_and_how_to_send_it_again(
    lake: Desk, books: FailedBatches
) -> None:
    before = lake.run("events", "show", "event-1").out
    assert "its failed batches were never read: `streamer aep reconcile`" in before
    books.add("b1", dropped("event-1"), created=NOW - 5000)
    lake.run("aep", "reconcile")
    words = " ".join(lake.run("events", "show", "event-1").out.split())
    assert "lake: lost: accepted, and dropped later by the destination itself" in words
    assert "attempt 1, receipt xaction-1" in words
    assert "in failed batch b1 of" in words
    assert "DCVS-1105-400 not a date-time at #/timestamp" in words
    assert "`streamer replay start lake --event event-1` sends it again" in words
    told = lake.ask("events", "show", "event-1")["destinations"]["lake"]
    assert told["fate"] == "lost"
    assert [one["batch_id"] for one in told["losses"]] == ["b1"]
    assert told["reconciled_until"] == rfc3339(NOW)
    other = lake.run("events", "show", "event-2").out
    assert f"in no failed batch begun before {rfc3339(NOW)[:10]}" in other
    archive = lake.ask("events", "show", "event-1")["destinations"]["archive"]
    assert (archive["losses"], archive["reconciled_until"]) == ([], None)


def test_a_batch_that_cannot_be_read_ends_nothing_and_is_where_the_next_run_begins(
    lake: Desk, books: FailedBatches
) -> None:
    books.add("b1", dropped("event-1"), created=NOW - 5000)
    books.add("b2", dropped("event-2"), created=NOW - 4000)
    books.add("b3", dropped("event-3"), created=NOW - 3000)
    books.refusals["/b2/"] = 403
    answer = lake.run("aep", "reconcile")
    assert answer.code == 1
    assert "1 batch could not be read" in answer.err
    assert "batch b2 could not be read" in answer.out
    assert [row[0] for row in known(lake)] == ["b1", "b3"]
    assert until(lake) == NOW - 4000
    books.refusals.clear()
    assert lake.ask("aep", "reconcile")["new"] == 1
    assert until(lake) == NOW


def test_after_some_refusals_in_a_row_nobody_goes_on(lake: Desk, books: FailedBatches) -> None:
    for number in range(20):
        books.add(f"b{number}", dropped("event-1"), created=NOW - 5000 + number)
    books.refusals["export"] = 403
    answer = lake.run("aep", "reconcile", "--json")
    assert answer.code == 1
    assert len(answer.json["unread"]) == reconciling.UNREAD_IN_A_ROW_MAX
    assert answer.json["complete"] is False
    assert until(lake) == NOW - 5000


def test_a_file_that_breaks_off_leaves_what_came_before(lake: Desk, books: FailedBatches) -> None:
    books.add("b1", *(dropped(f"event-{number}") for number in range(1, 7)), created=NOW - 5000)
    books.cut["b1"] = 400
    answer = lake.run("aep", "reconcile")
    assert answer.code == 1
    assert "broke before the answer was complete" in answer.out
    assert 0 < len(known(lake)) < 6
    books.cut.clear()
    lake.ask("aep", "reconcile")
    assert [row[2] for row in known(lake)] == [1, 2, 3, 4, 5, 6]


def test_a_batch_that_lists_nothing_is_said_to(lake: Desk, books: FailedBatches) -> None:
    books.add("b1", created=NOW - 5000, metrics={"failedRecordCount": 7})
    answer = lake.run("aep", "reconcile")
    assert answer.code == 0
    assert "batch b1 has failures and lists none" in answer.out
    assert until(lake) == NOW


def test_a_list_that_cannot_be_had_moves_nothing(lake: Desk, books: FailedBatches) -> None:
    books.refusals["catalog"] = 403
    answer = lake.run("aep", "reconcile")
    assert (answer.code, until(lake)) == (1, None)
    assert "403" in answer.err


@pytest.mark.parametrize(("before", "expected"), [(None, None), (NOW - 7200_000, NOW - 7200_000)])
def test_a_look_at_a_later_part_does_not_hide_what_was_never_looked_at(
    lake: Desk, books: FailedBatches, before: int | None, expected: int | None
) -> None:
    books.add("missed", dropped("event-1"), created=NOW - 7000_000)
    books.add("b1", dropped("event-2"), created=NOW - 5000)
    if before is not None:
        with lake.database() as db:
            db.execute("INSERT INTO reconciliations VALUES ('lake', ?, ?)", (before, before))
    report = lake.ask("aep", "reconcile", "--since", rfc3339(NOW - 60_000))
    assert (report["new"], until(lake)) == (1, expected)
    assert lake.ask("aep", "reconcile")["new"] == 1
    assert until(lake) == NOW


def test_a_long_run_ends_with_a_batch_and_the_next_one_goes_on(
    lake: Desk, books: FailedBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.cli.reconciling.RECORDS_MAX", 2)
    for number in range(1, 6):
        books.add(f"b{number}", dropped(f"event-{number}"), created=NOW - 5000 + number)
    answer = lake.run("aep", "reconcile")
    assert "there is more: run it again" in answer.out
    assert (len(known(lake)), until(lake)) == (2, NOW - 5000 + 2)
    while not lake.ask("aep", "reconcile")["complete"]:
        pass
    assert (len(known(lake)), until(lake)) == (5, NOW)


def test_destinations_that_have_no_books_are_refused(lake: Desk) -> None:
    lake.config_file.write_text(
        lake.config_file.read_text().replace(f'dataset_id = "{DATASET}"', 'mode = "raw"')
    )
    answer = lake.run("aep", "reconcile")
    assert answer.code == 2
    assert "'lake' has no `dataset_id`" in answer.err
    assert lake.run("aep", "reconcile", "--destination", "hook").code == 2


def test_a_destination_that_was_never_started_is_refused(desk: Desk, books: FailedBatches) -> None:
    with desk.config_file.open("a", encoding="utf-8") as file:
        file.write(LAKE.format(url=books.url, dataset=DATASET))
    answer = desk.run("aep", "reconcile")
    assert answer.code == 2
    assert "not started yet" in answer.err


def test_a_run_that_is_killed_in_the_middle_is_gone_on_with_and_nothing_is_doubled(
    lake: Desk, books: FailedBatches
) -> None:
    with lake.database() as db:
        fill_outbox(db, 1000, first=100)
    records = [dropped(f"event-{number}") for number in range(100, 1100)]
    books.add("b1", *records[:500], created=NOW - 5000)
    books.add("b2", *records[500:], created=NOW - 4000)
    books.stall["b2"] = len(books.files["b2", "failed"][1][1]) * 3 // 5
    arguments = ["aep", "reconcile", "--since", "4000d", "--config", str(lake.config_file)]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamer", *arguments],
        env=clean_environment({"AEP_SECRET": "secret"}),
        stdout=subprocess.DEVNULL,
    )
    try:
        assert books.stalled.wait(30)
        while len(known(lake)) < 700:  # the last whole piece of what was given out
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert until(lake) is None
    books.stall.clear()
    books.go_on.set()
    report = lake.ask("aep", "reconcile")
    assert (report["known_batches"], report["records"], report["new"]) == (1, 500, 300)
    assert [row[2] for row in known(lake)] == lake_positions(lake)


def lake_positions(lake: Desk) -> list[int]:
    return [row[0] for row in lake.query("SELECT position FROM outbox WHERE position > 6")]


def test_ten_thousand_failed_records_take_no_memory_to_speak_of(
    lake: Desk, books: FailedBatches
) -> None:
    """Each record has 6 KB, so the file alone would be 60 MB."""
    with lake.database() as db:
        fill_outbox(db, 10_000, first=100)
    padding = {"content": "x" * 6000}
    books.add(
        "b1",
        *({**dropped(f"event-{number}"), "header": padding} for number in range(100, 10_100)),
        created=NOW - 5000,
    )
    lake.run("aep", "reconcile", "--dry-run", "--since", rfc3339(NOW))
    before = peak_bytes()
    assert lake.ask("aep", "reconcile")["new"] == 10_000
    assert peak_bytes() - before < 30 * 2**20
    with lake.database() as db:
        assert dead_letters.count_open(db) == {}
    assert lake.ask("aep", "reconcile", "--dead-letters")["dead_letters"] == 10_000


def peak_bytes() -> int:
    """Return the most memory that this process has ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
