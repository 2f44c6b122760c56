"""The self-test of a mapping: it is tried on a sample of every type that is known."""

from __future__ import annotations

from collections.abc import Iterator

import anyio.lowlevel

from streamer.core import samples
from streamer.core.catalogue import variants
from streamer.core.event import StoredEvent
from streamer.core.outcome import Outcome
from streamer.destinations.aep_messages import Author
from streamer.destinations.base import Finding

_TOLD_MAX = 3


async def try_author(author: Author, *, now_ms: int) -> Finding:
    """Make a message of each sample, send none, and say what failed."""
    made, silent, failures = 0, 0, list[str]()
    for event in _sample_events(now_ms):
        await anyio.lowlevel.checkpoint()
        written = author.write(event)
        if not isinstance(written, Outcome):
            made += 1
        elif written.unfit:
            failures.append(f"{event.type_name}: {written.detail}")
        else:
            silent += 1
    if failures:
        told = "; ".join(dict.fromkeys(failures[:_TOLD_MAX]))
        more = f", and {len(failures) - _TOLD_MAX} more" if len(failures) > _TOLD_MAX else ""
        hint = "`streamer mapping show` lists the rules, and `streamer mapping render` tries them."
        return Finding(False, "samples cannot be mapped", told + more, hint)
    nothing = f", and nothing is said of {silent}" if silent else ""
    return Finding(True, "every sample can be mapped", f"{made} of them{nothing}")


def _sample_events(now_ms: int) -> Iterator[StoredEvent]:
    seconds = now_ms // 1000
    number = 0
    for name in samples.sample_names():
        object_type, _, metric = name.partition(".")
        for variant in variants(object_type, metric):
            number += 1
            body = samples.sample_body(name, number=number, at_seconds=seconds, variant=variant)
            yield StoredEvent(
                position=number,
                source="sample",
                event_id=f"sample-{number}",
                object_type=object_type,
                metric=metric,
                occurred_at=seconds,
                received_at=now_ms,
                lane_key=0,
                body=body,
            )
