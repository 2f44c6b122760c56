"""``streamer aep teardown``: delete what a set-up made, from the end of the way to its beginning.

Only what carries our mark is deleted, and only what is named after the same
name. The dataset stays unless it is asked for, and with it its schema and
field group, which it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
import msgspec

from streamer.cli import common, console
from streamer.cli.aep_session import Access, access_of, choose_destination, open_session
from streamer.clock import SystemClock
from streamer.core.errors import StreamerError
from streamer.destinations.aep_options import AepOptions
from streamer.provision.aep_registry import title_of
from streamer.provision.aep_removal import Removable, delete, find_removable


class _Told(msgspec.Struct, frozen=True):
    """What became of one thing."""

    what: str
    name: str
    id: str
    state: str
    reason: str = ""


def run(
    destination: str | None,
    *,
    name: str | None,
    dataset: bool,
    yes: bool,
    json: bool,
    config: Path | None,
) -> None:
    """Show what would be deleted, ask, and delete it."""
    settings = common.load_config(config).config
    configured, options = choose_destination(settings, destination)
    access = access_of(configured, options)
    found = anyio.run(_find, access, options, name, dataset)
    doomed = [one for one in found if one.kept_because == ""]
    if not json:
        console.print_text(_plan(found))
    if doomed:
        loss = " All its events in Adobe are lost." if dataset else ""
        console.confirm(f"Delete these {len(doomed)} in Adobe?{loss}", yes=yes)
    told = anyio.run(_delete, access, doomed) if doomed else []
    kept = [_Told(one.what, one.name, one.id, "kept", one.kept_because) for one in found
            if one.kept_because]  # fmt: skip
    if json:
        console.print_json([*told, *kept])
    else:
        console.print_text([*_results(told), *_afterwards(configured, found)])
    if failed := [one for one in told if one.state == "failed"]:
        raise StreamerError(
            f"{len(failed)} could not be deleted",
            hint="The reasons stand above. Run the command again for what is left.",
        )


async def _find(
    access: Access, options: AepOptions, name: str | None, dataset: bool
) -> list[Removable]:
    async with open_session(access, SystemClock()) as session:
        if name is None and options.schema_id:
            name = await title_of(session.platform, options.schema_id)
        if name is None:
            # Never the usual name instead: it may be that of another destination's set-up.
            return []
        return await find_removable(session.platform, name, dataset=dataset)


async def _delete(access: Access, doomed: Sequence[Removable]) -> list[_Told]:
    told = []
    async with open_session(access, SystemClock()) as session:
        for one in doomed:
            reason = await delete(session.platform, one)
            told.append(
                _Told(one.what, one.name, one.id, "failed" if reason else "deleted", reason)
            )
    return told


def _plan(found: Sequence[Removable]) -> list[str]:
    lines = []
    for one in found:
        state = f"kept: {one.kept_because}" if one.kept_because else "to delete"
        lines.append(f"{one.what} {one.name!r} ({one.id}): {state}")
    return lines


def _results(told: Sequence[_Told]) -> list[str]:
    return [
        f"{one.state:<9}{one.what} {one.name!r}{f': {one.reason}' if one.reason else ''}"
        for one in told
    ]


def _afterwards(destination: str, found: Sequence[Removable]) -> list[str]:
    if not found:
        return ["Nothing of ours is there any more. --name looks for a set-up of another name."]
    return [
        "",
        f"[destinations.{destination}] is left in the configuration. Take it out, reload the "
        f"service, and `streamer destination forget {destination}` lets go of what waits for it.",
    ]
