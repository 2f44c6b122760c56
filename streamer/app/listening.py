"""The sockets of the main process: the ingest listener, which others share, and its own."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from streamer.app import listeners
from streamer.config.model import Config
from streamer.web.engine import require_installed

INGEST_NAME = "ingest"
"""What the socket unit calls the ingest listener."""


class Listening:
    """The two sockets, bound before anything else is started."""

    def __init__(self, config: Config, inherited: Mapping[str, tuple[int, ...]]) -> None:
        require_installed(config.server.engine)
        handed = inherited.get(INGEST_NAME) or next(iter(inherited.values()), ())
        self.ingest: list[socket.socket] = [listeners.adopt(one) for one in handed] or [
            listeners.bind(config.server.bind, "server.bind")
        ]
        self.admin: socket.socket = listeners.bind(config.admin.bind, "admin.bind")
        self.ingest_urls = [listeners.describe(one) for one in self.ingest]
        self.admin_url = listeners.describe(self.admin)

    def close(self) -> None:
        """Stop listening, where the service manager does not keep the socket."""
        for listener in (*self.ingest, self.admin):
            listener.close()
