"""Run the stand-in as a real HTTP server on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from streamer.clock import Clock, SystemClock
from tests.stand_ins.customerio.customer_io import CustomerIo
from tests.stand_ins.customerio.product import routes


@contextlib.asynccontextmanager
async def customerio_stand_in(
    *, clock: Clock | None = None, region: str = "us", port: int = 0
) -> AsyncIterator[CustomerIo]:
    """Run the stand-in on loopback for the length of the block; port 0: a free one.

    With a clock that a test moves by hand, hours of waiting take no time, and move that clock;
    beside real processes a `HurriedClock` spares the waits and leaves the time of day alone.
    """
    async with aiohttp.ClientSession() as session:
        customerio = CustomerIo(clock=clock or SystemClock(), region=region, session=session)
        app = web.Application(client_max_size=2**20)
        app.add_routes([*customerio.api.routes(), *routes(customerio)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        customerio.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield customerio
        finally:
            await customerio.stop()
            await runner.cleanup()
