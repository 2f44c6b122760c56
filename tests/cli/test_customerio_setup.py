"""Setting a webhook up from an empty directory, with real processes on both sides."""

from __future__ import annotations

import signal
import socket
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.customerio_desk import Person, person_with_workspace
from tests.stand_ins import customerio as stand_in
from tests.stand_ins.customerio.faults import lose_answer, status
from tests.support.processes import eventually


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with person_with_workspace(tmp_path) as one:
        yield one


def test_from_an_empty_directory_to_a_webhook_that_the_service_switches_on(person: Person) -> None:
    signing_key = person.make_webhook()
    assert person.webhook.disabled
    assert person.webhook.endpoint == f"{person.url}/webhooks/customerio"
    assert set(person.webhook.events) == set(stand_in.EVENTS)
    setup = person.setup(*signing_key)
    setup.wait_for("Now press")
    assert person.press_send_test() is None
    code, text = setup.end()
    assert code == 0, text
    assert "The test event has arrived and its signature is right (new, and stored)" in text
    assert "stays disabled until somebody listens" in text
    assert person.webhook.disabled
    assert person.customerio.hours_earned == []
    assert person.query("SELECT count(*) FROM outbox") == [(1,)]

    service = person.serve()
    eventually(lambda: not person.webhook.disabled, "the service has switched it on")
    eventually(
        lambda: (
            person.query("SELECT act FROM operator_acts ORDER BY id")
            == [("ask-switch-on",), ("switch-on",)]
        ),
        "it is in the book",
    )
    assert "webhook.switched_on" in person.stop(service)


def test_at_a_terminal_keys_are_asked_for_and_never_shown(person: Person) -> None:
    arguments = ["customerio", "setup", "--url", person.url]
    setup = person.start_at_terminal(*arguments, "--app-api-url", person.customerio.url, "--twice")
    setup.wait_for("App API key .*:")
    setup.type(person.customerio.app_api_key)
    setup.wait_for("Signing key:")
    setup.type(person.webhook.signing_key)
    setup.wait_for("Now press")
    assert person.press_send_test() is None
    setup.wait_for("once more")
    assert person.press_send_test() is None
    code, text = setup.end()
    assert code == 0, text
    assert "(a repeat, as every test after the first)" in text
    assert person.customerio.app_api_key not in text
    assert person.webhook.signing_key not in text
    files = [person.data_dir / "signing-key", person.data_dir / "customerio-app-api-key"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    source = tomllib.loads(person.config_file.read_text())["sources"]["customerio"]
    assert source["app_api_key"] == {"file": str(files[1])}
    assert source["app_api_url"] == person.customerio.url


def test_beside_a_running_service_it_is_enabled_at_once(person: Person) -> None:
    signing_key = person.make_webhook()
    person.data_dir.mkdir(mode=0o700)
    (person.data_dir / "signing-key").write_text("of another webhook")
    (person.data_dir / "signing-key").chmod(0o600)
    service = person.serve()
    setup = person.setup(*signing_key)
    setup.wait_for("Now press")
    assert person.press_send_test() == "status 503", "the service has the old key still"
    setup.wait_for("its signature is WRONG")
    service.process.send_signal(signal.SIGHUP)
    service.wait_for("reload.done")
    assert person.press_send_test() is None
    code, text = setup.end()
    assert code == 0, text
    assert "The signing key is new: let the service read it" in text
    assert not person.webhook.disabled
    assert person.query("SELECT act FROM operator_acts") == [("switch-on",)]
    person.stop(service)


def test_a_second_run_changes_nothing(person: Person) -> None:
    signing_key = person.make_webhook()
    setup = person.setup(*signing_key)
    setup.wait_for("Now press")
    person.press_send_test()
    assert setup.end()[0] == 0
    before = person.config_file.read_bytes(), person.webhook.document()
    code, text = person.setup().end()
    assert code == 0, text
    assert "All is proved" in text
    service = person.serve()
    eventually(lambda: not person.webhook.disabled, "switched on")
    code, text = person.setup().end()
    assert code == 0, text
    assert "is enabled already" in text
    assert (person.config_file.read_bytes(), {**person.webhook.document(), "disabled": True}) == (
        before
    )
    person.stop(service)


def test_killed_while_it_waits_it_goes_on_where_it_was(person: Person) -> None:
    signing_key = person.make_webhook()
    setup = person.setup(*signing_key)
    setup.wait_for("Now press")
    setup.process.kill()
    setup.end()
    again = person.setup()
    again.wait_for("Now press")
    assert person.press_send_test() is None
    code, text = again.end()
    assert code == 0, text
    assert "Webhook 1 is there already." in text


def test_an_answer_that_is_lost_makes_no_second_webhook(person: Person) -> None:
    person.customerio.faults.at(2, lose_answer)
    person.make_webhook()
    assert len(person.customerio.webhooks) == 1


def test_interrupted_it_ends_as_an_interrupt_does(person: Person) -> None:
    setup = person.setup(*person.make_webhook())
    setup.wait_for("Now press")
    setup.process.send_signal(signal.SIGINT)
    code, text = setup.end()
    assert code == 130, text
    assert person.webhook.disabled


def test_a_test_that_never_comes_ends_with_advice(person: Person) -> None:
    setup = person.setup(*person.make_webhook(), "--timeout-seconds", "0.2")
    code, text = setup.end()
    assert code == 1
    assert "no test event came within time" in text
    for word in ("name resolve", "proxy", "firewall", "streamer customerio addresses"):
        assert word in text
    assert person.webhook.disabled


def test_a_wrong_signing_key_is_said_to_be_wrong_at_once(person: Person) -> None:
    person.make_webhook()
    person.signing_key_file.write_text("not-the-key")
    option = ["--signing-key-file", str(person.signing_key_file)]
    setup = person.setup(*option, "--timeout-seconds", "20")
    setup.wait_for("Now press")
    assert person.press_send_test() == "status 503"
    setup.wait_for("its signature is WRONG")
    assert person.webhook.disabled
    assert person.customerio.hours_earned == []


def test_a_wrong_app_api_key_is_kept_nowhere(person: Person) -> None:
    person.key_file.write_text("sk-wrong")
    code, text = person.setup().end()
    assert code == 1
    assert "refuses the App API key" in text
    assert "sk-wrong" not in text
    assert "app-api-key" not in person.config_file.read_text().replace("customerio-app-api-key", "")
    assert not list(person.data_dir.glob("*app-api*")) if person.data_dir.exists() else True
    assert person.customerio.webhooks == []


def test_a_rate_that_is_limited_is_waited_for(person: Person) -> None:
    person.customerio.faults.at(1, status(429, Retry_After="2"))
    code, text = person.setup().end()
    assert code == 2, text
    assert "Customer.io answers 429; going on in 2 s" in text
    assert len(person.customerio.webhooks) == 1


def test_no_enable_leaves_it_disabled_and_wishes_for_nothing(person: Person) -> None:
    setup = person.setup(*person.make_webhook(), "--no-enable")
    setup.wait_for("Now press")
    person.press_send_test()
    code, text = setup.end()
    assert code == 0, text
    assert "stays disabled, as asked" in text
    assert person.query("SELECT * FROM facts WHERE name LIKE 'switch_on%'") == []


def test_another_source_is_added_with_keys_of_its_own(person: Person) -> None:
    person.setup("--source", "second").end()
    assert person.webhook.endpoint == f"{person.url}/webhooks/second"
    sources = tomllib.loads(person.config_file.read_text())["sources"]
    assert sources["second"]["signing_keys"] == [
        {"file": str(person.data_dir / "second-signing-key")}
    ]
    assert sources["second"]["app_api_key"] == {"file": str(person.key_file)}
    assert "app_api_key" not in sources["customerio"]


def test_a_public_url_without_tls_is_refused(person: Person) -> None:
    code, text = person.start("customerio", "setup", "--url", "http://hooks.example.com").end()
    assert code == 2
    assert "is not https" in text
    assert list(person.directory.iterdir()) == []


def test_what_a_person_asks_for_is_what_the_webhook_gets(person: Person) -> None:
    person.setup("--event", "email_*", "--event", "sms_sent", "--with-content", "--name", "x").end()
    webhook = person.webhook
    assert (webhook.name, webhook.with_content, webhook.full_resolution) == ("x", True, False)
    assert {event for event in webhook.events if not event.startswith("email_")} == {"sms_sent"}
    _, text = person.setup("--full-resolution").end()
    assert "full_resolution: no -> yes" in text
    assert (webhook.name, webhook.with_content, webhook.full_resolution) == ("x", True, True)


def test_two_webhooks_that_call_one_url_are_for_a_person_to_sort_out(person: Person) -> None:
    for name in ("one", "two"):
        person.make_in_product(
            name=name, endpoint=f"{person.url}/webhooks/customerio", events=["email_sent"]
        )
    code, text = person.setup().end()
    assert code == 2
    assert "2 webhooks call" in text
    assert "1, 2" in text


def test_what_was_made_in_the_product_stays_as_it_was_made(person: Person) -> None:
    person.make_in_product(
        name="by hand",
        endpoint=f"{person.url}/webhooks/customerio/",
        events=["email_sent"],
        disabled=True,
        full_resolution=True,
    )
    before = person.webhook.document()
    code, text = person.setup().end()
    assert code == 2, text
    assert "Webhook 1 is there already." in text
    assert person.webhook.document() == before


def test_a_wish_about_a_webhook_that_is_gone_is_taken_back(person: Person) -> None:
    """Else the receiving service would try to switch on what is not there."""
    person.make_webhook()
    setup = person.setup(*person.copy_signing_key())
    setup.wait_for("Now press")
    person.press_send_test()
    assert setup.end()[0] == 0
    person.delete_in_product()
    again = person.setup()
    again.wait_for("Now press")
    assert person.query("SELECT * FROM facts WHERE name LIKE 'switch_on%'") == []
    again.process.kill()


def test_where_something_else_listens_it_says_what_that_may_be(person: Person) -> None:
    option = person.make_webhook()
    with socket.create_server(("127.0.0.1", person.port)):
        code, text = person.setup(*option).end()
    assert code == 1, text
    assert "cannot listen on" in text
    assert "streamer's own socket unit" in text
