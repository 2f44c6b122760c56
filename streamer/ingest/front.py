"""The ingest route: an ASGI callable in front of the web framework.

It verifies, decodes, commits, and only then answers 2xx. It stands in front
of Quart because Quart doubles the cost of a request. It lets no exception
pass: whatever goes wrong in here, or in the application behind it, is a 503,
since the server would answer 500 and a 500 costs the sender an hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog

from streamer.clock import Clock
from streamer.core import alarms, customerio
from streamer.core.errors import StoreError
from streamer.core.event import has_usable_time
from streamer.core.limits import BODY_BYTES_HARD_MAX, LINGER_SECONDS
from streamer.core.signature import Running
from streamer.ingest import answers
from streamer.ingest.answers import Answer
from streamer.ingest.deadline import Deadline, Deadlines
from streamer.ingest.request import (
    Body,
    BodyReader,
    Budget,
    CallHeaders,
    Disconnected,
    Overloaded,
    Receive,
    read_headers,
)
from streamer.ingest.source import Source, signed_age_seconds
from streamer.observe.board import Board
from streamer.observe.log import where
from streamer.store.arrival import Arrival, Kept, UnreadableCall
from streamer.store.sources import Tally
from streamer.store.writer import Writer

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

PREFIX = "/webhooks/"

_log = structlog.get_logger("streamer.ingest")
_EMPTY_BODY = {"type": "http.response.body", "body": b"", "more_body": False}
_BODY_TO_COME = {"type": "http.response.body", "body": b"", "more_body": True}


class Gate:
    """What decides beside the request itself whether a call can be taken now."""

    def __init__(self) -> None:
        self.disk_full = False
        self.leaving = False
        """The process is about to stop: every answer asks the sender to connect anew."""


class Front:
    """Answers ``POST /webhooks/{source}``; hands everything else to ``inner``."""

    def __init__(
        self,
        inner: Application,
        *,
        sources: Mapping[str, Source],
        writer: Writer,
        clock: Clock,
        board: Board,
        deadline_seconds: float,
        body_memory_bytes_max: int,
    ) -> None:
        self.gate = Gate()
        self.sources = sources
        self.tally = Tally()
        """Counts of calls that left no row; whoever runs the service writes them down."""
        self._inner = inner
        self._writer = writer
        self._clock = clock
        self._board = board
        self._deadlines = Deadlines(deadline_seconds)
        self._budget = Budget(body_memory_bytes_max)
        # A body that could never be held whole is cut; refused, it would come again for a week.
        self._body_bytes_max = min(BODY_BYTES_HARD_MAX, body_memory_bytes_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope; never raises for a request."""
        if scope["type"] == "http":
            await self._serve(_in_origin_form(scope), receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._inner(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if not path.startswith(PREFIX) and scope["http_version"].startswith("1"):
            await self._serve_inner(scope, receive, send)
            return
        headers = read_headers(scope["headers"], scope["http_version"])
        source = self.sources.get(path[len(PREFIX) :].removesuffix("/"))
        running = _start_check(source, headers)
        refusal = _refuse_unread(scope["method"], source, headers, running)
        reader = BodyReader(receive, self._budget, running, bytes_max=self._body_bytes_max)
        try:
            if refusal is not None:
                answer = await self._refuse(refusal, reader)
            else:
                assert source is not None
                assert running is not None
                answer = await self._decide(source, headers, running, reader)
        except Disconnected:
            return
        except asyncio.CancelledError:  # the server ends and waits no longer: it would answer 500
            await send(answers.STOPPING.start_and_close)
            await send(_EMPTY_BODY)
            raise
        except Exception as error:  # any other answer than a 503 would cost an hour
            _log.error("ingest.failed", raised=where(error))
            answer = answers.INTERNAL
        finally:
            reader.close()
        if answer.status == 503 and source is not None:
            self.tally.of(source.name).refused += 1
        await self._reply(answer, reader, send)

    async def _refuse(self, refusal: Answer, reader: BodyReader) -> Answer:
        """Let a sender that cannot be genuine finish, and keep nothing of what it sends."""
        with suppress(TimeoutError), Deadline(self._deadlines):
            await reader.discard()
        return refusal

    async def _decide(
        self, source: Source, headers: CallHeaders, running: Running, reader: BodyReader
    ) -> Answer:
        received_at = self._clock.now()
        try:
            with Deadline(self._deadlines):
                body = await reader.read()
                refusal = self._verify(source, headers, running, received_at)
                if refusal is not None:
                    return refusal
                return await self._keep(source, self._arrival(source, headers, body, received_at))
        except TimeoutError:
            self._board.note(alarms.LATE_ANSWER, source.name, "a call was not stored in time")
            return answers.TOO_LATE
        except Overloaded:
            return self._overloaded(source)

    def _verify(
        self, source: Source, headers: CallHeaders, running: Running, received_at: int
    ) -> Answer | None:
        """Say what is wrong with a call whose body was read, or None if it is genuine."""
        if not running.matches():
            self.tally.of(source.name).bad_signatures += 1
            self._board.note(
                alarms.BAD_SIGNATURE, source.name, "calls fail the check: was a key changed?"
            )
            refuse = source.refuse_bad_signature
            return answers.SIGNATURE_REFUSED if refuse else answers.BAD_SIGNATURE
        assert headers.timestamp is not None
        return self._look_at_age(source, headers.timestamp, received_at)

    def _look_at_age(self, source: Source, timestamp: bytes, received_at: int) -> Answer | None:
        age = signed_age_seconds(timestamp, received_at)
        if age is None or age <= source.age_warn_seconds:
            return None
        counts = self.tally.of(source.name)
        counts.oldest_call_seconds = max(counts.oldest_call_seconds, int(age))
        self._board.note(alarms.OLD_CALL, source.name, f"a call was signed {int(age)} s ago")
        if source.age_limit_seconds is not None and age > source.age_limit_seconds:
            return answers.TOO_OLD
        return None

    def _arrival(
        self, source: Source, headers: CallHeaders, body: Body, received_at: int
    ) -> Arrival:
        """Turn a genuine call into an event, or into bytes for the quarantine."""
        reason = detail = ""
        event_id = None
        if headers.content_encoding is not None:
            reason, detail = "content_encoding", "the body came encoded and is kept as it came"
        elif body.sha256 is not None or body.length > source.body_bytes_max:
            reason, detail = "too_large", f"the body has {body.length} bytes"
        else:
            decoded = customerio.decode(body.kept)
            if isinstance(decoded, customerio.Decoded):
                self._look_at_time(source, decoded, received_at)
                return decoded.event(source.name, received_at=received_at, body=body.kept)
            reason, detail, event_id = decoded.reason, decoded.detail, decoded.event_id
        encoding = headers.content_encoding
        return UnreadableCall(
            source=source.name,
            reason=reason,
            detail=detail,
            received_at=received_at,
            body=body.kept,
            event_id=event_id,
            content_encoding=None if encoding is None else encoding.decode("latin-1")[:100],
            body_bytes=body.length,
            body_sha256=body.sha256,
        )

    def _look_at_time(self, source: Source, decoded: customerio.Decoded, received_at: int) -> None:
        """Count events whose own time will be replaced by that of their receipt."""
        if not has_usable_time(decoded.occurred_at, received_at):
            self._board.note(
                alarms.LATE_TIMESTAMP, source.name, "such events carry the time of their receipt"
            )

    async def _keep(self, source: Source, arrival: Arrival) -> Answer:
        """Commit an arrival; only when that is done is it answered 200."""
        if self.gate.disk_full:
            return answers.DISK_FULL
        if not self._writer.has_room(len(arrival.body)):
            return self._overloaded(source)
        try:
            kept = await self._writer.append(arrival)
        except StoreError:
            return answers.STORE_FAILING
        if kept is Kept.CONFLICT:
            self._board.note(
                alarms.ID_CONFLICT, source.name, "see `streamer quarantine list`: id_conflict"
            )
        elif kept is Kept.QUARANTINED:
            self._board.note(alarms.QUARANTINED, source.name, "see `streamer quarantine list`")
        return answers.KEPT

    def _overloaded(self, source: Source) -> Answer:
        self._board.note(
            alarms.OVERLOADED, source.name, "calls come faster than they can be stored"
        )
        return answers.OVERLOADED

    async def _reply(self, answer: Answer, reader: BodyReader, send: Send) -> None:
        """Answer at once; a sender that is still writing may finish before the connection ends."""
        if reader.complete:
            await send(answer.start_and_close if self.gate.leaving else answer.start)
            await send(_EMPTY_BODY)
            return
        await send(answer.start_and_close)
        await send(_BODY_TO_COME)
        with suppress(TimeoutError, Disconnected):
            async with asyncio.timeout(LINGER_SECONDS):
                await reader.discard()
        await send(_EMPTY_BODY)

    async def _serve_inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the framework answer; if it fails before it has begun to, answer 503."""
        begun = False

        async def watch(message: dict[str, Any]) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                if self.gate.leaving:
                    message = {
                        **message,
                        "headers": [*message.get("headers", ()), (b"connection", b"close")],
                    }
            await send(message)

        try:
            await self._inner(scope, receive, watch)
        except Exception as error:  # the server would answer 500
            _log.error("web.failed", raised=where(error))
            if not begun:
                await send(answers.INTERNAL.start_and_close)
                await send(_EMPTY_BODY)


def _in_origin_form(scope: Scope) -> Scope:
    """Read a target that names the whole URL as its path alone (RFC 9112, section 3.2.2).

    Whoever sends one takes us for a proxy; a 404 would cost it an hour. Only
    the path counts here in any case: whose host is named was the proxy's concern.
    """
    path: str = scope["path"]
    scheme, separator, rest = path.partition("://")
    if not separator or scheme.lower() not in {"http", "https"}:
        return scope
    _, slash, tail = rest.partition("/")
    return {**scope, "path": f"/{tail}" if slash else "/"}


def _start_check(source: Source | None, headers: CallHeaders) -> Running | None:
    """Begin to check the signature; None if there is none that could be checked."""
    if source is None or headers.signature is None or headers.timestamp is None or headers.doubled:
        return None
    return source.verifier.start(headers.timestamp, headers.signature)


def _refuse_unread(
    method: str, source: Source | None, headers: CallHeaders, running: Running | None
) -> Answer | None:
    """Say what is wrong with a call by its head alone; None if it may be genuine."""
    if headers.refusal is not None:
        return headers.refusal
    if source is None:
        return answers.NO_SUCH_SOURCE
    if method != "POST":
        return answers.POST_ONLY
    return answers.SIGNATURE_MISSING if running is None else None
