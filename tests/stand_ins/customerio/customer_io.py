"""One workspace of Customer.io with all that belongs to it: App API, senders and the product.

What in the real thing only a person at the product's pages can do or see is not in the App API
here either: the signing key, the button *Send Test*, counters of traffic. A test reaches them as
attributes and methods of `CustomerIo`; by hand they are under ``/_product`` (`product`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import aiohttp

from streamer.clock import Clock
from tests.stand_ins.customerio.app_api import AppApi
from tests.stand_ins.customerio.faults import Faults
from tests.stand_ins.customerio.sender import Failure, Sender
from tests.stand_ins.customerio.workspace import Webhook, Workspace

REGIONS = ("us", "eu")


class CustomerIo:
    """One workspace of Customer.io, in one region."""

    def __init__(self, *, clock: Clock, region: str, session: aiohttp.ClientSession) -> None:
        keys = {name: f"app-api-key-of-{name}" for name in REGIONS}
        self.url = ""
        """What takes the place of ``https://api.customer.io``, or of its sister in the EU."""
        self.app_api_key = keys[region]
        self.other_region_key = keys[REGIONS[1 - REGIONS.index(region)]]
        """A good key, but not here."""
        self.workspace = Workspace()
        self.senders: dict[int, Sender] = {}
        self.api = AppApi(
            self.workspace,
            region=region,
            key=self.app_api_key,
            clock=clock,
            changed=self._workspace_changed,
        )
        self._clock = clock
        self._session = session
        self._runs: dict[int, asyncio.Task[None]] = {}

    @property
    def faults(self) -> Faults:
        """What goes wrong with the App API."""
        return self.api.faults

    @property
    def webhooks(self) -> list[Webhook]:
        """Those of the workspace, the oldest first."""
        return list(self.workspace.webhooks.values())

    @property
    def hours_earned(self) -> list[Failure]:
        """The failures of all webhooks that cost an hour each."""
        return [failure for sender in self.senders.values() for failure in sender.hours_earned]

    @property
    def delivered(self) -> list[str]:
        """The ids of the events that were acknowledged, webhook by webhook, in order."""
        return [call.event_id for sender in self.senders.values() for call in sender.delivered]

    async def create(self, **fields: Any) -> Webhook:  # noqa: ANN401 - as the API takes them
        """Create a webhook as a person would in the product; ``kind`` may be ``js``."""
        kind = fields.pop("kind", "webhook")
        webhook = self.workspace.create(fields, kind=kind)
        await self._workspace_changed()
        return webhook

    async def happen(self, *events: Mapping[str, Any]) -> int:
        """Let events happen, as the documents of their calls; return how many calls follow."""
        taken = [sender.happen(event) for event in events for sender in self.senders.values()]
        await self._look_again()
        return sum(taken)

    async def send_test(self, webhook: Webhook) -> str | None:
        """Press *Send Test*; return why the call failed, None when it was acknowledged."""
        return await self.senders[webhook.id].test()

    async def idle(self) -> None:
        """Wait until no call is left to make; those of a disabled webhook are never made."""
        for sender in list(self.senders.values()):
            await sender.idle()

    async def stop(self) -> None:
        """End the senders."""
        for webhook_id in list(self._runs):
            await self._end(webhook_id)

    async def _workspace_changed(self) -> None:
        """Let there be a sender for each webhook and none for others."""
        for webhook in self.webhooks:
            if webhook.id not in self.senders:
                sender = Sender(webhook, clock=self._clock, session=self._session)
                self.senders[webhook.id] = sender
                self._runs[webhook.id] = asyncio.create_task(sender.run())
        for webhook_id in self.senders.keys() - self.workspace.webhooks.keys():
            del self.senders[webhook_id]
            await self._end(webhook_id)
        await self._look_again()

    async def _look_again(self) -> None:
        for sender in list(self.senders.values()):
            await sender.look_again()

    async def _end(self, webhook_id: int) -> None:
        run = self._runs.pop(webhook_id)
        run.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await run
