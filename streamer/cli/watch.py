"""Shows a replay's progress until it is over; stopping to watch does not stop the replay."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from streamer.cli.common import read_database
from streamer.config.model import Config
from streamer.core.errors import UsageError
from streamer.store import cursors, replays
from streamer.store.replays import Replay
from streamer.store.sqlite import Connection

POLL_SECONDS = 0.5
"""As often as the service itself looks at the database."""


def watch_replay(
    settings: Config, replay_id: int, *, pause: Callable[[float], None] = time.sleep
) -> Replay:
    """Show progress on a terminal until a replay is over; return how it ended."""
    replay, trouble = read_database(settings, lambda db: _look(db, replay_id))
    with _progress(replay) as show:
        while replay.state == "running":
            show(replay, trouble)
            pause(POLL_SECONDS)
            replay, trouble = read_database(settings, lambda db: _look(db, replay_id))
        show(replay, "")
    return replay


def _look(db: Connection, replay_id: int) -> tuple[Replay, str]:
    replay = replays.load(db, replay_id)
    if replay is None:
        raise UsageError(f"there is no replay {replay_id}", hint="See `streamer replay list`.")
    return replay, trouble_of(db, replay)


def trouble_of(db: Connection, replay: Replay) -> str:
    """Say what a running replay waits for; empty when it runs or is over."""
    there = cursors.load(db, replay.destination, replay_id=replay.id)
    states = (at.state for at in there)
    return next((f"{at.state}: {at.last_error}" for at in states if at.state != "ready"), "")


@contextmanager
def _progress(replay: Replay) -> Iterator[Callable[[Replay, str], None]]:
    """Give a function that shows where a replay is; without a terminal it shows nothing."""
    if not sys.stderr.isatty():
        yield lambda replay, trouble: None
        return
    from rich.console import Console  # noqa: PLC0415 - costs a tenth of a second
    from rich.markup import escape  # noqa: PLC0415 - the same
    from rich.progress import Progress  # noqa: PLC0415 - the same

    with Progress(console=Console(stderr=True)) as bars:
        bar = bars.add_task(f"replay {replay.id}", total=max(1, replay.events))

        def show(now: Replay, trouble: str) -> None:
            said = f"replay {now.id} {escape(trouble)}".rstrip()
            bars.update(bar, completed=now.accepted + now.buried, description=said)

        yield show
