"""The settings of destinations of kind ``aep``: Adobe Experience Platform."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from streamer.core import limits
from streamer.core.rules import Complaint, Rule
from streamer.core.xdm.settings import ENTITY_BYTES_MAX
from streamer.destinations.aep_url import batch_url
from streamer.destinations.common_options import (
    EVENT_TYPES,
    FILE_PATH,
    URL,
    CommonOptions,
    Privacy,
    Secret,
)
from streamer.destinations.http_headers import is_token

REQUEST_BYTES_MAX = 1_000_000
"""Adobe answers 413 to a request of more than 1 MB; the smaller of the two megabytes is safe."""


class IdentityOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One identity of the person an event is about."""

    namespace: Annotated[
        str, Meta(description="Code of the identity namespace in Adobe, such as `Email`.")
    ]
    source: Annotated[
        str, Meta(description="Where the value is, such as `data.identifiers.id`; an expression.")
    ]
    types: Annotated[
        list[Annotated[str, EVENT_TYPES]],
        Meta(description="Event types that it is read from; empty: all."),
    ] = []
    form: Annotated[
        Literal["text", "email", "email_sha256", "phone"],
        Meta(
            description="`email`: trimmed and lower-cased; `email_sha256`: its SHA-256 as well; "
            "`phone`: `+` and digits."
        ),
    ] = "text"


def _xdm_needs(
    mode: str, tenant: str | None, dataset_id: str | None, schema_id: str | None
) -> Complaint | None:
    if mode == "raw":
        return None
    given = {"tenant": tenant, "dataset_id": dataset_id, "schema_id": schema_id}
    missing = [key for key, value in given.items() if not value]
    if not missing:
        return None
    return Complaint(
        missing[0],
        "is missing: mode `xdm` needs it",
        "`streamer aep setup` makes the schema and the dataset, and writes all of this.",
    )


def _is_an_inlet(inlet_url: str) -> Complaint | None:
    try:
        batch_url(inlet_url)
    except ValueError as error:
        hint = "`streamer aep setup` writes it; in Adobe it stands on the page of the connection."
        return Complaint("inlet_url", str(error), hint)
    return None


def _fit_for_a_header(sandbox: str, flow_id: str) -> Complaint | None:
    for key, value in (("sandbox", sandbox), ("flow_id", flow_id)):
        if not is_token(value):
            return Complaint(key, "must not be empty, and has no blanks or unusual characters")
    return None


def _both_or_none(client_id: str | None, client_secret: Secret | None) -> Complaint | None:
    if (client_id is None) == (client_secret is None):
        return None
    missing = "client_secret" if client_secret is None else "client_id"
    return Complaint(missing, "is missing: `client_id` and `client_secret` go together")


def _tells_message_from_person(mode: str, privacy: Privacy) -> Complaint | None:
    if mode == "raw" or "delivery_id" not in privacy.drop:
        return None
    return Complaint(
        "privacy",
        "must not drop `delivery_id`: it tells leaving one message from leaving all of marketing",
        "Put it under `hash` instead.",
    )


class AepOptions(CommonOptions, frozen=True, kw_only=True, tag_field="kind", tag="aep"):
    """Adobe Experience Platform, by its Streaming Ingestion API."""

    inlet_url: Annotated[
        str,
        Meta(description="The connection's inlet, `https://dcs.adobedc.net/collection/…`."),
        URL,
    ]
    mode: Annotated[
        Literal["xdm", "raw"],
        Meta(
            description="`xdm`: mapped here to the dataset's schema; `raw`: the webhook's body as "
            "received, mapped by the flow in Adobe."
        ),
    ] = "xdm"
    produces: Annotated[
        Literal["events", "consent"],
        Meta(
            description="`events`: one ExperienceEvent for each event; `consent`: a record of the "
            "profile's consent, for a dataset of its own."
        ),
    ] = "events"
    flow_id: Annotated[str, Meta(description="The dataflow that the inlet belongs to.")]
    ims_org_id: Annotated[str, Meta(description="The organisation, `…@AdobeOrg`.")]
    sandbox: Annotated[str, Meta(description="Name of the sandbox.")] = "prod"
    tenant: Annotated[
        str | None, Meta(description="Name of the tenant, without the underscore in front.")
    ] = None
    dataset_id: Annotated[str | None, Meta(description="The dataset that entities go into.")] = None
    schema_id: Annotated[
        str | None,
        Meta(description="The schema's `$id`, `https://ns.adobe.com/TENANT/schemas/…`."),
    ] = None
    schema_content_type: Annotated[
        str, Meta(description="How messages name the schema's version.")
    ] = "application/vnd.adobe.xed-full+json;version=1"
    client_id: Annotated[
        str | None,
        Meta(description="OAuth client; leave it out for an inlet without authentication."),
    ] = None
    client_secret: Annotated[Secret | None, Meta(description="The client's secret.")] = None
    scopes: Annotated[str, Meta(description="Scopes that tokens are asked for.")] = (
        "openid,AdobeID,read_organizations,additional_info.projectedProductContext,session"
    )
    ims_url: Annotated[str, Meta(description="Where tokens come from."), URL] = (
        "https://ims-na1.adobelogin.com"
    )
    platform_url: Annotated[
        str, Meta(description="Where the APIs are by which Adobe is set up."), URL
    ] = "https://platform.adobe.io"
    mapping: Annotated[
        str | None,
        Meta(description="A mapping file, layered over the built-in mapping."),
        FILE_PATH,
    ] = None
    identities: Annotated[
        list[IdentityOptions],
        Meta(
            description="Whom an event is about; the first with a value is primary. Empty: e-mail "
            "address and telephone number in Adobe's standard namespaces."
        ),
    ] = msgspec.field(default_factory=list)
    require_identity: Annotated[
        bool, Meta(description="Make an event about nobody a dead letter.")
    ] = False
    email_details: Annotated[
        bool,
        Meta(
            description="Fill the field groups Email Clicked and Email Bounced; the schema must "
            "have them."
        ),
    ] = True
    journey_optimizer: Annotated[
        bool,
        Meta(description="Fill Journey Optimizer's field groups; the schema must have them."),
    ] = False
    soft_bounces: Annotated[
        bool, Meta(description="Count a bounce with an SMTP code 4xx as temporary.")
    ] = False
    dismiss_actions: Annotated[
        list[str], Meta(description="In-app action names that dismiss the message.")
    ] = msgspec.field(default_factory=list)
    keep_raw: Annotated[
        bool, Meta(description="Keep the whole event as text in the tenant's group.")
    ] = False
    topics: Annotated[
        dict[str, str],
        Meta(description="For consent: Customer.io's topic, and the subscription's name in XDM."),
    ] = msgspec.field(default_factory=dict)
    entity_bytes_max: Annotated[
        int,
        Meta(
            ge=1_000,
            le=REQUEST_BYTES_MAX // 2,
            description="Larger entities are shed of content, headers and the like. Profile drops "
            "what is over 10 KB.",
        ),
    ] = ENTITY_BYTES_MAX
    request_bytes_max: Annotated[
        int,
        Meta(
            ge=10_000, le=REQUEST_BYTES_MAX, description="Bytes of one request; Adobe takes 1 MB."
        ),
    ] = 900_000
    batch_events_max: Annotated[
        int, Meta(ge=1, le=limits.BATCH_EVENTS_MAX, description="Events in one batch.")
    ] = 500
    connect_timeout_seconds: Annotated[float, Meta(gt=0, le=60, description="To connect.")] = 5.0
    timeout_seconds: Annotated[
        float, Meta(gt=0, le=300, description="From connecting to the end of the answer.")
    ] = 60.0
    ca_file: Annotated[
        str | None, Meta(description="CA certificates to trust instead of the system's."), FILE_PATH
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(("mode", "tenant", "dataset_id", "schema_id"), _xdm_needs),
        Rule(("inlet_url",), _is_an_inlet),
        Rule(("sandbox", "flow_id"), _fit_for_a_header),
        Rule(("client_id", "client_secret"), _both_or_none),
        Rule(("mode", "privacy"), _tells_message_from_person),
    )

    @property
    def place(self) -> str:
        """The server's name; the rest of an inlet's URL is a capability."""
        return urlsplit(self.inlet_url).hostname or "-"
