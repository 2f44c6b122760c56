"""Writers of several processes take turns, and none is kept waiting by one that is always quicker.

Nothing here is timed: the lock file says how many have taken a place in the line.
"""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from streamer.core.errors import StoreError
from streamer.core.limits import BUSY_TIMEOUT_MILLISECONDS
from streamer.core.selection import Selection
from streamer.store import outbox, sqlite, turns
from streamer.store.turns import FILE_NAME, Turns
from tests.store.build import open_fresh
from tests.support.processes import REPOSITORY, eventually

TAKE_TURNS = """
import sys
from pathlib import Path
from streamer.store import sqlite
from streamer.store.turns import Turns

def say_and_wait(db):
    print("mine", flush=True)
    return sys.stdin.readline()

mine = Turns(Path(sys.argv[1]), writers=2)
while mine.during(say_and_wait, None):
    pass
"""

WRITE = """
import asyncio, sys
from pathlib import Path
from streamer.clock import SystemClock
from streamer.store.turns import Turns
from streamer.store.writer import Writer
from tests.store.build import ROOM, event

async def main(path, name, groups, size):
    writer = Writer(
        path, SystemClock(), quarantine_bytes_max=ROOM, queue_bytes_max=2**20,
        queue_events_max=1000, turns=Turns(path.parent, writers=2), checkpoints=name == "a",
    )
    await writer.open()
    running = asyncio.create_task(writer.run())
    for group in range(groups):
        numbers = range(group * size, group * size + size)
        await asyncio.gather(
            *(writer.append(event(number, source=name)) for number in numbers)
        )
    writer.stop()
    await running
    await writer.aclose()
    print(writer.stats.busy)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
"""


def run(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def tickets(data_dir: Path) -> int:
    """Return how many have taken a place in the line since there is one."""
    return int.from_bytes((data_dir / FILE_NAME).read_bytes(), "little")


class Other:
    """A process that has one turn after the other, each until it is told to go on."""

    def __init__(self, data_dir: Path) -> None:
        self.process = run(TAKE_TURNS, data_dir)

    def has_turn(self) -> None:
        """Wait until it has a turn that was not told of yet."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "mine\n"

    def has_said_more(self) -> bool:
        """Tell whether it has had a turn that was not told of yet."""
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def go_on(self) -> None:
        """Let it end its turn, and ask for another at once."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def more(tmp_path: Path) -> Iterator[Callable[[], Other]]:
    """Give something that makes another process, which ends with the test in any case."""
    with ExitStack() as ends:

        def make() -> Other:
            other = Other(tmp_path)
            ends.callback(other.process.communicate)
            ends.callback(other.process.kill)
            return other

        yield make


@pytest.mark.parametrize("writers", [2, 3, 5])
def test_who_lets_go_and_asks_again_at_once_comes_after_all_who_wait(
    tmp_path: Path, more: Callable[[], Other], writers: int
) -> None:
    others: list[Other] = []
    for number in range(writers):
        others.append(more())
        if number == 0:
            others[0].has_turn()
        eventually(lambda: tickets(tmp_path) == len(others), "it stands in the line")
    for number in range(1, 60):
        others[(number - 1) % writers].go_on()
        others[number % writers].has_turn()
        in_line = writers + number
        eventually(lambda: tickets(tmp_path) == in_line, "it stands in the line again")  # noqa: B023 - called at once
        assert not any(one.has_said_more() for one in others), "only one has the turn"


def test_two_writers_store_all_and_a_reader_skips_nothing(tmp_path: Path) -> None:
    """Positions become visible in order: what is read up to is never added to later."""
    path = tmp_path / "streamer.db"
    open_fresh(path).close()
    writers = [run(WRITE, path, name, 60, 7) for name in "ab"]
    read: list[tuple[int, str, str]] = []

    def read_on(db: sqlite.Connection) -> None:
        position = read[-1][0] if read else 0
        scan = outbox.read_after(
            db,
            position,
            selection=Selection(include=(), exclude=()),
            events_max=50,
            bytes_max=10**6,
        )
        read.extend((one.position, one.source, one.event_id) for one in scan.events)

    with closing(sqlite.open_reader(path)) as db:
        while any(writer.poll() is None for writer in writers):
            read_on(db)
        before = -1
        while before != len(read):
            before = len(read)
            read_on(db)
        stored = db.execute(
            "SELECT position, source, event_id FROM outbox ORDER BY position"
        ).fetchall()
    assert read == stored
    assert [writer.returncode for writer in writers] == [0, 0]
    for name in "ab":
        own = [event_id for _, source, event_id in stored if source == name]
        assert own == [f"event-{number}" for number in range(420)]
    # Nobody ever found SQLite's own lock taken: it was not its turn then.
    assert [writer.communicate()[0] for writer in writers] == ["0\n", "0\n"]


def test_nobody_waits_for_the_dead(tmp_path: Path, more: Callable[[], Other]) -> None:
    """Neither for one that had the turn, nor for one that stood in the line."""
    first = more()
    first.has_turn()
    second = more()
    eventually(lambda: tickets(tmp_path) == 2, "the second one waits")
    third = more()
    eventually(lambda: tickets(tmp_path) == 3, "the third one waits")
    for dying in (second, first):
        dying.process.kill()
    third.has_turn()


def test_a_turn_ends_with_an_error_of_the_work(tmp_path: Path, more: Callable[[], Other]) -> None:
    mine = Turns(tmp_path, writers=2)
    with closing(sqlite.open_in_memory()) as db, pytest.raises(sqlite.OperationalError):
        mine.during(lambda db: db.execute("nonsense"), db)
    more().has_turn()
    mine.close()


def test_a_command_waits_for_its_turn(tmp_path: Path, more: Callable[[], Other]) -> None:
    done = threading.Event()

    def command() -> None:
        with turns.beside_the_service(tmp_path):
            done.set()

    other = more()
    other.has_turn()
    thread = threading.Thread(target=command)
    thread.start()
    eventually(lambda: tickets(tmp_path) == 2, "the command stands in the line")
    assert not done.is_set()
    other.go_on()
    thread.join(10)
    assert done.is_set()


def test_where_no_service_needed_turns_a_command_makes_no_files(tmp_path: Path) -> None:
    with turns.beside_the_service(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_all_writers_together_look_at_a_foreign_lock_as_long_as_one_alone(tmp_path: Path) -> None:
    for writers, milliseconds in ((1, BUSY_TIMEOUT_MILLISECONDS), (4, 125), (1000, 1)):
        mine = Turns(tmp_path, writers=writers)
        with closing(sqlite.open_in_memory()) as db:
            mine.adapt(db)
            assert db.execute("PRAGMA busy_timeout").fetchone()[0] == milliseconds
        mine.close()


def test_a_lock_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StoreError, match=FILE_NAME):
        Turns(tmp_path, writers=2)


def test_a_file_full_of_nonsense_is_a_number_like_any_other(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"\xff" * 100)
    mine = Turns(tmp_path, writers=2)
    with closing(sqlite.open_in_memory()) as db:
        assert [mine.during(lambda db: "done", db) for _ in range(3)] == ["done"] * 3
    mine.close()


def test_where_no_turn_can_be_had_it_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Turns(tmp_path, writers=2)
    with closing(sqlite.open_in_memory()) as db, pytest.raises(StoreError, match="no turn"):
        monkeypatch.setattr("fcntl.lockf", refuse)
        mine.during(lambda db: None, db)
    mine.close()


def refuse(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
