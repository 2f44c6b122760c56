"""``streamer doctor``: its options; `streamer.cli.examination` does the work.

They are apart so that ``--help`` and completion load none of what is looked at.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from streamer.cli.common import ConfigFile, Json

Url = Annotated[
    str | None, Parameter(help="The public URL that Customer.io calls, to go the way it goes.")
]
SourceName = Annotated[
    str | None, Parameter(name="--source", help="Whose webhook; needed if there are several.")
]
SendTest = Annotated[
    bool,
    Parameter(negative="", help="Send a signed test event to the URL; it is stored once."),
]


def doctor(
    *,
    url: Url = None,
    source: SourceName = None,
    send_test: SendTest = False,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Look at everything that could cost an hour of events, and say what to do about it.

    With --url it also goes the way from the public name to the service. Ends
    with 1 if anything failed; warnings are for reading.
    """
    from streamer.cli import examination  # noqa: PLC0415 - loads much of the program

    examination.run(config, url=url, source=source, send_test=send_test, json=json)
