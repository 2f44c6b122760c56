"""What the tests of destinations share: a clock that stands still, events, collected alarms."""

from __future__ import annotations

import json

import msgspec

from streamer.core.alarms import Alarm
from streamer.core.event import StoredEvent

NOON_MS = 1_795_435_200_000
"""2026-11-23T12:00:00Z in milliseconds."""


class StandingClock:
    """A wall clock that moves only when it is told to."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.now_ms = now_ms

    def now(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)

    def boottime(self) -> float:
        return self.now_ms / 1000

    def jitter(self) -> float:
        return 0.5


class Alarms:
    """Collects what was raised; called as a destination calls it."""

    def __init__(self) -> None:
        self.raised: list[tuple[str, str]] = []

    def __call__(self, alarm: Alarm, text: str) -> None:
        self.raised.append((alarm.code, text))

    @property
    def codes(self) -> list[str]:
        return [code for code, _ in self.raised]


def stored_event(position: int, *, data: object = None, **changes: object) -> StoredEvent:
    """Return an event with an id and a body of its own, and a raw line break in the body."""
    event_id = f"01E{position:05d}"
    if data is None:
        data = {
            "identifiers": {"cio_id": f"c{position}", "email": "Jo@Example.com"},
            "content": "x",
        }
    body = json.dumps({"event_id": event_id, "metric": "opened", "data": data}, indent=1)
    plain = StoredEvent(
        position=position,
        source="main",
        event_id=event_id,
        object_type="email",
        metric="opened",
        occurred_at=NOON_MS // 1000 - 60,
        received_at=NOON_MS - 1000,
        lane_key=7,
        body=body.encode(),
    )
    return msgspec.structs.replace(plain, **changes)


def stored_events(*positions: int) -> list[StoredEvent]:
    return [stored_event(position) for position in positions]
