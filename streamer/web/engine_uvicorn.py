"""HTTP as uvicorn speaks it: the one module that knows uvicorn and its parser, httptools.

Its connections are used, and its own server is not (`streamer.web.server`).
The parser is in C and a request costs a small part of what it costs Hypercorn.
What uvicorn leaves to a proxy in front of it is added here, so that senders may
rely on the same with both:

* A head has a largest size and must be there in time, however slowly it comes.
* What two programs could read differently is refused: several ``Host``s or none,
  another transfer coding than ``chunked``, another version than 1.0 and 1.1.
  Trailers are not taken for headers.
* What cannot be read is no reason to leave the calls before it unanswered.
* A sender that has ended its half of the connection still gets its answers.
* An upgrade is ignored, as HTTP allows: the request is served as what it
  otherwise is.
* An application that fails is answered 503; a 500 would cost the sender an hour.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Collection
from email.utils import formatdate
from enum import Enum
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from streamer.core.limits import (
    CONNECTION_REQUESTS_MAX,
    HEADER_BYTES_MAX,
    KEEP_ALIVE_SECONDS,
    LINGER_SECONDS,
    REQUESTS_WAITING_MAX,
)
from streamer.web import heads
from streamer.web.engine import Application
from streamer.web.heads import Refused

_FAILED: Any = {
    "type": "http.response.start",
    "status": 503,
    "headers": [(b"content-length", b"0"), (b"connection", b"close")],
}
_NO_BODY: Any = {"type": "http.response.body", "body": b"", "more_body": False}


class Ear(Enum):
    """What is still made of what a sender writes on a connection."""

    OPEN = "requests are read"
    ENDED = "the sender has ended its half"
    DEAF = "nothing is read any more: what came cannot be understood, or was the last"
    LINGERING = "all is said, and the sender is given the time to read it"


class State(ServerState):
    """What the connections of one listener share."""

    def __init__(self, application: Application) -> None:
        super().__init__()
        self.application = application
        self.leaving = False
        """Each connection is closed as soon as it is idle."""
        self._dated_at = float("-inf")

    def date(self, now: float) -> None:
        """Bring the date that every answer carries up to this second of the loop's time."""
        if now - self._dated_at >= 1:
            self._dated_at = now
            self.default_headers = [(b"date", formatdate(usegmt=True).encode())]


class UvicornConnection(HttpToolsProtocol):
    """One connection, which ends when the sender has ended it and has its answers.

    Answers leave in the order of the requests: one is active, and those that came behind it wait in
    ``pipeline``. ``cycle`` is the newest of them, the only one whose body may still be coming.
    """

    server_state: State

    def __init__(self, config: Config, state: State, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, state, {}, loop)
        # Otherwise what comes behind a last request would be swallowed without a word.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        self.logger = logging.getLogger("streamer.server")
        self.access_log = False
        self.tasks: set[asyncio.Task[None]] = set()
        self.idle_since: float | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._active: RequestResponseCycle | None = None
        self._requests = 0
        self._unread_bytes = 0
        """Bytes that came since something of a request was complete."""
        self._ear = Ear.OPEN
        self._lost = loop.create_future()

    async def serve(self) -> None:
        """Wait for its end; when cancelled, give up what is under way and let it say so."""
        try:
            await asyncio.wait({self._lost})
        except asyncio.CancelledError:
            self._give_up()
            await asyncio.wait({self._lost})
            raise
        finally:
            self.transport.abort()
            if self.tasks:
                await asyncio.wait(self.tasks)

    def leave(self) -> None:
        """Close it as soon as it is idle."""
        if self._ear is not Ear.LINGERING:
            self.shutdown()

    def close_idle(self) -> None:
        """Close it, as if it had been idle for too long."""
        self.idle_since = None
        self.transport.close()

    # What becomes of the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn narrows it
        """Wait for the first request."""
        super().connection_made(transport)
        self._rest()
        self._look_whether_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever is answering that nobody listens."""
        super().connection_lost(exc)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self.pipeline.clear()
        if self._active is not None:
            _disconnect(self._active)
        self._lost.set_result(None)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn answers nobody who has ended
        """Answer what is complete; True keeps our half of the connection open for that."""
        self._ear = Ear.ENDED
        if self._is_incomplete():
            self._drop_newest()
        return self._is_answering()

    def _rest(self) -> None:
        """Wait for the next request, or end."""
        if self._ear is not Ear.OPEN or self.server_state.leaving:
            self._close()
        else:
            self.idle_since = self.loop.time()
            self.flow.resume_reading()

    def _close(self) -> None:
        if self._ear is not Ear.LINGERING:
            self.transport.close()

    def _give_up(self) -> None:
        for task in self.tasks:
            task.cancel()
        if not self.tasks:
            self.transport.close()

    def _look_whether_idle(self) -> None:
        """Close what is idle for too long; one timer after the other, not one for each request."""
        left = float(KEEP_ALIVE_SECONDS)
        if self.idle_since is not None:
            left += self.idle_since - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._look_whether_idle)
        else:
            self.close_idle()

    # What comes in

    def data_received(self, data: bytes) -> None:
        """Read on; an upgrade stops the parser behind the head, which is then read without it."""
        if self._ear is not Ear.OPEN:
            return
        self._unread_bytes += len(data)
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    break
                except httptools.HttpParserUpgrade as stopped:
                    data = self._head_without_upgrade() + data[stopped.args[0] :]
        except (httptools.HttpParserError, Refused) as error:
            self._refuse(self._status_of(error))
            return
        if self._unread_bytes > HEADER_BYTES_MAX:
            self._refuse(400 if self._is_incomplete() else 431)

    def _head_without_upgrade(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        self.parser = httptools.HttpRequestParser(self)
        return heads.without_upgrade(method, self.url, version, self.headers)

    def on_headers_complete(self) -> None:
        """Start to serve a request, or let it wait for those before it."""
        self._unread_bytes = 0
        if self.parser.should_upgrade():
            return
        if len(self.pipeline) >= REQUESTS_WAITING_MAX:
            raise Refused(503)
        parser = self.parser
        heads.check(parser.get_method(), self.url, parser.get_http_version(), self.headers)
        self.url = heads.path_of(self.url)
        self.idle_since = None
        self.server_state.date(self.loop.time())
        super().on_headers_complete()
        self.headers = []  # for the trailers, which are no headers
        self._heed_trailers(False)
        self._requests += 1
        if self._requests >= CONNECTION_REQUESTS_MAX or self.server_state.leaving:
            self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        """Begin a piece of a body."""
        self._unread_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request, which may have its answer already."""
        self._unread_bytes = 0
        if self.parser.should_upgrade():
            return
        self._heed_trailers(True)
        self.cycle.more_body = False
        self.cycle.message_event.set()
        if not self.parser.should_keep_alive():  # which a trailer, too, may have said
            self.cycle.keep_alive = False
            self._ear = Ear.DEAF
        if self.cycle.response_complete:
            self._rest()

    def _heed_trailers(self, heed: bool) -> None:
        """Let trailers name a length or a coding, which is then not that of the body."""
        self.parser.set_dangerous_leniencies(
            lenient_chunked_length=not heed, lenient_transfer_encoding=not heed
        )

    # What cannot be read

    def _status_of(self, error: Exception) -> int:
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
        if isinstance(cause, Refused):
            return cause.status
        if isinstance(cause, httptools.HttpParserError):  # of the target, or of all of it
            return 400
        self.logger.error("Error in reading a request", exc_info=cause)
        return 503

    def _refuse(self, status: int) -> None:
        """Read no more; those whose requests were complete are answered first."""
        if self.transport.is_closing():
            return
        self._ear = Ear.DEAF
        answered = self._is_incomplete() and self.cycle.response_started
        if self._is_incomplete():
            self._drop_newest()
        if self._is_answering():
            self.cycle.keep_alive = False
        else:
            self._end_our_half(b"" if answered else self._refusal(status))

    def _refusal(self, status: int) -> bytes:
        self.server_state.date(self.loop.time())
        headers = [*self.server_state.default_headers, *_FAILED["headers"]]
        return STATUS_LINE[status] + b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n"

    def _end_our_half(self, farewell: bytes) -> None:
        """Leave the other half: an end of both could cost the sender what it has not read yet."""
        self._ear = Ear.LINGERING
        self.idle_since = None
        self.transport.write(farewell)
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _is_incomplete(self) -> bool:
        """Tell whether the body of the newest request is still to come."""
        return self._requests > 0 and self.cycle.more_body

    def _is_answering(self) -> bool:
        active = self._active
        return active is not None and not (active.response_complete or active.disconnected)

    def _drop_newest(self) -> None:
        """Give up a request whose body will never be complete."""
        _disconnect(self.cycle)
        if self.pipeline:
            self.pipeline.popleft()
            assert self._active is not None
            self.cycle = self.pipeline[0][0] if self.pipeline else self._active

    # What goes out

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401 - uvicorn's own type has no name
        del app
        self._active = cycle
        task = self.loop.create_task(self._answer(cycle))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, cycle: RequestResponseCycle) -> None:
        """Let the application answer; if it fails before it has begun to, answer 503."""
        try:
            await self.server_state.application(cycle.scope, cycle.receive, cycle.send)
        except asyncio.CancelledError:
            pass  # given up at the end, and to be answered all the same
        except Exception:
            self.logger.exception("Error in the application")
        if not (cycle.response_started or cycle.disconnected):
            await cycle.send(_FAILED)
            await cycle.send(_NO_BODY)
        if not cycle.response_complete:
            self._close()
        cycle.on_response = _nothing  # it refers to the connection, which refers to it

    def on_response_complete(self) -> None:
        """Go on with the next request, if one waits."""
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.cycle.more_body:
            self.flow.resume_reading()
            self.loop.call_later(LINGER_SECONDS, self._close_unless_complete, self.cycle)
        else:
            self._rest()

    def _close_unless_complete(self, answered: RequestResponseCycle) -> None:
        """Wait no longer for the rest of a request that has its answer."""
        if answered.more_body:
            self._close()


class UvicornEngine:
    """Speaks HTTP on the connections of one listener (see `streamer.web.engine.Engine`)."""

    def __init__(self, application: Application) -> None:
        self._state = State(application)
        self._config = Config(
            _unused,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            workers=1,
        )

    @property
    def connections(self) -> Collection[UvicornConnection]:
        """Those that are being served."""
        return cast("Collection[UvicornConnection]", self._state.connections)

    async def serve(self, accepted: socket.socket) -> None:
        """Serve one connection to its end."""
        loop = asyncio.get_running_loop()
        connection = UvicornConnection(self._config, self._state, loop)
        await loop.connect_accepted_socket(lambda: connection, accepted)
        await connection.serve()

    async def leave(self) -> None:
        """From now on, close each connection as soon as it is idle."""
        self._state.leaving = True
        for connection in list(self.connections):
            connection.leave()


def _disconnect(cycle: RequestResponseCycle) -> None:
    """Tell the application that it will hear nothing more, and that nobody hears it."""
    cycle.disconnected = True
    cycle.message_event.set()


async def _unused(scope: object, receive: object, send: object) -> None:
    """Stand where uvicorn's settings want an application; the connections know theirs."""


def _nothing() -> None:
    pass
