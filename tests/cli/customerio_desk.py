"""A person who sets a webhook up: an empty directory, a workspace, and real processes."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from streamer.clock import SystemClock
from tests.stand_ins.customerio import CustomerIo, Webhook, customerio_stand_in
from tests.support.processes import ask, eventually
from tests.support.service import clean_environment

# The shell opens the terminal anew in its own session, which makes it the one for passwords.
_AT_TERMINAL = 'exec "$@" <"$0" >"$0" 2>&1'
SECONDS_MAX = 30.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


class Running:
    """One process, and what it has written."""

    def __init__(self, process: subprocess.Popen[bytes], output: int) -> None:
        self.process = process
        self.written = b""
        self._output = output
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._output, 65_536)
            except OSError:  # a terminal whose last program has ended
                return
            if not chunk:
                return
            self.written += chunk

    @property
    def text(self) -> str:
        """All that was written so far, on lines of any length."""
        return " ".join(self.written.decode(errors="replace").split())

    def wait_for(self, pattern: str) -> str:
        """Wait until something is written; return it."""

        def look() -> re.Match[str] | None:
            is_over = not self._reader.is_alive()
            found = re.search(pattern, self.text)
            assert found or not is_over, self.text
            return found

        return eventually(look, f"{pattern!r}", seconds=SECONDS_MAX)[0]  # type: ignore[index]  # it is true

    def type(self, line: str) -> None:
        """Type a line at the terminal."""
        os.write(self._output, f"{line}\n".encode())

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and all that was written."""
        code = self.process.wait(SECONDS_MAX)
        self._reader.join(SECONDS_MAX)
        return code, self.text

    def kill(self) -> None:
        """End it in any case."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._output)


class Person:
    """Has a directory, keys in files, a workspace of Customer.io, and a public URL."""

    def __init__(self, directory: Path, customerio: CustomerIo, portal: BlockingPortal) -> None:
        self.directory = directory / "empty"
        self.directory.mkdir()
        self.customerio = customerio
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config_file = self.directory / "streamer.toml"
        self.data_dir = self.directory / "streamer-data"
        self.key_file = directory / "app-api-key"
        self.key_file.write_text(customerio.app_api_key + "\n")
        self.key_file.chmod(0o600)
        self.signing_key_file = directory / "signing-key"
        self.environment = clean_environment(
            {
                "STREAMER_SERVER__BIND": f"127.0.0.1:{self.port}",
                "STREAMER_ADMIN__BIND": "127.0.0.1:0",
                "STREAMER_SERVER__LAME_DUCK_SECONDS": "0",
            }
        )
        self._portal = portal
        self._running: list[Running] = []

    def start(self, *arguments: str, **environment: str) -> Running:
        """Start a command without a terminal."""
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "streamer", *arguments],
            cwd=self.directory,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
        )
        os.close(writing)
        return self._note(Running(process, reading))

    def start_at_terminal(self, *arguments: str) -> Running:
        """Start a command at a terminal of its own."""
        ours, theirs = os.openpty()
        command = ["/bin/sh", "-c", _AT_TERMINAL, os.ttyname(theirs)]
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "streamer", *arguments],
            cwd=self.directory,
            env={**self.environment, "TERM": "xterm", "COLUMNS": "200"},
            start_new_session=True,
        )
        running = self._note(Running(process, ours))
        running.wait_for(".")  # by then the shell has the terminal
        os.close(theirs)
        return running

    def setup_arguments(self, *further: str) -> list[str]:
        """What setup is called with."""
        key = ["--app-api-key-file", str(self.key_file)]
        where = ["--url", self.url, "--app-api-url", self.customerio.url]
        return ["customerio", "setup", *where, *key, *further]

    def setup(self, *further: str, **environment: str) -> Running:
        """Start setup, with the App API key in its file."""
        return self.start(*self.setup_arguments(*further), **environment)

    def serve(self) -> Running:
        """Start the service and wait until it is ready."""
        running = self.start("serve")
        running.wait_for("service.started")
        eventually(lambda: ask(self.port, "/readyz")[0] == 200, "ready")
        return running

    def stop(self, running: Running) -> str:
        """Stop a service properly; return what it has written."""
        running.process.send_signal(signal.SIGTERM)
        code, text = running.end()
        assert code == 0, text
        return text

    @property
    def webhook(self) -> Webhook:
        """The only webhook of the workspace."""
        [webhook] = self.customerio.webhooks
        return webhook

    def make_in_product(self, **fields: object) -> None:
        """Make a webhook by hand."""
        self._portal.call(partial(self.customerio.create, **fields))

    def delete_in_product(self) -> None:
        """Delete every webhook by hand."""
        self.customerio.workspace.webhooks.clear()

    def copy_signing_key(self) -> list[str]:
        """Copy the key from the webhook's page into a file; return the option that names it."""
        self.signing_key_file.write_text(self.webhook.signing_key)
        return ["--signing-key-file", str(self.signing_key_file)]

    def make_webhook(self) -> list[str]:
        """Go as far as one can without the signing key; return the option that names it then."""
        code, text = self.setup().end()
        assert code == 2, text
        assert "there is no signing key" in text
        return self.copy_signing_key()

    def press_send_test(self) -> str | None:
        """Press the button; return why the call failed, None when it was acknowledged."""
        return self._portal.call(self.customerio.send_test, self.webhook)

    def let_happen(self, events: Sequence[Mapping[str, Any]]) -> int:
        """Let events happen to people; return how many calls follow, when all were made."""
        calls: int = self._portal.call(self.customerio.happen, *events)
        self._portal.call(self.customerio.idle)
        return calls

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Look into the database."""
        with closing(sqlite3.connect(self.data_dir / "streamer.db")) as db:
            return db.execute(statement).fetchall()

    def end(self) -> None:
        """End whatever still runs."""
        for running in self._running:
            running.kill()

    def _note(self, running: Running) -> Running:
        self._running.append(running)
        return running


@contextmanager
def person_with_workspace(directory: Path, *, region: str = "us") -> Iterator[Person]:
    """Let there be a person, with a workspace that answers beside the test."""
    with start_blocking_portal() as portal:
        stand_in = customerio_stand_in(clock=SystemClock(), region=region)
        with portal.wrap_async_context_manager(stand_in) as customerio:
            person = Person(directory, customerio, portal)
            try:
                yield person
            finally:
                person.end()
