"""The configuration as one frozen value: every setting, its bounds and its meaning.

The descriptions are the configuration reference (`streamer.config.reference`)
and the bounds are what the loader checks, so a setting is written down once.
`RESTART` marks what a running service cannot change; the named formats mark
texts with a form of their own (`streamer.config.formats`). What one setting
demands of another is in `streamer.config.rules`. The settings of each kind of
destination live with the destinations, and so do their rules. Modules below are handed the values
they need, never the whole `Config`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streamer.core import limits
from streamer.destinations.common_options import FILE_PATH, URL, Secret
from streamer.destinations.options import DestinationOptions
from streamer.web.engine import EngineName

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
"""Names of sources and destinations stand in URLs, metrics and environment variables."""

DATABASE_FILE = "streamer.db"

RESTART = Meta(extra={"restart": True})
BIND = Meta(extra={"format": "bind"})
HOST = Meta(extra={"format": "host"})


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The listener that Customer.io calls. An inherited socket wins over `bind`."""

    bind: Annotated[
        str, Meta(description="`host:port`, `[ipv6]:port` or `unix:/path`."), BIND, RESTART
    ] = "127.0.0.1:8080"
    engine: Annotated[
        EngineName,
        Meta(
            description="The HTTP server, of both listeners. `uvicorn` takes a fraction of the CPU "
            "and needs the extra of that name; it refuses some calls that the other takes, none of "
            "them a genuine sender's (decision 0023)."
        ),
        RESTART,
    ] = "hypercorn"
    processes: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            description="Processes that take calls, on the same socket and into the same "
            "database; the first one does everything else. No more than cores.",
        ),
        RESTART,
    ] = 1
    deadline_seconds: Annotated[
        float,
        Meta(
            ge=0.1,
            le=limits.ANSWER_DEADLINE_SECONDS_MAX,
            description="From the headers of a call to its answer; then it is a 503. "
            "Customer.io hangs up after 4 s.",
        ),
        RESTART,
    ] = limits.ANSWER_DEADLINE_SECONDS
    lame_duck_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=10,
            description="On SIGTERM, how long calls are still answered, "
            "each with `Connection: close`, before the listener stops.",
        ),
        RESTART,
    ] = limits.LAME_DUCK_SECONDS
    graceful_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=30,
            description="After that, how long requests and batches under way may take to end. "
            "Both together stay below the unit's `TimeoutStopSec=45`.",
        ),
        RESTART,
    ] = limits.GRACEFUL_SECONDS


class Admin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The listener for operators: metrics and the admin API."""

    bind: Annotated[
        str,
        Meta(description="`host:port`, `[ipv6]:port` or `unix:/path`. Beyond loopback: `token`."),
        BIND,
        RESTART,
    ] = "127.0.0.1:8081"
    token: Annotated[
        Secret | None,
        Meta(
            description="What callers present as `Authorization: Bearer …`. "
            "Left out: one is generated and kept in `data_dir/admin-token`."
        ),
        RESTART,
    ] = None
    allowed_hosts: Annotated[
        list[Annotated[str, HOST]],
        Meta(
            description="Names accepted in the `Host` header, besides `localhost`, "
            "loopback addresses and the host of `bind`."
        ),
        RESTART,
    ] = []


class Outbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is kept, for how long, and what happens when there is no room."""

    retention_days: Annotated[
        int,
        Meta(
            ge=limits.RETENTION_DAYS_MIN,
            le=3650,
            description="Days that an event is kept, "
            "counted from the later of its receipt and its last settling.",
        ),
    ] = limits.RETENTION_DAYS
    body_max_bytes: Annotated[
        int,
        Meta(
            ge=limits.KIB,
            le=limits.BODY_BYTES_HARD_MAX,
            description="A larger body is answered 200 and goes to quarantine.",
        ),
        RESTART,
    ] = limits.BODY_BYTES_MAX
    queue_events_max: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Events waiting for their commit; beyond it, a 503."),
        RESTART,
    ] = limits.INGEST_QUEUE_EVENTS_MAX
    queue_bytes_max: Annotated[
        int,
        Meta(
            ge=limits.KIB,
            le=4 * limits.GIB,
            description="Bytes of bodies waiting for their commit; beyond it, a 503.",
        ),
        RESTART,
    ] = limits.INGEST_QUEUE_BYTES_MAX
    ingest_floor_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=2**50,
            description="Free space on the data directory's disk below which calls are answered "
            "503.",
        ),
    ] = limits.INGEST_FLOOR_BYTES
    drain_floor_bytes: Annotated[
        int,
        Meta(
            ge=0,
            le=2**50,
            description="Free space below which draining and pruning stop too; "
            "lower than `ingest_floor_bytes`.",
        ),
    ] = limits.DRAIN_FLOOR_BYTES
    quarantine_bytes_max: Annotated[
        int,
        Meta(
            ge=0,
            le=2**50,
            description="Bytes of bodies in quarantine; "
            "beyond it only the hash and the first 64 KiB of a body are kept.",
        ),
    ] = limits.QUARANTINE_BYTES_MAX
    wal_alarm_bytes: Annotated[
        int,
        Meta(
            ge=16 * limits.MIB,
            le=2**40,
            description="Size of the write-ahead log that raises an alarm.",
        ),
    ] = limits.WAL_ALARM_BYTES
    allow_unsafe_sqlite: Annotated[
        bool,
        Meta(
            description="Start although this SQLite can lose commits (3.7.0 to 3.51.2, "
            "the WAL-reset bug). An alarm stays on."
        ),
        RESTART,
    ] = False


class Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is written to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least severe lines that are written."),
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="`auto`: `console` on a terminal, else `json`."),
        RESTART,
    ] = "auto"


class CustomerioSource(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="customerio",
):
    """A Customer.io reporting webhook, received at `POST /webhooks/NAME`."""

    signing_keys: Annotated[
        list[Secret],
        Meta(
            min_length=1,
            description="Keys of the webhook's signature, "
            "any of which may have signed: two while a key is being changed.",
        ),
    ]
    on_bad_signature: Annotated[
        Literal["503", "401"],
        Meta(
            description="Answer to a wrong signature. "
            "A `401` costs the genuine sender an hour if the key was just changed."
        ),
    ] = "503"
    age_warn_seconds: Annotated[
        int, Meta(ge=1, le=366 * limits.DAY_SECONDS, description="Age of a call that is warned of.")
    ] = 300
    age_limit_seconds: Annotated[
        Annotated[int, Meta(ge=60, le=366 * limits.DAY_SECONDS)] | None,
        Meta(
            description="Age beyond which a rightly signed call is refused with 503. Leave it out "
            "unless it must be: Customer.io repeats calls for seven days."
        ),
    ] = None
    app_api_key: Annotated[
        Secret | None,
        Meta(
            description="App API key, for `streamer customerio` and for the service when it has to "
            "switch the webhook on. Events need none."
        ),
    ] = None
    app_api_url: Annotated[
        str,
        Meta(description="App API, without a path; in the EU `https://api-eu.customer.io`."),
        URL,
    ] = "https://api.customer.io"


SourceOptions = CustomerioSource


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration. All paths in it are absolute."""

    data_dir: Annotated[
        str,
        Meta(description="Where the database lives. Made, with mode 0700, if missing."),
        FILE_PATH,
        RESTART,
    ] = "streamer-data"
    server: Server = msgspec.field(default_factory=Server)
    admin: Admin = msgspec.field(default_factory=Admin)
    outbox: Outbox = msgspec.field(default_factory=Outbox)
    log: Log = msgspec.field(default_factory=Log)
    sources: dict[str, SourceOptions] = {}
    destinations: dict[str, DestinationOptions] = {}

    @property
    def database_path(self) -> Path:
        """Where the outbox is."""
        return Path(self.data_dir) / DATABASE_FILE
