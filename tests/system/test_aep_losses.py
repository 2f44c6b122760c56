"""From Customer.io to Adobe and back: what Adobe drops after accepting it is found and sent again.

Both ends are stand-ins; between them is the service as a process, and its operator's commands.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from streamer.core import samples
from tests.stand_ins.aep import Adobe, SeededInlet, aep_stand_in
from tests.stand_ins.aep.messages import Accepted
from tests.stand_ins.aep.violations import Violation
from tests.stand_ins.customerio import EVENTS, CustomerIo, customerio_stand_in
from tests.support.service import CONFIG, KEY, Service, running_service

pytestmark = pytest.mark.anyio

SECONDS_MAX = 30
EVENTS_COUNT = 20


@pytest.fixture
async def adobe() -> AsyncIterator[Adobe]:
    async with aep_stand_in() as adobe:
        yield adobe


@pytest.fixture
async def customerio() -> AsyncIterator[CustomerIo]:
    async with customerio_stand_in() as customerio:
        yield customerio


def configuration(adobe: Adobe, inlet: SeededInlet) -> str:
    values = {
        "kind": "aep", "inlet_url": inlet.url, "flow_id": inlet.flow_id,
        "ims_org_id": adobe.org_id, "sandbox": adobe.sandbox, "tenant": adobe.tenant,
        "dataset_id": inlet.dataset_id, "schema_id": inlet.schema_id,
        "schema_content_type": inlet.schema_content_type, "client_id": adobe.client_id,
        "ims_url": adobe.ims_url, "platform_url": adobe.platform_url,
        "batch_events_max": 5,
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    secret = 'client_secret = { file = "secret" }'
    return "\n".join([CONFIG, "[destinations.lake]", *lines, secret, ""])


async def ask(service: Service, *arguments: str) -> Any:  # noqa: ANN401 - as the command printed
    """Run a command of the operator, as a process, beside the stand-ins in this loop."""
    done = await anyio.to_thread.run_sync(lambda: service.run(*arguments, "--json"))
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


async def until_received(adobe: Adobe, count: int) -> None:
    with anyio.fail_after(SECONDS_MAX):
        while len(adobe.received) < count:
            await anyio.lowlevel.checkpoint()


async def until_fate(service: Service, event_id: str, fate: str) -> dict[str, Any]:
    """Wait until the service has written down what became of an event; return the story."""
    with anyio.fail_after(SECONDS_MAX):
        while True:
            told = (await ask(service, "events", "show", event_id))["destinations"]["lake"]
            if told["fate"] == fate:
                return dict(told)


def dislike(adobe: Adobe, bad: set[str]) -> None:
    """Let the validation find something wrong with these, until the set is emptied."""

    def judge(message: Accepted) -> list[Violation]:
        wrong = message.id in bad
        return [Violation("required", "#", "required key [shoeSize] not found")] if wrong else []

    adobe.datasets.judge = judge  # type: ignore[method-assign]  # the schema of this dataset


async def test_what_adobe_drops_is_found_and_sent_again(
    tmp_path: Path, adobe: Adobe, customerio: CustomerIo
) -> None:
    inlet = adobe.new_inlet()
    (tmp_path / "secret").write_text(adobe.client_secret)
    (tmp_path / "secret").chmod(0o600)
    events = [
        samples.sample_event("email.sent", number=number, at_seconds=1_750_000_000)
        for number in range(EVENTS_COUNT)
    ]
    lost = {str(event["event_id"]) for event in events[3:15:4]}
    bad = set(lost)
    dislike(adobe, bad)
    text = configuration(adobe, inlet)
    manager = running_service(tmp_path, text)
    service = await anyio.to_thread.run_sync(manager.__enter__)
    try:
        webhook = await customerio.create(
            name="streamer", endpoint=f"{service.url}/webhooks/customerio", events=list(EVENTS)
        )
        webhook.signing_key = KEY
        await customerio.happen(*events)
        await customerio.idle()
        await until_received(adobe, EVENTS_COUNT)
        example = min(lost)
        assert (await until_fate(service, example, "accepted"))["reconciled_until"] is None

        report = await ask(service, "aep", "reconcile", "--dead-letters")
        assert report["new"] == report["dead_letters"] == len(lost)
        told = await until_fate(service, example, "dead_letter")
        assert "shoeSize" in told["losses"][0]["message"]
        (accepted,) = told["acceptances"]
        assert accepted["receipt"], "the id that Adobe answered with"

        bad.clear()
        await ask(service, "dead-letters", "retry", "--all", "--destination", "lake")
        await until_received(adobe, EVENTS_COUNT + len(lost))
        told = await until_fate(service, example, "accepted")
        assert len(told["acceptances"]) == 2
        assert {message.id for message in adobe.lake(inlet.dataset_id)} == {
            str(event["event_id"]) for event in events
        }
        assert (await ask(service, "aep", "reconcile", "--dead-letters"))["dead_letters"] == 0
        assert customerio.hours_earned == []
    finally:
        await anyio.to_thread.run_sync(lambda: manager.__exit__(None, None, None))
