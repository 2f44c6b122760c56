"""Each form of a failed record is read, and what cannot be read is counted and ends nothing."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamer.core.provision_limits import ADOBE_DOCUMENT_BYTES_MAX, ADOBE_RECORD_BYTES_MAX
from streamer.provision.aep_records import (
    Record,
    Unreadable,
    read_record,
    read_records,
    split,
    without_values,
)
from streamer.store import late_failures
from streamer.store.late_failures import Found
from tests.store.build import open_fresh

pytestmark = pytest.mark.anyio

ENTITY = {"_id": "01E4", "_acme": {"customerio": {"eventID": "01E4", "sequence": 7}}}
VIOLATION = {
    "causingExceptions": [], "code": "DCVS-1105-400", "keyword": "format",
    "message": "[x] is not a valid date-time", "pointerToViolation": "#/timestamp",
}  # fmt: skip
READ = Record(
    record_id="01E4", event_id="01E4", sequence=7, code="DCVS-1105-400",
    message="[…] is not a valid date-time at #/timestamp",
)  # fmt: skip


async def pieces_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def read_all(*pieces: bytes) -> list[Record | Unreadable]:
    return [record async for record in read_records(split(pieces_of(*pieces)))]


def record(document: dict[str, Any]) -> Record:
    found = read_record(document)
    assert isinstance(found, Record)
    return found


@pytest.mark.parametrize(
    "document",
    [
        {"header": {}, "body": {"xdmEntity": ENTITY}, "_validationErrors": [VIOLATION]},
        {"body": {"xdmEntity": ENTITY}, "_errors": {"_streamingValidation": [VIOLATION]}},
        {"body": {"xdmEntity": ENTITY}, "_errors": [VIOLATION], "_filename": "a.json"},
        {"xdmEntity": ENTITY, "_errors": [VIOLATION]},
        {**ENTITY, "_errors": [VIOLATION]},
        {"body": ENTITY, "_validationErrors": [VIOLATION]},
    ],
)
def test_the_same_is_read_of_every_form(document: dict[str, Any]) -> None:
    assert read_record(document) == READ


def test_causes_are_told_instead_of_what_sums_them_up_with_its_code() -> None:
    outer = {
        "code": "DCVS-1106-400", "message": "2 schema violations found", "pointerToViolation": "#",
        "causingExceptions": [
            {"message": "extraneous key [a] is not permitted", "pointerToViolation": "#",
             "causingExceptions": []},
            {"message": "required key [b] not found", "pointerToViolation": "#/_acme"},
        ],
    }  # fmt: skip
    found = record({"body": {"xdmEntity": ENTITY}, "_errors": {"_streamingValidation": [outer]}})
    assert found.code == "DCVS-1106-400"
    assert found.message == (
        "extraneous key [a] is not permitted; required key [b] not found at #/_acme"
    )


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ({"_errors": [{"code": 1401, "message": "m"}]}, "1401"),
        ({"_errors": [{"message": "m"}, {"code": "second"}]}, "second"),
        ({"_errors": {"message": "m", "code": "alone"}}, "alone"),
        ({"_errors": [{"message": "m"}]}, "unknown"),
        ({"_errors": "text"}, "unknown"),
        ({"_errors": [None, 7]}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_a_code_is_found_or_said_to_be_unknown(errors: dict[str, Any], code: str) -> None:
    assert record({"xdmEntity": ENTITY, **errors}).code == code


@pytest.mark.parametrize("sequence", ["7", True, 0, -1, 2**63, None, 7.5])
def test_a_position_that_is_none_is_left_out(sequence: object) -> None:
    own = {"eventID": "01E4", "sequence": sequence}
    found = record({"xdmEntity": {"_id": "hash", "_acme": {"customerio": own}}})
    assert (found.record_id, found.event_id, found.sequence) == ("hash", "01E4", None)


def test_a_raw_webhook_is_known_by_its_event_id() -> None:
    found = record({"event_id": "01E4", "metric": "sent", "data": {}, "_errors": [VIOLATION]})
    assert (found.record_id, found.event_id) == ("01E4", "01E4")


def test_what_names_no_event_is_unreadable_with_its_code() -> None:
    corrupt = {"_corrupt_record": "{missingQuotes", "_errors": [{"code": "1401"}]}
    assert read_record(corrupt) == Unreadable("1401")


def test_texts_are_cut_and_printable_and_can_be_stored() -> None:
    document = json.loads(
        '{"_id": "a\\ud800b", "_errors": [{"code": "c\\udfff", "message": "m\\u001b[31m\\ud83d"}]}'
    )
    found = record(document)
    assert (found.record_id, found.code, found.message) == ("a?b", "c?", "m [31m?")
    long = record({"_id": "x" * 9000, "_errors": [{"code": "c", "message": "y" * 9000}]})
    assert (len(long.record_id), len(long.message)) == (512, 500)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "[2018-00-23T22:07:01Z] is not a valid date-time. Expected [yyyy-MM-dd'T'HH:mm:ssZ]",
            "[…] is not a valid date-time. Expected [yyyy-MM-dd'T'HH:mm:ssZ]",
        ),
        ("Jane Doe is not a valid enum value", "… is not a valid enum value"),
        ("-7 is not greater or equal to 0", "… is not greater or equal to 0"),
        ("string [+44 7700 900123] does not match pattern ^x$",
         "string […] does not match pattern ^x$"),
        ("the row of jane@example.com is odd", "the row of … is odd"),
        ("call 07700 900123 now", "call … now"),
        ("required key [_id] not found", "required key [_id] not found"),
        ("extraneous key [shoes] is not permitted", "extraneous key [shoes] is not permitted"),
        ("[two\nlines] is not a valid URI", "[…] is not a valid URI"),
        ("expected type: String, found: Long", "expected type: String, found: Long"),
        ("expected maxLength: 10, actual: 2000", "expected maxLength: 10, actual: 2000"),
    ],
)  # fmt: skip
def test_values_of_the_event_are_left_out_of_what_adobe_says(said: str, kept: str) -> None:
    assert without_values(said) == kept


async def test_a_file_is_read_however_it_is_cut() -> None:
    lines = b'{"_id": "a"}\n\n{"_id": "b\xc3\xbc"}\r\n{"_id": "c"}'
    whole = await read_all(lines)
    assert [one.record_id for one in whole if isinstance(one, Record)] == ["a", "bü", "c"]
    for size in (1, 2, 7):
        cut = [lines[at : at + size] for at in range(0, len(lines), size)]
        assert await read_all(*cut) == whole


async def test_lists_in_a_line_and_documents_over_many_lines_are_read_too() -> None:
    documents = [{"_id": "a"}, {"_id": "b"}]
    flat = await read_all(json.dumps(documents).encode())
    assert len(flat) == 2
    assert await read_all(json.dumps(documents, indent=2).encode()) == flat
    assert await read_all(json.dumps(documents[0], indent=2).encode()) == flat[:1]


async def test_a_bad_line_is_counted_and_the_others_are_read() -> None:
    nested = b"[" * 100_000
    lines = [b"garbage", b'{"_id": "a"}', b"7", b"\xff", nested, b'{"_id": "b"}']
    found = await read_all(b"\n".join(lines))
    assert [isinstance(one, Record) for one in found] == [False, True, False, False, False, True]


async def test_a_line_beyond_the_bound_is_passed_over_and_never_held() -> None:
    megabyte = b"x" * 2**20
    long = [megabyte] * (8 * ADOBE_RECORD_BYTES_MAX // 2**20)
    tracemalloc.start()
    found = await read_all(b'{"_id": "a"}\n', *long, b'\n{"_id": "b"}\n', *long)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * ADOBE_RECORD_BYTES_MAX
    assert [type(one) for one in found] == [Record, Unreadable, Record, Unreadable]
    lines = [line async for line in split(pieces_of(b"12345\n123456\n1"), line_bytes_max=5)]
    assert lines == [b"12345", None, b"1"]


async def test_a_document_beyond_the_bound_is_one_unreadable_record() -> None:
    line = b'  "x": "' + b"y" * 2**20 + b'",\n'
    lines = [b"{\n", *[line] * (ADOBE_DOCUMENT_BYTES_MAX // 2**20 + 2), b'  "_id": "a"\n}\n']
    assert [type(one) for one in await read_all(*lines)] == [Unreadable]


async def test_an_id_with_a_nought_in_it_can_be_stored(tmp_path: Path) -> None:
    """Somebody else may write into the dataset as well; one odd record must not end the reading."""
    [record] = await read_all(b'{"_id": "\\u0000abc"}')
    assert isinstance(record, Record)
    found = Found(batch_id="b", record_id=record.record_id, code=record.code, lost_at=1)
    with closing(open_fresh(tmp_path / "streamer.db")) as db:
        assert late_failures.add(db, "lake", [found], now=2) == 1
