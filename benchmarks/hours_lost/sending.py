"""Customer.io's sender on a virtual clock: the documented rules, and nothing of HTTP or processes.

`Sender` decides when which call is made and how long is waited. What a call comes to is the
`World`'s concern, and so is what a fault does. The clock moves by the length of each call and by
each wait; every fault's edge that it passes is made known in its turn, with the clock at that
moment or, where a call was under way, right after that call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from benchmarks.hours_lost.faults import Edge, Fault, Kind, blame, edges
from benchmarks.hours_lost.week import Event
from tests.support.sender_rules import GIVE_UP_SECONDS, wait_seconds


class Attempt(NamedTuple):
    """What one try of a call came to."""

    seconds: float
    """How long it took."""
    reason: str | None = None
    """Why it failed; None: it was acknowledged."""
    earns_hour: bool = False
    is_cut_by_kill: bool = False
    """Whether the process was killed while it had the call, or the connection it came on."""


class World(Protocol):
    """Everything that is real."""

    def attempt(self, event: Event) -> Attempt:
        """Make one try of a call."""
        ...

    def switch(self, edge: Edge) -> None:
        """Let a fault fall, begin or end."""
        ...

    def let_pass(self, seconds: float) -> None:
        """Give what is under way as much real time, or as much as it needs if that is less."""
        ...


class Failure(NamedTuple):
    """A try that was not acknowledged, and the wait that followed."""

    number: int
    kind: Kind
    """The fault that it is blamed on."""
    at_seconds: float
    until_seconds: float
    """When the next try could begin; everything waited since ``at_seconds``."""
    reason: str
    earns_hour: bool
    is_cut_by_kill: bool

    @property
    def is_chosen(self) -> bool:
        """Whether the hour was the server's own doing, and not a crash's."""
        return self.earns_hour and not self.is_cut_by_kill


class End(StrEnum):
    """What can become of an event."""

    ACKNOWLEDGED = "acknowledged"
    GIVEN_UP = "given up"
    RESCUED = "let pass by hand"


class Fate(NamedTuple):
    """What became of an event, and when."""

    end: End
    at_seconds: float


class Sender:
    """Makes the calls of one webhook, one after the other."""

    def __init__(self, world: World, faults: Sequence[Fault], *, rescue_seconds: float) -> None:
        """``rescue_seconds`` after the first poison was refused, a person lets all of it pass."""
        self.now_seconds = 0.0
        self.failures: list[Failure] = []
        self._world = world
        self._faults = faults
        self._edges = deque(edges(faults))
        self._rescue_seconds = rescue_seconds
        self._poisoned_at: float | None = None

    def send(self, events: Iterable[Event]) -> list[Fate]:
        """Send a week's events to the end, and let every fault end; return each event's fate."""
        fates = []
        for event in events:
            self._advance(max(self.now_seconds, event.at_seconds))
            fates.append(Fate(self._deliver(event), self.now_seconds))
        if self._edges:
            self._advance(self._edges[-1].at_seconds)
        return fates

    def _deliver(self, event: Event) -> End:
        began, failures = self.now_seconds, 0
        while self.now_seconds - began < GIVE_UP_SECONDS:
            if event.is_poison and self._is_rescued():
                return End.RESCUED
            at = self.now_seconds
            attempt = self._world.attempt(event)
            self.now_seconds += attempt.seconds
            if attempt.reason is None:
                return End.ACKNOWLEDGED
            failures += 1
            if event.is_poison and self._poisoned_at is None:
                self._poisoned_at = at
            waited = wait_seconds(failures, earns_hour=attempt.earns_hour)
            self._advance(self.now_seconds + waited)
            self._note(event, at, attempt)
        return End.GIVEN_UP

    def _note(self, event: Event, at_seconds: float, attempt: Attempt) -> None:
        kind = blame(self._faults, at_seconds)
        if kind is Kind.NONE and attempt.is_cut_by_kill:  # it waited for a call, this one
            kind = Kind.KILL_IN_CALL
        elif event.is_poison and not attempt.is_cut_by_kill:  # it fails whatever else goes on
            kind = Kind.POISON
        self.failures.append(
            Failure(
                event.number, kind, at_seconds, self.now_seconds, attempt.reason or "",
                attempt.earns_hour, attempt.is_cut_by_kill,
            )
        )  # fmt: skip

    def _is_rescued(self) -> bool:
        return (
            self._poisoned_at is not None
            and self.now_seconds - self._poisoned_at >= self._rescue_seconds
        )

    def _advance(self, to_seconds: float) -> None:
        """Move the clock, and let happen on the way what is due."""
        while self._edges and self._edges[0].at_seconds <= to_seconds:
            edge = self._edges.popleft()
            self._leap(edge.at_seconds)
            self._world.switch(edge)
        self._leap(to_seconds)

    def _leap(self, to_seconds: float) -> None:
        if to_seconds > self.now_seconds:
            self._world.let_pass(to_seconds - self.now_seconds)
            self.now_seconds = to_seconds
