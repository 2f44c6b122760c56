"""The sender of one webhook: one call at a time, in order, signed, with a price for each failure.

The rules are those of `tests.support.sender_rules`. All errors of a connection earn an hour,
which is a little harder than documented. What the documents leave open:

- steps of the backoff: those of `tests.support.sender_rules.wait_seconds`;
- a call that waits when its webhook is switched off goes on waiting, and is made once it is on;
- a repeat is signed afresh, unless `Sender.signs_afresh` is false.

Waits run on the test's clock. Only the time limit of a call is real.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

import aiohttp

from streamer.clock import Clock
from tests.stand_ins.customerio.workspace import Webhook, event_name
from tests.support import sender_rules

USER_AGENT = "Customer.io Web Hooks 1.0"

TEST_EVENT_ID = "01E2EMRMM6TZ12TF9WGZN0WJQT"
"""Of each press of the button, whenever and wherever."""


class Call(NamedTuple):
    """One event on its way to one webhook."""

    event_id: str
    body: bytes


class Delivered(NamedTuple):
    """A call that was answered 2xx."""

    event_id: str
    body: bytes
    tries: int


class Failure(NamedTuple):
    """A try that was not answered 2xx."""

    event_id: str
    reason: str
    earns_hour: bool


class Sender:
    """Makes the calls of one webhook."""

    def __init__(self, webhook: Webhook, *, clock: Clock, session: aiohttp.ClientSession) -> None:
        self.webhook = webhook
        self.signs_afresh = True
        self.timeout_seconds = sender_rules.TIMEOUT_SECONDS
        self.delivered: list[Delivered] = []
        self.failures: list[Failure] = []
        self.given_up: list[str] = []
        """Ids of the events that were tried for seven days."""
        self.lost: list[str] = []
        """Ids of the events that happened while the webhook was disabled."""
        self._clock = clock
        self._session = session
        self._waiting: deque[Call] = deque()
        self._changed = asyncio.Condition()
        self._seen: set[tuple[str, str]] = set()
        """Deliveries of which the first open, or click, has been reported."""

    @property
    def hours_earned(self) -> list[Failure]:
        """The failures that cost an hour each."""
        return [failure for failure in self.failures if failure.earns_hour]

    @property
    def waiting(self) -> int:
        """How many calls are not made yet, the one under way included."""
        return len(self._waiting)

    def happen(self, event: Mapping[str, Any]) -> bool:
        """Take note of an event; tell whether a call of it will be made."""
        if event_name(event) not in self.webhook.events:
            return False
        if self.webhook.disabled:
            self.lost.append(str(event["event_id"]))
            return False
        if not self.webhook.full_resolution and self._is_repeated(event):
            return False
        self._waiting.append(Call(str(event["event_id"]), self._body(event)))
        return True

    async def run(self) -> None:
        """Make the calls, one after the other, without end."""
        while True:
            async with self._changed:
                await self._changed.wait_for(self._may_call)
            await self._deliver(self._waiting[0])
            async with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()

    async def look_again(self) -> None:
        """Tell the run that there is a call, or that the webhook was changed."""
        async with self._changed:
            self._changed.notify_all()

    async def idle(self) -> None:
        """Wait until every call was acknowledged or given up."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting)

    async def test(self) -> str | None:
        """Press the button *Send Test*, enabled or not; None when it was acknowledged.

        One call beside the order, never repeated. Its id is that of every test; its time is new.
        """
        now = self._clock.now() // 1000
        reason, _ = await self._try(Call(TEST_EVENT_ID, _json(_test_event(now))), str(now))
        return reason

    def _may_call(self) -> bool:
        return bool(self._waiting) and not self.webhook.disabled

    def _is_repeated(self, event: Mapping[str, Any]) -> bool:
        """Tell whether this is a later open, or click, of a message."""
        delivery = event.get("data", {}).get("delivery_id")
        if event.get("metric") not in {"opened", "clicked"} or delivery is None:
            return False
        key = (str(event["metric"]), str(delivery))
        repeated = key in self._seen
        self._seen.add(key)
        return repeated

    def _body(self, event: Mapping[str, Any]) -> bytes:
        """Write the event out, with the message's body only if the webhook wants it."""
        data = event.get("data")
        if self.webhook.with_content or not isinstance(data, dict):
            return _json(event)
        kept = {name: value for name, value in data.items() if name not in {"content", "headers"}}
        return _json({**event, "data": kept})

    async def _deliver(self, call: Call) -> None:
        began = self._clock.monotonic()
        signed_at = str(self._clock.now() // 1000)
        tries = 0
        while self._clock.monotonic() - began < sender_rules.GIVE_UP_SECONDS:
            if self.signs_afresh:
                signed_at = str(self._clock.now() // 1000)
            reason, earns_hour = await self._try(call, signed_at)
            tries += 1
            if reason is None:
                self.delivered.append(Delivered(call.event_id, call.body, tries))
                return
            self.failures.append(Failure(call.event_id, reason, earns_hour))
            await self._clock.sleep(sender_rules.wait_seconds(tries, earns_hour=earns_hour))
            async with self._changed:
                await self._changed.wait_for(lambda: not self.webhook.disabled)
        self.given_up.append(call.event_id)

    async def _try(self, call: Call, signed_at: str) -> tuple[str | None, bool]:
        """Make one call; return why it failed, and whether that earns an hour."""
        try:
            status = await self._post(call.body, signed_at)
        except TimeoutError:
            return "timeout", False
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            return type(error).__name__, True
        except aiohttp.ClientError as error:
            return type(error).__name__, False
        if sender_rules.succeeded(status):
            return None, False
        return f"status {status}", sender_rules.earns_hour(status)

    async def _post(self, body: bytes, signed_at: str) -> int:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "X-CIO-Timestamp": signed_at,
            "X-CIO-Signature": signature(self.webhook.signing_key, signed_at, body),
        }
        limit = aiohttp.ClientTimeout(total=self.timeout_seconds)
        async with self._session.post(
            self.webhook.endpoint, data=body, headers=headers, timeout=limit, allow_redirects=False
        ) as answer:
            await answer.read()
            return answer.status


def signature(key: str, timestamp: str, body: bytes) -> str:
    """Sign a call."""
    signed = b"v0:" + timestamp.encode() + b":" + body
    return hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()


def _json(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def _test_event(timestamp: int) -> dict[str, Any]:
    """Make what the button sends: an e-mail that nobody was sent."""
    return {
        "data": {
            "action_id": 1,
            "campaign_id": 1,
            "customer_id": "a-test-person",
            "delivery_id": "of-a-test-delivery",
            "identifiers": {"id": "a-test-person"},
            "recipient": "test@example.com",
            "subject": "Thanks for joining",
        },
        "event_id": TEST_EVENT_ID,
        "metric": "sent",
        "object_type": "email",
        "timestamp": timestamp,
    }
