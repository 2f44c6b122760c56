"""What becomes of a signed body: each row of the contract's table, down to the database.

Nothing that was signed is refused; what cannot be read is kept with its bytes
untouched.
"""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import pytest

from streamer.core.samples import TEST_EVENT_ID
from tests.ingest.harness import Ingest

pytestmark = pytest.mark.anyio


def event(event_id: str = "01J8ZQ", **parts: object) -> bytes:
    """Write an event that a customer's e-mail was delivered."""
    document = {
        "event_id": event_id,
        "object_type": "email",
        "metric": "delivered",
        "timestamp": 1_700_000_000,
        "data": {"identifiers": {"id": "42", "email": "p@example.com"}, "delivery_id": "d"},
    }
    return json.dumps(document | parts).encode()


async def test_a_signed_event_is_in_the_outbox_when_it_is_answered(ingest: Ingest) -> None:
    body = event()
    answer = await ingest.post(body)
    assert (answer.status, answer.body) == (200, b"")
    assert ingest.bodies() == [body]
    assert ingest.rows("SELECT source, event_id, object_type, metric, occurred_at FROM outbox") == [
        ("customerio", "01J8ZQ", "email", "delivered", 1_700_000_000)
    ]
    assert not ingest.board.counts


async def test_each_source_has_its_own_ids(ingest: Ingest) -> None:
    body = event()
    for source in ("customerio", "second"):
        assert (await ingest.post(body, path=f"/webhooks/{source}")).status == 200
    assert ingest.rows("SELECT source FROM outbox ORDER BY 1") == [("customerio",), ("second",)]


async def test_a_repeat_is_answered_and_not_stored_again(ingest: Ingest) -> None:
    body = event()
    assert [(await ingest.post(body)).status for _ in range(3)] == [200, 200, 200]
    assert ingest.bodies() == [body]
    assert ingest.counts()["duplicates"] == 2
    assert not ingest.board.counts


async def test_a_known_id_with_another_body_is_kept_beside_the_outbox(ingest: Ingest) -> None:
    first, other = event(), event(metric="bounced")
    assert (await ingest.post(first)).status == 200
    assert (await ingest.post(other)).status == 200
    assert ingest.bodies() == [first]
    assert ingest.quarantined() == [("id_conflict", other)]
    assert ingest.alarmed("STR-103") == 1


async def test_the_canned_test_event_may_come_again_with_another_time(ingest: Ingest) -> None:
    for second in range(2):
        body = event(TEST_EVENT_ID, timestamp=1_700_000_000 + second)
        assert (await ingest.post(body)).status == 200
    assert len(ingest.bodies()) == 1
    assert not ingest.quarantined()
    assert not ingest.board.counts


@pytest.mark.parametrize(
    "parts",
    [{"object_type": "carrier_pigeon"}, {"metric": "reincarnated"}],
    ids=["object type", "metric"],
)
async def test_an_unknown_type_is_stored_and_counted(ingest: Ingest, parts: dict[str, Any]) -> None:
    body = event(**parts)
    assert (await ingest.post(body)).status == 200
    assert ingest.bodies() == [body]
    assert ingest.counts()["unknown_types"] == 1


@pytest.mark.parametrize(("ahead_seconds", "alarms"), [(-3_600, 0), (-1, 0), (60, 1), (86_400, 1)])
async def test_an_event_from_the_future_is_stored_and_told_of(
    ingest: Ingest, ahead_seconds: int, alarms: int
) -> None:
    body = event(timestamp=int(time.time()) + ahead_seconds)
    assert (await ingest.post(body)).status == 200
    assert ingest.bodies() == [body]
    assert ingest.alarmed("STR-307") == alarms


async def test_an_event_without_a_time_is_stored_and_told_of(ingest: Ingest) -> None:
    assert (await ingest.post(b'{"event_id":"x","timestamp":"soon"}')).status == 200
    assert ingest.alarmed("STR-307") == 1


READABLE = {
    "an unknown field": event(brand_new={"a": [1, None]}),
    "no type at all": b'{"event_id":"x"}',
    "a 20-digit timestamp": b'{"event_id":"x","timestamp":12345678901234567890}',
    "a 5,000-digit number": b'{"event_id":"x","n":%b}' % (b"9" * 5000),
    "a 5,000-digit timestamp": b'{"event_id":"x","timestamp":%b}' % (b"9" * 5000),
    "a number out of range": b'{"event_id":"x","data":{"customer_id":1e400}}',
    "a negative timestamp": b'{"event_id":"x","timestamp":-1}',
    "text for the timestamp": b'{"event_id":"x","timestamp":"soon"}',
    "an array for the timestamp": b'{"event_id":"x","timestamp":[1]}',
    "a number for the type": b'{"event_id":"x","object_type":7,"metric":true}',
    "text for the data": b'{"event_id":"x","data":"none"}',
    "null for everything": b'{"event_id":"x","object_type":null,"data":null,"timestamp":null}',
    "identifiers of odd types": b'{"event_id":"x","data":{"identifiers":{"id":[1],"email":3}}}',
    "a huge identifier": b'{"event_id":"x","data":{"identifiers":{"id":99999999999999999999}}}',
    "a type of 10,000 characters": b'{"event_id":"x","metric":"%b"}' % (b"m" * 10_000),
    "a field given twice": b'{"event_id":"y","event_id":"x"}',
    "an escaped null character": b'{"event_id":"x","a":"\\u0000"}',
    "line breaks between tokens": b'{\n\t"event_id" :\r\n "x"\n}\n',
    "blanks around it": b' \n{"event_id":"x"}\r\n ',
    "other alphabets": '{"event_id":"x","data":{"subject":"Grüße 🎉"}}'.encode(),
    "an id of 512 characters": b'{"event_id":"%b"}' % (b"i" * 512),
}  # fmt: skip


@pytest.mark.parametrize("body", READABLE.values(), ids=READABLE.keys())
async def test_an_odd_object_with_an_id_is_an_event(ingest: Ingest, body: bytes) -> None:
    assert (await ingest.post(body)).status == 200
    assert ingest.bodies() == [body]
    assert not ingest.quarantined()


DEEP = 100_000
UNREADABLE = {
    "nothing": (b"", "not_json"),
    "blanks": (b"  \n", "not_json"),
    "no JSON": (b"hello=world", "not_json"),
    "half an object": (b'{"event_id":"x"', "not_json"),
    "something after the object": (b'{"event_id":"x"}{}', "not_json"),
    "a trailing comma": (b'{"event_id":"x",}', "not_json"),
    "NaN": (b'{"event_id":"x","n":NaN}', "not_json"),
    "infinity": (b'{"event_id":"x","n":-Infinity}', "not_json"),
    "a byte order mark": (b'\xef\xbb\xbf{"event_id":"x"}', "not_json"),
    "a raw null character": (b'{"event_id":"x","a":"\x00"}', "not_json"),
    "a raw line break in text": (b'{"event_id":"x","a":"\n"}', "not_json"),
    "a raw control character in the id": (b'{"event_id":"x\x07"}', "not_json"),
    "a null character after it": (b'{"event_id":"x"}\x00', "not_json"),
    "an array": (b'[{"event_id":"x"}]', "not_an_object"),
    "text": (b'"event_id"', "not_an_object"),
    "null": (b"null", "not_an_object"),
    "no id": (b'{"metric":"sent"}', "no_event_id"),
    "null for the id": (b'{"event_id":null}', "no_event_id"),
    "true for the id": (b'{"event_id":true}', "no_event_id"),
    "an object for the id": (b'{"event_id":{}}', "no_event_id"),
    "an empty id": (b'{"event_id":""}', "bad_event_id"),
    "an id of 600 characters": (b'{"event_id":"%b"}' % (b"i" * 600), "bad_event_id"),
    "half a character in the id": (b'{"event_id":"\\ud800"}', None),
    "half a character elsewhere": (b'{"event_id":"x","a":["\\udfff"]}', None),
    "nesting": (b'{"event_id":"x","data":%b%b}' % (b"[" * DEEP, b"]" * DEEP), "nested_too_deep"),
    "nesting in an ignored field": (
        b'{"event_id":"x","later":%b1%b}' % (b'{"a":' * DEEP, b"}" * DEEP), "nested_too_deep"
    ),
    "nesting that never ends": (b"[" * DEEP, None),
    "a byte that is no UTF-8": (b'{"event_id":"\xff"}', "not_utf8"),
    "no UTF-8 in an ignored field": (b'{"event_id":"x","later":"\xc3("}', "not_utf8"),
    "an overlong byte sequence": (b'{"event_id":"x","later":"\xc0\xaf"}', "not_utf8"),
    "UTF-16": ('{"event_id":"x"}'.encode("utf-16"), "not_utf8"),
    "Latin-1": ('{"event_id":"x","subject":"Grüße"}'.encode("latin-1"), "not_utf8"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "reason"), UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_cannot_be_read_is_kept_raw(
    ingest: Ingest, body: bytes, reason: str | None
) -> None:
    assert (await ingest.post(body)).status == 200
    assert not ingest.bodies()
    [(found, kept)] = ingest.quarantined()
    assert kept == body
    assert reason in {found, None}
    assert ingest.counts()["quarantined"] == 1
    assert ingest.alarmed("STR-102") == 1


async def test_the_same_unreadable_bytes_are_kept_once(ingest: Ingest) -> None:
    for _ in range(3):
        assert (await ingest.post(b"not JSON")).status == 200
    assert ingest.rows("SELECT times FROM quarantine") == [(3,)]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "identity, gzip", "x" * 300])
async def test_an_encoded_body_is_kept_as_it_came(ingest: Ingest, encoding: str) -> None:
    body = gzip.compress(event())
    answer = await ingest.post(body, further=[("Content-Encoding", encoding)])
    assert answer.status == 200
    assert ingest.quarantined() == [("content_encoding", body)]
    assert ingest.rows("SELECT content_encoding FROM quarantine") == [(encoding[:100],)]


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_an_encoding_that_is_none_changes_nothing(ingest: Ingest, encoding: str) -> None:
    body = event()
    answer = await ingest.post(body, further=[("Content-Encoding", encoding)])
    assert answer.status == 200
    assert ingest.bodies() == [body]


async def test_the_content_type_is_not_looked_at(ingest: Ingest) -> None:
    body = event()
    answer = await ingest.post(body, further=[("Content-Type", "text/html; charset=utf-16")])
    assert answer.status == 200
    assert ingest.bodies() == [body]
