"""What a destination's table in the configuration says after a set-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from streamer.destinations.aep_options import AepOptions

DEFAULTS = {
    field.name: field.default
    for field in msgspec.structs.fields(AepOptions)
    if field.default is not msgspec.NODEFAULT
}


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a destination has to know of one way into a dataset."""

    mode: Literal["xdm", "raw"]
    produces: Literal["events", "consent"]
    inlet_url: str
    flow_id: str
    org_id: str
    sandbox: str
    tenant: str
    dataset_id: str
    schema_id: str
    client_id: str
    client_secret: Mapping[str, str]
    """Where the secret is, such as ``{"file": "/…"}``."""
    scopes: str
    ims_url: str
    platform_url: str
    ca_file: str | None
    email_details: bool
    journey_optimizer: bool
    mapping: str | None = None
    """A mapping file; None: what is configured stays, as it is written there."""

    def values(self) -> dict[str, object]:
        """Return the keys to set; what is the default anyway is left out."""
        always: dict[str, object] = {
            "kind": "aep",
            "inlet_url": self.inlet_url,
            "flow_id": self.flow_id,
            "ims_org_id": self.org_id,
            "sandbox": self.sandbox,
            "tenant": self.tenant,
            "dataset_id": self.dataset_id,
            "schema_id": self.schema_id,
            "client_id": self.client_id,
            "client_secret": dict(self.client_secret),
        }
        if self.mapping is not None:
            always["mapping"] = self.mapping
        return {**always, **{k: v for k, v in self._optional().items() if v != DEFAULTS[k]}}

    def removed(self) -> list[str]:
        """Return the keys to take out, since their default is right now."""
        return [key for key, value in self._optional().items() if value == DEFAULTS[key]]

    def _optional(self) -> dict[str, object]:
        return {
            "mode": self.mode,
            "produces": self.produces,
            "scopes": self.scopes,
            "ims_url": self.ims_url,
            "platform_url": self.platform_url,
            "ca_file": self.ca_file,
            "email_details": self.email_details,
            "journey_optimizer": self.journey_optimizer,
        }
