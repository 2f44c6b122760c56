"""What a connection, a source, a target and a dataflow must be to be made.

Each check takes a body and returns nothing or refuses it with what is wrong. The identifiers of
specifications are Adobe's fixed ones; everything else that a body names must exist.
"""

from __future__ import annotations

from typing import Any

from tests.stand_ins.aep import specs
from tests.stand_ins.aep.documents import value_at
from tests.stand_ins.aep.organisation import Organisation
from tests.stand_ins.aep.problems import Refusal, service_problem

SERVICE = "FLOW"
Body = dict[str, Any]


def refusal(detail: str) -> Refusal:
    """Say what is wrong with a body."""
    return service_problem(400, SERVICE, "Bad request", detail)


def check_connection(organisation: Organisation, body: Body) -> None:
    """Take connections of HTTP API; a source such as Customer.io's has none."""
    del organisation
    _check_spec(body, {specs.HTTP_API_CONNECTION})
    if value_at(body, "auth.specName") != "Streaming Connection":
        raise refusal("auth.specName is not [Streaming Connection]")
    for key in ("sourceId", "name"):
        if not _is_text(value_at(body, f"auth.params.{key}")):
            raise refusal(f"auth.params.{key} is missing")
    if value_at(body, "auth.params.dataType") not in ("xdm", "raw"):
        raise refusal("auth.params.dataType is neither [xdm] nor [raw]")
    if not isinstance(value_at(body, "auth.params.authenticationRequired"), bool | None):
        raise refusal("auth.params.authenticationRequired is neither true nor false")


def check_source(organisation: Organisation, body: Body) -> None:
    """Take sources of a connection of HTTP API, and Customer.io's, which has no connection."""
    spec = _check_spec(body, {specs.HTTP_API_CONNECTION, specs.CUSTOMERIO_CONNECTION})
    connection_id = body.get("baseConnectionId")
    if spec == specs.CUSTOMERIO_CONNECTION:
        if connection_id is not None:
            raise refusal("baseConnectionId: this source has no base connection")
        if value_at(body, "data.format") != "json":
            raise refusal("data.format is not [json]")
    elif not isinstance(connection_id, str) or connection_id not in organisation.connections:
        raise refusal(f"baseConnectionId: there is no connection [{connection_id}]")


def check_target(organisation: Organisation, body: Body) -> None:
    """Take targets in the data lake: a dataset and the schema that it has."""
    _check_spec(body, {specs.DATA_LAKE_CONNECTION})
    dataset_id = value_at(body, "params.dataSetId")
    if not isinstance(dataset_id, str) or dataset_id not in organisation.datasets:
        raise refusal(f"params.dataSetId: there is no dataset [{dataset_id}]")
    schema_id = value_at(body, "data.schema.id")
    if schema_id is not None and schema_id != organisation.schema_of(dataset_id):
        raise refusal("data.schema.id is not the schema of the dataset")


def check_flow(organisation: Organisation, body: Body) -> None:
    """Take dataflows from one source to one target, with a mapping if their kind needs one."""
    spec = value_at(body, "flowSpec.id")
    if spec not in specs.FLOW_SPECS:
        raise refusal(f"flowSpec.id: there is no specification [{spec}]")
    source = _only(body, "sourceConnectionIds", organisation.source_connections.get)
    _only(body, "targetConnectionIds", organisation.target_connections.get)
    is_customerio = value_at(source, "connectionSpec.id") == specs.CUSTOMERIO_CONNECTION
    if is_customerio != (spec == specs.FLOW_OF_SOURCE):
        raise refusal("flowSpec.id does not belong to the source's connectionSpec.id")
    _check_data_type(organisation, source, spec)
    _check_mapping(organisation, body, needed=spec in specs.FLOW_SPECS_WITH_MAPPING)


def _check_data_type(organisation: Organisation, source: Body, spec: str) -> None:
    connection = organisation.connections.get(str(source.get("baseConnectionId")))
    data_type = value_at(connection, "auth.params.dataType")
    if data_type == "raw" and spec == specs.FLOW_WITHOUT_MAPPING:
        raise refusal("flowSpec.id: raw data needs a dataflow with a mapping")


def _check_mapping(organisation: Organisation, body: Body, *, needed: bool) -> None:
    transformations = body.get("transformations") or []
    if not needed:
        if transformations:
            raise refusal("transformations: a dataflow of this flowSpec.id has none")
        return
    if len(transformations) != 1 or transformations[0].get("name") != "Mapping":
        raise refusal("transformations is not one of the name [Mapping]")
    mapping_id = value_at(transformations[0], "params.mappingId")
    if not isinstance(mapping_id, str) or mapping_id not in organisation.mapping_sets:
        raise refusal(f"transformations: there is no mapping set [{mapping_id}]")


def _check_spec(body: Body, known: set[str]) -> str:
    spec = value_at(body, "connectionSpec.id")
    if spec not in known:
        raise refusal(f"connectionSpec.id [{spec}] is not one that belongs here")
    if value_at(body, "connectionSpec.version") != "1.0":
        raise refusal("connectionSpec.version is not [1.0]")
    return str(spec)


def _only(body: Body, key: str, look_up: Any) -> Body:  # noqa: ANN401 - a method of Documents
    identifiers = body.get(key)
    if not isinstance(identifiers, list) or len(identifiers) != 1:
        raise refusal(f"{key} is not an array with one id")
    found: Body | None = look_up(identifiers[0])
    if found is None:
        raise refusal(f"{key}: there is nothing with the id [{identifiers[0]}]")
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
