"""People run the stand-in from a shell, and it tells them all they need."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

from tests.stand_ins.aep.tokens import FORM

ROOT = Path(__file__).resolve().parent.parent.parent
SECONDS = 20


def run(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.stand_ins.aep", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_says_what_to_configure_logs_requests_and_stops_at_once() -> None:
    with run("--port", "0", "--tenant", "widgets") as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Stop with"):
            lines.append(process.stdout.readline())
            assert lines[-1], "it ended"
        text = "".join(lines)
        found = dict(re.findall(r'^(\w+) = "(.+)"$', text, re.MULTILINE))
        (secret,) = re.findall(r"ADOBE_CLIENT_SECRET=(\S+)", text)
        address = found["ims_url"].removeprefix("http://")
        connection = HTTPConnection(address, timeout=SECONDS)
        credentials = f"client_id={found['client_id']}&client_secret={secret}&scope=openid"
        body = f"grant_type=client_credentials&{credentials}"
        connection.request("POST", "/ims/token/v3", body, {"Content-Type": FORM})
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert found["tenant"] == "widgets"
    assert f"streamer aep setup --org {found['ims_org_id']} --client-id" in text
    assert "Adobe's own schemas are" in text
    assert "/widgets/schemas/" in found["schema_id"]
    assert "POST /ims/token/v3 200" in errors
    assert secret not in errors


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with run("--port", str(port)) as process:
            _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert errors.startswith(f"cannot listen at 127.0.0.1:{port}")
    assert "Traceback" not in errors
