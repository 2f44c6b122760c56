"""Why the service ends: the first reason counts, and a failure says nothing that it quotes."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

import anyio
import pytest
import structlog

from streamer.app import ending as module
from streamer.app.ending import WHAT_NEXT, Ending
from streamer.core.errors import StoreDamaged
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

SECRET = "somebody@example.com"

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """Every line that is logged."""
    with structlog.testing.capture_logs() as captured:
        monkeypatch.setattr(module, "_log", structlog.get_logger())
        yield captured


async def fail() -> None:
    raise KeyError(SECRET)


async def test_work_that_ends_by_itself_asks_for_nothing(lines: Lines) -> None:
    ending = Ending(ManualClock())

    async def work() -> None:
        await anyio.lowlevel.checkpoint()

    await ending.guard("a part", work)
    assert not ending.is_asked
    assert not lines


async def test_a_failure_asks_for_a_stop_and_says_what_and_where_but_not_the_text(
    lines: Lines,
) -> None:
    ending = Ending(ManualClock())
    await ending.guard("a part", fail)
    assert (ending.is_asked, ending.failed, ending.reason) == (True, True, "a part failed")
    [line] = lines
    assert (line["event"], line["log_level"], line["part"]) == (
        "service.failed",
        "critical",
        "a part",
    )
    assert line["exception"] == "KeyError"
    assert "test_ending.py:" in line["raised"]
    assert line["hint"] == WHAT_NEXT
    assert SECRET not in str(lines)


async def test_an_error_of_ours_is_told_with_its_text_and_its_hint(lines: Lines) -> None:
    async def break_down() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(break_down_inside)

    async def break_down_inside() -> None:
        raise StoreDamaged("the disk is failing", hint="Look at the kernel log.")

    await Ending(ManualClock()).guard("the writer", break_down)
    [line] = lines
    assert (line["exception"], line["error"]) == ("StoreDamaged", "the disk is failing")
    assert line["hint"] == "Look at the kernel log."


async def test_what_fails_in_the_wake_of_it_is_told_less_loudly(lines: Lines) -> None:
    clock = ManualClock()
    ending = Ending(clock)
    await ending.guard("one", fail)
    clock.move(5)
    await ending.guard("another", fail)
    assert [line["log_level"] for line in lines] == ["critical", "error"]
    assert ending.reason == "one failed"
    assert clock.monotonic() - ending.asked_at == 5


async def test_a_failure_while_stopping_keeps_the_reason_and_still_counts(lines: Lines) -> None:
    ending = Ending(ManualClock())
    ending.ask("SIGTERM")
    ending.ask("SIGINT")
    await ending.guard("a part", fail)
    assert (ending.reason, ending.failed) == ("SIGTERM", True)
    assert [line["log_level"] for line in lines] == ["critical"]


async def test_who_is_cancelled_has_not_failed(lines: Lines) -> None:
    ending = Ending(ManualClock())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ending.guard, "a part", anyio.sleep_forever)
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert not ending.is_asked
    assert not lines
