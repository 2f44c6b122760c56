"""How ``streamer aep reconcile`` tells what it found: by code, and with the next step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from streamer.cli import console
from streamer.cli.aep_codes import advise
from streamer.cli.wording import count, moment_text
from streamer.core.times import rfc3339
from streamer.store.late_failures import Total

_HEADINGS = ("CODE", "EVENTS", "NOT HERE", "EXAMPLE", "WHAT ADOBE SAYS OF IT")


class Unread(msgspec.Struct, frozen=True):
    """A batch that could not be read to its end."""

    batch_id: str
    error: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did."""

    destination: str
    dataset_id: str
    since: int
    """Batches begun at or after were looked at, ms since 1970."""
    batches: int
    failed_batches: int
    known_batches: int
    """Of those, the ones that an earlier run has read whole."""
    records: int
    """Read in this run."""
    new: int
    """Of them, those that no run had noted."""
    unreadable: int
    by_code: Sequence[Total]
    """All that was lost since, whichever run noted it; in a dry run only what is new."""
    dead_letters: int
    to_bury: int
    """Lost events that are kept, and that are no dead letters yet."""
    silent: Sequence[str]
    """Batches that have failures and list none."""
    unread: Sequence[Unread]
    complete: bool
    """False: the run was long enough, and the next one goes on."""
    dry_run: bool


def print_report(report: Report, *, json: bool) -> None:
    """Tell a program or a person what was found."""
    if json:
        console.print_json({**msgspec.structs.asdict(report), "since": rfc3339(report.since)})
        return
    console.print_text(_head(report))
    if report.by_code:
        rows = [
            (one.code, f"{one.events:,}", one.unknown or "", one.example_event, one.example)
            for one in report.by_code
        ]
        console.print_lines([""])
        console.print_table(_HEADINGS, rows, "")
        console.print_lines([""])
    console.print_text(_tail(report))


def _head(report: Report) -> Iterator[str]:
    known = f", {report.known_batches:,} of them known already" if report.known_batches else ""
    yield (
        f"{count(report.batches, 'batch', 'batches')} of dataset {report.dataset_id} begun since "
        f"{moment_text(rfc3339(report.since))}; {report.failed_batches:,} with failures{known}"
    )
    new = f"{count(report.new, 'new loss', 'new losses')}"
    yield f"{new}, not written down" if report.dry_run and report.new else new
    if report.unreadable:
        yield f"{count(report.unreadable, 'record')} of which no event can be told"
    for batch_id in report.silent:
        yield f"batch {batch_id} has failures and lists none: look at it in Adobe"
    for unread in report.unread:
        yield f"batch {unread.batch_id} could not be read: {unread.error}"


def _tail(report: Report) -> Iterator[str]:
    for one in report.by_code:
        yield f"{one.code}: {advise(one.code, one.example)}"
    name = report.destination
    if report.dead_letters:
        yield f"made {count(report.dead_letters, 'dead letter')}; once the cause is mended:"
        yield f"  streamer dead-letters retry --all --destination {name}"
    elif report.to_bury and not report.dry_run:
        kept = f"{count(report.to_bury, 'lost event')} can be sent again once the cause is mended:"
        yield f"{kept} `streamer aep reconcile --destination {name} --dead-letters` keeps them from"
        yield f"being pruned, `streamer replay start {name} --event ID` sends a single one."
    if not report.complete:
        yield "there is more: run it again"
