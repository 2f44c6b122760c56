"""Calls to Adobe's platform API, as `streamer aep` makes them.

One call at a time, with the headers that every call needs, a token that is
asked for anew once when it is refused, and another try where that can do no
harm: a GET may be repeated always, a call that changes something only when the
answer says that it was not looked at. Otherwise the `PlatformError` says
``uncertain``, and whoever made the call looks what has become of it.

What Adobe says of an error is shortened and quoted; a token or a secret is
never part of what is quoted or of a path.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import msgspec

from streamer.clock import Clock
from streamer.core.provision_limits import (
    ADOBE_ANSWER_BYTES_MAX,
    ADOBE_PAGES_MAX,
    ADOBE_REFUSAL_BYTES_MAX,
    ADOBE_TRIES_MAX,
    ADOBE_WAIT_SECONDS_MAX,
)
from streamer.core.retry import RetryPolicy, next_attempt_at
from streamer.core.retry_after import parse_retry_after
from streamer.destinations.ims import ImsError
from streamer.destinations.transport import Answer, Fault, Transport, TransportError
from streamer.provision.aep_problem import PlatformError, no_answer, not_understood, refused

_PATIENCE = RetryPolicy(base_seconds=2.0, max_seconds=30.0)
_BUSY = frozenset({429, 503})
_BROKEN = frozenset({500, 502, 504})
_PASSING = frozenset({Fault.CONNECT, Fault.TIMEOUT, Fault.RESET})

FOUNDATION = "/data/foundation"
FLOWS = f"{FOUNDATION}/flowservice"
REGISTRY = f"{FOUNDATION}/schemaregistry"
CATALOG = f"{FOUNDATION}/catalog"
DATA_PREP = f"{FOUNDATION}/conversion"
NAMESPACES = "/data/core/idnamespace/identities"

JSON_PATCH = "application/json-patch+json"


class Tokens(Protocol):
    """Where access tokens come from; `streamer.destinations.ims.Ims` is one."""

    async def token(self) -> str:
        """Return a token that is good for a while."""
        ...

    def reject(self, token: str) -> None:
        """Take note that a token was refused."""
        ...


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as it is made or only shown."""

    method: str
    path: str
    """Below the platform's URL, with its query."""
    body: Any = None
    """What is sent as JSON; None: nothing."""
    headers: Mapping[str, str] = {}
    """Beside those that every call has: ``Accept``, ``If-Match``, another ``Content-Type``."""


def path_of(*parts: str, **query: object) -> str:
    """Join a path of parts as they are but for the last, which may be any id, and a query.

    Braces stay, for placeholders; no id of Adobe's has them.
    """
    *front, last = parts
    whole = "/".join([*front, quote(last, safe="{}")]) if front else last
    return f"{whole}?{urlencode(query, quote_via=quote)}" if query else whole


class Platform:
    """The API of one organisation and sandbox."""

    def __init__(
        self,
        transport: Transport,
        tokens: Tokens,
        *,
        url: str,
        org_id: str,
        client_id: str,
        sandbox: str,
        clock: Clock,
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Set everything that is the same for each call.

        ``notice`` is told in a sentence of every wait before another try.
        """
        self._transport = transport
        self._tokens = tokens
        self._url = url.rstrip("/")
        self._headers = {
            "x-api-key": client_id,
            "x-gw-ims-org-id": org_id,
            "x-sandbox-name": sandbox,
        }
        self._clock = clock
        self._notice = notice

    async def get(self, path: str, *, accept: str = "application/json") -> Any:  # noqa: ANN401 - JSON
        """Read one document.

        Raises:
            PlatformError: there is none, or it cannot be had.
        """
        return await self.make(Call(method="GET", path=path, headers={"Accept": accept}))

    async def get_object(self, path: str, *, accept: str = "application/json") -> dict[str, Any]:
        """Read one document that has to be an object.

        Raises:
            PlatformError: there is none, it cannot be had, or it is something else.
        """
        document = await self.get(path, accept=accept)
        if not isinstance(document, dict):
            raise not_understood(path)
        return document

    async def look_up(
        self, path: str, *, accept: str = "application/json"
    ) -> dict[str, Any] | None:
        """Read one document; None where there is no such thing."""
        try:
            return await self.get_object(path, accept=accept)
        except PlatformError as error:
            if error.status == 404:
                return None
            raise

    async def make(self, call: Call) -> Any:  # noqa: ANN401 - whatever JSON it is
        """Make a call and return the JSON of its answer; None when there is no body.

        Raises:
            ImsError: there is no token.
            PlatformError: it was refused, or nobody knows what became of it (``uncertain``).
        """
        renewed = False
        for number in range(1, ADOBE_TRIES_MAX + 1):
            last = number == ADOBE_TRIES_MAX
            try:
                token = await self._tokens.token()
                answer = await self._send(call, token)
            except ImsError as error:
                if last or error.holds:
                    raise
                await self._pause(number, f"{error}", error.retry_after_seconds)
                continue
            except TransportError as error:
                if last or call.method != "GET" or error.fault not in _PASSING:
                    raise no_answer(call.method, call.path, error) from error
                await self._pause(number, f"{error}", None)
                continue
            if answer.status == 401 and not (renewed or last):
                renewed = True
                self._tokens.reject(token)
            elif last or not await self._wait_out(call, answer, number):
                return _read(call, answer)
        raise AssertionError("the last try returns or raises")

    @asynccontextmanager
    async def download(
        self, path: str, *, total_seconds_max: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Read a file piece by piece, whose length nobody bounds.

        Only the asking is repeated: whoever has read a part of it knows what to make of the part.

        Raises:
            ImsError: there is no token.
            PlatformError: it cannot be had, or, inside the block, no more of it.
        """
        call = Call(method="GET", path=path)
        renewed = False
        for number in range(1, ADOBE_TRIES_MAX + 1):
            last = number == ADOBE_TRIES_MAX
            token = await self._tokens.token()
            try:
                async with self._transport.stream(
                    call.method,
                    self._url + path,
                    headers={**self._headers, "Authorization": f"Bearer {token}"},
                    total_seconds_max=total_seconds_max,
                ) as streamed:
                    if streamed.status == 200:
                        yield streamed.pieces()
                        return
                    body = await streamed.read(ADOBE_REFUSAL_BYTES_MAX)
                    answer = Answer(streamed.status, streamed.headers, body)
            except TransportError as error:
                raise no_answer(call.method, path, error) from error
            if answer.status == 401 and not (renewed or last):
                renewed = True
                self._tokens.reject(token)
            elif last or not await self._wait_out(call, answer, number):
                raise refused(call.method, path, answer)

    async def _wait_out(self, call: Call, answer: Answer, tries: int) -> bool:
        """Wait before another try; False where one could do harm, or nobody would wait so long."""
        if answer.status not in _BUSY and not (answer.status in _BROKEN and call.method == "GET"):
            return False
        asked = parse_retry_after(answer.headers.get("retry-after", ""), self._clock.now())
        if answer.status in _BUSY and asked is not None and asked > ADOBE_WAIT_SECONDS_MAX:
            return False
        await self._pause(tries, f"Adobe answered {answer.status}", asked)
        return True

    async def _send(self, call: Call, token: str) -> Answer:
        headers = {**self._headers, **call.headers, "Authorization": f"Bearer {token}"}
        body = None
        if call.body is not None:
            headers.setdefault("Content-Type", "application/json")
            body = msgspec.json.encode(call.body)
        return await self._transport.request(
            call.method,
            self._url + call.path,
            headers=headers,
            body=body,
            answer_bytes_max=ADOBE_ANSWER_BYTES_MAX,
        )

    async def _pause(self, tries: int, reason: str, asked_seconds: float | None) -> None:
        now = self._clock.now()
        until = next_attempt_at(_PATIENCE, tries, now, self._clock.jitter(), asked_seconds)
        seconds = (until - now) / 1000
        self._notice(f"{reason}; trying again in {max(seconds, 1):.0f} s")
        await self._clock.sleep(seconds)

    async def flow_items(self, path: str, **query: object) -> AsyncIterator[dict[str, Any]]:
        """List what the Flow Service has, page by page.

        The next page's address is not followed, only its token taken: an answer does not decide
        where our token goes.
        """
        for _ in range(ADOBE_PAGES_MAX):
            page = await self.get_object(path_of(path, **query, limit=100))
            for item in page.get("items") or []:
                yield item
            following = ((page.get("_links") or {}).get("next") or {}).get("href") or ""
            token = parse_qs(urlsplit(following).query).get("continuationToken")
            if not token:
                return
            query["continuationToken"] = token[0]

    async def registry_items(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """List what the Schema Registry has, in short, by title."""
        query: dict[str, object] = {"orderby": "title"}
        for _ in range(ADOBE_PAGES_MAX):
            page = await self.get_object(
                path_of(path, **query), accept="application/vnd.adobe.xed-id+json"
            )
            for item in page.get("results") or []:
                yield item
            following = (page.get("_page") or {}).get("next")
            if not following:
                return
            query["start"] = following

    async def datasets(self, **query: object) -> AsyncIterator[dict[str, Any]]:
        """List datasets, each with its id as ``id``."""
        for page_number in range(ADOBE_PAGES_MAX):
            start = 100 * page_number
            path = path_of(f"{CATALOG}/dataSets", **query, limit=100, start=start)
            page = await self.get_object(path)
            for dataset_id, dataset in page.items():
                yield {**dataset, "id": dataset_id}
            if len(page) < 100:
                return

    async def flow_item(self, path: str, item_id: str) -> dict[str, Any] | None:
        """Read one thing of the Flow Service, which answers with a list of one."""
        document = await self.look_up(path_of(path, item_id))
        items = (document or {}).get("items") or []
        return items[0] if items else None


def _read(call: Call, answer: Answer) -> Any:  # noqa: ANN401 - whatever JSON it is
    if not 200 <= answer.status < 300:
        raise refused(call.method, call.path, answer)
    if not answer.body.strip():
        return None
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise refused(call.method, call.path, answer, "what it answered is no JSON") from None
