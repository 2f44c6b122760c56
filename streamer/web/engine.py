"""The seam behind which HTTP is spoken: what an engine has to offer, and which there are.

An engine is one library's way to turn accepted sockets into calls of an ASGI
application. Each stands in a module of its own, the only one that imports that
library, and only the one that is configured is imported. Everything that does
not depend on how HTTP is read and written belongs to `streamer.web.server`.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Collection
from importlib.util import find_spec
from typing import Any, Literal, Protocol

from streamer.core.errors import ConfigurationError

Application = Callable[[Any, Any, Any], Awaitable[None]]

EngineName = Literal["hypercorn", "uvicorn"]


class Connection(Protocol):
    """One connection that is being served."""

    idle_since: float | None
    """Loop time since when nothing is asked and nothing is to be answered; None while it is."""

    def close_idle(self) -> None:
        """Close it; called only while it is idle."""
        ...


class Engine(Protocol):
    """Speaks HTTP on the connections of one listener."""

    @property
    def connections(self) -> Collection[Connection]:
        """Those that are being served."""
        ...

    async def serve(self, accepted: socket.socket) -> None:
        """Serve one connection to its end; when cancelled, let what is under way say so."""
        ...

    async def leave(self) -> None:
        """From now on, close each connection as soon as it is idle."""
        ...


_EXTRA_PACKAGES: dict[EngineName, tuple[str, ...]] = {"uvicorn": ("httptools", "uvicorn")}
"""What an engine needs that is not installed with the program by itself."""


def require_installed(name: EngineName) -> None:
    """Raise `ConfigurationError` unless all that the engine needs is installed."""
    missing = [one for one in _EXTRA_PACKAGES.get(name, ()) if find_spec(one) is None]
    if missing:
        raise ConfigurationError(
            f'engine = "{name}" needs what is not installed: {", ".join(missing)}',
            hint=f"Install streamer with its extra `{name}` (`systemd/install.sh --extras`), "
            'or set engine = "hypercorn".',
        )


def make_engine(name: EngineName, application: Application) -> Engine:
    """Make an engine for one listener."""
    if name == "uvicorn":
        from streamer.web.engine_uvicorn import UvicornEngine  # noqa: PLC0415 - one is enough

        return UvicornEngine(application)
    from streamer.web.engine_hypercorn import HypercornEngine  # noqa: PLC0415 - the same

    return HypercornEngine(application)
