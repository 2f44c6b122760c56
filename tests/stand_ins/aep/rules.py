"""What Adobe documents in numbers, and the few choices that its documents leave open.

A test may change any of it while the server runs. Times are measured on the clock that the
server was given, so that a test can let a day pass.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Literal, Protocol


class Clock(Protocol):
    """The time of day; any object with a `now` in milliseconds since 1970 will do."""

    def now(self) -> int:
        """Wall time in milliseconds since 1970, UTC."""
        ...


class WallClock:
    """The machine's own time."""

    def now(self) -> int:
        """Wall time in milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000


@dataclasses.dataclass
class Rules:
    """Limits and choices, each as documented unless its comment says otherwise."""

    request_bytes_max: int = 1_000_000
    """"1 MB"; the documents do not say which, and the smaller is the stricter."""
    requests_per_second: int = 1_000
    messages_per_second: int = 10_000
    sync_validations_per_minute: int = 60
    sync_validation_supported: bool = True
    """False: a data centre other than VA7, which answers 501."""
    throttled_retry_after_seconds: int | None = None
    """Of a 429; the documents do not promise the header."""

    token_seconds: int = 86_399
    token_unit: Literal["seconds", "milliseconds"] = "seconds"
    """What ``expires_in`` counts; the former token exchange counted milliseconds."""
    bad_token_status: Literal[401, 403] = 401
    """Of an invalid or expired token at an inlet. The connection tutorial says 401, the one about
    many messages 403; a token that is absent is 401 in both."""

    flow_ready_seconds: float = 300.0
    """A new dataflow takes data only after about five minutes."""
    young_flow_status: int = 400
    """What it answers until then; not documented."""
    disabled_flow_status: int = 404
    """What a dataflow that is switched off answers; not documented."""
    schema_cache_seconds: float = 900.0
    """How long ingestion may still judge by a former version of a schema."""
    validation_seconds: float = 0.0
    """Between the answer and the moment when a message is in the lake or in a failed batch. In
    truth up to an hour; 0 lets a test look at once."""
    failed_batch_seconds: float = 900.0
    """Messages that fail within so long share a batch."""

    profile_event_bytes_max: int = 10_000
    """"10 KB", of an event as JSON without blanks; the smaller of the two kilobytes."""
    sandbox_required: bool = True
    """Whether an inlet with authentication insists on ``x-sandbox-name``: the description marks
    it as required, the tutorials leave it out for inlets without authentication."""
    organisation_required: bool = True
    """Whether a header must name the organisation. The description says so; one tutorial says
    that it is filled in."""
    allowed_addresses: frozenset[str] | None = None
    """Addresses that may reach inlets; others meet a 403 without a body. None: all."""

    def change(self, **limits: object) -> None:
        """Set some of them by name.

        Raises:
            TypeError: there is no such rule.
        """
        known = {field.name for field in dataclasses.fields(self)}
        for name, value in limits.items():
            if name not in known:
                raise TypeError(f"there is no rule {name!r}; known are {', '.join(sorted(known))}")
            setattr(self, name, value)
