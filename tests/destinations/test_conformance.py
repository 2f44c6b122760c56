"""What every kind of destination keeps to, tried on a real one of each."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.from_thread
import pytest

from streamer.core.outcome import NOT_ATTEMPTED, Outcome, Verdict
from streamer.destinations.base import Destination
from streamer.destinations.common_options import Privacy
from streamer.destinations.file import FileDestination
from streamer.destinations.http import HttpDestination
from streamer.destinations.options import FileOptions, HttpOptions, StdoutOptions
from streamer.destinations.stdout import StdoutDestination
from tests.destinations.aep_cases import new_destination, options_for
from tests.destinations.examples import Alarms, StandingClock, stored_event, stored_events
from tests.destinations.file_cases import files
from tests.stand_ins.aep import Adobe, aep_stand_in
from tests.support.http_destination import ScriptedServer, calling, hang, reply, scripted_server

pytestmark = pytest.mark.anyio


class Place(Protocol):
    """Where destinations of one kind deliver to, and how to look at it from the other side."""

    exactly_once: bool
    """Whether what was sent without being settled is taken back."""

    def destination(self, *, privacy: Privacy | None = None) -> Destination:
        """Make a destination that delivers here."""
        ...

    def ids(self) -> list[str]:
        """Return the ids of the events that arrived, in order."""
        ...

    def interrupt(self, call: Callable[[], object]) -> None:
        """Call a function once, in the middle of the next send."""
        ...


class GenericPlace(Place, Protocol):
    """A place that gets CloudEvents."""

    def delivered(self) -> list[dict[str, Any]]:
        """Return the CloudEvents that arrived."""
        ...

    def ids(self) -> list[str]:
        """Return the ids of the events that arrived, in order."""
        return [event["id"] for event in self.delivered()]


class Directory(GenericPlace):
    """A real directory."""

    exactly_once = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clock = InterruptingClock()

    def destination(self, *, privacy: Privacy | None = None) -> Destination:
        return FileDestination(
            "archive",
            FileOptions(directory=str(self._path), privacy=privacy or Privacy()),
            clock=self._clock,
            raise_alarm=Alarms(),
        )

    def delivered(self) -> list[dict[str, Any]]:
        lines = b"".join(file.read_bytes() for file in files(self._path))
        return [json.loads(line) for line in lines.splitlines()]

    def interrupt(self, call: Callable[[], object]) -> None:
        self._clock.call = call


class InterruptingClock(StandingClock):
    """Calls a function when the writing thread asks for the time."""

    call: Callable[[], object] | None = None

    def now(self) -> int:
        if self.call is not None:
            call, self.call = self.call, None
            anyio.from_thread.run_sync(call)
        return super().now()


class Stream(GenericPlace):
    """A stream in place of standard output."""

    exactly_once = False

    def __init__(self) -> None:
        self._stream = InterruptingStream()

    def destination(self, *, privacy: Privacy | None = None) -> Destination:
        options = StdoutOptions(privacy=privacy or Privacy())
        return StdoutDestination("out", options, stream=self._stream)

    def delivered(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def interrupt(self, call: Callable[[], object]) -> None:
        self._stream.call = call


class InterruptingStream(io.BytesIO):
    """Calls a function when it is flushed."""

    call: Callable[[], object] | None = None

    def flush(self) -> None:
        if self.call is not None:
            call, self.call = self.call, None
            anyio.from_thread.run_sync(call)
        super().flush()


class Server(GenericPlace):
    """A real HTTP server."""

    exactly_once = False

    def __init__(self, server: ScriptedServer, mode: str) -> None:
        self._server = server
        self._mode = mode

    def destination(self, *, privacy: Privacy | None = None) -> Destination:
        return HttpDestination(
            "hook",
            HttpOptions(
                url=self._server.url,
                mode="batch" if self._mode == "batch" else "single",
                privacy=privacy or Privacy(),
            ),
            clock=StandingClock(),
            key=None,
            bearer_token=None,
            raise_alarm=Alarms(),
        )

    def delivered(self) -> list[dict[str, Any]]:
        return self._server.events

    def interrupt(self, call: Callable[[], object]) -> None:
        self._server.script = [calling(call, hang), reply(200)]


class Inlet(Place):
    """An inlet of the stand-in for Adobe Experience Platform."""

    exactly_once = False

    def __init__(self, adobe: Adobe, mode: str) -> None:
        self._adobe = adobe
        self._mode = mode
        self._inlet = adobe.new_inlet(data_type=mode)

    def destination(self, *, privacy: Privacy | None = None) -> Destination:
        options = options_for(
            self._adobe, self._inlet, mode=self._mode, privacy=privacy or Privacy()
        )
        return new_destination(options, secret=self._adobe.client_secret)

    def ids(self) -> list[str]:
        key = "_id" if self._mode == "xdm" else "event_id"
        return [accepted.entity[key] for accepted in self._adobe.received]

    def interrupt(self, call: Callable[[], object]) -> None:
        def once(_: dict[str, Any]) -> bool:
            self._adobe.faults.poison = None
            call()
            return False

        self._adobe.faults.poison = once


GENERIC = ["file", "stdout", "http batch", "http single"]


@contextlib.asynccontextmanager
async def generic_place_of(kind: str, mode: str, directory: Path) -> AsyncIterator[GenericPlace]:
    if kind == "file":
        yield Directory(directory)
    elif kind == "stdout":
        yield Stream()
    else:
        async with scripted_server() as server:
            yield Server(server, mode)


@pytest.fixture(params=GENERIC)
async def generic_place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[GenericPlace]:
    kind, _, mode = str(request.param).partition(" ")
    async with generic_place_of(kind, mode, tmp_path / "archive") as place:
        yield place


@pytest.fixture(params=[*GENERIC, "aep xdm", "aep raw"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    kind, _, mode = str(request.param).partition(" ")
    if kind == "aep":
        async with aep_stand_in(clock=StandingClock()) as adobe:
            yield Inlet(adobe, mode)
    else:
        async with generic_place_of(kind, mode, tmp_path / "archive") as place:
            yield place


@contextlib.asynccontextmanager
async def opened(
    place: Place, mark: str | None = None, *, privacy: Privacy | None = None
) -> AsyncIterator[Destination]:
    destination = place.destination(privacy=privacy)
    await destination.open(mark)
    try:
        yield destination
    finally:
        await destination.aclose()


Send = Callable[[], Coroutine[None, None, list[Outcome]]]


def ids_of(*positions: int) -> list[str]:
    return [event.event_id for event in stored_events(*positions)]


@pytest.mark.parametrize("count", [1, 2, 250])
async def test_there_is_one_outcome_per_event_and_all_arrive_in_order(
    place: Place, count: int
) -> None:
    positions = range(1, count + 1)
    async with opened(place) as destination:
        outcomes = await destination.send(stored_events(*positions))
    assert [outcome.verdict for outcome in outcomes] == [Verdict.ACCEPTED] * count
    assert place.ids() == ids_of(*positions)


async def test_an_event_arrives_as_a_cloudevent_with_its_id_and_its_whole_body(
    generic_place: GenericPlace,
) -> None:
    event = stored_event(7)
    async with opened(generic_place) as destination:
        await destination.send([event])
    (arrived,) = generic_place.delivered()
    assert arrived == {
        "specversion": "1.0",
        "id": "01E00007",
        "source": "/customerio/main",
        "type": "io.customer.email.opened",
        "time": "2026-11-23T11:59:00Z",
        "subject": "c7",
        "sequence": "00000000000000000007",
        "datacontenttype": "application/json",
        "data": json.loads(event.body),
    }


async def test_privacy_reaches_the_data_and_the_subject(generic_place: GenericPlace) -> None:
    person = {"identifiers": {"email": "Jo@Example.com"}, "content": "canary"}
    privacy = Privacy(drop=["content"], hash=["identifiers.email"])
    async with opened(generic_place, privacy=privacy) as destination:
        await destination.send([stored_event(1, data=person)])
    (arrived,) = generic_place.delivered()
    digest = hashlib.sha256(b"jo@example.com").hexdigest()
    assert arrived["subject"] == digest
    assert arrived["data"]["data"] == {"identifiers": {"email": digest}}


async def test_opening_with_the_last_mark_goes_on_where_it_was_settled(place: Place) -> None:
    async with opened(place) as destination:
        await destination.send(stored_events(1, 2))
        mark = destination.mark()
    async with opened(place, mark) as destination:
        await destination.send(stored_events(3))
    assert place.ids() == ids_of(1, 2, 3)


async def test_opening_with_an_earlier_mark_takes_back_what_was_not_settled(place: Place) -> None:
    async with opened(place) as destination:
        await destination.send(stored_events(1))
        mark = destination.mark()
        await destination.send(stored_events(2, 3))
        await destination.open(mark)
        await destination.send(stored_events(2, 3))
    again = ids_of(2, 3) if not place.exactly_once else []
    assert sorted(place.ids()) == sorted(ids_of(1, 2, 3) + again)


async def cancelled_by_scope(place: Place, sending: Send) -> list[Outcome] | None:
    """Cancel as anyio does; a send that is past turning back may still return its outcomes."""
    outcomes = None
    with anyio.CancelScope() as scope:
        place.interrupt(scope.cancel)
        outcomes = await sending()
    assert scope.cancel_called
    return outcomes


async def cancelled_by_asyncio(place: Place, sending: Send) -> None:
    """Cancel as asyncio does, which interrupts even where anyio shields."""
    task = asyncio.create_task(sending())
    place.interrupt(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("cancelled", [cancelled_by_scope, cancelled_by_asyncio])
async def test_a_send_that_is_cancelled_leaves_nothing_that_spoils_the_next(
    place: Place, cancelled: Callable[[Place, Send], Awaitable[list[Outcome] | None]]
) -> None:
    async with opened(place) as destination:
        await destination.send(stored_events(1))

        async def sending() -> list[Outcome]:
            return await destination.send(stored_events(2, 3))

        with anyio.fail_after(10):
            outcomes = await cancelled(place, sending)
            if outcomes is None:
                outcomes = await sending()
    assert [outcome.verdict for outcome in outcomes] == [Verdict.ACCEPTED] * 2
    arrived = place.ids()
    if place.exactly_once:
        assert arrived == ids_of(1, 2, 3)
    else:
        assert arrived[:1] + arrived[-2:] == ids_of(1, 2, 3)
        assert set(arrived) == set(ids_of(1, 2, 3))


async def test_closing_may_be_repeated_and_looking_after_is_allowed_at_any_time(
    place: Place,
) -> None:
    destination = place.destination()
    await destination.aclose()
    await look_after(destination)
    await destination.open(None)
    await look_after(destination)
    await destination.send(stored_events(1))
    await look_after(destination)
    await destination.aclose()
    await destination.aclose()
    assert place.ids() == ids_of(1)


async def look_after(destination: Destination) -> None:
    await destination.rotate()
    await destination.tidy()


async def test_whoever_is_asked_to_hurry_still_sends_and_leaves_only_the_end_untried(
    place: Place,
) -> None:
    left = stored_events(1, 2, 3)
    async with opened(place) as destination:
        destination.hurry()
        while left:
            outcomes = await destination.send(left)
            taken = sum(outcome.verdict is Verdict.ACCEPTED for outcome in outcomes)
            assert taken > 0
            assert outcomes[taken:] == [NOT_ATTEMPTED] * (len(left) - taken)
            left = left[taken:]
    assert place.ids() == ids_of(1, 2, 3)


async def test_the_longest_send_is_stated(place: Place) -> None:
    assert 0 < place.destination().send_seconds_max <= 600


async def test_the_self_test_finds_nothing_wrong_and_sends_no_event(place: Place) -> None:
    async with opened(place) as destination:
        findings = await destination.probe()
        assert findings
        assert all(finding.ok for finding in findings), findings
        assert all(finding.what for finding in findings)
        assert place.ids() == []
        await destination.send(stored_events(1))
    assert place.ids() == ids_of(1)
