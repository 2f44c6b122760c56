"""From the settings of a destination of kind ``aep`` to the mapping that it applies.

The mapping file is read here, once; a change of it needs a reload, as a change
of the configuration does. What is wrong with the file, or with a setting that is
an expression, is the configuration's fault and is told as such.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from streamer.core.errors import ConfigurationError
from streamer.core.limits import CONFIG_FILE_BYTES_MAX
from streamer.core.xdm.language.expression import ExpressionError, compile_expression
from streamer.core.xdm.mapper import Mapper
from streamer.core.xdm.mapping_file import Layer, read_mapping
from streamer.core.xdm.settings import DEFAULT_IDENTITIES, Identity, MappingSettings
from streamer.destinations.aep_options import AepOptions, IdentityOptions

_UNREADABLE: dict[type[OSError], str] = {
    FileNotFoundError: "Look at its name; in the configuration it is relative to that file.",
    IsADirectoryError: "Name the file itself.",
}


def mapper_of(options: AepOptions) -> Mapper:
    """Make the mapper of a destination, its mapping file read.

    Raises:
        ConfigurationError: The mapping file cannot be read, or it or an identity is wrong.
    """
    return Mapper(settings_of(options), layers_of(options))


def settings_of(options: AepOptions) -> MappingSettings:
    """Return what the settings say about the mapping.

    Raises:
        ConfigurationError: The source of an identity is no expression.
    """
    identities = tuple(
        _identity(number, identity) for number, identity in enumerate(options.identities)
    )
    return MappingSettings(
        tenant=options.tenant or "",
        produces=options.produces,
        identities=identities or DEFAULT_IDENTITIES,
        require_identity=options.require_identity,
        email_details=options.email_details,
        journey_optimizer=options.journey_optimizer,
        soft_bounces=options.soft_bounces,
        dismiss_actions=tuple(options.dismiss_actions),
        keep_raw=options.keep_raw,
        topics=options.topics,
        entity_bytes_max=options.entity_bytes_max,
    )


def layers_of(options: AepOptions) -> tuple[Layer, ...]:
    """Return what lies over the built-in mapping: the mapping file, if there is one.

    Raises:
        ConfigurationError: It cannot be read, or is wrong.
    """
    if options.mapping is None:
        return ()
    return (read_mapping_file(Path(options.mapping)),)


def own_fields_of(layers: Iterable[Layer]) -> dict[str, str]:
    """Return the fields that layers add to the tenant's field group: each path, and its kind."""
    return {path: kind for layer in layers for path, kind in layer.fields.items()}


def read_mapping_file(path: Path) -> Layer:
    """Read a mapping file.

    Raises:
        ConfigurationError: It cannot be read, or is wrong.
    """
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the mapping file {path} cannot be read: {error.strerror}",
            hint=_UNREADABLE.get(type(error), "The service's user must be able to read it."),
        ) from error
    if len(content) > CONFIG_FILE_BYTES_MAX:
        raise ConfigurationError(f"the mapping file {path} is larger than a mapping can be")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"the mapping file {path}:{line} is not UTF-8 text") from None
    return read_mapping(text, origin=str(path))


def _identity(number: int, options: IdentityOptions) -> Identity:
    try:
        compile_expression(options.source)
    except ExpressionError as error:
        raise ConfigurationError(
            f"the source of identities[{number}] is wrong: {error}", hint=error.hint
        ) from None
    return Identity(
        namespace=options.namespace,
        source=options.source,
        types=tuple(options.types),
        form=options.form,
    )
