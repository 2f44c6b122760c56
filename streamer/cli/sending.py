"""Signed made-up events, sent as Customer.io sends them.

One call at a time on one kept connection, each signed with the source's first
key. The event ids are made of the time to the nanosecond and a running number,
so that no two invocations on a machine send the same one by accident.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from streamer.cli import common, console
from streamer.cli.calls import WEBHOOKS, Caller, CallFailed, Place, place_of_bind, place_of_url
from streamer.cli.known import choose_source
from streamer.cli.signing import signed_headers, signing_key
from streamer.config.load import Loaded
from streamer.config.model import Config
from streamer.core import samples
from streamer.core.errors import UsageError
from streamer.core.samples import TEST_EVENT_ID
from streamer.ingest.answers import BAD_SIGNATURE

TIMEOUT_SECONDS = 10.0
"""More than Customer.io's four: a late answer is worth seeing."""
ROWS_MAX = 20
PROGRESS_FROM = 100
_NUMBERS_PER_NANOSECOND = 10**6
"""Room for the running number below the time; both together stay below 2**53."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One event to be sent."""

    type: str
    event_id: str
    at_seconds: int
    body: bytes


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one call."""

    event_id: str
    type: str
    status: int | None
    """None when no answer came."""
    reason: str
    milliseconds: float
    ok: bool


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the options ask for."""

    name: str
    count: int
    rate: float
    """Events a second at most; 0: no limit."""
    bad_signature: bool
    duplicate: bool
    variant: str | None
    with_content: bool
    test_event: bool
    every: bool

    def types(self) -> tuple[str, ...]:
        """Return the types to be sent, and see first that there are such; raises `UsageError`."""
        if self.every and self.variant is not None:
            raise UsageError("--all and --variant exclude each other: not all types have variants")
        if self.test_event and (self.every or self.variant is not None):
            raise UsageError("--test-event is one canned event, without types or variants")
        names = samples.sample_names() if self.every else (self.name,)
        for each in names:
            samples.sample_event(each, number=0, at_seconds=0, variant=self.variant)
        return names

    def samples(self, types: Iterable[str]) -> Iterable[Sample]:
        """Make what is to be sent, each when it is due."""
        made = _test_events(self.count) if self.test_event else _events(types, self)
        return _paced(_twice(made) if self.duplicate else made, self.rate)

    def total(self, types: tuple[str, ...]) -> int:
        """Return how many calls there will be."""
        return self.count * (1 if self.test_event else len(types)) * (2 if self.duplicate else 1)


def run(
    wanted: Wanted, *, url: str | None, source: str | None, config: Path | None, json: bool
) -> None:
    """Send what is wanted and tell what became of it; exit with 1 if not all was as expected."""
    types = wanted.types()
    loaded = common.load_config(config)
    settings = loaded.config
    chosen = choose_source(settings, source)
    place = _place(settings, url, chosen)
    key = b"not the key" if wanted.bad_signature else signing_key(settings, chosen)
    expected = frozenset({401, 503} if wanted.bad_signature else {200})
    shown = _shown(wanted.samples(types), wanted.total(types), json)
    begun = time.monotonic()
    with Caller(place, timeout_seconds=TIMEOUT_SECONDS) as caller:
        sent = [_send(caller, sample, key, expected) for sample in shown]
    seconds = time.monotonic() - begun
    if json:
        console.print_json(_for_programs(place, sent))
    else:
        _print(place, sent, seconds=seconds, bad_signature=wanted.bad_signature)
    if not wanted.bad_signature and any(one.reason == BAD_SIGNATURE.reason for one in sent):
        console.say([_signature_advice(loaded, chosen)])
    if not all(one.ok for one in sent):
        sys.exit(1)


def _signature_advice(loaded: Loaded, source: str) -> str:
    """Say which key was used, and from where: the service has another one."""
    secret = loaded.config.sources[source].signing_keys[0]
    key = next(
        f"{kind} {name}"
        for kind, name in msgspec.structs.asdict(secret).items()
        if name is not None
    )
    where = loaded.path or "the built-in configuration"
    return (
        f"signed with the first key of {source} ({key}) as {where} has it, and the service has "
        "others: was it started with another --config, or before the key was changed?"
    )


def _place(config: Config, url: str | None, source: str) -> Place:
    if url is not None:
        return place_of_url(url, source=source)
    return place_of_bind(config.server.bind).at(WEBHOOKS + source)


def _events(types: Iterable[str], wanted: Wanted) -> Iterator[Sample]:
    """Make the events when they are due, so that their time is that of their sending."""
    number = time.time_ns() % 1_000_000_000 * _NUMBERS_PER_NANOSECOND
    for _ in range(wanted.count):
        for name in types:
            at_seconds = int(time.time())
            event = samples.sample_event(
                name,
                number=number,
                at_seconds=at_seconds,
                variant=wanted.variant,
                with_content=wanted.with_content,
            )
            yield Sample(
                type=name,
                event_id=str(event["event_id"]),
                at_seconds=at_seconds,
                body=msgspec.json.encode(event),
            )
            number += 1


def _test_events(count: int) -> Iterator[Sample]:
    for _ in range(count):
        at_seconds = int(time.time())
        body = samples.test_event_body(at_seconds)
        yield Sample(type="email.sent", event_id=TEST_EVENT_ID, at_seconds=at_seconds, body=body)


def _twice(made: Iterable[Sample]) -> Iterator[Sample]:
    for sample in made:
        yield sample
        yield sample


def _paced(made: Iterable[Sample], rate: float) -> Iterator[Sample]:
    """Wait before each event until it is due; what was late is caught up."""
    begun = time.monotonic()
    for index, sample in enumerate(made):
        if rate > 0:
            time.sleep(max(0.0, begun + index / rate - time.monotonic()))
        yield sample


def _shown(made: Iterable[Sample], total: int, json: bool) -> Iterable[Sample]:
    """Show on a terminal how far it is, when it takes long enough to wonder."""
    if json or total <= PROGRESS_FROM or not sys.stderr.isatty():
        return made
    from rich.console import Console  # noqa: PLC0415 - costs a tenth of a second
    from rich.progress import track  # noqa: PLC0415 - the same

    return track(made, "Sending", total=total, console=Console(stderr=True), transient=True)


def _send(caller: Caller, sample: Sample, key: bytes, expected: frozenset[int]) -> Sent:
    """Make one call; one without an answer counts, unless it was the first: then nobody is there.

    Raises:
        CallFailed: the first call was not answered.
    """
    headers = signed_headers(key, sample.body)
    try:
        reply = caller.call("POST", body=sample.body, headers=headers)
    except CallFailed as error:
        if not caller.answered:
            error.hint = "Start it with `streamer serve`, or say where it is with --url."
            raise
        return Sent(
            event_id=sample.event_id,
            type=sample.type,
            status=None,
            reason=str(error),
            milliseconds=0.0,
            ok=False,
        )
    return Sent(
        event_id=sample.event_id,
        type=sample.type,
        status=reply.status,
        reason=reply.reason,
        milliseconds=round(reply.seconds * 1000, 1),
        ok=reply.status in expected,
    )


def _for_programs(place: Place, sent: list[Sent]) -> dict[str, object]:
    return {
        "url": place.url,
        "sent": len(sent),
        "failed": sum(not one.ok for one in sent),
        "statuses": dict(sorted(Counter(str(one.status or "none") for one in sent).items())),
        "answers": sent,
    }


def _pace(sent: list[Sent], seconds: float) -> str:
    """Say how fast it went; of one call its own line has said it."""
    if len(sent) == 1:
        return ""
    times = sorted(one.milliseconds for one in sent)
    return (
        f"; median {statistics.median(times):.1f} ms, longest {times[-1]:.1f} ms, "
        f"{len(sent) / max(seconds, 1e-9):.0f} a second"
    )


def _print(place: Place, sent: list[Sent], *, seconds: float, bad_signature: bool) -> None:
    shown = sent if len(sent) <= ROWS_MAX else [one for one in sent if not one.ok][:ROWS_MAX]
    if shown:
        width = 5 if any(one.reason for one in shown) else 4
        headings = ("EVENT ID", "TYPE", "STATUS", "MS", "REASON")
        rows = [
            (one.event_id, one.type, one.status or "none", one.milliseconds, one.reason)
            for one in shown
        ]
        console.print_table(headings[:width], [row[:width] for row in rows], "")
    tally = Counter(one.status or "not at all" for one in sent)
    answers = ", ".join(f"{number} answered {status}" for status, number in tally.items())
    console.print_text([f"{place.url}: {answers}{_pace(sent, seconds)}"])
    if bad_signature and all(one.ok for one in sent):
        console.print_text(["The wrong signature has raised the alarm STR-101, as it should."])
