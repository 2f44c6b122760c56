"""Rules for the head of a request, one by one; what comes of them is tested with a server."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from streamer.core.limits import HEADER_BYTES_MAX
from streamer.web import heads
from streamer.web.heads import Header, Refused

HOST: Header = (b"host", b"hooks.example.com")
CHUNKED: Header = (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.1", [HOST]),
        ("1.1", [HOST, CHUNKED]),
        ("1.1", [HOST, (b"transfer-encoding", b"Chunked")]),
        ("1.1", [(b"host", b"")]),
        ("1.0", []),
        ("1.0", [HOST]),
    ],
)
def test_what_can_be_read_in_one_way_only_is_served(version: str, headers: list[Header]) -> None:
    before = list(headers)
    heads.check(b"GET", b"/", version, headers)
    assert headers == before


@pytest.mark.parametrize(
    ("version", "headers", "status"),
    [
        ("1.1", [], 400),
        ("1.1", [HOST, HOST], 400),
        ("1.0", [HOST, HOST], 400),
        ("0.9", [HOST], 400),
        ("2.0", [HOST], 400),
        ("1.0", [HOST, CHUNKED], 400),
        ("1.1", [HOST, (b"transfer-encoding", b"gzip, chunked")], 501),
        ("1.1", [HOST, (b"transfer-encoding", b"identity")], 501),
        ("1.1", [HOST, CHUNKED, (b"transfer-encoding", b"gzip")], 501),
    ],
)
def test_what_two_programs_could_read_differently_is_refused(
    version: str, headers: list[Header], status: int
) -> None:
    with pytest.raises(Refused) as refused:
        heads.check(b"GET", b"/", version, headers)
    assert refused.value.status == status


@pytest.mark.parametrize("filled", ["target", "headers"])
def test_a_head_has_a_largest_size_whatever_fills_it(filled: str) -> None:
    empty = b"PUT / HTTP/1.1\r\nhost: hooks.example.com\r\nx: \r\n\r\n"
    for further, refused in ((0, False), (1, True)):
        filling = b"y" * (HEADER_BYTES_MAX + further - len(empty))
        target, value = (b"/" + filling, b"") if filled == "target" else (b"/", filling)
        with pytest.raises(Refused) if refused else nullcontext() as found:
            heads.check(b"PUT", target, "1.1", [HOST, (b"x", value)])
        assert found is None or found.value.status == 431


def test_blanks_behind_a_value_are_no_part_of_it() -> None:
    headers = [HOST, (b"x-cio-signature", b"ab \t "), (b"transfer-encoding", b"chunked\t")]
    heads.check(b"GET", b"/", "1.1", headers)
    assert headers == [HOST, (b"x-cio-signature", b"ab"), CHUNKED]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?b", b"/a?b"),
        (b"//a", b"//a"),
        (b"http://host/a?b", b"/a?b"),
        (b"HTTPS://host:1/a//b", b"/a//b"),
        (b"http:///a", b"/a"),
        (b"http://host", b"/"),
        (b"http://", b"/"),
        (b"http://host?a=/b", b"/?a=/b"),
        (b"http://host/a?b=http://c/d", b"/a?b=http://c/d"),
    ],
)
def test_a_target_is_known_by_its_path(target: bytes, path: bytes) -> None:
    assert heads.path_of(target) == path


@pytest.mark.parametrize(
    "target", [b"*", b"a/b", b"host:443", b"ftp://host/a", b"/a#b", b"", b"?", b"?/a"]
)
def test_a_target_without_a_path_is_refused(target: bytes) -> None:
    with pytest.raises(Refused) as refused:
        heads.path_of(target)
    assert refused.value.status == 400


def test_a_head_is_written_again_without_its_upgrade() -> None:
    headers = [HOST, (b"upgrade", b"h2c"), (b"connection", b"upgrade"), (b"x", b"\xff"), HOST]
    assert heads.without_upgrade(b"POST", b"/a?b", "1.0", headers) == (
        b"POST /a?b HTTP/1.0\r\nhost: hooks.example.com\r\nconnection: upgrade\r\nx: \xff\r\n"
        b"host: hooks.example.com\r\n\r\n"
    )


def test_nothing_is_tunnelled() -> None:
    with pytest.raises(Refused):
        heads.without_upgrade(b"CONNECT", b"host:443", "1.1", [HOST])
