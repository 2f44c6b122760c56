"""What a bind address may be, which addresses are local, and which outgoing URLs are allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.config.address import (
    TcpBind,
    UnixBind,
    check_url,
    collide,
    is_local,
    is_loopback,
    parse_bind,
)


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:8080", TcpBind("127.0.0.1", 8080)),
        ("LocalHost:0", TcpBind("localhost", 0)),
        ("[::1]:8080", TcpBind("::1", 8080)),
        ("[0:0:0:0:0:0:0:1]:8080", TcpBind("::1", 8080)),
        ("0.0.0.0:65535", TcpBind("0.0.0.0", 65535)),  # noqa: S104 - parsed, not listened on
        ("unix:/run/streamer/ingest.sock", UnixBind("/run/streamer/ingest.sock")),
    ],
)
def test_a_bind_is_a_host_and_port_or_a_socket(text: str, bind: TcpBind | UnixBind) -> None:
    assert parse_bind(text) == bind


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "8080", ":8080", "localhost", "localhost:", "localhost:http", "localhost:65536",
        "localhost:-1", "localhost:+1", "localhost:٣", "::1:8080", "[::1]", "[::g]:1", "[]:1",
        "a b:1", "http://localhost:1", "user@host:1", "a..b:1", "unix:", "unix:relative.sock",
        "unix:/run/", "unix:/" + "x" * 107,
    ],
)  # fmt: skip
def test_what_is_no_bind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|has"):
        parse_bind(text)


@given(st.text())
def test_no_text_breaks_the_parsers(text: str) -> None:
    for parse in (parse_bind, check_url):
        try:
            parse(text)
        except ValueError as error:
            assert str(error).startswith(("must", "has", "the path"))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["localhost.example.com", "127.0.0.1.example.com", "::", "10.0.0.1", "127.1"]
)
def test_what_only_looks_like_loopback_is_not(host: str) -> None:
    assert not is_loopback(host)


def test_a_socket_is_local_and_a_wildcard_is_not() -> None:
    assert is_local(parse_bind("unix:/run/x.sock"))
    assert is_local(parse_bind("[::1]:1"))
    assert not is_local(parse_bind("[::]:1"))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", True),
        ("127.0.0.1:1", "127.0.0.1:2", False),
        ("127.0.0.1:1", "127.0.0.2:1", False),
        ("0.0.0.0:1", "127.0.0.1:1", True),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("unix:/a", "unix:/a", True),
        ("unix:/a", "unix:/b", False),
        ("unix:/a", "127.0.0.1:1", False),
    ],
)
def test_two_listeners_collide_on_one_address(one: str, other: str, same: bool) -> None:
    assert collide(parse_bind(one), parse_bind(other)) is same
    assert collide(parse_bind(other), parse_bind(one)) is same


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "https://example.com:8443/a?b=c", "HTTPS://example.com/",
        "http://localhost:9000/x", "http://127.0.0.1/", "http://[::1]:80/",
    ],
)  # fmt: skip
def test_outgoing_addresses_are_https_or_loopback(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "/events", "https://", "https:///x", "ftp://example.com/", "file:///x",
        "http://example.com/", "http://localhost.example.com/", "http://127.1/",
        "http://127.0.0.1@example.com/", "https://hunter2@example.com/", "https://a:b@example.com/",
        "https://example.com:0/", "https://example.com:hunter2/", "https://example.com:99999/",
        "https://[hunter2/", "https://example.com/\nx", "https://example.com/ x",
        " https://example.com/", "https://example.com/#hunter2",
    ],
)  # fmt: skip
def test_other_outgoing_addresses_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        check_url(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
