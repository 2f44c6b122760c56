"""Every promise has a check that notices when the program is broken in that place on purpose.

Each mutation is a change of text in a copy of the program, which must be found exactly once; the
check that it names must then fail, as it must pass on the program as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.system.promises import CHECKS, check

REPOSITORY = Path(__file__).parents[2]


class Mutation(NamedTuple):
    """One way to break the program."""

    name: str
    check: str
    file: str
    old: str
    new: str
    further: tuple[tuple[str, str, str], ...] = ()
    """More changes that belong to it: file, old, new."""


SETTLE = """            outcomes = await self._send(batch)
            shared.pace.give_back(sum(said.scope is Scope.UNSENT for said in outcomes))
            duration_ms = round((shared.clock.monotonic() - began) * 1000)
            if await self._conclude(batch, outcomes, moment, duration_ms):
                return True
"""
SETTLE_FIRST = """            duration_ms = round((shared.clock.monotonic() - began) * 1000)
            from streamer.core.outcome import ACCEPTED
            ours = await self._conclude(batch, [ACCEPTED] * len(batch), moment, duration_ms)
            await self._send(batch)
            if ours:
                return True
"""

MUTATIONS = (
    Mutation(
        "acknowledge before the commit",
        "p1_answered_means_committed",
        "ingest/front.py",
        "kept = await self._writer.append(arrival)",
        "self._writer.append(arrival).add_done_callback(lambda one: one.cancelled() or "
        "one.exception()); kept = Kept.STORED",
    ),
    Mutation(
        "acknowledge what was rolled back",
        "p1_answered_means_committed",
        "store/group.py",
        'db.execute("COMMIT")',
        'db.execute("ROLLBACK")',
    ),
    Mutation(
        "leave syncing to the system, unnoticed by the reading back",
        "p1_commits_are_synced",
        "store/sqlite.py",
        '"synchronous = FULL", "synchronous", 2',
        '"synchronous = OFF", "synchronous", 0',
    ),
    Mutation(
        "leave syncing to the system",
        "p1_answered_means_committed",
        "store/sqlite.py",
        '"synchronous = FULL", "synchronous", 2',
        '"synchronous = NORMAL", "synchronous", 2',
    ),
    Mutation(
        "prune what is old, settled or not",
        "p1_nothing_unsettled_is_pruned",
        "store/prune.py",
        "    horizon = _horizon(db, older_than)\n",
        "    horizon = 2**60\n",
    ),
    Mutation(
        "read the newest first",
        "p2_order_holds_through_deferrals",
        "store/outbox.py",
        '{further} ORDER BY position LIMIT ?"',
        '{further} ORDER BY position DESC LIMIT ?"',
    ),
    Mutation(
        "go on beyond what was deferred",
        "p2_order_holds_through_deferrals",
        "core/drain.py",
        "    events = redo or events\n",
        "    events = events[track.attempt :] or redo\n",
    ),
    Mutation(
        "pass what is not settled",
        "p3_the_cursor_stops_at_what_is_deferred",
        "core/settlement.py",
        "    position = remaining[0].position - 1 if remaining else window.through\n",
        "    position = window.through\n",
    ),
    Mutation(
        "forget what was accepted beyond the cursor",
        "p3_the_cursor_stops_at_what_is_deferred",
        "core/settlement.py",
        "for at in progress.ahead | settled if at > position)",
        "for at in () if at > position)",
    ),
    Mutation(
        "move the cursor before the answer",
        "p3_the_cursor_waits_for_the_answer",
        "drain/track.py",
        SETTLE,
        SETTLE_FIRST,
    ),
    Mutation(
        "take an error for an acceptance",
        "p3_an_error_of_a_destination_settles_nothing",
        "drain/track.py",
        '        return [deferred("internal", reason)] * len(batch)\n',
        "        from streamer.core.outcome import ACCEPTED\n"
        "        return [ACCEPTED] * len(batch)\n",
    ),
    Mutation(
        "overwrite what an operator did",
        "p3_an_operator_is_not_overwritten",
        "store/settling.py",
        "    if stands_at != cursor.progress:",
        "    if False:",
        further=(
            (
                "store/cursors.py",
                "FROM cursors WHERE id = ? AND generation = ?",
                "FROM cursors WHERE id = ? AND generation >= ?",
            ),
            (
                "store/cursors.py",
                "moved_at = ?\nWHERE id = ? AND generation = ?",
                "moved_at = ?\nWHERE id = ? AND generation >= ?",
            ),
        ),
    ),
    Mutation(
        "store repeats again",
        "p4_a_repeat_is_stored_once",
        "store/outbox.py",
        "    if found is None:\n",
        "    if True:\n",
    ),
    Mutation(
        "store repeats again, without the index that forbids it",
        "p4_a_repeat_is_stored_once",
        "store/outbox.py",
        "    if found is None:\n",
        "    if True:\n",
        (
            (
                "../migrations/0001_outbox.sql",
                "CREATE UNIQUE INDEX outbox_by_event_id",
                "CREATE INDEX outbox_by_event_id",
            ),
        ),
    ),
    Mutation(
        "take a changed repeat for a repeat",
        "p4_a_repeat_is_stored_once",
        "store/outbox.py",
        "if event.event_id == TEST_EVENT_ID or same_event(found[0].encode(), event.body):",
        "if True:",
    ),
    Mutation(
        "forget garbage",
        "p5_signed_garbage_is_kept",
        "store/outbox.py",
        "            quarantine.keep(db, arrival, bytes_max=quarantine_bytes_max)\n",
        "            pass\n",
    ),
    Mutation(
        "refuse garbage",
        "p5_signed_garbage_is_kept",
        "ingest/front.py",
        "        return answers.KEPT\n",
        "        return answers.KEPT if kept is not Kept.QUARANTINED else answers.BAD_FRAMING\n",
    ),
    Mutation(
        "answer 500 where we are at fault",
        "p6_no_answer_costs_a_genuine_sender_an_hour",
        "ingest/answers.py",
        "    return _answer(503, reason,",
        "    return _answer(500, reason,",
    ),
    Mutation(
        "take any signature",
        "p6_no_answer_costs_a_genuine_sender_an_hour",
        "ingest/front.py",
        "        if not running.matches():\n",
        "        if False:\n",
    ),
    Mutation(
        "answer 401 to a key that was changed",
        "p6_no_answer_costs_a_genuine_sender_an_hour",
        "ingest/front.py",
        "return answers.SIGNATURE_REFUSED if refuse else",
        "return answers.SIGNATURE_REFUSED if not refuse else",
    ),
    Mutation(
        "let an error out to the server",
        "p6_no_answer_costs_a_genuine_sender_an_hour",
        "ingest/front.py",
        "        except Exception as error:  # any other answer than a 503 would cost an hour\n",
        "        except ZeroDivisionError as error:\n",
    ),
    Mutation(
        "drop what is refused",
        "p7_what_is_refused_for_good_is_buried",
        "store/settling.py",
        "    if settlement.buried:\n        dead_letters",
        "    if False:\n        dead_letters",
    ),
    Mutation(
        "pour a refusal of everything into the dead letters",
        "p7_a_refusal_of_everything_is_held",
        "core/conclusion.py",
        "    proven = [suspect for suspect in suspects if at_once or suspect.refused_at < proof]\n",
        "    proven = list(suspects)\n",
    ),
    Mutation(
        "deliver under another id",
        "p8_a_delivery_carries_the_event_id",
        "core/cloudevents.py",
        "        id=event.event_id,\n",
        "        id=str(event.position),\n",
    ),
    Mutation(
        "replay with the live cursor",
        "a_replay_leaves_the_live_cursor_alone",
        "drain/supervisor.py",
        "cursors.load(db, self.name, replay_id=replay_id)",
        "cursors.load(db, self.name)",
    ),
)


@pytest.mark.anyio
@pytest.mark.parametrize("name", CHECKS)
async def test_the_promise_holds(name: str) -> None:
    await check(name)


def test_every_check_has_a_mutation_that_it_notices() -> None:
    assert {mutation.check for mutation in MUTATIONS} == set(CHECKS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_breaking_it_is_noticed(mutation: Mutation, tmp_path: Path) -> None:
    for part in ("streamer", "migrations"):
        shutil.copytree(
            REPOSITORY / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file, old, new in ((mutation.file, mutation.old, mutation.new), *mutation.further):
        _change(tmp_path / "streamer" / file, old, new)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "STREAMER_WAIT_SECONDS": "2",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.promises", mutation.check],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    # Anything but the check's own word, such as a program that does not even start, proves nothing.
    assert done.stdout.startswith(f"broken {mutation.check}: "), done.stdout + done.stderr
    assert done.returncode == 1


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} has changed: write the mutation anew"
    changed = text.replace(old, new)
    if path.suffix == ".py":
        compile(changed, path, "exec")
    path.write_text(changed)


SYNCS = """
import sys, anyio
from pathlib import Path
from tests.system.rig import Rig

async def main():
    async with Rig(Path(sys.argv[1])) as rig:
        await rig.fill(int(sys.argv[2]))

anyio.run(main)
"""


def _syncs(directory: Path, events: int) -> int:
    """Count what the disk is asked for while some calls are answered, one after the other."""
    directory.mkdir()
    trace = directory / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(trace)]
    done = subprocess.run(
        [*command, sys.executable, "-c", SYNCS, str(directory), str(events)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    if done.returncode and "ptrace" in done.stderr.lower():
        pytest.skip("tracing is not allowed here")
    assert done.returncode == 0, done.stderr
    return len(re.findall(r"f(?:data)?sync\(", trace.read_text()))


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_each_answer_waits_for_the_disk(tmp_path: Path) -> None:
    before = _syncs(tmp_path / "none", 0)
    assert _syncs(tmp_path / "some", 20) - before >= 20
