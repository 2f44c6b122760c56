"""The companions of the main process: made, told what to do, listened to, ended.

They are made by running Python anew, never by a fork of what already runs: a
loop, a thread or an open database does not survive one. Each inherits one end
of a line, the listening sockets, and the lock on the data directory.

The service is one thing. What the companions count and raise is added to what
the main process counts and raises, a stop and a reload reach all of them at the
same moment, and when one ends by itself everybody ends, in order. One that hangs
is killed, which ends it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskGroup
from msgspec.structs import replace

import streamer
from streamer.app.channel import (
    Channel,
    Failed,
    FromCompanion,
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
from streamer.app.ending import Ending
from streamer.app.terms import Terms
from streamer.clock import Clock
from streamer.core.alarms import ALARMS
from streamer.core.errors import StreamerError
from streamer.core.intervals import (
    COMPANION_REPORT_SECONDS,
    COMPANION_SILENCE_SECONDS,
    COMPANION_START_SECONDS,
)
from streamer.ingest.front import Front
from streamer.observe.board import Board
from streamer.store.sources import Tally
from streamer.store.writer import Writer, WriterStats

_log = structlog.get_logger("streamer.service")

_UNHEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Service managers and terminals send them to every process; the main one obeys for all."""

_OURS_ALONE = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What the main process and the service manager have to say to each other."""

_LOOK_SECONDS = 0.01
_LINE_CLOSED_SECONDS = 5.0
"""A process whose end of the line is closed has nothing left to do."""
_OVERDUE_LOOKS = 3
"""Looks in a row at which a report is overdue before its process is killed: after a pause of this
process, or of the machine, what was reported meanwhile is heard before the second one."""


class Made:
    """A companion as the operating system sees it."""

    def __init__(self, number: int, inherited: Sequence[int]) -> None:
        """Start process ``number``, with these descriptors beside its end of the line."""
        self.number = number
        self.line, theirs = socket.socketpair()
        descriptors = (theirs.fileno(), *inherited)
        command = [sys.executable, "-P", "-m", "streamer.app.companion", *map(str, descriptors)]
        try:
            with theirs, _signals_blocked():
                self.process = subprocess.Popen(  # noqa: S603 - ourselves
                    command, env=_environment(), stdin=subprocess.DEVNULL, pass_fds=descriptors
                )
        except BaseException:
            self.line.close()
            raise

    def end(self) -> None:
        """End it in any case."""
        self.line.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class _signals_blocked:  # noqa: N801 - read as a statement
    """A process that is started meanwhile never hears these signals."""

    def __enter__(self) -> None:
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, _UNHEARD)

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)


def _environment() -> dict[str, str]:
    """Return what a companion is started with: it has to find the program that we are."""
    kept = {name: value for name, value in os.environ.items() if name not in _OURS_ALONE}
    root = str(Path(streamer.__path__[0]).parent)
    if root == sysconfig.get_path("purelib"):
        return kept
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (root, kept.get("PYTHONPATH"))))}


def make(processes: int, listening: Sequence[socket.socket], *, lock: int) -> list[Made]:
    """Start what is missing to so many processes; none of them serves before it is told to."""
    made: list[Made] = []
    inherited = [lock, *(listener.fileno() for listener in listening)]
    try:
        made.extend(Made(number, inherited) for number in range(2, processes + 1))
    except OSError as error:
        for one in made:
            one.end()
        raise StreamerError(
            f"{processes} processes cannot be started: {error.strerror}",
            hint="Set server.processes to fewer, or raise TasksMax= of the unit.",
        ) from error
    return made


class _Companion:
    """A companion as the main process knows it."""

    def __init__(self, made: Made, clock: Clock) -> None:
        self.made = made
        self.name = f"ingest process {made.number}"
        self.channel: Channel[FromCompanion] | None = None
        self.stats = WriterStats()
        self.loop_lag_seconds = 0.0
        self.alive_until = clock.monotonic() + COMPANION_START_SECONDS
        self.stalled: list[str] = []
        """Its loops that stood still when it reported last."""
        self.overdue_looks = 0
        self.ready = anyio.Event()
        self.ended = anyio.Event()

    def tell(self, order: ToCompanion) -> None:
        if self.channel is not None:
            self.channel.say(order)


class Companions:
    """All of them; none, where one process is all there is."""

    def __init__(
        self,
        made: Sequence[Made],
        *,
        writer: Writer,
        front: Front,
        board: Board,
        clock: Clock,
        ending: Ending,
        on_stored: Callable[[Collection[int]], None],
    ) -> None:
        self._all = [_Companion(one, clock) for one in made]
        self._writer = writer
        self._front = front
        self._board = board
        self._clock = clock
        self._ending = ending
        self._on_stored = on_stored
        self._terms: Terms | None = None
        """What has changed since the start, to be told to one that is not listening yet."""
        self._disk_full = False
        self._leaving = False

    @property
    def stats(self) -> list[WriterStats]:
        """What each one's writer has done."""
        return [one.stats for one in self._all]

    @property
    def share(self) -> bool:
        """Tell whether there are any, with whom the ingest listener is shared."""
        return bool(self._all)

    @property
    def pids(self) -> list[int]:
        """Their numbers for the operating system."""
        return [one.made.process.pid for one in self._all]

    def loop_lag_seconds(self) -> float:
        """Return the longest delay of an event loop among them."""
        return max((one.loop_lag_seconds for one in self._all), default=0.0)

    def alive_until(self) -> dict[str, float]:
        """Return by when each that has not ended will have reported again, if it is alive."""
        return {one.name: one.alive_until for one in self._all if not one.ended.is_set()}

    def begin(self, tasks: TaskGroup, start: Start) -> None:
        """Tell each how to start, and listen to it until its end, or kill it when it hangs."""
        for one in self._all:
            attend = partial(self._attend, one, replace(start, number=one.made.number))
            tasks.start_soon(self._ending.guard, one.name, attend)
        if self._all:
            tasks.start_soon(self._ending.guard, "the look at the others", self._look_after)

    async def _look_after(self) -> None:
        while True:
            await self._clock.sleep(COMPANION_REPORT_SECONDS)
            for one in self._all:
                overdue = not one.ended.is_set() and self._clock.monotonic() > one.alive_until
                one.overdue_looks = one.overdue_looks + 1 if overdue else 0
                if one.overdue_looks == _OVERDUE_LOOKS:
                    _kill_hanging(one)

    async def gather(self) -> None:
        """Wait until everybody is ready, and let them serve; in vain if the service is to end.

        Raises:
            StreamerError: they take too long.
        """
        with anyio.move_on_after(COMPANION_START_SECONDS) as scope:
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(self._give_up_at_the_end, waiting.cancel_scope)
                for one in self._all:
                    await one.ready.wait()
                waiting.cancel_scope.cancel()
        if scope.cancelled_caught:
            raise StreamerError("not every ingest process was ready in time")
        if not self._ending.is_asked:
            self._tell(Serve())

    async def _give_up_at_the_end(self, scope: anyio.CancelScope) -> None:
        await self._ending.wait()
        scope.cancel()

    def follow(self, terms: Terms) -> None:
        """Hand on what a reload has changed."""
        self._terms = terms
        self._tell(terms)

    def set_disk_full(self, disk_full: bool) -> None:
        """Hand on whether there is room for what comes in."""
        if disk_full != self._disk_full:
            self._disk_full = disk_full
            self._tell(Room(disk_full))

    def leave(self) -> None:
        """Let them stop as the main process does, from this moment on."""
        self._leaving = True
        self._tell(Leave())

    async def end(self, seconds: float) -> None:
        """Wait for the end of all; kill those that take longer than ``seconds``."""
        with anyio.move_on_after(seconds):
            await self._wait_for_all()
        for one in self._all:
            if not one.ended.is_set():
                _log.error("companion.killed", process=one.made.number, after_seconds=seconds)
                one.made.process.kill()
        await self._wait_for_all()

    async def _wait_for_all(self) -> None:
        for one in self._all:
            await one.ended.wait()

    def _tell(self, order: ToCompanion) -> None:
        for one in self._all:
            one.tell(order)

    async def _attend(self, one: _Companion, start: Start) -> None:
        """Listen to one until it ends; raises `StreamerError` if it should not have."""
        try:
            channel: Channel[FromCompanion] = await open_channel(one.made.line, FromCompanion)
            one.channel = channel
            one.tell(start)
            if self._terms is not None:
                one.tell(self._terms)
            if self._disk_full:
                one.tell(Room(disk_full=True))
            if self._leaving:
                one.tell(Leave())
            async for said in channel.hear():
                self._heed(one, said)
            await channel.aclose()
            code = await self._exit_code(one.made.process)
        finally:
            one.ended.set()
        if code != 0 or not self._leaving:
            raise StreamerError(f"it has ended {_in_words(code)}")

    async def _exit_code(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of a process that has closed its end of the line."""
        until = self._clock.monotonic() + _LINE_CLOSED_SECONDS
        while (code := process.poll()) is None:
            if self._clock.monotonic() > until:
                process.kill()
            await self._clock.sleep(_LOOK_SECONDS)
        return code

    def _heed(self, one: _Companion, said: FromCompanion) -> None:
        if isinstance(said, Stored):
            self._writer.note_written(said.transactions, said.body_bytes)
            if said.lane_keys:
                self._on_stored(said.lane_keys)
        elif isinstance(said, Report):
            self._add(one, said)
        elif isinstance(said, Ready):
            one.ready.set()
        elif isinstance(said, Failed):
            self._ending.fail(f"{one.name}: {said.reason}")

    def _add(self, one: _Companion, report: Report) -> None:
        """Add to the service's figures what one of its processes tells."""
        one.stats.transactions = report.transactions
        one.stats.busy = report.busy
        one.stats.disk_errors_in_row = report.disk_errors_in_row
        one.loop_lag_seconds = report.loop_lag_seconds
        one.stalled = report.stalled
        if not report.stalled:  # what stalls it has logged itself
            one.alive_until = self._clock.monotonic() + COMPANION_SILENCE_SECONDS
        self._front.tally.merge(Tally(report.counts))
        for raised in report.alarms:
            self._board.merge(ALARMS[raised.code], raised)


def _kill_hanging(one: _Companion) -> None:
    """End a process of which nothing is to be expected; `_attend` sees it end, and all end."""
    _log.error(
        "companion.hangs",
        process=one.made.number,
        pid=one.made.process.pid,
        loops=one.stalled,
        reason="its loops stand still" if one.stalled else "it reports nothing",
        hint="It is killed, and all end in order with code 1, to be started anew. If it was not "
        "stopped by hand (SIGSTOP, a debugger), look at the disk and at the machine's load.",
    )
    one.made.process.kill()


def _in_words(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
