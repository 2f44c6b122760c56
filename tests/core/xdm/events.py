"""Events as the outbox holds them, made of bodies, and what a mapper makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from streamer.core import catalogue
from streamer.core.customerio import Decoded, decode
from streamer.core.event import StoredEvent
from streamer.core.samples import sample_body, sample_names
from streamer.core.xdm.mapper import Mapped, Mapper
from streamer.core.xdm.settings import MappingSettings

AT_SECONDS = 1_750_000_000
RECEIVED_AT = AT_SECONDS * 1000 + 1_250
POSITION = 184_467

EVENT_ID = "01E4C4CT6YDC7Y5M7FE1GWWPQJ"

SETTINGS = MappingSettings(tenant="acme")


def stored(body: bytes, *, received_at: int = RECEIVED_AT, position: int = POSITION) -> StoredEvent:
    """Return the event that ingest makes of a body."""
    decoded = decode(body)
    assert isinstance(decoded, Decoded), decoded
    event = decoded.event("customerio", received_at=received_at, body=body)
    return StoredEvent(
        position=position,
        source=event.source,
        event_id=event.event_id,
        object_type=event.object_type,
        metric=event.metric,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        lane_key=event.lane_key,
        body=body,
    )


def body_of(object_type: str | None, metric: str, **data: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Write a webhook's body; without an object type, the key is left out."""
    document = {
        "event_id": EVENT_ID,
        "object_type": object_type,
        "metric": metric,
        "timestamp": AT_SECONDS,
        "data": data,
    }
    if object_type is None:
        del document["object_type"]
    return msgspec.json.encode(document)


def mapped(body: bytes, mapper: Mapper | None = None, **changes: Any) -> Mapped:  # noqa: ANN401 - of `stored`
    """Map a body that can be mapped."""
    result = (mapper or Mapper(SETTINGS)).map(stored(body, **changes), body)
    assert isinstance(result, Mapped), result
    return result


def entity_of(body: bytes, mapper: Mapper | None = None, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - of `stored`
    """Return the entity that is made of a body."""
    entity: dict[str, Any] = msgspec.json.decode(mapped(body, mapper, **changes).entity)
    return entity


def own(entity: dict[str, Any]) -> dict[str, Any]:
    """Return the tenant's own group of an entity."""
    group: dict[str, Any] = entity["_acme"]["customerio"]
    return group


def every_sample(*numbers: int) -> Iterator[bytes]:
    """Yield every known type in all its variants, with content and without where that differs."""
    for name in sample_names():
        for variant in catalogue.variants(*name.split(".")):
            for number in numbers:
                yield from sorted(
                    {
                        sample_body(
                            name,
                            number=number,
                            at_seconds=AT_SECONDS,
                            variant=variant,
                            with_content=with_content,
                        )
                        for with_content in (False, True)
                    }
                )


CLICKED = body_of("email", "clicked", delivery_id="RPIL", link_id=7, href="https://example.com")
