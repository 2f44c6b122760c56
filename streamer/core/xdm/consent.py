"""What events say of a person's consent: records of the profile, for a dataset of their own.

An event of a dataset tells what happened; a record of a profile tells how things
stand, and the last one written wins. So these records go by a destination of
their own, with its own cursor: they must arrive in order, and a record that
Adobe refuses must not be tried again together with events that it has taken.
Each says what its event says and no more; whether Profile then keeps what an
earlier one said is not sure (docs/aep.md has what is known).

Adobe takes a channel's subscriptions only together with a value for the channel
itself. Who keeps or takes up one topic wants e-mail, and who gives up the last
of the known ones does not: of two ways to err, writing to somebody who said no
is the worse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from streamer.core.errors import ConfigurationError
from streamer.core.xdm.fields import CONSENT_VALUES, Field
from streamer.core.xdm.rule import Rule, quoted
from streamer.core.xdm.settings import MappingSettings

_MARKETING = "consents.marketing."
_SUBSCRIPTIONS = f"{_MARKETING}email.subscriptions."
_PREFERENCES = "*.cio_subscription_preferences_changed"

_NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}")

REASON = '"Customer.io"'
"""Where the profile's owner finds more of it."""


def rules(settings: MappingSettings) -> tuple[Rule, ...]:
    """Return the built-in rules for records of consent."""
    return (
        *_of_person(),
        *_of_message(),
        *_of_topics(settings.topics),
        _rule("extSourceSystemAudit.lastUpdatedDate", "streamer.time"),
    )


def subscription_fields(topics: Mapping[str, str]) -> dict[str, Field]:
    """Return the fields that the configured topics are written to, by path.

    Raises:
        ConfigurationError: A subscription has a name that cannot be part of a path.
    """
    for name in topics.values():
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"the subscription {name!r} cannot be part of a path",
                hint="use letters, digits, hyphens and underscores",
            )
    paths = [f"{_SUBSCRIPTIONS}{name}.val" for name in topics.values()]
    return {path: Field(path=path, kind="text", values=CONSENT_VALUES) for path in paths}


def may_say(paths: Iterable[str]) -> bool:
    """Say whether rules for these paths can tell of any consent."""
    return any(path.startswith("consents.") for path in paths)


def says_something(entity: Mapping[str, Any]) -> bool:
    """Say whether an entity tells of any consent."""
    return "consents" in entity


def _rule(destination: str, source: str, *types: str, note: str = "") -> Rule:
    return Rule(destination=destination, source=source, types=types, note=note)


def _of_person() -> Iterator[Rule]:
    yield from _consent("any", '"y"', "true", "*.subscribed")
    yield from _consent(
        "any",
        '"n"',
        "is_empty(data.delivery_id)",
        "*.unsubscribed",
        note="a person's event; with a delivery id it is a message's",
    )


def _of_message() -> Iterator[Rule]:
    yield from _consent(
        "email",
        '"n"',
        "!is_empty(data.delivery_id)",
        "email.unsubscribed",
        note="a message's event; without a delivery id it is a person's",
    )


def _of_topics(topics: Mapping[str, str]) -> Iterator[Rule]:
    """Yield a subscription for each configured topic that the new preferences name."""
    known = {
        subscription: f'get(get(json_to_object(data.content), "topics"), {quoted(topic)})'
        for topic, subscription in topics.items()
    }
    for subscription, choice in known.items():
        yield _rule(
            f"{_SUBSCRIPTIONS}{subscription}.val",
            f'decode({choice}, true, "y", false, "n")',
            _PREFERENCES,
        )
    for value, said in (('"n"', "false"), ('"y"', "true")):
        for choice in known.values():
            yield from _consent("email", value, f"{choice} == {said}", _PREFERENCES)


def _consent(
    channel: str, value: str, condition: str, types: str, *, note: str = ""
) -> Iterator[Rule]:
    parts = {"val": value, "time": "streamer.time", "reason": REASON}
    for name, part in parts.items():
        yield _rule(
            f"{_MARKETING}{channel}.{name}", f"iif({condition}, {part}, null)", types, note=note
        )
