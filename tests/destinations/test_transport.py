"""TLS, and the self-test that connects and sends nothing."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from streamer.core.outcome import Verdict
from tests.destinations.examples import StandingClock, stored_events
from tests.destinations.http_cases import KEY, http_destination
from tests.support.http_destination import closed_port, scripted_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


async def test_a_server_whose_certificate_stands_up_to_checking_is_sent_to(
    authority: trustme.CA, ca_file: str
) -> None:
    async with (
        scripted_server(server_tls(authority.issue_cert("localhost"))) as server,
        http_destination(server.url, ca_file=ca_file) as destination,
    ):
        (outcome,) = await destination.send(stored_events(1))
    assert outcome.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("wrong", ["name", "authority", "expired"])
async def test_a_certificate_that_does_not_stand_up_to_checking_holds_and_nothing_is_sent(
    authority: trustme.CA, ca_file: str, wrong: str
) -> None:
    certificate = {
        "name": lambda: authority.issue_cert("other.example"),
        "authority": lambda: trustme.CA().issue_cert("localhost"),
        "expired": lambda: authority.issue_cert(
            "localhost", not_after=datetime(2020, 1, 1, tzinfo=UTC)
        ),
    }[wrong]()
    async with (
        scripted_server(server_tls(certificate)) as server,
        http_destination(server.url, ca_file=ca_file) as destination,
    ):
        (outcome,) = await destination.send(stored_events(1))
    assert (outcome.verdict, outcome.reason) == (Verdict.HELD, "tls_certificate")
    assert server.received == []


async def test_a_connection_that_is_reset_in_the_handshake_defers(ca_file: str) -> None:
    async with scripted_server() as server:
        server.reset_on_connect = True
        url = server.url.replace("http:", "https:")
        async with http_destination(url, ca_file=ca_file) as destination:
            (outcome,) = await destination.send(stored_events(1))
    assert outcome.verdict is Verdict.DEFERRED


async def test_a_server_without_tls_behind_an_https_url_defers_and_nothing_is_sent() -> None:
    async with scripted_server() as server:
        url = server.url.replace("http:", "https:")
        async with http_destination(url, timeout_seconds=0.3) as destination:
            (outcome,) = await destination.send(stored_events(1))
    assert outcome.verdict is Verdict.DEFERRED
    assert outcome.reason in {"tls", "timeout"}
    assert server.received == []


# The self-test


async def test_the_self_test_connects_and_reads_the_certificate_but_sends_nothing(
    authority: trustme.CA, ca_file: str
) -> None:
    async with (
        scripted_server(server_tls(authority.issue_cert("localhost"))) as server,
        http_destination(server.url, ca_file=ca_file, key=KEY) as destination,
    ):
        findings = await destination.probe()
    assert [finding.ok for finding in findings] == [True, True, True]
    assert "127.0.0.1" in findings[1].detail
    assert "more days" in findings[2].detail
    assert server.received == []


async def test_the_self_test_complains_of_a_certificate_that_runs_out_soon(
    authority: trustme.CA, ca_file: str
) -> None:
    expiry = datetime(2037, 1, 1, tzinfo=UTC)
    clock = StandingClock(round(expiry.timestamp() * 1000) - 13 * 86_400_000)
    certificate = authority.issue_cert("localhost", not_after=expiry)
    async with (
        scripted_server(server_tls(certificate)) as server,
        http_destination(server.url, ca_file=ca_file, clock=clock) as destination,
    ):
        finding = (await destination.probe())[-1]
    assert (finding.ok, finding.detail) == (False, "for 13 more days")
    assert finding.hint


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://nobody.invalid/secret", "nobody.invalid"),
        (f"http://127.0.0.1:{(port := closed_port())}/secret", f"127.0.0.1 port {port}"),
    ],
    ids=["unknown", "closed"],
)
async def test_what_cannot_be_reached_is_named_with_its_port_and_nothing_else(
    url: str, server: str
) -> None:
    async with http_destination(url) as destination:
        findings = await destination.probe()
        (outcome,) = await destination.send(stored_events(1))
    assert [finding.ok for finding in findings] == [True, False]
    assert findings[1].hint.startswith("See whether")
    assert findings[1].hint.endswith(".")
    assert findings[1].detail == outcome.detail
    assert server in outcome.detail
    assert "secret" not in outcome.detail
