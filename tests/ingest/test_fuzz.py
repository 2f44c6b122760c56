"""Random bodies, rightly signed: each is answered 200 and kept exactly once, byte for byte."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streamer.core import customerio
from streamer.core.catalogue import type_names
from streamer.core.samples import sample_event
from streamer.web.server import run_server
from tests.ingest.harness import Ingest, Settings, run_ingest
from tests.support.raw_http import call, connect

EXAMPLES = int(os.environ.get("STREAMER_TEST_EXAMPLES", "40"))
GROUP = 8

# Around the edges of machine words, and as long as Python writes them.
integers = st.integers(-(2**70), 2**70) | st.builds(
    lambda digits, sign: sign * (10**digits - 1), st.integers(19, 4_300), st.sampled_from([1, -1])
)
json_values = st.recursive(
    st.none() | st.booleans() | integers | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
people = dict.fromkeys(("identifiers", "customer_id", "recipient"), json_values)
fields = {
    "event_id": st.text(max_size=40) | json_values,
    "object_type": st.sampled_from(["email", "customer"]) | json_values,
    "metric": st.sampled_from(["sent", "clicked"]) | json_values,
    "timestamp": integers | json_values,
    "data": json_values | st.fixed_dictionaries({}, optional=people),
}
envelopes = st.fixed_dictionaries({}, optional=fields).map(
    lambda document: json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")
)


@st.composite
def mutated_samples(draw: st.DrawFn) -> bytes:
    """A genuine body with some bytes replaced, taken out or put in."""
    name = draw(st.sampled_from(type_names()))
    body = bytearray(json.dumps(sample_event(name, number=draw(st.integers(0, 99)),
                                             at_seconds=1_700_000_000)).encode())  # fmt: skip
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(body) - 1))
        body[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(body)


bodies = st.binary(max_size=60) | envelopes | mutated_samples()

ODD_NUMBERS = ["12345678901234567890", "-9223372036854775809", "9" * 4_300, "9" * 4_301, "-0",
               "1.0", "1E400", "5e-324"]  # fmt: skip
ABOUT_NUMBERS = [
    f'{{"event_id":"n{at}","timestamp":{number},"data":{{"identifiers":{{"id":{number}}}}}}}'.encode()
    for at, number in enumerate(ODD_NUMBERS)
]


async def send_all(ingest: Ingest, group: list[bytes]) -> None:
    """Send each on one connection and look for it in the database."""
    async with connect(ingest.address) as sender:
        for body in group:
            answer = await sender.ask(call(body))
            assert answer.status == 200
            in_outbox = ingest.bodies().count(body)
            in_quarantine = [kept for _, kept in ingest.quarantined()].count(body)
            assert in_outbox + in_quarantine == 1, "kept exactly once, with exactly these bytes"


def test_whatever_was_signed_is_kept(
    template: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(bodies, min_size=GROUP, max_size=GROUP, unique=True))
    @example(ABOUT_NUMBERS)
    @example([f'{{"event_id":{number}}}'.encode() for number in ODD_NUMBERS])
    def check(group: list[bytes]) -> None:
        async def run() -> None:
            directory = tmp_path_factory.mktemp("fuzz")
            async with run_ingest(run_server, template, directory, Settings()) as ingest:
                await send_all(ingest, group)

        asyncio.run(run())

    check()


@settings(max_examples=300)
@given(envelopes)
@example(b'{"event_id":"x","timestamp":1.5,"data":{"identifiers":null,"customer_id":7}}')
@example(b'{"event_id":"x","data":{"identifiers":{"cio_id":"","id":"","email":"A@B.C"}}}')
@example(b'{"event_id":"x","data":{"identifiers":{"id":12345678901234567890}}}')
@example(b'{"event_id":"x","data":{"customer_id":-18446744073709551617}}')
@example(b'{"event_id":"x","data":{"identifiers":{"id":-0}}}')
@example(ABOUT_NUMBERS[2])
def test_both_decoders_say_the_same_of_what_both_can_read(body: bytes) -> None:
    """A change of type in a field that nobody reads must not change whose event it is."""
    try:
        customerio._decode_typed(body)
    except (msgspec.DecodeError, RecursionError):
        return  # the fast one gives up on much, which is what the other is for
    tolerant = customerio._decode_tolerant(body.decode())
    fast = customerio.decode(body)
    assert type(fast) is type(tolerant)
    if isinstance(fast, customerio.Decoded):
        assert fast == tolerant
