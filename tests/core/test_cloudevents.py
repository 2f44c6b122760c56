"""An event leaves as CloudEvents 1.0, its body untouched and on one line."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.cloudevents import (
    CloudEvent,
    encode,
    encode_batch,
    encode_lines,
    encode_one,
    envelope_each,
    source_of,
)
from streamer.core.event import StoredEvent, has_usable_time
from streamer.core.outcome import Outcome, Verdict
from streamer.core.privacy import Redactor

OPEN = Redactor(drop=[], hash=[])

RECEIVED_MS = 1_795_435_200_123
"""2026-11-23T12:00:00.123Z."""


def event(body: bytes = b'{"data":{}}', **changes: object) -> StoredEvent:
    plain = StoredEvent(
        position=42,
        source="main",
        event_id="01EXAMPLE",
        object_type="email",
        metric="opened",
        occurred_at=RECEIVED_MS // 1000 - 5,
        received_at=RECEIVED_MS,
        lane_key=0,
        body=body,
    )
    return msgspec.structs.replace(plain, **changes)


def decoded(stored: StoredEvent, redactor: Redactor = OPEN) -> dict[str, Any]:
    document = json.loads(encode(stored, redactor))
    assert isinstance(document, dict)
    return document


def test_the_whole_envelope() -> None:
    body = b'{"event_id":"01EXAMPLE","data":{"identifiers":{"id":"7"}}}'
    assert decoded(event(body)) == {
        "specversion": "1.0",
        "id": "01EXAMPLE",
        "source": "/customerio/main",
        "type": "io.customer.email.opened",
        "time": "2026-11-23T11:59:55Z",
        "subject": "7",
        "sequence": "00000000000000000042",
        "datacontenttype": "application/json",
        "data": json.loads(body),
    }


def test_attribute_names_are_lower_case_letters_and_digits_as_the_standard_demands() -> None:
    assert all(name.isalnum() and name == name.lower() for name in decoded(event()))


def test_the_body_is_not_encoded_anew() -> None:
    body = b'{ "n": 1.10, "big": 12345678901234567890123, "u": "\\u00e9\\/", "n": 1E3 ,"data":1}'
    assert b'"data":' + body + b"}" in encode(event(body), OPEN)


@given(st.lists(st.sampled_from(["\r", "\n", "\r\n", " ", "\t"]), min_size=4, max_size=4))
def test_line_breaks_between_tokens_become_blanks_and_nothing_else_changes(gaps: list[str]) -> None:
    a, b, c, d = gaps
    body = f'{a}{{{b}"k":{c}"line\\nbreak\\r"{d}}}'
    line = encode(event(body.encode()), OPEN)
    assert b"\n" not in line
    assert b"\r" not in line
    assert body.replace("\r", " ").replace("\n", " ").encode() in line
    assert json.loads(line)["data"] == {"k": "line\nbreak\r"}


TRICKY = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)


@given(event_id=TRICKY, object_type=TRICKY, metric=TRICKY, recipient=TRICKY)
def test_any_text_in_the_attributes_comes_out_as_it_went_in(
    event_id: str, object_type: str, metric: str, recipient: str
) -> None:
    body = json.dumps({"data": {"recipient": recipient}}).encode()
    stored = event(body, event_id=event_id, object_type=object_type, metric=metric)
    document = decoded(stored)
    assert b"\n" not in encode(stored, OPEN)
    assert document["id"] == event_id
    assert document["type"] == f"io.customer.{object_type or 'unknown'}.{metric or 'unknown'}"
    assert document.get("subject", "") == recipient.strip()


def test_parts_of_the_type_that_are_missing_are_unknown() -> None:
    assert decoded(event(object_type=None, metric=None))["type"] == "io.customer.unknown.unknown"


@pytest.mark.parametrize(
    ("occurred_at", "time", "replaced"),
    [
        (0, "1970-01-01T00:00:00Z", False),
        (RECEIVED_MS // 1000, "2026-11-23T12:00:00Z", False),
        (RECEIVED_MS // 1000 + 1, "2026-11-23T12:00:00.123Z", True),
        (None, "2026-11-23T12:00:00.123Z", True),
        (-1, "2026-11-23T12:00:00.123Z", True),
        (2**63 - 1, "2026-11-23T12:00:00.123Z", True),
    ],
)
def test_a_time_in_the_future_or_unusable_is_replaced_by_that_of_receipt(
    occurred_at: int | None, time: str, replaced: bool
) -> None:
    stored = event(occurred_at=occurred_at)
    assert decoded(stored)["time"] == time
    assert has_usable_time(stored.occurred_at, stored.received_at) is not replaced


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"data":null}',
        b'{"data":[]}',
        b'{"data":"c1"}',
        b'{"data":{}}',
        b'{"data":{"identifiers":[1]}}',
        # Read by lenient parsers, and so by our ingest, but not by the one for the subject.
        b'{"data":{"recipient":"x","subject":"\\ud800"}}',
        b'{"data":{"recipient":"x","deep":' + b"[" * 60_000 + b"]" * 60_000 + b"}}",
    ],
    ids=range(8),
)
def test_an_event_about_nobody_in_particular_has_no_subject(body: bytes) -> None:
    line = encode(event(body), OPEN)
    assert b'"subject":' not in line.replace(body, b"")
    assert line.endswith(body + b"}")


def test_the_subject_is_what_privacy_leaves_of_the_person() -> None:
    body = b'{"data":{"identifiers":{"email":"Jo@Example.com"}}}'
    digest = hashlib.sha256(b"jo@example.com").hexdigest()
    hashed = Redactor(drop=[], hash=["identifiers.email"])
    dropped = Redactor(drop=["identifiers.email"], hash=[])
    assert decoded(event(body))["subject"] == "jo@example.com"
    assert decoded(event(body), hashed)["subject"] == digest
    assert "subject" not in decoded(event(body), dropped)
    assert b"xample" not in encode(event(body), hashed) + encode(event(body), dropped)


def test_what_cannot_be_redacted_is_rejected_and_the_others_are_encoded() -> None:
    good = event(b'{"data":{"content":"x"}}')
    bad = event(b'{"data":{"content":"secret", broken')
    first, second, third = envelope_each([good, bad, good], Redactor(drop=["content"], hash=[]))
    assert isinstance(first, CloudEvent)
    assert encode_one(first).endswith(b'"data":{"data":{}}}')
    assert first == third
    assert isinstance(second, Outcome)
    assert (second.verdict, second.reason) == (Verdict.REJECTED, "unredactable")
    assert second.unfit
    assert "secret" not in second.detail


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_batch_is_an_array_in_order_or_lines(count: int) -> None:
    events = [event(position=position) for position in range(count)]
    alone = [encode(each, OPEN) for each in events]
    made = [each for each in envelope_each(events, OPEN) if isinstance(each, CloudEvent)]
    assert [encode_one(each) for each in made] == alone
    assert encode_batch(made) == b"[" + b",".join(alone) + b"]"
    assert encode_lines(made) == b"".join(line + b"\n" for line in alone)


def test_source_and_id_name_the_event() -> None:
    stored = event(source="eu")
    assert source_of(stored) == decoded(stored)["source"] == "/customerio/eu"
