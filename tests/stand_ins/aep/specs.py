"""Adobe's fixed identifiers: the same for every organisation, as its tutorials give them."""

from __future__ import annotations

HTTP_API_CONNECTION = "bc7b00d6-623a-4dfc-9fdb-f1240aeadaeb"
"""Connections of our own that take messages over HTTP."""
CUSTOMERIO_CONNECTION = "96479064-7b8a-4d69-b9ed-21c5683837ea"
"""Adobe's own source for Customer.io; its inlet belongs to the dataflow."""
DATA_LAKE_CONNECTION = "c604ff05-7f1a-43c0-8e18-33bf874cb11c"
STREAMING_PROVIDER = "521eee4d-8cbe-4906-bb48-fb6bd4450033"

FLOW_WITHOUT_MAPPING = "d8a6f005-7eaf-4153-983e-e8574508b877"
FLOW_WITH_MAPPING = "c1a19761-d2c7-4702-b9fa-fe91f0613e81"
FLOW_OF_SOURCE = "e77fde5a-22a8-11ed-861d-0242ac120002"
"""Of streaming sources such as the one for Customer.io; always with a mapping."""

CONNECTION_SPECS = {
    HTTP_API_CONNECTION: "Streaming Connection",
    CUSTOMERIO_CONNECTION: "Customer.io",
    DATA_LAKE_CONNECTION: "dataLakeSink",
}
FLOW_SPECS = {
    FLOW_WITHOUT_MAPPING: "Steam data without transformation",
    FLOW_WITH_MAPPING: "Steam data with transformation",
    FLOW_OF_SOURCE: "GenericStreamingSourceToPlatform",
}
FLOW_SPECS_WITH_MAPPING = {FLOW_WITH_MAPPING, FLOW_OF_SOURCE}

EXPERIENCE_EVENT = "https://ns.adobe.com/xdm/context/experienceevent"
INDIVIDUAL_PROFILE = "https://ns.adobe.com/xdm/context/profile"
CLASSES = {
    EXPERIENCE_EVENT: "XDM ExperienceEvent",
    INDIVIDUAL_PROFILE: "XDM Individual Profile",
}
_JOURNEYS = "https://ns.adobe.com/experience/customerJourneyManagement/"
STANDARD_GROUPS = {
    "https://ns.adobe.com/xdm/context/experienceevent-directmarketing": "Direct Marketing Details",
    "https://ns.adobe.com/xdm/context/experienceevent-channel": "Channel Details",
    "https://ns.adobe.com/xdm/context/experienceevent-pushtracking": "Push notification tracking",
    "https://ns.adobe.com/xdm/context/experienceevent-inappmessage-tracking": (
        "Inapp message tracking"
    ),
    "https://ns.adobe.com/xdm/mixins/events/emailclicked": "Email Clicked",
    "https://ns.adobe.com/xdm/mixins/events/emailbounced": "Email Bounced",
    "https://ns.adobe.com/xdm/common/external-source-system-audit-details": (
        "External Source System Audit Details"
    ),
    "https://ns.adobe.com/xdm/context/identitymap": "IdentityMap",
    "https://ns.adobe.com/xdm/mixins/profile-consents": "Consent and Preference Details",
    f"{_JOURNEYS}message-delivery-feedback": (
        "Adobe CJM ExperienceEvent - Message Delivery Feedback Details"
    ),
    f"{_JOURNEYS}message-interaction": "Adobe CJM ExperienceEvent - Message interaction details",
    f"{_JOURNEYS}messageprofile": "Adobe CJM ExperienceEvent - Message Profile Details",
    f"{_JOURNEYS}messageexecution": "Adobe CJM ExperienceEvent - Message Execution Details",
}
"""Field groups of the global container, by ``$id``, with their titles."""

NAMESPACES = {
    "ECID": (4, "ECID", "COOKIE"),
    "Email": (6, "Email", "EMAIL"),
    "Phone": (7, "Phone", "PHONE"),
    "Email_LC_SHA256": (11, "Emails (SHA256, lowercased)", "EMAIL"),
    "Phone_E.164": (17, "Phone (E.164)", "PHONE"),
    "APNS": (20920, "Apple Push Notification service", "DEVICE"),
    "FCM": (20921, "Firebase Cloud Messaging", "DEVICE"),
}
"""Standard identity namespaces: code, and number, name and type. Numbers from 17 on are made up."""


def usual_groups(its_class: str) -> list[str]:
    """Return the standard groups that fit a class, without those of Journey Optimizer."""
    audit = "https://ns.adobe.com/xdm/common/external-source-system-audit-details"
    if its_class == INDIVIDUAL_PROFILE:
        return ["https://ns.adobe.com/xdm/mixins/profile-consents", audit]
    others = (audit, "profile-consents", _JOURNEYS)
    return [
        identifier
        for identifier in STANDARD_GROUPS
        if not any(part in identifier for part in others)
    ]
