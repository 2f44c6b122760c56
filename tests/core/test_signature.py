"""The check of Customer.io's signature, against digests that the openssl command made."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.errors import ConfigurationError
from streamer.core.signature import Verifier, sign

# Each made with: printf 'v0:TIMESTAMP:BODY' | openssl dgst -sha256 -hmac KEY
VECTORS = [
    pytest.param(
        b"9f2c5b7e1a3d4c6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f7",
        "1700000000",
        b'{"event_id":"01HF7YAT00000000000000000A","metric":"sent"}',
        "5c4d1ef27fcca0356537907335fc4f79e305f38007d8f749a0807b5d5791ef0b",
        id="a key that looks like hexadecimal is text",
    ),
    pytest.param(
        b"a text key, no hex",
        "1700000007",
        '{"data":{"subject":"Gr\u00fc\u00dfe \U0001f389"},  "metric" : "opened"}\n'.encode(),
        "0ff5dee72baefe19e210ba46acf7930397227c8ac0efe4efe81c3b621de69589",
        id="odd spacing and bytes beyond ASCII count as they are",
    ),
    pytest.param(
        b"k",
        "1700000000",
        b"",
        "0ba814a0be90c962b2ca5941ab027f8e182ab953bc4e2cb499b12bf906a414c3",
        id="an empty body",
    ),
]
KEY = b"a key"
TIMESTAMP = b"1700000000"
BODY = b'{"event_id":"1"}'
SIGNATURE = sign(KEY, TIMESTAMP.decode(), BODY).encode()


def verify(keys: list[bytes], timestamp: bytes, signature: bytes, body: bytes) -> bool:
    """Check one call; a malformed header is simply no match."""
    running = Verifier(keys).start(timestamp, signature)
    if running is None:
        return False
    running.update(body)
    return running.matches()


@pytest.mark.parametrize(("key", "timestamp", "body", "signature"), VECTORS)
def test_agrees_with_openssl(key: bytes, timestamp: str, body: bytes, signature: str) -> None:
    assert sign(key, timestamp, body) == signature
    assert verify([key], timestamp.encode(), signature.encode(), body)


@pytest.mark.parametrize(("key", "timestamp", "body", "signature"), VECTORS)
def test_a_change_of_any_part_is_noticed(
    key: bytes, timestamp: str, body: bytes, signature: str
) -> None:
    flipped = ("1" if signature[0] == "0" else "0") + signature[1:]
    assert not verify([key], timestamp.encode() + b"0", signature.encode(), body)
    assert not verify([key], timestamp.encode(), signature.encode(), body + b" ")
    assert not verify([key], timestamp.encode(), flipped.encode(), body)
    assert not verify([key + b"x"], timestamp.encode(), signature.encode(), body)


def test_a_vector_in_circulation_whose_digest_belongs_to_another_vendor_does_not_verify() -> None:
    digest = b"a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    body = b'{"event_id":"01E4E0XXXXXXXXX","event_type":"email_delivered"}'
    running = Verifier([b"test-signing-key"]).start(b"1531420618", digest)
    assert running is not None
    running.update(body)
    assert not running.matches()


@given(
    keys=st.lists(st.binary(min_size=1), min_size=1, max_size=4),
    which=st.integers(min_value=0),
    chunks=st.lists(st.binary(), max_size=6),
)
def test_any_of_the_keys_matches_however_the_body_is_cut(
    keys: list[bytes], which: int, chunks: list[bytes]
) -> None:
    body = b"".join(chunks)
    signature = sign(keys[which % len(keys)], "1700000000", body).encode()
    running = Verifier(keys).start(TIMESTAMP, signature)
    assert running is not None
    for chunk in chunks:
        running.update(chunk)
    assert running.matches()
    assert verify(keys, TIMESTAMP, signature, body)


def test_a_verifier_serves_many_calls_at_once_without_mixing_them() -> None:
    verifier = Verifier([b"other", KEY])
    first = verifier.start(TIMESTAMP, SIGNATURE)
    second = verifier.start(TIMESTAMP, SIGNATURE)
    assert first is not None
    assert second is not None
    second.update(b"something else")
    first.update(BODY)
    assert first.matches()
    assert not second.matches()


@pytest.mark.parametrize("signature", [b"v0=" + SIGNATURE, SIGNATURE.upper()])
def test_the_prefix_and_the_case_of_the_digits_do_not_matter(signature: bytes) -> None:
    assert verify([KEY], TIMESTAMP, signature, BODY)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"v0=",
        SIGNATURE[:-1],
        SIGNATURE + b"0",
        SIGNATURE[:-1] + b"g",
        b" " + SIGNATURE[1:],
        b"v1=" + SIGNATURE,
        b"v0=v0=" + SIGNATURE,
        b"\xff" * 64,
        "\N{FULLWIDTH DIGIT ONE}".encode() * 22,
    ],
)
def test_a_malformed_signature_is_told_from_a_wrong_one(signature: bytes) -> None:
    verifier = Verifier([KEY])
    assert verifier.start(TIMESTAMP, signature) is None
    assert not verify([KEY], TIMESTAMP, signature, BODY)
    wrong = verifier.start(TIMESTAMP, b"0" * 64)
    assert wrong is not None
    assert not wrong.matches()


@pytest.mark.parametrize("timestamp", [b"", b"1" * 33, b"17\n", b"17\x7f", b"\x00", b"17\xff"])
def test_a_malformed_timestamp_is_refused_even_when_it_was_signed(timestamp: bytes) -> None:
    signature = hmac.digest(KEY, b"v0:" + timestamp + b":" + BODY, "sha256").hex().encode()
    assert Verifier([KEY]).start(timestamp, signature) is None


@pytest.mark.parametrize("timestamp", [b"1", b"2026-11-01T00:00:00Z", b"~" * 32])
def test_a_timestamp_is_signed_as_it_came_and_not_read(timestamp: bytes) -> None:
    signature = sign(KEY, timestamp.decode(), BODY).encode()
    assert verify([KEY], timestamp, signature, BODY)


@pytest.mark.parametrize("keys", [[], [b""], [KEY, b""]])
def test_a_missing_or_empty_key_is_refused_at_the_start(keys: list[bytes]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Verifier(keys)
    assert caught.value.hint


def test_no_key_shows_in_a_repr() -> None:
    verifier = Verifier([b"very secret"])
    assert "very secret" not in repr(verifier)
    assert "very secret" not in repr(verifier.start(TIMESTAMP, SIGNATURE))
