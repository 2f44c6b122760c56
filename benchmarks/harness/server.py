"""Servers as processes of their own: started, pinned to a core, looked at, stopped.

A server's costs are read from the kernel's account of its process and of the processes that it
started: nothing runs inside the server for the sake of the measurement. A server that dies takes
the benchmark with it, and what it wrote is shown.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benchmarks.harness.load import KEY
from benchmarks.installed import ROOT

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.005

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_CPU_CLOCK = 2  # CPUCLOCK_SCHED, by which clock_getcpuclockid(3) makes a clock of a process number
MODULE_PATH = {"PYTHONPATH": str(ROOT)}


class Server:
    """A process that listens on a port of this machine, with all its children."""

    def __init__(self, popen: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.port = port
        self.log_file = log
        """What it writes to its standard output and error."""

    def pids(self) -> list[int]:
        """Return its process number and those of its children and theirs."""
        return _with_children(self.pid)

    def cpu_seconds(self) -> float:
        """Return the processor time that all its processes have used, in all their threads."""
        return sum(_cpu_seconds(pid) for pid in self.pids())

    def resident_bytes(self) -> int:
        """Return the memory that its processes hold; what they share counts for each."""
        return sum(_resident_bytes(pid) for pid in self.pids())

    def cpu_seconds_each(self) -> list[float]:
        """Return the processor time of each of its processes, in the order of `pids`."""
        return [_cpu_seconds(pid) for pid in self.pids()]

    def resident_bytes_each(self) -> list[int]:
        """Return the memory that each of its processes holds, in the order of `pids`."""
        return [_resident_bytes(pid) for pid in self.pids()]

    def is_running(self) -> bool:
        """Say whether the process is still there."""
        return self._popen.poll() is None

    def stop(self) -> int:
        """End it properly, once; return its exit code, negative for a signal."""
        if self.is_running():
            self._popen.send_signal(signal.SIGTERM)
        try:
            return self._popen.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it and its children at once, if they still run."""
        for pid in self.pids() if self.is_running() else []:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._popen.wait(STOP_SECONDS_MAX)


def _with_children(pid: int) -> list[int]:
    found = [pid]
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in listed.read_text().split():
                found += _with_children(int(child))
    return found


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own = time.clock_gettime((~pid << 3) | _CPU_CLOCK)
    except OSError:
        return 0.0
    # The processor's clock of a process counts nanoseconds, that of children that have ended ticks.
    return own + sum(map(int, fields[13:15])) / TICKS_PER_SECOND


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except FileNotFoundError:
        return 0


def free_port() -> int:
    """Find a port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Bind this thread, and every process that it starts meanwhile, to one processor core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cores_apart() -> tuple[int | None, int | None]:
    """Return a core for the server and another for the load, or None twice if there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


@contextmanager
def start(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    core: int | None = None,
    wait_for_port: int,
) -> Iterator[Server]:
    """Start a server with ``env`` added to the environment, and stop it in the end.

    The block is entered once somebody accepts connections on ``wait_for_port``.

    Raises:
        RuntimeError: it ended before, or took too long; what it wrote is in the message.
    """
    with tempfile.NamedTemporaryFile(dir=cwd, prefix="server-", suffix=".log", delete=False) as log:
        with on_core(core):
            popen = subprocess.Popen(  # noqa: S603 - servers that the benchmarks name
                command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        server = Server(popen, wait_for_port, Path(log.name))
    try:
        _wait_for_port(server)
        yield server
        server.stop()
    finally:
        server.kill()


def _wait_for_port(server: Server) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            return
        if not server.is_running() or time.monotonic() > deadline:
            raise RuntimeError(f"the server is not up:\n{server.log_file.read_text()[-4000:]}")
        time.sleep(LOOK_SECONDS)


@contextmanager
def empty_app(engine: str = "hypercorn", core: int | None = None) -> Iterator[Server]:
    """Serve the empty application, which reads the body and answers 200, as streamer is served."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.harness.empty"]
    command += ["--engine", engine, "--port", str(port)]
    with (
        tempfile.TemporaryDirectory() as directory,
        start(
            command, cwd=Path(directory), env=MODULE_PATH, core=core, wait_for_port=port
        ) as server,
    ):
        yield server


@contextmanager
def streamer(
    directory: Path,
    config_toml: str = "",
    *,
    core: int | None = None,
    python: Sequence[str] = (sys.executable,),
) -> Iterator[Server]:
    """Run the real ``streamer serve`` with its data below ``directory``, until it is ready.

    The source ``customerio`` has the signing key `KEY`. ``config_toml`` is tables that the
    configuration has besides: destinations, ``[server]``, ``[outbox]``; without any destination
    nothing is drained. Where it listens is set through the environment and wins over them.
    ``python`` may run the program under something else, such as a profiler.
    """
    config = write_config(directory, config_toml)
    port = free_port()
    environment = {
        **MODULE_PATH,
        "STREAMER_SERVER__BIND": f"127.0.0.1:{port}",
        "STREAMER_SERVER__LAME_DUCK_SECONDS": "0",
        "STREAMER_ADMIN__BIND": f"unix:{directory / 'admin.sock'}",
    }
    command = [*python, "-m", "streamer", "serve", "--config", str(config)]
    with start(command, cwd=directory, env=environment, core=core, wait_for_port=port) as server:
        _wait_ready(server)
        yield server


def write_config(directory: Path, config_toml: str = "") -> Path:
    """Write the configuration of `streamer`, whose database is ``data/streamer.db``."""
    directory.mkdir(parents=True, exist_ok=True)
    key = directory / "key"
    key.write_bytes(KEY)
    config = directory / "streamer.toml"
    config.write_text(
        f'data_dir = "{directory / "data"}"\n'
        '[log]\nlevel = "warning"\n'
        f'[sources.customerio]\nkind = "customerio"\nsigning_keys = [{{ file = "{key}" }}]\n'
        f"{config_toml}\n"
    )
    return config


def ask_status(directory: Path) -> dict[str, Any]:
    """Return what ``streamer status --json`` says of the service that `streamer` runs there."""
    command = [sys.executable, "-m", "streamer", "status", "--json"]
    done = subprocess.run(  # noqa: S603 - our own program
        [*command, "--config", str(directory / "streamer.toml")],
        env={**os.environ, **MODULE_PATH}, cwd=directory, capture_output=True, check=True,
    )  # fmt: skip
    status: dict[str, Any] = json.loads(done.stdout)
    return status


def _wait_ready(server: Server) -> None:
    """Wait for ``/readyz``: a call waits in the listener's queue until somebody serves it."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=READY_SECONDS_MAX)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        told = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"the service is not ready: {answer.status} {told!r}")
