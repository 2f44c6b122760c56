"""Where calls go, and what becomes of those that meet no healthy server."""

from __future__ import annotations

import contextlib
import http.server
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.cli.calls import Caller, CallFailed, Place, place_of_bind, place_of_url
from streamer.core.errors import UsageError


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every call with the path and the size of what it was given."""

    protocol_version = "HTTP/1.1"
    hang_up = False

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.rfile.read(size)
        text = f"{self.path} {size}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Streamer-Reason", "none")
        self.end_headers()
        self.wfile.write(text)
        # Closes without having said so, as a server does whose patience with idle callers ends.
        self.close_connection = self.hang_up

    def address_string(self) -> str:
        return "somebody"

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


class HangingUp(Handler):
    """Closes each connection after one answer."""

    hang_up = True


@contextlib.contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
        ("[::]:8080", "http://[::1]:8080/"),
        ("[::1]:80", "http://[::1]/"),
        ("unix:/run/x.sock", "unix:/run/x.sock /"),
    ],
)
def test_a_listener_is_reached_from_its_own_machine(bind: str, url: str) -> None:
    assert place_of_bind(bind).url == url


def test_a_port_that_the_system_chooses_is_not_guessed() -> None:
    with pytest.raises(UsageError, match="port 0"):
        place_of_bind("127.0.0.1:0")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://hooks.example.com", "https://hooks.example.com/webhooks/cio"),
        ("https://hooks.example.com/", "https://hooks.example.com/webhooks/cio"),
        ("hooks.example.com", "https://hooks.example.com/webhooks/cio"),
        ("https://hooks.example.com:8443/in", "https://hooks.example.com:8443/in"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/webhooks/cio"),
        ("unix:/run/x.sock", "unix:/run/x.sock /webhooks/cio"),
    ],
)
def test_a_url_without_a_path_gets_the_sources(text: str, url: str) -> None:
    assert place_of_url(text, source="cio").url == url


@pytest.mark.parametrize("text", ["ftp://x", "https://", "https://x:99999", "https://a b", "[", ""])
def test_what_is_no_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no URL"):
        place_of_url(text, source="cio")


def test_calls_go_into_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    place = Place(scheme="unix", host=path, path="/in")
    with (
        serving(socketserver.ThreadingUnixStreamServer(path, Handler)),
        Caller(place, timeout_seconds=5) as caller,
    ):
        reply = caller.call("POST", body=b"abc")
    assert (reply.status, reply.body, reply.reason) == (200, b"/in 3", "none")


def test_a_kept_connection_that_was_closed_is_opened_anew() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), HangingUp)
    place = Place(scheme="http", host="127.0.0.1", port=server.server_port)
    with serving(server), Caller(place, timeout_seconds=5) as caller:
        replies = [caller.call("POST", f"/{number}", body=b"x") for number in range(3)]
    assert [reply.body for reply in replies] == [b"/0 1", b"/1 1", b"/2 1"]


def test_a_server_that_is_not_there_is_told_with_its_address() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.server_close()
    place = Place(scheme="http", host="127.0.0.1", port=server.server_port)
    with (
        Caller(place, timeout_seconds=5) as caller,
        pytest.raises(CallFailed, match=f"{server.server_port}/: connection refused"),
    ):
        caller.call("POST", body=b"x")
