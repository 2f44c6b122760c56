"""What goes wrong, on order: once, at the n-th call, or by a share of all requests.

Chance comes from a seed, so that a run can be repeated. Faults change answers and what happens
to a connection; they never bend what the server holds to be right.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from typing import Any, Literal

Place = Literal["collection", "ims", "platform", "any"]
FailureShape = Literal["statusCode", "status", "status_with_id", "text_status", "mixed"]
SHAPES: tuple[FailureShape, ...] = ("statusCode", "status", "status_with_id", "text_status")


@dataclasses.dataclass(frozen=True)
class Fault:
    """One thing that goes wrong with one request."""

    kind: Literal["answer", "hang", "reset", "lost"] = "answer"
    """``answer``: this status and body instead of the true ones; ``hang``: no answer ever;
    ``reset``: the connection breaks before anything was done; ``lost``: everything is done, and
    then the connection breaks instead of an answer."""
    status: int = 503
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""


@dataclasses.dataclass
class _Ordered:
    fault: Fault
    place: Place
    method: str | None
    path_part: str
    wait: int
    """How many fitting requests still pass first."""

    def fits(self, place: Place, method: str, path: str) -> bool:
        return (
            self.place in ("any", place)
            and self.method in (None, method)
            and self.path_part in path
        )


class Faults:
    """What is to go wrong; all of it is empty or zero at first."""

    def __init__(self, seed: int) -> None:
        self.refuse_share = 0.0
        """Share of messages that a batch refuses with 400."""
        self.defer_share = 0.0
        """Share of messages for which a batch answers 429 or 503 in their places."""
        self.unavailable_share = 0.0
        """Share of requests that are answered with 503 and `retry_after_seconds`."""
        self.throttled_share = 0.0
        """Share of requests that are answered with 429, every other one with a Retry-After."""
        self.failing_share = 0.0
        """Share of requests that are answered with 500."""
        self.short_answer_share = 0.0
        """Share of batches whose answer has an entry too few, as one of Adobe's samples has."""
        self.lost_answer_share = 0.0
        """Share of requests that are done and never answered."""
        self.expire_tokens_every = 0
        """Expire all tokens at every so manieth request to an inlet; 0: never."""
        self.retry_after_seconds = 1
        self.failure_shape: FailureShape = "statusCode"
        """Which of the documented shapes a refused message has in a 207."""
        self.poison: Callable[[dict[str, Any]], bool] | None = None
        """A request that holds a message for which this is true is answered `poison_status`."""
        self.poison_status = 500
        self._ordered: list[_Ordered] = []
        self._message_statuses: list[int] = []
        self._requests = 0
        self._random = random.Random(seed)  # noqa: S311 - repeatable, nothing secret

    def answer(
        self,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        on: Place = "any",
        times: int = 1,
    ) -> None:
        """Answer the next requests, ``times`` of them, like this."""
        fault = Fault("answer", status, headers or {}, body)
        for _ in range(times):
            self.order(fault, on=on)

    def garbage(self, *, on: Place = "any") -> None:
        """Answer the next request with 200 and something that is not JSON."""
        self.answer(200, body=b"<html>\xff not what you asked for", on=on)

    def hang(self, *, on: Place = "any") -> None:
        """Never answer the next request."""
        self.order(Fault("hang"), on=on)

    def reset(self, *, on: Place = "any") -> None:
        """Break the connection of the next request before anything is done."""
        self.order(Fault("reset"), on=on)

    def lose_answer(self, *, on: Place = "any") -> None:
        """Do what the next request asks for, and break the connection instead of answering."""
        self.order(Fault("lost"), on=on)

    def fail_call(
        self,
        number: int,
        status: int = 500,
        *,
        kind: Literal["answer", "hang", "reset", "lost"] = "answer",
        method: str | None = None,
        path_part: str = "",
    ) -> None:
        """Let the n-th platform call from now on, counted from 1, go wrong.

        Only calls by ``method``, and whose path holds ``path_part``, are counted.
        """
        body = b'{"title":"Fault on order","status":%d}' % status
        fault = Fault(kind, status, {"Content-Type": "application/json"}, body)
        self._ordered.append(_Ordered(fault, "platform", method, path_part, number - 1))

    def order(self, fault: Fault, *, on: Place = "any") -> None:
        """Let the next request to a place go wrong; orders are served in their order."""
        self._ordered.append(_Ordered(fault, on, None, "", 0))

    def refuse_messages(self, *statuses: int) -> None:
        """Refuse the next good messages of batches with these statuses; 0 lets one pass."""
        self._message_statuses += statuses

    def for_request(self, place: Place, method: str, path: str) -> Fault | None:
        """Decide what goes wrong with a request, if anything; counts it."""
        fitting = [ordered for ordered in self._ordered if ordered.fits(place, method, path)]
        due = next((ordered for ordered in fitting if ordered.wait == 0), None)
        for ordered in fitting:
            ordered.wait = max(0, ordered.wait - 1)
        if due is not None:
            self._ordered.remove(due)
            return due.fault
        return self._by_chance() if place == "collection" else None

    def _by_chance(self) -> Fault | None:
        self._requests += 1
        retry_after = {"Retry-After": str(self.retry_after_seconds)}
        if self._happens(self.unavailable_share):
            return Fault("answer", 503, retry_after)
        if self._happens(self.throttled_share):
            return Fault("answer", 429, retry_after if self._requests % 2 else {})
        if self._happens(self.failing_share):
            return Fault("answer", 500)
        return Fault("lost") if self._happens(self.lost_answer_share) else None

    def expires_tokens(self) -> bool:
        """Tell whether this request to an inlet is one at which tokens expire."""
        return self.expire_tokens_every > 0 and self._requests % self.expire_tokens_every == 0

    def for_message(self) -> int:
        """Return the status that a message of a batch is to be refused with, or 0."""
        if self._message_statuses:
            return self._message_statuses.pop(0)
        if self._happens(self.refuse_share):
            return 400
        return self._random.choice((429, 503)) if self._happens(self.defer_share) else 0

    def is_poisoned(self, entities: list[dict[str, Any]]) -> bool:
        """Tell whether a request holds what makes the service stumble."""
        return self.poison is not None and any(map(self.poison, entities))

    def shape(self) -> FailureShape:
        """Choose the shape of one refused message."""
        return self._random.choice(SHAPES) if self.failure_shape == "mixed" else self.failure_shape

    def shortened(self, answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Leave one answer out, if it comes to that."""
        if len(answers) > 1 and self._happens(self.short_answer_share):
            left_out = self._random.randrange(len(answers))
            return answers[:left_out] + answers[left_out + 1 :]
        return answers

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share
