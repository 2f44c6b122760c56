"""A serial sender pushes events through a service that is killed and stopped at random moments.

What must hold when the last event is acknowledged and drained: every acknowledged event is in
the outbox once; the HTTP destination got each at least once, first deliveries in the order of
the outbox; the file has each exactly once; nothing forged is anywhere; garbage is in quarantine;
and no hour was earned but by the call that a SIGKILL cut off, one for each kill at most.

The moments come from a seed. They are numbers of calls and a place within the call (before it,
half way through sending it, with its answer still to come, or when it has come), some of them
put off by a fraction of a commit. By hand: ``python -m tests.system.kills --help``.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.support.processes import Installation, Manager, eventually
from tests.support.recording_destination import Answer, RecordingDestination
from tests.support.serial_sender import STAGES, Failure, SerialSender
from tests.support.traffic import Call, plan

DELAY_SECONDS_MAX = 0.004
"""A few commits: the blow falls into verifying, committing or answering."""
FORGED_EVERY = 200
SEGMENT_BYTES = 100_000
"""A hundred events or two: kills meet segments that are being closed, begun and packed."""
REFUSED_SHARE = 0.1
DRAIN_SECONDS_MAX = 60.0


class Blow(NamedTuple):
    """One signal at one moment."""

    number: signal.Signals
    stage: str
    delay_seconds: float


class Result(NamedTuple):
    """What came of a run; it went well if there are no problems."""

    problems: list[str]
    figures: dict[str, object]


def run(
    directory: Path, *, events: int, kills: int, terms: int, seed: int, processes: int = 1
) -> Result:
    """Send ``events`` calls through that many SIGKILLs and SIGTERMs to a service's main process."""
    return _Run(
        directory, events=events, kills=kills, terms=terms, seed=seed, processes=processes
    ).run()


class _Run:
    def __init__(
        self,
        directory: Path,
        *,
        events: int,
        kills: int,
        terms: int,
        seed: int,
        processes: int,
    ) -> None:
        self._processes = processes
        self._chance = random.Random(seed)  # noqa: S311 - a seed repeats a run
        self._calls = plan(events, seed=seed)
        self._blows = _plan_blows(self._chance, events, kills, terms)
        self._forged: list[bytes] = []
        self._forged_refusals: Counter[str] = Counter()
        self._timers: list[threading.Timer] = []
        self._installation = Installation(directory)
        refusals = random.Random(seed + 1)  # noqa: S311 - the same

        def answer(number: int, request: bytes) -> Answer:
            return (503 if refusals.random() < REFUSED_SHARE else 200), b""

        self._destination = RecordingDestination(answer)
        self._manager = Manager(self._installation)
        self._sender = SerialSender(
            self._installation.url, b"key-of-the-tests", on_stage=self._on_stage
        )

    def run(self) -> Result:
        installation = self._installation
        installation.configure(
            installation.file_destination()
            + f'segment_bytes_max = {SEGMENT_BYTES}\ncompress = "gzip"\n'
            + f'[destinations.hook]\nkind = "http"\nurl = "{self._destination.url}"\n'
            "backoff_base_seconds = 0.05\nbackoff_max_seconds = 1\n",
            server=f"processes = {self._processes}",
        )
        began = time.monotonic()
        with installation, self._destination, self._manager:
            for call in self._calls:
                self._sender.send(call.number, call.body)
                if call.number % FORGED_EVERY == 0:
                    self._forge(call)
            self._sender.close()
            for timer in self._timers:
                timer.join()
            sent_seconds = time.monotonic() - began
            drained = self._wait_until_drained()
        problems = [] if drained else ["the destinations were not drained in time"]
        problems += self._problems()
        return Result(problems, self._figures(sent_seconds, time.monotonic() - began))

    def _wait_until_drained(self) -> bool:
        try:
            eventually(
                lambda: self._installation.is_drained("archive", "hook"),
                "both destinations have settled everything",
                seconds=DRAIN_SECONDS_MAX,
            )
        except AssertionError:
            return False
        return True

    def _on_stage(self, stage: str, number: int) -> None:
        blow = self._blows.get(number)
        if blow is None or blow.stage != stage:
            return
        del self._blows[number]  # a repeated try must not be struck again
        if not blow.delay_seconds:
            self._manager.strike(blow.number)
            return
        timer = threading.Timer(blow.delay_seconds, self._manager.strike, [blow.number])
        self._timers.append(timer)
        timer.start()

    def _forge(self, call: Call) -> None:
        """Send what would be a new event if its signature were right."""
        body = b'{"event_id": "forged-%d", "object_type": "email", "metric": "sent"}' % call.number
        self._forged.append(body)
        reason = self._sender.once(body, key=b"not-the-key")
        self._forged_refusals[reason or "acknowledged"] += 1

    def _problems(self) -> list[str]:
        return [
            *self._problems_of_outbox(),
            *self._problems_of_hook(),
            *self._problems_of_archive(),
            *self._problems_of_answers(),
        ]

    def _stored(self) -> list[tuple[int, str]]:
        return [
            (int(position), str(event_id))
            for position, event_id in self._installation.query(
                "SELECT position, event_id FROM outbox ORDER BY position"
            )
        ]

    def _problems_of_outbox(self) -> list[str]:
        problems = []
        stored = [event_id for _, event_id in self._stored()]
        sent = [str(call.event_id) for call in self._calls if call.event_id is not None]
        if stored != list(dict.fromkeys(sent)):
            missing, more = len(set(sent) - set(stored)), len(set(stored) - set(sent))
            problems.append(f"outbox: {missing} missing, {more} foreign, or another order")
        garbage = {call.body for call in self._calls if call.kind == "garbage"}
        kept = {bytes(row[0]) for row in self._installation.query("SELECT body FROM quarantine")}
        if kept != garbage:
            problems.append(
                f"quarantine: {len(garbage - kept)} missing, {len(kept - garbage)} foreign"
            )
        verdict = self._installation.value("PRAGMA integrity_check")
        if verdict != "ok":
            problems.append(f"integrity_check: {verdict}")
        return problems

    def _problems_of_hook(self) -> list[str]:
        wanted = [position for position, _ in self._stored()]
        problems = []
        if self._destination.first_positions(accepted_only=True) != wanted:
            problems.append("http: accepted events are not the outbox in its order")
        if self._destination.first_positions(accepted_only=False) != wanted:
            problems.append("http: first deliveries are not in the order of the outbox")
        ids = dict(self._stored())
        for delivery in self._destination.deliveries:
            if any(ids.get(int(event["sequence"])) != event["id"] for event in delivery.events):
                problems.append("http: an event arrived under another position's id")
                break
        return problems

    def _problems_of_archive(self) -> list[str]:
        lines = self._installation.archived()
        problems = []
        if [(int(line["sequence"]), line["id"]) for line in lines] != self._stored():
            problems.append(f"file: {len(lines)} lines are not the outbox, each event once")
        bodies = {call.event_id: call.body for call in self._calls}
        if any(line["data"] != json.loads(bodies[line["id"]]) for line in lines):
            problems.append("file: a body is not what was sent")
        return problems

    def _problems_of_answers(self) -> list[str]:
        problems = []
        if len(self._sender.acknowledged) != len(self._calls):
            problems.append("not every call was acknowledged")
        if self._forged_refusals.get("acknowledged"):
            problems.append("a forged call was acknowledged")
        if not self._forged_refusals.get("status 503"):
            problems.append("no forged call was answered 503")
        unexcused = _unexcused(self._sender.hours_earned, self._manager.strikes)
        problems += [
            f"an hour earned at call {failure.number}: {failure.reason}" for failure in unexcused
        ]
        codes = set(self._manager.exit_codes) - {0, -signal.SIGKILL, -signal.SIGTERM}
        if codes:
            problems.append(f"processes ended with {sorted(codes)}")
        return problems

    def _figures(self, sent_seconds: float, seconds: float) -> dict[str, object]:
        sender, positions = self._sender, self._destination.positions(accepted_only=True)
        strikes = Counter(number.name for _, number in self._manager.strikes)
        return {
            "calls": len(sender.acknowledged),
            "kinds": dict(Counter(call.kind for call in self._calls)),
            "strikes": dict(strikes),
            "exit_codes": dict(Counter(self._manager.exit_codes)),
            "stored": len(self._stored()),
            "segments": len(list(self._installation.archive.glob("*.ndjson*"))),
            "http_repeats": len(positions) - len(set(positions)),
            "http_refused": sum(one.status != 200 for one in self._destination.deliveries),
            "forged": dict(self._forged_refusals),
            "hours_earned": dict(Counter(failure.reason for failure in sender.hours_earned)),
            "backoffs": dict(Counter(one.reason for one in sender.failures if not one.earns_hour)),
            "sent_seconds": round(sent_seconds, 1),
            "seconds": round(seconds, 1),
        }


def _plan_blows(chance: random.Random, events: int, kills: int, terms: int) -> dict[int, Blow]:
    """Choose the moments: a number of a call, a place in it, and for some a delay."""
    numbers = chance.sample(range(1, events), kills + terms)
    signals = [signal.SIGKILL] * kills + [signal.SIGTERM] * terms
    return {
        at: Blow(
            number,
            chance.choice(STAGES),
            chance.choice([0.0, chance.uniform(0.0, DELAY_SECONDS_MAX)]),
        )
        for at, number in zip(numbers, signals, strict=True)
    }


def _unexcused(hours: list[Failure], strikes: list[tuple[float, signal.Signals]]) -> list[Failure]:
    """Leave out the hours of calls that were under way at a SIGKILL, one for each."""
    kills = [at for at, number in strikes if number == signal.SIGKILL]
    left = []
    for failure in hours:
        excuse = next((at for at in kills if failure.connected_at <= at <= failure.at), None)
        if excuse is None:
            left.append(failure)
        else:
            kills.remove(excuse)
    return left


def main() -> None:
    """Run once with the numbers from the command line; exit with 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description="Kill a service under load and look for losses.")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--terms", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", type=Path, help="work in this directory and leave it behind")
    chosen = parser.parse_args()
    seed = random.randrange(2**32) if chosen.seed is None else chosen.seed  # noqa: S311 - no secret
    sys.stdout.write(f"seed {seed}\n")
    with tempfile.TemporaryDirectory() as temporary:
        directory = chosen.keep or Path(temporary)
        result = run(
            directory,
            events=chosen.events,
            kills=chosen.kills,
            terms=chosen.terms,
            seed=seed,
            processes=chosen.processes,
        )
    sys.stdout.write(json.dumps(result._asdict(), indent=2) + "\n")
    sys.exit(bool(result.problems))


if __name__ == "__main__":
    main()
