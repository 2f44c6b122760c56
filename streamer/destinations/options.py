"""The settings of each kind of destination, as the configuration file writes them.

They are checked by `streamer.config`; nothing here opens a file or a socket,
so that ``streamer check`` and ``--help`` stay light. Every field's description
is the configuration reference.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Seconds = Annotated[float, Meta(ge=0)]


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to find a secret: exactly one of the three is set. A literal value is refused."""

    credential: str | None = None
    file: str | None = None
    env: str | None = None

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show where the secret is, never what it is."""
        return [(name, getattr(self, name)) for name in self.__struct_fields__]


class Privacy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fields of the event's ``data`` that this destination must not see."""

    drop: Annotated[
        list[str], Meta(description="Paths below `data` that are left out, such as `content`.")
    ] = []
    hash: Annotated[
        list[str],
        Meta(
            description="Paths below `data` whose text is replaced by its SHA-256 in hex; "
            "an e-mail address is lower-cased and trimmed first."
        ),
    ] = []


class CommonOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every kind of destination can be told."""

    include: Annotated[
        list[str],
        Meta(description="Only these event types, as `object_type.metric` with `*`; empty: all."),
    ] = []
    exclude: Annotated[
        list[str], Meta(description="Not these event types; wins over `include`.")
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
    ] = "earliest"
    batch_events_max: Annotated[int, Meta(ge=1, le=10_000, description="Events in one batch.")] = (
        100
    )
    batch_bytes_max: Annotated[
        int, Meta(ge=1024, le=64 * 2**20, description="Bytes of event bodies in one batch.")
    ] = 2**20
    linger_ms: Annotated[
        int, Meta(ge=0, le=60_000, description="How long to wait for a fuller batch.")
    ] = 0
    rate_per_second: Annotated[
        float, Meta(ge=0, description="Events a second at most; 0: as fast as it takes them.")
    ] = 0
    lanes: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="Batches under way at once; order holds per person when above 1.",
        ),
    ] = 1
    backoff_base_seconds: Annotated[
        float, Meta(gt=0, le=60, description="Longest wait before the second attempt.")
    ] = 1.0
    backoff_max_seconds: Annotated[
        float, Meta(ge=1, le=3600, description="Longest wait between attempts.")
    ] = 300.0


class FileOptions(CommonOptions, frozen=True, kw_only=True, tag_field="kind", tag="file"):
    """NDJSON segments in a directory: one CloudEvent per line."""

    directory: Annotated[str, Meta(description="Where the segments are written; made if missing.")]
    batch_events_max: Annotated[int, Meta(ge=1, le=10_000, description="Lines per fsync.")] = 1_000
    segment_bytes_max: Annotated[
        int, Meta(ge=4096, description="A segment is closed when it reaches this size.")
    ] = 128 * 2**20
    segment_seconds_max: Annotated[
        int, Meta(ge=1, description="A segment is closed when it is this old.")
    ] = 86_400
    compress: Annotated[
        Literal["none", "gzip", "zstd"], Meta(description="What closed segments are packed with.")
    ] = "none"


class StdoutOptions(CommonOptions, frozen=True, kw_only=True, tag_field="kind", tag="stdout"):
    """One CloudEvent per line on standard output, for trying things out."""


class HttpOptions(CommonOptions, frozen=True, kw_only=True, tag_field="kind", tag="http"):
    """CloudEvents by POST to an HTTP endpoint."""

    url: Annotated[str, Meta(description="https, or plain http on loopback only.")]
    signing_key: Annotated[
        Secret | None, Meta(description="Key of the Standard Webhooks signature; none: not signed.")
    ] = None
    bearer_token: Annotated[
        Secret | None, Meta(description="Sent as `Authorization: Bearer …`.")
    ] = None
    headers: Annotated[
        dict[str, str], Meta(description="Further headers, for values that are not secret.")
    ] = {}
    mode: Annotated[
        Literal["batch", "single"],
        Meta(description="`batch`: a JSON array per request; `single`: one event per request."),
    ] = "batch"
    connect_timeout_seconds: Annotated[float, Meta(gt=0, le=60, description="To connect.")] = 5.0
    timeout_seconds: Annotated[
        float, Meta(gt=0, le=300, description="From connecting to the end of the answer.")
    ] = 30.0
    ca_file: Annotated[
        str | None, Meta(description="CA certificates to trust instead of the system's.")
    ] = None


DestinationOptions = FileOptions | StdoutOptions | HttpOptions
