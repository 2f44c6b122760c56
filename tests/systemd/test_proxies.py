"""The shipped Caddy and nginx sites, run by the real programs on loopback.

Customer.io takes a 500, a 502, a refused and a broken connection as a reason to
wait an hour, so what matters is what a sender sees while streamer is away, and
that what it signed arrives unchanged.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

SITES = Path(__file__).parents[2] / "systemd"
HOST = "hooks.example.com"
MEBIBYTE = 2**20


class Request(NamedTuple):
    """What arrived at the upstream."""

    headers: dict[str, str]
    body: bytes


class Upstream:
    """Stands where streamer does; it can be absent, silent, or cut callers off."""

    def __init__(self) -> None:
        self.port = _free_port()
        self._server: ThreadingHTTPServer | None = None
        self._connections: list[socket.socket] = []
        self.reset()

    def reset(self) -> None:
        """Forget what arrived, and answer 200 again."""
        self.requests: list[Request] = []
        self.status = 200
        self.silent = False
        self.cuts_off = False

    def start(self) -> None:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                upstream._connections.append(self.connection)

            def do_POST(self) -> None:
                if upstream.cuts_off:
                    self.close_connection = True
                    return
                upstream.requests.append(Request(dict(self.headers.items()), _body_of(self)))
                if upstream.silent:
                    self.connection.recv(1)  # until the proxy gives up
                    self.close_connection = True
                    return
                self.send_response(upstream.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_POST  # noqa: N815 - the name is http.server's

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = False
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Go away, and take the kept connections along, as a process does."""
        assert self._server is not None
        self._server.shutdown()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()
        # Waits for the threads, which have nothing left to read.
        self._server.server_close()
        self._server = None


def _body_of(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
    body = bytearray()
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return bytes(body)


class Site:
    """A proxy serving the site over TLS, as a sender sees it."""

    def __init__(self, proxy: str, *, port: int, http_port: int, trust: ssl.SSLContext) -> None:
        self.proxy = proxy
        self.port = port
        self.http_port = http_port
        self._trust = trust

    def send(
        self,
        body: bytes | Iterator[bytes] = b"{}",
        *,
        path: str = "/webhooks/customerio",
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> http.client.HTTPResponse:
        with closing(http.client.HTTPConnection(HOST)) as connection:
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=15)
            connection.sock = self._trust.wrap_socket(plain, server_hostname=HOST)
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            response.read()
        return response


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@contextmanager
def _running(command: list[str], directory: Path, ports: list[int]) -> Iterator[None]:
    """Run a proxy until the end of the block; it is up when it takes connections."""
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env={"PATH": os.environ["PATH"], "HOME": str(directory)},
        )
    try:
        for port in ports:
            _wait_for(port, process, log)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while not _accepts(port):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"the proxy did not start:\n{log.read_text()}")
        # The proxy says nothing when it is ready; the only signal is that it accepts.
        threading.Event().wait(0.02)


@contextmanager
def _nginx(site: str, directory: Path, ports: list[int]) -> Iterator[None]:
    temporary = "\n".join(
        f"{kind}_temp_path {directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"pid {directory}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}\n{site}\n}}\n"
    )
    # Started as root it would become another user, who may not look into the directory.
    user = " user root;" if os.getuid() == 0 else ""
    command = [
        "nginx",
        "-c",
        f"{directory}/nginx.conf",
        "-p",
        str(directory),
        "-g",
        f"daemon off;{user}",
    ]
    with _running(command, directory, ports):
        yield


@contextmanager
def _caddy(site: str, directory: Path, ports: list[int]) -> Iterator[None]:
    (directory / "Caddyfile").write_text(site)
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", f"{directory}/Caddyfile"]
    with _running(command, directory, ports):
        yield


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def proxied(
    request: pytest.FixtureRequest,
    authority: trustme.CA,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Site, Upstream]]:
    """The shipped site, changed in nothing but names, ports and certificate."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed (apt-get install {request.param})")
    directory = tmp_path_factory.mktemp(request.param)
    upstream = Upstream()
    port, http_port = _free_port(), _free_port()

    certificate = authority.issue_cert(HOST)
    chain, key = directory / "chain.pem", directory / "key.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)

    if request.param == "nginx":
        site = (SITES / "nginx-streamer.conf").read_text()
        changes = {
            "127.0.0.1:8080": f"127.0.0.1:{upstream.port}",
            "listen 443 ": f"listen 127.0.0.1:{port} ",
            "listen [::]:443 ": f"listen [::1]:{port} ",
            "listen 80;": f"listen 127.0.0.1:{http_port};",
            "listen [::]:80;": f"listen [::1]:{http_port};",
            f"/etc/letsencrypt/live/{HOST}/fullchain.pem": str(chain),
            f"/etc/letsencrypt/live/{HOST}/privkey.pem": str(key),
        }
        run = _nginx
    else:
        options = f"{{\n\tadmin off\n\thttp_port {http_port}\n\thttps_port {port}\n}}\n"
        site = options + (SITES / "Caddyfile").read_text()
        changes = {
            "127.0.0.1:8080": f"127.0.0.1:{upstream.port}",
            f"\n{HOST} {{": f"\n{HOST} {{\n\ttls {chain} {key}\n\tbind 127.0.0.1",
        }
        run = _caddy
    for shipped, here in changes.items():
        assert shipped in site
        site = site.replace(shipped, here)

    with run(site, directory, [port, http_port]):
        yield Site(request.param, port=port, http_port=http_port, trust=trust), upstream


@pytest.fixture
def absent(proxied: tuple[Site, Upstream]) -> Site:
    """A site whose upstream does not listen."""
    return proxied[0]


@pytest.fixture
def upstream(proxied: tuple[Site, Upstream]) -> Iterator[Upstream]:
    upstream = proxied[1]
    upstream.reset()
    upstream.start()
    yield upstream
    upstream.stop()


@pytest.fixture
def site(proxied: tuple[Site, Upstream], upstream: Upstream) -> Site:
    """A site whose upstream is there."""
    return proxied[0]


class TestUpstreamIsThere:
    @pytest.mark.parametrize(
        "body",
        [
            b'{"b": 1,\r\n\t"a":"\xc3\xa9 \\u00e9"}',
            b"",
            b"\x00\xff\x1f\x8b not text",
            os.urandom(40 * MEBIBYTE),
        ],
        ids=["json", "empty", "binary", "larger than the hard cap"],
    )
    def test_the_body_arrives_byte_for_byte(
        self, site: Site, upstream: Upstream, body: bytes
    ) -> None:
        assert site.send(body).status == 200
        assert upstream.requests[-1].body == body

    def test_a_body_without_a_length_arrives_whole(self, site: Site, upstream: Upstream) -> None:
        chunks = [b"{" + b" " * 70_000, b"}"]
        assert site.send(iter(chunks)).status == 200
        assert upstream.requests[-1].body == b"".join(chunks)

    def test_a_packed_body_is_not_unpacked(self, site: Site, upstream: Upstream) -> None:
        site.send(b"\x1f\x8b...", headers={"Content-Encoding": "gzip"})
        assert upstream.requests[-1].body == b"\x1f\x8b..."
        assert upstream.requests[-1].headers["Content-Encoding"] == "gzip"

    def test_the_signature_headers_arrive(self, site: Site, upstream: Upstream) -> None:
        site.send(headers={"X-CIO-Signature": "ab" * 32, "X-CIO-Timestamp": "1795456656"})
        arrived = {name.lower(): value for name, value in upstream.requests[-1].headers.items()}
        assert arrived["x-cio-signature"] == "ab" * 32
        assert arrived["x-cio-timestamp"] == "1795456656"

    def test_what_a_caller_says_about_where_it_comes_from_is_dropped(
        self, site: Site, upstream: Upstream
    ) -> None:
        lie = "192.0.2.66"
        site.send(
            headers={
                "Forwarded": f"for={lie}",
                "X-Forwarded-For": lie,
                "X-Forwarded-Host": lie,
                "X-Forwarded-Proto": lie,
                "X-Real-IP": lie,
            }
        )
        arrived = upstream.requests[-1].headers
        assert not [name for name, value in arrived.items() if lie in value]
        assert arrived["X-Forwarded-For"] == "127.0.0.1"
        assert arrived["X-Forwarded-Proto"] == "https"
        assert arrived["Host"] == HOST

    @pytest.mark.parametrize("status", [200, 401, 404, 405, 503])
    def test_what_streamer_answers_is_passed_on(
        self, site: Site, upstream: Upstream, status: int
    ) -> None:
        upstream.status = status
        assert site.send().status == status

    @pytest.mark.parametrize("path", ["/livez", "/readyz"])
    def test_a_monitor_outside_can_ask_for_health(
        self, site: Site, upstream: Upstream, path: str
    ) -> None:
        assert site.send(b"", path=path, method="GET").status == 200
        assert len(upstream.requests) == 1

    @pytest.mark.parametrize("path", ["/", "/metrics", "/admin/", "/webhooks", "/livez/x"])
    def test_other_paths_never_reach_streamer(
        self, site: Site, upstream: Upstream, path: str
    ) -> None:
        assert site.send(b"", path=path, method="GET").status == 404
        assert upstream.requests == []


class TestUpstreamIsAway:
    @pytest.mark.parametrize("size", [2, 200_000], ids=["small", "large"])
    def test_the_sender_is_told_to_try_again(self, absent: Site, size: int) -> None:
        response = absent.send(b" " * size)
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0

    def test_the_sender_of_a_huge_body_can_write_it_to_the_end(self, absent: Site) -> None:
        if absent.proxy == "caddy":
            pytest.skip("Caddy closes on a sender that has more than 256 KiB left to write")
        assert absent.send(b" " * (40 * MEBIBYTE)).status == 503

    def test_a_caller_that_is_cut_off_upstream_is_answered(
        self, site: Site, upstream: Upstream
    ) -> None:
        upstream.cuts_off = True
        response = site.send()
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0

    def test_silence_is_answered_before_the_sender_gives_up(
        self, site: Site, upstream: Upstream
    ) -> None:
        upstream.silent = True
        began = time.monotonic()
        response = site.send()
        waited_seconds = time.monotonic() - began
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        # Not before streamer's own limit of 3 s, and before Customer.io's of 4 s.
        assert 3 < waited_seconds < 4

    def test_plain_http_is_sent_on_to_tls(self, absent: Site) -> None:
        plain = http.client.HTTPConnection("127.0.0.1", absent.http_port, timeout=15)
        with closing(plain) as connection:
            connection.request("POST", "/webhooks/customerio", b"{}", {"Host": HOST})
            response = connection.getresponse()
        assert response.status == 308
        assert response.headers["Location"].startswith(f"https://{HOST}")
