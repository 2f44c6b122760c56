"""The running service tells what is new, through kills and a full disk, and delivers it all."""

from __future__ import annotations

import json
import signal
from contextlib import closing

from streamer.store import sqlite
from tests.store.build import append, body, event
from tests.support.processes import Installation, eventually
from tests.support.serial_sender import SerialSender

SCORE = "SELECT events FROM drift WHERE path = 'data.score'"


def odd(number: int) -> bytes:
    return b'{"event_id":"%d","object_type":"email","metric":"sent","data":{"score":1}}' % number


def test_what_is_new_is_delivered_and_told_across_a_kill(
    installation: Installation, sender: SerialSender
) -> None:
    installation.configure(installation.file_destination())
    process = installation.start()
    process.wait_ready()
    sender.send(1, odd(1))
    eventually(lambda: installation.value(SCORE) == 1, "it is counted")
    alarm = "SELECT message FROM alarms WHERE code = 'STR-110'"
    eventually(lambda: installation.value(alarm), "the alarm is stored")
    assert installation.value(alarm) == "a field that is new, in the event at position 1"
    process.signal(signal.SIGKILL)
    process.wait()
    process = installation.start()
    sender.send(2, odd(2))
    eventually(lambda: installation.value(SCORE) == 2, "it is counted on")
    eventually(lambda: installation.is_drained("archive"), "all is settled")
    assert process.stop() == 0
    assert [line["data"]["data"]["score"] for line in installation.archived()] == [1, 1]
    (row,) = json.loads(installation.command("catalog", "drift", "--json").stdout)
    assert (row["type"], row["path"], row["event_id"]) == ("email.sent", "data.score", "2")


def test_while_the_disk_is_full_it_writes_nothing(installation: Installation) -> None:
    process = installation.start()
    process.wait_ready()
    assert process.stop() == 0
    with closing(sqlite.open_writer(installation.database)) as db:
        append(db, event(1, body=body("event-1", score=1)))
    usual = installation.config_file.read_text()
    floors = f"ingest_floor_bytes = {2**50}\ndrain_floor_bytes = {2**49}"
    full = usual.replace("ingest_floor_bytes = 1\ndrain_floor_bytes = 0", floors)
    installation.config_file.write_text(full)
    process = installation.start()
    stopped = "SELECT 1 FROM alarms WHERE code = 'STR-202' AND cleared_at IS NULL"
    eventually(lambda: installation.value(stopped), "draining has stopped")
    assert installation.value(SCORE) is None
    installation.config_file.write_text(usual)
    process.signal(signal.SIGHUP)
    eventually(lambda: installation.value(SCORE) == 1, "it goes on when there is room")
    assert process.stop() == 0
