"""Drives the drain's state machine against a scripted destination in virtual time.

Does with plain data what `streamer.drain.track` does with a database: choose,
begin, send, conclude, settle. Checks after every step what must hold whatever
the destination says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from streamer.core import drain
from streamer.core.conclusion import Conclusion, conclude
from streamer.core.drain import TRANSITIONS, Burial, Phase, Track, Trigger
from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, Outcome, deferred, held, rejected
from streamer.core.retry import RetryPolicy
from streamer.core.settlement import Progress, Window, settle

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SENDS_WITHOUT_WAITING_MAX = 2_000

Destination = Callable[["Simulation", Sequence[StoredEvent]], list[Outcome]]

seen_moves: set[tuple[Phase, Trigger]] = set()
"""Every move that any simulation of this run has made."""


def event(position: int, body: bytes = b"{}") -> StoredEvent:
    """Make an event; only its position matters to the machine."""
    return StoredEvent(
        position=position,
        source="customerio",
        event_id=f"event-{position}",
        object_type="email",
        metric="sent",
        occurred_at=None,
        received_at=0,
        lane_key=position,
        body=body,
    )


class Simulation:
    """One track over an outbox of numbered events."""

    def __init__(
        self,
        events: int,
        destination: Destination,
        *,
        batch: int = 8,
        policy: RetryPolicy | None = None,
        jitters: Iterable[float] = (),
        bury_at_once: bool = False,
    ) -> None:
        self.outbox = [event(position) for position in range(1, events + 1)]
        self.destination = destination
        self.batch = batch
        self.policy = policy or RetryPolicy()
        self.now = 0
        self.track = Track()
        self.progress = Progress(0)
        self.window = Window((), 0)
        self.accepted: list[int] = []
        self.passed: list[int] = []
        """Positions that the destination had nothing to say of."""
        self.buried: dict[int, Burial] = {}
        self.sent: list[tuple[int, tuple[int, ...]]] = []
        """When, and which positions."""
        self.proof = 0
        self.moment = 0
        self._jitters = iter(jitters)
        self._bury_at_once = bury_at_once
        self._without_waiting = 0

    @property
    def phase(self) -> str:
        """The phase of the track, by name."""
        return self.track.phase.value

    def append(self, count: int = 1) -> None:
        """Put new events into the outbox, and wake the track if that may prove something."""
        last = len(self.outbox)
        self.outbox += [event(last + number) for number in range(1, count + 1)]
        if self.track.lonely:
            self._read()
            self.move(drain.wake, Trigger.FRESH)

    def poke(self) -> None:
        """What an operator's ``resume`` does to a track that is not paused."""
        self.move(drain.poke, Trigger.POKE)

    def pause(self) -> None:
        """What an operator's ``pause`` does."""
        self.move(drain.pause, Trigger.PAUSE)

    def resume(self) -> None:
        """What an operator's ``resume`` does."""
        self.move(drain.resume, Trigger.RESUME)

    def restart(self) -> None:
        """Forget what is not stored."""
        track = self.track
        self.track = Track(
            phase=track.phase,
            attempt=track.attempt,
            first_deferred_at=track.first_deferred_at,
            next_attempt_at=track.next_attempt_at,
            last_error=track.last_error,
            redo_until=max(self.progress.ahead, default=0),
            holding=track.phase is Phase.HELD,
        )
        self.window = Window((), self.progress.position)

    def move(self, change: Callable[[Track], Track], trigger: Trigger) -> None:
        """Change the track and check that the table knows the move."""
        before, self.track = self.track, change(self.track)
        self._saw(before.phase, trigger)

    def run(self, duration_ms: int = 30 * DAY) -> Simulation:
        """Go on until everything is settled or the time is over."""
        until = self.now + duration_ms
        while self.now < until and self.step():
            pass
        return self

    def run_without_waiting(self) -> Simulation:
        """Go on as far as it goes in no time."""
        while self.track.next_attempt_at is None and self.step():
            pass
        return self

    def step(self) -> bool:
        """Send one batch, waiting first if the track waits; False when there is nothing to send."""
        self._read()
        batch = drain.choose(self.track, self.window, events_max=self.batch, bytes_max=10**9)
        if not batch:
            return False
        if self.track.next_attempt_at is not None:
            assert self.track.phase in {Phase.WAITING, Phase.HELD}
            assert not self.track.suspects, "a suspicion must not outlive a wait"
            self.now = max(self.now, self.track.next_attempt_at)
            self._without_waiting = 0
        self._without_waiting += 1
        assert self._without_waiting < SENDS_WITHOUT_WAITING_MAX, "sends without end"
        self.move(drain.begin, Trigger.SEND)
        self.sent.append((self.now, tuple(at.position for at in batch)))
        self.moment += 1
        self._conclude(batch, self.destination(self, batch))
        return True

    def _conclude(self, batch: tuple[StoredEvent, ...], outcomes: list[Outcome]) -> None:
        before = self.track
        conclusion = conclude(
            before,
            self.window,
            batch,
            outcomes,
            policy=self.policy,
            now=self.now,
            jitter=next(self._jitters, 0.5),
            moment=self.moment,
            proof=self.proof,
            bury_at_once=self._bury_at_once,
        )
        self.track = conclusion.track
        self._saw(before.phase, _trigger_to(self.track.phase))
        self._settle(batch, conclusion)

    def _settle(self, batch: tuple[StoredEvent, ...], conclusion: Conclusion) -> None:
        accepted = [at.position for at in conclusion.accepted]
        assert set(accepted) <= {at.position for at in batch}
        for burial in conclusion.buried:
            assert burial.attempts >= 1
            assert burial.event.position not in self.buried, "buried twice"
            self.buried[burial.event.position] = burial
        passed = [at.position for at in conclusion.passed]
        assert set(passed) <= {at.position for at in batch}
        self.accepted += accepted
        self.passed += passed
        if accepted:
            self.proof = self.moment
        last = self.progress.position
        self.window, self.progress = settle(self.window, self.progress, conclusion.settled)
        assert self.progress.position >= last
        done = {*self.accepted, *self.passed, *self.buried}
        count = len(self.accepted) + len(self.passed) + len(self.buried)
        assert len(done) == count, "settled twice"
        assert set(range(1, self.progress.position + 1)) <= done, "the cursor passed an event"
        assert self.progress.ahead == {at for at in done if at > self.progress.position}
        # A batch, and one event for each that had to be told from an outage.
        assert len(self.progress.ahead) <= self.batch + len(self.buried) + 1, "too much is ahead"
        waits = self.track.phase in {Phase.WAITING, Phase.HELD}
        assert (self.track.next_attempt_at is not None) == waits, "the schema demands it"

    def _read(self) -> None:
        """Read all there is: the window of a real drain always reaches beyond its batch."""
        fresh = tuple(
            at
            for at in self.outbox[self.window.through :]
            if at.position not in self.progress.ahead
        )
        self.window = Window(self.window.events + fresh, len(self.outbox))

    def _saw(self, before: Phase, trigger: Trigger) -> None:
        assert TRANSITIONS[before][trigger] is self.track.phase
        seen_moves.add((before, trigger))


def _trigger_to(phase: Phase) -> Trigger:
    return {
        Phase.READY: Trigger.GO_ON,
        Phase.WAITING: Trigger.DEFER,
        Phase.HELD: Trigger.REFUSE,
    }[phase]


def accepts(_: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
    """Take everything."""
    return [ACCEPTED] * len(batch)


def rejects(_: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
    """Refuse every batch as a whole, as an endpoint with a broken mapping does."""
    return [rejected("http_400", whole=True)] * len(batch)


def rejects_each(_: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
    """Refuse every event by itself."""
    return [rejected("invalid")] * len(batch)


def defers(_: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
    """Be down."""
    return [deferred("http_503")] * len(batch)


def refuses(_: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
    """Refuse us."""
    return [held("http_401")] * len(batch)


def whole(poison: Iterable[int], reason: str = "http_400") -> Destination:
    """Reject a batch as a whole when it holds one of these."""
    bad = set(poison)

    def send(_: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        if any(at.position in bad for at in batch):
            return [rejected(reason, whole=True)] * len(batch)
        return [ACCEPTED] * len(batch)

    return send


def by_event(poison: Iterable[int] = (), stuck: Iterable[int] = ()) -> Destination:
    """Reject some events and defer others, one by one, as Adobe's 207 does."""
    bad, slow = set(poison), set(stuck)

    def outcome(position: int) -> Outcome:
        if position in bad:
            return rejected("invalid")
        return deferred("busy") if position in slow else ACCEPTED

    return lambda _, batch: [outcome(at.position) for at in batch]


def whole_deferred(stuck: Iterable[int]) -> Destination:
    """Answer 500 to any batch that holds one of these."""
    slow = set(stuck)
    return lambda simulation, batch: (
        defers(simulation, batch)
        if any(at.position in slow for at in batch)
        else accepts(simulation, batch)
    )


def switched(*parts: tuple[int, Destination]) -> Destination:
    """Behave like each destination in turn, from the given moment in ms on."""

    def send(simulation: Simulation, batch: Sequence[StoredEvent]) -> list[Outcome]:
        current = next(one for since, one in reversed(parts) if simulation.now >= since)
        return current(simulation, batch)

    return send
