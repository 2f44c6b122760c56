"""What a reload must not do to a batch that is under way: lose it, or end what sends it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.support.processes import Installation, eventually
from tests.support.recording_destination import RecordingDestination
from tests.support.serial_sender import SerialSender
from tests.system.test_reload import HOOK, body, lines


@contextmanager
def hanging(installation: Installation, sender: SerialSender) -> Iterator[str]:
    """Yield the section of a destination that has taken a request and never answers."""
    with ExitStack() as held, socket.create_server(("127.0.0.1", 0)) as silent:
        section = HOOK.replace("127.0.0.1:9", f"127.0.0.1:{silent.getsockname()[1]}")
        installation.configure(section + installation.file_destination("other"))
        installation.start().wait_ready()
        sender.send(0, body(0))
        silent.settimeout(10)
        held.enter_context(silent.accept()[0])
        yield section


def test_two_changes_of_the_lanes_in_a_row_keep_every_event(
    installation: Installation, sender: SerialSender
) -> None:
    """The second one is declared while the drain of the first one begins."""
    with RecordingDestination() as hook, hanging(installation, sender) as section:
        process = installation.processes[-1]
        other = installation.file_destination("other")
        installation.configure(section + "lanes = 2\n" + other)
        process.signal(signal.SIGHUP)
        lanes = "SELECT lanes FROM destinations WHERE name = 'hook'"
        eventually(lambda: installation.value(lanes) == 2, "the first is declared")
        answering = HOOK.replace("http://127.0.0.1:9/x", hook.url)
        installation.configure(answering + "lanes = 4\n" + other)
        process.signal(signal.SIGHUP)
        eventually(
            lambda: len(lines(installation, "reload.done")) == 2, "both are done", seconds=30
        )
        for number in range(1, 20):
            sender.send(number, body(number))
        # Not by the cursors: those of the former lanes stay for a while.
        expected = {f"event-{number}" for number in range(20)}
        eventually(
            lambda: expected == {event["id"] for one in hook.deliveries for event in one.events},
            "all is delivered",
        )
        process.stop()


def test_a_destination_that_is_forgotten_while_a_reload_waits_ends_no_service(
    installation: Installation, sender: SerialSender
) -> None:
    """It is not configured any more from the first half of the reload on."""
    with hanging(installation, sender):
        process = installation.processes[-1]
        installation.configure(installation.file_destination())
        process.signal(signal.SIGHUP)
        configured = "SELECT max(configured) FROM destinations WHERE name <> 'archive'"
        eventually(lambda: installation.value(configured) == 0, "they are not configured")
        assert installation.command("destination", "forget", "other", "--yes").returncode == 0
        for number in range(1, 4):
            sender.send(number, body(number))
        eventually(lambda: bool(lines(installation, "reload.done")), "it is done", seconds=30)
        eventually(lambda: installation.is_drained("archive"), "the rest is drained")
        assert not lines(installation, "service.failed")
        process.stop()
