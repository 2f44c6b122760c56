"""Who is let in: each form of signature, what it is answered, and that nothing else is stored."""

from __future__ import annotations

import hashlib
import hmac
import time

import pytest

from streamer.core.signature import sign
from tests.ingest.conftest import StartIngest
from tests.ingest.harness import OLD_KEY, Ingest
from tests.support.raw_http import KEY, Header, call, connect, signature

pytestmark = pytest.mark.anyio

BODY = b'{"event_id":"01J8ZQ","metric":"sent"}'
NOW = str(int(time.time()))
GOOD = sign(KEY.encode(), NOW, BODY)


def headers(timestamp: str | bytes | None, given: str | bytes | None) -> list[Header]:
    """Write the two headers, without one that is None."""
    pairs: list[tuple[str, str | bytes | None]] = [
        ("X-CIO-Timestamp", timestamp),
        ("X-CIO-Signature", given),
    ]
    return [(name, value) for name, value in pairs if value is not None]


@pytest.mark.parametrize(
    "given", [GOOD, GOOD.upper(), f"v0={GOOD}"], ids=["lower case", "upper case", "v0="]
)
async def test_a_right_signature_is_taken_in_every_known_form(ingest: Ingest, given: str) -> None:
    assert (await ingest.post(BODY, headers=headers(NOW, given))).status == 200
    assert ingest.bodies() == [BODY]


async def test_the_key_before_this_one_still_works(ingest: Ingest) -> None:
    assert (await ingest.post(BODY, headers=signature(BODY, key=OLD_KEY))).status == 200
    assert ingest.bodies() == [BODY]


@pytest.mark.parametrize(
    "timestamp",
    ["soon", "1700000000.5", "-5", "1700000000000", "17 00", "9" * 32],
    ids=["a word", "a fraction", "negative", "milliseconds", "two words", "32 digits"],
)
async def test_an_odd_timestamp_that_was_signed_is_taken(ingest: Ingest, timestamp: str) -> None:
    assert (await ingest.post(BODY, headers=signature(BODY, timestamp=timestamp))).status == 200
    assert ingest.bodies() == [BODY]


UNSIGNED: dict[str, list[Header]] = {
    "neither header": headers(None, None),
    "no signature": headers(NOW, None),
    "no timestamp": headers(None, GOOD),
    "an empty signature": headers(NOW, ""),
    "an empty timestamp": headers("", GOOD),
    "a short signature": headers(NOW, GOOD[:-1]),
    "a long signature": headers(NOW, GOOD + "0"),
    "no hexadecimal": headers(NOW, "g" * 64),
    "another scheme": headers(NOW, f"v1={GOOD}"),
    "two schemes": headers(NOW, f"v0=v0={GOOD}"),
    "Base64": headers(NOW, "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="),
    "bytes beyond ASCII": headers(NOW, b"\xff" * 64),
    "digits beyond ASCII": headers(NOW, "²" * 64),
    "a timestamp beyond ASCII": headers("1700000000²", GOOD),
    "a timestamp without end": headers("1" * 33, GOOD),
    "two signatures": [*headers(NOW, GOOD), ("X-CIO-Signature", GOOD)],
    "two signatures in one": headers(NOW, f"{GOOD}, {GOOD}"),
    "two timestamps": [*headers(NOW, GOOD), ("x-cio-timestamp", NOW)],
}


@pytest.mark.parametrize("given", UNSIGNED.values(), ids=UNSIGNED.keys())
async def test_a_call_without_a_well_formed_signature_is_401(
    ingest: Ingest, given: list[Header]
) -> None:
    assert (await ingest.post(BODY, headers=given)).status == 401
    assert ingest.is_empty()
    assert not ingest.board.counts, "anybody can send this; it says nothing about a key"


WRONG: dict[str, list[Header]] = {
    "another key": signature(BODY, key="not the key"),
    "another body": signature(BODY + b" "),
    "another time": headers(str(int(NOW) + 1), GOOD),
    "the key decoded from hexadecimal": headers(NOW, sign(bytes.fromhex("00ff"), NOW, BODY)),
    "the body alone": headers(NOW, hmac.digest(KEY.encode(), BODY, "sha256").hex()),
    "no key at all": headers(NOW, hashlib.sha256(b"v0:%b:%b" % (NOW.encode(), BODY)).hexdigest()),
    "zeros": headers(NOW, "0" * 64),
}


@pytest.mark.parametrize("given", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_signature_costs_the_sender_a_short_wait_only(
    ingest: Ingest, given: list[Header]
) -> None:
    answer = await ingest.post(BODY, headers=given)
    assert (answer.status, answer.one("retry-after")) == (503, "5")
    assert ingest.is_empty()
    assert ingest.alarmed("STR-101") == 1
    assert ingest.front.tally.of("customerio").bad_signatures == 1


async def test_every_bit_of_the_signature_counts(ingest: Ingest) -> None:
    """A comparison of the beginning alone would be guessed in an afternoon."""
    digest = bytes.fromhex(GOOD)
    async with connect(ingest.address) as sender:
        for bit in range(256):
            wrong = bytearray(digest)
            wrong[bit // 8] ^= 1 << bit % 8
            answer = await sender.ask(call(BODY, headers=headers(NOW, wrong.hex())))
            assert answer.status == 503, bit
    assert ingest.is_empty()


async def test_a_wrong_signature_is_401_where_that_is_wanted(start_ingest: StartIngest) -> None:
    async with start_ingest(refuse_bad_signature=True) as ingest:
        assert (await ingest.post(BODY, headers=signature(BODY, key="another"))).status == 401
        assert ingest.is_empty()
        assert ingest.alarmed("STR-101") == 1


async def test_an_unreadable_body_with_a_wrong_signature_is_not_kept(ingest: Ingest) -> None:
    assert (await ingest.post(b"not JSON", headers=signature(b"other"))).status == 503
    assert ingest.is_empty()


async def test_an_old_call_is_taken_and_its_age_measured(ingest: Ingest) -> None:
    week_ago = str(int(time.time()) - 7 * 86_400)
    assert (await ingest.post(BODY, headers=signature(BODY, timestamp=week_ago))).status == 200
    assert ingest.bodies() == [BODY]
    assert ingest.alarmed("STR-105") == 1
    age = ingest.front.tally.of("customerio").oldest_call_seconds
    assert 7 * 86_400 <= age < 7 * 86_400 + 60


async def test_the_greatest_age_stays_when_a_fresher_call_comes(ingest: Ingest) -> None:
    at = int(time.time())
    for age in (5_000, 1_000):
        given = signature(BODY, timestamp=str(at - age))
        assert (await ingest.post(BODY, headers=given)).status == 200
    assert ingest.front.tally.of("customerio").oldest_call_seconds >= 5_000


async def test_a_call_from_the_future_is_no_old_call(start_ingest: StartIngest) -> None:
    """This machine's clock may be behind; that must not cost a genuine sender its calls."""
    async with start_ingest(age_limit_seconds=600.0) as ingest:
        ahead = str(int(time.time()) + 86_400)
        assert (await ingest.post(BODY, headers=signature(BODY, timestamp=ahead))).status == 200
        assert not ingest.alarmed("STR-105")


async def test_beyond_a_limit_of_age_a_call_has_to_come_again(start_ingest: StartIngest) -> None:
    async with start_ingest(age_limit_seconds=600.0) as ingest:
        at = int(time.time())
        for age, status in ((590, 200), (700, 503)):
            given = signature(BODY, timestamp=str(at - age))
            assert (await ingest.post(BODY, headers=given)).status == status, age
        assert ingest.bodies() == [BODY]


async def test_a_forged_old_call_tells_nothing_about_the_sender(ingest: Ingest) -> None:
    given = signature(BODY, key="another", timestamp="1000000000")
    assert (await ingest.post(BODY, headers=given)).status == 503
    assert not ingest.alarmed("STR-105")
