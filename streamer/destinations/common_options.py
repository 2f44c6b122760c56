"""What the settings of all kinds of destinations have in common.

The kinds themselves are in `streamer.destinations.options`.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from streamer.core import limits
from streamer.core.limits import PATTERNS_MAX
from streamer.core.rules import Complaint, Rule

# What a text must be beyond its type: `streamer.config.formats` has the rule behind each name.
FILE_PATH = Meta(extra={"format": "path"})
URL = Meta(extra={"format": "url"})
EVENT_TYPES = Meta(extra={"format": "event_types"})
FIELD_PATH = Meta(extra={"format": "field_path"})
START = Meta(extra={"format": "start"})


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


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to find a secret: exactly one of the three is set. A literal value is refused."""

    credential: Annotated[
        str | None, Meta(description="Name of a systemd credential (`LoadCredential=`).")
    ] = None
    file: Annotated[
        str | None, Meta(description="A file that holds the secret and nothing else."), FILE_PATH
    ] = None
    env: Annotated[
        str | None, Meta(description="Name of the environment variable that holds it.")
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(("credential", "file", "env"), _one_place),
        Rule(("credential",), _credential_name),
    )


class Privacy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields of the event's ``data`` that this destination must not see."""

    drop: Annotated[
        list[Annotated[str, FIELD_PATH]],
        Meta(description="Paths below `data` that are left out, such as `content`."),
    ] = []
    hash: Annotated[
        list[Annotated[str, FIELD_PATH]],
        Meta(
            description="Paths below `data` whose text is replaced by its SHA-256 in hex; "
            "an e-mail address is lower-cased and trimmed first."
        ),
    ] = []


def _backoff(base: float, most: float) -> Complaint | None:
    if base <= most:
        return None
    return Complaint("backoff_base_seconds", f"must not be above `backoff_max_seconds` ({most:g})")


def _few_patterns(include: list[str], exclude: list[str]) -> Complaint | None:
    if len(include) + len(exclude) <= PATTERNS_MAX:
        return None
    return Complaint(
        "include",
        f"must not be more than {PATTERNS_MAX} patterns, with those of `exclude`",
        "Let one pattern stand for many types, such as `email.*`.",
    )


class CommonOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every kind of destination can be told."""

    include: Annotated[
        list[Annotated[str, EVENT_TYPES]],
        Meta(description="Only these event types, as `object_type.metric` with `*`; empty: all."),
    ] = []
    exclude: Annotated[
        list[Annotated[str, EVENT_TYPES]],
        Meta(description="Not these event types; wins over `include`."),
    ] = []
    privacy: Annotated[Privacy, Meta(description="Fields to drop or hash before delivery.")] = (
        msgspec.field(default_factory=Privacy)
    )
    start: Annotated[
        str,
        Meta(
            description="Where a destination begins that is added later: `earliest`, `now`, "
            "or a time such as `2026-11-01T00:00:00Z`."
        ),
        START,
    ] = "earliest"
    batch_events_max: Annotated[
        int, Meta(ge=1, le=limits.BATCH_EVENTS_MAX, description="Events in one batch.")
    ] = 100
    batch_bytes_max: Annotated[
        int,
        Meta(
            ge=1024,
            le=limits.WINDOW_BYTES_MAX,
            description="Bytes of event bodies in one batch; a larger event goes alone.",
        ),
    ] = limits.MIB
    linger_ms: Annotated[
        int, Meta(ge=0, le=60_000, description="How long to wait for a fuller batch.")
    ] = 0
    rate_per_second: Annotated[
        float,
        Meta(ge=0, le=1e6, description="Events a second at most; 0: as fast as it takes them."),
    ] = 0.0
    lanes: Annotated[
        int,
        Meta(
            ge=1,
            le=limits.LANES_MAX,
            description="Batches under way at once; order holds per person when above 1.",
        ),
    ] = 1
    backoff_base_seconds: Annotated[
        float, Meta(gt=0, le=60, description="Longest wait before the second attempt.")
    ] = 1.0
    backoff_max_seconds: Annotated[
        float, Meta(ge=1, le=3600, description="Longest wait between attempts.")
    ] = 300.0

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(("backoff_base_seconds", "backoff_max_seconds"), _backoff),
        Rule(("include", "exclude"), _few_patterns),
    )

    @property
    def place(self) -> str:
        """Where events go, for people; nothing that may be secret."""
        return "-"

    @property
    def sends_max(self) -> int:
        """Batches that can be under way at once: one in each lane, and one of a replay."""
        return self.lanes + 1
