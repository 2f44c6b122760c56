"""From a destination's settings to the destination.

Kind ``x`` is implemented in ``streamer.destinations.x``, which is imported only
when one of its kind is configured, so that commands start quickly, and only
who needs an optional library misses it. The module has a function `build` with
the arguments of the one here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from streamer.clock import Clock
from streamer.core.alarms import Alarm
from streamer.destinations.base import Destination
from streamer.destinations.common_options import CommonOptions, Secret


def kind_of(options: CommonOptions) -> str:
    """Return the ``kind`` that the configuration file says."""
    return str(options.__struct_config__.tag)


def build(
    name: str,
    options: CommonOptions,
    *,
    clock: Clock,
    secret: Callable[[Secret], str],
    raise_alarm: Callable[[Alarm, str], None],
) -> Destination:
    """Make the destination that the settings describe; it connects to nothing yet.

    ``secret`` reads a secret from where the settings say it is; ``raise_alarm`` is called from the
    event loop's thread.

    Raises:
        ConfigurationError: a setting, a secret or an optional library cannot be used.
    """
    module = importlib.import_module(f"streamer.destinations.{kind_of(options)}")
    destination = module.build(name, options, clock=clock, secret=secret, raise_alarm=raise_alarm)
    return cast(Destination, destination)
