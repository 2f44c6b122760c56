"""Tokens are given for right credentials only, and do not last."""

from __future__ import annotations

import aiohttp
import pytest

from tests.stand_ins.aep import Adobe
from tests.stand_ins.aep_sender import Sender
from tests.support.manual_clock import ManualClock

pytestmark = pytest.mark.anyio


async def test_a_token_comes_for_the_right_credentials(adobe: Adobe, sender: Sender) -> None:
    answer = await sender.fetch_token()
    assert answer.status == 200
    assert answer.json["token_type"] == "bearer"
    assert answer.json["expires_in"] == 86_399
    assert adobe.token_requests == 2


async def test_the_former_exchange_counted_milliseconds(adobe: Adobe, sender: Sender) -> None:
    adobe.rules.change(token_unit="milliseconds")
    assert (await sender.fetch_token()).json["expires_in"] == 86_399_000


@pytest.mark.parametrize(
    ("field", "value", "error", "words"),
    [
        ("client_secret", "wrong", "invalid_client", "invalid client_secret parameter"),
        ("client_id", "wrong", "invalid_client", "invalid client_id parameter"),
        ("grant_type", "password", "unsupported_grant_type", "client_credentials"),
        ("scope", "", "invalid_scope", "none is given"),
        ("scope", "openid,wishes", "invalid_scope", "wishes"),
    ],
)
async def test_a_wrong_request_is_answered_as_oauth_does(
    sender: Sender, field: str, value: str, error: str, words: str
) -> None:
    answer = await sender.fetch_token(**{field: value})
    assert answer.status == 400
    assert answer.json["error"] == error
    assert words in answer.json["error_description"]


async def test_credentials_are_taken_from_a_form_only(adobe: Adobe) -> None:
    url = f"{adobe.ims_url}/ims/token/v3"
    credentials = {"client_id": adobe.client_id, "client_secret": adobe.client_secret}
    async with aiohttp.ClientSession() as session, session.post(url, json=credentials) as response:
        assert response.status == 400
        assert (await response.json())["error"] == "invalid_request"


async def test_two_secrets_may_live_at_once(adobe: Adobe, sender: Sender) -> None:
    adobe.tokens.secrets.add("the next one")
    assert (await sender.fetch_token(client_secret="the next one")).status == 200
    assert (await sender.fetch_token()).status == 200


@pytest.mark.parametrize(("seconds", "status"), [(86_398, 200), (86_399, 401)])
async def test_a_token_lasts_a_day(
    clock: ManualClock, sender: Sender, seconds: int, status: int
) -> None:
    clock.move(seconds)
    assert (await sender.post(sender.message())).status == status


async def test_tokens_can_be_expired_at_once(adobe: Adobe, sender: Sender) -> None:
    adobe.expire_tokens()
    assert (await sender.post(sender.message())).status == 401
    await sender.fetch_token()
    assert (await sender.post(sender.message())).status == 200
