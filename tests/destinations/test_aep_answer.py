"""Every answer of Adobe's batch endpoint that is documented or was seen, and what it says."""

from __future__ import annotations

import json

import pytest

from streamer.core.limits import DETAIL_CHARACTERS_MAX
from streamer.core.outcome import Outcome, Verdict
from streamer.destinations.aep_answer import CREDENTIALS, FAILED, UNRESOLVED, judge

ACC, DEF, REJ, HELD = Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.REJECTED, Verdict.HELD

ID = "1565628583792:1485:153:0"
UUID = "9f0c9d7e-7a0b-4d6e-8f3f-446655440000"


def judged(*responses: object, count: int | None = None) -> list[Outcome]:
    """Judge a 207 with these entries."""
    body = json.dumps({"inletId": "i", "batchId": "b", "receivedTimeMs": 1, "responses": responses})
    return judge(207, body.encode(), count=len(responses) if count is None else count)


def verdicts(outcomes: list[Outcome]) -> list[Verdict]:
    return [outcome.verdict for outcome in outcomes]


def reasons(outcomes: list[Outcome]) -> list[str]:
    return [outcome.reason for outcome in outcomes]


# One entry of a 207


@pytest.mark.parametrize(
    ("entry", "verdict", "reason"),
    [
        ({"xactionId": ID}, ACC, ""),
        ({"xactionId": ID, "status": None}, ACC, ""),
        ({"xactionId": ID, "message": "fine"}, ACC, ""),
        ({"status": 200}, ACC, ""),
        ({"statusCode": "202", "xactionId": ID}, ACC, ""),
        ({"status": "pass", "xactionId": ID}, ACC, ""),
        ({"statusCode": 400, "message": "no"}, REJ, "http_400"),
        ({"status": 400, "message": "no"}, REJ, "http_400"),
        ({"status": "400", "message": "no"}, REJ, "http_400"),
        ({"status": 400, "xactionId": f"{UUID}-0", "message": "no"}, REJ, "http_400"),
        ({"status": 200, "statusCode": 400}, REJ, "http_400"),
        ({"status": 400, "statusCode": 200}, REJ, "http_400"),
        ({"statusCode": 413}, REJ, "too_large"),
        ({"statusCode": 415}, REJ, "http_415"),
        ({"statusCode": 422}, REJ, "http_422"),
        ({"statusCode": 401}, HELD, CREDENTIALS),
        ({"status": "403"}, HELD, CREDENTIALS),
        ({"statusCode": 404}, HELD, "http_404"),
        ({"statusCode": 408}, DEF, "http_408"),
        ({"statusCode": 429}, DEF, "http_429"),
        ({"statusCode": 500}, DEF, FAILED),
        ({"statusCode": 503}, DEF, "http_503"),
        ({"status": "failed", "xactionId": ID}, DEF, UNRESOLVED),
        ({"status": True, "xactionId": ID}, DEF, UNRESOLVED),
        ({"status": {"code": 400}, "xactionId": ID}, DEF, UNRESOLVED),
        ({"message": "what?"}, DEF, UNRESOLVED),
        ({}, DEF, UNRESOLVED),
        (None, DEF, UNRESOLVED),
        ("accepted", DEF, UNRESOLVED),
        ([], DEF, UNRESOLVED),
    ],
    ids=str,
)
def test_an_entry_without_a_status_is_a_success_and_any_status_counts_for_itself(
    entry: object, verdict: Verdict, reason: str
) -> None:
    before, said, after = judged({"xactionId": "a"}, entry, {"xactionId": "b"})
    assert (said.verdict, said.reason, said.whole) == (verdict, reason, False)
    assert (before.receipt, after.receipt) == ("a", "b"), "its neighbours are not touched by it"


@pytest.mark.parametrize(
    ("given", "receipt"),
    [
        (ID, ID),
        ("two words", None),
        ("line\nbreak", None),
        ("ümlaut", None),
        ("x" * 100, "x" * 100),
        ("x" * 101, None),
        (7, None),
    ],
)
def test_an_id_is_kept_as_a_receipt_if_it_can_stand_in_a_list(
    given: object, receipt: str | None
) -> None:
    (said,) = judged({"xactionId": given})
    assert (said.verdict, said.receipt) == (ACC, receipt)


# Entries and messages


def test_as_many_entries_as_messages_are_matched_by_position() -> None:
    """Even if their ids end in other numbers: only the counts can be relied upon."""
    said = judged({"status": 400, "xactionId": f"{UUID}-1"}, {"xactionId": f"{UUID}-0"})
    assert verdicts(said) == [REJ, ACC]


def test_adobes_own_sample_of_five_messages_and_four_answers_settles_nothing() -> None:
    said = judged(
        {"xactionId": ID}, {"statusCode": 400, "message": "no"}, {"xactionId": ID},
        {"xactionId": ID}, count=5,
    )  # fmt: skip
    assert reasons(said) == [UNRESOLVED] * 5


def test_fewer_entries_are_matched_by_the_index_that_ends_their_ids() -> None:
    said = judged(
        {"status": 400, "xactionId": f"{UUID}-3"},
        {"xactionId": ID},
        {"xactionId": f"{UUID}-0"},
        count=4,
    )
    assert reasons(said) == ["", UNRESOLVED, UNRESOLVED, "http_400"]


@pytest.mark.parametrize(
    "responses",
    [
        [{"status": 400, "xactionId": f"{UUID}-1"}, {"xactionId": f"{UUID}-1"}],
        [{"xactionId": f"{UUID}-3"}],
        [{"xactionId": UUID}],
        [{"xactionId": f"{UUID}-1x"}],
        [{"xactionId": "1"}],
        [{"xactionId": 1}],
        [{"status": 400}] * 4,
        [],
    ],
)
def test_an_index_that_is_ambiguous_missing_or_out_of_range_says_nothing(
    responses: list[object],
) -> None:
    assert reasons(judged(*responses, count=3)) == [UNRESOLVED] * 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>\xff",
        b'{"responses":{}}',
        b'{"responses":[{"xactionId":"a"},',
        b'{"status":400}',
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("count", [1, 2])
def test_a_body_that_is_no_answer_says_nothing_of_any_message(body: bytes, count: int) -> None:
    assert reasons(judge(207, body, count=count)) == [UNRESOLVED] * count


def test_text_that_is_not_quite_utf_8_does_not_spoil_the_rest() -> None:
    body = b'{"responses":[{"xactionId":"a"},{"status":400,"message":"bad \xff"}]}'
    assert verdicts(judge(207, body, count=2)) == [ACC, REJ]


@pytest.mark.parametrize(("count", "reason"), [(1, ""), (2, UNRESOLVED)])
def test_the_single_endpoints_answer_is_understood_of_one_message_alone(
    count: int, reason: str
) -> None:
    body = b'{"inletId":"i","xactionId":"a","receivedTimeMs":1,"syncValidation":{"skipped":true}}'
    assert reasons(judge(200, body, count=count)) == [reason] * count


# The request as a whole


PROBLEM = json.dumps({"type": "t", "status": 400, "title": "x", "report": {"message": "y"}})


@pytest.mark.parametrize(
    ("status", "body", "verdict", "reason"),
    [
        (302, "", HELD, "http_302"),
        (400, PROBLEM, REJ, "http_400"),
        (415, "", REJ, "http_415"),
        (422, "", REJ, "http_422"),
        (413, "", REJ, "too_large"),
        (401, PROBLEM, HELD, CREDENTIALS),
        (401, "", HELD, CREDENTIALS),
        (403, PROBLEM, HELD, CREDENTIALS),
        (403, "", HELD, "http_403"),
        (403, " \r\n", HELD, "http_403"),
        (402, "", HELD, "http_402"),
        (404, "", HELD, "http_404"),
        (405, "", HELD, "http_405"),
        (410, "", HELD, "http_410"),
        (408, "", DEF, "http_408"),
        (409, "", DEF, "http_409"),
        (423, "", DEF, "http_423"),
        (425, "", DEF, "http_425"),
        (429, "", DEF, "http_429"),
        (500, PROBLEM, DEF, FAILED),
        (501, "", HELD, "http_501"),
        (502, "", DEF, "http_502"),
        (503, "", DEF, "http_503"),
        (504, "", DEF, "http_504"),
        (599, "", DEF, "http_599"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_a_status_without_entries_is_said_of_every_message(
    count: int, status: int, body: str, verdict: Verdict, reason: str
) -> None:
    first, *others = judge(status, body.encode(), count=count)
    assert others == [first] * (count - 1)
    assert (first.verdict, first.reason) == (verdict, reason)
    assert first.whole == (verdict is REJ and count > 1), "the culprit is to be found by halving"


def test_an_empty_403_tells_of_the_allow_list() -> None:
    (said,) = judge(403, b"", count=1)
    assert "allow-list" in said.detail


@pytest.mark.parametrize("status", [429, 500, 503])
def test_the_wait_that_is_asked_for_is_passed_on(status: int) -> None:
    assert judge(status, b"", count=1, retry_after="17")[0].retry_after_seconds == 17
    assert judge(status, b"", count=1, retry_after="soon")[0].retry_after_seconds is None
    assert judge(status, b"", count=1)[0].retry_after_seconds is None
    date = "Thu, 01 Jan 1970 00:01:40 GMT"
    (said,) = judge(status, b"", count=1, retry_after=date, now_ms=40_000)
    assert said.retry_after_seconds == 60


# What is told


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"report": {"message": "deep"}, "message": "flat", "title": "short"}, "deep"),
        ({"report": "text", "message": "flat", "title": "short"}, "flat"),
        ({"report": {"message": 7}, "title": "short"}, "short"),
        ({"message": ["odd"]}, ""),
        ({"message": "of jo@example.com, <jo@x>\n\x1b[31m"}, "of (address) (address) [31m"),
        ({"message": "call +49 170 1234567 now"}, "call (number) now"),
        ({"message": "call 00491701234567 now"}, "call (number) now"),
        ({"message": "at https://a.b/?to=ann%40example.com"}, "at (address)"),
        ({"message": "[Ann Lee] is not a valid date-time"}, "[…] is not a valid date-time"),
        (
            {"message": "string [Ann] does not match pattern x"},
            "string […] does not match pattern x",
        ),
        ({"message": "inletId: [ab12] is unknown"}, "inletId: [ab12] is unknown"),
        ({"message": "at most 10 240 bytes"}, "at most 10 240 bytes"),
    ],
)
def test_what_adobe_found_wrong_is_told_without_what_may_be_a_persons(
    document: object, words: str
) -> None:
    expected = f"Adobe answered 400: {words}" if words else "Adobe answered 400"
    assert judge(400, json.dumps(document).encode(), count=1)[0].detail == expected


def test_long_words_are_cut() -> None:
    (said,) = judged({"status": 400, "message": "no " * 1000})
    assert len(said.detail) == DETAIL_CHARACTERS_MAX


def test_nothing_of_the_answer_to_a_token_is_told() -> None:
    for outcome in [*judge(401, b'{"message":"canary"}', count=1), *judged({"status": 401})]:
        assert "canary" not in outcome.detail
