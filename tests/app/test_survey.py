"""The survey: what it finds is told once, it holds nobody up, and nothing ends the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import structlog

from streamer.app import survey as module
from streamer.app.survey import Survey
from streamer.core.catalogue.reading import DriftKind
from streamer.core.intervals import (
    SURVEY_PAUSE_SECONDS,
    SURVEY_SECONDS,
    SURVEY_TICK_SECONDS,
    UPKEEP_ALARM_SECONDS,
)
from streamer.core.limits import SURVEY_EVENTS_MAX, SURVEY_SAVE_POSITIONS
from streamer.observe.board import Board
from streamer.store import drift, sqlite
from streamer.store.connection import Database, connect_reader
from streamer.store.drift import Row
from streamer.store.writer import Writer
from tests.store.build import NOW, append, body, event, fill_outbox
from tests.store.writing import locked, running, until
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


class Enough(Exception):
    """The survey has taken as many naps as were wanted."""


class Naps(ManualClock):
    """Ends the survey when it has nothing to do for so many times."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.naps = 1

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.naps -= seconds == SURVEY_SECONDS
        if self.naps <= 0:
            raise Enough


class Labouring(Naps):
    """Some time passes between any two looks at it."""

    SECONDS = 1.0

    def monotonic(self) -> float:
        self.move(self.SECONDS)
        return super().monotonic()


class Office:
    """A survey with everything around it."""

    def __init__(self, path: Path, writer: Writer, reader: Database) -> None:
        self.path = path
        self.writer = writer
        self.reader = reader
        self.clock = Naps()
        self.board = Board(self.clock)
        self.start()

    def start(self) -> None:
        """Begin anew, as another process would."""
        self.survey = Survey(
            writer=self.writer, reader=self.reader, clock=self.clock, board=self.board
        )

    async def run(self, naps: int = 1) -> None:
        """Let it go about its work until it has napped so often."""
        self.clock.naps = naps
        with pytest.raises(Enough):
            await self.survey.run()

    def put(self, *numbers: int, **data: object) -> None:
        """Store events with such data, and let the survey hear of them."""
        with closing(sqlite.open_writer(self.path)) as db:
            append(db, *(event(n, body=body(f"event-{n}", **data)) for n in numbers))
        self.survey.hear()

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite.open_writer(self.path)) as db:
            return [tuple(row) for row in db.execute(statement)]

    def rows(self) -> dict[str, Row]:
        with closing(sqlite.open_reader(self.path)) as db:
            return {row.path: row for row in drift.list_drift(db, limit=1000)}

    def position(self) -> int:
        with closing(sqlite.open_reader(self.path)) as db:
            return drift.surveyed_position(db)

    def told(self) -> list[str]:
        return [change.message for change in self.board.take() if change.code == "STR-110"]


@asynccontextmanager
async def office_at(path: Path) -> AsyncIterator[Office]:
    async with running(path) as writer:
        reader = await connect_reader(path)
        try:
            yield Office(path, writer, reader)
        finally:
            await reader.aclose()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with office_at(tmp_path / "streamer.db") as one:
        yield one


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[MutableMapping[str, Any]]]:
    """Every line that is logged."""
    with structlog.testing.capture_logs() as captured:
        monkeypatch.setattr(module, "_log", structlog.get_logger())
        yield captured


async def test_what_is_new_is_counted_and_told_once(office: Office) -> None:
    office.put(1, 2, score=1)
    await office.run()
    assert office.rows()["data.score"].events == 2
    assert office.told() == ["a field that is new, in the event at position 2"]
    office.put(3, score=1)
    await office.run()
    assert office.rows()["data.score"].events == 3
    assert office.told() == []


async def test_a_new_process_goes_on_where_the_last_one_was(office: Office) -> None:
    office.put(1, score=1)
    await office.run()
    office.start()
    office.put(2, score=1)
    await office.run()
    assert office.rows()["data.score"].events == 2


async def test_events_of_before_the_first_start_are_looked_through(office: Office) -> None:
    with closing(sqlite.open_writer(office.path)) as db:
        fill_outbox(db, SURVEY_EVENTS_MAX * 3)
    office.put(9_999, score=1)
    await office.run()
    assert office.rows()["data.score"].position == SURVEY_EVENTS_MAX * 3 + 1


async def test_known_events_cost_no_write_until_there_are_many(office: Office) -> None:
    await office.run()
    office.put(1)
    await office.run()
    assert office.position() == 1, "the first look is written down"
    commits = office.writer.stats.transactions
    office.put(2)
    await office.run()
    assert office.writer.stats.transactions == commits
    assert office.position() == 1
    with closing(sqlite.open_writer(office.path)) as db:
        db.execute("UPDATE sqlite_sequence SET seq = ?", (SURVEY_SAVE_POSITIONS,))
    office.survey.hear()
    await office.run()
    assert office.position() == 1, "one short of many"
    with closing(sqlite.open_writer(office.path)) as db:
        db.execute("UPDATE sqlite_sequence SET seq = ?", (SURVEY_SAVE_POSITIONS + 1,))
    office.survey.hear()
    await office.run()
    assert office.position() == SURVEY_SAVE_POSITIONS + 1


async def test_after_a_while_it_is_written_down_how_far_it_is(office: Office) -> None:
    office.put(1)
    await office.run()
    office.put(2)
    await office.run(int(SURVEY_TICK_SECONDS / SURVEY_SECONDS) + 2)
    assert office.position() == 2


async def test_nothing_is_read_while_nothing_comes(
    office: Office, lines: list[MutableMapping[str, Any]]
) -> None:
    """A connection that is closed shows when it is used."""
    await office.run()
    await office.reader.aclose()
    await office.run(int(SURVEY_TICK_SECONDS / SURVEY_SECONDS) - 2)
    assert lines == []
    office.survey.hear()
    await office.run()
    assert [line["event"] for line in lines] == ["survey.failed"]


async def test_what_another_process_stored_is_found_within_a_minute(office: Office) -> None:
    await office.run()
    with closing(sqlite.open_writer(office.path)) as db:
        append(db, event(1, body=body("event-1", score=1)))
    await office.run(2)
    assert office.rows() == {}
    await office.run(int(SURVEY_TICK_SECONDS / SURVEY_SECONDS))
    assert office.rows()["data.score"].events == 1


async def test_a_full_disk_is_left_alone_and_nothing_is_missed(office: Office) -> None:
    office.survey.blocked = True
    office.put(1, score=1)
    await office.run(5)
    assert office.rows() == {}
    office.survey.blocked = False
    await office.run()
    assert office.rows()["data.score"].events == 1


async def test_a_locked_database_is_waited_for_without_counting_twice(office: Office) -> None:
    office.put(1, score=1)
    with locked(office.path):
        waiting = asyncio.create_task(office.run())
        await until(lambda: office.writer.stats.busy > 0)
    await waiting
    office.put(2, score=1)
    await office.run(int(SURVEY_TICK_SECONDS / SURVEY_SECONDS) + 2)
    assert office.rows()["data.score"].events == 2


@pytest.mark.parametrize("table", ["drift", "outbox"])
async def test_a_database_that_refuses_is_told_of_and_tried_again(
    office: Office, table: str
) -> None:
    office.put(1, score=1)
    office.ask("DROP VIEW v_drift")
    office.ask(f"ALTER TABLE {table} RENAME TO elsewhere")
    await office.run(int(2 * UPKEEP_ALARM_SECONDS / SURVEY_SECONDS) + 5)
    assert ("STR-209", "survey") in office.board.standing
    office.ask(f"ALTER TABLE elsewhere RENAME TO {table}")
    await office.run(int(SURVEY_TICK_SECONDS / SURVEY_SECONDS) + 5)
    assert office.rows()["data.score"].events == 1
    assert ("STR-209", "survey") not in office.board.standing


async def test_a_bug_in_it_ends_neither_it_nor_the_service(
    office: Office, lines: list[MutableMapping[str, Any]]
) -> None:
    """An event without a body is none that the outbox can hold, so nobody expects one."""
    office.put(1, score=1)
    columns = "lane_key, received_at, occurred_at, object_type, metric, source, event_id"
    office.ask("ALTER TABLE outbox RENAME TO elsewhere")
    office.ask(
        f"CREATE VIEW outbox AS SELECT position, {columns}, NULL AS body"  # noqa: S608 - names from above
        " FROM elsewhere"
    )
    office.ask("INSERT INTO sqlite_sequence VALUES ('outbox', 1)")
    await office.run(2)
    assert [line["event"] for line in lines] == ["survey.failed"]
    office.ask("DROP VIEW outbox")
    office.ask("ALTER TABLE elsewhere RENAME TO outbox")
    await office.run(int(SURVEY_TICK_SECONDS / SURVEY_SECONDS) + 1)
    assert office.rows()["data.score"].events == 1


async def test_a_backlog_is_looked_through_with_pauses(office: Office) -> None:
    office.put(*range(SURVEY_EVENTS_MAX * 2), subject="known")
    office.put(9_999, score=1)
    await office.run()
    assert office.clock.slept == [SURVEY_PAUSE_SECONDS] * 2 + [SURVEY_SECONDS]
    assert office.rows()["data.score"].position == SURVEY_EVENTS_MAX * 2 + 1


async def test_a_piece_that_had_to_wait_long_is_followed_by_no_longer_pause(
    office: Office,
) -> None:
    """A slow second must not become twenty in which nothing is looked at."""
    office.put(*range(SURVEY_EVENTS_MAX * 2 + 1), subject="known")
    office.clock = Labouring()
    office.start()
    office.survey.hear()
    await office.run()
    assert office.clock.slept == [SURVEY_PAUSE_SECONDS] * 2 + [SURVEY_SECONDS]


def test_the_pauses_leave_time_for_some_thousand_events_a_second() -> None:
    milliseconds = SURVEY_EVENTS_MAX * 0.025
    seconds = SURVEY_PAUSE_SECONDS + milliseconds / 1000
    assert SURVEY_EVENTS_MAX / seconds > 3_000
    assert milliseconds / 1000 / seconds < 0.1


async def test_pruning_does_not_wait_for_it(office: Office) -> None:
    office.put(*range(1, 10), score=1)
    office.ask("DELETE FROM outbox WHERE position < 9")
    await office.run()
    row = office.rows()["data.score"]
    assert (row.events, row.position) == (1, 9)


async def test_no_address_and_no_value_is_told(office: Office) -> None:
    office.put(1, **{"a@example.com": "secret-value", "kind": "secret-value"})
    await office.run()
    said = " ".join(office.told()) + " ".join(map(str, office.ask("SELECT * FROM drift")))
    assert "@" not in said
    assert "secret-value" not in said


def test_every_kind_has_its_words() -> None:
    kinds = {kind.value for kind in DriftKind}
    assert set(module._WORDS) == kinds
