"""The gateway in front of the platform's services: who calls, for which organisation and sandbox.

Every call names a token, a client, an organisation and a sandbox, and a call with a body names
its media type. The gateway's codes are those that Adobe's gateway is known to answer; the status
of a missing token is the 403 of the Flow Service's description.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.problems import Refusal, gateway_problem, service_problem
from tests.stand_ins.aep.tokens import Tokens

JSON = "application/json"
JSON_PATCH = "application/json-patch+json"


class Gate:
    """Lets a call pass that has all the headers that it needs."""

    def __init__(self, organisation: Organisation, tokens: Tokens) -> None:
        self._organisation = organisation
        self._tokens = tokens

    def check(self, request: web.Request) -> None:
        """Look at the headers that every call needs.

        Raises:
            Refusal: 400, 401, 403 or 415, with the header that is wrong.
        """
        self._check_key(request.headers.get("x-api-key"))
        self._check_token(request.headers.get("Authorization"))
        self._check_organisation(request.headers.get("x-gw-ims-org-id"))
        self._check_sandbox(request.headers.get("x-sandbox-name"))
        if request.body_exists and request.content_type not in (JSON, JSON_PATCH):
            raise Refusal(415, {"title": f"Content-Type is [{request.content_type}], not {JSON}"})

    def _check_key(self, key: str | None) -> None:
        if key is None:
            raise gateway_problem(403, 403000, "Api Key is required")
        if key != self._tokens.client_id:
            raise gateway_problem(403, 403003, "Api Key is invalid")

    def _check_token(self, authorization: str | None) -> None:
        fault = self._tokens.judge(authorization)
        if fault == "empty":
            raise gateway_problem(403, 403010, "Oauth token is missing.")
        if fault is not None:
            raise gateway_problem(401, 401013, f"Oauth token is not valid: it is {fault}")

    def _check_organisation(self, given: str | None) -> None:
        if given is None:
            raise gateway_problem(400, 400000, "The header x-gw-ims-org-id is missing")
        if given != self._organisation.org_id:
            raise gateway_problem(403, 403027, "The token does not belong to x-gw-ims-org-id")

    def _check_sandbox(self, given: str | None) -> None:
        if given is None:
            raise gateway_problem(400, 400000, "The header x-sandbox-name is missing")
        if given != self._organisation.sandbox:
            raise gateway_problem(403, 403100, f"There is no access to the sandbox [{given}]")


async def read_object(request: web.Request, service: str) -> dict[str, Any]:
    """Read a body that is to be a JSON object.

    Raises:
        Refusal: 400, if it is not.
    """
    document = await _read(request, service)
    if not isinstance(document, dict):
        raise service_problem(400, service, "Bad request", "the body is not a JSON object")
    return document


async def read_patch(request: web.Request, service: str) -> list[dict[str, Any]]:
    """Read a body that is to be a JSON patch.

    Raises:
        Refusal: 400, if it is not.
    """
    document = await _read(request, service)
    if not isinstance(document, list) or not all(isinstance(step, dict) for step in document):
        raise service_problem(400, service, "Bad request", "the body is not a JSON patch")
    return document


async def _read(request: web.Request, service: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(await request.read())
    except ValueError:
        raise service_problem(400, service, "Bad request", "the body is not JSON") from None


def number_in(request: web.Request, key: str, default: int, top: int, service: str) -> int:
    """Read a number between 1 and ``top`` from the query.

    Raises:
        Refusal: 400, if it is none.
    """
    text = request.query.get(key, str(default))
    if not text.isdigit() or not 1 <= int(text) <= top:
        raise service_problem(400, service, "Bad request", f"{key} is not between 1 and {top}")
    return int(text)
