"""A companion: a further process of the service, which takes calls and does nothing else.

It serves the same sockets as the main process and has a writer of its own, which
takes turns with the others. It drains nothing, prunes nothing and makes no
checkpoints, reads no configuration, and hears no signals: what to do it is told
by the main process, and what it has counted it tells the main process.

When the main process is gone it stops as if it had been told to, in order, so
that a kill of one process costs no call that another one has. When that happens
while it stops, somebody is out of patience, and it ends at once.

`streamer.app.companions` starts it, as ``python -m streamer.app.companion``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Collection, Sequence
from functools import partial
from pathlib import Path

import anyio
import structlog

from streamer.app import garbage, listeners, loop, systemd
from streamer.app.channel import (
    Channel,
    Failed,
    Leave,
    Ready,
    Report,
    Room,
    Serve,
    Start,
    Stored,
    ToCompanion,
    open_channel,
)
from streamer.app.ending import Ending, tell_failure
from streamer.app.terms import Terms, make_sources
from streamer.app.watch import Watch
from streamer.clock import SystemClock
from streamer.core import alarms
from streamer.core.intervals import COMPANION_NEWS_SECONDS, COMPANION_REPORT_SECONDS
from streamer.core.limits import CLOSE_SECONDS_MIN
from streamer.ingest.front import Front
from streamer.observe import log
from streamer.observe.board import Board
from streamer.store import facts
from streamer.store.sources import Tally
from streamer.store.turns import Turns
from streamer.store.writer import Writer
from streamer.web.health import Health
from streamer.web.public import make_public
from streamer.web.server import run_server

_log = structlog.get_logger("streamer.companion")


class Companion:
    """One companion, from the order to start until its end."""

    def __init__(
        self, start: Start, sockets: Sequence[socket.socket], channel: Channel[ToCompanion]
    ) -> None:
        self._start = start
        self._sockets = sockets
        self._channel = channel
        self._clock = SystemClock()
        self._ending = Ending(self._clock)
        """Of this process's own parts; the end of the whole is the main process's to say."""
        self._board = Board(self._clock, logs=False)
        database = Path(start.database)
        self._writer = Writer(
            database,
            self._clock,
            quarantine_bytes_max=start.terms.quarantine_bytes_max,
            queue_bytes_max=start.queue_bytes_max,
            queue_events_max=start.queue_events_max,
            turns=Turns(database.parent, writers=start.processes),
            checkpoints=False,
        )
        self._writer.on_stored = self._hear_of
        self._watch = Watch(self._clock, self._writer, alive_until=dict, status=str)
        self._health = Health(
            self._clock,
            is_alive=lambda: not self._watch.stalled(),
            refuses=self._refuses,
            write_probe=self._write_probe,
        )
        self._health.instance = start.instance
        self._front = self._make_front()
        self._called = anyio.Event()
        self._leave = anyio.Event()
        self._stop_servers = anyio.Event()
        self._writer_ended = anyio.Event()
        self._news: set[int] = set()
        self._telling: asyncio.TimerHandle | None = None

    def _make_front(self) -> Front:
        start = self._start
        return Front(
            make_public(self._health),
            sources=make_sources(start.terms, body_bytes_max=start.body_bytes_max),
            writer=self._writer,
            clock=self._clock,
            board=self._board,
            deadline_seconds=start.deadline_seconds,
            body_memory_bytes_max=start.queue_bytes_max,
        )

    async def run(self, orders: AsyncIterator[ToCompanion]) -> bool:
        """Serve from the order to do so until the order to leave; False: a part has failed."""
        await self._writer.open()
        try:
            async with anyio.create_task_group() as tasks:
                guard = self._ending.guard
                tasks.start_soon(guard, "the writer", self._write)
                tasks.start_soon(guard, "the orders", partial(self._obey, orders))
                tasks.start_soon(guard, "the watch", partial(self._watch.run, None))
                tasks.start_soon(guard, "the reports", self._report)
                tasks.start_soon(self._tell_failure)
                self._channel.say(Ready())
                await self._serve_until_told()
                await self._close_books()
                tasks.cancel_scope.cancel()
        finally:
            if self._telling is not None:
                self._telling.cancel()
            await self._writer.aclose()
        return not self._ending.failed

    async def _write(self) -> None:
        try:
            await self._writer.run()
        finally:
            self._writer_ended.set()

    async def _serve_until_told(self) -> None:
        await self._called.wait()
        async with anyio.create_task_group() as serving:
            for one in self._sockets if not self._leave.is_set() else ():
                serving.start_soon(self._ending.guard, "the server", partial(self._serve, one))
            await self._leave.wait()
            await self._clock.sleep(self._start.lame_duck_seconds)
            self._stop_servers.set()

    async def _serve(self, listener: socket.socket) -> None:
        await run_server(
            self._front,
            listener,
            stop=self._stop_servers.wait,
            graceful_seconds=self._start.graceful_seconds,
            engine=self._start.engine,
            connections_max=listeners.connections_max() // len(self._sockets),
            on_full=partial(self._board.note, alarms.CONNECTIONS_FULL, "ingest"),
            shared=True,
        )

    async def _close_books(self) -> None:
        """Commit what was taken in, unless that takes too long, and tell what was counted."""
        with anyio.move_on_after(CLOSE_SECONDS_MIN) as scope:
            self._writer.stop()
            await self._writer_ended.wait()
        if scope.cancelled_caught:
            _log.warning("companion.commits_given_up", seconds=CLOSE_SECONDS_MIN)
        self._tell_news()
        self._channel.say(self._make_report())

    async def _obey(self, orders: AsyncIterator[ToCompanion]) -> None:
        async for order in orders:
            if isinstance(order, Terms):
                self._follow(order)
            elif isinstance(order, Room):
                self._front.gate.disk_full = order.disk_full
            elif isinstance(order, Leave):
                self._begin_to_leave()
            elif isinstance(order, Serve):
                self._called.set()
        if self._leave.is_set():
            os._exit(1)  # nothing that was answered 200 is lost by that
        _log.warning("companion.orphaned", hint="The main process is gone; this one stops, too.")
        self._ending.failed = True
        self._begin_to_leave()

    def _begin_to_leave(self) -> None:
        self._front.gate.leaving = True
        self._leave.set()
        self._called.set()

    def _follow(self, terms: Terms) -> None:
        self._front.sources = make_sources(terms, body_bytes_max=self._start.body_bytes_max)
        self._writer.quarantine_bytes_max = terms.quarantine_bytes_max
        log.set_level(terms.log_level)

    async def _tell_failure(self) -> None:
        await self._ending.wait()
        self._channel.say(Failed(self._ending.reason))

    def _hear_of(self, lane_keys: Collection[int]) -> None:
        """Tell at once for whom there is something new, unless something was told just now."""
        self._news.update(lane_keys)
        if self._telling is None:
            self._tell_news()
            self._wait_for_more()

    def _wait_for_more(self) -> None:
        running = asyncio.get_running_loop()
        self._telling = running.call_later(COMPANION_NEWS_SECONDS, self._tell_more)

    def _tell_more(self) -> None:
        self._telling = None
        if self._news:
            self._tell_news()
            self._wait_for_more()

    def _tell_news(self) -> None:
        """Wake the drains; who does not listen looks by itself now and then."""
        if not self._channel.is_clogged:
            self._channel.say(Stored(list(self._news), *self._writer.take_written()))
        self._news.clear()

    async def _report(self) -> None:
        while True:
            await self._clock.sleep(COMPANION_REPORT_SECONDS)
            if not self._channel.is_clogged:
                self._tell_news()
                self._channel.say(self._make_report())

    def _make_report(self) -> Report:
        stats = self._writer.stats
        tally, self._front.tally = self._front.tally, Tally()
        return Report(
            transactions=stats.transactions,
            busy=stats.busy,
            disk_errors_in_row=stats.disk_errors_in_row,
            loop_lag_seconds=self._watch.loop_lag_seconds,
            stalled=self._watch.stalled(),
            counts=tally.by_source,
            alarms=self._board.take(),
        )

    def _refuses(self) -> str | None:
        if self._front.gate.leaving:
            return "stopping"
        return "the disk is full" if self._front.gate.disk_full else None

    async def _write_probe(self) -> None:
        now = self._clock.now()
        await self._writer.do(lambda db: facts.write(db, facts.PROBED_AT, now))


async def _run(line: socket.socket, sockets: Sequence[socket.socket]) -> bool:
    channel: Channel[ToCompanion] = await open_channel(line, ToCompanion)
    orders = channel.hear()
    start = await anext(orders, None)
    if not isinstance(start, Start):
        return False  # the main process did not get so far
    log.set_up(
        level=start.terms.log_level,
        form=start.log_format,
        under_journal=start.under_journal,
        process=start.number,
    )
    try:
        companion = Companion(start, sockets, channel)
        garbage.spare_what_stays()
        return await companion.run(orders)
    finally:
        await channel.aclose()


def main(arguments: Sequence[str]) -> None:
    """Be a companion: ``arguments`` are the descriptors of the line, the lock and the listeners.

    The lock is only held: the data directory is the service's for as long as one of its processes
    lives.
    """
    # Until it is told how the service logs: without this it would be to standard output.
    log.set_up(level="info", form="auto", under_journal=systemd.is_journal(sys.stderr.fileno()))
    line, *others = map(int, arguments)
    for descriptor in (line, *others):
        os.set_inheritable(descriptor, False)
    _lock, *inherited = others
    run = partial(_run, socket.socket(fileno=line), [listeners.adopt(one) for one in inherited])
    try:
        went_well = loop.run(run)
    except Exception as error:  # a traceback would go past the log, and may quote a body
        tell_failure("a further ingest process", error)
        went_well = False
    sys.exit(0 if went_well else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
