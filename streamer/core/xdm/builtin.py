"""The mapping that comes with the program, in the language that mapping files are written in.

What each type of event is to Adobe is a table of its own; the rest are rules for
many types at once. A rule is found by the event's own type, ``object_type.metric``,
as filters are.

Three metrics tell of a person and not of a message, and their object type is
only the channel that the change is put down to. ``unsubscribed`` is the hard
one: with a delivery id it is a message's, without one a person's, and one click
can bring both. Only the message's is counted, or totals would double.
"""

from __future__ import annotations

from collections.abc import Iterator

from streamer.core.xdm.event_types import ROWS, Row
from streamer.core.xdm.fields import CJM
from streamer.core.xdm.rule import Rule, quoted
from streamer.core.xdm.settings import MappingSettings
from streamer.core.xdm.tenant_group import PREFIX

FAILURE = "coalesce(data.failure_message, data.reason)"
"""Why something failed; one receiver has met it under the second name."""

_SMTP = r'get(extract_regex({text}, "(?:^|[\s;(\[])([45]\d\d)(?:[\s\-;:,)\]]|$)"), 1)'
_ENHANCED = r'get(extract_regex({text}, "(?:^|[\s;(\[#])([45]\.\d{{1,3}}\.\d{{1,3}})"), 1)'
SMTP_CODE = f"coalesce({_SMTP}, {_ENHANCED})".format(text=FAILURE)
"""The reply's code, such as 550; where only the enhanced one is given, such as 5.1.1, that."""

_BOUNCES = ("email.bounced",)
_IS_SOFT = f'matches_regex({SMTP_CODE}, "4.*")'

_CHANNELS = {
    "email": ("https://ns.adobe.com/xdm/channels/email", "email"),
    "sms": ("https://ns.adobe.com/xdm/channels/sms", "messaging"),
    "whatsapp": ("https://ns.adobe.com/xdm/channels/whatsApp", "messaging"),
    "push": ("https://ns.adobe.com/xdm/channels/push", "mobile"),
    "in_app": ("https://ns.adobe.com/xdm/channels/mobile-app", "mobile"),
    "slack": ("", "messaging"),
    "webhook": ("", "external"),
}
"""The URI of each object type's channel, empty for the tenant's own, and the type of channel."""

_OWN_FIELDS = {
    "objectType": "object_type",
    "metric": "metric",
    "eventID": "streamer.event_id",
    "sequence": "streamer.position",
    "sentTimestamp": "streamer.sent_time",
    "deliveryID": "data.delivery_id",
    "campaignID": "data.campaign_id",
    "broadcastID": "data.broadcast_id",
    "newsletterID": "data.newsletter_id",
    "contentID": "data.content_id",
    "transactionalMessageID": "data.transactional_message_id",
    "actionID": "data.action_id",
    "parentActionID": "data.parent_action_id",
    "journeyID": "data.journey_id",
    "triggerID": "data.trigger_id",
    "triggerEventID": "data.trigger_event_id",
    "personID": "data.identifiers.id",
    "cioID": "data.identifiers.cio_id",
    "customerID": "data.customer_id",
    "recipient": "data.recipient",
    "emailAddress": "data.email_address",
    "subject": "data.subject",
    "href": "data.href",
    "linkID": "data.link_id",
    "trackedResponse": "data.tracked_response",
    "failureMessage": FAILURE,
    "proxied": "data.proxied",
    "prefetched": "data.prefetched",
    "synthetic": "data.synthetic",
    "machine": "data.machine",
    "inboundEventID": "data.inbound_event_id",
    "replyTo": "data.to",
    "recipients": "data.recipients",
    "headers": "data.headers",
}
"""Names below the tenant's own group, and where each is found."""

_OWN_NOTES = {
    "sequence": "timestamps have whole seconds, so a message's sent and delivered may tie",
    "sentTimestamp": "only of an event whose own time lies ahead, or is none",
    "customerID": "deprecated, and not always the id in the identifiers",
    "failureMessage": "one receiver has met it as `reason`",
}

PREFERENCES = "cio_subscription_preferences_changed"


def rules(settings: MappingSettings) -> tuple[Rule, ...]:
    """Return the built-in rules for events; those for groups outside the schema included."""
    return (
        *_common(),
        *(rule for row in ROWS for rule in _of_row(row, settings)),
        *_of_people(),
        *_of_journeys(settings.tenant),
        *(rule for name in _CHANNELS for rule in _of_channel(name, settings.tenant)),
        *_of_messages(settings),
        *_own(),
    )


def _rule(destination: str, source: str, *types: str, note: str = "") -> Rule:
    return Rule(destination=destination, source=source, types=types, note=note)


def _common() -> Iterator[Rule]:
    yield _rule(
        "_id", "streamer.event_id", note="the same for each repeat; with other signs hashed"
    )
    yield _rule("timestamp", "streamer.time", note="of the receipt, if its own cannot be used")
    yield _rule(
        "eventType", 'concat("customerio.", streamer.type)', note="for types that nobody knows yet"
    )
    yield _rule("producedBy", '"system"')


def _of_row(row: Row, settings: MappingSettings) -> Iterator[Rule]:
    own = f"customerio.{row.object_type}.{row.metric}"
    yield _of_message(row, "eventType", quoted(own if row.event_type == "own" else row.event_type))
    if row.counter != "-":
        is_refined = settings.soft_bounces and row.types == _BOUNCES
        one = f"iif({_IS_SOFT}, null, 1)" if is_refined else "1"
        yield _of_message(row, f"directMarketing.{row.counter}.value", one)
    if row.media_action != "-":
        yield _of_message(row, "channel.mediaAction", quoted(row.media_action))
    kind, _, value = row.journey.partition("=")
    if kind in _JOURNEY_FIELDS:
        yield _of_message(row, _JOURNEY_FIELDS[kind], quoted(value))


_JOURNEY_FIELDS = {
    "fs": f"{CJM}messageDeliveryfeedback.feedbackStatus",
    "it": f"{CJM}messageInteraction.interactionType",
}


def _of_message(row: Row, destination: str, source: str) -> Rule:
    if row.metric != "unsubscribed":
        return _rule(destination, source, *row.types)
    return _rule(
        destination,
        f"iif(is_empty(data.delivery_id), null, {source})",
        *row.types,
        note="of the message only; without a delivery id it is the person's",
    )


def _of_people() -> Iterator[Rule]:
    """Yield what consent is to Adobe; its object type only says what it is put down to."""
    interaction = _JOURNEY_FIELDS["it"]
    yield _rule(
        "eventType",
        'iif(is_empty(data.delivery_id), "customerio.customer.unsubscribed", null)',
        "*.unsubscribed",
        note="whatever its object type; no counter, since the message's own event has it",
    )
    yield _rule(
        interaction,
        'iif(is_empty(data.delivery_id), "unsubscribe", null)',
        "*.unsubscribed",
    )
    yield _rule("eventType", '"customerio.customer.subscribed"', "*.subscribed")
    yield _rule("directMarketing.marketingSubscription.value", "1", "*.subscribed")
    yield _rule(
        "eventType", '"customerio.customer.subscriptionPreferencesChanged"', f"*.{PREFERENCES}"
    )
    yield _rule(interaction, '"subscription"', "*.subscribed", f"*.{PREFERENCES}")


def _of_channel(name: str, tenant: str) -> Iterator[Rule]:
    uri, kind = _CHANNELS[name]
    types = f"{name}.*"
    yield _rule("channel._id", quoted(uri or _own_channel(name, tenant)), types)
    yield _rule("channel._type", quoted(f"https://ns.adobe.com/xdm/channel-types/{kind}"), types)
    yield _rule("channel.typeAtSource", quoted(name), types)
    yield _rule("channel.mode", '"push"', types)
    yield _rule(
        f"{CJM}messageProfile.channel._id", quoted(uri or _own_channel(name, tenant)), types
    )


def _own_channel(name: str, tenant: str) -> str:
    """Return the URI of a channel that Adobe has none for."""
    return f"https://ns.adobe.com/{tenant}/channels/{name}"


def _of_messages(settings: MappingSettings) -> Iterator[Rule]:
    yield _rule("directMarketing.messageID", "data.delivery_id", "email.*")
    yield _rule("directMarketing.mailingName", "data.subject", "email.*")
    yield _rule("directMarketing.linkURL", "data.href", "email.clicked")
    yield _rule("web.webInteraction.linkID", "data.link_id", "email.clicked")
    yield _rule("directMarketing.email", "data.recipient", "email.bounced")
    yield _rule("directMarketing.emailBouncedDetails", FAILURE, "email.bounced")
    yield _rule(
        "directMarketing.emailBouncedCode",
        SMTP_CODE,
        "email.bounced",
        note="only the mail server's words tell it",
    )
    yield _rule(
        "pushNotificationTracking.customAction.actionID",
        "coalesce(data.link_id, data.href)",
        "push.clicked",
    )
    yield _rule("inappMessageTracking.action", "data.tracked_response", "in_app.clicked")
    if settings.dismiss_actions:
        yield _dismissal(settings.dismiss_actions)
    if settings.soft_bounces:
        yield from _soft_bounces()


def _dismissal(actions: tuple[str, ...]) -> Rule:
    pairs = ", ".join(f'{quoted(action)}, "inappmessageTracking.dismiss"' for action in actions)
    return _rule(
        "eventType",
        f"decode(data.tracked_response, {pairs})",
        "in_app.clicked",
        note="these actions put the message away, by the setting `dismiss_actions`",
    )


def _soft_bounces() -> Iterator[Rule]:
    """Yield what a code 4xx changes: Adobe counts what is temporary under another name."""
    note = "a code 4xx is temporary, by the setting `soft_bounces`"
    for destination, value in (
        ("eventType", '"directMarketing.emailBouncedSoft"'),
        ("channel.mediaAction", '"bounces"'),
        ("directMarketing.bounces.value", "1"),
    ):
        yield _rule(destination, f"iif({_IS_SOFT}, {value}, null)", *_BOUNCES, note=note)


def _of_journeys(tenant: str) -> Iterator[Rule]:
    """Yield what Journey Optimizer wants to know, all below one object."""
    execution, failure = f"{CJM}messageExecution.", f"{CJM}messageDeliveryfeedback."
    interaction = f"{CJM}messageInteraction."
    yield _rule(
        f"{execution}messageExecutionID",
        "streamer.event_id",
        note="required, so an event of no message is its own",
    )
    yield _rule(f"{execution}messageExecutionID", "data.delivery_id")
    yield _rule(f"{execution}campaignID", "data.campaign_id")
    yield _rule(
        f"{CJM}messageProfile.channel._id",
        quoted(_own_channel("none", tenant)),
        note="required, so an event of no known channel names this one",
    )
    yield _rule(f"{CJM}messageProfile.messageProfileID", "data.delivery_id")
    yield _rule(f"{CJM}emailChannelContext.address", "data.recipient", "email.*")
    yield _rule(f"{failure}messageFailure.reason", FAILURE, *_types_of("fs=delay", "fs=error"))
    yield _rule(f"{failure}messageFailure.reason", FAILURE, *_types_of("fs=bounce"))
    yield _rule(f"{failure}messageFailure.code", SMTP_CODE, "email.bounced")
    yield _rule(
        f"{failure}messageExclusion.reason", FAILURE, *_types_of("fs=denylist", "fs=exclude")
    )
    yield _rule(f"{interaction}url", "data.href", "*.clicked")
    yield _rule(f"{interaction}urlID", "data.link_id", "*.clicked")
    for mark, types, word in (
        ("data.prefetched", "email.opened", "bot_open"),
        ("data.machine", "email.clicked", "bot_click"),
    ):
        yield _rule(
            f"{interaction}interactionType",
            f'iif({mark}, "{word}", null)',
            types,
            note="a machine's; Customer.io counts it as well",
        )
        yield _rule(f"{interaction}isBot", mark, types)
    for name, context in (("sms", "smsChannelContext"), ("whatsapp", "whatsAppChannelContext")):
        yield _rule(f"{CJM}{context}.inboundNumber", "data.to", f"{name}.replied")
        yield _rule(f"{CJM}{context}.profileNumber", "data.recipient", f"{name}.replied")


def _types_of(*journeys: str) -> tuple[str, ...]:
    return tuple(pattern for row in ROWS if row.journey in journeys for pattern in row.types)


def _own() -> Iterator[Rule]:
    for name, source in _OWN_FIELDS.items():
        yield _rule(PREFIX + name, source, note=_OWN_NOTES.get(name, ""))
    yield _rule(
        f"{PREFIX}content",
        f'iif(metric == "{PREFERENCES}", null, data.content)',
        note="comes with Body Content switched on; the first to go when there is no room",
    )
    yield _rule(
        f"{PREFIX}subscriptionTopics",
        "data.content",
        f"*.{PREFERENCES}",
        note="what Customer.io calls content is the new preferences here",
    )
