"""A database that is filled past the service is what the service would have made."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import filling
from benchmarks.filling import Backlog, Ids, Maker
from benchmarks.harness.load import HEAD_END
from streamer.core import customerio
from streamer.core.limits import DAY_SECONDS
from streamer.store import cursors, drift, outbox, prune, sqlite
from streamer.store.check import check
from tests.store.build import counted_totals, said_totals

DAY_MS = DAY_SECONDS * 1000


def test_what_is_filled_is_a_sound_database(tmp_path: Path) -> None:
    config = f'[destinations.archive]\nkind = "file"\ndirectory = "{tmp_path / "archive"}"\n'
    filling.fill(tmp_path, Backlog(50, gone_before=1_000), config)
    assert check(filling.database(tmp_path)) == []
    with closing(sqlite.open_writer(filling.database(tmp_path))) as db:
        assert said_totals(db) == counted_totals(db)
        assert (outbox.first_position(db), outbox.last_position(db)) == (1_001, 1_050)
        assert drift.surveyed_position(db) == 1_050
        assert [at.progress.position for at in cursors.load(db, "archive")] == [0]


@pytest.mark.parametrize("ids", ["ulid", "random"])
def test_an_event_is_one_that_the_service_would_have_stored_so(tmp_path: Path, ids: Ids) -> None:
    filling.fill(tmp_path, Backlog(20, ids, body_bytes=700))
    with closing(sqlite.open_reader(filling.database(tmp_path))) as db:
        scan = outbox.read_positions(db, range(1, 21))
    for event in scan:
        decoded = customerio.decode(event.body)
        assert isinstance(decoded, customerio.Decoded)
        assert (decoded.event_id, decoded.lane_key) == (event.event_id, event.lane_key)
        assert (decoded.object_type, decoded.metric) == (event.object_type, event.metric)
        assert len(event.body) == 700
    assert len({event.event_id for event in scan}) == 20
    beginnings = {event.event_id[:5] for event in scan}  # of a ULID, some hours
    assert (len(beginnings) <= 2) == (ids == "ulid")


def test_old_events_are_so_much_older_than_the_others(tmp_path: Path) -> None:
    filling.fill(tmp_path, Backlog(10, old_events=4))
    with closing(sqlite.open_reader(filling.database(tmp_path))) as db:
        received = [event.received_at for event in outbox.read_positions(db, range(1, 11))]
    assert received == sorted(received)
    assert received[4] - received[3] > filling.OLD_DAYS * DAY_MS
    assert received[9] <= filling.now_ms() < received[4] + DAY_MS


def test_a_database_can_be_told_of_another_configuration(tmp_path: Path) -> None:
    filling.fill(tmp_path, Backlog(3))
    filling.declare(tmp_path, '[destinations.out]\nkind = "stdout"\n')
    assert filling.value(tmp_path, "SELECT count(*) FROM outbox") == 3
    assert filling.value(tmp_path, "SELECT count(*) FROM destinations") == 1
    assert filling.value(tmp_path, "SELECT max(id) FROM dead_letters") == 0


def test_requests_are_of_new_events_each() -> None:
    maker = Maker("ulid", seed=3)
    bodies = [one.partition(HEAD_END)[2] for one in maker.requests(5) + maker.requests(5)]
    decoded = [customerio.decode(body) for body in bodies]
    assert len({one.event_id for one in decoded if isinstance(one, customerio.Decoded)}) == 10


def test_old_events_that_were_settled_long_ago_may_be_pruned(tmp_path: Path) -> None:
    filling.fill(tmp_path, Backlog(10, old_events=4))
    filling.settle_long_ago(tmp_path, 4)
    older_than = filling.now_ms() - filling.OLD_DAYS * DAY_MS + DAY_MS
    assert not filling.is_pruned(tmp_path, 4)
    with filling.changing(tmp_path) as db:
        assert prune.prune_step(db, older_than=older_than, events_max=100).events == 4
    assert filling.is_pruned(tmp_path, 4)
