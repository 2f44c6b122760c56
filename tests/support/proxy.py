"""A proxy in front of a service, with TLS or without, that errs in one way at a time."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import ssl
import threading
from collections.abc import Iterator

UPSTREAM_SECONDS_MAX = 10.0


class Proxy:
    """What it does; may be changed between calls."""

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.url = ""
        self.body_bytes_max: int | None = None
        """Larger bodies are answered 413, as nginx does at 1 MiB unless told otherwise."""
        self.adds_to_body = b""
        self.absence_status = 502
        """The answer when the service does not listen."""
        self.refuses: dict[str, int] = {}
        """Answers of its own, by the beginning of the path."""


@contextlib.contextmanager
def proxying(upstream_port: int, context: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """Run a proxy on a port of its own."""
    proxy = Proxy(upstream_port)
    handler = type("ProxyHandler", (_Handler,), {"proxy": proxy})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if context is not None:
        # The handshake happens in the thread of the connection, not in the one that accepts.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    scheme = "https" if context is not None else "http"
    proxy.url = f"{scheme}://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def handle(self) -> None:
        # A caller that only looks at the certificate ends the connection without a request.
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        limit = self.proxy.body_bytes_max
        for beginning, status in self.proxy.refuses.items():
            if self.path.startswith(beginning):
                return self._answer(status, {}, b"")
        if limit is not None and len(body) > limit:
            return self._answer(413, {}, b"")
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in {"host", "connection", "content-length"}
        }
        upstream = http.client.HTTPConnection(
            "127.0.0.1", self.proxy.upstream_port, timeout=UPSTREAM_SECONDS_MAX
        )
        with contextlib.closing(upstream):
            try:
                upstream.request(self.command, self.path, body + self.proxy.adds_to_body, headers)
                answer = upstream.getresponse()
                content = answer.read()
            except OSError:
                return self._answer(self.proxy.absence_status, {}, b"")
            return self._answer(answer.status, dict(answer.getheaders()), content)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"connection", "content-length", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""
