"""``streamer aep status`` and ``runs``: a destination's two sides beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import msgspec

from streamer.cli import common, console
from streamer.cli.aep_session import Access, access_of, choose_destination, open_session
from streamer.cli.standing import read_standing
from streamer.cli.wording import count, duration, moment_text
from streamer.clock import SystemClock
from streamer.config.model import Config
from streamer.core.errors import StoreError, StreamerError
from streamer.destinations.aep_options import AepOptions
from streamer.provision.aep_watch import FlowState, Run, read_runs, read_state
from streamer.store.status import DestinationStatus

RUNS_SHOWN = 5
HEADINGS = ("STARTED", "STATUS", "TAKEN", "KEPT", "FAILED", "ERRORS")


class _Beside(msgspec.Struct, frozen=True):
    """Both sides."""

    destination: str
    flow_id: str
    dataset_id: str | None
    adobe: FlowState
    runs: list[Run]
    ours: DestinationStatus | None
    """None where there is no database yet."""


def status(destination: str | None, *, json: bool, config: Path | None) -> None:
    """Show both sides of a destination."""
    settings = common.load_config(config).config
    name, options = choose_destination(settings, destination)
    ours = _ours(settings, name)
    try:
        state, last = anyio.run(_read, access_of(name, options), options, RUNS_SHOWN)
    except StreamerError:
        if not json:  # that Adobe cannot be asked is the moment to see what waits for it
            console.print_text([f"Destination  {name}", *_our_side(ours)])
        raise
    found = _Beside(name, options.flow_id, options.dataset_id, state, last, ours)
    if json:
        console.print_json(found)
        return
    console.print_text([*_adobes_side(found), *_our_side(ours), ""])
    _print_runs(last)
    console.say(_next_steps(found))


def runs(destination: str | None, *, limit: int, json: bool, config: Path | None) -> None:
    """List the dataflow's runs, newest first."""
    common.require_limit(limit)
    settings = common.load_config(config).config
    name, options = choose_destination(settings, destination)
    _, last = anyio.run(_read, access_of(name, options), options, limit)
    if json:
        console.print_json(last)
    else:
        _print_runs(last)


async def _read(access: Access, options: AepOptions, limit: int) -> tuple[FlowState, list[Run]]:
    async with open_session(access, SystemClock()) as session:
        state = await read_state(
            session.platform, flow_id=options.flow_id, dataset_id=options.dataset_id
        )
        return state, await read_runs(session.platform, options.flow_id, limit)


def _ours(settings: Config, name: str) -> DestinationStatus | None:
    try:
        standing = common.read_database(settings, lambda db: read_standing(db, settings))
    except StoreError as error:
        console.say([f"our side is not shown: {error}"])
        return None
    return standing.destinations.get(name)


def _adobes_side(found: _Beside) -> list[str]:
    adobe = found.adobe
    inlet = {True: ", with a token", False: ", OPEN TO ANYBODY", None: ""}[adobe.authenticated]
    profile = {True: ", read by the profile", False: ", not read by the profile", None: ""}
    dataset = f"{adobe.dataset!r}{profile[adobe.dataset_in_profile]}" if adobe.dataset else "gone"
    named = f"{dataset} ({found.dataset_id})" if found.dataset_id else "not configured"
    flow = f"{adobe.flow}  {adobe.name}" if adobe.name else adobe.flow
    return [
        f"Destination  {found.destination}",
        f"Dataflow     {flow} ({found.flow_id})",
        f"Connection   {adobe.connection}{inlet}",
        f"Dataset      {named}",
    ]


def _our_side(ours: DestinationStatus | None) -> list[str]:
    if ours is None:
        return []
    pending = count(ours.lag_events, "event")
    return [
        f"Our state    {ours.state}{f': {ours.last_error}' if ours.last_error else ''}",
        f"Our cursor   {ours.cursor}, {pending} pending, lag {duration(ours.lag_seconds)}",
        f"Accepted     {ours.accepted:,} by Adobe's inlet; "
        f"{count(ours.dead_letters, 'dead letter')}",
    ]


def _next_steps(found: _Beside) -> Iterator[str]:
    adobe = found.adobe
    lost = found.dataset_id is not None and adobe.dataset is None
    if adobe.flow != "enabled" or adobe.authenticated is False or lost:
        yield "`streamer aep doctor` says what to do about Adobe's side"
    if any(run.failed for run in found.runs):
        yield "`streamer aep reconcile` says which events failed, and why"


def _print_runs(found: list[Run]) -> None:
    rows = [
        (
            moment_text(run.started_at),
            run.status,
            run.taken,
            run.kept,
            run.failed,
            "; ".join(run.errors),
        )
        for run in found
    ]
    empty = "No runs yet: Adobe sums up what streams in by the quarter of an hour or the hour."
    console.print_table(HEADINGS, rows, empty)
