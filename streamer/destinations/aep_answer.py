"""What an answer of Adobe's batch endpoint says of each message: a pure decision.

The table is in ``docs/destinations.md``. A 2xx decides nothing by itself: its
body has an entry for each message, and one with an id that carries no status of
its own says that the message was received. The status may be called ``status``
or ``statusCode``, and be a number or text; an id beside it proves nothing.

Entries are matched by position when there are as many as messages, else by the
index that ends their ids. Of a message that no entry speaks of nothing is
known: it is `UNRESOLVED`, and the caller sends it again. Adobe drops the
repeat by the event's ``_id`` from profiles, and keeps both in the data lake.

The caller acts on three reasons besides: `CREDENTIALS` asks for another token,
`FAILED` may be the message's fault as well as Adobe's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from streamer.core.outcome import Outcome, Verdict, deferred, held, rejected
from streamer.core.retry_after import parse_retry_after
from streamer.destinations.foreign_text import fit_to_show

CREDENTIALS = "credentials"
"""Reason of an outcome: the token, or its lack, was refused."""

UNRESOLVED = "unresolved"
"""Reason of an outcome: Adobe answered, and did not say what became of the message."""

FAILED = "http_500"
"""Reason of an outcome: an error inside Adobe, for which a message may be the cause."""

_RECEIPT_CHARACTERS_MAX = 100
"""Of an ``xactionId``: those seen have up to forty."""

_NOT_SAID = deferred(UNRESOLVED, "Adobe took the request and did not say what became of this event")

_REJECTING = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
_DEFERRING = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.LOCKED,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}

_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)

_INDEX = re.compile(r"-(\d{1,5})", re.ASCII)
_STATUS = re.compile(r"\d{3}", re.ASCII)
_RECEIPT = re.compile(r"[!-~]+", re.ASCII)
_QUOTED = re.compile(r"\[[^\]]*\](?= is not a | does not match )")
"""How the validator quotes a value; in other places brackets hold names and ids of Adobe's."""
_LONG_NUMBER = re.compile(r"\+?\d[\d .-]{5,}\d", re.ASCII)


def judge(
    status: int, body: bytes, *, count: int, retry_after: str | None = None, now_ms: int = 0
) -> list[Outcome]:
    """Return what an answer says of each of ``count`` messages, in their order.

    ``now_ms`` is the wall time in milliseconds, for a ``Retry-After`` that is a date. A ``body``
    that was cut off is one that cannot be read.
    """
    if 200 <= status < 300:
        return _judge_entries(body, count)
    words = _words_in(body)
    if status == HTTPStatus.FORBIDDEN and not body.strip():
        said = held("http_403", "Adobe answered 403 without a word: look at the IP allow-list")
        return [said] * count
    seconds = None if retry_after is None else parse_retry_after(retry_after, now_ms)
    return [_judge_status(status, words, alone=count == 1, retry_after_seconds=seconds)] * count


def _judge_status(
    status: int, words: str, *, alone: bool, retry_after_seconds: float | None = None
) -> Outcome:
    """Return what a status says, of a request or of one message in it.

    ``alone``: there is no doubt about which message a rejection is of.
    """
    reason, detail = f"http_{status}", f"Adobe answered {status}"
    if words:
        detail = f"{detail}: {words}"
    if status in _REJECTING:
        return rejected(reason, detail, whole=not alone)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return rejected("too_large", detail, whole=not alone)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return held(CREDENTIALS, f"Adobe answered {status} to the token, or to its lack")
    if status < 500 and status not in _DEFERRING:
        return held(reason, f"{detail}; see whether `inlet_url` is the inlet's")
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return held(reason, detail)
    return deferred(reason, detail, retry_after_seconds=retry_after_seconds)


class _Report(msgspec.Struct, frozen=True):
    message: object = None


class _Entry(msgspec.Struct, frozen=True, rename={"status_code": "statusCode", "id": "xactionId"}):
    """What Adobe says of one message, and the problem that it says of a request."""

    id: object = None
    status: object = None
    status_code: object = None
    message: object = None
    title: object = None
    report: object = None


class _Entries(msgspec.Struct, frozen=True):
    responses: list[_Entry]


_ENTRIES = msgspec.json.Decoder(_Entries)


class _AnyEntries(msgspec.Struct, frozen=True):
    responses: list[object]


def _judge_entries(body: bytes, count: int) -> list[Outcome]:
    try:
        entries = _ENTRIES.decode(body).responses
    except _UNREADABLE:
        entries = _odd_entries_in(body.decode(errors="replace"), count)
    if len(entries) == count:
        return [_judge_entry(entry) for entry in entries]
    outcomes = [_NOT_SAID] * count
    indexes = [_index_in(entry, count) for entry in entries]
    times = Counter(indexes)
    for index, entry in zip(indexes, entries, strict=True):
        if index is not None and times[index] == 1:
            outcomes[index] = _judge_entry(entry)
    return outcomes


def _odd_entries_in(text: str, count: int) -> list[_Entry]:
    """Read a list with something odd in it; one message may be answered as it would be alone."""
    try:
        return [_entry_of(said) for said in msgspec.json.decode(text, type=_AnyEntries).responses]
    except _UNREADABLE:
        pass
    try:
        alone = msgspec.json.decode(text, type=_Entry)
    except _UNREADABLE:
        return []
    return [alone] if count == 1 and alone.id is not None else []


def _entry_of(said: object) -> _Entry:
    """Take an entry for what it is; one that is no object says nothing."""
    return msgspec.convert(said, _Entry) if isinstance(said, dict) else _Entry()


def _index_in(entry: _Entry, count: int) -> int | None:
    """Return the index of the message that an entry speaks of, as its id says it."""
    if not isinstance(entry.id, str):
        return None
    _, dash, last = entry.id.rpartition("-")
    found = _INDEX.fullmatch(dash + last)
    return int(found[1]) if found and int(found[1]) < count else None


def _judge_entry(entry: _Entry) -> Outcome:
    """Return what an entry says of its message; what it says in no known way is not said."""
    statuses = [said for said in (entry.status, entry.status_code) if said is not None]
    if not statuses:
        return _received(entry) if entry.id else _NOT_SAID
    numbers = [number for said in statuses if (number := _number_of(said)) is not None]
    failing = next((number for number in numbers if not 200 <= number < 300), None)
    if failing is not None:
        return _judge_status(failing, _words_of(entry), alone=True)
    return _received(entry) if len(numbers) == len(statuses) else _NOT_SAID


def _received(entry: _Entry) -> Outcome:
    return Outcome(Verdict.ACCEPTED, receipt=_receipt_of(entry.id))


def _number_of(status: object) -> int | None:
    """Read a status; ``"pass"`` is how the validating endpoint says 200."""
    if status == "pass":
        return int(HTTPStatus.OK)
    text = str(status) if isinstance(status, int | str) else ""
    return int(text) if _STATUS.fullmatch(text) else None


def _receipt_of(said: object) -> str | None:
    """Return an id that can stand in a list of ids."""
    if not isinstance(said, str) or len(said) > _RECEIPT_CHARACTERS_MAX:
        return None
    return said if _RECEIPT.fullmatch(said) else None


def _words_in(body: bytes) -> str:
    try:
        return _words_of(msgspec.json.decode(body, type=_Entry))
    except _UNREADABLE:
        return ""


def _words_of(entry: _Entry) -> str:
    """Return what was found wrong, in Adobe's words without what may be a person's."""
    try:
        report = msgspec.convert(entry.report, _Report).message
    except msgspec.ValidationError:
        report = None
    words = fit_to_show(_first_text([report, entry.message, entry.title]))
    return _LONG_NUMBER.sub("(number)", _QUOTED.sub("[…]", words))


def _first_text(candidates: Sequence[object]) -> str:
    return next((text for text in candidates if isinstance(text, str) and text), "")
