"""Which mapping a command is about: a destination's, or the built-in one while there is none.

The configuration says whose mapping it is, and no secret is read for it. Made from it is
exactly what the destination itself makes, so that what is shown is what is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from streamer.cli import common
from streamer.cli.known import require_one_of
from streamer.config.model import Config
from streamer.core.errors import UsageError
from streamer.core.event import StoredEvent
from streamer.core.privacy import Redactor
from streamer.core.selection import Selection
from streamer.core.xdm.mapper import Mapped, Mapper, Unmappable
from streamer.core.xdm.mapping_file import Layer, MappingErrors
from streamer.core.xdm.settings import Identity, MappingSettings
from streamer.destinations.aep_mapping import layers_of, read_mapping_file, settings_of
from streamer.destinations.aep_options import AepOptions

PLACEHOLDER = "tenant"
"""Stands in the built-in mapping for the tenant that no destination has named yet."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping, and whatever else decides about what is sent."""

    destination: str | None
    """None: the built-in mapping with its defaults."""
    mapper: Mapper
    redactor: Redactor
    selection: Selection
    layers: tuple[Layer, ...]
    identities: tuple[Identity, ...]

    def map(self, event: StoredEvent) -> Mapped | Unmappable | None:
        """Make the entity of an event as the destination would.

        Raises:
            UnredactableBody: the privacy rules cannot be applied to its body.
        """
        return self.mapper.map(event, self.redactor.redact_body(event.body))

    def notes(self) -> Iterator[str]:
        """Tell which mapping it is, where that is not plain, and what is odd about it."""
        if self.destination is None:
            yield (
                "no destination of kind aep is configured: this is the built-in mapping with its "
                f"defaults, and _{PLACEHOLDER} stands for the tenant"
            )
        for layer in self.layers:
            for warning in layer.warnings:
                yield f"the mapping file's line {warning.line}: {warning.message}"


def choose(config: Path | None, *, destination: str | None, file: Path | None) -> Chosen:
    """Choose by the configuration, and by the mapping file that is given in place of its own.

    Raises:
        UsageError: the destination is none that maps, or it is not clear which is meant.
        ConfigurationError: the configuration or the mapping file is wrong.
    """
    loaded = common.load_config(config).config
    name = _name(loaded, destination)
    options = None if name is None else loaded.destinations[name]
    layers: tuple[Layer, ...] = () if file is None else (_tried(file),)
    if not isinstance(options, AepOptions):
        settings = MappingSettings(tenant=PLACEHOLDER)
        return Chosen(
            destination=None,
            mapper=Mapper(settings, layers),
            identities=settings.identities,
            redactor=Redactor(drop=(), hash=()),
            selection=Selection(include=(), exclude=()),
            layers=layers,
        )
    settings, layers = settings_of(options), layers or layers_of(options)
    return Chosen(
        destination=name,
        mapper=Mapper(settings, layers),
        identities=settings.identities,
        redactor=Redactor(drop=options.privacy.drop, hash=options.privacy.hash),
        selection=Selection(include=options.include, exclude=options.exclude),
        layers=layers,
    )


def _tried(file: Path) -> Layer:
    """Read a file that no destination need have yet, so that ``check`` may not look at it."""
    try:
        return read_mapping_file(file)
    except MappingErrors as errors:
        errors.hint = "Mend what is listed and run the same command again."
        raise


def _name(config: Config, wanted: str | None) -> str | None:
    """Return the destination that is meant; None if there is none that maps."""
    mapping = [
        name
        for name, options in config.destinations.items()
        if isinstance(options, AepOptions) and options.mode == "xdm"
    ]
    if wanted is None:
        if len(mapping) > 1:
            raise UsageError(
                f"several destinations have a mapping: {', '.join(mapping)}",
                hint="Say which one with --destination.",
            )
        return next(iter(mapping), None)
    require_one_of("destination", wanted, config.destinations)
    if wanted not in mapping:
        raise UsageError(
            f"destination {wanted!r} has no mapping",
            hint="Only those of kind aep and mode xdm have one; others send the event as it is.",
        )
    return wanted
