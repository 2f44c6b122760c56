"""The settings of each kind of destination, as the configuration file writes them.

A kind's struct is all that the program knows of it before it is used: its
settings, what they demand of each other (``RULES``), and where events go in
words (`place`). They are checked by `streamer.config`; nothing here opens a
file or a socket, so that ``streamer check`` and ``--help`` stay light. Every
field's description is the configuration reference. What all kinds share is in
`streamer.destinations.common_options`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from streamer.core import limits
from streamer.core.rules import Complaint, Rule
from streamer.destinations.aep_options import AepOptions
from streamer.destinations.common_options import FILE_PATH, URL, CommonOptions, Secret
from streamer.destinations.http_headers import check_headers


def _one_lane(lanes: int) -> Complaint | None:
    if lanes == 1:
        return None
    return Complaint(
        "lanes", "must be 1 for a file destination", "A file is written by one batch at a time."
    )


class FileOptions(CommonOptions, frozen=True, kw_only=True, tag_field="kind", tag="file"):
    """NDJSON segments in a directory: one CloudEvent per line."""

    directory: Annotated[
        str, Meta(description="Where the segments are written; made if missing."), FILE_PATH
    ]
    batch_events_max: Annotated[
        int, Meta(ge=1, le=limits.BATCH_EVENTS_MAX, description="Lines per fsync.")
    ] = 1_000
    segment_bytes_max: Annotated[
        int, Meta(ge=4096, le=2**40, description="A segment is closed when it reaches this size.")
    ] = 128 * limits.MIB
    segment_seconds_max: Annotated[
        int, Meta(ge=1, le=366 * 86_400, description="A segment is closed when it is this old.")
    ] = 86_400
    compress: Annotated[
        Literal["none", "gzip", "zstd"], Meta(description="What closed segments are packed with.")
    ] = "none"

    RULES: ClassVar[tuple[Rule, ...]] = (Rule(("lanes",), _one_lane),)

    @property
    def place(self) -> str:
        """The directory."""
        return self.directory


class StdoutOptions(CommonOptions, frozen=True, kw_only=True, tag_field="kind", tag="stdout"):
    """One CloudEvent per line on standard output, for trying things out."""

    @property
    def place(self) -> str:
        """The stream."""
        return "standard output"


class HttpOptions(CommonOptions, frozen=True, kw_only=True, tag_field="kind", tag="http"):
    """CloudEvents by POST to an HTTP endpoint."""

    url: Annotated[str, Meta(description="https, or plain http on loopback only."), URL]
    signing_key: Annotated[
        Secret | None, Meta(description="Key of the Standard Webhooks signature; none: not signed.")
    ] = None
    bearer_token: Annotated[
        Secret | None, Meta(description="Sent as `Authorization: Bearer …`.")
    ] = None
    headers: Annotated[
        dict[str, str], Meta(description="Further headers, for values that are not secret.")
    ] = msgspec.field(default_factory=dict)
    mode: Annotated[
        Literal["batch", "single"],
        Meta(description="`batch`: a JSON array per request; `single`: one event per request."),
    ] = "batch"
    connect_timeout_seconds: Annotated[float, Meta(gt=0, le=60, description="To connect.")] = 5.0
    timeout_seconds: Annotated[
        float, Meta(gt=0, le=300, description="From connecting to the end of the answer.")
    ] = 30.0
    ca_file: Annotated[
        str | None, Meta(description="CA certificates to trust instead of the system's."), FILE_PATH
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (Rule(("headers",), check_headers),)

    @property
    def place(self) -> str:
        """The server's name; the rest of a URL may hold a secret."""
        return urlsplit(self.url).hostname or "-"


DestinationOptions = FileOptions | StdoutOptions | HttpOptions | AepOptions
"""The one list of kinds: kind ``x`` is implemented in ``streamer.destinations.x``."""
