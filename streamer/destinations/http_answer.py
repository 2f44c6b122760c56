"""What an answer over HTTP says of the events that were sent: a pure decision.

The status decides; the table is in ``docs/destinations.md``. Only a 2xx may
say more, by naming events that are refused::

    {"rejected": [{"source": "/customerio/main", "id": "01E…", "reason": "no such person"}]}

A 2xx takes responsibility for all that it does not name. An answer that seems
to name events but cannot be read is therefore no partial success: the batch is
accepted as a whole, and an alarm tells somebody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from streamer.core.cloudevents import source_of
from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, Outcome, deferred, held, rejected
from streamer.core.retry_after import parse_retry_after

_REJECTING = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}

# Of the 4xx, those that speak of this moment and not of us.
_DEFERRING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.LOCKED,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}

_ADDRESS = re.compile(r"\S*@\S*")


class Judgement(msgspec.Struct, frozen=True):
    """One outcome per event, and what was odd about the answer."""

    outcomes: list[Outcome]
    oddity: str = ""


def judge_status(status: int, *, retry_after: str | None, now_ms: int, whole: bool) -> Outcome:
    """Return what a status says of everything that was sent.

    ``now_ms`` is the wall time in milliseconds, for a ``Retry-After`` that is a date. ``whole``: a
    rejection is of a batch, in which the culprit is still to be found.
    """
    reason, detail = f"http_{status}", f"the destination answered {status}"
    if 200 <= status < 300:
        return ACCEPTED
    if status in _REJECTING:
        return rejected(reason, detail, whole=whole)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return rejected("too_large", detail, whole=whole)
    if 300 <= status < 500 and status not in _DEFERRING:
        return held(reason, detail)
    seconds = None if retry_after is None else parse_retry_after(retry_after, now_ms)
    return deferred(reason, detail, retry_after_seconds=seconds)


def judge_accepting_body(body: bytes, events: Sequence[StoredEvent]) -> Judgement:
    """Return what the body of a 2xx says of the events."""
    accepted = [ACCEPTED] * len(events)
    if b'"rejected"' not in body:
        return Judgement(accepted)
    try:
        named = msgspec.json.decode(body, type=_Rejections).rejected
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Also when it was too long to be read to its end.
        return Judgement(accepted, "its list of rejected events cannot be read")
    reasons = {(rejection.source, rejection.id): rejection.reason or "" for rejection in named}
    outcomes = [_outcome_of(event, reasons) for event in events]
    return Judgement(outcomes, "it rejects events that were not sent" if reasons else "")


class _Rejection(msgspec.Struct, frozen=True):
    source: str
    id: str
    reason: str | None = None


class _Rejections(msgspec.Struct, frozen=True):
    rejected: list[_Rejection]


def _outcome_of(event: StoredEvent, reasons: dict[tuple[str, str], str]) -> Outcome:
    """Take the event's rejection out of ``reasons``, so that what nobody sent remains.

    Its source may be named as the CloudEvent has it, or by the bare name.
    """
    by_uri = reasons.pop((source_of(event), event.event_id), None)
    by_name = reasons.pop((event.source, event.event_id), None)
    reason = by_uri if by_uri is not None else by_name
    return ACCEPTED if reason is None else rejected("refused", _fit_to_show(reason))


def _fit_to_show(reason: str) -> str:
    """Take out of somebody else's text what must not reach a log: addresses, control characters."""
    line = "".join(character if character.isprintable() else " " for character in reason)
    return " ".join(_ADDRESS.sub("(address)", line).split())
