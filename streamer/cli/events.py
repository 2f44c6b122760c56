"""``streamer events``: look at received events, and at what became of one of them.

A list never shows bodies; ``show`` does, because it was asked to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from cyclopts import Parameter

from streamer.cli import common, console
from streamer.cli.common import STORABLE, ConfigFile, Json, OfSource
from streamer.cli.known import require_destination, require_named_source
from streamer.cli.spans import Since, Until, read_options
from streamer.cli.wording import count, moment_text, size
from streamer.core.errors import UsageError
from streamer.core.event import StoredEvent
from streamer.core.times import rfc3339
from streamer.store import browse, outbox, quarantine, sqlite, story
from streamer.store.browse import Listed, Wanted
from streamer.store.quarantine import Entry
from streamer.store.sqlite import Connection
from streamer.store.story import Acceptance, DestinationStory, Fate

LIMIT = 50

Types = Annotated[
    tuple[str, ...],
    Parameter(name="--type", negative="", help="Only types like email.*; may be given again."),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Search:
    """Which events are meant, and how many of them, as options."""

    source: OfSource = None
    types: Types = ()
    since: Since = None
    until: Until = None
    person: Annotated[
        str | None,
        Parameter(
            help="Only about this person: any of the event's identifiers (cio_id, id, e-mail), "
            "its customer_id, recipient or email_address is this, whole; the case of an e-mail "
            "address does not count. Reads every body; the quarantine is not looked at."
        ),
    ] = None
    limit: Annotated[int, Parameter(help="At most so many.")] = LIMIT
    after: Annotated[
        int | None, Parameter(validator=STORABLE, help="Those after this position.")
    ] = None
    undelivered: Annotated[
        str | None, Parameter(help="Only what this destination is still to settle.")
    ] = None

    def wanted(self) -> Wanted:
        """Read the options as of now; raises `UsageError` when they make no sense."""
        span = read_options(self.since, self.until)
        return Wanted(
            source=self.source,
            types=self.types,
            since=span.since,
            until=span.until,
            person=self.person,
            after=self.after,
            undelivered=self.undelivered,
        )


def list_events(*, which: Search = Search(), config: ConfigFile = None, json: Json = False) -> None:
    """List events, newest last; the newest, unless --after says where to begin."""
    common.require_limit(which.limit)
    settings = common.load_config(config).config
    wanted = which.wanted()

    def find(db: Connection) -> list[Listed]:
        require_named_source(db, settings, wanted.source)
        if wanted.undelivered is not None:
            require_destination(db, settings, wanted.undelivered)
        return browse.list_events(db, wanted, limit=which.limit)

    found = common.read_database(settings, find)
    console.print_found(
        found,
        json=json,
        as_json=_as_listed,
        headings=("POSITION", "RECEIVED", "SOURCE", "TYPE", "EVENT ID", "SIZE"),
        row=_row,
        empty=_empty(wanted),
    )


_NONE_YET = (
    "No events are kept: `streamer send-sample` sends one, `streamer doctor` tells what is wrong."
)


def _empty(wanted: Wanted) -> str:
    if wanted == Wanted():
        return _NONE_YET
    if wanted == Wanted(undelivered=wanted.undelivered):
        return f"{wanted.undelivered} has settled every event that is kept."
    return "No event fits."


def _row(event: Listed) -> tuple[object, ...]:
    return (
        event.position,
        moment_text(rfc3339(event.received_at)),
        event.source,
        event.type,
        event.event_id,
        size(event.body_bytes),
    )


def _as_listed(event: Listed) -> dict[str, object]:
    return {
        "position": event.position,
        "source": event.source,
        "event_id": event.event_id,
        "type": event.type,
        "occurred_at": seconds_text(event.occurred_at),
        "received_at": rfc3339(event.received_at),
        "body_bytes": event.body_bytes,
    }


def seconds_text(at_seconds: int | None) -> str | None:
    """Write a time in whole seconds since 1970 as RFC 3339."""
    return None if at_seconds is None else rfc3339(at_seconds * 1000)


class _Found(msgspec.Struct, frozen=True):
    """All there is to say of one event."""

    event: StoredEvent | None
    told: list[DestinationStory]
    quarantined: list[Entry]


def show(
    event: Annotated[str, Parameter(help="An event id, or a position.")],
    /,
    *,
    source: Annotated[str | None, Parameter(help="Whose event, if several use the id.")] = None,
    raw: Annotated[
        bool, Parameter(name="--raw", negative="", help="Only the body, as it was received.")
    ] = False,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show one event and what each destination made of it."""
    settings = common.load_config(config).config
    found = common.read_database(settings, lambda db: _find(db, event, source))
    if raw:
        if found.event is None:
            raise _only_in_quarantine(found.quarantined)
        console.print_bytes([found.event.body])
    elif json:
        console.print_json(_as_json(found))
    else:
        _print(found)


def _only_in_quarantine(entries: Sequence[Entry]) -> UsageError:
    return UsageError(
        "that event is only in quarantine",
        hint=f"Its bytes: `streamer quarantine show {entries[-1].id} --output FILE`.",
    )


def _find(db: Connection, wanted: str, source: str | None) -> _Found:
    with sqlite.one_moment(db):
        event = find_event(db, wanted, source)
        event_id = wanted if event is None else event.event_id
        entries = [
            entry
            for entry in quarantine.list_entries(db, source=source, event_id=event_id)
            if event is None or entry.source == event.source
        ]
        if event is None and not entries:
            raise UsageError(
                f"there is no event {wanted!r} in the outbox or in quarantine",
                hint="It may have been pruned, or never received: see `streamer events list`.",
            )
        return _Found(event, [] if event is None else story.tell(db, event), entries)


def find_event(db: Connection, wanted: str, source: str | None) -> StoredEvent | None:
    """Return the event of an id or a position, or None; raises `UsageError` if several have the id.

    An id is looked for first: one that is all digits is rare, but an id all the same.
    """
    events = outbox.find(db, wanted)
    if not events and wanted.isascii() and wanted.isdigit() and len(wanted) < 19:
        events = outbox.read_positions(db, [int(wanted)])
    events = tuple(event for event in events if source in {None, event.source})
    if len(events) > 1:
        names = ", ".join(sorted(event.source for event in events))
        raise UsageError(
            f"several sources use the event id {wanted!r}: {names}",
            hint="Say which one with --source.",
        )
    return events[0] if events else None


def _as_json(found: _Found) -> dict[str, object]:
    event = found.event
    head: dict[str, object] = (
        {"position": None, "event_id": found.quarantined[-1].event_id}
        if (event is None)
        else {
            "position": event.position,
            "source": event.source,
            "event_id": event.event_id,
            "type": event.type_name,
            "occurred_at": seconds_text(event.occurred_at),
            "received_at": rfc3339(event.received_at),
            "body": msgspec.Raw(event.body),
        }
    )
    return {
        **head,
        "destinations": {one.destination: _story_as_json(one) for one in found.told},
        "quarantine": [entry_as_json(entry) for entry in found.quarantined],
    }


def entry_as_json(entry: Entry) -> dict[str, object]:
    """Return a quarantine entry as ``--json`` prints it."""
    return {
        **msgspec.structs.asdict(entry),
        "received_at": rfc3339(entry.received_at),
        "last_received_at": rfc3339(entry.last_received_at),
        "is_cut": entry.is_cut,
    }


def _story_as_json(one: DestinationStory) -> dict[str, object]:
    letter = one.letter
    return {
        "fate": one.fate.value,
        "state": one.state,
        "cursor": one.cursor,
        "events_before": one.events_before,
        "attempt": one.attempt,
        "next_attempt_at": rfc3339(one.next_attempt_at),
        "last_error": one.last_error,
        "dead_letter": None
        if letter is None
        else {
            "id": letter.id,
            "state": letter.state,
            "reason": letter.reason,
            "detail": letter.detail,
            "attempts": letter.attempts,
            "buried_at": rfc3339(letter.buried_at),
            "closed_at": rfc3339(letter.closed_at),
        },
        "acceptances": [
            {
                "first_at": rfc3339(accepted.first_at),
                "last_at": rfc3339(accepted.last_at),
                "attempt": accepted.attempt,
                "replay": accepted.replay_id or None,
                "receipt": accepted.receipt,
                "certain": accepted.certain,
            }
            for accepted in one.acceptances
        ],
        "losses": [
            {
                "batch_id": loss.batch_id,
                "code": loss.code,
                "message": loss.message,
                "lost_at": rfc3339(loss.lost_at),
                "found_at": rfc3339(loss.found_at),
            }
            for loss in one.losses
        ],
        "reconciled_until": None if one.reconciled is None else rfc3339(one.reconciled.until),
        "replays": list(one.replays),
    }


def _print(found: _Found) -> None:
    if found.event is not None:
        console.print_text(_describe(found.event))
        console.print_lines(["", *pretty(found.event.body), ""])
    console.print_text(_tell(found))


def _describe(event: StoredEvent) -> Iterator[str]:
    yield f"Position   {event.position}"
    yield f"Event id   {event.event_id}"
    yield f"Source     {event.source}"
    yield f"Type       {event.type_name}"
    yield f"Occurred   {moment_text(seconds_text(event.occurred_at))}"
    yield f"Received   {moment_text(rfc3339(event.received_at))}"


def _tell(found: _Found) -> Iterator[str]:
    for one in found.told:
        for number, line in enumerate(tell_story(one)):
            yield f"  {line}" if number else f"{one.destination}: {line}"
    for entry in found.quarantined:
        place = "only in quarantine" if found.event is None else "also in quarantine"
        yield (
            f"{place}: entry {entry.id}, {entry.reason} ({entry.detail}), received "
            f"{moment_text(rfc3339(entry.received_at))}"
        )


def pretty(body: bytes) -> list[str]:
    """Write JSON over several lines, its numbers and texts as they are."""
    return msgspec.json.format(body, indent=2).decode().split("\n")


_PLAIN = {
    Fate.FILTERED: "left out by its filter",
    Fate.PASSED: "passed without being sent: before it began, or left out by an earlier filter",
}


def tell_story(one: DestinationStory) -> Iterator[str]:
    """Tell one destination's story: the outcome in the first line, what led to it below."""
    letter = one.letter
    if one.fate is Fate.PENDING:
        before = f"{count(one.events_before, 'event')} before it" if one.events_before else "next"
        yield f"pending, {before} ({one.state})"
        if one.attempt:
            next_at = moment_text(rfc3339(one.next_attempt_at))
            yield f"{count(one.attempt, 'attempt')} so far, next {next_at}"
        if one.last_error:
            yield f"last error: {one.last_error}"
    elif letter is not None and one.fate is not Fate.ACCEPTED:
        yield f"{_letter_words(one.fate)} {letter.id}: {letter.reason}"
    elif one.fate is Fate.ACCEPTED:
        yield "accepted"
    elif one.fate is Fate.LOST:
        yield f"lost: accepted, and dropped later by the destination itself: {one.losses[-1].code}"
    else:
        yield _PLAIN[one.fate]
    if letter is not None:
        yield (
            f"dead letter {letter.id} ({letter.state}) since "
            f"{moment_text(rfc3339(letter.buried_at))} after {count(letter.attempts, 'attempt')}"
            f": {letter.reason} {letter.detail}".rstrip()
        )
    for accepted in one.acceptances:
        yield _tell_acceptance(accepted)
    yield from _tell_losses(one)
    for replay in one.replays:
        again = " again" if one.acceptances else ""
        yield f"replay {replay} will send it{again}"


def _tell_losses(one: DestinationStory) -> Iterator[str]:
    """Tell what the destination's own books say, or how far they were read."""
    for loss in one.losses:
        lost, found = moment_text(rfc3339(loss.lost_at)), moment_text(rfc3339(loss.found_at))
        yield f"found {found} in failed batch {loss.batch_id} of {lost}: {loss.code} {loss.message}"
    if one.fate is Fate.LOST:
        again = f"`streamer replay start {one.destination} --event {one.losses[-1].event_id}`"
        yield f"once the cause is mended, {again} sends it again"
    if one.kind != "aep" or one.losses or not one.acceptances:
        return
    if one.reconciled is None:
        yield "its failed batches were never read: `streamer aep reconcile`"
    else:
        yield f"in no failed batch begun before {moment_text(rfc3339(one.reconciled.until))}"


def _letter_words(fate: Fate) -> str:
    return {
        Fate.DEAD_LETTER: "refused for good, dead letter",
        Fate.RETRYING: "being retried, dead letter",
        Fate.DISCARDED: "given up by an operator, dead letter",
    }[fate]


def _tell_acceptance(accepted: Acceptance) -> str:
    first, last = moment_text(rfc3339(accepted.first_at)), moment_text(rfc3339(accepted.last_at))
    when = first if first == last else f"between {first} and {last}"
    by = f"replay {accepted.replay_id}" if accepted.replay_id else f"attempt {accepted.attempt}"
    receipt = f", receipt {accepted.receipt}" if accepted.receipt else ""
    doubt = "" if accepted.certain else " (unless the filter of that time left it out)"
    return f"accepted {when}, {by}{receipt}{doubt}"
