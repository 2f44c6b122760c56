"""Every path of an XDM entity that may be written: its kind, and the field group it is from.

Adobe refuses an entity with a path that its schema does not declare, and does
so long after it has accepted it. So nothing is written that is not in here,
and a schema is made of exactly these field groups. Paths are in wire form.

An object in which one field is required says so by a ``!`` behind its kind: the
object is never written without it. ``!!`` is required in every entity as soon
as the group is part of the schema.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Literal

import msgspec

from streamer.core.xdm.kinds import FITS, Fit, Kind, fit_one_of, fit_short_text
from streamer.core.xdm.settings import MappingSettings
from streamer.core.xdm.tenant_group import EXPERIENCE_EVENT_CLASS, OWN_FIELDS, PREFIX, TENANT

PROFILE_CLASS = "https://ns.adobe.com/xdm/context/profile"

Need = Literal["", "email_details", "journey_optimizer"]
"""The setting that puts a field group into the schema; empty: it always is."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One path, and what may stand there."""

    path: str
    kind: Kind
    values: tuple[str, ...] = ()
    """All that are allowed; none: any of its kind."""
    characters_max: int | None = None
    required: Literal["", "in its object", "always"] = ""

    def fit(self) -> Fit:
        """Return the function that makes a value fit."""
        if self.values:
            return fit_one_of(self.values)
        if self.characters_max is not None:
            return fit_short_text(self.characters_max)
        return FITS[self.kind]


class FieldGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a schema: the class itself, or a field group."""

    id: str
    """Its ``$id``; empty for the tenant's own group, which Adobe names when it is made."""
    title: str
    fields: tuple[Field, ...]
    need: Need = ""


_FEEDBACK = "error exclude sent bounce delay duplicate denylist delivered read unknown"
_INTERACTION = "click open unsubscribe spam_complaint subscription submit visit bot_open bot_click"
CONSENT_VALUES = ("y", "n", "p", "u", "dy", "dn", "LI", "CT", "CP", "VI", "PI")
_MODE = "push pull bidirectional"

_MEASURES = (
    "bounces", "clicks", "mirrorPages", "nonDeliverables", "sends", "userComplaints", "opens",
    "unsubscriptions", "notSent", "offerOpens", "impressions", "excludes", "customActions",
    "marketingSubscription", "emailDelivered",
)  # fmt: skip


def _fields(prefix: str, table: Mapping[str, str]) -> tuple[Field, ...]:
    """Read a table of paths and kinds; ``text<255`` is short text, ``a|b`` are the only values."""
    return tuple(_field(prefix + path, words) for path, words in table.items())


def _field(path: str, words: str) -> Field:
    kind = words.rstrip("!")
    required = ("", "in its object", "always")[len(words) - len(kind)]
    kind, _, characters = kind.partition("<")
    values = tuple(kind.split("|")) if "|" in kind else ()
    return Field(
        path=path,
        kind="text" if values else kind,  # type: ignore[arg-type]  # the tables' own words
        values=values,
        characters_max=int(characters) if characters else None,
        required=required,  # type: ignore[arg-type]  # one of the three above
    )


def _one_of(words: str) -> str:
    return "|".join(words.split())


_MAILING = {
    "mailingID": "text", "mailingName": "text", "testVariantID": "text",
    "testVariantName": "text", "automationRunID": "text",
}  # fmt: skip

_EVENT_CLASS = FieldGroup(
    id=EXPERIENCE_EVENT_CLASS,
    title="XDM ExperienceEvent",
    fields=_fields(
        "",
        {
            "_id": "id!!",
            "timestamp": "date-time!!",
            "eventType": "text",
            "eventMergeId": "text",
            "producedBy": "text",
        },
    ),
)

_DIRECT_MARKETING = FieldGroup(
    id="https://ns.adobe.com/xdm/context/experienceevent-directmarketing",
    title="Direct Marketing Details",
    fields=_fields(
        "directMarketing.",
        {
            **{f"{measure}.value": "number!" for measure in _MEASURES},
            **{f"{measure}.id": "text" for measure in _MEASURES},
            "messageID": "text",
            "unsubscribeReason": "text",
            "hashedEmail": "text",
            "emailVisitorID": "text",
        },
    ),
)

_CHANNEL = FieldGroup(
    id="https://ns.adobe.com/xdm/context/experienceevent-channel",
    title="Channel Details",
    fields=_fields(
        "channel.",
        {
            "_id": "uri!",
            "_type": "uri",
            "typeAtSource": "text",
            "mode": _one_of(_MODE),
            "mediaType": "text",
            "mediaAction": "text",
            "referringSource": "text",
        },
    ),
)

_PUSH = FieldGroup(
    id="https://ns.adobe.com/xdm/context/experienceevent-pushtracking",
    title="Push notification tracking",
    fields=_fields(
        "pushNotificationTracking.",
        {
            "customAction.actionID": "text",
            "customAction.value": "number",
            "pushProviderMessageID": "text",
            "pushProvider": "text",
            "isLaunch": "boolean",
        },
    ),
)

_IN_APP = FieldGroup(
    id="https://ns.adobe.com/xdm/context/experienceevent-inappmessage-tracking",
    title="Inapp message tracking",
    fields=_fields("inappMessageTracking.", {"action": "text"}),
)

_EMAIL_CLICKED = FieldGroup(
    id="https://ns.adobe.com/xdm/mixins/events/emailclicked",
    title="Email Clicked",
    need="email_details",
    fields=_fields(
        "",
        {
            **{f"directMarketing.{name}": kind for name, kind in _MAILING.items()},
            "directMarketing.linkURL": "text",
            "web.webInteraction.linkID": "text",
            "environment.operatingSystem": "text",
            "environment.browserDetails.userAgent": "text",
            "device.isMobileDevice": "boolean",
            "device.model": "text",
        },
    ),
)

_EMAIL_BOUNCED = FieldGroup(
    id="https://ns.adobe.com/xdm/mixins/events/emailbounced",
    title="Email Bounced",
    need="email_details",
    fields=_fields(
        "directMarketing.",
        {
            **_MAILING,
            "emailBouncedCode": "text",
            "emailBouncedDetails": "text",
            "email": "text",
        },
    ),
)

CJM = "_experience.customerJourneyManagement."
_CJM_IDS = "https://ns.adobe.com/experience/customerJourneyManagement/"

_EXECUTION = FieldGroup(
    id=_CJM_IDS + "messageexecution",
    title="Adobe CJM ExperienceEvent - Message Execution Details",
    need="journey_optimizer",
    fields=_fields(
        CJM + "messageExecution.",
        {
            "messageExecutionID": "text<512!!",
            "messageID": "text",
            "messagePublicationID": "text",
            "journeyVersionID": "text",
            "journeyVersionInstanceID": "text",
            "journeyVersionNodeID": "text",
            "journeyActionID": "text",
            "messageType": _one_of("marketing transactional"),
            "campaignID": "text",
            "campaignVersionID": "text",
            "campaignActionID": "text",
            "batchInstanceID": "text",
        },
    ),
)

_REPLY = {
    "messageType": "text", "inboundMessage": "text", "inboundNumber": "text",
    "profileNumber": "text", "channelType": "text",
}  # fmt: skip

_PROFILE = FieldGroup(
    id=_CJM_IDS + "messageprofile",
    title="Adobe CJM ExperienceEvent - Message Profile Details",
    need="journey_optimizer",
    fields=_fields(
        CJM,
        {
            "messageProfile.messageProfileID": "text",
            "messageProfile.channel._id": "uri!!",
            "messageProfile.channel._type": "uri",
            "messageProfile.variant": "text",
            "messageProfile.isTestExecution": "boolean",
            "emailChannelContext.address": "email",
            "emailChannelContext.namespace": "text",
            "emailChannelContext.domain": "text",
            "pushChannelContext.platform": "text",
            "smsChannelContext.smsProvider": "text",
            **{f"smsChannelContext.{name}": kind for name, kind in _REPLY.items()},
            **{f"whatsAppChannelContext.{name}": kind for name, kind in _REPLY.items()},
        },
    ),
)

_DELIVERY_FEEDBACK = FieldGroup(
    id=_CJM_IDS + "message-delivery-feedback",
    title="Adobe CJM ExperienceEvent - Message Delivery Feedback Details",
    need="journey_optimizer",
    fields=_fields(
        CJM + "messageDeliveryfeedback.",
        {
            "feedbackStatus": _one_of(_FEEDBACK),
            "messageExclusion.code": "text",
            "messageExclusion.reason": "text",
            "messageFailure.code": "text",
            "messageFailure.reason": "text",
            "messageFailure.type": "text",
            "messageFailure.category": "text",
            "retryCount": "integer",
        },
    ),
)

_MESSAGE_INTERACTION = FieldGroup(
    id=_CJM_IDS + "message-interaction",
    title="Adobe CJM ExperienceEvent - Message interaction details",
    need="journey_optimizer",
    fields=_fields(
        CJM + "messageInteraction.",
        {
            "interactionType": _one_of(_INTERACTION + " reply"),
            "urlID": "text",
            "url": "text",
            "trackingType": "text",
            "tags": "array",
            "label": "text",
            "isBot": "boolean",
        },
    ),
)

_OWN = FieldGroup(
    id="",
    title="Customer.io Event Details",
    fields=tuple(Field(path=PREFIX + field.name, kind=field.kind) for field in OWN_FIELDS),
)

EVENT_GROUPS = (
    _EVENT_CLASS,
    _DIRECT_MARKETING,
    _CHANNEL,
    _PUSH,
    _IN_APP,
    _EMAIL_CLICKED,
    _EMAIL_BOUNCED,
    _EXECUTION,
    _PROFILE,
    _DELIVERY_FEEDBACK,
    _MESSAGE_INTERACTION,
    _OWN,
)
"""Of the schema for events: the class first, the tenant's own group last."""

CONSENT_CHANNELS = ("email", "push", "sms", "whatsApp")

CONSENT_GROUPS = (
    FieldGroup(id=PROFILE_CLASS, title="XDM Individual Profile", fields=()),
    FieldGroup(id="https://ns.adobe.com/xdm/context/identitymap", title="IdentityMap", fields=()),
    FieldGroup(
        id="https://ns.adobe.com/xdm/mixins/profile-consents",
        title="Consent and Preference Details",
        fields=_fields(
            "consents.marketing.",
            {
                f"{channel}.{name}": kind
                for channel in ("any", *CONSENT_CHANNELS)
                for name, kind in {
                    "val": "|".join(CONSENT_VALUES) + "!",
                    "time": "date-time",
                    "reason": "text<255",
                }.items()
            },
        ),
    ),
    FieldGroup(
        id="https://ns.adobe.com/xdm/common/external-source-system-audit-details",
        title="External Source System Audit Details",
        fields=_fields(
            "extSourceSystemAudit.",
            {"lastUpdatedDate": "date-time-ms!!", "lastUpdatedBy": "text", "externalID": "text"},
        ),
    ),
)
"""Of the schema for consent: the class first. Both it and the map of identities are written
without rules."""


def field_groups(settings: MappingSettings) -> tuple[FieldGroup, ...]:
    """Return the parts of the schema that a mapping with these settings writes to."""
    groups = CONSENT_GROUPS if settings.produces == "consent" else EVENT_GROUPS
    return tuple(group for group in groups if not group.need or getattr(settings, group.need))


def fields_of(groups: Iterable[FieldGroup], extra: Mapping[str, str]) -> dict[str, Field]:
    """Return the fields of some groups and of the user's own, by path."""
    every = {field.path: field for group in groups for field in group.fields}
    own = {path: Field(path=path, kind=kind) for path, kind in extra.items()}  # type: ignore[arg-type]  # checked with the mapping file
    return every | own


def find_field(path: str) -> Field | None:
    """Return the field of a path, whichever settings it needs; None: there is no such."""
    return _every_field().get(path)


def near_path(path: str, extra: Iterable[str] = ()) -> str | None:
    """Return the path that was probably meant; ``extra`` are the user's own."""
    near = difflib.get_close_matches(path, [*_every_field(), *extra], n=1)
    return near[0] if near else None


def way_out(path: str, known: Iterable[str], *, produces: str) -> str:
    """Return what to do about a path that is not among the known ones of a destination."""
    for group in (*EVENT_GROUPS, *CONSENT_GROUPS):
        if any(field.path == path for field in group.fields):
            if group.need and _product(group) == produces:
                return f"it needs `{group.need} = true`"
            return f'only a destination with `produces = "{_product(group)}"` writes it'
    near = difflib.get_close_matches(path, known, n=1)
    return f"did you mean {near[0]}?" if near else "see the list of paths in the documents"


def _product(group: FieldGroup) -> str:
    return "consent" if group in CONSENT_GROUPS else "events"


def in_tenants_name(path: str, tenant: str) -> str:
    """Return a path as it is in the entities of a tenant."""
    return path.replace(TENANT, f"_{tenant}", 1) if path.startswith(TENANT) else path


@cache
def _every_field() -> dict[str, Field]:
    return fields_of((*EVENT_GROUPS, *CONSENT_GROUPS), {})
