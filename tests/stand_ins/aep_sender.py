"""A sender that keeps to the documents, for tests that then break one rule at a time."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple

import aiohttp

from tests.stand_ins.aep import Adobe, SeededInlet

TIMESTAMP = "2026-09-21T13:46:39Z"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def message(self) -> str:
        """What the collection service says about a problem."""
        return str(self.json["report"]["message"])


class Sender:
    """Posts to one inlet with everything that it asks for."""

    def __init__(self, session: aiohttp.ClientSession, adobe: Adobe, inlet: SeededInlet) -> None:
        self._session = session
        self.adobe = adobe
        self.inlet = inlet
        self.headers = {"x-sandbox-name": adobe.sandbox}

    async def fetch_token(self, **changes: str) -> Answer:
        """Ask for a token as documented, but for the changes; keep it if it is one."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.adobe.client_id,
            "client_secret": self.adobe.client_secret,
            "scope": "openid,AdobeID,session",
            **changes,
        }
        url = f"{self.adobe.ims_url}/ims/token/v3"
        async with self._session.post(url, data=form) as response:
            answer = Answer(response.status, response.headers, await response.read())
        if answer.status == 200:
            self.headers["Authorization"] = f"Bearer {answer.json['access_token']}"
        return answer

    def message(self, identifier: str = "01", /, **entity: object) -> dict[str, Any]:
        """Return a message in its envelope, as the description asks for it."""
        reference = {"id": self.inlet.schema_id, "contentType": self.inlet.schema_content_type}
        return {
            "header": {
                "schemaRef": reference,
                "imsOrgId": self.adobe.org_id,
                "datasetId": self.inlet.dataset_id,
                "flowId": self.inlet.flow_id,
                "createdAt": "1526283801869",
                "source": {"name": "streamer"},
            },
            "body": {
                "xdmMeta": {"schemaRef": copy.deepcopy(reference)},
                "xdmEntity": {
                    "_id": identifier,
                    "timestamp": TIMESTAMP,
                    "identityMap": {"Email": [{"id": "jo@example.com"}]},
                    **entity,
                },
            },
        }

    async def post(
        self, document: object, *, query: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Post one message."""
        return await self._post(self.inlet.url + query, document, headers)

    async def post_batch(
        self, *messages: object, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Answer:
        """Post many messages."""
        return await self.post_batch_body({"messages": list(messages)}, headers, query)

    async def post_batch_body(
        self, document: object, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Answer:
        """Post whatever this is as a batch."""
        url = self.inlet.url.replace("/collection/", "/collection/batch/") + query
        return await self._post(url, document, headers)

    async def post_bytes(self, body: bytes, content_type: str = "application/json") -> Answer:
        """Post whatever this is."""
        headers = {"Content-Type": content_type}
        return await self.send(self.inlet.url, body, headers)

    async def _post(self, url: str, document: object, headers: Mapping[str, str] | None) -> Answer:
        whole = {"Content-Type": "application/json", **(headers or {})}
        return await self.send(url, json.dumps(document).encode(), whole)

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post bytes anywhere, with the sender's own headers and these."""
        whole = {**self.headers, **headers}
        async with self._session.post(url, data=body, headers=whole) as response:
            return Answer(response.status, response.headers, await response.read())


@contextlib.asynccontextmanager
async def sending(
    adobe: Adobe,
    inlet: SeededInlet | None = None,
    *,
    authenticated: bool = True,
    data_type: str = "xdm",
) -> AsyncIterator[Sender]:
    """Send to an inlet, a new one unless it is given, with a token if one is needed."""
    if inlet is None:
        inlet = adobe.new_inlet(authenticated=authenticated, data_type=data_type)
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        sender = Sender(session, adobe, inlet)
        if authenticated:
            await sender.fetch_token()
        yield sender


async def call(
    adobe: Adobe,
    method: str,
    path: str,
    document: object = None,
    *,
    headers: Mapping[str, str] | None = None,
    without: tuple[str, ...] = (),
) -> Answer:
    """Call the platform with all headers that it asks for, but for those to be left out."""
    whole = {
        "Authorization": f"Bearer {adobe.tokens.issue()}",
        "x-api-key": adobe.client_id,
        "x-gw-ims-org-id": adobe.org_id,
        "x-sandbox-name": adobe.sandbox,
        **({} if document is None else {"Content-Type": "application/json"}),
        **(headers or {}),
    }
    kept = {name: value for name, value in whole.items() if name not in without}
    body = None if document is None else json.dumps(document).encode()
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
        session.request(method, adobe.platform_url + path, data=body, headers=kept) as response,
    ):
        return Answer(response.status, response.headers, await response.read())
