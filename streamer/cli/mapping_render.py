"""``streamer mapping render``: one event as a destination would send it.

The entity goes to standard output and nothing else does, so that it can be kept as what
must come of the event. What an operator wants to know besides goes to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from streamer.cli import common, console
from streamer.cli.events import find_event, pretty
from streamer.cli.mapping_choice import Chosen
from streamer.core import customerio
from streamer.core.customerio import Decoded
from streamer.core.errors import StreamerError, UsageError
from streamer.core.event import Event, StoredEvent
from streamer.core.limits import BODY_BYTES_HARD_MAX
from streamer.core.xdm import trace as tracing
from streamer.core.xdm.mapper import Mapped, Unmappable
from streamer.core.xdm.rule import BUILT_IN
from streamer.core.xdm.trace import Traced

STANDARD_INPUT = Path("-")

TIMELESS_AT = 1_577_836_800_000
"""2020-01-01, in ms since 1970: when a body in a file was received that tells no time, so that the
same file gives the same entity on any day."""

_FATES = {
    "written": "written",
    "overruled": "a later rule is there instead",
    "unfit": "does not fit its field",
    "no value": "no value",
}


def find(
    config: Path | None, *, file: Path | None, event: str | None, source: str | None
) -> StoredEvent:
    """Return the event that is meant: one in a file, or a stored one.

    Raises:
        UsageError: it is not clear which, or there is no such.
    """
    if (file is None) is (event is None):
        raise UsageError(
            "name either a file or an event",
            hint="As in `streamer mapping render event.json`, or with --event ID.",
        )
    if file is not None and str(file).startswith("--"):  # as - is a file, so is a misspelt option
        raise UsageError(f"there is no option {file}", hint="See `streamer mapping render --help`.")
    if file is not None:
        return event_of(_read(file), name=str(file))
    assert event is not None, "one of them is given"
    settings = common.load_config(config).config
    found = common.read_database(settings, lambda db: find_event(db, event, source))
    if found is None:
        raise UsageError(
            f"there is no event {event!r} in the outbox",
            hint="It may have been pruned, or never received: see `streamer events list`.",
        )
    return found


def event_of(body: bytes, *, name: str) -> StoredEvent:
    """Make a stored event of a body in a file.

    Raises:
        UsageError: it is no event.
    """
    decoded = customerio.decode(body)
    if not isinstance(decoded, Decoded):
        raise UsageError(
            f"{name} is no event: {decoded.detail}",
            hint="It must be a webhook's body, as `streamer events show ID --raw` prints it.",
        )
    told_at = decoded.occurred_at  # what can be no time is None, see `customerio.decode`
    received_at = TIMELESS_AT if told_at is None else told_at * 1000
    return _stored(decoded.event("customerio", received_at=received_at, body=body))


def _stored(event: Event) -> StoredEvent:
    return StoredEvent(position=1, **msgspec.structs.asdict(event))


def _read(file: Path) -> bytes:
    try:
        if file == STANDARD_INPUT:
            body = sys.stdin.buffer.read(BODY_BYTES_HARD_MAX + 1)
        else:
            with file.open("rb") as opened:
                body = opened.read(BODY_BYTES_HARD_MAX + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if len(body) > BODY_BYTES_HARD_MAX:
        raise UsageError(f"{file} is larger than an event can be")
    return body


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints."""

    entity: msgspec.Raw | None = None
    """None: the destination has nothing to say of this event."""
    shed: tuple[str, ...] = ()
    time_replaced: bool = False
    rules: tuple[dict[str, object], ...] | None = None
    """Only with ``--trace``."""


def run(chosen: Chosen, event: StoredEvent, *, trace: bool, json: bool) -> None:
    """Print what is sent for an event.

    Raises:
        StreamerError: it cannot be mapped.
    """
    mapped = chosen.map(event)
    traced = _traced(chosen, event)
    console.say(_notes(chosen, event, mapped, traced))
    if trace and not json:
        console.say(_tell(traced), mark="")
    if isinstance(mapped, Unmappable):
        raise unmappable(event, mapped)
    if json:
        rules = tuple(_as_json(one) for one in traced) if trace else None
        console.print_json(_rendered(mapped, rules))
    elif mapped is not None:
        console.print_lines(pretty(mapped.entity))


def _traced(chosen: Chosen, event: StoredEvent) -> tuple[Traced, ...]:
    return tracing.trace(chosen.mapper, event, chosen.redactor.redact_body(event.body))


def unmappable(event: StoredEvent, found: Unmappable) -> StreamerError:
    """Say why an event cannot be mapped."""
    told = ": ".join(part for part in (found.path, found.rule, found.detail) if part)
    return StreamerError(
        f"event {event.event_id} ({event.type_name}) cannot be mapped: {told}",
        hint="It would become a dead letter. --trace tells what became of each rule.",
    )


def _rendered(mapped: Mapped | None, rules: tuple[dict[str, object], ...] | None) -> Rendered:
    if mapped is None:
        return Rendered(rules=rules)
    return Rendered(
        entity=msgspec.Raw(mapped.entity),
        shed=mapped.shed,
        time_replaced=mapped.time_replaced,
        rules=rules,
    )


def _notes(
    chosen: Chosen,
    event: StoredEvent,
    mapped: Mapped | Unmappable | None,
    traced: tuple[Traced, ...],
) -> Iterator[str]:
    yield from chosen.notes()
    if not chosen.selection.matches(event.object_type, event.metric):
        yield f"{chosen.destination} leaves {event.type_name} out by its filter"
    if mapped is None:
        yield f"nothing is said of {event.type_name}, so nothing would be sent"
    if isinstance(mapped, Mapped):
        if mapped.time_replaced:
            yield "the event's own time cannot be used: that of its receipt stands for it"
        if mapped.shed:
            yield f"left out or shortened so that it fits: {', '.join(mapped.shed)}"
    for one in traced:
        if one.rule.origin != BUILT_IN and one.fate != "written":
            yield f"{one.rule.origin}, {one.rule.destination}: {_FATES[one.fate]}"


def _tell(traced: tuple[Traced, ...]) -> Iterator[str]:
    for one in traced:
        kind = f" ({one.kind})" if one.kind else ""
        yield f"{one.rule.destination} <- {one.rule.source}: {_FATES[one.fate]}{kind}"


def _as_json(one: Traced) -> dict[str, object]:
    return {
        "destination": one.rule.destination,
        "source": one.rule.source,
        "origin": one.rule.origin,
        "kind": one.kind or None,
        "fate": one.fate,
    }
