"""What is wrong with a destination's mapping, as ``check`` tells it: each mistake by its line."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streamer.config.problems import Problem
from streamer.core.errors import ConfigurationError
from streamer.core.xdm.mapper import Mapper
from streamer.core.xdm.mapping_file import MappingErrors, MappingProblem
from streamer.destinations.aep_mapping import layers_of, settings_of
from streamer.destinations.aep_options import AepOptions


class MappingFindings(msgspec.Struct, frozen=True):
    """What was found in one destination's mapping."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def look_at_mapping(name: str, options: AepOptions) -> MappingFindings:
    """Make a destination's mapping, without its secrets, and say what is wrong or odd."""
    path = f"destinations.{name}"
    try:
        layers = layers_of(options)
        Mapper(settings_of(options), layers)
    except MappingErrors as errors:
        return MappingFindings(
            tuple(_problem(path, errors.origin, problem) for problem in errors.problems)
        )
    except ConfigurationError as error:
        return MappingFindings((Problem(path=path, message=str(error), hint=error.hint),))
    warnings: Iterator[Problem] = (
        _problem(path, options.mapping or "", warning)
        for layer in layers
        for warning in layer.warnings
    )
    return MappingFindings((), tuple(warnings))


def _problem(path: str, origin: str, found: MappingProblem) -> Problem:
    message = f"{found.key}: {found.message}" if found.key else found.message
    return Problem(
        path=f"{path}.mapping", message=message, hint=found.hint, where=f"{origin}:{found.line}"
    )
