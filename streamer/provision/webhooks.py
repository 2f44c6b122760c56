"""What a reporting webhook should be, what it is, and the way from the one to the other.

A webhook is told by its URL. What nobody asked for is left as it is, so that
doing all of this twice changes nothing the second time. It must not know the
configuration, and asks nobody anything but the App API.
"""

from __future__ import annotations

import fnmatch
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from streamer.core.errors import UsageError
from streamer.provision.app_api import AppApi, AppApiError, MaybeDone, Refusal, Webhook

_METRICS = {
    "customer": "subscribed unsubscribed subscription_preferences_changed",
    "email": "drafted attempted sent delivered opened clicked converted bounced dropped deferred "
    "spammed failed unsubscribed undeliverable",
    "in_app": "drafted attempted sent opened clicked converted failed undeliverable",
    "push": "drafted attempted sent delivered opened clicked converted bounced dropped failed "
    "undeliverable",
    "slack": "drafted attempted sent clicked converted failed",
    "sms": "drafted attempted sent delivered clicked converted bounced dropped failed "
    "undeliverable replied",
    "webhook": "drafted attempted sent clicked converted failed undeliverable",
    "whatsapp": "drafted attempted sent delivered opened clicked converted bounced dropped failed "
    "undeliverable replied",
}

EVENTS = tuple(
    f"{channel}_{metric}" for channel, metrics in _METRICS.items() for metric in metrics.split()
)
"""Every event that a webhook can be asked to send, by the name that the App API has for it."""

NAME = "streamer"
"""What a webhook is called unless somebody says otherwise."""

_NAMED_ALLOWED_MIN = 8
"""A refusal that names more than half of so many events lists those that it knows."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a webhook; None: as it is, or the default where there is none yet."""

    url: str | None = None
    name: str | None = None
    events: tuple[str, ...] | None = None
    full_resolution: bool | None = None
    with_content: bool | None = None
    disabled: bool | None = None


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as it should be."""

    field: str
    """By the name that the App API has for it."""
    present: object
    wanted: object


class Written(msgspec.Struct, frozen=True):
    """A webhook as it is after a change."""

    webhook: Webhook
    left_out: tuple[str, ...] = ()
    """Events that were asked for and that this region does not know."""


def select_events(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the events that patterns such as ``email_*`` mean, in the usual order.

    Raises:
        UsageError: a pattern means none.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        each = "*" if pattern == "all" else pattern.replace(".", "_")
        found = fnmatch.filter(EVENTS, each)
        if not found:
            raise UsageError(
                f"no event of Customer.io is called {pattern!r}",
                hint="Events are called like email_sent; `email_*` are all of e-mail.",
            )
        chosen.update(found)
    return tuple(event for event in EVENTS if event in chosen)


def differences(webhook: Webhook, wanted: Wanted) -> list[Difference]:
    """Return what is asked for and not so; the order of events means nothing."""
    found = []
    for field in wanted.__struct_fields__:
        asked, present = getattr(wanted, field), getattr(webhook, field)
        if asked is None or asked == present:
            continue
        if field == "events" and set(asked) == set(present):
            continue
        if field == "url" and is_same_url(asked, present):
            continue
        found.append(Difference("endpoint" if field == "url" else field, present, asked))
    return found


def is_same_url(one: str, other: str) -> bool:
    """Tell whether two URLs lead to one place, as far as their text tells."""
    return _normal(one) == _normal(other)


def _normal(url: str) -> tuple[str, str, int | None, str, str]:
    try:
        parts = urllib.parse.urlsplit(url.strip())
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return url, "", None, "", ""
    return parts.scheme, parts.hostname or "", port, parts.path.rstrip("/"), parts.query


def with_url(webhooks: Iterable[Webhook], url: str) -> list[Webhook]:
    """Return the webhooks that call a URL."""
    return [one for one in webhooks if one.type == "webhook" and is_same_url(one.url, url)]


def choose(webhooks: Sequence[Webhook], word: str) -> Webhook:
    """Return the webhook with this id, name or URL.

    Raises:
        UsageError: there is none, or more than one.
    """
    found = [one for one in webhooks if word == str(one.id)]
    found = found or [one for one in webhooks if word == one.name or is_same_url(word, one.url)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(one.id) for one in found)
        raise UsageError(
            f"{len(found)} webhooks are called so", hint=f"Say which by its id: {ids}."
        )
    raise UsageError(f"there is no webhook {word!r}", hint=say_which(webhooks))


def say_which(webhooks: Sequence[Webhook]) -> str:
    """Tell which there are to choose from."""
    there = ", ".join(f"{one.id} ({one.name})" for one in webhooks)
    if not there:
        return "There is none yet: `streamer customerio setup` makes one."
    return f"Say which, by id, name or URL: {there}."


async def create(api: AppApi, wanted: Wanted) -> Written:
    """Make a webhook with a URL, disabled unless it is said otherwise."""
    assert wanted.url is not None
    url = wanted.url
    made = Webhook(
        id=0,
        name=wanted.name or NAME,
        url=url,
        disabled=wanted.disabled is not False,
        full_resolution=bool(wanted.full_resolution),
        with_content=bool(wanted.with_content),
        events=wanted.events or EVENTS,
    )

    async def post(webhook: Webhook) -> Webhook:
        try:
            return await api.create(_document(webhook))
        except MaybeDone:
            there = with_url(await api.webhooks(), url)
            return there[0] if there else await api.create(_document(webhook))

    return await _without_unknown(made, post)


async def change(api: AppApi, webhook: Webhook, wanted: Wanted) -> Written:
    """Bring a webhook to what is asked for; asks nothing of the API when it is so already."""
    if webhook.type != "webhook":
        raise UsageError(
            f"webhook {webhook.id} is one of JavaScript, which calls nobody",
            hint="Change it in Customer.io, or choose another.",
        )
    if not differences(webhook, wanted):
        return Written(webhook)
    asked = {field: getattr(wanted, field) for field in wanted.__struct_fields__}
    given = {field: value for field, value in asked.items() if value is not None}
    target = msgspec.structs.replace(webhook, **given)

    async def put(one: Webhook) -> Webhook:
        rest = msgspec.structs.replace(wanted, events=one.events if wanted.events else None)
        if not differences(webhook, rest):
            return webhook  # all that was left to change is what this region does not know
        return await api.replace(webhook.id, _document(one))

    return await _without_unknown(target, put)


def _document(webhook: Webhook) -> dict[str, object]:
    """Write a webhook as the API takes it: whole, for whatever is left out may be reset."""
    return {
        "name": webhook.name,
        "endpoint": webhook.url,
        "events": list(webhook.events),
        "disabled": webhook.disabled,
        "full_resolution": webhook.full_resolution,
        "with_content": webhook.with_content,
    }


async def _without_unknown(
    webhook: Webhook, send: Callable[[Webhook], Awaitable[Webhook]]
) -> Written:
    """Send a webhook, without the events that a refusal says it does not know."""
    left_out: tuple[str, ...] = ()
    while True:
        try:
            return Written(await send(webhook), left_out)
        except AppApiError as error:
            if error.refusal is not Refusal.CONTENT:
                raise
            unknown = unknown_events(error.said, webhook.events)
            if not unknown:
                raise
            left_out += unknown
            kept = tuple(event for event in webhook.events if event not in unknown)
            webhook = msgspec.structs.replace(webhook, events=kept)


def unknown_events(said: str, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the events that a refusal names as unknown; never all that were asked for.

    One that names most of many lists those that are allowed.
    """
    words = set(re.findall(r"[a-z]+(?:_[a-z]+)+", said))
    named = tuple(event for event in asked if event in words)
    if len(named) == len(asked):
        return ()
    if len(asked) >= _NAMED_ALLOWED_MIN and len(named) * 2 > len(asked):
        return tuple(event for event in asked if event not in words)
    return named
