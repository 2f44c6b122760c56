"""An event's scope, as the mapper makes it, for the tests of the language."""

from __future__ import annotations

from typing import Any

from streamer.core.xdm.language.expression import compile_expression

SCOPE: dict[str, Any] = {
    "event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ",
    "object_type": "email",
    "metric": "clicked",
    "timestamp": 1613063489,
    "data": {
        "href": "https://Example.com/offer?x=1",
        "machine": False,
        "link_id": 7,
        "text_id": "7",
        "score": 2.5,
        "nothing": None,
        "blank": "",
        "identifiers": {"email": "Ann@Example.com", "id": "42", "deep": {"er": "still"}},
        "recipients": [{"device_id": "a"}, {"device_id": None}, {}, {"device_id": "b"}],
        "First Name": "Ann",
        "dotted.name": "dot",
        "{}": "braces",
        "new": "reserved",
        "huge": 10**30,
    },
    "streamer": {
        "position": 7,
        "source": "customerio",
        "received_at": "2021-02-11T17:11:30.000Z",
        "time": "2021-02-11T17:11:29Z",
        "type": "email.clicked",
        "tenant": "acme",
        "event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ",
    },
}


def value_of(expression: str, scope: dict[str, Any] | None = None) -> object:
    """Compile and evaluate."""
    return compile_expression(expression)(SCOPE if scope is None else scope)
