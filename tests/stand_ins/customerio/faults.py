"""What can go wrong with a call of the App API, on demand.

A fault takes a request and what would properly answer it, and answers in its own way. `Faults`
says which call of the API meets which fault, counted from 1 in the order of arrival.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]


class Faults:
    """The script of one API."""

    def __init__(self) -> None:
        self.calls = 0
        """How many calls have arrived."""
        self._script: dict[int, Fault] = {}
        self._always: Fault | None = None

    def at(self, call: int, fault: Fault) -> None:
        """Let the n-th call since the start meet a fault."""
        self._script[call] = fault

    def next(self, *faults: Fault) -> None:
        """Let the calls that come next meet these, one each."""
        for number, fault in enumerate(faults, start=self.calls + 1):
            self.at(number, fault)

    def always(self, fault: Fault | None) -> None:
        """Let every call meet a fault that meets no other; None ends it."""
        self._always = fault

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a call, well or badly."""
        self.calls += 1
        fault = self._script.pop(self.calls, self._always)
        return await (fault(request, handler) if fault else handler(request))


def status(number: int, body: str = "", *, kind: str = "text/html", **headers: str) -> Fault:
    """Answer with a status, as something on the way there would; ``_`` in a name stands for -."""

    async def fault(request: web.Request, handler: Handler) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=number, text=body, content_type=kind, headers=named)

    return fault


async def hang(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    return await handler(request)


async def reset(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Reset the connection and do nothing."""
    return _broken(request)


async def lose_answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Do what was asked, and reset the connection instead of saying so."""
    await handler(request)
    return _broken(request)


def _broken(request: web.Request) -> web.StreamResponse:
    transport = request.transport
    assert transport is not None
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    transport.abort()
    return web.Response()
