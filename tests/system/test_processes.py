"""Several processes that are one service: they count, reload, stop and die together.

Which process takes a connection is the kernel's choice. A test that needs one in particular lets
the other stand still until it has, and no longer: it may have stopped in the middle of a commit.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from streamer.store import lockfile
from tests.support.processes import Installation, ask_admin, eventually
from tests.support.serial_sender import SerialSender
from tests.system.half_sent import half_sent

TWO = "processes = 2"
EVENT_IDS = "SELECT event_id FROM outbox ORDER BY event_id"


def body(number: int) -> bytes:
    return b'{"event_id":"event-%d","object_type":"email","metric":"sent"}' % number


def lines(installation: Installation, event: str) -> list[dict[str, Any]]:
    """Return what the log says under a name."""
    every = [json.loads(line) for line in installation.log().splitlines()]
    return [line for line in every if line["event"] == event]


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; nobody may have asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Let a process do nothing for a while."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def connections(pid: int, port: int) -> int:
    """Count the connections to a listener that a process has."""
    local = f"0100007F:{port:04X}"
    fields = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    established = {f"socket:[{one[9]}]" for one in fields if one[1] == local and one[3] == "01"}
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            count += str(link.readlink()) in established
    return count


class Pair:
    """A service of two processes."""

    def __init__(self, installation: Installation, server: str = "", **environment: str) -> None:
        installation.configure(installation.file_destination(), server=f"{TWO}\n{server}")
        self.installation = installation
        self.main = installation.start(**environment)
        [started] = eventually(lambda: lines(installation, "service.started"), "it serves")
        [self.other_pid] = started["other_pids"]

    @contextmanager
    def taken_by(self, pid: int) -> Iterator[None]:
        """See that a connection that is made in the block is taken by one of the two."""
        port, other = self.installation.port, {self.other_pid, self.main.pid} - {pid}
        eventually(lambda: not connections(pid, port), "there is no other connection")
        with standing_still(other.pop()):
            yield
            eventually(lambda: connections(pid, port), f"process {pid} takes the connection")

    def reload(self, said: str) -> None:
        before = len(lines(self.installation, said))
        self.main.signal(signal.SIGHUP)
        eventually(lambda: len(lines(self.installation, said)) > before, said)

    def ask_each(
        self, sender: SerialSender, number: int, key: bytes | None = None
    ) -> list[str | None]:
        """Make one call to each process; return what came of them, the main one's first."""
        said: list[str | None] = []
        for pid in (self.main.pid, self.other_pid):
            sender.close()
            with self.taken_by(pid):
                sender.connect()
            said.append(sender.once(body(number + len(said)), key=key))
        sender.close()
        return said


@pytest.fixture
def pair(installation: Installation) -> Pair:
    return Pair(installation)


def test_both_take_calls_and_what_they_count_adds_up(pair: Pair, sender: SerialSender) -> None:
    installation = pair.installation
    assert pair.ask_each(sender, 1) == [None, None]
    assert pair.ask_each(sender, 1) == [None, None], "each knows what the other has stored"
    assert pair.ask_each(sender, 3, key=b"wrong") == ["status 503", "status 503"]
    eventually(lambda: installation.is_drained("archive"), "it is drained")
    assert [line["id"] for line in installation.archived()] == ["event-1", "event-2"]
    counters = "SELECT received, duplicates, bad_signatures, refused FROM sources"
    eventually(lambda: installation.query(counters) == [(2, 2, 2, 2)], "the counters add up")
    raised = "SELECT times FROM alarms WHERE code = 'STR-101'"
    eventually(lambda: installation.value(raised) == 2, "the alarms add up")
    page = ask_admin(installation, "/metrics")[1].decode().splitlines()
    figures = dict(line.rsplit(" ", 1) for line in page if not line.startswith("#"))
    assert figures["streamer_processes"] == "2.0"
    assert figures['streamer_alarms_total{code="STR-101",subject="customerio"}'] == "2.0"
    assert float(figures["streamer_writer_transactions_total"]) >= 4
    said = [line["code"] for line in lines(installation, "alarm.raised")]
    assert said.count("STR-101") == 1, "one line a minute, from all together"
    assert pair.main.stop() == 0
    assert is_gone(pair.other_pid)


def test_what_a_further_process_stores_is_drained_at_once(pair: Pair, sender: SerialSender) -> None:
    """The main one is told; by itself it would look five seconds later."""
    # Three in a row: once it has looked by itself by chance, it does not so soon again.
    for number in range(3):
        sender.close()
        with pair.taken_by(pair.other_pid):
            sender.connect()
        assert sender.once(body(number)) is None
        eventually(lambda: pair.installation.is_drained("archive"), "it is told", seconds=3)


def test_the_death_of_one_ends_all_and_answers_the_calls_of_the_rest(pair: Pair) -> None:
    with ExitStack() as held:
        with pair.taken_by(pair.main.pid):
            finish = held.enter_context(half_sent(pair.installation, body(1)))
        os.kill(pair.other_pid, signal.SIGKILL)
        eventually(lambda: "service.leaving" in pair.installation.log(), "it leaves")
        finish()
    assert pair.main.wait() == 1
    [failure] = lines(pair.installation, "service.failed")
    assert failure["part"] == "ingest process 2"
    assert "SIGKILL" in failure["error"]
    assert pair.installation.query(EVENT_IDS) == [("event-1",)]


def test_when_the_main_one_is_killed_the_other_answers_its_calls_and_ends(
    installation: Installation,
) -> None:
    """Until it has ended, nobody else gets the data directory, and whoever starts waits."""
    pair = Pair(installation, "graceful_seconds = 30")
    with ExitStack() as held:
        with pair.taken_by(pair.other_pid):
            finish = held.enter_context(half_sent(installation, body(1)))
        pair.main.signal(signal.SIGKILL)
        assert pair.main.wait() == -signal.SIGKILL
        following = installation.start()
        eventually(lambda: lines(installation, "companion.orphaned"), "it is noticed")
        assert lockfile.is_held(installation.data_dir)
        [waits] = eventually(lambda: lines(installation, "service.waits_for_orphans"), "it waits")
        assert f"({pair.other_pid})" in waits["holder"]
        assert waits["seconds"] >= 36, "as long as the others may take"
        assert len(lines(installation, "service.started")) == 1, "the next one waits"
        finish()
    eventually(lambda: is_gone(pair.other_pid), "it ends")
    following.wait_ready()
    assert following.stop() == 0
    assert installation.query(EVENT_IDS) == [("event-1",)]
    [orphaned] = lines(installation, "companion.orphaned")
    assert orphaned["process"] == 2


@pytest.mark.parametrize("engine", ["hypercorn", "uvicorn"])
def test_a_stop_answers_the_calls_of_all(installation: Installation, engine: str) -> None:
    pytest.importorskip(engine)
    pair = Pair(installation, f'engine = "{engine}"')
    with ExitStack() as held:
        with pair.taken_by(pair.other_pid):
            finish = held.enter_context(half_sent(pair.installation, body(1)))
        # As a service manager does, and a terminal: everybody gets the signal.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pair.other_pid, number)
        pair.main.signal(signal.SIGTERM)
        eventually(lambda: "service.leaving" in pair.installation.log(), "it leaves")
        finish()
    assert pair.main.wait() == 0
    assert is_gone(pair.other_pid)
    assert pair.installation.query(EVENT_IDS) == [("event-1",)]


def test_one_that_does_not_end_is_killed_and_told_of(installation: Installation) -> None:
    pair = Pair(installation, "graceful_seconds = 0.1")
    os.kill(pair.other_pid, signal.SIGSTOP)
    assert pair.main.stop() == 1
    [killed] = lines(installation, "companion.killed")
    assert killed["process"] == 2
    assert is_gone(pair.other_pid)


def test_an_impatient_person_is_heard_by_all(installation: Installation) -> None:
    pair = Pair(installation, STREAMER_SERVER__LAME_DUCK_SECONDS="10")
    pair.main.signal(signal.SIGINT)
    eventually(lambda: "service.leaving" in installation.log(), "it begins to leave")
    pair.main.signal(signal.SIGINT)
    assert pair.main.wait(5) == -signal.SIGINT
    eventually(lambda: is_gone(pair.other_pid), "the other one ends at once", seconds=5)


def test_a_part_of_a_further_one_that_dies_ends_all_in_order(
    pair: Pair, sender: SerialSender
) -> None:
    """Its writer can write nothing any more; it goes on answering 503 until everybody leaves."""
    installation = pair.installation
    assert pair.ask_each(sender, 1) == [None, None]
    log_bytes = installation.database.with_name("streamer.db-wal").stat().st_size
    resource.prlimit(pair.other_pid, resource.RLIMIT_FSIZE, (log_bytes, log_bytes))
    with pair.taken_by(pair.other_pid):
        sender.connect()
    answers: list[str | None] = []
    while "service.leaving" not in installation.log():
        answers.append(sender.once(body(100 + len(answers))))
    assert pair.main.wait() == 1
    assert answers[-1] == "status 503"
    [failure] = lines(installation, "service.failed")
    assert (failure["part"], failure["process"]) == ("the writer", 2)
    [stopped] = lines(installation, "service.stopped")
    assert stopped["reason"] == "ingest process 2: the writer failed"
    stored = {event_id for (event_id,) in installation.query(EVENT_IDS)}
    acknowledged = {f"event-{100 + at}" for at, one in enumerate(answers) if one is None}
    assert stored == {"event-1", "event-2"} | acknowledged


def test_a_lock_of_another_program_is_waited_out_by_all(
    installation: Installation, sender: SerialSender
) -> None:
    pair = Pair(installation, "deadline_seconds = 0.5")
    with closing(sqlite3.connect(installation.database, isolation_level=None)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        assert pair.ask_each(sender, 1) == ["status 503"] * 2
        shell.execute("ROLLBACK")
    assert pair.ask_each(sender, 3) == [None, None]
    met = "SELECT 1 FROM alarms WHERE code = 'STR-205'"
    eventually(lambda: installation.value(met), "it is told")
    assert pair.main.stop() == 0
    # A call whose commit had begun when its time was over is stored all the same.
    assert {("event-3",), ("event-4",)} <= set(installation.query(EVENT_IDS))


def test_a_reload_reaches_all_and_a_wrong_file_none(pair: Pair, sender: SerialSender) -> None:
    installation = pair.installation
    new = SerialSender(installation.url, b"a-new-key")
    good = installation.config_file.read_text()
    (installation.directory / "new-key").write_bytes(b"a-new-key")
    changed = good.replace(f"{installation.directory}/key", f"{installation.directory}/new-key")
    installation.config_file.write_text(changed + "[[")
    pair.reload("reload.refused")
    assert pair.ask_each(sender, 1) == [None, None]
    assert pair.ask_each(new, 3) == ["status 503", "status 503"]
    installation.config_file.write_text(changed)
    pair.reload("reload.done")
    assert pair.ask_each(new, 3) == [None, None]
    assert pair.ask_each(sender, 5) == ["status 503", "status 503"]
    assert pair.main.stop() == 0


def test_where_there_is_no_room_nobody_takes_anything(pair: Pair, sender: SerialSender) -> None:
    installation = pair.installation
    good = installation.config_file.read_text()
    full = good.replace("ingest_floor_bytes = 1\n", f"ingest_floor_bytes = {2**50}\n")
    installation.config_file.write_text(full)
    pair.reload("reload.done")
    eventually(lambda: pair.ask_each(sender, 1) == ["status 503"] * 2, "both refuse")
    installation.config_file.write_text(good)
    pair.reload("reload.done")
    eventually(lambda: pair.ask_each(sender, 1) == [None] * 2, "both take calls again")
    assert pair.main.stop() == 0


def test_only_the_main_one_talks_to_the_service_manager(installation: Installation) -> None:
    address = installation.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.settimeout(10)
        pair = Pair(installation, NOTIFY_SOCKET=str(address), WATCHDOG_USEC="600000")
        said: set[str] = set()
        while not {"READY=1", "WATCHDOG=1"} <= said:
            message, control, _, _ = manager.recvmsg(4096, socket.CMSG_SPACE(12))
            said |= set(message.decode().splitlines())
            [(_, _, credentials)] = control
            assert int.from_bytes(credentials[:4], "little") == pair.main.pid
        assert any("2 processes" in line for line in said)
        environment = Path(f"/proc/{pair.other_pid}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in environment
        assert b"WATCHDOG" not in environment
        assert pair.main.stop() == 0


def test_health_can_be_asked_of_each(pair: Pair) -> None:
    for pid in (pair.main.pid, pair.other_pid):
        for path, answer in (("/livez", b"alive\n"), ("/readyz", b"ready\n")):
            connection = HTTPConnection("127.0.0.1", pair.installation.port, timeout=10)
            with pair.taken_by(pid):
                connection.connect()
            connection.request("GET", path)
            assert connection.getresponse().read() == answer
            connection.close()
    assert pair.main.stop() == 0


def test_one_that_cannot_start_ends_all_before_anything_is_served(
    installation: Installation,
) -> None:
    installation.configure(installation.file_destination(), server=TWO)
    package = installation.directory / "package"
    package.mkdir()
    (package / "sitecustomize.py").write_text(
        "import os, sys\nif 'streamer.app.companion' in sys.orig_argv: os._exit(9)\n"
    )
    path = f"{package}{os.pathsep}{installation.environment['PYTHONPATH']}"
    assert installation.start(PYTHONPATH=path).wait() == 1
    assert not lines(installation, "service.started")
    [failure] = lines(installation, "service.failed")
    assert (failure["part"], failure["error"]) == ("ingest process 2", "it has ended with code 9")
