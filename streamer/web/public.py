"""What the ingest listener serves beside the webhooks: health, and plain refusals."""

from __future__ import annotations

from quart import Quart, Response
from werkzeug.exceptions import HTTPException

from streamer.web.health import Health, health_routes
from streamer.web.refusals import allow_of, make_bare, status_of


def make_public(health: Health) -> Quart:
    """Make the application that stands behind the ingest front."""
    app = make_bare("streamer.public")
    app.register_blueprint(health_routes(health))

    @app.errorhandler(HTTPException)
    async def refuse(error: HTTPException) -> Response:
        return Response(
            f"{error.name}\n",
            status_of(error),
            allow_of(error),
            content_type="text/plain; charset=utf-8",
        )

    return app
