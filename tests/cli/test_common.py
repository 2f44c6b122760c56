"""What commands share: a change waits for the lock, in one turn after the other."""

from __future__ import annotations

import threading
from pathlib import Path

from streamer.cli import common
from streamer.store import turns
from tests.cli.desk import Desk
from tests.store.writing import locked
from tests.support.processes import eventually


def tickets(data_dir: Path) -> int:
    return int.from_bytes((data_dir / turns.FILE_NAME).read_bytes(), "little")


def test_each_try_at_the_lock_is_a_turn_of_its_own(desk: Desk) -> None:
    """The service's writers get theirs between, however long another program has the lock."""
    desk.make_database()
    (desk.data_dir / turns.FILE_NAME).touch()
    done: list[int] = []

    def change() -> None:
        done.append(common.change_database(desk.config, lambda db: 1))

    with locked(desk.path) as shell:
        thread = threading.Thread(target=change)
        thread.start()
        eventually(lambda: tickets(desk.data_dir) >= 2, "it has given its turn up for another")
        assert not done
        shell.execute("ROLLBACK")
        thread.join(10)
    assert done == [1]
