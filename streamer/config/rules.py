"""What one setting demands of another, in a table and across tables; see `streamer.core.rules`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from streamer.config.address import collide, is_local, parse_bind
from streamer.config.model import Admin, CustomerioSource, Outbox
from streamer.config.problems import KeyPath, dotted
from streamer.core.rules import Complaint, Rule
from streamer.core.selection import validate_pattern
from streamer.destinations.common_options import Secret


def _token_beyond_loopback(bind: str, token: Secret | None) -> Complaint | None:
    if token is not None or is_local(parse_bind(bind)):
        return None
    return Complaint(
        "token",
        "is needed when `bind` can be reached from other machines",
        'Add `token = { credential = "admin-token" }`, or bind to 127.0.0.1.',
    )


def _floors(ingest: int, drain: int) -> Complaint | None:
    if drain < ingest:
        return None
    return Complaint(
        "drain_floor_bytes",
        f"must be below `ingest_floor_bytes` ({ingest})",
        "Ingest has to stop first, so that draining can make room.",
    )


def _queue_holds_a_body(queue: int, body: int) -> Complaint | None:
    if queue >= body:
        return None
    return Complaint("queue_bytes_max", f"must be at least `body_max_bytes` ({body})")


def _ages(warn: int, limit: int | None) -> Complaint | None:
    if limit is None or limit >= warn:
        return None
    return Complaint("age_limit_seconds", f"must be at least `age_warn_seconds` ({warn})")


_RULES: Mapping[type[msgspec.Struct], tuple[Rule, ...]] = {
    Admin: (Rule(("bind", "token"), _token_beyond_loopback),),
    Outbox: (
        Rule(("ingest_floor_bytes", "drain_floor_bytes"), _floors),
        Rule(("queue_bytes_max", "body_max_bytes"), _queue_holds_a_body),
    ),
    CustomerioSource: (Rule(("age_warn_seconds", "age_limit_seconds"), _ages),),
}


def rules_of(table: type[msgspec.Struct]) -> Iterator[Rule]:
    """Yield what a table's settings demand of each other: what is said here, and what it carries.

    The settings of destinations carry their rules, so that a new kind needs nothing here.
    """
    for one in table.__mro__:
        yield from _RULES.get(one, ())
        yield from vars(one).get("RULES", ())


def across(values: Mapping[KeyPath, object]) -> Iterator[tuple[KeyPath, Complaint]]:
    """Check what settings of different tables demand of each other.

    ``values`` holds every setting that is right by itself, by its key path.
    """
    yield from _binds_apart(values)
    yield from _directories_apart(values)


def _binds_apart(values: Mapping[KeyPath, object]) -> Iterator[tuple[KeyPath, Complaint]]:
    path: KeyPath = ("admin", "bind")
    ingest, admin = values.get(("server", "bind")), values.get(path)
    if (
        isinstance(ingest, str)
        and isinstance(admin, str)
        and collide(parse_bind(ingest), parse_bind(admin))
    ):
        yield path, Complaint("", "is the same address as `server.bind`", "Choose another port.")


def _directories_apart(values: Mapping[KeyPath, object]) -> Iterator[tuple[KeyPath, Complaint]]:
    taken: dict[Path, str] = {}
    data_dir = values.get(("data_dir",))
    if isinstance(data_dir, str):
        taken[Path(data_dir).resolve()] = "data_dir"
    for path, value in values.items():
        if path[0] != "destinations" or path[-1] != "directory" or not isinstance(value, str):
            continue
        owner = taken.setdefault(Path(value).resolve(), dotted(path))
        if owner != dotted(path):
            yield path, Complaint("", f"is the same directory as `{owner}`")


def doubts(values: Mapping[KeyPath, object]) -> Iterator[tuple[KeyPath, Complaint]]:
    """Say what is allowed and probably not meant."""
    if not values.get(("sources",)):
        message = "is empty: every webhook call is answered 404"
        yield ("sources",), Complaint("", message, "Add `[sources.customerio]`.")
    if not values.get(("destinations",)):
        message = "is empty: events are kept until retention has passed and go nowhere"
        yield (
            ("destinations",),
            Complaint("", message, "Add one, such as `[destinations.archive]`."),
        )
    for path, value in values.items():
        if path[-1] in {"include", "exclude"} and isinstance(value, list):
            yield from _unknown_types(path, value)


def _unknown_types(path: KeyPath, patterns: Iterable[str]) -> Iterator[tuple[KeyPath, Complaint]]:
    for index, pattern in enumerate(patterns):
        complaint = validate_pattern(pattern)
        if complaint is not None:
            yield (*path, index), Complaint("", complaint)
