"""One `send` to Adobe under way: its requests, one after the other, and what becomes of them.

Requests go in order, up to the first message that is not accepted: what lies
behind it was not attempted. Two answers make the requests smaller instead:

- Adobe took the request and does not say what became of some messages. Those are
  sent again, in halves if they are all of it, until each is answered for.
- Adobe failed (500) over the same event too often, see `aep_patience`. Then the
  messages go in halves, so that a culprit ends up alone, and is refused; those
  before it have been accepted meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

from streamer.core.outcome import Outcome, Verdict, all_taken, rejected
from streamer.destinations.aep_answer import FAILED, UNRESOLVED
from streamer.destinations.aep_messages import Message
from streamer.destinations.aep_patience import Patience

Part = Sequence[Message]
"""The messages of one request."""

_FINAL = (Verdict.ACCEPTED, Verdict.REJECTED)


class Delivery:
    """The requests of one `send`."""

    def __init__(
        self,
        parts: Iterable[Part],
        *,
        offer: Callable[[Part], Awaitable[list[Outcome]]],
        may_go_on: Callable[[], bool],
        patience: Patience,
    ) -> None:
        """Take what is to be sent.

        ``offer`` makes one request; ``may_go_on`` says before each but the first whether there is
        time for it.
        """
        self.outcomes: dict[int, Outcome] = {}
        """By position, of what was attempted."""
        self.resent = 0
        """Messages that were sent again because nothing was said of them."""
        self._pending = deque(parts)
        self._offer = offer
        self._may_go_on = may_go_on
        self._patience = patience
        self._dividing = False

    async def run(self) -> None:
        """Send until all is accepted, something is not, or the time is over."""
        while self._pending:
            part = self._pending.popleft()
            if not self._settle(part, self._weigh(part, await self._offer(part))):
                break
        if self._dividing and self._pending:
            self._patience.lose(self._pending[0][0].position)

    def _weigh(self, part: Part, said: list[Outcome]) -> list[Outcome]:
        """Count failures, and refuse a message that is alone with too many."""
        if len(part) > 1 and all(outcome.reason == FAILED for outcome in said):
            self._dividing |= self._patience.fail(part[0].position)
            return said
        alone = len(part) == 1
        return [
            self._weigh_one(message, outcome, alone=alone)
            for message, outcome in zip(part, said, strict=True)
        ]

    def _weigh_one(self, message: Message, outcome: Outcome, *, alone: bool) -> Outcome:
        if outcome.verdict is Verdict.ACCEPTED:
            self._patience.forget(message.position)
        elif outcome.reason == FAILED:
            over = self._patience.fail(message.position)
            if over or (alone and self._dividing):
                return rejected(
                    FAILED, f"{outcome.detail} (each time, and to this event by itself)"
                )
        return outcome

    def _settle(self, part: Part, said: Sequence[Outcome]) -> bool:
        """Note what became of a request's messages; False when that ends the `send`."""
        accepted = all_taken(said)
        again = () if accepted else self._to_be_sent_again(part, said)
        if again and self._may_go_on():
            self._resend(part, said, again)
            return True
        if len(again) == len(part) and said[0].reason == UNRESOLVED:
            part = _halves(part)[0]  # the rest counts as not attempted, so the next send is smaller
        for message, outcome in zip(part, said, strict=False):
            self.outcomes[message.position] = outcome
        return accepted and self._may_go_on()

    def _to_be_sent_again(self, part: Part, said: Sequence[Outcome]) -> Part:
        """List the messages for which a smaller request may tell more."""
        if len(part) == 1:
            return ()
        if self._dividing and all(outcome.reason == FAILED for outcome in said):
            return part
        told = [outcome for outcome in said if outcome.reason != UNRESOLVED]
        if any(outcome.verdict not in _FINAL for outcome in told):
            return ()
        return [
            message
            for message, outcome in zip(part, said, strict=True)
            if outcome.reason == UNRESOLVED
        ]

    def _resend(self, part: Part, said: Sequence[Outcome], again: Part) -> None:
        unclear = {message.position for message in again}
        for message, outcome in zip(part, said, strict=True):
            if message.position in unclear:
                self.resent += outcome.reason == UNRESOLVED
                continue
            self.outcomes[message.position] = outcome
            if outcome.verdict is not Verdict.ACCEPTED:
                self._pending.clear()  # nothing new goes out behind it
        whole = len(again) == len(part)
        self._pending.extendleft(reversed(_halves(again) if whole else (again,)))


def _halves(part: Part) -> tuple[Part, Part]:
    middle = (len(part) + 1) // 2
    return part[:middle], part[middle:]
