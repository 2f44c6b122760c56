"""Nobody's address, no secret and no body leaves by way of logs, metrics or status.

Canaries are put wherever a fault could pick them up and carry them out: keys, tokens, bodies,
paths, headers, and the answers of a destination that repeats what it was sent.
"""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.support.processes import Installation, ask, ask_admin, eventually
from tests.support.recording_destination import Answer, RecordingDestination
from tests.support.serial_sender import SerialSender

ADDRESS = "canary-person@example.com"
BODY = "canary-body-text"
KEY = "canary-signing-key"
TOKEN = "canary-bearer-token"
OUTGOING_KEY = "whsec_Y2FuYXJ5LW91dGdvaW5nLWtleS0wMDAw"
CANARIES = (ADDRESS, BODY, KEY, TOKEN, OUTGOING_KEY, "Y2FuYXJ5", "canary-")


def event(event_id: str, text: str = BODY) -> bytes:
    data = {"identifiers": {"email": ADDRESS}, "recipient": ADDRESS, "content": text}
    kind = {"object_type": "email", "metric": "sent", "timestamp": 1_750_000_000}
    return json.dumps({"event_id": event_id, **kind, "data": data}).encode()


GARBAGE = (
    b'{"event_id":"x","data":"' + BODY.encode() + b" " + ADDRESS.encode(),
    b'["' + ADDRESS.encode() + b'"]',
    b'{"event_id":["' + ADDRESS.encode() + b'"]}',
    b'{"event_id":"' + ADDRESS.encode() * 40 + b'","object_type":"' + BODY.encode() * 20 + b'"}',
    b'{"event_id":"x\xff' + BODY.encode() + b'"}',
    b'{"event_id":"big-number","timestamp":1e999,"object_type":"' + BODY.encode() + b'"}',
    b"[" * 3000 + BODY.encode(),
)


def echo(status: int) -> Callable[[int, bytes], Answer]:
    """Answer with what was sent, as error pages do."""
    return lambda number, request: (status, request)


def configure(installation: Installation, url: str) -> None:
    directory = installation.directory
    for name, secret in (("canary", KEY), ("token", TOKEN), ("outgoing", OUTGOING_KEY)):
        (directory / name).write_text(secret)
    installation.configure(
        installation.file_destination()
        + f'[destinations.hook]\nkind = "http"\nurl = "{url}"\nbackoff_base_seconds = 0.02\n'
        f'bearer_token = {{ file = "{directory}/token" }}\n'
        f'signing_key = {{ file = "{directory}/outgoing" }}\n',
        sources=f'signing_keys = [{{ file = "{directory}/canary" }}]',
    )


def shown(installation: Installation) -> str:
    """Return what the service shows: metrics and status, over the admin listener."""
    pages = [ask_admin(installation, path) for path in ("/metrics", "/api/status")]
    assert [status for status, _ in pages] == [200, 200]
    return b"".join(page for _, page in pages).decode()


def state(installation: Installation) -> object:
    return installation.value("SELECT state FROM cursors WHERE destination = 'hook'")


def test_no_fault_carries_an_address_a_secret_or_a_body_out(tmp_path: Path) -> None:
    pages: list[str] = []
    with Installation(tmp_path) as installation, RecordingDestination(echo(503)) as hook:
        configure(installation, hook.url)
        process = installation.start()
        sender = SerialSender(installation.url, KEY.encode())

        sender.send(1, event("one"))
        eventually(lambda: state(installation) == "waiting", "a 503 with an echo")
        pages.append(shown(installation))

        assert sender.once(event("two"), key=b"canary-wrong-key") == "status 503"
        sender.send(2, event("one", BODY + " changed"))  # the id with another body
        for number, garbage in enumerate(GARBAGE):
            sender.send(3 + number, garbage)
        _talk_nonsense(installation)

        for status in (401, 302, 413, 422):
            hook.answer = echo(status)
            before = len(hook.deliveries)
            process.signal(signal.SIGHUP)
            eventually(partial(_more_than, before, lambda: len(hook.deliveries)), "another attempt")
            eventually(partial(_is_held, installation), f"held after {status}")
            pages.append(shown(installation))

        for mistake in _mistakes(installation):
            installation.config_file.write_text(mistake)
            before = _refusals(installation)
            process.signal(signal.SIGHUP)
            eventually(partial(_more_than, before, partial(_refusals, installation)), "refused")
            refused = installation.command("check")
            pages += [refused.stdout, refused.stderr]
        pages.append(shown(installation))
        sender.close()
        process.stop()
        pages.append(installation.log())
        # One of the seven can be read; the changed repeat is there in its place.
        assert installation.value("SELECT count(*) FROM quarantine") == len(GARBAGE)
    found = {canary for canary in CANARIES for page in pages if canary in page}
    assert not found, [line for page in pages for line in page.splitlines() if "canary-" in line]


def _more_than(before: int, count: Callable[[], int]) -> bool:
    return count() > before


def _is_held(installation: Installation) -> bool:
    return state(installation) == "held"


def _refusals(installation: Installation) -> int:
    return installation.log().count("reload.refused")


def _talk_nonsense(installation: Installation) -> None:
    """Make calls that are refused before anything is verified."""
    ask(installation.port, f"/webhooks/{ADDRESS}", method="POST", body=event("three"))
    ask(installation.port, f"/{BODY}?key={KEY}")
    with socket.create_connection(("127.0.0.1", installation.port), 10) as connection:
        connection.sendall(f"POST /webhooks/customerio HTTP/9.9 {ADDRESS}\r\n\r\n".encode())
        connection.recv(1000)


def _mistakes(installation: Installation) -> list[str]:
    """Write configurations that hold a secret in the wrong place."""
    good = installation.config_file.read_text()
    return [
        good.replace("signing_keys = [{", f'signing_keys = ["{KEY}", {{'),
        good.replace("bearer_token = {", f'bearer_token = "{TOKEN}"\nsigning_kye = {{'),
        good + f'\n[destinations.other]\nkind = "http"\nurl = "ftp://user:{TOKEN}@example.com/"\n',
        good + f'\nsigning_key = "{KEY}" "{ADDRESS}"\n',
    ]
