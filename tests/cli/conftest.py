"""What the tests of the commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.desk import Desk
from tests.store.build import NOW, append, event


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A desk with a database that is as new as can be."""
    one = Desk(tmp_path, capsys)
    one.make_database()
    return one


@pytest.fixture
def replayable(desk: Desk) -> Desk:
    """Eight events a second apart, of which 4 and 8 were opened; six of them are settled."""
    with desk.database() as db:
        for number in range(1, 9):
            metric = "sent" if number % 4 else "opened"
            append(db, event(number, metric=metric, received_at=NOW + number * 1000))
        db.execute("UPDATE cursors SET position = 6")
    return desk
