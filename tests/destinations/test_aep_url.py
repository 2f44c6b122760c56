"""From an inlet's URL, in either form, to the one that takes batches."""

from __future__ import annotations

import pytest

from streamer.destinations.aep_url import batch_url


@pytest.mark.parametrize(
    ("given", "batch"),
    [
        (
            "https://dcs.adobedc.net/collection/ab12",
            "https://dcs.adobedc.net/collection/batch/ab12",
        ),
        (
            "https://dcs.adobedc.net/collection/batch/ab12",
            "https://dcs.adobedc.net/collection/batch/ab12",
        ),
        (
            "https://dcs.adobedc.net/collection/ab12/?x-adobe-flow-id=f",
            "https://dcs.adobedc.net/collection/batch/ab12?x-adobe-flow-id=f",
        ),
        (
            "http://127.0.0.1:9001/proxy/collection/ab12",
            "http://127.0.0.1:9001/proxy/collection/batch/ab12",
        ),
    ],
)
def test_a_batch_goes_to_the_same_host_with_the_same_query(given: str, batch: str) -> None:
    assert batch_url(given) == batch


@pytest.mark.parametrize(
    "given",
    [
        "https://dcs.adobedc.net/",
        "https://dcs.adobedc.net/collection",
        "https://dcs.adobedc.net/collection/",
        "https://dcs.adobedc.net/collection/batch",
        "https://dcs.adobedc.net/collection/batch/",
        "https://dcs.adobedc.net/collection/ab/canary",
        "https://dcs.adobedc.net/canary/ab12",
        "https://dcs.adobedc.net/collection/canary?syncValidation=true",
        "https://dcs.adobedc.net/collection/canary?synchronousValidation",
    ],
)
def test_what_is_no_inlet_is_refused_without_being_repeated(given: str) -> None:
    with pytest.raises(ValueError, match="must") as refusal:
        batch_url(given)
    assert "canary" not in str(refusal.value)
