"""The admin listener: metrics and the state of everything, for holders of the token.

It has a listener of its own, on loopback by default. The ``Host`` header is
checked, so that a web page that an operator visits cannot reach it by a name
of its own, and everything but health wants the token.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection

import msgspec
from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException

from streamer.store.status import Status
from streamer.web.health import Health, health_routes
from streamer.web.metrics import CONTENT_TYPE, ProcessFigures, render
from streamer.web.refusals import allow_of, make_bare, status_of

_OPEN_PATHS = frozenset({"/livez", "/readyz"})


def make_admin(
    health: Health,
    *,
    token: str,
    allowed_hosts: Collection[str],
    read_status: Callable[[], Awaitable[Status]],
    read_figures: Callable[[], ProcessFigures],
) -> Quart:
    """Make the admin application."""
    app = make_bare("streamer.admin")
    app.register_blueprint(health_routes(health))
    expected = f"Bearer {token}".encode()

    @app.before_request
    async def guard() -> Response | None:
        if _host_name(request.host) not in allowed_hosts:
            return _problem(421, "this Host is not in admin.allowed_hosts")
        if request.path in _OPEN_PATHS:
            return None
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, expected):
            answer = _problem(401, "a bearer token is needed")
            answer.headers["WWW-Authenticate"] = "Bearer"
            return answer
        return None

    @app.get("/metrics")
    async def metrics() -> Response:
        page = render(await read_status(), read_figures())
        return Response(page, content_type=CONTENT_TYPE)

    @app.get("/api/status")
    async def status() -> Response:
        return Response(msgspec.json.encode(await read_status()), content_type="application/json")

    @app.errorhandler(HTTPException)
    async def refuse(error: HTTPException) -> Response:
        answer = _problem(status_of(error), error.name)
        answer.headers.update(allow_of(error))
        return answer

    return app


def _host_name(host: str) -> str:
    """Cut the port off a Host header; an IPv6 address keeps its brackets off."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name.strip("[]").lower()


def _problem(status: int, title: str) -> Response:
    body = msgspec.json.encode({"status": status, "title": title})
    return Response(body, status, content_type="application/problem+json")
