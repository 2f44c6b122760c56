"""HTTP as nobody sends it by accident: one request is one request, and nothing is ever a 500.

The only server errors are 501 and 503, so that an alarm on the others means
something. What is refused leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import ssl

import pytest

from streamer.core.limits import HEADER_BYTES_MAX
from tests.ingest.harness import Ingest
from tests.support.raw_http import Answer, Header, call, chunk, connect, head, signature

pytestmark = pytest.mark.anyio

BODY = b'{"event_id":"01J8ZQ"}'
OTHER = b'{"event_id":"smuggled"}'
PATH = "/webhooks/customerio"


async def answers_to(ingest: Ingest, data: bytes) -> list[Answer]:
    """Send bytes, then nothing more, and read every answer until the connection ends."""
    found = []
    async with connect(ingest.address) as sender:
        await sender.send(data)
        await sender.finish()
        while (answer := await sender.answer(to_head=data.startswith(b"HEAD"))) is not None:
            found.append(answer)
    for answer in found:
        assert answer.status < 500 or answer.status in {501, 503}, answer
    return found


def statuses(found: list[Answer]) -> list[int]:
    """Return the statuses alone."""
    return [answer.status for answer in found]


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks", "/webhooks/", "/webhooks/nobody", "/webhooks/a/b", f"{PATH}//", f"{PATH}/..",
        f"/{PATH}", "/webhooks/./customerio", "/webhooks/%2e%2e/customerio",
        "/webhooks/%2fcustomerio", f"{PATH}%00", f"{PATH}%0d%0a", f"{PATH}%", f"{PATH};a=b",
        "/webhooks/Customerio", f"{PATH}%20", "/webhooks/%ff", "/webhooks/__class__", "/", "*",
        "//", "/?", "/static/x", "/livez/", "/metrics", "/api/status", "http://localhost/",
        "http://localhost", "http://", "http:/webhooks/customerio", f"ftp://localhost{PATH}",
        PATH[1:], "/" + "a" * 8192, "/webhooks/" + "%41" * 2000,
    ],
)  # fmt: skip
async def test_every_other_path_is_404_and_stores_nothing(ingest: Ingest, path: str) -> None:
    [answer] = await answers_to(ingest, call(BODY, path=path))
    assert answer.status in {400, 404}
    assert ingest.is_empty()


@pytest.mark.parametrize(
    "path",
    [
        f"{PATH}?a=b", f"{PATH}?", "/webhooks/custom%65rio", f"{PATH}/", f"{PATH}/?a=b",
        f"http://localhost{PATH}", f"HTTPS://hooks.example.com:8443{PATH}/", f"http://{PATH}?a=b",
    ],
)  # fmt: skip
async def test_however_the_target_is_written_it_is_the_same_path(ingest: Ingest, path: str) -> None:
    assert statuses(await answers_to(ingest, call(BODY, path=path))) == [200]
    assert ingest.bodies() == [BODY]


async def test_health_too_is_found_under_its_whole_url(ingest: Ingest) -> None:
    found = await answers_to(ingest, head([], "GET", "http://localhost/livez"))
    assert statuses(found) == [200]


async def test_a_query_is_not_taken_for_a_path(ingest: Ingest) -> None:
    found = await answers_to(ingest, head([], "GET", "http://localhost?x=/livez"))
    assert statuses(found) == [404]


@pytest.mark.parametrize("target", ["?", "?/livez", "//[", "http://[::1/livez", "http://h:x/livez"])
async def test_a_target_that_makes_no_sense_is_the_senders_fault(
    ingest: Ingest, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    [answer] = await answers_to(ingest, head([], "GET", target))
    assert answer.status in {200, 400, 404}
    assert not caplog.records


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]
)
async def test_every_other_method_is_405(ingest: Ingest, method: str) -> None:
    [answer] = await answers_to(ingest, call(BODY, method=method))
    assert (answer.status, answer.one("allow")) == (405, "POST")
    assert answer.body == b"", "TRACE must not send anything back"
    assert ingest.is_empty()


@pytest.mark.parametrize("method", ["BREW", "A" * 99])
async def test_a_method_that_nobody_knows_is_refused(ingest: Ingest, method: str) -> None:
    """A parser may know the methods that there are, and read no other."""
    [answer] = await answers_to(ingest, call(BODY, method=method))
    assert answer.status in {400, 405}
    assert ingest.is_empty()


async def test_a_method_may_or_may_not_be_read_in_any_case(ingest: Ingest) -> None:
    [answer] = await answers_to(ingest, call(BODY, method="post"))
    assert answer.status in {200, 400, 405}
    assert ingest.bodies() == ([BODY] if answer.status == 200 else [])


async def test_of_a_source_that_is_not_there_no_method_is_allowed(ingest: Ingest) -> None:
    [answer] = await answers_to(ingest, head([], "GET", "/webhooks/nobody"))
    assert answer.status == 404


@pytest.mark.parametrize("target", ["localhost:443", PATH, "/"])
async def test_nothing_is_tunnelled(ingest: Ingest, target: str) -> None:
    found = await answers_to(ingest, head([], "CONNECT", target) + b"GET /livez HTTP/1.1\r\n\r\n")
    assert found
    assert all(400 <= answer.status < 500 for answer in found)


UPGRADES: dict[str, list[Header]] = {
    "websocket": [
        ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ],
    "h2c": [
        ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
    ],
    "something else": [("Connection", "Upgrade"), ("Upgrade", "TLS/1.2")],
}  # fmt: skip


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES.keys())
@pytest.mark.parametrize("path", [PATH, "/livez"])
async def test_an_upgrade_is_not_made(ingest: Ingest, upgrade: list[Header], path: str) -> None:
    [answer] = await answers_to(ingest, head(upgrade, "GET", path))
    assert answer.status == (405 if path == PATH else 200)
    assert not answer.all("upgrade")


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES.keys())
async def test_a_signed_call_that_offers_an_upgrade_is_served(
    ingest: Ingest, upgrade: list[Header]
) -> None:
    assert statuses(await answers_to(ingest, call(BODY, further=upgrade))) == [200]
    assert ingest.bodies() == [BODY]


async def test_http_2_without_asking_is_refused(ingest: Ingest) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    found = await answers_to(ingest, preface)
    assert statuses(found) == [400]
    assert found[0].closes


@pytest.mark.parametrize(
    "version", [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.0", b"HTTP/1.x", b"XTTP/1.1"]
)
async def test_another_version_of_http_is_refused(ingest: Ingest, version: bytes) -> None:
    request = call(BODY).replace(b"HTTP/1.1", version, 1)
    found = await answers_to(ingest, request)
    assert set(statuses(found)) <= {400}
    assert ingest.is_empty()


async def test_a_tls_greeting_on_the_plain_port_is_refused(ingest: Ingest) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    greeting = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        greeting.do_handshake()
    async with connect(ingest.address) as sender:
        await sender.send(outgoing.read())
        assert (await sender.rest()).startswith((b"", b"HTTP/1.1 400"))
    assert (await ingest.post(BODY)).status == 200


async def test_expectations_are_refused_and_the_body_is_not_stored(ingest: Ingest) -> None:
    for expectation in ("100-continue", "200-ok"):
        found = await answers_to(ingest, call(BODY, further=[("Expect", expectation)]))
        assert statuses(found) == [417]
    assert ingest.is_empty()


async def test_http_1_0_is_served_and_closed(ingest: Ingest) -> None:
    request = call(BODY).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    [answer] = await answers_to(ingest, request)
    assert answer.status == 200
    assert answer.closes
    assert ingest.bodies() == [BODY]


def framed(framing: list[Header], body: bytes) -> bytes:
    """Write a signed call whose framing the test chooses."""
    return head([*signature(BODY), *framing]) + body


CHUNKED = chunk(BODY) + chunk(b"")
LENGTH = str(len(BODY))
BAD_FRAMING: dict[str, bytes] = {
    "two lengths": framed([("Content-Length", LENGTH), ("Content-Length", "3")], BODY),
    "two lengths in one": framed([("Content-Length", f"{LENGTH}, 3")], BODY),
    "length and chunks": framed(
        [("Content-Length", LENGTH), ("Transfer-Encoding", "chunked")], CHUNKED
    ),
    "chunks and length": framed(
        [("Transfer-Encoding", "chunked"), ("Content-Length", "0")], CHUNKED
    ),
    "two encodings": framed(
        [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], CHUNKED
    ),
    "an unknown encoding": framed([("Transfer-Encoding", "gzip, chunked")], CHUNKED),
    "an encoding that is none": framed([("Transfer-Encoding", "identity")], BODY),
    "a negative length": framed([("Content-Length", "-1")], BODY),
    "a length with a sign": framed([("Content-Length", f"+{LENGTH}")], BODY),
    "a hexadecimal length": framed([("Content-Length", "0x15")], BODY),
    "a length beyond ASCII": framed([("Content-Length", "²")], BODY),
    "no length in the length": framed([("Content-Length", "")], BODY),
    "a chunk of odd size": framed([("Transfer-Encoding", "chunked")], b"zz\r\n"),
    "a chunk of negative size": framed([("Transfer-Encoding", "chunked")], b"-1\r\n"),
    "a chunk that ends wrongly": framed(
        [("Transfer-Encoding", "chunked")], CHUNKED.replace(b"}\r\n", b"}XX")
    ),
    "a chunk size without end": framed([("Transfer-Encoding", "chunked")], b"0" * 70_000),
    "a blank before the colon": framed([("Content-Length ", LENGTH)], BODY),
    "a header without a colon": head([("Host2\r\nnonsense", "x")]) + BODY,
    "a header without a name": head([("", "x")]) + BODY,
    "a folded first header": call(BODY).replace(b"\r\n", b"\r\n folded: yes\r\n", 1),
    "a null character in a header": head([("X-Odd", "a\0b")]) + BODY,
    "no Host": call(BODY).replace(b"Host: localhost\r\n", b"", 1),
    "two Hosts": call(BODY, further=[("Host", "other")]),
    "a bare carriage return": call(BODY).replace(b"Host: localhost\r\n", b"Host: a\rb: c\r\n"),
    "no request line": b"\0" * 100 + b"\r\n\r\n",
    "a control character in the path": call(BODY, path=f"{PATH}\x01"),
    "a path beyond ASCII": call(BODY, path=f"{PATH}é"),
    "a blank in the path": call(BODY, path=f"{PATH} x"),
}  # fmt: skip


@pytest.mark.parametrize("request_bytes", BAD_FRAMING.values(), ids=BAD_FRAMING.keys())
async def test_a_request_that_two_programs_could_read_differently_is_refused(
    ingest: Ingest, request_bytes: bytes
) -> None:
    found = await answers_to(ingest, request_bytes + call(OTHER))
    assert len(found) <= 1, "what follows is no request of its own"
    assert all(answer.status in {400, 431, 501} and answer.closes for answer in found)
    assert ingest.is_empty()


async def test_the_same_length_twice_is_one_length(ingest: Ingest) -> None:
    found = await answers_to(
        ingest, framed([("Content-Length", LENGTH), ("Content-Length", LENGTH)], BODY)
    )
    assert statuses(found) in ([200], [400])
    assert ingest.bodies() == ([BODY] if statuses(found) == [200] else [])


async def test_a_folded_header_is_one_header_or_none(ingest: Ingest) -> None:
    found = await answers_to(ingest, call(BODY, further=[("X-Folded", "a\r\n b")]))
    assert statuses(found) in ([200], [400])


@pytest.mark.parametrize(
    "further",
    [
        [("X-Large", "x" * 20_000)],
        [(f"X-{number}", "x" * 20) for number in range(1_000)],
        [("X-Large", "x" * 8_000), ("Y-Large", "x" * 8_000), ("Z-Large", "x" * 1_000)],
    ],
    ids=["one of 20,000 bytes", "a thousand", "three of them"],
)
async def test_headers_that_are_too_large_are_refused(
    ingest: Ingest, further: list[Header]
) -> None:
    [answer] = await answers_to(ingest, call(BODY, further=further))
    assert answer.status == 431
    assert answer.closes
    assert ingest.is_empty()


@pytest.mark.parametrize("path", [PATH, "/livez"])
async def test_headers_that_do_not_end_are_cut_off(ingest: Ingest, path: str) -> None:
    """They are never handed to anybody, so only the server can bound them."""
    async with connect(ingest.address) as sender:
        await sender.send(head([("X-Large", "x" * 20_000)], "GET", path)[:-2])
        answer = await sender.answer()
        assert answer is not None
        assert (answer.status, answer.closes) == (431, True)
        assert await sender.rest() == b""


@pytest.mark.parametrize("target_bytes", [17_000, 70_000])
@pytest.mark.parametrize("missing", [0, 3], ids=["whole", "all but its end"])
async def test_a_target_counts_to_the_size_of_its_head(
    ingest: Ingest, target_bytes: int, missing: int, caplog: pytest.LogCaptureFixture
) -> None:
    request = head([], "GET", "/livez?" + "a" * target_bytes)
    async with connect(ingest.address) as sender:
        answer = await sender.ask(request[: len(request) - missing])
    assert (answer.status, answer.closes) == (431, True)
    assert not caplog.records


async def test_a_head_of_the_largest_size_is_served_however_it_is_cut(ingest: Ingest) -> None:
    empty = head([], "GET", "/livez?")
    request = head([], "GET", "/livez?" + "a" * (HEADER_BYTES_MAX - len(empty)))
    for end in (0, len(request) - 1, 10):
        async with connect(ingest.address) as sender:
            await sender.send(request[:end])
            for _ in range(10):
                await asyncio.sleep(0)  # the server reads that
            assert (await sender.ask(request[end:])).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", [PATH, "/livez", "/nothing"])
async def test_no_answer_names_the_server(ingest: Ingest, path: str, method: str) -> None:
    [answer] = await answers_to(ingest, call(BODY, path=path, method=method))
    assert not answer.all("server")
    assert not answer.all("x-powered-by")


async def test_many_small_headers_are_no_reason_to_refuse(ingest: Ingest) -> None:
    further = [(f"X-{number}", "x") for number in range(300)]
    assert statuses(await answers_to(ingest, call(BODY, further=further))) == [200]


async def test_pipelined_requests_are_answered_one_after_the_other(ingest: Ingest) -> None:
    bodies = [b'{"event_id":"%d"}' % number for number in range(20)]
    requests = [call(body) for body in bodies]
    requests[10:10] = [call(BODY, path="/webhooks/nobody"), head([], "GET", "/livez")]
    found = await answers_to(ingest, b"".join(requests))
    assert statuses(found) == [200] * 10 + [404, 200] + [200] * 10
    assert ingest.bodies() == bodies


async def test_chunks_with_extensions_and_trailers_are_one_body(ingest: Ingest) -> None:
    data = b'%x;name="value"\r\n%b\r\n0\r\nX-Trailer: yes\r\n\r\n' % (len(BODY), BODY)
    found = await answers_to(ingest, framed([("Transfer-Encoding", "chunked")], data))
    assert statuses(found) == [200]
    assert ingest.bodies() == [BODY]


async def test_a_signature_in_a_trailer_is_none(ingest: Ingest) -> None:
    at, given = signature(BODY)
    trailers = b"0\r\n%b: %b\r\n\r\n" % (str(given[0]).encode(), str(given[1]).encode())
    data = head([at, ("Transfer-Encoding", "chunked")]) + chunk(BODY) + trailers
    assert statuses(await answers_to(ingest, data)) == [401]
    assert ingest.is_empty()


@pytest.mark.parametrize(
    "trailer",
    [
        "Content-Length: 9", "Content-Length: 0", "Transfer-Encoding: chunked", "Host: other",
        "Connection: Upgrade\r\nUpgrade: h2c", "Connection: keep-alive",
    ],
)  # fmt: skip
async def test_a_trailer_says_nothing_about_the_call_or_the_next(
    ingest: Ingest, trailer: str
) -> None:
    data = chunk(BODY) + b"0\r\n%b\r\n\r\n" % trailer.encode()
    first = framed([("Transfer-Encoding", "chunked")], data)
    assert statuses(await answers_to(ingest, first + call(OTHER))) == [200, 200]
    assert ingest.bodies() == [BODY, OTHER]


@pytest.mark.parametrize("pieces", [1, 2], ids=["in one piece", "one after the other"])
async def test_a_call_behind_one_whose_trailer_ends_the_connection_is_not_left_waiting(
    ingest: Ingest, pieces: int
) -> None:
    """It is answered, or the connection has been ended, and then nothing of it is stored."""
    data = chunk(BODY) + b"0\r\nConnection: close\r\n\r\n"
    first = framed([("Transfer-Encoding", "chunked")], data)
    async with connect(ingest.address) as sender:
        await sender.send(first + call(OTHER) * (pieces == 1))
        answer = await sender.answer()
        assert answer is not None
        assert answer.status == 200
        if pieces == 2 and not answer.closes:
            await sender.send(call(OTHER))
        following = None if answer.closes else await sender.answer()
        if answer.closes:
            assert await sender.rest() == b""
    assert answer.closes or (following is not None and following.status == 200)
    assert ingest.bodies() == ([BODY] if answer.closes else [BODY, OTHER])


async def test_a_post_to_a_health_page_is_refused(ingest: Ingest) -> None:
    [answer] = await answers_to(ingest, call(BODY, path="/readyz"))
    assert answer.status == 405
    assert set((answer.one("allow") or "").replace(" ", "").split(",")) >= {"GET", "HEAD"}
