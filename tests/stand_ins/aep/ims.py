"""The identity service's one route that matters here: a token for client credentials."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from tests.stand_ins.aep.tokens import Tokens


class Ims:
    """Answers requests for tokens and counts them."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def routes(self) -> Iterable[web.RouteDef]:
        """Return where tokens are asked for."""
        return [web.post("/ims/token/v3", self._post_token)]

    async def _post_token(self, request: web.Request) -> web.Response:
        answer = self._tokens.answer(request.content_type, await request.read())
        return web.json_response(answer, headers={"Cache-Control": "no-store"})
