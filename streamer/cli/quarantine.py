"""``streamer quarantine``: signed calls that were no events when they came.

The bytes are shown only as text that a terminal cannot trip over; ``--output``
writes them to a file as they are.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from streamer.cli import common, console
from streamer.cli.choosing import Kind
from streamer.cli.common import STORABLE, ConfigFile, Json, OfSource, Yes
from streamer.cli.events import entry_as_json
from streamer.cli.known import require_named_source
from streamer.cli.wording import count, moment_text, size
from streamer.config.model import Config
from streamer.core.errors import StreamerError
from streamer.core.times import rfc3339
from streamer.store import facts, quarantine
from streamer.store.quarantine import Entry
from streamer.store.reread import Became, Reread, reread
from streamer.store.sqlite import Connection

PREVIEW_BYTES = 2_048
ENTRIES_AT_ONCE = 20
"""Entries read again or deleted in one transaction: the service must not wait long for its turn."""
_HEX_COLUMNS = 16
_LEFT = (Became.EVENT, Became.DUPLICATE)

Ids = Annotated[tuple[int, ...], Parameter(validator=STORABLE, help="Numbers of entries.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which entries are meant, as options."""

    source: OfSource = None
    reason: Annotated[str | None, Parameter(help="Only with this reason, such as not_json.")] = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Choice(Filter):
    """Those that fit a filter, instead of single ones."""

    every: Annotated[
        bool, Parameter(name="--all", negative="", help="All that fit the filters.")
    ] = False


def list_entries(
    *,
    which: Filter = Filter(),
    limit: Annotated[int, Parameter(help="At most the newest so many.")] = 200,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """List what is in quarantine, newest last."""
    common.require_limit(limit)
    settings = common.load_config(config).config

    def look(db: Connection) -> list[Entry]:
        require_named_source(db, settings, which.source)
        return quarantine.list_entries(db, **asdict(which), limit=limit)

    found = common.read_database(settings, look)
    console.print_found(
        found,
        json=json,
        as_json=entry_as_json,
        headings=("ID", "SOURCE", "REASON", "LAST RECEIVED", "TIMES", "SIZE", "DETAIL"),
        row=_row,
        empty="The quarantine is empty." if which == Filter() else "No entry fits.",
    )


def _row(entry: Entry) -> tuple[object, ...]:
    return (
        entry.id,
        entry.source,
        entry.reason,
        moment_text(rfc3339(entry.last_received_at)),
        entry.times,
        size(entry.body_bytes) + (", cut" if entry.is_cut else ""),
        entry.detail,
    )


def show(
    entry: Annotated[int, Parameter(validator=STORABLE, help="The number of an entry.")],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(help="Write the raw bytes to this new file instead.")
    ] = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show one entry and the beginning of its bytes."""

    def find(db: Connection) -> tuple[Entry, bytes]:
        return ENTRIES.one(db, entry), quarantine.read_body(db, entry)

    found, body = common.read_database(common.load_config(config).config, find)
    if output is not None:
        _write(output, body)
    if json:
        beginning = body[:PREVIEW_BYTES].decode("utf-8", "backslashreplace")
        console.print_json({**entry_as_json(found), "beginning": beginning})
    elif output is not None:
        console.print_lines([f"wrote {size(len(body))} to {output}"])
    else:
        _print(found, body)


def _print(entry: Entry, body: bytes) -> None:
    console.print_text(_describe(entry))
    console.print_lines(["", *preview(body)])
    if len(body) > PREVIEW_BYTES:
        rest = size(len(body) - PREVIEW_BYTES)
        more = f"`streamer quarantine show {entry.id} --output FILE`"
        console.print_text([f"… and {rest} more: {more}"])


def _write(output: Path, body: bytes) -> None:
    """Write into a file that must be new, for its owner alone: it holds personal data."""
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - pathlib opens no descriptors
            file.write(body)
    except OSError as error:
        raise StreamerError(
            f"{output} cannot be written ({error.strerror})", hint="Name a new file."
        ) from error


def _describe(entry: Entry) -> Iterator[str]:
    yield f"Entry       {entry.id} of {entry.source}"
    yield f"Reason      {entry.reason}: {entry.detail}"
    if entry.event_id is not None:
        yield f"Event id    {entry.event_id}"
    times = f", {entry.times} times" if entry.times > 1 else ""
    yield f"Received    {moment_text(rfc3339(entry.last_received_at))}{times}"
    kept = f", of which {size(entry.kept_bytes)} were kept" if entry.is_cut else ""
    yield f"Size        {size(entry.body_bytes)}{kept}"
    if entry.content_encoding is not None:
        yield f"Encoding    {entry.content_encoding}"


def preview(body: bytes) -> Iterator[str]:
    """Write the beginning as text if it is text, else as hexadecimal beside what is readable."""
    beginning, rest = body[:PREVIEW_BYTES], body[PREVIEW_BYTES:]
    try:
        # A character that is cut in two where the preview ends is no reason to show hexadecimal.
        text = codecs.getincrementaldecoder("utf-8")().decode(beginning, final=not rest)
    except UnicodeDecodeError:
        yield from _hexadecimal(beginning)
    else:
        yield from text.split("\n")


def _hexadecimal(octets: bytes) -> Iterator[str]:
    for at in range(0, len(octets), _HEX_COLUMNS):
        row = octets[at : at + _HEX_COLUMNS]
        readable = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{at:06x}  {row.hex(' '):<{_HEX_COLUMNS * 3}} {readable}"


def retry(
    ids: Ids = (),
    /,
    *,
    which: Choice = Choice(),
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Read entries again, with the present program; what is an event now joins the outbox."""
    settings = common.load_config(config).config
    chosen = common.read_database(settings, lambda db: _choose(db, settings, ids, which))
    body_bytes_max = settings.outbox.body_max_bytes
    pieces = common.change_in_pieces(
        settings,
        [entry.id for entry in chosen],
        lambda db, some: _reread(db, some, body_bytes_max=body_bytes_max),
        at_once=ENTRIES_AT_ONCE,
    )
    results = [result for piece in pieces for result in piece]
    if json:
        console.print_json([_result_as_json(result) for result in results])
    else:
        console.print_lines(_tell(result) for result in results)
    if not any(result.became in _LEFT for result in results):
        raise StreamerError("nothing left the quarantine", hint="Each entry above says why.")


def _find(db: Connection, which: Choice) -> list[Entry]:
    return quarantine.list_entries(db, source=which.source, reason=which.reason)


ENTRIES = Kind(
    name="entry",
    plural="entries",
    place=" in quarantine",
    list_command="streamer quarantine list",
    load=quarantine.load,
    find=_find,
)


def _choose(db: Connection, settings: Config, ids: Sequence[int], which: Choice) -> list[Entry]:
    require_named_source(db, settings, which.source)
    return ENTRIES.choose(db, ids, which)


def _reread(db: Connection, ids: Sequence[int], *, body_bytes_max: int) -> list[Reread]:
    results = [
        reread(db, entry, body_bytes_max=body_bytes_max)
        for entry_id in ids
        if (entry := quarantine.load(db, entry_id)) is not None
    ]
    left = [str(result.entry_id) for result in results if result.became in _LEFT]
    if left:
        facts.record_act(db, "quarantine retry", " ".join(left), now=common.now())
    return results


def _result_as_json(result: Reread) -> dict[str, object]:
    return {
        "entry": result.entry_id,
        "became": result.became.value,
        "position": result.position,
        "detail": result.detail,
    }


def _tell(result: Reread) -> str:
    if result.became is Became.EVENT:
        return f"entry {result.entry_id} is an event now, at position {result.position}"
    if result.became is Became.DUPLICATE:
        return f"entry {result.entry_id} repeats the event at position {result.position}"
    return f"entry {result.entry_id} stays: {result.detail}"


def discard(
    ids: Ids = (),
    /,
    *,
    which: Choice = Choice(),
    yes: Yes = False,
    config: ConfigFile = None,
) -> None:
    """Delete entries for good."""
    settings = common.load_config(config).config
    chosen = common.read_database(settings, lambda db: _choose(db, settings, ids, which))
    entries = count(len(chosen), "entry", "entries")
    console.confirm(f"Delete {entries} of the quarantine for good?", yes=yes)

    deleted = sum(common.change_in_pieces(settings, chosen, _delete, at_once=ENTRIES_AT_ONCE))
    console.print_lines([f"deleted {count(deleted, 'entry', 'entries')}"])


def _delete(db: Connection, some: Sequence[Entry]) -> int:
    deleted = sum(quarantine.discard(db, entry.id) for entry in some)
    detail = f"{deleted}, from {some[0].id} to {some[-1].id}"
    facts.record_act(db, "quarantine discard", detail, now=common.now())
    return deleted
