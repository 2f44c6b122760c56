"""The HTTP server around the stand-in: routing, faults, the log of requests.

Every request passes one place, which reads its body to the end, lets go wrong what is to go
wrong, and turns a refusal into an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.stand_ins.aep.adobe import Adobe, LoggedRequest
from tests.stand_ins.aep.faults import Fault, Place
from tests.stand_ins.aep.problems import Refusal
from tests.stand_ins.aep.rules import Clock, Rules, WallClock

log = logging.getLogger(__name__)

READ_BYTES_MAX = 32 * 1024 * 1024
"""Far beyond what is permitted, so that it is the stand-in that refuses and not its server."""
SHUTDOWN_SECONDS = 0.1
"""How long requests that are still being served may take at the end."""


class Server:
    """Serves one stand-in over HTTP."""

    def __init__(self, adobe: Adobe) -> None:
        self._adobe = adobe
        self._ended = asyncio.Event()
        application = web.Application(middlewares=[self._serve], client_max_size=READ_BYTES_MAX)
        application.add_routes(adobe.routes)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes any that is free."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound = self._runner.addresses[0]
        self._adobe.organisation.url = f"http://{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        """Answer nobody any more."""
        self._ended.set()
        await self._runner.cleanup()

    @web.middleware
    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        size = len(await request.read())
        place = place_of(request.path)
        fault = self._adobe.faults.for_request(place, request.method, request.path)
        response = await self._outcome(fault, request, handler)
        self._log(request, 0 if response is None else response.status, size)
        return reset(request) if response is None else response

    async def _outcome(
        self, fault: Fault | None, request: web.Request, handler: Handler
    ) -> web.StreamResponse | None:
        """Return the answer; None if the connection is to break instead."""
        match fault:
            case Fault(kind="answer"):
                return scripted(fault)
            case Fault(kind="reset"):
                return None
            case Fault(kind="hang"):
                self._adobe.hanging.set()
                await self._ended.wait()
                return None
        response = await self._answer(request, handler)
        return response if fault is None else None

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            if place_of(request.path) == "platform":
                self._adobe.gate.check(request)
            return await handler(request)
        except Refusal as refusal:
            return refused(refusal)
        except web.HTTPException as error:
            title = f"{error.reason}: {request.method} {request.path}"
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return refused(Refusal(error.status, {"status": error.status, "title": title}, headers))
        except Exception as error:
            self._adobe.crashes.append(error)
            raise

    def _log(self, request: web.Request, status: int, size: int) -> None:
        self._adobe.requests.append(LoggedRequest(request.method, request.path_qs, status, size))
        log.info("%s %s %d, %d bytes", request.method, request.path, status, size)


def place_of(path: str) -> Place:
    """Say which of Adobe's hosts a path would belong to."""
    if path.startswith("/ims/"):
        return "ims"
    return "collection" if path.startswith("/collection/") else "platform"


def refused(refusal: Refusal) -> web.Response:
    """Turn a refusal into an answer; one without a document has no body."""
    if refusal.document is None:
        return web.Response(status=refusal.status, headers=refusal.headers)
    text = json.dumps(refusal.document)
    return web.Response(
        status=refusal.status,
        text=text,
        content_type="application/json",
        headers=refusal.headers,
    )


def scripted(fault: Fault) -> web.Response:
    """Answer as a fault says."""
    return web.Response(status=fault.status, body=fault.body, headers=fault.headers)


def reset(request: web.Request) -> web.Response:
    """Break the connection with a reset; what is returned reaches nobody."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


@contextlib.asynccontextmanager
async def aep_stand_in(
    *,
    clock: Clock | None = None,
    tenant: str = "acme",
    directory: Path | None = None,
    seed: int = 1,
    host: str = "127.0.0.1",
    port: int = 0,
    **limits: object,
) -> AsyncIterator[Adobe]:
    """Run a stand-in for the length of the block; ``limits`` are fields of `Rules`.

    Raises:
        BaseException: at the end, the first mistake of the stand-in itself, if it made any.
    """
    rules = Rules()
    rules.change(**limits)
    adobe = Adobe(
        clock=clock or WallClock(), rules=rules, tenant=tenant, directory=directory, seed=seed
    )
    server = Server(adobe)
    await server.start(host, port)
    try:
        yield adobe
    finally:
        await server.stop()
    if adobe.crashes:
        raise adobe.crashes[0]
