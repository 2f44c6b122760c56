"""Beside the stand-in for Adobe: what it accepts and drops is found, told and buried once."""

from __future__ import annotations

import json
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.cli.desk import Answer, Desk
from tests.stand_ins.aep import Adobe, aep_stand_in
from tests.stand_ins.aep_sender import Sender, sending
from tests.store.build import accept, append, event, only_cursor, read_all

pytestmark = pytest.mark.anyio


def configure(desk: Desk, adobe: Adobe, sender: Sender) -> None:
    """Add a destination for the sender's inlet, and let it accept six events."""
    inlet = sender.inlet
    values = {
        "kind": "aep", "inlet_url": inlet.url, "flow_id": inlet.flow_id,
        "ims_org_id": adobe.org_id, "sandbox": adobe.sandbox, "tenant": adobe.tenant,
        "dataset_id": inlet.dataset_id, "schema_id": inlet.schema_id,
        "client_id": adobe.client_id, "ims_url": adobe.ims_url,
        "platform_url": adobe.platform_url,
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    with desk.config_file.open("a", encoding="utf-8") as file:
        file.write("\n".join(["", "[destinations.lake]", *lines, ""]))
        file.write('client_secret = { env = "AEP_SECRET" }\n')
    desk.make_database()
    with desk.database() as db:
        append(db, *(event(number) for number in range(1, 7)))
        accept(db, only_cursor(db, "lake"), read_all(db), receipts={1: "xaction-1"})


async def run(desk: Desk, *arguments: str) -> Answer:
    """Run a command beside the stand-in, which lives in this loop."""
    return await anyio.to_thread.run_sync(lambda: desk.run(*arguments))


async def ask(desk: Desk, *arguments: str) -> Any:  # noqa: ANN401 - whatever the command printed
    return await anyio.to_thread.run_sync(lambda: desk.ask(*arguments))


async def test_an_event_is_accepted_and_dropped_and_found_and_buried_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aep_stand_in() as adobe, sending(adobe) as sender:
        monkeypatch.setenv("AEP_SECRET", adobe.client_secret)
        configure(desk, adobe, sender)
        good = [sender.message(f"event-{number}") for number in (1, 3, 5)]
        bad = [sender.message(f"event-{number}", timestamp="soon") for number in (2, 4)]
        null = sender.message("event-6", eventType=None)
        answer = await sender.post_batch(*good, *bad, null)
        assert all("status" not in one for one in answer.json["responses"]), "all are accepted"

        report = await ask(desk, "aep", "reconcile", "--dead-letters")
        assert report["dead_letters"] == report["new"] == 3
        codes = {one["code"]: (one["events"], one["example_event"]) for one in report["by_code"]}
        assert codes == {"DCVS-1105-400": (2, "event-2"), "DCVS-1101-400": (1, "event-6")}
        told = (await ask(desk, "events", "show", "event-2"))["destinations"]["lake"]
        assert told["fate"] == "dead_letter"
        assert "is not a valid date-time" in told["losses"][0]["message"]
        assert [one["receipt"] for one in told["acceptances"]] == ["xaction-1"]

        again = await ask(desk, "aep", "reconcile", "--dead-letters")
        assert (again["known_batches"], again["new"], again["dead_letters"]) == (1, 0, 0)
        assert (await run(desk, "dead-letters", "list")).out.count("DCVS-1105-400") == 2


async def test_every_way_of_failing_at_the_inlet_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aep_stand_in() as adobe, sending(adobe) as sender:
        monkeypatch.setenv("AEP_SECRET", adobe.client_secret)
        configure(desk, adobe, sender)
        nameless = sender.message("event-1")
        del nameless["header"]["source"]
        without_id = sender.message("event-2", timestamp="soon")
        del without_id["body"]["xdmEntity"]["_id"]
        own = {"customerio": {"eventID": "event-3", "sequence": 3}}
        hashed = sender.message("0" * 64, timestamp="soon", _acme=own)
        stranger = sender.message("of-another-program", timestamp="soon")
        await sender.post_batch(nameless, without_id, hashed, stranger)
        report = await ask(desk, "aep", "reconcile")
        assert (report["records"], report["unreadable"]) == (3, 1)
        found = desk.query("SELECT record_id, position, code, message FROM late_failures")
        assert [(row[0], row[1]) for row in found] == [
            ("event-1", 1),
            ("0" * 64, 3),
            ("of-another-program", None),
        ]
        assert found[0][2:] == ("unknown", "Payload header is missing Source Name")


async def test_more_failures_than_a_page_of_batches(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aep_stand_in(failed_batch_seconds=-1.0) as adobe, sending(adobe) as sender:
        monkeypatch.setenv("AEP_SECRET", adobe.client_secret)
        configure(desk, adobe, sender)
        bad = [sender.message(f"x-{number}", timestamp="soon") for number in range(130)]
        await sender.post_batch(*bad)
        report = await ask(desk, "aep", "reconcile")
        assert (report["failed_batches"], report["new"]) == (130, 130)
