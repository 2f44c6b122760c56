"""Waiting for a test event by the counters alone: repeats count, wrong signatures are told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from streamer.cli.customerio_wait import POLL_SECONDS, Missing, Seen, look, wait_for_test
from streamer.core.samples import TEST_EVENT_ID
from tests.store.build import append, event, open_fresh
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


class Waiting:
    """A wait whose looks are given beforehand."""

    def __init__(self, *looks: Seen) -> None:
        self.clock = ManualClock()
        self.told: list[str] = []
        self._looks = list(looks)

    async def look_again(self) -> Seen:
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]

    def tell(self, lines: Sequence[str]) -> None:
        self.told += lines

    async def result(self, before: Seen, seconds: float = 60.0) -> Seen:
        return await wait_for_test(
            before, self.look_again, clock=self.clock, timeout_seconds=seconds, tell=self.tell
        )


@pytest.mark.parametrize("after", [Seen(received=8, duplicates=2), Seen(received=7, duplicates=3)])
async def test_a_new_event_and_a_repeat_both_count(after: Seen) -> None:
    before = Seen(received=7, duplicates=2)
    waiting = Waiting(before, before, after)
    assert await waiting.result(before) == after
    assert waiting.clock.slept == [POLL_SECONDS] * 2
    assert waiting.told == []


async def test_what_was_there_before_is_no_test() -> None:
    before = Seen(received=7, duplicates=2)
    waiting = Waiting(before)
    with pytest.raises(Missing, match="no test event came within 10 minutes"):
        await waiting.result(before, 600.0)
    assert sum(waiting.clock.slept) == 600.0


async def test_each_wrong_signature_is_told_once_and_waited_on() -> None:
    before = Seen(bad_signatures=4)
    wrong, again = Seen(bad_signatures=5), Seen(bad_signatures=6)
    waiting = Waiting(wrong, wrong, again, Seen(bad_signatures=6, received=1))
    assert (await waiting.result(before)).received == 1
    assert len(waiting.told) == 2
    assert "signature is WRONG" in waiting.told[0]


async def test_after_wrong_signatures_alone_the_key_is_what_to_look_at() -> None:
    waiting = Waiting(Seen(bad_signatures=1))
    with pytest.raises(Missing, match="no call with a right signature") as caught:
        await waiting.result(Seen())
    assert "--signing-key-file" in caught.value.hint
    assert "firewall" not in caught.value.hint


async def test_a_signed_call_that_is_no_event_is_told() -> None:
    waiting = Waiting(Seen(quarantined=1), Seen(quarantined=1, received=1))
    await waiting.result(Seen())
    [told] = waiting.told
    assert "streamer quarantine list" in told


def test_the_counters_move_for_a_test_event_that_is_stored_already(tmp_path: Path) -> None:
    db = open_fresh(tmp_path / "streamer.db")
    assert look(db, "customerio") == Seen()
    pressed = event(1, event_id=TEST_EVENT_ID)
    append(db, pressed, pressed)
    assert look(db, "customerio") == Seen(received=1, duplicates=1)
    db.close()
