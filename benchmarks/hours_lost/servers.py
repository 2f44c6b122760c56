"""The servers: how each is started, learns a new key, and what it has stored in the end.

Each runs as its unit would run it. streamer gets its listening socket from the harness, which
keeps it as the socket unit would; the naive servers bind their port themselves. All of them sit on
the same kind of disk (`FaultyDisk`), and are given a new key in the way of their kind: by
configuration or environment, and a restart.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Protocol, Self

from benchmarks.harness.server import MODULE_PATH, free_port
from tests.support.processes import KEY, Installation, eventually
from tests.support.recording_destination import RecordingDestination

NEW_KEY = b"the-key-after-the-rotation"
DRAIN_SECONDS_MAX = 60.0


class Server(Protocol):
    """One server under trial, with its files in one directory, in a ``with`` block."""

    restart_seconds: float
    """``RestartSec=`` of its unit."""
    files: Path
    """Where its data lies."""
    port: int
    delivers: bool
    """Whether it hands events on at all."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def launch(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start the process, with more in its environment."""
        ...

    def learn_key(self) -> None:
        """Configure the new key beside the old one; a restart follows."""
        ...

    def settle(self) -> None:
        """Wait until everything that was taken in is where it should go."""
        ...

    def stored(self) -> set[bytes]:
        """Return every body that is kept; the process has ended."""
        ...


class Streamer:
    """``streamer serve`` of this tree, behind a socket that outlives it."""

    restart_seconds = 2.0
    delivers = True

    def __init__(self, directory: Path, destination: RecordingDestination) -> None:
        self._installation = Installation(directory)
        self._destination = destination
        self.port = self._installation.port
        self.files = self._installation.data_dir
        self._configure()

    def __enter__(self) -> Self:
        self._installation.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._installation.__exit__(kind, error, trace)

    def launch(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start it with its default of two seconds of lame duck, which tests shorten."""
        return self._installation.start(
            STREAMER_SERVER__LAME_DUCK_SECONDS="2", STREAMER_LOG__LEVEL="warning", **environment
        ).popen

    def learn_key(self) -> None:
        """Add the key to those that the source knows."""
        directory = self._installation.directory
        (directory / "new-key").write_bytes(NEW_KEY)
        files = f'{{ file = "{directory}/key" }}, {{ file = "{directory}/new-key" }}'
        self._configure(f"signing_keys = [{files}]")

    def settle(self) -> None:
        """Wait until the destination has everything."""
        eventually(
            lambda: self._installation.is_drained("hook"),
            "the destination has settled everything",
            seconds=DRAIN_SECONDS_MAX,
        )

    def stored(self) -> set[bytes]:
        """Return outbox and quarantine."""
        bodies = "SELECT CAST(body AS BLOB) FROM outbox UNION ALL SELECT body FROM quarantine"
        return {bytes(body) for (body,) in self._installation.query(bodies)}

    def _configure(self, sources: str = "") -> None:
        self._installation.configure(
            f'[destinations.hook]\nkind = "http"\nurl = "{self._destination.url}"\n'
            "batch_events_max = 100\nbackoff_base_seconds = 0.05\nbackoff_max_seconds = 1\n",
            sources=sources,
        )


class Naive:
    """A server of `benchmarks.rivals`, which binds its port and commits once for each request."""

    restart_seconds = 0.1
    delivers = False
    module: ClassVar[str]

    def __init__(self, directory: Path, destination: RecordingDestination) -> None:
        self._directory = directory
        self._destination = destination
        self.files = directory / "data"
        self.files.mkdir()
        self._database = self.files / "events.db"
        self._key = KEY
        self.port = free_port()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing outlives the process."""

    def launch(self, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start it with its key in the environment."""
        command = [sys.executable, "-m", self.module]
        command += ["--port", str(self.port), "--database", str(self._database)]
        own = {
            **MODULE_PATH,
            "SIGNING_KEY": self._key.decode(),
            "FORWARD_TO": self._destination.url,
        }
        with (self._directory / "server.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own modules
                command, env={**os.environ, **own, **environment}, cwd=self._directory,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def learn_key(self) -> None:
        """Replace the key."""
        self._key = NEW_KEY

    def settle(self) -> None:
        """Nothing is left to do: it has stored, or it has not."""

    def stored(self) -> set[bytes]:
        """Return the table."""
        connection = sqlite3.connect(self._database)
        try:
            return {bytes(body) for (body,) in connection.execute("SELECT body FROM events")}
        finally:
            connection.close()


class FastapiSqlite(Naive):
    """FastAPI on uvicorn."""

    module = "benchmarks.rivals.fastapi_sqlite"


class QuartSqlite(Naive):
    """Quart on Hypercorn."""

    module = "benchmarks.rivals.quart_sqlite"


class Forwarding(Naive):
    """FastAPI on uvicorn, which delivers within the request."""

    delivers = True
    module = "benchmarks.hours_lost.forwarding"
