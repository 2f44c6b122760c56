"""Nobody's address, no secret and no token leaves by way of logs, alarms, metrics or status.

What answers here is not Adobe: it says back whatever it was sent, as messages of errors, where
Adobe's own words are shown to operators.
"""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from tests.support.processes import KEY, Installation, ask_admin, eventually
from tests.support.serial_sender import SerialSender

ADDRESS = "canary-person@example.com"
PHONE = "+447700900987"
SECRET = "canary-client-secret"
TOKEN = "canary-access-token"
INLET = "canaryinlet0123"
CANARIES = ("canary-person", quote(ADDRESS), PHONE, SECRET, TOKEN, INLET)

WORDS = (
    f"[{ADDRESS}] is not a valid URI at /identityMap; {quote(ADDRESS)} {PHONE} <{ADDRESS}>; "
    "string [canary-person] does not match pattern ^x$"
)


def event(number: int) -> bytes:
    data = {"identifiers": {"email": ADDRESS}, "recipient": ADDRESS, "delivery_id": f"d{number}"}
    kind = {"object_type": "email", "metric": "sent", "timestamp": 1_750_000_000}
    return json.dumps({"event_id": f"event-{number}", **kind, "data": data}).encode()


class Echo(ThreadingHTTPServer):
    """Gives tokens and refuses events, each with the answer that the test wants."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked = 0
        self.offered = 0
        self.token: tuple[int, object] = (200, {"access_token": TOKEN, "expires_in": 86399})
        self.status = 503
        self.each = False
        """Answer 207 with the status for each message."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Echo

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.startswith("/ims/"):
            self.server.asked += 1
            self._answer(*self.server.token)
            return
        self.server.offered += 1
        said = {"status": self.server.status, "message": WORDS, "title": body.decode()}
        count = len(json.loads(body)["messages"])
        if self.server.each:
            self._answer(207, {"responses": [said] * count})
        else:
            self._answer(self.server.status, said)

    def _answer(self, status: int, document: object) -> None:
        answer = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def echo() -> Iterator[Echo]:
    server = Echo()
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.05))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def configure(installation: Installation, adobe: Echo) -> None:
    (installation.directory / "secret").write_text(SECRET)
    installation.configure(
        f"""[destinations.lake]
kind = "aep"
inlet_url = "{adobe.url}/collection/{INLET}"
flow_id = "f"
ims_org_id = "o@AdobeOrg"
tenant = "acme"
dataset_id = "d"
schema_id = "https://ns.adobe.com/acme/schemas/1"
client_id = "c"
client_secret = {{ file = "{installation.directory}/secret" }}
ims_url = "{adobe.url}"
backoff_base_seconds = 0.02
backoff_max_seconds = 1
"""
    )


def shown(installation: Installation) -> Iterator[str]:
    """Yield what the running service shows."""
    for path in ("/metrics", "/api/status"):
        yield ask_admin(installation, path)[1].decode()
    yield str(installation.query("SELECT * FROM cursors"))
    yield str(installation.query("SELECT * FROM alarms"))


def test_no_answer_of_adobe_carries_an_address_a_secret_or_a_token_out(tmp_path: Path) -> None:
    pages: list[str] = []
    with Installation(tmp_path) as installation, echo() as adobe:
        configure(installation, adobe)
        installation.environment["STREAMER_LOG__LEVEL"] = "debug"
        process = installation.start()
        sender = SerialSender(installation.url, KEY)

        def again(what: str, has_come: Callable[[], bool]) -> None:
            process.signal(signal.SIGHUP)
            eventually(has_come, what)
            pages.extend(shown(installation))

        for number in range(4):
            sender.send(number + 1, event(number))
        for each in (False, True):
            adobe.each = each
            for status in (503, 400, 401, 404, 422):
                adobe.status, before = status, adobe.offered
                again(f"{status}", partial(_more_than, before, lambda: adobe.offered))
        refusal = {"error": f"invalid_client {SECRET}", "error_description": f"{SECRET} {ADDRESS}"}
        for answer in ((400, refusal), (500, refusal), (200, {"access_token": f"{TOKEN}\r\nX: y"})):
            process.stop()
            adobe.token, before = answer, adobe.asked
            process = installation.start()
            process.wait_ready()
            again("a token that is none", partial(_more_than, before, lambda: adobe.asked))
        for words in (("destination", "test", "lake"), ("status",), ("doctor",)):
            found = installation.command(*words)
            pages += [found.stdout, found.stderr]
        sender.close()
        process.stop()
        pages.append(installation.log())
    assert any("Adobe answered 400" in page for page in pages)
    leaks = {
        (canary, line[:400])
        for canary in CANARIES
        for page in pages
        for line in page.splitlines()
        if canary in line
    }
    assert not leaks


def _more_than(before: int, count: Callable[[], int]) -> bool:
    return count() > before
