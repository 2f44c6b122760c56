"""The product's own pages, for trying things by hand: no test and no program should need them.

- ``GET /_product``: every webhook with its signing key and what became of its calls.
- ``POST /_product/send-test?webhook=ID``: the button *Send Test*.
- ``POST /_product/traffic?count=N``: let N made-up events happen, of all known types.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

from aiohttp import web

from streamer.core import samples
from tests.stand_ins.customerio.customer_io import CustomerIo
from tests.stand_ins.customerio.sender import Sender

TRAFFIC_COUNT_MAX = 100_000


def routes(customerio: CustomerIo) -> list[web.RouteDef]:
    """Return what is served, by path."""
    numbers = itertools.count(1)

    async def show(request: web.Request) -> web.Response:
        return _answer([_shown(sender) for sender in customerio.senders.values()])

    async def send_test(request: web.Request) -> web.Response:
        text = request.query.get("webhook", "")
        webhook = customerio.workspace.webhooks.get(int(text) if text.isdecimal() else 0)
        if webhook is None:
            return _answer({"error": "say ?webhook=ID, with an id of GET /_product"}, status=404)
        reason = await customerio.send_test(webhook)
        return _answer({"acknowledged": reason is None, "reason": reason})

    async def traffic(request: web.Request) -> web.Response:
        text = request.query.get("count", "1")
        if not (text.isdecimal() and int(text) <= TRAFFIC_COUNT_MAX):
            return _answer({"error": f"count goes up to {TRAFFIC_COUNT_MAX}"}, status=400)
        names = samples.sample_names()
        now = int(time.time())
        events = [
            samples.sample_event(
                names[number % len(names)], number=number, at_seconds=now, with_content=True
            )
            for number in itertools.islice(numbers, int(text))
        ]
        return _answer({"events": len(events), "calls": await customerio.happen(*events)})

    return [
        web.get("/_product", show),
        web.post("/_product/send-test", send_test),
        web.post("/_product/traffic", traffic),
    ]


def _shown(sender: Sender) -> dict[str, Any]:
    return {
        **sender.webhook.document(),
        "signing_key": sender.webhook.signing_key,
        "delivered": len(sender.delivered),
        "waiting": sender.waiting,
        "hours_earned": [failure.reason for failure in sender.hours_earned],
        "failures": len(sender.failures),
        "given_up": len(sender.given_up),
        "lost_while_disabled": len(sender.lost),
    }


def _answer(document: object, *, status: int = 200) -> web.Response:
    text = json.dumps(document, indent=2) + "\n"
    return web.Response(text=text, content_type="application/json", status=status)
