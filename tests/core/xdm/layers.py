"""Mappings with a user's rules on top."""

from __future__ import annotations

from typing import Any

from streamer.core.xdm.mapper import Mapped, Mapper, Unmappable
from streamer.core.xdm.mapping_file import Layer
from streamer.core.xdm.rule import Rule
from streamer.core.xdm.settings import MappingSettings
from tests.core.xdm.events import SETTINGS, stored


def layer(
    *rules: Rule, remove: tuple[str, ...] = (), fields: dict[str, str] | None = None
) -> Layer:
    """Make a layer; fields are named below the tenant's own group."""
    return Layer(
        rules=rules,
        remove=remove,
        fields={f"_{{tenant}}.customerio.{name}": kind for name, kind in (fields or {}).items()},
    )


def rule(destination: str, source: str, *types: str) -> Rule:
    """Make a rule of a user's."""
    return Rule(
        destination=destination.replace("OWN", "_{tenant}.customerio"),
        source=source,
        types=types,
        origin="mapping.toml:3",
    )


def with_layers(*layers: Layer, settings: MappingSettings = SETTINGS) -> Mapper:
    """Make a mapper of the built-in rules and these."""
    return Mapper(settings, layers)


def result_of(body: bytes, mapper: Mapper, **changes: Any) -> Mapped | Unmappable | None:  # noqa: ANN401 - of `stored`
    """Map a body, whatever comes of it."""
    return mapper.map(stored(body, **changes), body)
