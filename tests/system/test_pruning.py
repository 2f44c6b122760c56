"""The running service forgets what is old, and a stop does not wait for all of it."""

from __future__ import annotations

import time
from contextlib import closing

from streamer.core.limits import DAY_SECONDS
from streamer.store import prune, sqlite
from tests.store.build import append, event
from tests.support.processes import Installation, eventually

OLD = 20 * DAY_SECONDS * 1000


def _store_old(installation: Installation, count: int) -> None:
    """Store events that were received and settled before retention began."""
    then = time.time_ns() // 1_000_000 - OLD
    with closing(sqlite.open_writer(installation.database)) as db:
        db.execute("BEGIN")
        append(db, *(event(number, received_at=then) for number in range(count)))
        db.execute("UPDATE cursors SET position = ?", (count,))
        prune.unmark_beyond(db, -1)
        prune.mark_settled(db, now=then)
        db.execute("COMMIT")


def test_old_events_are_pruned_soon_after_the_start(installation: Installation) -> None:
    process = installation.start()
    process.wait_ready()
    assert process.stop() == 0
    _store_old(installation, 10)
    process = installation.start()
    eventually(
        lambda: installation.value("SELECT count(*) FROM outbox") == 0, "all have been pruned"
    )
    assert process.stop() == 0


def test_a_stop_in_the_midst_of_pruning_is_no_failure(installation: Installation) -> None:
    process = installation.start()
    process.wait_ready()
    assert process.stop() == 0
    _store_old(installation, 40_000)
    process = installation.start()
    eventually(
        lambda: installation.value("SELECT count(*) FROM outbox") < 40_000, "pruning has begun"
    )
    assert process.stop() == 0
    assert installation.value("SELECT count(*) FROM outbox") > 0
