"""The drains of all destinations: started, replaced by a reload, stopped."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import anyio
import structlog
from anyio.abc import TaskGroup

from streamer.app import parts
from streamer.app.ending import Ending
from streamer.clock import Clock
from streamer.config.secrets import Secrets
from streamer.core import alarms
from streamer.destinations.options import CommonOptions, DestinationOptions
from streamer.drain.shared import Shared
from streamer.drain.supervisor import DestinationDrain
from streamer.observe.board import Board
from streamer.store.connection import Database
from streamer.store.writer import Writer

_log = structlog.get_logger("streamer.fleet")


class Fleet:
    """Every drain of this process, by the destination's name."""

    def __init__(
        self, *, writer: Writer, reader: Database, clock: Clock, board: Board, ending: Ending
    ) -> None:
        self.drains: dict[str, DestinationDrain] = {}
        self._options: dict[str, CommonOptions] = {}
        self._secret_values: dict[str, tuple[str, ...]] = {}
        self._ended: dict[str, anyio.Event] = {}
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._board = board
        self._ending = ending
        self._blocked = False

    def start(
        self, tasks: TaskGroup, name: str, options: DestinationOptions, secrets: Secrets
    ) -> None:
        """Begin to drain to a destination."""
        destination = parts.make_destination(
            name, options, secrets, clock=self._clock, board=self._board
        )
        shared = Shared(
            destination,
            parts.make_policy(options),
            writer=self._writer,
            reader=self._reader,
            clock=self._clock,
            board=self._board,
        )
        shared.blocked = self._blocked
        drain = DestinationDrain(name, shared)
        self.drains[name] = drain
        self._options[name] = options
        self._secret_values[name] = parts.secret_values(options, secrets)
        self._ended[name] = anyio.Event()
        tasks.start_soon(self._run, name, drain, self._ended[name])

    async def _run(self, name: str, drain: DestinationDrain, ended: anyio.Event) -> None:
        try:
            await self._ending.guard(f"the drain of {name}", drain.run)
        finally:
            ended.set()
        _log.info("drain.ended", destination=name)

    async def follow(
        self,
        tasks: TaskGroup,
        destinations: Mapping[str, DestinationOptions],
        secrets: Secrets,
        *,
        stop_seconds: float,
    ) -> list[str]:
        """Start, stop and replace drains so that they fit a new configuration; name the changed."""
        changed = [
            name
            for name in {*self.drains, *destinations}
            if name not in destinations
            or self._options.get(name) != destinations[name]
            or self._secret_values.get(name) != parts.secret_values(destinations[name], secrets)
        ]
        for name in changed:
            if name in self.drains:
                await self._stop_one(name, stop_seconds)
            if name in destinations:
                self.start(tasks, name, destinations[name], secrets)
            else:
                for alarm in (alarms.HELD, alarms.OUTAGE, alarms.UNSETTLED):
                    self._board.clear(alarm, name)
                self._board.note(
                    alarms.ORPHAN_CURSOR, name, f"run `streamer destination forget {name}`"
                )
        return sorted(changed)

    async def stop(self, seconds: float) -> None:
        """Let every drain finish its batch, or give it up after ``seconds``."""
        async with anyio.create_task_group() as stopping:
            for name in list(self.drains):
                stopping.start_soon(self._stop_one, name, seconds)

    async def _stop_one(self, name: str, seconds: float) -> None:
        drain = self.drains.pop(name)
        await drain.stop(seconds)
        await self._ended[name].wait()
        del self._options[name], self._secret_values[name], self._ended[name]

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
