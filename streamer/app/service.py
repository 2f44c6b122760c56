"""The running service: its parts, how they are joined, and how they stop.

All loops are siblings in one task group. One that fails ends the process with
a code other than 0, so that the service manager starts it anew: a dead drain
must not leave behind a server that looks alive.

Stopping goes from the outside in. The server keeps answering for a while and
asks every sender to connect anew; then it ends. Each drain finishes its batch
or gives it up, to be sent again. What was taken in is committed. The database
is closed last.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Mapping

import anyio
import structlog
from anyio.abc import TaskGroup

from streamer.app import listeners, parts, systemd
from streamer.app.control import Control
from streamer.app.fleet import Fleet
from streamer.app.janitor import Janitor
from streamer.app.outlook import Outlook
from streamer.app.reload import Reloader
from streamer.app.room import Room, RoomWatch
from streamer.app.watch import Watch
from streamer.clock import Clock
from streamer.config.generated import ensure_admin_token
from streamer.config.model import Config
from streamer.config.secrets import Secrets
from streamer.core import alarms
from streamer.ingest.front import Front
from streamer.observe.board import Board
from streamer.store import facts, sqlite, status
from streamer.store.connection import Database, connect_reader
from streamer.store.status import Status
from streamer.web.admin import make_admin
from streamer.web.health import Health
from streamer.web.metrics import ProcessFigures
from streamer.web.public import make_public
from streamer.web.server import Application, run_server

_log = structlog.get_logger("streamer.service")

INGEST_NAME = "ingest"
"""What the socket unit calls the ingest listener."""


class Listening:
    """The two sockets, bound before anything else is started."""

    def __init__(self, config: Config, inherited: Mapping[str, tuple[int, ...]]) -> None:
        handed = inherited.get(INGEST_NAME) or next(iter(inherited.values()), ())
        self.ingest: list[socket.socket] = [listeners.adopt(one) for one in handed] or [
            listeners.bind(config.server.bind, "server.bind")
        ]
        self.admin: socket.socket = listeners.bind(config.admin.bind, "admin.bind")
        self.ingest_url = listeners.describe(self.ingest[0])
        self.admin_url = listeners.describe(self.admin)

    def close(self) -> None:
        """Stop listening, where the service manager does not keep the socket."""
        for listener in (*self.ingest, self.admin):
            listener.close()


class Service:
    """One process: a server, a writer, and a drain for each destination."""

    def __init__(
        self,
        config: Config,
        secrets: Secrets,
        reader: Database,
        *,
        clock: Clock,
        standing_alarms: list[tuple[str, str]],
        reloader: Reloader,
    ) -> None:
        self.config = config
        self._secrets = secrets
        self._reader = reader
        self._clock = clock
        self._reloader = reloader
        self._stop = anyio.Event()
        self._stop_servers = anyio.Event()
        self.board = Board(clock)
        self.board.restore(standing_alarms)
        self.writer = parts.make_writer(config, clock)
        self.fleet = Fleet(writer=self.writer, reader=reader, clock=clock, board=self.board)
        self.control = Control(reader, clock, self.fleet.drains)
        self.watch = Watch(clock, self.writer, alive_until=self._alive_until, status=self._one_line)
        self.health = Health(
            clock,
            is_alive=lambda: not self.watch.stalled(),
            refuses=self._refuses,
            write_probe=self._write_probe,
        )
        self.front = Front(
            make_public(self.health),
            sources=parts.make_sources(config, secrets),
            writer=self.writer,
            clock=clock,
            board=self.board,
            deadline_seconds=config.server.deadline_seconds,
            body_memory_bytes_max=config.outbox.queue_bytes_max,
        )
        self.janitor = Janitor(
            path=config.database_path,
            front=self.front,
            writer=self.writer,
            board=self.board,
            clock=clock,
            retention_days=config.outbox.retention_days,
            wal_alarm_bytes=config.outbox.wal_alarm_bytes,
            outlook=Outlook(self.board, quarantine_bytes_max=config.outbox.quarantine_bytes_max),
            room=RoomWatch(
                config.database_path.parent,
                ingest_floor_bytes=config.outbox.ingest_floor_bytes,
                drain_floor_bytes=config.outbox.drain_floor_bytes,
            ),
            on_room=self._on_room,
        )
        self.writer.on_stored = self.fleet.wake

    async def run(self, listening: Listening, announce: Callable[[], None]) -> None:
        """Serve until a signal says stop; ``announce`` is called when everything is up."""
        self._note_sqlite()
        await self.writer.open()
        try:
            self.health.instance = await self._reader.run(facts.instance)
            async with anyio.create_task_group() as tasks:
                writing = anyio.Event()
                tasks.start_soon(self._write, writing)
                # Before anything is served: a signal's default would cut a call off.
                tasks.start_soon(self._obey_signals, tasks)
                await self._start(tasks)
                async with anyio.create_task_group() as servers:
                    for listener in listening.ingest:
                        servers.start_soon(self._serve, self.front, listener)
                    servers.start_soon(self._serve, self._make_admin(), listening.admin)
                    announce()
                    systemd.notify_ready(self._one_line())
                    await self._stop.wait()
                    await self._leave()
                await self.fleet.stop(self.config.server.graceful_seconds)
                await self.janitor.finish()
                self.writer.stop()
                await writing.wait()
                tasks.cancel_scope.cancel()
        finally:
            await self.writer.aclose()

    async def _write(self, ended: anyio.Event) -> None:
        try:
            await self.writer.run()
        finally:
            ended.set()

    async def _start(self, tasks: TaskGroup) -> None:
        for name, options in self.config.destinations.items():
            self.fleet.start(tasks, name, options, self._secrets)
        await self.control.look()
        tasks.start_soon(self.janitor.run)
        tasks.start_soon(self.control.run)
        tasks.start_soon(self.watch.run, systemd.watchdog_interval_seconds())

    async def _serve(self, application: Application, listener: socket.socket) -> None:
        await run_server(
            application,
            listener,
            stop=self._stop_servers.wait,
            graceful_seconds=self.config.server.graceful_seconds,
        )

    async def _leave(self) -> None:
        """Go on answering for a moment, so that no kept connection meets a closed one."""
        systemd.notify_stopping("answering the last calls")
        _log.info("service.leaving", seconds=self.config.server.lame_duck_seconds)
        self.front.gate.leaving = True
        await self._clock.sleep(self.config.server.lame_duck_seconds)
        self._stop_servers.set()

    async def _obey_signals(self, tasks: TaskGroup) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    await self._reloader.reload(self, tasks)
                elif number == signal.SIGINT and self._stop.is_set():
                    _die_of(signal.SIGINT)
                else:
                    self._stop.set()

    def follow(self, config: Config, secrets: Secrets) -> None:
        """Take over what a reload may change outside the drains."""
        self.config = config
        self._secrets = secrets
        self.front.sources = parts.make_sources(config, secrets)
        self.janitor.retention_days = config.outbox.retention_days
        self.writer.quarantine_bytes_max = config.outbox.quarantine_bytes_max
        self.janitor.outlook.quarantine_bytes_max = config.outbox.quarantine_bytes_max
        self.janitor.wal_alarm_bytes = config.outbox.wal_alarm_bytes
        self.janitor.room.ingest_floor_bytes = config.outbox.ingest_floor_bytes
        self.janitor.room.drain_floor_bytes = config.outbox.drain_floor_bytes

    def _make_admin(self) -> Application:
        token = self._secrets.of(self.config.admin.token)
        if token is None:
            token, _ = ensure_admin_token(self.config.database_path.parent)
        return make_admin(
            self.health,
            token=token,
            allowed_hosts=parts.allowed_hosts(self.config),
            read_status=self._read_status,
            read_figures=self._read_figures,
        )

    async def _read_status(self) -> Status:
        return await self._reader.run(lambda db: status.read(db, now=self._clock.now()))

    def _read_figures(self) -> ProcessFigures:
        return ProcessFigures(
            alarms=dict(self.board.counts),
            transactions=self.writer.stats.transactions,
            busy=self.writer.stats.busy,
            wal_bytes=self.janitor.wal_bytes(),
            disk_free_bytes=self.janitor.room.last.free_bytes,
            loop_lag_seconds=self.watch.loop_lag_seconds,
        )

    def _refuses(self) -> str | None:
        if self.front.gate.leaving:
            return "stopping"
        return "the disk is full" if self.front.gate.disk_full else None

    async def _write_probe(self) -> None:
        now = self._clock.now()
        await self.writer.do(lambda db: facts.write(db, "probed_at", now))

    def _on_room(self, room: Room) -> None:
        self.fleet.block(room.drain_stops)

    def _alive_until(self) -> dict[str, float]:
        return {
            **self.fleet.alive_until(),
            "janitor": self.janitor.alive_until,
            "control": self.control.alive_until,
        }

    def _one_line(self) -> str:
        return f"{self.writer.stats.transactions} commits, {len(self.fleet.drains)} destinations"

    def _note_sqlite(self) -> None:
        if sqlite.is_safe_version(sqlite.VERSION):
            self.board.clear(alarms.UNSAFE_SQLITE, "")
        else:
            self.board.note(alarms.UNSAFE_SQLITE, "", f"SQLite {sqlite.VERSION}")


def _die_of(number: signal.Signals) -> None:
    """End at once: somebody at a terminal is out of patience, and every crash is safe.

    A service manager that says SIGTERM twice is not: that must not cost a call its answer.
    """
    _log.warning("service.cut_short")
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


async def open_reader_for(config: Config) -> Database:
    """Open the connection that all drains read with."""
    return await connect_reader(config.database_path)
