"""FastAPI on uvicorn, and a stream of NATS JetStream in files.

A call is answered when the server has acknowledged the event; whether it is on the disk by then
is up to the server's ``sync_interval``. The event id is the id by which the stream recognises a
repetition. Run, with a NATS server that has JetStream at its side:
``python -m benchmarks.rivals.fastapi_jetstream --port 8001 --database nats://127.0.0.1:4222``
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
from nats.js.api import StorageType

from benchmarks.rivals import fastapi_receiver
from benchmarks.rivals.receiver import Keep, Received, arguments

STREAM = "events"
SUBJECT = "events.customerio"
ID_HEADER = "Nats-Msg-Id"


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[Keep]:
    """Connect, and make the stream if it is new."""
    connection = await nats.connect(address)
    stream = connection.jetstream()
    await stream.add_stream(name=STREAM, subjects=[SUBJECT], storage=StorageType.FILE)

    async def keep(received: Received) -> None:
        await stream.publish(SUBJECT, received.body, headers={ID_HEADER: received.event_id})

    try:
        yield keep
    finally:
        await connection.close()


if __name__ == "__main__":
    chosen = arguments("FastAPI on uvicorn, NATS JetStream").parse_args()
    fastapi_receiver.serve(opened(chosen.database), chosen.port)
