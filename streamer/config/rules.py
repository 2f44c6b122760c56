"""What one setting demands of another.

A rule sees the values of the settings it names, and only once each of them is
right by itself, so one mistake is never reported twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from streamer.config.address import collide, is_local, parse_bind
from streamer.config.model import Admin, CustomerioSource, Outbox, Server
from streamer.config.problems import KeyPath, dotted
from streamer.core.limits import PATTERNS_MAX
from streamer.core.selection import validate_pattern
from streamer.destinations.options import CommonOptions, FileOptions, HttpOptions, Secret


class Complaint(msgspec.Struct, frozen=True):
    """What a rule found."""

    key: str
    """The setting to change; empty when it is the table as a whole."""
    message: str
    hint: str = ""


class Rule(msgspec.Struct, frozen=True):
    """One demand between settings of one table."""

    table: type[msgspec.Struct]
    keys: tuple[str, ...]
    check: Callable[..., Complaint | None]
    """Called with the values of ``keys``, in that order."""


def _one_place(credential: str | None, file: str | None, env: str | None) -> Complaint | None:
    given = [place for place in (credential, file, env) if place is not None]
    if len(given) != 1:
        return Complaint("", "must have exactly one of `credential`, `file` and `env`")
    if not given[0]:
        return Complaint("", "must not be empty")
    return None


def _credential_name(credential: str | None) -> Complaint | None:
    if credential is None or (
        re.fullmatch(r"[\w.@:-]*", credential) and credential not in {".", ".."}
    ):
        return None
    return Complaint("credential", "must be a name, as in `LoadCredential=NAME:PATH`, not a path")


def _one_process(processes: int) -> Complaint | None:
    if processes == 1:
        return None
    return Complaint(
        "processes",
        "more than one process is not supported by this version",
        "Set it to 1 or leave it out.",
    )


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


def _backoff(base: float, most: float) -> Complaint | None:
    if base <= most:
        return None
    return Complaint("backoff_base_seconds", f"must not be above `backoff_max_seconds` ({most:g})")


def _one_lane(lanes: int) -> Complaint | None:
    if lanes == 1:
        return None
    return Complaint(
        "lanes", "must be 1 for a file destination", "A file is written by one batch at a time."
    )


def _few_patterns(include: list[str], exclude: list[str]) -> Complaint | None:
    if len(include) + len(exclude) <= PATTERNS_MAX:
        return None
    return Complaint(
        "include",
        f"must not be more than {PATTERNS_MAX} patterns, with those of `exclude`",
        "Let one pattern stand for many types, such as `email.*`.",
    )


_RESERVED_HEADERS = frozenset(
    {
        "authorization", "connection", "content-encoding", "content-length", "content-type",
        "expect", "host", "te", "trailer", "transfer-encoding", "upgrade",
        "webhook-id", "webhook-signature", "webhook-timestamp",
    }
)  # fmt: skip


def _headers(headers: Mapping[str, str]) -> Complaint | None:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            return Complaint("headers", f"{name!r} cannot be a header's name")
        if name.lower() in _RESERVED_HEADERS:
            hint = "Use `bearer_token`." if name.lower() == "authorization" else ""
            return Complaint("headers", f"`{name}` is set by streamer itself", hint)
        if not re.fullmatch(r"[\t\x20-\x7e]*", value):
            return Complaint("headers", f"the value of `{name}` has characters beyond ASCII text")
    return None


RULES = (
    Rule(Secret, ("credential", "file", "env"), _one_place),
    Rule(Secret, ("credential",), _credential_name),
    Rule(Server, ("processes",), _one_process),
    Rule(Admin, ("bind", "token"), _token_beyond_loopback),
    Rule(Outbox, ("ingest_floor_bytes", "drain_floor_bytes"), _floors),
    Rule(Outbox, ("queue_bytes_max", "body_max_bytes"), _queue_holds_a_body),
    Rule(CustomerioSource, ("age_warn_seconds", "age_limit_seconds"), _ages),
    Rule(CommonOptions, ("backoff_base_seconds", "backoff_max_seconds"), _backoff),
    Rule(CommonOptions, ("include", "exclude"), _few_patterns),
    Rule(FileOptions, ("lanes",), _one_lane),
    Rule(HttpOptions, ("headers",), _headers),
)


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
