"""What a destination said of an event.

A destination never raises to say that it did not take an event: it returns
one outcome per event, in the order of the batch. An exception out of a
destination is a bug of ours and is treated as *deferred*.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from streamer.core.limits import DETAIL_CHARACTERS_MAX


class Verdict(enum.Enum):
    """The four things that can be said of an event."""

    ACCEPTED = "accepted"
    """The destination took responsibility for the event."""
    DEFERRED = "deferred"
    """Not now: send the same event again later."""
    REJECTED = "rejected"
    """Never: this event cannot be taken."""
    HELD = "held"
    """The destination refuses us altogether (credentials, a deleted endpoint)."""


class Scope(enum.Enum):
    """What an outcome was said of."""

    EVENT = "event"
    """Of this event, by the destination."""
    BATCH = "batch"
    """Of all events of a request together, by the destination: any of them may be the culprit."""
    UNSENT = "unsent"
    """Of an event that was not sent, by ourselves: the destination has not seen it."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One event's outcome, with what an operator needs to act on it."""

    verdict: Verdict
    reason: str = ""
    """A short stable code such as ``http_503`` or ``timeout``; empty when accepted."""
    detail: str = ""
    """A sentence for the operator; never a body, an address or a secret."""
    retry_after_seconds: float | None = None
    """The wait that the destination asked for, when it asked for one."""
    receipt: str | None = None
    """The destination's own mark for what it accepted, kept in the ledger."""
    scope: Scope = Scope.EVENT

    @property
    def whole(self) -> bool:
        """A rejection of a request as a whole: the culprit is still to be found by halving."""
        return self.verdict is Verdict.REJECTED and self.scope is Scope.BATCH

    @property
    def unfit(self) -> bool:
        """A rejection by ourselves, before sending: it says nothing of the destination."""
        return self.verdict is Verdict.REJECTED and self.scope is Scope.UNSENT

    @property
    def passed(self) -> bool:
        """Settled by ourselves, without sending: it says nothing of the destination either."""
        return self.verdict is Verdict.ACCEPTED and self.scope is Scope.UNSENT


ACCEPTED = Outcome(Verdict.ACCEPTED)

NOTHING_TO_SEND = Outcome(Verdict.ACCEPTED, receipt="nothing-to-send", scope=Scope.UNSENT)
"""The destination has nothing to say of this event, so it is settled as it is. It proves nothing of
whether others are taken."""

NOT_ATTEMPTED = Outcome(Verdict.DEFERRED, "not_attempted", scope=Scope.UNSENT)
"""The event was not offered, because one before it in the batch was not taken or had taken up the
time. It is no attempt: nothing is counted and nothing waits because of it."""


def all_taken(outcomes: Iterable[Outcome]) -> bool:
    """Tell whether the destination took each event, none of them settled without being sent."""
    return all(
        said is ACCEPTED or (said.verdict is Verdict.ACCEPTED and said.scope is not Scope.UNSENT)
        for said in outcomes
    )


def deferred(reason: str, detail: str = "", *, retry_after_seconds: float | None = None) -> Outcome:
    """Say that an event is to be sent again later."""
    return Outcome(Verdict.DEFERRED, reason, _cut(detail), retry_after_seconds=retry_after_seconds)


def rejected(reason: str, detail: str = "", *, whole: bool = False) -> Outcome:
    """Say that an event can never be taken.

    ``whole``: the destination said it of a request, and not of this event in it.
    """
    scope = Scope.BATCH if whole else Scope.EVENT
    return Outcome(Verdict.REJECTED, reason, _cut(detail), scope=scope)


def unfit(reason: str, detail: str = "") -> Outcome:
    """Say that an event cannot be brought into the form in which the destination gets it."""
    return Outcome(Verdict.REJECTED, reason, _cut(detail), scope=Scope.UNSENT)


def held(reason: str, detail: str = "") -> Outcome:
    """Say that the destination refuses us altogether."""
    return Outcome(Verdict.HELD, reason, _cut(detail))


def _cut(detail: str) -> str:
    return (
        detail
        if len(detail) <= DETAIL_CHARACTERS_MAX
        else detail[: DETAIL_CHARACTERS_MAX - 1] + "…"
    )
