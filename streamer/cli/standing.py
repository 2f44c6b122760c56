"""How everything stands: what the database knows, and what is configured and not begun yet."""

from __future__ import annotations

import msgspec

from streamer.cli import common
from streamer.cli.known import NOT_STARTED
from streamer.config.model import Config
from streamer.destinations.registry import kind_of
from streamer.store import status
from streamer.store.sqlite import Connection
from streamer.store.status import DestinationStatus, Status


def read_standing(db: Connection, settings: Config) -> Status:
    """Read the state of everything, with a line for each destination that is still to begin."""
    found = status.read(db, now=common.now())
    to_begin = {
        name: _not_started(kind_of(options))
        for name, options in settings.destinations.items()
        if name not in found.destinations
    }
    every = dict(sorted({**found.destinations, **to_begin}.items()))
    return msgspec.structs.replace(found, destinations=every)


def _not_started(kind: str) -> DestinationStatus:
    return DestinationStatus(
        kind=kind,
        state=NOT_STARTED,
        configured=True,
        cursor=0,
        lag_events=0,
        lag_seconds=0.0,
        approximate=False,
        attempt=0,
        next_attempt_at=None,
        last_error="",
        dead_letters=0,
        accepted=0,
        replays=0,
    )
