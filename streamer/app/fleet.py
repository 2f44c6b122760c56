"""The drains of all destinations: started, replaced by a reload, stopped.

Whatever of a new configuration can be wrong is found in `Fleet.plan`, which
changes nothing: what follows it cannot fail half way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import anyio
import structlog
from anyio.abc import TaskGroup

from streamer.app import parts
from streamer.app.ending import Ending
from streamer.clock import Clock
from streamer.config.secrets import Secrets
from streamer.core import alarms
from streamer.destinations.base import Destination
from streamer.destinations.options import DestinationOptions
from streamer.drain.shared import Shared
from streamer.drain.supervisor import DestinationDrain
from streamer.observe.board import Board
from streamer.store.connection import Database
from streamer.store.writer import Writer

_log = structlog.get_logger("streamer.fleet")


class Blueprint(NamedTuple):
    """A destination that is built, and what of."""

    destination: Destination
    options: DestinationOptions
    held_in_files: tuple[str, ...]


class Plan(NamedTuple):
    """What a configuration changes."""

    made: dict[str, Blueprint]
    """The destinations that are new or not as they were."""
    gone: frozenset[str]
    configured: frozenset[str]


class _Running(NamedTuple):
    drain: DestinationDrain
    blueprint: Blueprint
    ended: anyio.Event


class Fleet:
    """Every drain of this process, by the destination's name."""

    def __init__(
        self, *, writer: Writer, reader: Database, clock: Clock, board: Board, ending: Ending
    ) -> None:
        self.drains: dict[str, DestinationDrain] = {}
        self._running: dict[str, _Running] = {}
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._board = board
        self._ending = ending
        self._blocked = False

    def plan(self, destinations: Mapping[str, DestinationOptions], secrets: Secrets) -> Plan:
        """Build what is new or has changed; nothing of it runs yet.

        Raises:
            ConfigurationError: one of them cannot be built.
        """
        made = {}
        for name, options in destinations.items():
            values = parts.held_in_files(options, secrets)
            running = self._running.get(name)
            as_before = running is not None and running.blueprint[1:] == (options, values)
            if running is not None and as_before and not running.ended.is_set():
                continue
            destination = parts.make_destination(
                name, options, secrets, clock=self._clock, board=self._board
            )
            made[name] = Blueprint(destination, options, values)
        return Plan(made, frozenset(self._running) - set(destinations), frozenset(destinations))

    async def follow(self, tasks: TaskGroup, plan: Plan, *, stop_seconds: float) -> list[str]:
        """Start, stop and replace drains as planned; name the changed."""
        changed = sorted({*plan.made, *plan.gone})
        async with anyio.create_task_group() as replacing:
            for name in changed:
                replacing.start_soon(self._replace, tasks, name, plan.made.get(name), stop_seconds)
        self._clear_outdated(plan.configured)
        return changed

    async def _replace(
        self, tasks: TaskGroup, name: str, made: Blueprint | None, stop_seconds: float
    ) -> None:
        if name in self._running:
            await self._stop_one(name, stop_seconds)
        if made is not None:
            self._start(tasks, name, made)

    def _start(self, tasks: TaskGroup, name: str, blueprint: Blueprint) -> None:
        shared = Shared(
            blueprint.destination,
            parts.make_policy(blueprint.options),
            writer=self._writer,
            reader=self._reader,
            clock=self._clock,
            board=self._board,
        )
        shared.blocked = self._blocked
        drain = DestinationDrain(name, shared)
        ended = anyio.Event()
        self.drains[name] = drain
        self._running[name] = _Running(drain, blueprint, ended)
        tasks.start_soon(self._run, name, drain, ended)

    async def _run(self, name: str, drain: DestinationDrain, ended: anyio.Event) -> None:
        try:
            await self._ending.guard(f"the drain of {name}", drain.run)
        finally:
            ended.set()
        _log.info("drain.ended", destination=name)

    def _clear_outdated(self, configured: Collection[str]) -> None:
        """Clear what was said of drains that are no more, and of sections that were missing."""
        of_drains = {alarms.HELD, alarms.OUTAGE, alarms.UNSETTLED}
        for code, subject in self._board.standing:
            alarm = alarms.ALARMS.get(code)
            if alarm in of_drains and subject not in configured:
                self._board.clear(alarm, subject)
            if alarm is alarms.ORPHAN_CURSOR and subject in configured:
                self._board.clear(alarm, subject)

    async def stop(self, seconds: float) -> None:
        """Let every drain finish its batch, or give it up after ``seconds``."""
        async with anyio.create_task_group() as stopping:
            for name in list(self._running):
                stopping.start_soon(self._stop_one, name, seconds)

    async def _stop_one(self, name: str, seconds: float) -> None:
        """Stop a drain; until it has ended it stays, for whoever has to stop it too."""
        running = self._running[name]
        await running.drain.stop(seconds)
        await running.ended.wait()
        if self._running.get(name) is running:
            del self._running[name], self.drains[name]

    def hear_of(self, lane_keys: Collection[int]) -> None:
        """New events with these lane keys are in the outbox."""
        for drain in self.drains.values():
            drain.hear_of(lane_keys)

    def poke(self) -> None:
        """Try at once wherever a drain waits or is held: things may have changed."""
        for drain in self.drains.values():
            drain.poke()

    def block(self, blocked: bool) -> None:
        """Stop or go on draining, as the disk allows."""
        if blocked == self._blocked:
            return
        self._blocked = blocked
        for drain in self.drains.values():
            drain.shared.blocked = blocked
            drain.wake()

    def alive_until(self) -> dict[str, float]:
        """Return by when each drain will have ticked again, if it is alive."""
        return {f"drain {name}": drain.alive_until for name, drain in self.drains.items()}

    def settle_retries(self) -> dict[str, int]:
        """Return how often each drain had to try a transaction again."""
        return {name: drain.shared.retries for name, drain in self.drains.items()}
