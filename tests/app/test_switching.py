"""The service switches a webhook on by itself, when it can be called and not before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog

from streamer.app import switching as module
from streamer.app.parts import make_writer
from streamer.app.switching import SwitchOn
from streamer.config.model import Config, CustomerioSource
from streamer.config.secrets import Secrets
from streamer.core.alarms import NOT_SWITCHED_ON
from streamer.core.intervals import SWITCH_ON_SECONDS_MAX
from streamer.destinations.common_options import Secret
from streamer.observe.board import Board
from streamer.store import switch_on
from streamer.store.connection import connect_reader
from tests.stand_ins.customerio import CustomerIo, Webhook, customerio_stand_in
from tests.stand_ins.customerio.faults import lose_answer, status
from tests.store.build import NOW, open_fresh
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio

KEY = Secret(env="APP_API_KEY")
SIGNING = Secret(env="SIGNING_KEY")


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[MutableMapping[str, Any]]]:
    """Every line that is logged."""
    with structlog.testing.capture_logs() as captured:
        monkeypatch.setattr(module, "_log", structlog.get_logger())
        yield captured


class Scene:
    """A service's database with a webhook that waits, and the workspace that it is in."""

    def __init__(self, path: Path, customerio: CustomerIo, clock: ManualClock) -> None:
        self.path = path
        self.customerio = customerio
        self.clock = clock
        self.board = Board(clock)
        self.unready: list[str] = []
        """Why calls would be refused, one look after the other."""
        options = CustomerioSource(
            signing_keys=[SIGNING], app_api_key=KEY, app_api_url=customerio.url
        )
        self.config = Config(data_dir=str(path.parent), sources={"customerio": options})
        self.secrets = Secrets({KEY: customerio.app_api_key, SIGNING: "x"})

    async def webhook(self) -> Webhook:
        """Make a webhook that is disabled, and wish for it to be switched on."""
        made = await self.customerio.create(
            name="streamer", endpoint="https://h.example.com/", events=["email_sent"], disabled=True
        )
        with_wish = open_fresh(self.path)
        switch_on.ask(with_wish, "customerio", made.id, now=NOW)
        with_wish.close()
        return made

    @asynccontextmanager
    async def switching(self) -> AsyncIterator[SwitchOn]:
        """Run the parts of the service that it needs."""
        open_fresh(self.path).close()
        writer = make_writer(self.config, self.clock)
        await writer.open()
        self.reader = await connect_reader(self.path)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(writer.run)
                yield SwitchOn(
                    reader=self.reader,
                    writer=writer,
                    board=self.board,
                    clock=self.clock,
                    settings=lambda: (self.config, self.secrets),
                    unready_reason=self._reason,
                )
                tasks.cancel_scope.cancel()
        finally:
            await self.reader.aclose()
            await writer.aclose()

    async def _reason(self) -> str | None:
        return self.unready.pop(0) if self.unready else None

    def acts(self) -> list[str]:
        db = open_fresh(self.path)
        found = [act for (act,) in db.execute("SELECT act FROM operator_acts ORDER BY id")]
        db.close()
        return found

    @property
    def alarms(self) -> list[str]:
        """What the alarms say that were raised and not cleared."""
        return [change.message for change in self.board.take() if change.times]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = ManualClock()
    async with customerio_stand_in(clock=clock) as customerio:
        yield Scene(tmp_path / "streamer.db", customerio, clock)


async def test_a_webhook_that_waits_is_switched_on_once(
    scene: Scene, lines: list[MutableMapping[str, Any]]
) -> None:
    webhook = await scene.webhook()
    async with scene.switching() as switching:
        switching.serving.set()
        await switching.run()
        assert not webhook.disabled
        calls = scene.customerio.faults.calls
        await switching.run()
        assert scene.customerio.faults.calls == calls
    assert [line["event"] for line in lines] == ["webhook.switched_on"]
    assert scene.acts() == ["ask-switch-on", "switch-on"]
    assert scene.alarms == []


async def test_nothing_is_asked_for_before_the_service_serves_and_is_ready(scene: Scene) -> None:
    webhook = await scene.webhook()
    scene.unready = ["the disk is full", "the disk is full"]
    async with scene.switching() as switching, anyio.create_task_group() as tasks:
        tasks.start_soon(switching.run)
        for _ in range(3):  # its own look at the database would be among these
            await scene.reader.run(switch_on.pending)
        assert (scene.customerio.faults.calls, len(scene.unready)) == (0, 2)
        scene.clock.slept.clear()
        switching.serving.set()
    assert not webhook.disabled
    assert len(scene.clock.slept) >= 3, "twice for the disk, once after it was done"


def test_where_nothing_waits_nothing_is_imported() -> None:
    """The App API and its HTTP client belong to those who need them."""
    script = "import sys, streamer.app.service; print('streamer.provision.app_api' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


async def test_what_cannot_be_done_is_an_alarm_until_it_is(
    scene: Scene, lines: list[MutableMapping[str, Any]]
) -> None:
    webhook = await scene.webhook()
    scene.customerio.faults.next(*[status(503)] * 8, lose_answer)
    async with scene.switching() as switching:
        switching.serving.set()
        await switching.run()
    assert not webhook.disabled
    assert scene.board.counts[(NOT_SWITCHED_ON.code, "customerio")] == 2
    assert scene.alarms == [], "it is over"
    assert [line["event"] for line in lines].count("webhook.switched_on") == 1


@pytest.mark.parametrize("wrong", ["key", "webhook", "source", "no key"])
async def test_what_an_operator_has_to_mend_is_an_alarm_and_tried_again(
    scene: Scene, wrong: str
) -> None:
    webhook = await scene.webhook()
    right = scene.config, scene.secrets
    if wrong == "key":
        scene.secrets = Secrets({KEY: "not it", SIGNING: "x"})
    elif wrong == "webhook":
        scene.customerio.workspace.webhooks.clear()
    elif wrong == "source":
        scene.config = Config(data_dir=scene.config.data_dir)
    else:
        scene.config = Config(
            data_dir=scene.config.data_dir,
            sources={"customerio": CustomerioSource(signing_keys=[SIGNING])},
        )
    async with scene.switching() as switching, anyio.create_task_group() as tasks:
        switching.serving.set()
        tasks.start_soon(switching.run)
        key = (NOT_SWITCHED_ON.code, "customerio")
        while scene.board.counts.get(key, 0) < 12:
            await anyio.lowlevel.checkpoint()
        assert max(scene.clock.slept) <= SWITCH_ON_SECONDS_MAX
        assert key in scene.board.standing
        assert scene.acts() == ["ask-switch-on"]
        assert webhook.disabled
        scene.config, scene.secrets = right
        scene.customerio.workspace.webhooks[webhook.id] = webhook
    assert not webhook.disabled
    assert key not in scene.board.standing


async def test_a_wish_that_is_taken_back_ends_it(scene: Scene) -> None:
    webhook = await scene.webhook()
    right = scene.secrets
    scene.secrets = Secrets({KEY: "not it", SIGNING: "x"})
    async with scene.switching() as switching, anyio.create_task_group() as tasks:
        switching.serving.set()
        tasks.start_soon(switching.run)
        while not scene.board.standing:
            await anyio.lowlevel.checkpoint()
        db = open_fresh(scene.path)
        switch_on.withdraw(db, "customerio", now=NOW)
        db.close()
    scene.secrets = right
    assert webhook.disabled
    assert scene.board.standing == frozenset()


async def test_an_alarm_of_an_earlier_process_ends_when_nothing_waits(scene: Scene) -> None:
    scene.board.restore([(NOT_SWITCHED_ON.code, "customerio"), ("STR-301", "archive")])
    async with scene.switching() as switching:
        switching.serving.set()
        await switching.run()
    assert scene.board.standing == {("STR-301", "archive")}


async def test_whatever_else_goes_wrong_is_tried_again_and_told(
    scene: Scene, lines: list[MutableMapping[str, Any]]
) -> None:
    """A webhook that stays disabled until somebody restarts the service loses what it is for."""
    webhook = await scene.webhook()
    right, scene.secrets = scene.secrets, Secrets({})
    async with scene.switching() as switching, anyio.create_task_group() as tasks:
        switching.serving.set()
        tasks.start_soon(switching.run)
        while len(lines) < 3:
            await anyio.lowlevel.checkpoint()
        assert webhook.disabled
        scene.secrets = right
    assert not webhook.disabled
    *failed, last = lines
    assert {line["event"] for line in failed} == {"webhook.switching_failed"}
    assert failed[0]["raised"].startswith("KeyError at ")
    assert last["event"] == "webhook.switched_on"
