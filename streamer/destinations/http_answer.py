"""What an answer over HTTP says of the events that were sent: a pure decision.

The status decides; the table is in ``docs/destinations.md``. Only a 2xx may
say more, by naming events that are refused::

    {"rejected": [{"source": "/customerio/main", "id": "01E…", "reason": "no such person"}]}

A 2xx takes responsibility for all that it does not name. So each entry of the
list counts by itself, as far as it can be read: of one that cannot, and of a
list that ends in the middle, an alarm tells somebody, and what was not
understood is accepted.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from streamer.core.cloudevents import source_of
from streamer.core.event import StoredEvent
from streamer.core.outcome import ACCEPTED, Outcome, deferred, held, rejected
from streamer.core.retry_after import parse_retry_after
from streamer.destinations.foreign_text import fit_to_show

_REJECTING = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}

# Of the 4xx, those that speak of this moment and not of us.
_DEFERRING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.LOCKED,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}

_ZLIB_CODINGS = {"gzip", "x-gzip", "deflate"}

_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

# For a list that is no JSON as a whole.
_LIST = re.compile(r'"rejected"\s*:\s*\[\s*')
_COMMA = re.compile(r"\s*,\s*")
_ENTRY = json.JSONDecoder()

# The value of `wbits` that makes zlib tell the two formats apart by itself.
_ZLIB_OR_GZIP = 47


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


class Content(msgspec.Struct, frozen=True):
    """An answer's body, and what was odd about its packing."""

    body: bytes
    is_cut: bool = False
    """It goes on, and was not read to its end."""
    oddity: str = ""


def unpack(body: bytes, encoding: str, bytes_max: int) -> Content:
    """Undo a ``Content-Encoding``, which nobody asked for, up to ``bytes_max``.

    What cannot be unpacked is returned as it came: some servers set the header and pack nothing.
    """
    coding = encoding.strip().lower()
    if not body or coding in {"", "identity"}:
        return Content(body)
    if coding not in _ZLIB_CODINGS:
        return Content(body, oddity="its body is packed in a way that was not asked for")
    inflater = zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
    try:
        unpacked = inflater.decompress(body, bytes_max)
    except zlib.error:
        return Content(body, oddity="its body is not packed as its header says")
    return Content(unpacked, is_cut=not inflater.eof)


def judge_accepting_body(
    body: bytes, events: Sequence[StoredEvent], *, is_cut: bool = False
) -> Judgement:
    """Return what the body of a 2xx says of the events; ``is_cut``: there was more of it."""
    text = body.decode(json.detect_encoding(body), "replace")
    if '"rejected"' not in text:
        maybe = is_cut and text.lstrip().startswith("{")
        oddity = "it is too long to be read to the end" if maybe else ""
        return Judgement([ACCEPTED] * len(events), oddity)
    entries, oddity = _entries_of(text)
    reasons: dict[tuple[str, str], str] = {}
    for entry in entries:
        try:
            rejection = msgspec.json.decode(entry, type=_Rejection)
        except _UNREADABLE:
            oddity = oddity or "some of its rejections cannot be read"
        else:
            reasons[rejection.source, rejection.id] = _text_of(rejection.reason)
    outcomes = [_outcome_of(event, reasons) for event in events]
    if reasons:
        oddity = oddity or "it rejects events that were not sent"
    return Judgement(outcomes, oddity)


class _Rejection(msgspec.Struct, frozen=True):
    source: str
    id: str
    reason: msgspec.Raw = msgspec.Raw(b"null")


class _Rejections(msgspec.Struct, frozen=True):
    rejected: list[msgspec.Raw] | None


def _entries_of(text: str) -> tuple[list[bytes], str]:
    """Return the entries of the list, each as JSON, and what is odd about the list."""
    try:
        entries = msgspec.json.decode(text, type=_Rejections).rejected or []
        return [bytes(entry) for entry in entries], ""
    except msgspec.ValidationError:
        return [], "its list of rejected events is not of the form that is documented"
    except _UNREADABLE:
        return _entries_before_the_fault(text), "its list of rejected events cannot be read in full"


def _entries_before_the_fault(text: str) -> list[bytes]:
    """Read a list that is no JSON as a whole, such as one that was cut off, entry by entry."""
    entries: list[bytes] = []
    begin = _LIST.search(text)
    at = None if begin is None else begin.end()
    while at is not None:
        try:
            _, end = _ENTRY.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        entries.append(text[at:end].encode("utf-8", "replace"))
        more = _COMMA.match(text, end)
        at = None if more is None else more.end()
    return entries


def _text_of(reason: msgspec.Raw) -> str:
    """Return a reason as text, whatever its JSON type: it is for people."""
    try:
        decoded = msgspec.json.decode(reason)
    except _UNREADABLE:
        decoded = None
    if decoded is None:
        return ""
    return decoded if isinstance(decoded, str) else bytes(reason).decode("utf-8", "replace")


def _outcome_of(event: StoredEvent, reasons: dict[tuple[str, str], str]) -> Outcome:
    """Take the event's rejection out of ``reasons``, so that what nobody sent remains.

    Its source may be named as the CloudEvent has it, or by the bare name.
    """
    by_uri = reasons.pop((source_of(event), event.event_id), None)
    by_name = reasons.pop((event.source, event.event_id), None)
    reason = by_uri if by_uri is not None else by_name
    return ACCEPTED if reason is None else rejected("refused", fit_to_show(reason))
