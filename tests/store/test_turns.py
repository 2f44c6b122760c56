"""Writers of several processes take turns, and none is kept waiting by one that is always quicker.

Nothing here is timed: the lock file says how many have taken a place in the line, and a wait that
is to have an end ends at once, while any other takes as long as it has to.
"""

from __future__ import annotations

import errno
import os
import select
import signal
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
from streamer.store import turns
from streamer.store.turns import Turns

def say_and_wait(db):
    print("without" if mine.missed else "mine", flush=True)
    return sys.stdin.readline()

turns.TURN_WAIT_SECONDS = 60
mine = Turns(Path(sys.argv[1]), writers=2)
while mine.during(say_and_wait, None):
    pass
"""

LOCK_THE_NUMBER = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
    print("mine", flush=True)
    sys.stdin.readline()
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

    def __init__(self, path: Path, script: str = TAKE_TURNS) -> None:
        self.process = run(script, path)

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


@pytest.fixture(autouse=True)
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let this process wait for its turns as long as it has to; gives what changes that."""

    def change(seconds: float) -> None:
        monkeypatch.setattr(turns, "TURN_WAIT_SECONDS", seconds)

    change(60)
    return change


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


def test_where_no_turn_can_be_had_the_work_is_done_without_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Turns(tmp_path, writers=2)
    with closing(sqlite.open_in_memory()) as db, monkeypatch.context() as broken:
        broken.setattr("fcntl.lockf", refuse)
        assert [mine.during(lambda db: "done", db) for _ in range(2)] == ["done"] * 2
    assert (mine.missed, mine.missed_because) == (2, "No locks available")
    mine.close()


def refuse(*_: object) -> None:
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@pytest.mark.parametrize("function", ["os.pread", "os.pwrite"])
def test_a_number_that_cannot_be_raised_leaves_nobody_waiting(
    tmp_path: Path, more: Callable[[], Other], monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """Neither the next one, which takes the same ticket, nor the one that it happened to."""
    mine = Turns(tmp_path, writers=2)
    with closing(sqlite.open_in_memory()) as db:
        with monkeypatch.context() as broken:
            broken.setattr(function, refuse)
            mine.during(lambda db: None, db)
        assert mine.missed == 1
        other = more()
        other.has_turn()
        other.process.kill()
        mine.during(lambda db: None, db)
        assert mine.missed == 1
    mine.close()


def test_a_turn_that_does_not_end_is_waited_for_once_and_not_for_ever(
    tmp_path: Path, more: Callable[[], Other], wait: Callable[[float], None]
) -> None:
    """Whoever goes on without keeps the place in the line, so those behind come in order."""
    mine = Turns(tmp_path, writers=3)
    stopped = more()
    stopped.has_turn()
    os.kill(stopped.process.pid, signal.SIGSTOP)
    behind: list[Other] = []

    def work(db: sqlite.Connection) -> None:
        behind.append(more())
        # Read by another process: closing the file here would end this process's locks on it.
        number = ["cat", str(tmp_path / FILE_NAME)]
        eventually(lambda: subprocess.check_output(number)[0] == 3, "it stands in the line")
        assert not behind[0].has_said_more()

    wait(0.01)
    with closing(sqlite.open_in_memory()) as db:
        mine.during(work, db)
        assert (mine.missed, mine.missed_because) == (1, "somebody has theirs for too long")
        behind[0].has_turn()
        behind[0].process.kill()
        wait(60)
        mine.during(lambda db: None, db)
        assert mine.missed == 1, "the next ticket is not behind the one that stands still"
    mine.close()


def test_one_that_stands_still_while_it_takes_a_ticket_stops_nobody(
    tmp_path: Path, wait: Callable[[float], None]
) -> None:
    mine = Turns(tmp_path, writers=2)
    stopped = Other(tmp_path / FILE_NAME, LOCK_THE_NUMBER)
    stopped.has_turn()
    wait(0.01)
    with closing(sqlite.open_in_memory()) as db:
        assert mine.during(lambda db: "done", db) == "done"
    assert mine.missed == 1
    stopped.process.communicate("")
    mine.close()


def test_tickets_beyond_a_number_that_was_set_back_are_left_to_those_who_have_them(
    tmp_path: Path, more: Callable[[], Other]
) -> None:
    other = more()
    other.has_turn()
    (tmp_path / FILE_NAME).write_bytes(bytes(8))
    mine = Turns(tmp_path, writers=2)
    with closing(sqlite.open_in_memory()) as db:
        thread = threading.Thread(target=mine.during, args=(lambda db: None, db))
        thread.start()
        eventually(lambda: tickets(tmp_path) == 2, "it stands behind the other one")
        other.go_on()
        thread.join(10)
    assert mine.missed == 0
    mine.close()
