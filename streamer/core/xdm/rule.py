"""One line of a mapping: where a value comes from, and where it goes.

The built-in mapping and the mapping files of users are lists of the same
rules, so one language, one engine and one table in the documents serve both.
"""

from __future__ import annotations

import msgspec

BUILT_IN = "built-in"
"""The origin of the rules that come with the program."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A value computed from the event, and the path in the XDM entity that it is written to.

    Of two rules with one destination for one type, the later wins where it gives a value; rules
    of a mapping file come after the built-in ones.
    """

    destination: str
    """Path in wire form, such as ``directMarketing.linkURL`` or ``_{tenant}.customerio.href``."""
    source: str
    """An expression in the language of `streamer.core.xdm.language`, such as ``data.href``."""
    types: tuple[str, ...] = ()
    """Patterns of ``object_type.metric`` that it is for; none: every event."""
    note: str = ""
    """Why, for the table in the documents."""
    origin: str = BUILT_IN
    """`BUILT_IN`, or the file and place that it was read from."""


def quoted(text: str) -> str:
    """Write a text as a literal of the language."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
