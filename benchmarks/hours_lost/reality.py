"""The real world of a run: one server's process, its disk, its destination, and HTTP over loopback.

This is the only place that knows which clock is which: whatever is under way in reality gets the
virtual time that it needs (`Reality.let_pass`), and never more than has passed there.
"""

from __future__ import annotations

import time
from http import HTTPStatus

from benchmarks.hours_lost.faults import Edge, Kind
from benchmarks.hours_lost.faulty_disk import FaultyDisk, Felt
from benchmarks.hours_lost.manager import Manager
from benchmarks.hours_lost.sending import Attempt
from benchmarks.hours_lost.servers import NEW_KEY, Server
from benchmarks.hours_lost.week import Event
from tests.support.processes import KEY
from tests.support.serial_sender import SerialSender

SYNC_SECONDS = 5.0
"""Of a slow disk: beyond what any sender waits for."""
NOTICE_SECONDS = 1.5
"""Real time in which a server may notice that its disk has filled or has room again, or meet its
destination dead."""
QUIET_SECONDS = 0.2
"""No sync has been under way for so long: what was piled up behind a slow disk is done."""
POLL_SECONDS = 0.02
SETTLE_SECONDS_MAX = 180.0
"""What is under way for longer has gone wrong, and the benchmark ends."""


class Caller(SerialSender):
    """Makes single tries and leaves all waiting to the virtual clock."""

    def attempt(self, event: Event, key: bytes) -> tuple[str | None, bool, float]:
        """Try once; return why it failed, whether that earns an hour, when its connection began."""
        reason, earns_hour = self._try(event.number, event.body, key)
        return reason, earns_hour, self._connected_at


class Valve:
    """Opens and closes the destination: what it answers while it is dead is 503."""

    def __init__(self) -> None:
        self.is_dead = False
        self.refused = 0

    def answer(self, number: int, request: bytes) -> tuple[int, bytes]:
        """Answer one delivery."""
        self.refused += self.is_dead
        return (HTTPStatus.SERVICE_UNAVAILABLE if self.is_dead else HTTPStatus.OK), b""


class Reality:
    """What `Sender` acts upon."""

    def __init__(
        self, server: Server, manager: Manager, valve: Valve, disk: FaultyDisk | None
    ) -> None:
        """``disk`` is None where none can be made to fail; no fault of a disk may come then."""
        self.calls = 0
        self._server = server
        self._manager = manager
        self._valve = valve
        self._disk = disk
        self._key = KEY
        self._notice_until = 0.0
        self._quiet_since = 0.0
        self._kill_in_next_call = False
        self._killed_at = 0.0
        self._before_fault = (0, Felt(0, 0, 0))
        url = f"http://127.0.0.1:{server.port}/webhooks/customerio"
        self._caller = Caller(url, KEY, on_stage=self._on_stage)

    def close(self) -> None:
        """Close the connection to the server."""
        self._caller.close()

    def attempt(self, event: Event) -> Attempt:
        """Make one try of a call over loopback."""
        self.calls += 1
        began = time.monotonic()
        reason, earns_hour, connected_at = self._caller.attempt(event, self._key)
        ended = time.monotonic()
        is_cut = reason is not None and earns_hour and connected_at <= self._killed_at <= ended
        return Attempt(ended - began, reason, earns_hour, is_cut)

    def switch(self, edge: Edge) -> None:
        """Do to process, disk, key or destination what the edge says."""
        match edge.kind:
            case Kind.DEPLOY:
                self._manager.restart()
            case Kind.KILL:
                self._kill()
            case Kind.KILL_IN_CALL:
                self._kill_in_next_call = True
            case Kind.SLOW_DISK | Kind.FULL_DISK:
                self._switch_disk(edge)
            case Kind.ROTATED_KEY if edge.begins:
                self._key = NEW_KEY
            case Kind.ROTATED_KEY:
                self._server.learn_key()
                self._manager.restart()
            case Kind.DEAD_DESTINATION:
                self._switch_destination(edge)
            case _:  # such as a burst: it is in the events
                return

    def let_pass(self, seconds: float) -> None:
        """Wait for what is under way, but no longer than the virtual clock will have moved."""
        began = time.monotonic()
        while not self._is_settled():
            passed = time.monotonic() - began
            if passed >= seconds:
                return
            if passed > SETTLE_SECONDS_MAX:
                raise RuntimeError(f"after {passed:.0f} s something is still under way")
            time.sleep(min(POLL_SECONDS, seconds - passed))

    def _is_settled(self) -> bool:
        now = time.monotonic()
        if self._disk is not None and self._disk.syncs_under_way:
            self._quiet_since = now + QUIET_SECONDS
        return self._manager.is_settled and now >= max(self._notice_until, self._quiet_since)

    def _switch_disk(self, edge: Edge) -> None:
        assert self._disk is not None
        if edge.kind is Kind.SLOW_DISK:
            self._disk.slow_down(SYNC_SECONDS if edge.begins else 0.0)
        else:
            self._disk.fill(full=edge.begins)
            self._notice_until = time.monotonic() + NOTICE_SECONDS
        if edge.begins:
            self._before_fault = self.calls, self._disk.felt
        else:
            self._check_felt(edge.kind, self._disk.felt)

    def _switch_destination(self, edge: Edge) -> None:
        self._valve.is_dead = edge.begins
        if edge.begins:
            self._notice_until = time.monotonic() + NOTICE_SECONDS
            self._before_fault = self.calls, Felt(0, 0, 0)
        elif (
            self._server.delivers and self.calls > self._before_fault[0] and not self._valve.refused
        ):
            raise RuntimeError(f"{edge.kind}: calls were made, and nothing met it")

    def _check_felt(self, kind: Kind, felt: Felt) -> None:
        """Refuse to believe in a fault that was there for some calls and met none of them."""
        calls, before = self._before_fault
        if kind is Kind.SLOW_DISK:
            met = felt.syncs_delayed > before.syncs_delayed
        else:
            met = felt.writes_refused + felt.told_full > before.writes_refused + before.told_full
        if self.calls > calls and not met:
            raise RuntimeError(f"{kind}: {self.calls - calls} calls were made and none met it")

    def _on_stage(self, stage: str, number: int) -> None:
        if stage == "half sent" and self._kill_in_next_call:
            self._kill_in_next_call = False
            self._kill()

    def _kill(self) -> None:
        self._killed_at = time.monotonic()
        self._manager.kill()
