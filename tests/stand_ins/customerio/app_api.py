"""The App API over HTTP, as far as it deals with reporting webhooks.

Every answer that is not 2xx has the documented body: a list of errors, each with a detail and the
status as text. The rate limit is counted on the test's clock over all calls, refused ones too.
"""

from __future__ import annotations

import hmac
import itertools
import json
from collections import deque
from collections.abc import Awaitable, Callable

from aiohttp import web

from streamer.clock import Clock
from tests.stand_ins.customerio.faults import Faults, Handler
from tests.stand_ins.customerio.workspace import Malformed, Problem, Webhook, Workspace

CALLS_PER_SECOND = 10

IP_ADDRESSES = {
    "us": ("35.188.196.183", "104.198.177.219", "104.154.232.87", "136.111.237.157"),
    "eu": ("34.76.143.229", "34.78.91.47", "34.77.94.252", "34.10.127.179"),
}
"""Some of those that are published."""

Changed = Callable[[], Awaitable[None]]


class AppApi:
    """The handlers of one workspace in one region."""

    def __init__(
        self, workspace: Workspace, *, region: str, key: str, clock: Clock, changed: Changed
    ) -> None:
        """``changed`` is called after each change of the workspace."""
        self.workspace = workspace
        self.key = key
        self.faults = Faults()
        self.null_when_empty = False
        """Whether the list of no webhooks is null."""
        self.ip_addresses = list(IP_ADDRESSES[region])
        self._clock = clock
        self._changed = changed
        self._recent: deque[float] = deque()
        self._references = itertools.count(0xA1B2C3)

    def routes(self) -> list[web.RouteDef]:
        """Return what is served, by path."""
        one = "/v1/reporting_webhooks/{webhook_id}"
        return [
            web.get("/v1/reporting_webhooks", self._guarded(self._list)),
            web.post("/v1/reporting_webhooks", self._guarded(self._create)),
            web.get(one, self._guarded(self._get)),
            web.put(one, self._guarded(self._put)),
            web.delete(one, self._guarded(self._delete)),
            web.get("/v1/info/ip_addresses", self._guarded(self._ip_addresses)),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            return await self.faults.answer(request, proper)

        async def proper(request: web.Request) -> web.StreamResponse:
            if not self._within_rate():
                detail = f"rate limited to {CALLS_PER_SECOND} requests per 1s"
                answer = self._refusal(429, Problem("", detail))
                answer.headers["Retry-After"] = "1"
                return answer
            if not self._is_authorized(request):
                return self._refusal(401, Problem("", "unauthorized"))
            return await handler(request)

        return guarded

    def _within_rate(self) -> bool:
        now = self._clock.monotonic()
        while self._recent and self._recent[0] <= now - 1.0:
            self._recent.popleft()
        self._recent.append(now)
        return len(self._recent) <= CALLS_PER_SECOND

    def _is_authorized(self, request: web.Request) -> bool:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return scheme == "Bearer" and hmac.compare_digest(key.encode(), self.key.encode())

    def _refusal(self, status: int, *problems: Problem) -> web.Response:
        reference = f"{next(self._references):x}"
        errors = [
            {"detail": f"{problem.detail} (reference {reference})", "status": str(status)}
            | ({"source": {"pointer": problem.pointer}} if problem.pointer else {})
            for problem in problems
        ]
        return web.json_response({"errors": errors}, status=status)

    def _webhook(self, request: web.Request) -> Webhook | None:
        text = request.match_info["webhook_id"]
        return self.workspace.webhooks.get(int(text)) if text.isdecimal() else None

    def _not_found(self) -> web.Response:
        return self._refusal(404, Problem("", "not found"))

    async def _list(self, request: web.Request) -> web.Response:
        every = [webhook.document() for webhook in self.workspace.webhooks.values()]
        shown = None if self.null_when_empty and not every else every
        return web.json_response({"reporting_webhooks": shown})

    async def _create(self, request: web.Request) -> web.Response:
        try:
            webhook = self.workspace.create(await _json_of(request))
        except Malformed as malformed:
            return self._refusal(400, *malformed.problems)
        await self._changed()
        return web.json_response(webhook.document())

    async def _get(self, request: web.Request) -> web.Response:
        webhook = self._webhook(request)
        return web.json_response(webhook.document()) if webhook else self._not_found()

    async def _put(self, request: web.Request) -> web.Response:
        webhook = self._webhook(request)
        if webhook is None:
            return self._not_found()
        try:
            self.workspace.replace(webhook, await _json_of(request))
        except Malformed as malformed:
            return self._refusal(400, *malformed.problems)
        await self._changed()
        return web.json_response(webhook.document())

    async def _delete(self, request: web.Request) -> web.Response:
        webhook = self._webhook(request)
        if webhook is None:
            return self._not_found()
        del self.workspace.webhooks[webhook.id]
        await self._changed()
        return web.Response()

    async def _ip_addresses(self, request: web.Request) -> web.Response:
        return web.json_response({"ip_addresses": self.ip_addresses})


async def _json_of(request: web.Request) -> object:
    if request.content_type != "application/json":
        raise Malformed([Problem("", "the content type must be application/json")])
    try:
        return json.loads(await request.read())
    except ValueError:
        raise Malformed([Problem("", "bad request: the body is not JSON")]) from None
