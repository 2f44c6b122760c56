"""Which headers of the configuration can be sent along."""

from __future__ import annotations

import pytest

from streamer.destinations.http_headers import check_headers, is_token


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"HOST": "other"},
        {"webhook-id": "1"},
        {"Webhook-Extra": "1"},
        {"bad name": "1"},
        {"": "1"},
        {"n\u00e4me": "1"},
        {"X-Break": "a\r\nX-Injected: b"},
        {"X-Umlaut": "\u00fc"},
        {"authorization": "Basic other"},
        {"X-Good": "1", "te": "trailers"},
    ],
    ids=str,
)
def test_headers_that_cannot_be_sent_are_refused(headers: dict[str, str]) -> None:
    complaint = check_headers(headers)
    assert complaint is not None
    assert complaint.key == "headers"


def test_a_complaint_never_shows_a_value() -> None:
    complaint = check_headers({"X-Key": "canary\n"})
    assert complaint is not None
    assert "canary" not in complaint.message + complaint.hint


@pytest.mark.parametrize("headers", [{}, {"X-Team": "a b\tc"}, {"X-Webhook-Id": "1"}, {"x": ""}])
def test_other_headers_are_taken(headers: dict[str, str]) -> None:
    assert check_headers(headers) is None


@pytest.mark.parametrize(
    ("text", "fits"), [("a.B-3~", True), ("", False), ("a b", False), ("\u00fc", False)]
)
def test_a_token_is_one_word_of_ascii(text: str, *, fits: bool) -> None:
    assert is_token(text) is fits
