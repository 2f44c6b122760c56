"""The conversation with systemd, held with real sockets and real child processes."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamer.app import systemd

REPOSITORY = Path(__file__).parents[2]


class Manager:
    """The receiving end of ``NOTIFY_SOCKET``."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """Return the assignments of the one message that must have arrived."""
        lines = self.socket.recv(4096).decode().split("\n")
        with pytest.raises(BlockingIOError):
            self.socket.recv(4096)
        return lines


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    path = tmp_path / "notify"
    manager = Manager(str(path))
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    yield manager
    manager.socket.close()


@pytest.fixture(autouse=True)
def _not_under_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        # Set first, so that what the code removes is put back as it was.
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)


class TestNotify:
    def test_several_assignments_travel_in_one_message(self, manager: Manager) -> None:
        assert systemd.notify("READY=1", "STATUS=up")
        assert manager.heard() == ["READY=1", "STATUS=up"]

    def test_an_abstract_address_is_written_with_an_at_sign(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = f"streamer-test-{os.getpid()}"
        manager = Manager("\0" + name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        assert systemd.notify("READY=1")
        assert manager.heard() == ["READY=1"]
        manager.socket.close()

    @pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative/path"])
    def test_nothing_is_sent_where_nobody_listens(
        self, address: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if address is not None:
            monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert not systemd.notify("READY=1")

    @pytest.mark.parametrize("address", ["/nonexistent/notify", "@nobody-is-here", "/" + "x" * 200])
    def test_a_socket_that_is_gone_is_not_an_error(
        self, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        assert not systemd.notify("READY=1")

    def test_a_manager_that_reads_nothing_holds_us_up_only_for_a_moment(
        self,
        manager: Manager,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(systemd, "SEND_TIMEOUT_SECONDS", 0.01)
        taken = 0
        while systemd.notify("WATCHDOG=1"):
            taken += 1
        assert manager.socket.recv(64) == b"WATCHDOG=1"
        assert taken > 0


class TestStates:
    def test_ready_carries_the_status(self, manager: Manager) -> None:
        assert systemd.notify_ready("3 destinations ok")
        assert manager.heard() == ["READY=1", "STATUS=3 destinations ok"]

    def test_stopping_carries_the_status(self, manager: Manager) -> None:
        assert systemd.notify_stopping("finishing batches")
        assert manager.heard() == ["STOPPING=1", "STATUS=finishing batches"]

    def test_reloading_carries_the_monotonic_time_in_microseconds(self, manager: Manager) -> None:
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        assert systemd.notify_reloading("reading the configuration")
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        state, moment, status = manager.heard()
        assert state == "RELOADING=1"
        assert status == "STATUS=reading the configuration"
        name, microseconds = moment.split("=")
        assert name == "MONOTONIC_USEC"
        assert before // 1_000 <= int(microseconds) <= after // 1_000

    def test_a_sign_of_life_is_a_message_of_its_own(self, manager: Manager) -> None:
        assert systemd.notify_watchdog()
        assert manager.heard() == ["WATCHDOG=1"]

    def test_more_time_is_asked_for_in_microseconds(self, manager: Manager) -> None:
        assert systemd.notify_extend_timeout(1.5)
        assert manager.heard() == ["EXTEND_TIMEOUT_USEC=1500000"]

    @pytest.mark.parametrize(
        "say", [systemd.notify_ready, systemd.notify_status, systemd.notify_stopping]
    )
    def test_a_line_break_in_a_status_cannot_begin_another_assignment(
        self, manager: Manager, say: Callable[[str], bool]
    ) -> None:
        assert say("held\nSTOPPING=1\r\nMAINPID=1")
        assert manager.heard()[-1] == "STATUS=held STOPPING=1 MAINPID=1"


class TestWatchdog:
    def test_without_the_variable_nobody_waits(self) -> None:
        assert systemd.watchdog_interval_seconds() is None

    @pytest.mark.parametrize(
        "process", [None, "", str(os.getpid())], ids=["unset", "empty", "ours"]
    )
    def test_the_interval_is_in_seconds(
        self, process: str | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WATCHDOG_USEC", "30500000")
        if process is not None:
            monkeypatch.setenv("WATCHDOG_PID", process)
        assert systemd.watchdog_interval_seconds() == 30.5

    def test_a_watchdog_for_another_process_is_not_ours(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getppid()))
        assert systemd.watchdog_interval_seconds() is None

    @pytest.mark.parametrize("interval", ["0", "", "-1", "soon", "1.5"])
    def test_an_interval_that_is_not_a_positive_number_is_none(
        self, interval: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WATCHDOG_USEC", interval)
        assert systemd.watchdog_interval_seconds() is None


# Tells what it took over, whether a second look finds anything, what a child would inherit and
# where each descriptor listens.
CHILD = """
import json, os, socket
from streamer.app.systemd import inherited_sockets
first = inherited_sockets()
report = {
    "inherited": first,
    "again": inherited_sockets(),
    "left": [name for name in os.environ if name.startswith("LISTEN_")],
    "inheritable": [os.get_inheritable(fd) for fds in first.values() for fd in fds],
    "ports": [socket.socket(fileno=fd).getsockname()[1] for fds in first.values() for fd in fds],
}
print(json.dumps(report))
os._exit(0)  # the sockets go without a warning about not having been closed
"""


class Inherited:
    """Hands real descriptors to a real child, numbered from 3 as systemd does."""

    def __init__(self) -> None:
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.ports = [listener.getsockname()[1] for listener in self.listeners]

    def child(self, variables: str, *, descriptors: list[int] | None = None) -> dict[str, object]:
        """Run `CHILD` with shell assignments such as ``LISTEN_PID=$$`` and return its report."""
        wanted = descriptors or [listener.fileno() for listener in self.listeners]
        # Out of the way of 3 and 4 first, or moving one could overwrite the other.
        numbers = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 10) for number in wanted]
        moves = " ".join(f"{3 + index}<&{number}" for index, number in enumerate(numbers))
        finished = subprocess.run(
            ["bash", "-c", f'export {variables}; exec "$0" -c "$1" {moves}', sys.executable, CHILD],
            pass_fds=numbers,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=True,
        )
        for number in numbers:
            os.close(number)
        report = json.loads(finished.stdout)
        assert isinstance(report, dict)
        return report


@pytest.fixture
def inherited() -> Iterator[Inherited]:
    inherited = Inherited()
    yield inherited
    for listener in inherited.listeners:
        listener.close()


class TestInheritedSockets:
    def test_each_name_leads_to_its_socket(self, inherited: Inherited) -> None:
        report = inherited.child("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=ingest:admin")
        assert report["inherited"] == {"ingest": [3], "admin": [4]}
        assert report["ports"] == inherited.ports

    def test_one_name_may_stand_for_several_addresses(self, inherited: Inherited) -> None:
        report = inherited.child("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=ingest:ingest")
        assert report["inherited"] == {"ingest": [3, 4]}

    def test_children_inherit_neither_the_sockets_nor_the_variables(
        self, inherited: Inherited
    ) -> None:
        report = inherited.child("LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=ingest:admin")
        assert report["inheritable"] == [False, False]
        assert report["left"] == []
        assert report["again"] == {}

    def test_sockets_for_another_process_are_left_alone(self, inherited: Inherited) -> None:
        report = inherited.child("LISTEN_PID=$PPID LISTEN_FDS=2 LISTEN_FDNAMES=ingest:admin")
        assert report["inherited"] == {}
        assert report["left"] == []

    @pytest.mark.parametrize("names", ["", "LISTEN_FDNAMES=", "LISTEN_FDNAMES=:"])
    def test_a_socket_without_a_name_is_unknown(self, inherited: Inherited, names: str) -> None:
        report = inherited.child(f"LISTEN_PID=$$ LISTEN_FDS=2 {names}")
        assert report["inherited"] == {"unknown": [3, 4]}

    def test_a_descriptor_that_is_not_a_socket_is_left_alone(
        self, inherited: Inherited, tmp_path: Path
    ) -> None:
        with (tmp_path / "file").open("w") as file:
            listener = inherited.listeners[1]
            report = inherited.child(
                "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=stored:ingest",
                descriptors=[file.fileno(), listener.fileno()],
            )
        assert report["inherited"] == {"ingest": [4]}

    @pytest.mark.parametrize("count", ["0", "", "-1", "many"])
    def test_no_count_means_no_sockets(self, inherited: Inherited, count: str) -> None:
        assert inherited.child(f"LISTEN_PID=$$ LISTEN_FDS={count}")["inherited"] == {}

    def test_without_the_variables_there_are_none(self) -> None:
        assert systemd.inherited_sockets() == {}


def test_what_the_journal_reads_is_known_by_its_file_and_not_by_the_variable_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "journal").open("w") as journal, (tmp_path / "other").open("w") as other:
        found = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert systemd.is_journal(journal.fileno())
        assert not systemd.is_journal(other.fileno())
        monkeypatch.delenv("JOURNAL_STREAM")
        assert not systemd.is_journal(journal.fileno())
    assert not systemd.is_journal(10**6)
