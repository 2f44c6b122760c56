"""Lines on a stream, and what happens when nobody reads them."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import threading

import anyio
import anyio.from_thread
import pytest

from streamer.core.outcome import ACCEPTED, Verdict
from streamer.destinations import stdout
from streamer.destinations.common_options import Privacy
from streamer.destinations.options import StdoutOptions
from streamer.destinations.stdout import StdoutDestination
from tests.destinations.examples import stored_event, stored_events

pytestmark = pytest.mark.anyio


async def test_each_event_is_a_line_that_is_flushed_at_once() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        destination = StdoutDestination("out", StdoutOptions(), stream=writer)
        await destination.send(stored_events(1, 2))
        lines = [reader.readline(), reader.readline()]
    assert [json.loads(line)["id"] for line in lines] == ["01E00001", "01E00002"]


async def test_standard_output_is_what_is_written_to(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    destination = StdoutDestination("out", StdoutOptions())
    await destination.send(stored_events(1))
    assert json.loads(capfdbinary.readouterr().out)["id"] == "01E00001"


async def test_a_pipe_without_a_reader_holds_because_it_never_gets_one_again() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    # Unbuffered, or closing it would meet the broken pipe again.
    with os.fdopen(writing, "wb", buffering=0) as writer:
        destination = StdoutDestination("out", StdoutOptions(), stream=writer)
        outcomes = await destination.send(stored_events(1, 2))
    assert [(outcome.verdict, outcome.reason) for outcome in outcomes] == [
        (Verdict.HELD, "stdout_closed")
    ] * 2


async def test_a_stream_that_was_closed_holds_and_the_self_test_says_so() -> None:
    stream = io.BytesIO()
    destination = StdoutDestination("out", StdoutOptions(), stream=stream)
    assert [finding.ok for finding in await destination.probe()] == [True]
    stream.close()
    (outcome,) = await destination.send(stored_events(1))
    assert outcome.verdict is Verdict.HELD
    (finding,) = await destination.probe()
    assert not finding.ok
    assert finding.hint


async def test_a_full_disk_behind_the_stream_defers() -> None:
    with os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb", buffering=0) as full:
        destination = StdoutDestination("out", StdoutOptions(), stream=full)
        (outcome,) = await destination.send(stored_events(1))
    assert (outcome.verdict, outcome.reason) == (Verdict.DEFERRED, "stdout_error")
    assert outcome.detail == os.strerror(errno.ENOSPC)


async def test_lanes_do_not_write_into_each_others_lines() -> None:
    class Slow(io.BytesIO):
        """Writes in pieces, and lets other threads run in between."""

        def write(self, data: bytes) -> int:  # type: ignore[override]  # only bytes are written
            for start in range(0, len(data), 50):
                super().write(data[start : start + 50])
                os.sched_yield()
            return len(data)

    stream = Slow()
    destination = StdoutDestination("out", StdoutOptions(), stream=stream)
    async with anyio.create_task_group() as tasks:
        for first in range(1, 40, 4):
            tasks.start_soon(destination.send, stored_events(*range(first, first + 4)))
    ids = [json.loads(line)["id"] for line in stream.getvalue().splitlines()]
    assert sorted(ids) == [event.event_id for event in stored_events(*range(1, 41))]


async def test_a_write_that_was_left_behind_by_a_cancelled_send_ends_before_the_next_begins() -> (
    None
):
    """The write left behind waits a little for the next one to overtake it, which it must not."""
    overtaken = threading.Event()

    class Waiting(io.BytesIO):
        waits = True

        def write(self, data: bytes) -> int:  # type: ignore[override]  # only bytes are written
            if not self.waits:
                return super().write(data)
            self.waits = False
            anyio.from_thread.run_sync(sending.cancel)
            super().write(data[:10])
            overtaken.wait(0.2)
            return 10 + super().write(data[10:])

    stream = Waiting()
    destination = StdoutDestination("out", StdoutOptions(), stream=stream)
    sending = asyncio.create_task(destination.send(stored_events(1)))
    with pytest.raises(asyncio.CancelledError):
        await sending
    await destination.send(stored_events(2))
    overtaken.set()
    assert [json.loads(line)["id"] for line in stream.getvalue().splitlines()] == [
        "01E00001",
        "01E00002",
    ]


async def test_an_event_that_cannot_be_redacted_is_rejected_and_the_others_are_written() -> None:
    stream = io.BytesIO()
    destination = StdoutDestination(
        "out", StdoutOptions(privacy=Privacy(drop=["content"])), stream=stream
    )
    events = [stored_event(1), stored_event(2, body=b"{broken"), stored_event(3)]
    outcomes = await destination.send(events)
    assert [outcome.reason for outcome in outcomes] == ["", "unredactable", ""]
    assert len(stream.getvalue().splitlines()) == 2


async def test_a_reader_that_stands_still_keeps_nobody_from_stopping() -> None:
    """What it takes later begins with a line of its own, wherever the last one was given up."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        destination = StdoutDestination("out", StdoutOptions(), stream=writer)
        events = [stored_event(1, body=b'{"data":"%s"}' % (b"x" * 2**20)), stored_event(2)]
        with anyio.move_on_after(0.2) as scope:
            await destination.send(events)
        assert scope.cancelled_caught
        sending = asyncio.create_task(destination.send(events[1:]))
        first = await anyio.to_thread.run_sync(reader.readline)
        if not first.endswith(b"}\n"):
            assert len(first) < 2**20, "torn"
        lines = [await anyio.to_thread.run_sync(reader.readline)]
        if first.endswith(b"}\n"):  # the thread was slow, and has written the rest
            lines.append(await anyio.to_thread.run_sync(reader.readline))
        assert json.loads(lines[-1])["id"] == "01E00002"
        await sending


async def test_a_reader_that_stands_still_for_long_is_deferred_to_until_it_reads_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stdout, "STDOUT_STANDS_SECONDS", 0.3)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as writer:
        destination = StdoutDestination("out", StdoutOptions(), stream=writer)
        large = stored_event(1, body=b'{"data":"%s"}' % (b"x" * 2**20))
        async with asyncio.timeout(10):
            for _ in range(2):
                (outcome,) = await destination.send([large])
                assert (outcome.verdict, outcome.reason) == (Verdict.DEFERRED, "stdout_stands")
        assert b"\n" not in os.read(reading, 2**20), "torn"
        assert await destination.send([stored_event(2)]) == [ACCEPTED]
        end_of_torn, last = os.read(reading, 2**20).splitlines()
        assert not end_of_torn
        assert json.loads(last)["id"] == "01E00002"
