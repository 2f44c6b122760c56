"""A real service in a process of its own, on ports that the system chooses.

It is started as a person would start it, waited for by what it says and
answers, never by a guess at how long it takes, and stopped by SIGTERM. Commands
are run against it as processes too: `Service.run`.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 20.0
READY_TRIES_MAX = 20

KEY = "a signing key for tests"

CONFIG = """
data_dir = "data"

[sources.customerio]
kind = "customerio"
signing_keys = [{ file = "key" }]

[destinations.archive]
kind = "file"
directory = "data/archive"
"""
"""The least that works; `running_service` writes `KEY` beside it."""


class Service:
    """A service that answers, and the commands of its operator."""

    def __init__(
        self, process: subprocess.Popen[str], *, config: Path, url: str, admin_url: str
    ) -> None:
        self.process = process
        self.config = config
        self.data_dir = config.parent / "data"
        self.url = url
        """Of the ingest listener, without a path."""
        self.admin_url = admin_url
        self.log: list[str] = []
        """What it has written to standard error so far."""

    @property
    def port(self) -> int:
        """The ingest listener's."""
        return int(self.url.rpartition(":")[2])

    @property
    def environment(self) -> dict[str, str]:
        """What tells a command where the service listens."""
        return {"STREAMER_SERVER__BIND": self.url.removeprefix("http://")}

    def run(self, *arguments: str, **further: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the service's configuration; ``further`` are environment variables."""
        extra = {**self.environment, **further}
        return run_command(*arguments, "--config", str(self.config), environment=extra)

    def stop(self) -> int:
        """Stop it as a service manager does; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)


def run_command(
    *arguments: str, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``streamer`` with arguments as a process, and wait for its end."""
    return subprocess.run(
        [sys.executable, "-m", "streamer", *arguments],
        capture_output=True,
        check=False,
        cwd=cwd,
        env=clean_environment(environment),
        text=True,
        timeout=START_SECONDS_MAX,
    )


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without what would steer the program under test."""
    strange = ("STREAMER_", "LISTEN_", "NOTIFY_", "WATCHDOG_", "CREDENTIALS_", "JOURNAL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return {**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **(extra or {})}


@contextlib.contextmanager
def running_service(directory: Path, config_text: str = CONFIG) -> Iterator[Service]:
    """Run a service whose configuration lies in ``directory``; its listeners get free ports."""
    config = directory / "streamer.toml"
    config.write_text(config_text, encoding="utf-8")
    key = directory / "key"
    if not key.exists():
        key.write_text(KEY, encoding="utf-8")
        key.chmod(0o600)
    process = subprocess.Popen(
        [sys.executable, "-m", "streamer", "serve", "--config", str(config)],
        cwd=directory,
        env=clean_environment(
            {
                "STREAMER_SERVER__BIND": "127.0.0.1:0",
                "STREAMER_ADMIN__BIND": "127.0.0.1:0",
                "STREAMER_SERVER__LAME_DUCK_SECONDS": "0",
            }
        ),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said: queue.Queue[str | None] = queue.Queue()
    lines: list[str] = []
    reader = threading.Thread(target=_read, args=(process.stderr, said, lines), daemon=True)
    reader.start()
    try:
        started = json.loads(_wait_for(said, lines, r'(\{.*"service\.started".*\})'))
        [url] = started["ingest"]
        service = Service(process, config=config, url=url, admin_url=started["admin"])
        service.log = lines
        _wait_until_ready(service)
        yield service
        service.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join(STOP_SECONDS_MAX)
        process.stderr.close()


def _read(stream: IO[str], said: queue.Queue[str | None], lines: list[str]) -> None:
    """Take what the process writes, so that it never waits for a full pipe."""
    for line in stream:
        lines.append(line)
        said.put(line)
    said.put(None)


def _wait_for(said: queue.Queue[str | None], lines: list[str], pattern: str) -> str:
    """Wait until the process says something; fail with all it said when it ends before."""
    while (line := said.get(timeout=START_SECONDS_MAX)) is not None:
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError("the service did not start:\n" + "".join(lines))


def _wait_until_ready(service: Service) -> None:
    """Ask until it is ready; it listens already, so each question waits for its answer."""
    for _ in range(READY_TRIES_MAX):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
    raise AssertionError("the service is not ready:\n" + "".join(service.log))
