"""Run the stand-in by hand, and say how to use it."""

from __future__ import annotations

import argparse
import asyncio
import sys

from streamer.clock import Clock, SystemClock
from tests.stand_ins.customerio.customer_io import REGIONS, CustomerIo
from tests.stand_ins.customerio.stand_in import customerio_stand_in
from tests.support.hurried_clock import HurriedClock

GUIDE = """\
A stand-in for Customer.io, region {region}. Ctrl-C ends it.

  App API       {url}
  App API key   {key}

In streamer.toml:

  [sources.customerio]
  kind = "customerio"
  app_api_url = "{url}"
  app_api_key = {{ env = "CUSTOMERIO_APP_API_KEY" }}     # CUSTOMERIO_APP_API_KEY={key}

What the product's pages are for:

  curl {url}/_product                                  # signing keys, and what became of the calls
  curl -X POST '{url}/_product/send-test?webhook=1'    # the button Send Test
  curl -X POST '{url}/_product/traffic?count=100'      # let events happen

Without streamer:

  curl -H 'Authorization: Bearer {key}' {url}/v1/reporting_webhooks
"""


def guide(customerio: CustomerIo, region: str) -> str:
    """Say what to type."""
    return GUIDE.format(url=customerio.url, key=customerio.app_api_key, region=region)


async def _run(port: int, region: str, clock: Clock) -> None:
    async with customerio_stand_in(port=port, region=region, clock=clock) as customerio:
        sys.stdout.write(guide(customerio, region))
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.stand_ins.customerio",
        description="A stand-in for Customer.io on loopback. Ctrl-C ends it.",
    )
    parser.add_argument("--port", type=int, default=9002, help="0: any that is free; default 9002")
    parser.add_argument("--region", choices=REGIONS, default="us", help="default us")
    parser.add_argument("--hurry", action="store_true", help="skip the waits, hours included")
    chosen = parser.parse_args()
    clock = HurriedClock() if chosen.hurry else SystemClock()
    try:
        asyncio.run(_run(chosen.port, chosen.region, clock))
    except OSError as error:
        sys.exit(f"cannot listen on port {chosen.port}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
