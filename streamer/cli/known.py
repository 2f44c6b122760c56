"""Which names of destinations and sources there are, and what is said of one that is not.

A name is known from the configuration, or from the database, which learns of
one when the service starts or reloads with it and keeps it until it is
forgotten. What only one of the two knows is told apart from a mistake.
"""

from __future__ import annotations

from collections.abc import Iterable

from streamer.config.model import Config
from streamer.config.problems import nearest
from streamer.core.errors import UsageError
from streamer.store import destinations
from streamer.store.sqlite import Connection

NOT_STARTED = "not started"
"""The state of a destination that is configured and that no service has begun yet."""


def require_one_of(kind: str, name: str, names: Iterable[str]) -> None:
    """Refuse a name that is none of these, with the one that may have been meant."""
    known = sorted(set(names))
    if name in known:
        return
    near = nearest(name, known)
    there = f"There {'are' if len(known) > 1 else 'is'} {', '.join(known) or 'none yet'}."
    hint = f"Did you mean {near}?" if near else there
    raise UsageError(f"there is no {kind} {name!r}", hint=hint)


def choose_source(settings: Config, name: str | None) -> str:
    """Return the source whose key is to sign: the one that is named, or the only one."""
    known = list(settings.sources)
    if name is None and len(known) == 1:
        return known[0]
    if name is None:
        hint = f"Say --source: {', '.join(known)}."
        raise UsageError("it is not clear whose key to sign with", hint=hint)
    require_one_of("source", name, known)
    return name


def require_destination(db: Connection, settings: Config, name: str) -> None:
    """Refuse a destination that the database does not have, and so nobody can act on."""
    there = _in_database(db)
    if name in settings.destinations and name not in there:
        raise UsageError(
            f"destination {name!r} is configured, not started yet",
            hint="Start the service, or `systemctl reload streamer`: that begins it.",
        )
    require_one_of("destination", name, there)


def require_named_destination(db: Connection, settings: Config, name: str | None) -> None:
    """Refuse to look for what belongs to a destination of which nothing is known."""
    if name is not None:
        require_one_of("destination", name, [*_in_database(db), *settings.destinations])


def require_named_source(db: Connection, settings: Config, name: str | None) -> None:
    """Refuse to look for what came from a source of which nothing is known."""
    if name is not None:
        rows = db.execute("SELECT name FROM sources")
        require_one_of("source", name, [*(each for (each,) in rows), *settings.sources])


def require_configured(settings: Config, name: str) -> None:
    """Refuse to send to a destination that the service does not have."""
    if name not in settings.destinations:
        raise UsageError(
            f"destination {name!r} is not in the configuration: nobody would send to it",
            hint="Put it back, or let it go with `streamer destination forget`.",
        )


def _in_database(db: Connection) -> list[str]:
    return [one.name for one in destinations.load_all(db)]
