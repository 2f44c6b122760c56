"""``streamer mapping``: its options; what they do is in `mapping_show` and its siblings.

They are apart so that ``--help`` and completion load no mapping.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from streamer.cli.common import ConfigFile, Json

Destination = Annotated[
    str | None,
    Parameter(help="Whose mapping, of the destinations of kind aep; needed if there are several."),
]
MappingFile = Annotated[
    Path | None, Parameter(name="--mapping", help="A mapping file to try in place of its own.")
]


def show(
    *,
    type: Annotated[  # noqa: A002 - the word of the other commands
        str | None, Parameter(help="Only what is for this type, such as email.clicked.")
    ] = None,
    destination: Destination = None,
    mapping: MappingFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Show the rules that apply: the built-in ones with those of the mapping file over them.

    Of two rules with one destination, the later wins where it gives a value.
    """
    from streamer.cli import mapping_choice, mapping_show  # noqa: PLC0415 - load the mapping

    chosen = mapping_choice.choose(config, destination=destination, file=mapping)
    mapping_show.run(chosen, type_name=type, json=json)


def render(
    file: Annotated[
        Path | None,
        Parameter(
            allow_leading_hyphen=True,
            help="A file with a webhook's body as JSON; - is standard input.",
        ),
    ] = None,
    /,
    *,
    event: Annotated[
        str | None, Parameter(help="Instead of a file: the id or position of a stored event.")
    ] = None,
    source: Annotated[str | None, Parameter(help="Whose event, if several use the id.")] = None,
    trace: Annotated[
        bool, Parameter(negative="", help="Tell of each rule what became of its value.")
    ] = False,
    destination: Destination = None,
    mapping: MappingFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Print the XDM entity that a destination would send for an event. Nothing is sent.

    What was left out or replaced is told on standard error. A body in a file counts as received
    at the moment that it tells.
    """
    from streamer.cli import mapping_choice, mapping_render  # noqa: PLC0415 - load the mapping

    chosen = mapping_choice.choose(config, destination=destination, file=mapping)
    found = mapping_render.find(config, file=file, event=event, source=source)
    mapping_render.run(chosen, found, trace=trace, json=json)


def test(
    directory: Annotated[
        Path, Parameter(help="Holds NAME.event.json, and NAME.xdm.json with what must come of it.")
    ],
    /,
    *,
    update: Annotated[
        bool, Parameter(negative="", help="Write what comes of the events, in place of comparing.")
    ] = False,
    destination: Destination = None,
    mapping: MappingFile = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Compare what a mapping makes of events with what it must make of them.

    Ends with 1 if anything differs, is missing or cannot be read.
    """
    from streamer.cli import mapping_choice, mapping_test  # noqa: PLC0415 - load the mapping

    chosen = mapping_choice.choose(config, destination=destination, file=mapping)
    mapping_test.run(chosen, directory, update=update, json=json)
