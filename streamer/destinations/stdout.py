"""The destination of kind ``stdout``: one CloudEvent per line, for trying things out.

A line that was handed to the operating system counts as accepted; nothing is
promised of what is behind the pipe. A pipe without a reader never gets one
again, so that is a hold and not a matter of waiting. A reader that stands
still is waited for, and then deferred to, but keeps nobody from stopping: no
write blocks, and who gives up begins a new line the next time.
"""

from __future__ import annotations

import io
import select
import sys
import threading
from collections.abc import Callable, Sequence
from typing import BinaryIO

import anyio
import anyio.to_thread

from streamer.clock import Clock
from streamer.core.alarms import Alarm
from streamer.core.cloudevents import CloudEvent, encode_lines, envelope_each
from streamer.core.event import StoredEvent
from streamer.core.intervals import STDOUT_LOOK_SECONDS, STDOUT_STANDS_SECONDS
from streamer.core.outcome import ACCEPTED, Outcome, deferred, held
from streamer.core.privacy import Redactor
from streamer.destinations.base import Destination, Finding
from streamer.destinations.common_options import Secret
from streamer.destinations.options import StdoutOptions


class StdoutDestination(Destination):
    """Whole lines on standard output, never one inside another."""

    kind = "stdout"
    send_seconds_max = 300.0
    """A reader that takes a little now and then needs no more for a batch."""

    def __init__(
        self, name: str, options: StdoutOptions, *, stream: BinaryIO | None = None
    ) -> None:
        """Write to ``stream``, and to standard output when there is none."""
        self.name = name
        self._redactor = Redactor(drop=options.privacy.drop, hash=options.privacy.hash)
        self._stream = sys.stdout.buffer if stream is None else stream
        self._writing = anyio.CapacityLimiter(1)
        # Lanes must not write into each other's lines, and neither must a thread that was left
        # behind at work, which asyncio's own way of cancelling does.
        self._one_thread = threading.Lock()
        self._in_line = False
        """The last line was begun and not ended."""
        self._looks_in_vain = 0
        """Looks in a row that found no room; whoever comes after them waits for one more only."""

    async def send(self, events: Sequence[StoredEvent]) -> list[Outcome]:
        """Write the events' lines; all that can be written are, or none counts as written.

        Cancelling gives up only a write that the reader does not take.
        """
        made = envelope_each(events, self._redactor)
        lines = encode_lines([each for each in made if isinstance(each, CloudEvent)])
        given_up = threading.Event()
        try:
            outcome = await anyio.to_thread.run_sync(
                self._write, lines, given_up, abandon_on_cancel=True, limiter=self._writing
            )
        finally:
            given_up.set()
        return [outcome if isinstance(each, CloudEvent) else each for each in made]

    async def probe(self) -> list[Finding]:
        """Look whether the stream is open."""
        if self._stream.closed:
            hint = "Start the service with its standard output open."
            return [Finding(False, "standard output is closed", hint=hint)]
        return [Finding(True, "standard output is open")]

    async def aclose(self) -> None:
        """Leave the stream open: others write to it too."""

    def _write(self, lines: bytes, given_up: threading.Event) -> Outcome:
        try:
            with self._one_thread:
                if not self._write_all(lines, given_up):
                    return deferred("stdout_stands", "nobody takes what is written")
        except (BrokenPipeError, ValueError):
            # A ValueError is how a closed stream answers.
            return held(
                "stdout_closed", "nobody reads standard output any more. Start the service anew."
            )
        except OSError as error:
            # What the stream still keeps it writes next time, and the lines are sent again then:
            # they may be there twice, but whole.
            return deferred("stdout_error", error.strerror or "")
        return ACCEPTED

    def _write_all(self, lines: bytes, given_up: threading.Event) -> bool:
        """Write in pieces that a pipe takes at once; False when it was given up."""
        try:
            descriptor = self._stream.fileno()
        except io.UnsupportedOperation:  # a stream in memory, which never blocks
            descriptor = None
        rest = memoryview(b"\n" + lines if self._in_line else lines)
        while rest:
            if descriptor is not None and not self._has_room(descriptor, given_up):
                return False
            piece, rest = rest[: select.PIPE_BUF], rest[select.PIPE_BUF :]
            self._in_line = bytes(piece[-1:]) != b"\n"
            self._stream.write(piece)
            self._stream.flush()
        return True

    def _has_room(self, descriptor: int, given_up: threading.Event) -> bool:
        """Wait until a piece can be written; False when it was given up, or takes too long."""
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        while not poll.poll(STDOUT_LOOK_SECONDS * 1000):
            self._looks_in_vain += 1
            stood_seconds = self._looks_in_vain * STDOUT_LOOK_SECONDS
            if given_up.is_set() or stood_seconds >= STDOUT_STANDS_SECONDS:
                return False
        self._looks_in_vain = 0
        return True


def build(
    name: str,
    options: StdoutOptions,
    *,
    clock: Clock,
    secret: Callable[[Secret], str],
    raise_alarm: Callable[[Alarm, str], None],
) -> StdoutDestination:
    """Make one from its settings; see `streamer.destinations.registry`."""
    return StdoutDestination(name, options)
