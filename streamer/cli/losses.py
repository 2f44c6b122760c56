"""Writes down what a destination lost, piece by piece, or only pretends to.

`DryKeeper` writes into a database in memory what would be new, and is the same
otherwise, so that a dry run says what the run would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar

from streamer.cli import common
from streamer.cli.wording import count
from streamer.config.model import Config
from streamer.provision.aep_batches import Batch
from streamer.provision.aep_records import Record
from streamer.store import facts, late_burial, late_failures, late_match, migrate, sqlite
from streamer.store.late_failures import Found, Total
from streamer.store.late_match import Name
from streamer.store.sqlite import Connection

T = TypeVar("T")

BURIED_AT_ONCE = 100
"""Events that become dead letters in one transaction."""


class Keeper:
    """Where the losses of one destination are written down."""

    def __init__(self, settings: Config, name: str) -> None:
        self._settings = settings
        self._name = name

    def keep(self, batch: Batch, records: Sequence[Record]) -> int:
        """Write down what is new of some records; return how much that is."""
        found = self._find(batch, records)
        return common.change_database(
            self._settings, lambda db: late_failures.add(db, self._name, found, now=common.now())
        )

    def count_known(self, batch: Batch) -> int:
        """Count what is known of a batch."""
        return self._look(lambda db: late_failures.count_in_batch(db, self._name, batch.id))

    def remember(self, until: int, now: int) -> None:
        """Write down how far the books are known."""
        common.change_database(
            self._settings,
            lambda db: late_failures.remember(db, self._name, until=until, now=now),
        )

    def bury(self) -> int:
        """Make dead letters of what was lost and is kept; return how many."""
        positions = self._look(lambda db: late_burial.positions_to_bury(db, self._name))
        made = common.change_in_pieces(
            self._settings, positions, self._bury, at_once=BURIED_AT_ONCE
        )
        return sum(made)

    def _bury(self, db: Connection, positions: Sequence[int]) -> int:
        now = common.now()
        buried = late_burial.bury(db, self._name, positions, now=now)
        if buried:
            act = f"{count(buried, 'dead letter')} of {self._name}"
            facts.record_act(db, "aep reconcile", act, now=now)
        return buried

    def count_to_bury(self) -> int:
        """Count the events of which dead letters could be made."""
        return len(self._look(lambda db: late_burial.positions_to_bury(db, self._name)))

    def totals(self, since: int) -> list[Total]:
        """Sum up what was lost since a moment."""
        return self._look(lambda db: late_failures.totals(db, self._name, lost_since=since))

    def _look(self, work: Callable[[Connection], T]) -> T:
        return common.read_database(self._settings, work)

    @cached_property
    def _odd_ids(self) -> dict[str, str]:
        return self._look(late_match.odd_ids)

    def _find(self, batch: Batch, records: Sequence[Record]) -> list[Found]:
        names = [Name(each.record_id, each.event_id, each.sequence) for each in records]
        matches = self._look(lambda db: late_match.find(db, names, odd=self._odd_ids))
        return [
            Found(
                batch_id=batch.id,
                record_id=record.record_id,
                position=None if match is None else match.position,
                source=None if match is None else match.source,
                event_id=None if match is None else match.event_id,
                code=record.code,
                message=record.message,
                lost_at=batch.closed_at,
            )
            for record, match in zip(records, matches, strict=True)
        ]


class DryKeeper(Keeper):
    """Writes into a database in memory what would be new."""

    def __init__(self, settings: Config, name: str) -> None:
        super().__init__(settings, name)
        self._aside = sqlite.open_in_memory()
        migrate.apply_all(self._aside)

    def keep(self, batch: Batch, records: Sequence[Record]) -> int:
        """Take what is new of some records; return how much that is."""
        found = self._find(batch, records)
        new = self._look(lambda db: late_failures.unknown_of(db, self._name, found))
        return late_failures.add(self._aside, self._name, new, now=common.now())

    def remember(self, until: int, now: int) -> None:
        """Forget it."""

    def bury(self) -> int:
        """Make no dead letters."""
        return 0

    def totals(self, since: int) -> list[Total]:
        """Sum up what would be new."""
        return late_failures.totals(self._aside, self._name, lost_since=since)
