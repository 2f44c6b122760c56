"""What the main process and its companions say to each other, and the line that they say it on.

The line is a pair of connected sockets that nobody else can open. A message is
its length and msgpack. Nobody waits for an answer, and nothing is answered: what
either side says is a fact or an order. The end of the line is a message, too:
the process at the other end is gone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

import msgspec

from streamer.app.terms import Terms
from streamer.core.limits import CHANNEL_BYTES_MAX
from streamer.observe.board import Change
from streamer.store.sources import SourceCounts
from streamer.web.engine import EngineName

_LENGTH_BYTES = 4

_encode = msgspec.msgpack.Encoder().encode


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """All that a companion has to know before it takes calls; it reads no configuration."""

    number: int = 0
    """Which process of the service it is; the main one is the first."""
    processes: int
    instance: str
    """Which database this is (`streamer.store.facts.INSTANCE`)."""
    database: str
    engine: EngineName
    terms: Terms
    body_bytes_max: int
    queue_bytes_max: int
    queue_events_max: int
    deadline_seconds: float
    lame_duck_seconds: float
    graceful_seconds: float
    log_format: str
    under_journal: bool


class Serve(msgspec.Struct, frozen=True, tag="serve"):
    """Take calls: everybody is ready."""


class Room(msgspec.Struct, frozen=True, tag="room"):
    """Whether there is room on the disk for what comes in."""

    disk_full: bool


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """Stop as the main process stops, from this moment on."""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The database is open, and calls could be taken."""


class Stored(msgspec.Struct, frozen=True, tag="stored"):
    """New events are in the outbox, with these lane keys; and what was written since last told."""

    lane_keys: list[int]
    transactions: int
    body_bytes: int


class Report(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
    """What a companion has done and met since its last report, and how it is."""

    transactions: int
    busy: int
    disk_errors_in_row: int
    loop_lag_seconds: float
    stalled: list[str]
    """Its loops that have not come round in time."""
    counts: dict[str, SourceCounts]
    alarms: list[Change]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A part has died; calls are still answered, and the service has to end."""

    reason: str


ToCompanion = Start | Terms | Serve | Room | Leave
FromCompanion = Ready | Stored | Report | Failed

Heard = TypeVar("Heard")


class Channel(Generic[Heard]):
    """One end of a line."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        kinds: Any,  # noqa: ANN401 - a union of types has no type of its own
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decode = msgspec.msgpack.Decoder(kinds).decode

    @property
    def is_clogged(self) -> bool:
        """Tell whether the other side has not taken what was said for a while."""
        return self._writer.transport.get_write_buffer_size() > CHANNEL_BYTES_MAX

    def say(self, message: ToCompanion | FromCompanion) -> None:
        """Say something, and wait for nobody; one that is gone does not hear it."""
        if not self._writer.is_closing():
            data = _encode(message)
            self._writer.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)

    async def hear(self) -> AsyncIterator[Heard]:
        """Give out what is said until the other side is gone."""
        while True:
            try:
                head = await self._reader.readexactly(_LENGTH_BYTES)
                data = await self._reader.readexactly(int.from_bytes(head, "big"))
            except (asyncio.IncompleteReadError, OSError):
                return
            yield self._decode(data)

    async def aclose(self) -> None:
        """End the line once all that was said is under way."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return  # nobody is there to hear it


async def open_channel(line: socket.socket, kinds: Any) -> Channel[Any]:  # noqa: ANN401 - the same
    """Take over this process's end of a line, on which ``kinds`` of messages are heard."""
    line.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=line)
    return Channel(reader, writer, kinds)
