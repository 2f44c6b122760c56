"""From an empty directory to events in Adobe's lake: three commands, and nothing by hand between.

Both sides are stand-ins that answer over HTTP; every command is a process of its own, started as
a person would. By hand is done only what the pages of Customer.io are for: a key is copied, *Send
Test* is pressed, and things happen to people.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from streamer.core import catalogue, samples
from tests.cli.aep_desk import adobe_beside
from tests.cli.customerio_desk import Person, Running, person_with_workspace
from tests.stand_ins.aep import Adobe
from tests.stand_ins.aep.rules import Rules
from tests.stand_ins.customerio import EVENTS, TEST_EVENT_ID
from tests.stand_ins.customerio.workspace import event_name
from tests.support.adobe import ADOBE
from tests.support.processes import eventually
from tests.support.service import run_command

SLOW_SECONDS = Rules().flow_ready_seconds + 5


class SlowClock:
    """Adobe's clock: minutes slow until it is put right.

    So a dataflow that was just made is dated five minutes back, and `aep setup` has only the
    inlet to wait for. Once the clock is right, the dataflow is as old as it is dated, and takes
    data: the stand-in goes by the same clock.
    """

    def __init__(self) -> None:
        self.slow_seconds = SLOW_SECONDS

    def now(self) -> int:
        """Wall time in milliseconds since 1970, UTC."""
        return int((time.time() - self.slow_seconds) * 1000)


@pytest.fixture
def clock() -> SlowClock:
    return SlowClock()


@pytest.fixture
def adobe(clock: SlowClock) -> Iterator[Adobe]:
    with adobe_beside(clock) as one:
        yield one


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with person_with_workspace(tmp_path) as one:
        yield one


def ask(person: Person, *arguments: str) -> Any:  # noqa: ANN401 - as the command printed
    """Run a command of the operator; it must end well."""
    done = run_command(*arguments, "--json", environment=person.environment, cwd=person.directory)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def set_customerio_up(person: Person) -> None:
    """Copy the key from the page when it is asked for, and press the button."""
    setup = person.start_at_terminal(*person.setup_arguments())
    setup.wait_for("Signing key:")
    setup.type(person.webhook.signing_key)
    setup.wait_for("Now press")
    assert person.press_send_test() is None
    code, text = setup.end()
    assert code == 0, text


def set_adobe_up(person: Person, adobe: Adobe) -> None:
    """Have the credential's secret in a file, as one has it from Adobe's console."""
    secret = person.directory.parent / "adobe-secret"
    secret.write_text(adobe.client_secret + "\n")
    secret.chmod(0o600)
    code, text = person.start(
        "aep", "setup", "--org", adobe.org_id, "--client-id", adobe.client_id,
        "--client-secret-file", str(secret),
        "--ims-url", adobe.ims_url, "--platform-url", adobe.platform_url,
    ).end()  # fmt: skip
    assert code == 0, text
    assert "it takes this up when it starts" in text


def serve(person: Person) -> Running:
    """Start the service; somebody listens now, so it switches the webhook on."""
    assert person.webhook.disabled
    service = person.serve()
    eventually(lambda: not person.webhook.disabled, "the service has switched the webhook on")
    return service


def everything_that_happens() -> list[dict[str, object]]:
    """One event of every type that a webhook can send, in all their forms by turns."""
    events = []
    for number, name in enumerate(samples.sample_names()):
        variants = catalogue.variants(*name.split(".", 1))
        variant = variants[number % len(variants)] if variants else None
        events.append(
            samples.sample_event(name, number=number, at_seconds=int(time.time()), variant=variant)
        )
    return [event for event in events if event_name(event) in EVENTS]


def wait_until_settled(person: Person, count: int) -> None:
    """Wait until every destination has taken all events, and the service has written it down."""
    behind = "SELECT count(*) FROM cursors WHERE position < (SELECT max(position) FROM outbox)"
    stored = [(count,)]
    assert person.query("SELECT count(*) FROM outbox") == stored
    eventually(lambda: person.query(behind) == [(0,)], "everything is delivered", seconds=30)


def assert_in_lake(adobe: Adobe, dataset_id: str, ids: Sequence[str]) -> None:
    """Every event once, in order, and nothing that Adobe would drop."""
    assert adobe.failed(dataset_id) == []
    assert [batch["status"] for batch in adobe.datasets.batches()] == ["success"]
    kept = adobe.lake(dataset_id)
    assert [message.id for message in kept] == ids
    assert kept == adobe.received, "nothing is elsewhere"


def assert_operator_sees_it(person: Person, event_id: str, *, count: int) -> None:
    """Ask the program for what the test has seen from outside; each command ends with 0."""
    status = ask(person, "status")
    assert {one["lag_events"] for one in status["destinations"].values()} == {0}
    assert {one["accepted"] for one in status["destinations"].values()} == {count}
    assert status["destinations"].keys() == {"archive", "lake"}
    assert status["alarms"] == []

    told = ask(person, "events", "show", event_id)["destinations"]["lake"]
    assert told["fate"] == "accepted"
    assert [bool(one["receipt"]) for one in told["acceptances"]] == [True]

    reconciled = ask(person, "aep", "reconcile")
    assert (reconciled["new"], reconciled["failed_batches"], reconciled["batches"]) == (0, 0, 1)
    assert ask(person, "aep", "status")["ours"]["lag_events"] == 0
    assert ask(person, "customerio", "show")["disabled"] is False
    if ADOBE.is_dir():  # else the stand-in knows no standard field, and `doctor` misses them all
        looks = {one["code"]: one["state"] for one in ask(person, "aep", "doctor")["findings"]}
        del looks["clock"]  # of the machine that runs the test
        assert set(looks.values()) == {"ok"}, looks


def test_three_commands_lead_from_nothing_to_events_in_the_lake(
    person: Person, adobe: Adobe, clock: SlowClock
) -> None:
    assert list(person.directory.iterdir()) == []
    set_customerio_up(person)
    set_adobe_up(person, adobe)
    clock.slow_seconds = 0
    service = serve(person)

    events = everything_that_happens()
    ids = [str(event["event_id"]) for event in events]
    assert {event["object_type"] for event in events} == set(catalogue.MESSAGES) | {"customer"}
    assert person.let_happen(events) == len(events)
    assert person.customerio.delivered == ids
    assert person.customerio.hours_earned == []
    wait_until_settled(person, 1 + len(ids))

    [dataset] = adobe.organisation.datasets
    assert_in_lake(adobe, dataset["id"], [TEST_EVENT_ID, *ids])
    assert_operator_sees_it(person, ids[-1], count=1 + len(ids))
    assert "webhook.switched_on" in person.stop(service)
