"""The empty application behind streamer's own server: what a call costs that does nothing.

Run by `benchmarks.harness.server.empty_app`: the same server code and the same event loop as the
service, and an application that reads the body and answers 200.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
from typing import Any, get_args

import uvloop

from streamer.web.engine import EngineName
from streamer.web.server import run_server


async def empty(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI is untyped
    """Read the body, answer 200."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def serve(listener: socket.socket, engine: EngineName) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_server(empty, listener, stop=stop.wait, graceful_seconds=1, engine=engine)


def main() -> None:
    """Listen on a port of this machine and serve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=get_args(EngineName), default="hypercorn")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", options.port)) as listener:
        uvloop.run(serve(listener, options.engine))


if __name__ == "__main__":
    main()
