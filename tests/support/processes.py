"""Real processes of the program, started, watched and killed as a service manager would.

An `Installation` is what outlives a process: its directory, its configuration, its key, and the
listening socket, which it hands to each process in turn. A `Manager` starts a process anew
whenever one ends, as systemd does with ``Restart=always``.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

REPOSITORY = Path(__file__).parents[2]
KEY = b"key-of-the-tests"
READY_SECONDS_MAX = 30.0
POLL_SECONDS = 0.02
LAME_DUCK_SECONDS = 0.3

# The listener comes as standard input, whose number is known, and goes on as the first
# descriptor after the standard ones.
_HAND_OVER = 'exec 3<&0 </dev/null; LISTEN_PID=$$ exec "$@"'

T = TypeVar("T")


def eventually(look: Callable[[], T], what: str, *, seconds: float = 15.0) -> T:
    """Look until something true comes back; fail when it does not in ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(POLL_SECONDS)


class Installation:
    """A data directory, a configuration and a listening socket; use it in a ``with`` block."""

    def __init__(self, directory: Path, *, package: Path = REPOSITORY) -> None:
        """Run the program of ``package`` in ``directory``."""
        self.directory = directory
        self.config_file = directory / "streamer.toml"
        self.data_dir = directory / "data"
        self.database = self.data_dir / "streamer.db"
        self.log_file = directory / "stderr.log"
        self.archive = directory / "archive"
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/webhooks/customerio"
        self.environment = {**os.environ, "PYTHONPATH": str(package)}
        self.processes: list[Process] = []
        (directory / "key").write_bytes(KEY)
        self.configure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes:
            process.end()
        self.listener.close()

    def configure(self, destinations: str = "", *, server: str = "", sources: str = "") -> None:
        """Write the configuration: the usual parts and these."""
        keys = f'signing_keys = [{{ file = "{self.directory}/key" }}]'
        self.config_file.write_text(
            f'data_dir = "{self.data_dir}"\n'
            f"[server]\nlame_duck_seconds = {LAME_DUCK_SECONDS}\n{server}\n"
            f'[admin]\nbind = "unix:{self.directory}/admin.sock"\n'
            "[outbox]\ningest_floor_bytes = 1\ndrain_floor_bytes = 0\n"
            f'[sources.customerio]\nkind = "customerio"\n{sources or keys}\n{destinations}\n'
        )

    def file_destination(self, name: str = "archive") -> str:
        """Return the settings of a file destination."""
        return f'[destinations.{name}]\nkind = "file"\ndirectory = "{self.directory / name}"\n'

    def start(self, *under: str, **environment: str) -> Process:
        """Start ``streamer serve`` behind the listening socket, ``under`` another program if any.

        That program must leave the process its number, as ``strace -D`` does.
        """
        process = Process(self, under, environment)
        self.processes.append(process)
        return process

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command to its end, without the listening socket."""
        return subprocess.run(
            [sys.executable, "-m", "streamer", *arguments, "--config", str(self.config_file)],
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def log(self) -> str:
        """Return all that the processes have written to standard error."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Look into the database, as a person would."""
        if not self.database.exists():
            return []
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)
        try:
            return connection.execute(statement, parameters).fetchall()
        finally:
            connection.close()

    def value(self, statement: str, *parameters: object) -> Any:  # noqa: ANN401 - as stored
        """Return the one value of a statement, or None."""
        rows = self.query(statement, *parameters)
        return rows[0][0] if rows else None

    def is_drained(self, *names: str) -> bool:
        """Tell whether these destinations have settled all there is."""
        last = self.value("SELECT coalesce(max(position), 0) FROM outbox")
        rows = dict(
            self.query("SELECT destination, min(position) FROM cursors GROUP BY destination")
        )
        return all(rows.get(name, -1) >= last for name in names)

    def archived(self, name: str = "archive") -> list[dict[str, Any]]:
        """Return every line of a file destination, in the order of the segments."""
        directory = self.directory / name
        segments = {path.name.removesuffix(".gz"): path for path in directory.glob("*.ndjson*")}
        return [
            json.loads(line)
            for _, segment in sorted(segments.items())
            for line in _unpacked(segment).splitlines()
        ]


def _unpacked(segment: Path) -> bytes:
    content = segment.read_bytes()
    return gzip.decompress(content) if segment.suffix == ".gz" else content


class Process:
    """One process of an installation."""

    def __init__(
        self, installation: Installation, under: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self._installation = installation
        command = ["/bin/sh", "-c", _HAND_OVER, "streamer", *under, sys.executable]
        command += ["-m", "streamer", "serve", "--config", str(installation.config_file)]
        inherited = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "ingest"}
        with installation.log_file.open("ab") as log:
            self.popen = subprocess.Popen(
                command,
                stdin=installation.listener.fileno(),
                stdout=log,
                stderr=log,
                env={**installation.environment, **inherited, **environment},
                cwd=installation.directory,
            )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self.popen.pid

    def wait_ready(self) -> None:
        """Wait until it answers: a call waits in the listener's queue until then."""
        answered = ask(self._installation.port, "/readyz", seconds=READY_SECONDS_MAX)
        assert answered[0] == 200, answered

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.popen.send_signal(number)

    def wait(self, seconds: float = 30.0) -> int:
        """Wait for the end; return the exit code, negative for a signal."""
        return self.popen.wait(seconds)

    def stop(self) -> int:
        """End it properly."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def end(self) -> None:
        """End it in any case."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(10)


def ask(
    port: int, path: str, *, method: str = "GET", body: bytes = b"", seconds: float = 10.0
) -> tuple[int, bytes]:
    """Make one HTTP request on loopback; return status and body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def ask_admin(installation: Installation, path: str) -> tuple[int, bytes]:
    """Ask the admin listener, with the token that the service made up."""
    token = (installation.data_dir / "admin-token").read_text().strip()
    connection = _UnixConnection(installation.directory / "admin.sock")
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Manager:
    """Keeps a process running, whatever it ends with, until told to stop."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._changed = threading.Condition()
        self._process: Process | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run)
        self.exit_codes: list[int] = []
        self.strikes: list[tuple[float, signal.Signals]] = []
        """Every signal sent, with its moment in monotonic seconds."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._stopping = True
            process = self._process
        if process is not None:
            process.signal(signal.SIGTERM if kind is None else signal.SIGKILL)
        self._thread.join(60)

    def strike(self, number: signal.Signals) -> None:
        """Send a signal to the process that runs, or to the next one when none does."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._process is not None, 30)
            assert self._process is not None
            self.strikes.append((time.monotonic(), number))
            self._process.signal(number)
            if number == signal.SIGKILL:
                self._process = None

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopping:
                    return
                process = self._process = self._installation.start()
                self._changed.notify_all()
            code = process.popen.wait()
            with self._changed:
                self._process = None
                self.exit_codes.append(code)
