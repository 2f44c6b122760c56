"""Run the stand-in by hand: ``python -m tests.stand_ins.aep --port 9001``.

Standard output gets the addresses and credentials to configure; standard error a line for each
request, without bodies. Ctrl-C stops it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from tests.stand_ins.aep.adobe import Adobe, SeededInlet
from tests.stand_ins.aep.server import aep_stand_in

GUIDE = """\
Adobe Experience Platform, a stand-in for it: {url}

An inlet is ready. To deliver to it, configure:

[destinations.lake]
kind = "aep"
inlet_url = "{inlet.url}"
ims_org_id = "{adobe.org_id}"
sandbox = "{adobe.sandbox}"
tenant = "{adobe.tenant}"
dataset_id = "{inlet.dataset_id}"
schema_id = "{inlet.schema_id}"
flow_id = "{inlet.flow_id}"
client_id = "{adobe.client_id}"
client_secret = {{ env = "ADOBE_CLIENT_SECRET" }}
ims_url = "{url}"
platform_url = "{url}"

and say in the environment: ADOBE_CLIENT_SECRET={adobe.client_secret}

To have everything set up instead, give the platform's address, the organisation and the
credentials from above to the set-up; a new dataflow takes data after {wait:g} s.
{bare}Stop with Ctrl-C.
"""
BARE = """\
Adobe's own schemas are not here, as --adobe was not said: schemas hold our fields alone, and
`streamer aep doctor` finds that those of Adobe's field groups are missing.
"""


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.stand_ins.aep", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9001, help="0: any that is free")
    parser.add_argument("--tenant", default="acme", help="without the underscore in front")
    parser.add_argument("--adobe", type=Path, help="directory with Adobe's xdm and openapi")
    parser.add_argument("--seed", type=int, default=1, help="of names and of chance")
    parser.add_argument(
        "--flow-ready-seconds", type=float, default=300, help="until a new dataflow takes data"
    )
    parser.add_argument("--refuse-share", type=float, default=0, help="of messages, with 400")
    parser.add_argument("--unavailable-share", type=float, default=0, help="of requests, with 503")
    parser.add_argument("--throttled-share", type=float, default=0, help="of requests, with 429")
    return parser.parse_args()


def guide(adobe: Adobe, inlet: SeededInlet) -> str:
    """Say what to configure."""
    return GUIDE.format(
        url=adobe.url,
        adobe=adobe,
        inlet=inlet,
        wait=adobe.rules.flow_ready_seconds,
        bare="" if adobe.directory else BARE,
    )


async def serve(options: argparse.Namespace) -> None:
    """Serve until somebody says stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with aep_stand_in(
        tenant=options.tenant,
        directory=options.adobe,
        seed=options.seed,
        host=options.host,
        port=options.port,
        flow_ready_seconds=options.flow_ready_seconds,
    ) as adobe:
        adobe.faults.refuse_share = options.refuse_share
        adobe.faults.unavailable_share = options.unavailable_share
        adobe.faults.throttled_share = options.throttled_share
        sys.stdout.write(guide(adobe, adobe.new_inlet()))
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    """Run the server."""
    options = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(serve(options))
    except OSError as error:
        sys.exit(f"cannot listen at {options.host}:{options.port}: {error.strerror}")


if __name__ == "__main__":
    main()
