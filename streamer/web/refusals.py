"""What the framework's own errors are answered, the same on both listeners.

A bug in a page is a 503, because 500 is among the answers that cost a sender
an hour, and no route is worth finding out whether it was the sender.
"""

from __future__ import annotations

from quart import Quart
from werkzeug.exceptions import HTTPException

from streamer.core.limits import PAGE_BODY_BYTES_MAX


def make_bare(name: str) -> Quart:
    """Make an application without what Quart adds by itself: static files, redirects, bodies."""
    app = Quart(name, static_folder=None)
    app.url_map.merge_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = PAGE_BODY_BYTES_MAX
    return app


def status_of(error: HTTPException) -> int:
    """Choose the status for an error of the framework, or for a bug behind it."""
    return error.code if error.code is not None and error.code < 500 else 503


def allow_of(error: HTTPException) -> dict[str, str]:
    """Return the Allow header that a 405 must carry."""
    methods = getattr(error, "valid_methods", None)
    return {"Allow": ", ".join(sorted(methods))} if methods else {}
