"""The way from a public name to the service, over real TLS and through a proxy that errs."""

from __future__ import annotations

import contextlib
import datetime
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from streamer.core.samples import TEST_EVENT_ID
from streamer.store import sqlite
from tests.support.proxy import Proxy, proxying
from tests.support.service import Service, running_service

STEPS_WHEN_WELL = {
    "url.name", "url.connect", "url.tls", "url.certificate", "url.instance", "url.webhook",
    "url.time", "url.large",
}  # fmt: skip


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment in which the authority counts as public."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return {"SSL_CERT_FILE": str(path)}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@contextlib.contextmanager
def secured(
    service: Service, authority: trustme.CA, *, days: int = 90, name: str = "localhost"
) -> Iterator[Proxy]:
    """Run a proxy before the service, with a certificate for a name that lasts so many days."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, hours=1)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name, not_after=end).configure_cert(context)
    with proxying(service.port, context) as proxy:
        yield proxy


def look(service: Service, proxy: Proxy, trusted: dict[str, str], *further: str) -> dict[str, str]:
    """Run the doctor at the proxy's URL; return the states of the looks at it, by code."""
    ended = service.run("doctor", "--url", proxy.url, "--json", *further, **trusted)
    assert ended.stderr == ""
    told = json.loads(ended.stdout)
    assert ended.returncode == (0 if told["ok"] else 1)
    return {
        finding["code"]: finding["state"]
        for finding in told["findings"]
        if finding["code"].startswith("url.")
    }


def test_a_way_that_is_well_is_ok_at_every_step(
    service: Service, authority: trustme.CA, trusted: dict[str, str]
) -> None:
    with secured(service, authority) as proxy:
        found = look(service, proxy, trusted)
    # localhost may have an IPv6 address at which the proxy does not listen.
    assert found.pop("url.connect") in {"ok", "warning"}
    assert found == dict.fromkeys(STEPS_WHEN_WELL - {"url.connect"}, "ok")


def test_looking_stores_nothing_and_the_test_event_is_stored(
    service: Service, authority: trustme.CA, trusted: dict[str, str]
) -> None:
    def stored() -> list[str]:
        connection = sqlite.open_reader(service.data_dir / "streamer.db")
        try:
            return [row[0] for row in connection.execute("SELECT event_id FROM outbox")]
        finally:
            connection.close()

    with secured(service, authority) as proxy:
        look(service, proxy, trusted)
        assert stored() == []
        assert look(service, proxy, trusted, "--send-test")["url.test"] == "ok"
        assert stored() == [TEST_EVENT_ID]
        assert look(service, proxy, trusted, "--send-test")["url.test"] == "ok", "also again"


@pytest.mark.parametrize(("days", "state"), [(40, "ok"), (20, "warning"), (6, "failed")])
def test_a_certificate_is_renewed_in_time(
    service: Service, authority: trustme.CA, trusted: dict[str, str], days: int, state: str
) -> None:
    with secured(service, authority, days=days) as proxy:
        found = look(service, proxy, trusted)
    assert (found["url.tls"], found["url.certificate"]) == ("ok", state)
    assert found["url.webhook"] == "ok", "it still works, so the rest is looked at"


@pytest.mark.parametrize(
    ("unknown", "days", "name", "hint"),
    [
        (True, 90, "localhost", "intermediate"),
        (False, -1, "localhost", "Renew it"),
        (False, 90, "elsewhere.example.com", "another name"),
    ],
)
def test_a_certificate_that_no_sender_takes_ends_the_way_and_says_why(
    service: Service,
    authority: trustme.CA,
    trusted: dict[str, str],
    *,
    unknown: bool,
    days: int,
    name: str,
    hint: str,
) -> None:
    with secured(service, trustme.CA() if unknown else authority, days=days, name=name) as proxy:
        ended = service.run("doctor", "--url", proxy.url, "--json", **trusted)
    found = {finding["code"]: finding for finding in json.loads(ended.stdout)["findings"]}
    assert (ended.returncode, found["url.tls"]["state"]) == (1, "failed")
    assert hint in found["url.tls"]["hint"]
    assert "url.webhook" not in found


def test_a_proxy_that_alters_bodies_is_found_by_the_test_event(
    service: Service, authority: trustme.CA, trusted: dict[str, str]
) -> None:
    with secured(service, authority) as proxy:
        proxy.adds_to_body = b" "
        found = look(service, proxy, trusted, "--send-test")
    assert (found["url.webhook"], found["url.test"]) == ("ok", "failed")


def test_a_proxy_that_refuses_large_bodies_is_found(
    service: Service, authority: trustme.CA, trusted: dict[str, str]
) -> None:
    with secured(service, authority) as proxy:
        proxy.body_bytes_max = 1024 * 1024
        found = look(service, proxy, trusted)
    assert (found["url.webhook"], found["url.large"]) == ("ok", "failed")


@pytest.mark.parametrize("status", [301, 403, 404, 413])
def test_a_proxy_that_answers_itself_is_told_from_the_service(
    service: Service, authority: trustme.CA, trusted: dict[str, str], status: int
) -> None:
    with secured(service, authority) as proxy:
        proxy.refuses = {"/webhooks/": status}
        found = look(service, proxy, trusted)
    assert (found["url.instance"], found["url.webhook"]) == ("ok", "failed")
    assert "url.large" not in found


def test_another_services_url_is_not_taken_for_ours(
    service: Service, authority: trustme.CA, trusted: dict[str, str], tmp_path: Path
) -> None:
    with running_service(tmp_path) as other, secured(other, authority) as proxy:
        found = look(service, proxy, trusted)
    assert found["url.instance"] == "failed"


@pytest.mark.parametrize(("status", "state"), [(502, "failed"), (503, "ok"), (500, "failed")])
def test_what_the_proxy_answers_without_a_service_decides_over_an_hour(
    authority: trustme.CA, trusted: dict[str, str], tmp_path: Path, status: int, state: str
) -> None:
    with running_service(tmp_path) as service, secured(service, authority) as proxy:
        service.stop()
        proxy.absence_status = status
        found = look(service, proxy, trusted)
    assert found["url.absence"] == state
    assert "url.instance" not in found


def test_a_name_that_does_not_exist_and_a_port_that_is_closed_end_the_way(
    service: Service, authority: trustme.CA, trusted: dict[str, str]
) -> None:
    with secured(service, authority) as proxy:
        gone = proxy.url
        proxy.url = "https://no-such-host.invalid"
        assert look(service, proxy, trusted) == {"url.name": "failed"}
    proxy.url = gone
    assert look(service, proxy, trusted) == {"url.name": "ok", "url.connect": "failed"}


def test_plain_http_is_warned_of(service: Service) -> None:
    with proxying(service.port) as proxy:
        found = look(service, proxy, {})
    assert (found["url.tls"], found["url.webhook"]) == ("warning", "ok")
