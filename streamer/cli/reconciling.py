"""What ``streamer aep reconcile`` does: reads Adobe's failed batches into the database.

Each piece of what is read is a transaction of its own, so a run that is ended
in the middle leaves what it knew, and the next one reads the rest. How far the
books are known is written down last. A batch that cannot be read does not end
the run: the next run begins with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from streamer.cli import common
from streamer.cli.aep_session import Access, access_of, choose_destination, open_session
from streamer.cli.known import require_destination
from streamer.cli.losses import DryKeeper, Keeper
from streamer.cli.reconciliation import Report, Unread, print_report
from streamer.cli.spans import read_options
from streamer.cli.wording import count
from streamer.clock import SystemClock
from streamer.config.model import Config
from streamer.core.errors import StreamerError, UsageError
from streamer.core.limits import DAY_SECONDS
from streamer.provision.aep_batches import KEPT_SECONDS, Batch, Books
from streamer.provision.aep_records import Record, Unreadable
from streamer.store import late_failures
from streamer.store.late_failures import Reconciled
from streamer.store.sqlite import Connection

OVERLAP_SECONDS = DAY_SECONDS
"""How far before the last run the next one begins: a batch fails some time after it was begun, in
the lake within the hour."""

RECORDS_AT_ONCE = 200
"""Written down in one transaction: the service's commits wait for it."""

UNREAD_IN_A_ROW_MAX = 5
"""Batches that cannot be read one after another, before the run ends: nobody waits for a thousand
refusals of the same kind."""

NEW_MAX = 100_000
"""After so many new ones, the run ends with the batch that it is in; the next one goes on."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The options as they were given."""

    destination: str | None
    since: str | None
    dead_letters: bool
    dry_run: bool


@dataclass
class Seen:
    """What a run has met so far."""

    batches: int = 0
    failed_batches: int = 0
    known_batches: int = 0
    """Of the failed ones, those that were known whole, and not read again."""
    records: int = 0
    new: int = 0
    unreadable: int = 0
    unread: list[tuple[Batch, StreamerError]] = field(default_factory=list)
    """Batches that could not be read to their end, and why."""
    silent: list[Batch] = field(default_factory=list)
    """Batches that have failures and list none of them."""
    stopped_at: Batch | None = None
    """The last batch of a run that ended before its time."""

    def until(self, now: int) -> int:
        """Return before when every batch is known, ms since 1970."""
        left = [batch.created_at for batch, _ in self.unread]
        if self.stopped_at is not None:
            left.append(self.stopped_at.created_at)
        return min(left, default=now)


def run(wanted: Wanted, *, json: bool, config: Path | None) -> None:
    """Look through the books, write down what is new, and tell of it."""
    settings = common.load_config(config).config
    name, options = choose_destination(settings, wanted.destination)
    if options.dataset_id is None:
        raise UsageError(
            f"destination {name!r} has no `dataset_id`",
            hint="Its failed batches are found by the dataset: put its id into the configuration.",
        )
    before = common.read_database(settings, lambda db: _before(db, settings, name))
    now = common.now()
    since = _begin(wanted.since, before, now)
    keeper = DryKeeper(settings, name) if wanted.dry_run else Keeper(settings, name)
    reader = _Reader(keeper)
    anyio.run(reader.run, access_of(name, options), options.dataset_id, since)
    seen = reader.seen
    if since <= _known_from(before, now):
        keeper.remember(seen.until(now), now)
    buried = keeper.bury() if wanted.dead_letters else 0
    report = Report(
        destination=name,
        dataset_id=options.dataset_id,
        since=since,
        batches=seen.batches,
        failed_batches=seen.failed_batches,
        known_batches=seen.known_batches,
        records=seen.records,
        new=seen.new,
        unreadable=seen.unreadable,
        by_code=keeper.totals(since),
        dead_letters=buried,
        to_bury=keeper.count_to_bury(),
        silent=[batch.id for batch in seen.silent],
        unread=[Unread(batch.id, str(error)) for batch, error in seen.unread],
        complete=seen.stopped_at is None,
        dry_run=wanted.dry_run,
    )
    print_report(report, json=json)
    if seen.unread:
        raise StreamerError(
            f"{count(len(seen.unread), 'batch', 'batches')} could not be read",
            hint=seen.unread[-1][1].hint or "The next run begins with them.",
        )


def _before(db: Connection, settings: Config, name: str) -> Reconciled | None:
    require_destination(db, settings, name)
    return late_failures.reconciled(db, name)


def _known_from(before: Reconciled | None, now: int) -> int:
    """Return up to when the books are known; batches from before Adobe does not keep any more."""
    oldest = now - KEPT_SECONDS * 1000
    return oldest if before is None else max(oldest, before.until)


def _begin(since: str | None, before: Reconciled | None, now: int) -> int:
    asked = read_options(since, None).since
    if asked is not None:
        return asked
    return max(now - KEPT_SECONDS * 1000, _known_from(before, now) - OVERLAP_SECONDS * 1000)


class _Reader:
    """One run through the books of one destination."""

    def __init__(self, keeper: Keeper) -> None:
        self.seen = Seen()
        self._keeper = keeper
        self._unread_in_a_row = 0

    async def run(self, access: Access, dataset_id: str, since: int) -> None:
        """Read every batch that has failures and is not known whole."""
        async with open_session(access, SystemClock()) as session:
            books = Books(session.platform)
            async with aclosing(books.batches(dataset_id, created_since=since)) as batches:
                async for batch in batches:
                    self.seen.batches += 1
                    if batch.has_failures:
                        await self._look_at(books, batch)
                    if self.seen.stopped_at is not None:
                        return

    async def _look_at(self, books: Books, batch: Batch) -> None:
        self.seen.failed_batches += 1
        if 0 < batch.failed_records <= self._keeper.count_known(batch):
            self.seen.known_batches += 1
            return
        try:
            met = await self._read(books, batch)
        except StreamerError as error:
            self.seen.unread.append((batch, error))
            self._unread_in_a_row += 1
            if self._unread_in_a_row == UNREAD_IN_A_ROW_MAX:
                self.seen.stopped_at = batch
            return
        self._unread_in_a_row = 0
        if not met:
            self.seen.silent.append(batch)
        if self.seen.new >= NEW_MAX:
            self.seen.stopped_at = batch

    async def _read(self, books: Books, batch: Batch) -> int:
        """Read the records of a batch and keep them, also those before an error; count them."""
        met = 0
        waiting: list[Record] = []
        try:
            async with aclosing(books.failures(batch)) as failures:
                async for record in failures:
                    met += 1
                    if isinstance(record, Unreadable):
                        self.seen.unreadable += 1
                        continue
                    waiting.append(record)
                    if len(waiting) == RECORDS_AT_ONCE:
                        self._keep(batch, waiting)
                        waiting = []
        finally:
            self._keep(batch, waiting)
        return met

    def _keep(self, batch: Batch, records: Sequence[Record]) -> None:
        if records:
            self.seen.records += len(records)
            self.seen.new += self._keeper.keep(batch, records)
