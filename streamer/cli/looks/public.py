"""The way from the world to the service: name, route, certificate, proxy.

Each step needs the one before, so the looks stop at the first that fails. That
the URL leads to *this* service is proved by the random number that its health
routes show, and that the webhook's own path does by an answer that only
streamer gives. Nothing is stored by any of it but by `send_test`.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence

import msgspec

from streamer.cli.calls import Caller, CallFailed, Place, Reply, explain
from streamer.cli.looks.finding import Finding, failed, ok, warning
from streamer.cli.signing import signed_headers
from streamer.cli.wording import count
from streamer.core.limits import ANSWER_DEADLINE_SECONDS, DAY_SECONDS, SENDER_TIMEOUT_SECONDS
from streamer.core.samples import test_event_body
from streamer.ingest.answers import BAD_SIGNATURE, INSTANCE_HEADER, SIGNATURE_MISSING

CONNECT_SECONDS = 3.0
TIMEOUT_SECONDS = 6.0
"""Longer than the sender's four, so that an answer that comes too late is still seen."""
LARGE_BODY_BYTES = 2 * 1024 * 1024
"""Twice what nginx lets pass unless it is told otherwise."""
CERTIFICATE_FAILED_DAYS = 7
CERTIFICATE_WARNING_DAYS = 21
"""Whoever renews automatically does it thirty days before the end: by now that has failed."""
HOUR_LIST = frozenset({400, 401, 402, 403, 404, 405, 410, 429, 500, 502, 521})
"""After one of these Customer.io waits an hour before it comes back."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the service from this side."""

    instance: str
    """The random number of the database; empty when it cannot be read."""
    running: bool | None
    """None when that could not be seen."""


def public_url(place: Place, known: Known) -> list[Finding]:
    """Go the way that a webhook goes, step by step."""
    findings, addresses = _resolve(place)
    if addresses:
        findings += _connect(place, addresses)
    if any(finding.state == "failed" for finding in findings):
        return findings
    if place.scheme == "https":
        secured = _secure(place)
        findings += secured
        if any(finding.code == "url.tls" and finding.state == "failed" for finding in secured):
            return findings
    else:
        hint = "Customer.io wants https; put Caddy or nginx in front, see docs/install.md."
        findings.append(warning("url.tls", "the URL is not https", place.scheme, hint))
    return [*findings, *_call(place, known)]


def _resolve(place: Place) -> tuple[list[Finding], list[str]]:
    code, what = "url.name", "the host name has an address"
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except OSError as error:
        hint = f"Make an A or AAAA record for {place.host}."
        detail = f"{place.host}: {explain(error)}"
        return [failed(code, "the host name has no address", detail, hint)], []
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    return [ok(code, what, ", ".join(addresses))], addresses


def _connect(place: Place, addresses: Sequence[str]) -> list[Finding]:
    """Connect to each address: one that is dead hurts every caller that tries it first."""
    dead = []
    for address in addresses:
        try:
            socket.create_connection((address, place.port), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            dead.append(f"{address}: {explain(error)}")
    code, what = "url.connect", "the port is open"
    if not dead:
        return [ok(code, what, f"port {place.port}")]
    if len(dead) == len(addresses):
        hint = "Is the proxy running, and the firewall open?"
        return [failed(code, "the port is closed", "; ".join(dead), hint)]
    hint = "Take the address out of the name's records, or let the proxy listen there. IPv6 may "
    hint += "also be missing on this machine only."
    return [warning(code, "not every address answers", "; ".join(dead), hint)]


def _secure(place: Place) -> list[Finding]:
    code, what = "url.tls", "the certificate is trusted"
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((place.host, place.port), timeout=CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=place.host) as secured,
        ):
            certificate = secured.getpeercert() or {}
            version = secured.version() or ""
    except OSError as error:
        return [failed(code, "the certificate is not trusted", explain(error), _tls_hint(error))]
    expires_at = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return [ok(code, what, version), judge_certificate(expires_at, now_seconds=time.time())]


def _tls_hint(error: Exception) -> str:
    if not isinstance(error, ssl.SSLCertVerificationError):
        return "Does the proxy speak TLS on this port?"
    if error.verify_code in {20, 21}:
        return (
            "The proxy has to send a public authority's intermediate certificates: fullchain.pem."
        )
    if error.verify_code == 10:
        return "Renew it, and reload the proxy: nginx goes on with the old one until then."
    if error.verify_code == 62:
        return "The certificate is for another name: get one for this host."
    return "Customer.io takes only certificates of a public authority."


def judge_certificate(expires_at: float, *, now_seconds: float) -> Finding:
    """Judge the days that a certificate has left; both times in seconds since 1970."""
    code, what = "url.certificate", "the certificate is valid for long enough"
    days = int((expires_at - now_seconds) // DAY_SECONDS)
    detail = f"valid for {count(days, 'more day')}" if days >= 0 else "it is not valid any more"
    hint = "Find out why it was not renewed, and reload the proxy afterwards."
    runs_out = "the certificate runs out"
    if days < CERTIFICATE_FAILED_DAYS:
        return failed(code, runs_out, detail, hint)
    if days < CERTIFICATE_WARNING_DAYS:
        return warning(code, runs_out, detail, hint)
    return ok(code, what, detail)


def _call(place: Place, known: Known) -> list[Finding]:
    with Caller(place, timeout_seconds=TIMEOUT_SECONDS) as caller:
        try:
            findings = judge_health(caller.call("GET", "/livez"), known)
            unsigned = caller.call("POST", body=b"{}")
            findings += judge_unsigned(unsigned, known)
            if unsigned.reason == SIGNATURE_MISSING.reason:
                findings.append(judge_time(unsigned.seconds))
                findings.append(judge_large(caller.call("POST", body=b" " * LARGE_BODY_BYTES)))
        except CallFailed as error:
            hint = "A connection that ends without an answer costs an hour: see the proxy's log."
            return [failed("url.answer", "not every call is answered", str(error), hint)]
    return findings


def judge_health(reply: Reply, known: Known) -> list[Finding]:
    """Judge by the answer of ``/livez`` whether the URL leads to this service."""
    code, what = "url.instance", "the URL leads to this service"
    unproved = "it is not known whether the URL leads to this service"
    told = reply.headers.get(INSTANCE_HEADER)
    if known.running is False:
        return []
    if told is None:
        hint = "Let the proxy pass /livez on, as the shipped Caddyfile and nginx site do."
        detail = f"/livez is answered {reply.status}, not by streamer"
        return [warning(code, unproved, detail, hint)]
    if not known.instance:
        return [warning(code, unproved, "the database could not be asked for its number")]
    if told != known.instance:
        detail = "a streamer with another database answers"
        elsewhere = "the URL leads to another service"
        return [
            failed(code, elsewhere, detail, "See the proxy's upstream, and the name's address.")
        ]
    return [ok(code, what)]


def judge_unsigned(reply: Reply, known: Known) -> list[Finding]:
    """Judge the answer to an unsigned call at the webhook's own path."""
    code, what = "url.webhook", "the webhook's path leads to the service"
    detail = f"a call without a signature is answered {reply.status}"
    if reply.reason == SIGNATURE_MISSING.reason:
        return [ok(code, what, f"{detail}, as it should be")]
    astray = "the webhook's path does not lead to the service"
    if reply.reason:
        hint = "Is the last part of the URL the name of a source?" if reply.status == 404 else ""
        return [failed(code, astray, f"{detail}: {reply.reason}", hint)]
    if known.running is False:
        return [judge_absence(reply.status)]
    return [failed(code, astray, f"{detail}, not by streamer", _proxy_hint(reply.status))]


def judge_absence(status: int) -> Finding:
    """Judge what the proxy answers while the service is down."""
    code, what = "url.absence", "the proxy answers 503 while the service is away"
    if status == 503:
        return ok(code, what)
    hint = "Answer 503 instead, as the shipped Caddyfile (handle_errors) and nginx site do."
    cost = "costs an hour" if status in HOUR_LIST else "is not what the sender retries soon"
    wrong = "the proxy does not answer 503 while the service is away"
    return failed(code, wrong, f"it answers {status}, which {cost}", hint)


def _proxy_hint(status: int) -> str:
    if 300 <= status < 400:
        return "A redirect is not followed: give Customer.io the URL that it leads to."
    if status in {401, 403, 429}:
        return "Something before streamer refuses callers: let /webhooks/ pass without conditions."
    if status in {502, 503, 504, 521}:
        return "The proxy does not reach streamer: compare its upstream with server.bind."
    return "Let the proxy pass /webhooks/ on unchanged; see docs/install.md."


def judge_time(seconds: float) -> Finding:
    """Judge how long an answer took, against the sender's patience."""
    code, what = "url.time", "answers come in time"
    detail = f"{seconds * 1000:.0f} ms of {SENDER_TIMEOUT_SECONDS:.0f} s, before any commit"
    slack = SENDER_TIMEOUT_SECONDS - ANSWER_DEADLINE_SECONDS
    if seconds >= SENDER_TIMEOUT_SECONDS:
        return failed(code, "answers come too late", detail, "Customer.io has hung up by then.")
    if seconds >= slack:
        hint = f"The service may take {ANSWER_DEADLINE_SECONDS:.0f} s; the way there is too slow."
        return warning(code, "answers come late", detail, hint)
    return ok(code, what, detail)


def judge_large(reply: Reply) -> Finding:
    """Judge whether the proxy lets a large body pass."""
    code, what = "url.large", "the proxy passes large bodies on"
    detail = f"{LARGE_BODY_BYTES // 2**20} MiB are answered {reply.status}"
    if reply.reason == SIGNATURE_MISSING.reason:
        return ok(code, what, detail)
    hint = "nginx: client_max_body_size 0; see systemd/nginx-streamer.conf."
    return failed(code, "the proxy does not pass large bodies on", detail, hint)


def send_test(place: Place, key: bytes) -> list[Finding]:
    """Send Customer.io's canned test event, signed: proves that the body arrives unaltered.

    It is stored and delivered the first time; later ones count as repeats.
    """
    body = test_event_body(int(time.time()))
    with Caller(place, timeout_seconds=TIMEOUT_SECONDS) as caller:
        try:
            reply = caller.call("POST", body=body, headers=signed_headers(key, body))
        except CallFailed as error:
            return [failed("url.test", "the signed test event is not answered", str(error))]
    return [judge_test(reply)]


def judge_test(reply: Reply) -> Finding:
    """Judge the answer to the signed test event."""
    code, what = "url.test", "a signed test event is stored"
    refused = "the signed test event is not stored"
    if reply.status == 200:
        return ok(code, what, f"answered 200 in {reply.seconds * 1000:.0f} ms")
    if reply.reason == BAD_SIGNATURE.reason:
        hint = "The proxy alters bodies or headers, or the service has not been restarted since "
        hint += "the key was changed."
        return failed(code, refused, f"answered {reply.status}: {reply.reason}", hint)
    return failed(code, refused, f"answered {reply.status} {reply.reason}".rstrip())
