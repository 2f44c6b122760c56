"""Looking at webhooks and changing them, against a workspace that answers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from streamer.cli import customerio_api
from streamer.clock import SystemClock
from streamer.store import lockfile, switch_on
from tests.cli.desk import CONFIG, Answer, Desk
from tests.stand_ins import customerio as stand_in
from tests.stand_ins.customerio import CustomerIo, Webhook, customerio_stand_in, workspace
from tests.stand_ins.customerio.faults import status
from tests.store.build import NOW
from tests.support.users import without_rights

URL = "https://hooks.example.com/webhooks/customerio"


class Office:
    """A desk whose configuration names a workspace."""

    def __init__(self, desk: Desk, customerio: CustomerIo, portal: BlockingPortal) -> None:
        self.desk = desk
        self.customerio = customerio
        self._portal = portal
        key = desk.config_file.with_name("app-api-key")
        key.write_text(customerio.app_api_key)
        key.chmod(0o600)
        settings = f'app_api_key = {{ file = "app-api-key" }}\napp_api_url = "{customerio.url}"\n'
        desk.config_file.write_text(
            CONFIG.replace('kind = "customerio"\n', f'kind = "customerio"\n{settings}')
        )

    def make(self, **changed: Any) -> Webhook:  # noqa: ANN401 - as the product takes them
        """Make a webhook in the product."""
        fields = {"name": "ours", "endpoint": URL, "events": ["email_sent"], "disabled": True}

        async def create() -> Webhook:
            return await self.customerio.create(**{**fields, **changed})

        return self._portal.call(create)

    def run(self, *arguments: str) -> Answer:
        return self.desk.run("customerio", *arguments)

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever was printed
        return self.desk.ask("customerio", *arguments)

    def pending(self) -> dict[str, int]:
        with self.desk.database() as db:
            return switch_on.pending(db)

    @contextmanager
    def service(self) -> Iterator[None]:
        """Hold the lock as a running service does."""
        with lockfile.hold(self.desk.data_dir):
            yield


@pytest.fixture
def office(desk: Desk) -> Iterator[Office]:
    with start_blocking_portal() as portal:
        stand_in_context = customerio_stand_in(clock=SystemClock())
        with portal.wrap_async_context_manager(stand_in_context) as customerio:
            yield Office(desk, customerio, portal)


@pytest.fixture
def other_region() -> Iterator[CustomerIo]:
    with start_blocking_portal() as portal:
        stand_in_context = customerio_stand_in(clock=SystemClock(), region="eu")
        with portal.wrap_async_context_manager(stand_in_context) as customerio:
            yield customerio


def test_webhooks_are_listed_for_people_and_programs(office: Office) -> None:
    assert "There is no reporting webhook" in office.run("list").out
    assert office.ask("list") == []
    office.make()
    office.make(name="script", endpoint="https://x.example.com/", kind="js", disabled=False)
    listed = office.run("list").out.splitlines()
    assert listed[0].split() == ["ID", "NAME", "STATE", "EVENTS", "URL"]
    assert listed[1].split() == ["1", "ours", "disabled", "1", URL]
    assert [one["endpoint"] for one in office.ask("list")] == [URL, "https://x.example.com/"]


def test_one_is_shown_with_what_it_does_not_send(office: Office) -> None:
    office.make()
    shown = office.run("show").out
    assert "Events         email_sent\n" in shown
    assert "Not sent       customer_subscribed" in shown
    assert "Opens, clicks  the first only" in shown
    assert office.ask("show", "ours")["id"] == 1
    assert office.ask("show", URL)["id"] == 1
    assert office.run("show", "theirs").code == 2


def test_without_a_name_it_is_the_one_of_the_source(office: Office) -> None:
    assert "no webhook calls /webhooks/customerio" in office.run("show").err
    office.make(endpoint="https://other.example.com/elsewhere")
    office.make()
    assert office.ask("show")["id"] == 2
    office.make()
    assert "2 webhooks call /webhooks/customerio" in office.run("show").err


def test_enabling_waits_for_a_service_where_none_runs(office: Office) -> None:
    webhook = office.make()
    assert "`streamer serve` switches it on when it is up" in office.run("enable").out
    assert webhook.document()["disabled"]
    assert office.pending() == {"customerio": 1}
    state = "State          disabled; `streamer serve` switches it on when it is up\n"
    assert state in office.run("show").out
    office.run("enable", "--now")
    assert "State          enabled\n" in office.run("show").out
    assert not webhook.disabled
    assert office.pending() == {}


def test_enabling_beside_a_service_is_done_at_once_and_written_down(office: Office) -> None:
    webhook = office.make(full_resolution=True, with_content=True)
    with office.service():
        assert "is enabled" in office.run("enable").out
        assert "was enabled already" in office.run("enable").out
    assert not webhook.disabled
    assert (webhook.full_resolution, webhook.with_content) == (True, True)
    assert office.desk.acts()[0] == ("switch-on", "webhook 1 of source customerio")


def test_disabling_forgets_the_wish(office: Office) -> None:
    webhook = office.make()
    office.run("enable")
    assert office.ask("disable")["disabled"] is True
    assert webhook.disabled
    assert office.pending() == {}
    assert [act for act, _ in office.desk.acts()] == ["ask-switch-on", "switch-off"]


def test_an_update_shows_what_differs_and_changes_that_alone(office: Office) -> None:
    webhook = office.make(with_content=True)
    before = webhook.document()
    arguments = ["update", "--event", "sms_*", "--event", "email_sent", "--full-resolution"]
    dry = office.run(*arguments, "--dry-run").out
    assert "would change" in dry
    assert "+sms_drafted" in dry
    assert "full_resolution: no -> yes" in dry
    assert webhook.document() == before
    assert "has changed" in office.run(*arguments).out
    assert len(webhook.events) == 12
    assert webhook.document() == {
        **before, "full_resolution": True, "events": webhook.events
    }  # fmt: skip
    assert "is so already" in office.run(*arguments).out
    again = office.ask("update", "--name", "other", "--dry-run")
    assert again["differences"] == [{"field": "name", "present": "ours", "wanted": "other"}]


def test_events_that_the_region_does_not_know_are_said_to_be_left_out(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = office.make()
    known = tuple(event for event in stand_in.EVENTS if event != "sms_replied")
    monkeypatch.setattr(workspace, "EVENTS", known)
    answer = office.run("update", "--event", "all")
    assert "left out: sms_replied" in answer.err
    assert set(webhook.events) == set(known)


def test_deleting_wants_a_confirmation_and_forgets_the_wish(office: Office) -> None:
    office.make()
    office.run("enable")
    assert "wants a confirmation" in office.run("delete", "1").err
    assert office.customerio.webhooks
    assert "is deleted" in office.run("delete", "1", "--yes").out
    assert office.customerio.webhooks == []
    assert office.pending() == {}


def test_the_wish_about_another_webhook_stays(office: Office) -> None:
    office.make()
    other = office.make(name="other", endpoint="https://other.example.com/")
    with office.desk.database() as db:
        switch_on.ask(db, "customerio", 1, now=NOW)
    office.run("delete", str(other.id), "--yes")
    assert office.pending() == {"customerio": 1}


def test_addresses_are_listed(office: Office) -> None:
    assert office.run("addresses").out.split() == office.customerio.api.ip_addresses
    assert office.ask("addresses") == office.customerio.api.ip_addresses


def test_a_key_that_is_given_wins_over_the_configured(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = office.desk.config_file.with_name("other")
    other.write_text("wrong")
    assert "refuses the App API key" in office.run("list", "--app-api-key-file", str(other)).err
    monkeypatch.setenv("STREAMER_CUSTOMERIO_APP_API_KEY", "neither")
    assert "refuses the App API key" in office.run("list").err
    other.write_text("two words")
    assert "is no key" in office.run("list", "--app-api-key-file", str(other)).err


def test_a_key_of_the_other_region_is_told_with_what_to_say(
    office: Office, other_region: CustomerIo, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions = {"us": office.customerio.url, "eu": other_region.url}
    monkeypatch.setattr(customerio_api, "REGIONS", regions)
    monkeypatch.setenv("STREAMER_CUSTOMERIO_APP_API_KEY", other_region.app_api_key)
    answer = office.run("list")
    assert answer.code == 1
    assert "the App API key is of the region eu, not us" in answer.err
    assert "Say --region eu" in answer.err
    assert office.ask("list", "--region", "eu") == []


def test_without_a_key_it_says_where_one_would_be_looked_for(desk: Desk) -> None:
    answer = desk.run("customerio", "list")
    assert answer.code == 2
    for word in ("app_api_key", "--app-api-key-file", "STREAMER_CUSTOMERIO_APP_API_KEY"):
        assert word in answer.err


def test_an_outage_there_is_an_error_that_says_so(office: Office) -> None:
    office.customerio.faults.always(status(429, Retry_After="3600"))
    answer = office.run("list")
    assert (answer.code, "come back in 3600 s" in answer.err) == (1, True)


def looked_at(office: Office) -> dict[str, str]:
    """Return the states of what the doctor finds about the webhook, by code."""
    answer = office.desk.run("doctor", "--json")
    return {
        finding["code"]: finding["state"]
        for finding in answer.json["findings"]
        if finding["code"].startswith("webhook")
    }


def test_the_doctor_looks_at_the_other_end(office: Office) -> None:
    assert looked_at(office) == {"webhook.there": "warning"}
    webhook = office.make(disabled=False)
    well = {"webhook.there": "ok", "webhook.enabled": "ok", "webhook.events": "ok"}
    assert looked_at(office) == well
    webhook.disabled = True
    assert looked_at(office) == {**well, "webhook.enabled": "warning"}
    office.run("enable")
    assert "it waits for the service" in office.desk.run("doctor").out
    office.make()
    assert looked_at(office) == {"webhook.there": "warning"}
    office.customerio.faults.always(status(404))
    assert looked_at(office) == {"webhook": "warning"}


def test_the_doctor_asks_nobody_without_a_key(office: Office) -> None:
    office.desk.config_file.write_text(CONFIG)
    assert looked_at(office) == {}
    assert office.customerio.faults.calls == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else for a while")
def test_a_user_who_may_not_look_is_told_before_anything_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with tempfile.TemporaryDirectory() as place:  # not below pytest's, which is closed to others
        Path(place).chmod(0o755)
        desk = Desk(Path(place), capsys)
        desk.config_file.chmod(0o644)
        with without_rights():
            answer = desk.run("customerio", "setup", "--url", "https://hooks.example.com")
    assert answer.code == 2
    assert "may not look into" in answer.err
    assert "sudo -u streamer" in answer.err
