"""FastAPI on uvicorn, and a job of procrastinate on PostgreSQL for each event.

A call is answered when PostgreSQL has committed the job. The event id is the job's
``queueing_lock``, which the database keeps unique among jobs that wait.

Run, with an empty database:
``python -m benchmarks.rivals.fastapi_procrastinate --port 8001 --database postgresql://…``
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued

from benchmarks.rivals import fastapi_receiver
from benchmarks.rivals.receiver import Keep, Received, arguments

CONNECTIONS = 16
TASK = "deliver"


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[Keep]:
    """Connect, and apply procrastinate's schema."""
    connector = procrastinate.PsycopgConnector(conninfo=address, min_size=4, max_size=CONNECTIONS)
    app = procrastinate.App(connector=connector)

    async def keep(received: Received) -> None:
        job = app.configure_task(TASK, queueing_lock=received.event_id)
        with suppress(AlreadyEnqueued):
            await job.defer_async(body=received.body.decode())

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield keep


if __name__ == "__main__":
    chosen = arguments("FastAPI on uvicorn, procrastinate on PostgreSQL").parse_args()
    fastapi_receiver.serve(opened(chosen.database), chosen.port)
