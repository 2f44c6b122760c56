"""What the self-test of a destination of kind ``aep`` says."""

from __future__ import annotations

import pytest

from streamer.core.outcome import Verdict
from streamer.destinations.base import Finding
from streamer.destinations.common_options import Secret
from tests.destinations.aep_cases import (
    aep_destination,
    aep_options,
    inlet_requests,
    options_for,
)
from tests.stand_ins.aep import Adobe, SeededInlet
from tests.support.http_destination import closed_port

pytestmark = pytest.mark.anyio

ACC, DEF, REJ, HELD = Verdict.ACCEPTED, Verdict.DEFERRED, Verdict.REJECTED, Verdict.HELD


# The self-test


def told(findings: list[Finding]) -> list[tuple[bool, str]]:
    return [(finding.ok, finding.what) for finding in findings]


async def test_the_self_test_maps_samples_gets_a_token_and_connects(
    adobe: Adobe, inlet: SeededInlet
) -> None:
    options = options_for(adobe, inlet)
    async with aep_destination(options, secret=adobe.client_secret) as destination:
        assert told(await destination.probe()) == [
            (True, "every sample can be mapped"),
            (True, "Adobe gives us a token"),
            (True, "the server can be reached"),
        ]
    assert inlet_requests(adobe) == []


async def test_the_self_test_tells_what_is_wrong_and_what_to_do(adobe: Adobe) -> None:
    options = aep_options(
        inlet_url=f"http://127.0.0.1:{closed_port()}/collection/canary",
        require_identity=True,
        ims_url=adobe.ims_url,
        client_id=adobe.client_id,
        client_secret=Secret(env="SECRET"),
    )
    async with aep_destination(options, secret="wrong") as destination:
        findings = await destination.probe()
    assert told(findings) == [
        (False, "samples cannot be mapped"),
        (False, "there is no token to be had"),
        (False, "the server cannot be reached"),
    ]
    assert all(finding.hint and finding.detail for finding in findings)
    assert "canary" not in str(findings)


async def test_without_credentials_the_self_test_says_that_there_is_no_token() -> None:
    options = aep_options(inlet_url=f"http://127.0.0.1:{closed_port()}/collection/ab", mode="raw")
    async with aep_destination(options) as destination:
        mapping, token, _ = await destination.probe()
    assert mapping.ok
    assert (token.ok, token.what) == (True, "requests carry no token")
