"""The running service: its parts, how they are joined, and how they stop.

All loops are siblings in one task group, each under a guard: one that fails
ends the process with a code other than 0, so that the service manager starts it
anew, but in the same order as a signal does (`streamer.app.ending`).

Stopping goes from the outside in. The server keeps answering for a while and
asks every sender to connect anew; then it ends, while each drain finishes its
batch or gives it up, to be sent again. What was taken in is committed. The
database is closed last. Nothing in this may take longer than the configuration
says, whoever holds the database's lock.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

import anyio
import structlog
from anyio.abc import TaskGroup

from streamer.app import listeners, parts, systemd, telling
from streamer.app.channel import Start
from streamer.app.companions import Companions, Made
from streamer.app.control import Control
from streamer.app.ending import Ending
from streamer.app.fleet import Fleet
from streamer.app.janitor import Janitor
from streamer.app.listening import INGEST_NAME, Listening
from streamer.app.outlook import Outlook
from streamer.app.prepare import Prepared
from streamer.app.pruning import Pruning
from streamer.app.reload import Reloader
from streamer.app.room import Room, RoomWatch
from streamer.app.signals import Signals, die_of
from streamer.app.survey import Survey
from streamer.app.switching import SwitchOn
from streamer.app.watch import Watch
from streamer.clock import Clock
from streamer.config.generated import ensure_admin_token
from streamer.config.model import Config
from streamer.config.secrets import Secrets
from streamer.core import alarms
from streamer.core.intervals import COMPANION_END_SECONDS
from streamer.core.limits import ADMIN_CONNECTIONS_MAX, CLOSE_SECONDS_MIN
from streamer.ingest.front import Front
from streamer.ingest.source import Source
from streamer.observe.board import Board
from streamer.store import facts, sqlite, status
from streamer.store.connection import Database
from streamer.store.status import Status
from streamer.web.admin import make_admin
from streamer.web.engine import Application
from streamer.web.health import Health
from streamer.web.metrics import ProcessFigures
from streamer.web.public import make_public
from streamer.web.server import run_server

_log = structlog.get_logger("streamer.service")


class Service:
    """The main process: a server, a writer, a drain for each destination, and its companions."""

    def __init__(
        self,
        config: Config,
        secrets: Secrets,
        reader: Database,
        *,
        clock: Clock,
        prepared: Prepared,
        reloader: Reloader,
        signals: Signals,
        made: Sequence[Made] = (),
    ) -> None:
        self.config = config
        self.started_with = config
        """What is still in force of the settings that only a restart changes."""
        self.ending = Ending(clock)
        self._secrets = secrets
        self._reader = reader
        self._clock = clock
        self._reloader = reloader
        self._signals = signals
        self._stop_servers = anyio.Event()
        self._leave_until = 0.0
        self.board = Board(clock)
        self.board.restore(prepared.standing, raised=prepared.raised)
        self.writer = parts.make_writer(config, clock)
        self._writer_ended = anyio.Event()
        self.fleet = Fleet(
            writer=self.writer,
            reader=reader,
            clock=clock,
            board=self.board,
            ending=self.ending,
        )
        self.control = Control(reader, clock, self.fleet.drains, self._look_soon)
        self.watch = Watch(clock, self.writer, alive_until=self._alive_until, status=self._one_line)
        self.health = Health(
            clock,
            is_alive=lambda: not self.watch.stalled(),
            refuses=self._refuses,
            write_probe=self._write_probe,
        )
        self.front = self._make_front()
        self.companions = Companions(
            made,
            writer=self.writer,
            front=self.front,
            board=self.board,
            clock=clock,
            ending=self.ending,
            on_stored=self._hear_of,
        )
        self.switch_on = self._make_switch_on()
        self.janitor = self._make_janitor()
        self.pruning = self._make_pruning()
        self.survey = Survey(writer=self.writer, reader=reader, clock=clock, board=self.board)
        self.writer.on_stored = self._hear_of

    def _hear_of(self, lane_keys: Collection[int]) -> None:
        self.fleet.hear_of(lane_keys)
        self.survey.hear()

    def _make_front(self) -> Front:
        outbox = self.config.outbox
        return Front(
            make_public(self.health),
            sources=parts.make_sources(
                self.config, self._secrets, body_bytes_max=outbox.body_max_bytes
            ),
            writer=self.writer,
            clock=self._clock,
            board=self.board,
            deadline_seconds=self.config.server.deadline_seconds,
            body_memory_bytes_max=outbox.queue_bytes_max,
        )

    def _make_janitor(self) -> Janitor:
        config = self.config
        return Janitor(
            path=config.database_path,
            front=self.front,
            writer=self.writer,
            others=lambda: self.companions.stats,
            board=self.board,
            clock=self._clock,
            wal_alarm_bytes=config.outbox.wal_alarm_bytes,
            outlook=Outlook(self.board, quarantine_bytes_max=config.outbox.quarantine_bytes_max),
            room=RoomWatch(
                config.database_path.parent,
                ingest_floor_bytes=config.outbox.ingest_floor_bytes,
                drain_floor_bytes=config.outbox.drain_floor_bytes,
            ),
            on_room=self._on_room,
        )

    def _make_pruning(self) -> Pruning:
        return Pruning(
            path=self.config.database_path,
            writer=self.writer,
            reader=self._reader,
            board=self.board,
            clock=self._clock,
            retention_days=self.config.outbox.retention_days,
            room=self.janitor.room,
        )

    def _make_switch_on(self) -> SwitchOn:
        return SwitchOn(
            reader=self._reader,
            writer=self.writer,
            board=self.board,
            clock=self._clock,
            settings=lambda: (self.config, self._secrets),
            unready_reason=self.health.unready_reason,
        )

    async def run(self, listening: Listening, announce: Callable[[], None]) -> bool:
        """Serve until something asks for a stop; ``announce`` is called when everything is up.

        False: it was not a signal, but a part that failed.
        """
        self._note_sqlite()
        began_at = self._clock.monotonic()
        await self.writer.open()
        try:
            self.health.instance = await self._reader.run(facts.instance)
            async with anyio.create_task_group() as tasks:
                self._guard(tasks, "the writer", self._write)
                # Before anything is served: a signal's default would cut a call off.
                self._signals.catch(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
                self._guard(tasks, "the signal receiver", self._obey_signals)
                self.companions.begin(tasks, self._start_of_companions())
                await self._start(tasks)
                await self._serve_all(listening, announce)
                await self._close_books()
                tasks.cancel_scope.cancel()
            pending = await telling.read_pending(self._read_status)
        finally:
            # The last connection to be closed empties the log, which one that only reads cannot.
            await self._reader.aclose()
            await self.writer.aclose()
        telling.say_stopped(self.ending, pending, began_at=began_at, now=self._clock.monotonic())
        return not self.ending.failed

    def _guard(self, tasks: TaskGroup, part: str, work: Callable[[], Awaitable[object]]) -> None:
        tasks.start_soon(self.ending.guard, part, work)

    async def _write(self) -> None:
        try:
            await self.writer.run()
        finally:
            self._writer_ended.set()

    def _start_of_companions(self) -> Start:
        under_journal = systemd.is_journal(sys.stderr.fileno())
        return parts.make_start(
            self.config, self._secrets, instance=self.health.instance, under_journal=under_journal
        )

    async def _start(self, tasks: TaskGroup) -> None:
        plan = self.fleet.plan(self.config.destinations, self._secrets)
        await self.fleet.follow(tasks, plan, stop_seconds=0)
        await self.control.look()
        reload = partial(self._reloader.run, self, tasks)
        self._guard(tasks, "the reload", reload)
        self._guard(tasks, "the janitor", self.janitor.run)
        self._guard(tasks, "the pruning", self.pruning.run)
        self._guard(tasks, "the survey", self.survey.run)
        self._guard(tasks, "the look at the control rows", self.control.run)
        watchdog = systemd.watchdog_interval_seconds()
        self._guard(tasks, "the watch", partial(self.watch.run, watchdog))
        self._guard(tasks, "the switching on of webhooks", self.switch_on.run)

    async def _serve_all(self, listening: Listening, announce: Callable[[], None]) -> None:
        """Serve until a stop is asked for, and until servers, drains and companions have ended."""
        await self.ending.guard("the start of the others", self.companions.gather)
        async with anyio.create_task_group() as serving:
            if not self.ending.is_asked:
                self._begin_to_serve(serving, listening)
                announce()
                systemd.notify_ready(self._one_line())
                self.switch_on.serving.set()
            await self.ending.wait()
            await self._reloader.stop()
            await self._leave()
            await self.fleet.stop(self._seconds_left())
            await self.companions.end(self._seconds_left() + COMPANION_END_SECONDS)

    def _begin_to_serve(self, serving: TaskGroup, listening: Listening) -> None:
        for listener in listening.ingest:
            most = listeners.connections_max() // len(listening.ingest)
            serve = partial(self._serve, self.front, listener, "ingest", most)
            self._guard(serving, "the ingest server", serve)
        admin = partial(
            self._serve, self._make_admin(), listening.admin, "admin", ADMIN_CONNECTIONS_MAX
        )
        self._guard(serving, "the admin server", admin)

    async def _serve(
        self, application: Application, listener: socket.socket, name: str, connections_max: int
    ) -> None:
        await run_server(
            application,
            listener,
            stop=self._stop_servers.wait,
            graceful_seconds=self.started_with.server.graceful_seconds,
            engine=self.started_with.server.engine,
            connections_max=connections_max,
            on_full=partial(self.board.note, alarms.CONNECTIONS_FULL, name),
            shared=self.companions.share and name == INGEST_NAME,
        )

    async def _leave(self) -> None:
        """Go on answering for a moment, so that no kept connection meets a closed one."""
        systemd.notify_stopping("answering the last calls")
        seconds = self.started_with.server.lame_duck_seconds
        _log.info("service.leaving", seconds=seconds, reason=self.ending.reason)
        self.front.gate.leaving = True
        self.companions.leave()
        await self._clock.sleep(seconds)
        self._leave_until = self._clock.monotonic() + self.started_with.server.graceful_seconds
        self._stop_servers.set()

    def _seconds_left(self) -> float:
        """Say how long the drains may take; without a writer nothing can be settled any more."""
        if self._writer_ended.is_set():
            return 0.0
        return max(0.0, self._leave_until - self._clock.monotonic())

    async def _close_books(self) -> None:
        """Commit what was taken in and counted, unless another program does not let us."""
        seconds = max(CLOSE_SECONDS_MIN, self._seconds_left())
        with anyio.move_on_after(seconds) as scope:
            await self.janitor.finish()
            self.writer.stop()
            await self._writer_ended.wait()
        if scope.cancelled_caught:
            _log.warning("service.commits_given_up", seconds=round(seconds, 1))

    async def _obey_signals(self) -> None:
        async for number in self._signals.heard():
            if number == signal.SIGHUP:
                self._reloader.ask()
            elif number == signal.SIGINT and self.ending.is_asked:
                die_of(signal.SIGINT)
            else:
                self.ending.ask(number.name)

    def follow(self, config: Config, secrets: Secrets, sources: dict[str, Source]) -> None:
        """Take over what a reload may change outside the drains."""
        self.config = config
        self._secrets = secrets
        self.front.sources = sources
        self.companions.follow(parts.make_terms(config, secrets))
        self.pruning.retention_days = config.outbox.retention_days
        self.writer.quarantine_bytes_max = config.outbox.quarantine_bytes_max
        self.janitor.outlook.quarantine_bytes_max = config.outbox.quarantine_bytes_max
        self.janitor.wal_alarm_bytes = config.outbox.wal_alarm_bytes
        self.janitor.room.ingest_floor_bytes = config.outbox.ingest_floor_bytes
        self.janitor.room.drain_floor_bytes = config.outbox.drain_floor_bytes
        self._look_soon()

    def _look_soon(self) -> None:
        """Who is configured, or known at all, has changed: see whose cursors nobody looks after."""
        self.janitor.look_soon()

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
        others = self.companions.stats
        return ProcessFigures(
            alarms=dict(self.board.counts),
            processes=1 + len(others),
            transactions=sum(stats.transactions for stats in (self.writer.stats, *others)),
            busy=sum(stats.busy for stats in (self.writer.stats, *others)),
            wal_bytes=self.janitor.wal_bytes(),
            disk_free_bytes=self.janitor.room.last.free_bytes,
            loop_lag_seconds=max(self.watch.loop_lag_seconds, self.companions.loop_lag_seconds()),
            settle_retries=self.fleet.settle_retries(),
            version=telling.program_version(),
            sqlite=sqlite.VERSION,
        )

    def _refuses(self) -> str | None:
        if self.front.gate.leaving:
            return "stopping"
        return "the disk is full" if self.front.gate.disk_full else None

    async def _write_probe(self) -> None:
        now = self._clock.now()
        await self.writer.do(lambda db: facts.write(db, facts.PROBED_AT, now))

    def _on_room(self, room: Room) -> None:
        self.fleet.block(room.drain_stops)
        self.survey.blocked = room.drain_stops
        self.companions.set_disk_full(room.ingest_stops)

    def _alive_until(self) -> dict[str, float]:
        return {
            **self.fleet.alive_until(),
            **self.companions.alive_until(),
            "janitor": self.janitor.alive_until,
            "pruning": self.pruning.alive_until,
            "control": self.control.alive_until,
        }

    def _one_line(self) -> str:
        figures = [self.writer.stats, *self.companions.stats]
        commits = sum(stats.transactions for stats in figures)
        others = f", {len(figures)} processes" if len(figures) > 1 else ""
        return f"{commits} commits, {len(self.fleet.drains)} destinations{others}"

    def _note_sqlite(self) -> None:
        if sqlite.is_safe_version(sqlite.VERSION):
            self.board.clear(alarms.UNSAFE_SQLITE, "")
        else:
            self.board.note(alarms.UNSAFE_SQLITE, "", f"SQLite {sqlite.VERSION}")
