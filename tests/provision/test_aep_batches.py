"""The books are read page by page, and a batch's records from wherever Adobe has them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from streamer.destinations.ims import Ims
from streamer.destinations.transport import Transport
from streamer.provision.aep_batches import Batch, Books
from streamer.provision.aep_platform import Platform
from streamer.provision.aep_problem import PlatformError
from streamer.provision.aep_records import Record, Unreadable
from tests.support.failed_batches import DATASET, FailedBatches, failed_batches
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[FailedBatches]:
    with failed_batches() as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def books(server: FailedBatches, clock: ManualClock) -> AsyncIterator[Books]:
    transport = Transport(connect_seconds_max=5, total_seconds_max=5, connections_max=2)
    ims = Ims(
        transport, url=server.url, client_id="c", client_secret="s", scopes="openid", clock=clock
    )
    platform = Platform(
        transport, ims, url=server.url, org_id="o@AdobeOrg", client_id="c", sandbox="prod",
        clock=clock,
    )  # fmt: skip
    yield Books(platform)
    await transport.aclose()


def failed(number: int) -> dict[str, object]:
    return {"body": {"xdmEntity": {"_id": f"event-{number}"}}, "_errors": [{"code": "c"}]}


async def listed(books: Books, since: int = 0) -> list[Batch]:
    return [batch async for batch in books.batches(DATASET, created_since=since)]


async def ids(books: Books, batch: Batch) -> list[str]:
    found = [record async for record in books.failures(batch)]
    return [one.record_id if isinstance(one, Record) else "unreadable" for one in found]


async def test_batches_are_listed_over_pages_in_order_from_a_moment_on(
    server: FailedBatches, books: Books
) -> None:
    for number in range(250):
        server.add(f"b{number}", created=1000 + number)
    server.add("elsewhere", created=1100, dataset="another")
    found = await listed(books, since=1007)
    assert [batch.id for batch in found] == [f"b{number}" for number in range(7, 250)]
    assert len(server.requests) == 3


async def test_a_list_without_end_is_an_error_and_not_taken_for_the_whole(
    server: FailedBatches, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.provision.aep_batches.ADOBE_BATCH_PAGES_MAX", 2)
    for number in range(199):
        server.add(f"b{number}", created=1000 + number)
    assert len(await listed(books)) == 199
    server.add("one more", created=2000)
    with pytest.raises(PlatformError, match="more than 200 batches"):
        await listed(books)


async def test_a_batch_says_what_it_is_in_whatever_words(
    server: FailedBatches, books: Books
) -> None:
    server.add("a", created=1, status="FAILURE", metrics={}, errors=[{"code": "E", "x": 1}, 7])
    server.add("b", created=2, status="success", metrics={"failedRecordCount": 3})
    server.add("c", created=3, status="success", metrics={"recordsFailed": 4})
    server.add("d", created=4, status="success", metrics={"failedRecordCount": 0})
    server.add("e", created=5, status="active", metrics=None, completed=None, updated=9)
    server.add("f", created=6, completed="soon", metrics={"failedRecordCount": "many"})
    found = {batch.id: batch for batch in await listed(books)}
    assert [batch.has_failures for batch in found.values()] == [
        True, True, True, False, False, True,
    ]  # fmt: skip
    assert (found["a"].failed_records, found["a"].errors) == (0, ("E",))
    assert (found["b"].failed_records, found["c"].failed_records) == (3, 4)
    assert (found["a"].closed_at, found["e"].closed_at, found["f"].closed_at) == (1001, 9, 6)


async def test_records_come_from_all_files_over_pages_of_files(
    server: FailedBatches, books: Books
) -> None:
    for number in range(150):
        server.add("a", failed(number), created=1)
    files = server.files["a", "failed"]
    files[:] = [
        (f"{number:03d} +&?#.json", content) for number, (_, content) in enumerate(files[1:])
    ]
    (batch,) = await listed(books)
    assert await ids(books, batch) == [f"event-{number}" for number in range(150)]


async def test_records_are_looked_for_among_row_errors_where_there_are_no_others(
    server: FailedBatches, books: Books
) -> None:
    server.add("a", failed(1), created=1, place="row_errors")
    server.add("b", failed(2), created=2)
    server.add("b", failed(3), created=2, place="row_errors")
    server.add("c", created=3)
    a, b, c = await listed(books)
    assert await ids(books, a) == ["event-1"]
    assert await ids(books, b) == ["event-2"], "one place is enough"
    assert await ids(books, c) == []


async def test_what_was_read_before_a_file_broke_off_is_told_with_the_error(
    server: FailedBatches, books: Books
) -> None:
    server.add("a", *(failed(number) for number in range(100)), created=1)
    server.cut["a"] = 1000
    (batch,) = await listed(books)
    found = []
    with pytest.raises(PlatformError) as raised:
        async for record in books.failures(batch):
            found.append(record)
    assert 5 < len(found) < 20
    assert "broke before the answer was complete" in str(raised.value)


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_file_that_is_refused_is_an_error_with_the_status(
    server: FailedBatches, books: Books, status: int
) -> None:
    server.add("a", failed(1), created=1)
    (batch,) = await listed(books)
    server.refusals["failed?path="] = status
    with pytest.raises(PlatformError) as raised:
        await ids(books, batch)
    assert raised.value.status == status


async def test_a_token_that_was_refused_is_renewed_once(
    server: FailedBatches, books: Books
) -> None:
    server.add("a", failed(1), created=1)
    (batch,) = await listed(books)
    server.expires_before = "failed?path="
    assert await ids(books, batch) == ["event-1"]
    assert sum("failed?path=" in one for one in server.requests) == 2


async def test_a_bad_line_among_good_ones_is_counted(server: FailedBatches, books: Books) -> None:
    server.add("a", failed(1), b"garbage", failed(2), created=1)
    (batch,) = await listed(books)
    found = [record async for record in books.failures(batch)]
    assert [isinstance(one, Unreadable) for one in found] == [False, True, False]
