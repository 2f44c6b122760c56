"""``streamer aep enable`` and ``disable``: the dataflow's switch in Adobe."""

from __future__ import annotations

from pathlib import Path

import anyio

from streamer.cli import common, console
from streamer.cli.aep_session import Access, access_of, choose_destination, open_session
from streamer.clock import SystemClock
from streamer.provision import aep_watch


def switch(destination: str | None, *, on: bool, config: Path | None) -> None:
    """Switch a destination's dataflow on or off, and say what that means for our side."""
    settings = common.load_config(config).config
    name, options = choose_destination(settings, destination)
    changed = anyio.run(_switch, access_of(name, options), options.flow_id, on)
    state = f"{'en' if on else 'dis'}abled"
    if not changed:
        console.print_text([f"the dataflow of {name} was {state} already"])
        return
    console.print_text([f"the dataflow of {name} is {state}"])
    if on:
        console.say([f"if {name} is held, `streamer destination resume {name}` tries it at once"])
    else:
        console.say(
            [
                "Adobe takes nothing more there: what is sent now is refused, and the destination "
                f"will be held; `streamer destination pause {name}` says that it is meant"
            ]
        )


async def _switch(access: Access, flow_id: str, on: bool) -> bool:
    async with open_session(access, SystemClock()) as session:
        return await aep_watch.switch(session.platform, flow_id, on=on)
